"""
The Grafana door: an alert as an annotation, so that a graph shows when it was raised and how long it stood.

A channel `grafana://TOKEN@host:3000` (`grafanas://` over TLS) goes this way, any other through
`streams.notify.apprise_door`, which has the shape of a door; `open_door` tells them apart. The token is of a Grafana
service account that may write annotations. Grafana cannot tell a repetition: one sent twice is there twice.
"""

from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from grafana_api import GrafanaFace  # type: ignore[import-untyped]
from grafana_api.grafana_api import GrafanaException  # type: ignore[import-untyped]

from streams.notify.apprise_door import AppriseDoor, Door, Unsent
from streams.notify.texts import Message

_SCHEMES = {"grafana": "http", "grafanas": "https"}


class GrafanaDoor:
    """A Grafana that takes annotations. Raises ValueError for a URL that cannot work."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if not parts.hostname or not parts.username or parts.password:
            raise ValueError("grafana:// expected grafana://TOKEN@host[:port][/prefix]")
        path = parts.path.strip("/")
        self._shown = f"{parts.scheme}://***@{parts.hostname}"
        self._face = GrafanaFace(
            auth=unquote(parts.username), host=parts.hostname, port=parts.port, protocol=_SCHEMES[parts.scheme],
            url_path_prefix=f"{path}/" if path else "", timeout=10.0,
        )  # fmt: skip

    @property
    def shown(self) -> str:
        """The URL with its token masked."""
        return self._shown

    def send(self, message: Message) -> None:
        """See `streams.notify.apprise_door.Door`."""
        for one in message.data or ({},):
            try:
                self._face.annotations.add_annotation(**_annotation(message, one))
            except (OSError, ValueError, GrafanaException) as error:
                raise Unsent(f"{self.shown}: {type(error).__name__} {error}") from error


def open_door(url: str) -> Door:
    """Open the way out that a channel's URL names; raises ValueError for one that cannot work."""
    return GrafanaDoor(url) if urlsplit(url).scheme in _SCHEMES else AppriseDoor(url)


def _annotation(message: Message, one: dict[str, Any]) -> dict[str, Any]:
    """Mark the moment an alert began, and once it is over the whole time that it stood."""
    tags = ["stadspuls", *(str(one[name]) for name in ("rule", "subject", "kind", "severity") if name in one)]
    said: dict[str, Any] = {"tags": tags, "text": str(one.get("text") or message.title)}
    if one.get("since"):
        said["time_from"] = _milliseconds(one["since"])
    if one.get("kind") == "cleared" and one.get("about"):
        said["time_to"] = _milliseconds(one["about"])
    return said


def _milliseconds(stamp: str) -> int:
    return int(datetime.fromisoformat(stamp).timestamp() * 1000)
