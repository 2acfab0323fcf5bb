"""
Recorded files as MQTT messages, at once or at the speed they came.

`stadspuls publish` calls `publish`; `ingest.files.recordings` takes the files apart.
"""

import json
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

from ingest.files.recordings import messages
from ingest.formats.decode import status_of, version_of
from ingest.mqtt.sender import Sender
from ingest.vocabulary.readings import BadPayload
from ingest.vocabulary.sources import SOURCES

_LOOK_EVERY = 1_000  # messages between two looks at the hub's backlog
Recorded = tuple[str, bytes, datetime | None]


class BadRecording(ValueError):  # noqa: N818 - the reaction is the name: the user names another file or source
    """A file that cannot be published; the text says which, and what was expected."""


def recorded(
    files: Sequence[Path], source: str, status: str | None, version: str | None, *, in_time: bool = False
) -> Iterator[Recorded]:
    """
    Take files apart into messages, with what is said of all of them behind their topics.

    `in_time` gives the messages of each file in the order of their stamps. Raises BadRecording.
    """
    if source not in SOURCES:
        raise BadRecording(f"source {source!r}, expected one of {', '.join(SOURCES)}")
    said = urlencode({key: word for key, word in (("status", status), ("version", version)) if word is not None})
    try:
        if status is not None:
            status_of(status)
        if version is not None:
            version_of(version)
    except BadPayload as error:
        raise BadRecording(str(error)) from error
    for path in files:
        try:
            for topic, payload, when in messages(path, source, in_time=in_time):
                yield f"{topic}?{said}" if said else topic, payload, when
        except (OSError, ValueError, EOFError, zlib.error) as error:  # EOFError: a .gz that was cut off
            raise BadRecording(f"{path}: {error}") from error


def publish(
    sender: Sender, found: Iterable[Recorded], speed: float | None, backlog: "Backlog | None", tick: Callable[[], None]
) -> int:
    """
    Publish messages and return how many, when the broker has them all.

    `speed` is times real time (None: at once); `backlog` is waited for where the hub can be seen; `tick` is called
    after each message. Raises BadRecording for a message that no broker takes.
    """
    began, first, count = time.monotonic(), None, 0
    for count, (topic, payload, when) in enumerate(found, 1):
        if speed and when is not None:
            first = first or when
            time.sleep(max(0.0, began + (when - first).total_seconds() / speed - time.monotonic()))
        try:
            sender.publish(topic, payload)
        except ValueError as error:
            raise BadRecording(str(error)) from error
        if backlog is not None and count % _LOOK_EVERY == 0:
            backlog.wait(count)
        tick()
    sender.flush()
    return count


class Backlog:
    """What a running hub has not taken yet of what is published here: at most half the broker's queue."""

    def __init__(self, http: str) -> None:
        self._url = f"{http}/healthz"
        self._before = self._look()

    def wait(self, published: int) -> None:
        """Wait until the hub has taken enough of the `published` messages; a hub that is gone is not waited for."""
        while (now := self._look()) and self._before:
            taken = now["messages_received"] - self._before["messages_received"]
            if taken < 0 or published - taken <= now["broker_queue"] // 2:
                return
            time.sleep(0.1)

    def _look(self) -> dict[str, int]:
        try:
            with urllib.request.urlopen(self._url, timeout=5) as answer:
                found: dict[str, int] = json.load(answer)
                return found
        except OSError:
            return {}
