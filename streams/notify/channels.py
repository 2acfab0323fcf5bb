"""
Channels: who is told of alerts, by what way, and of what; read from a TOML file and refused there when it cannot work.

`streams.notify.delivery` asks a channel what it takes; `streams.notify.apprise_door` is the door that its URL opens.
Shape of a file:

    link = "https://stadspuls.example"         # where messages point to

    [channel.duty]
    url = "mailtos://hub:${MAIL_PASSWORD}@mail.example?to=duty@example.nl"
    severity = "warning"

    [heartbeat]
    url = "https://heartbeat.example/${HEARTBEAT}"
"""

import os
import re
import tomllib
from collections.abc import Mapping
from datetime import time, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec

from ingest.vocabulary.durations import duration

FILE = "channels.toml"
ALL = "operators"  # stands for every channel that is not `named_only`; what a rule names that names none
SEVERITIES = ("info", "warning", "critical")

DIGEST = "digest"  # named by a rule that is told of in the daily summaries alone

Severity = Literal["info", "warning", "critical"]
Kind = Literal["raised", "updated", "cleared", "cannot_judge", "acknowledged", "escalated"]
KINDS: tuple[Kind, ...] = ("raised", "updated", "cleared", "cannot_judge", "acknowledged", "escalated")
_T = TypeVar("_T")


class BadChannels(ValueError):  # noqa: N818 - the reaction is the name: the user mends the file
    """A file of channels that cannot work: the file, the key, and what is wrong with it; never a secret."""


class Channel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    One way to tell people.

    `severity` is the least that leaves here, `rules` are patterns, `kinds` what of an alert is told. `group` and more
    that are due leave as one message; after `burst` messages within ten minutes, or a grouped one, they are gathered
    for a minute each time (0: never). `escalate_after` makes it a channel that is told only what nobody acknowledged
    for so long; `digest` is the local time of a daily summary.
    """

    url: str
    severity: Severity = "info"
    rules: tuple[str, ...] = ("*",)
    kinds: tuple[Kind, ...] = KINDS
    named_only: bool = False
    language: Literal["en", "nl"] = "en"
    group: int = 5
    burst: int = 20
    escalate_after: str | None = None
    digest: str | None = None

    @property
    def patience(self) -> timedelta | None:
        """How long an alert waits for an acknowledgement before it is told here; None: not a channel of last resort."""
        return None if self.escalate_after is None else duration(self.escalate_after)

    @property
    def digest_at(self) -> time | None:
        """When the daily summary is due, local time."""
        return None if self.digest is None else time.fromisoformat(self.digest)

    def minds(self, rule: str, severity: str) -> bool:
        """Tell whether alerts of a rule concern it."""
        heavy = SEVERITIES.index(severity) >= SEVERITIES.index(self.severity)
        return heavy and any(fnmatchcase(rule, pattern) for pattern in self.rules)

    def takes(self, rule: str, severity: str, kind: str) -> bool:
        """Tell whether it is told of such a transition."""
        return kind in self.kinds and self.minds(rule, severity)


class Heartbeat(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A URL that is asked for every so often while the notifier is healthy, so that someone notices when it is not."""

    url: str
    every: str = "5min"

    @property
    def period(self) -> timedelta:
        """Time between two of them."""
        return duration(self.every)


class Channels(msgspec.Struct, frozen=True, kw_only=True):
    """All that a file says; an empty one tells nobody."""

    link: str | None = None
    heartbeat: Heartbeat | None = None
    channels: dict[str, Channel] = {}


def read_channels(path: Path, environment: Mapping[str, str] | None = None) -> Channels:
    """Read a file; `${NAME}` in a URL is a variable of the environment. Raises BadChannels."""
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise BadChannels(f"{path}: {error}") from error
    environment = os.environ if environment is None else environment
    _known(path, said)
    link = said.get("link")
    if link is not None and (not isinstance(link, str) or urlsplit(link).scheme not in ("http", "https")):
        raise BadChannels(f"{path}: link: expected an http:// or https:// URL, found {link!r}")
    heart = said.get("heartbeat")
    return Channels(
        link=link,
        heartbeat=None if heart is None else _heartbeat(path, heart, environment),
        channels={name: _channel(path, name, one, environment) for name, one in said.get("channel", {}).items()},
    )


def _known(path: Path, said: Mapping[str, Any]) -> None:
    for key in said:
        if key not in ("link", "heartbeat", "channel"):
            raise BadChannels(f"{path}: {key}: no such key, expected link, heartbeat and channel")
    if not isinstance(said.get("channel", {}), dict):
        raise BadChannels(f"{path}: channel: expected tables [channel.NAME]")


def _channel(path: Path, name: str, said: object, environment: Mapping[str, str]) -> Channel:
    where = f"channel.{name}"
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", name) or name in (ALL, DIGEST):
        raise BadChannels(f"{path}: {where}: expected a name of a-z, 0-9, - and _, not {ALL!r} or {DIGEST!r}")
    channel = _converted(path, where, said, Channel)
    for key, wrong in _objections(channel):
        raise BadChannels(f"{path}: {where}.{key}: {wrong}")
    return msgspec.structs.replace(channel, url=_filled(path, f"{where}.url", channel.url, environment))


def _objections(channel: Channel) -> list[tuple[str, str]]:
    """Give the keys that cannot work, with the reason."""
    found = [(key, f"expected 0 or more, found {value}") for key in ("group", "burst")
             if (value := getattr(channel, key)) < 0]  # fmt: skip
    if not channel.kinds and not channel.digest:
        found.append(("kinds", "expected at least one, or a digest: nothing would ever be sent"))
    if channel.url.partition(":")[0] in ("grafana", "grafanas"):
        found.append(("url", "no longer a channel: the dashboards show alerts as annotations by themselves"))
    for key, read in (("escalate_after", duration), ("digest", time.fromisoformat)):
        try:
            if (value := getattr(channel, key)) is not None:
                read(value)
        except ValueError as error:
            text = str(error) if key == "escalate_after" else f"expected a time of day as 07:30, found {value!r}"
            found.append((key, text))
    return found


def _heartbeat(path: Path, said: object, environment: Mapping[str, str]) -> Heartbeat:
    heart = _converted(path, "heartbeat", said, Heartbeat)
    url = _filled(path, "heartbeat.url", heart.url, environment)
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise BadChannels(f"{path}: heartbeat.url: expected an http:// or https:// URL")
    try:
        duration(heart.every)
    except ValueError as error:
        raise BadChannels(f"{path}: heartbeat.every: {error}") from None
    return msgspec.structs.replace(heart, url=url)


def _converted(path: Path, where: str, said: object, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(said, kind)
    except msgspec.ValidationError as error:
        text, _, key = str(error).partition(" - at `$")
        raise BadChannels(f"{path}: {where}{key.rstrip('`')}: {text[:1].lower()}{text[1:]}") from None


def _filled(path: Path, where: str, url: str, environment: Mapping[str, str]) -> str:
    """Put the environment's variables into a URL, as they are: one with odd characters is to be URL-encoded there."""

    def value(found: re.Match[str]) -> str:
        if not environment.get(found[1]):
            raise BadChannels(f"{path}: {where}: the environment has no variable {found[1]}")
        return environment[found[1]]

    return re.sub(r"\$\{(\w+)\}", value, url)
