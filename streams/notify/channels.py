"""
The channels of notifications: where each goes, and which transitions it gets; a TOML file that is checked when read.

`streams.notify.delivery` asks a channel what it accepts; `streams.notify.apprise_door` sends to its URL.
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
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec

from ingest.vocabulary.values import duration

FILE = "channels.toml"
ALL = "operators"  # every channel that is not `named_only`; the default of a rule
SEVERITIES = ("info", "warning", "critical")

DIGEST = "digest"  # for a rule that is only in the daily summaries

Severity = Literal["info", "warning", "critical"]
TransitionKind = Literal["raised", "updated", "cleared", "cannot_judge", "acknowledged", "escalated"]
KINDS: tuple[TransitionKind, ...] = ("raised", "updated", "cleared", "cannot_judge", "acknowledged", "escalated")
_T = TypeVar("_T")


class BadChannels(ValueError):  # noqa: N818 - named for the reaction: the user corrects the file
    """A file of channels that cannot work: the file, the key, and what is wrong with it; never a secret."""


class Channel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    One place that notifications are sent to.

    `severity` is the least that is sent, `rules` are patterns, `kinds` the transitions that are sent. `group` or more
    transitions that are due are one notification; after `burst` notifications within ten minutes, or a grouped one,
    they are collected for a minute each time (0: never). With `escalate_after` it gets only alerts that nobody
    acknowledged for so long; `digest` is the local time of a daily summary.
    """

    url: str
    severity: Severity = "info"
    rules: tuple[str, ...] = ("*",)
    kinds: tuple[TransitionKind, ...] = KINDS
    named_only: bool = False
    language: Literal["en", "nl"] = "en"
    group: Annotated[int, msgspec.Meta(ge=0)] = 5
    burst: Annotated[int, msgspec.Meta(ge=0)] = 20
    escalate_after: str | None = None
    digest: str | None = None

    @property
    def escalation_delay(self) -> timedelta | None:
        """How long an alert is unacknowledged before it is sent here; None: not a channel for escalation."""
        return None if self.escalate_after is None else duration(self.escalate_after)

    @property
    def digest_at(self) -> time | None:
        """When the daily summary is due, local time."""
        return None if self.digest is None else time.fromisoformat(self.digest)

    def matches(self, rule: str, severity: str) -> bool:
        """Tell whether it gets alerts of a rule at all."""
        heavy = SEVERITIES.index(severity) >= SEVERITIES.index(self.severity)
        return heavy and any(fnmatchcase(rule, pattern) for pattern in self.rules)

    def accepts(self, rule: str, severity: str, kind: str) -> bool:
        """Tell whether it gets such a transition."""
        return kind in self.kinds and self.matches(rule, severity)


class Heartbeat(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A URL that is requested regularly while the notifier is healthy, so that a monitor notices when it is not."""

    url: str
    every: str = "5min"

    @property
    def period(self) -> timedelta:
        """Time between two of them."""
        return duration(self.every)


class Channels(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a file; without channels nothing is sent."""

    link: str | None = None
    heartbeat: Heartbeat | None = None
    channels: dict[str, Channel] = {}


class _Tables(msgspec.Struct, forbid_unknown_fields=True):
    """A file before its tables are read."""

    link: str | None = None
    heartbeat: Any = None
    channel: dict[str, Any] = {}


def read_channels(path: Path, environment: Mapping[str, str] | None = None) -> Channels:
    """Read a file; `${NAME}` in a URL is a variable of the environment. Raises BadChannels."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise BadChannels(f"{path}: {error}") from error
    environment = os.environ if environment is None else environment
    tables = _converted(path, "", found, _Tables)
    if tables.link is not None and urlsplit(tables.link).scheme not in ("http", "https"):
        raise BadChannels(f"{path}: link: expected an http:// or https:// URL, found {tables.link!r}")
    return Channels(
        link=tables.link,
        heartbeat=None if tables.heartbeat is None else _heartbeat(path, tables.heartbeat, environment),
        channels={name: _channel(path, name, one, environment) for name, one in tables.channel.items()},
    )


def _channel(path: Path, name: str, table: object, environment: Mapping[str, str]) -> Channel:
    where = f"channel.{name}"
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", name) or name in (ALL, DIGEST):
        raise BadChannels(f"{path}: {where}: expected a name of a-z, 0-9, - and _, not {ALL!r} or {DIGEST!r}")
    channel = _converted(path, where, table, Channel)
    for key, wrong in _problems(channel):
        raise BadChannels(f"{path}: {where}.{key}: {wrong}")
    return msgspec.structs.replace(channel, url=_filled(path, f"{where}.url", channel.url, environment))


def _problems(channel: Channel) -> list[tuple[str, str]]:
    """Give the keys that cannot work, with the reason."""
    found: list[tuple[str, str]] = []
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


def _heartbeat(path: Path, table: object, environment: Mapping[str, str]) -> Heartbeat:
    heart = _converted(path, "heartbeat", table, Heartbeat)
    url = _filled(path, "heartbeat.url", heart.url, environment)
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise BadChannels(f"{path}: heartbeat.url: expected an http:// or https:// URL")
    try:
        duration(heart.every)
    except ValueError as error:
        raise BadChannels(f"{path}: heartbeat.every: {error}") from None
    return msgspec.structs.replace(heart, url=url)


def _converted(path: Path, where: str, table: object, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        text, _, key = str(error).partition(" - at `$")
        place = f"{where}{key.rstrip('`')}".lstrip(".")
        raise BadChannels(f"{path}: {place + ': ' if place else ''}{text[:1].lower()}{text[1:]}") from None


def _filled(path: Path, where: str, url: str, environment: Mapping[str, str]) -> str:
    """Put the environment's variables into a URL, unchanged: special characters must be URL-encoded in the variable."""

    def value(found: re.Match[str]) -> str:
        if not environment.get(found[1]):
            raise BadChannels(f"{path}: {where}: the environment has no variable {found[1]}")
        return environment[found[1]]

    return re.sub(r"\$\{(\w+)\}", value, url)
