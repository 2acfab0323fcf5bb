"""
The channels of notifications: where each goes, and which transitions it gets; a TOML file that is checked when read.

`streams.notify.delivery` asks a channel what it accepts; `streams.notify.apprise_door` sends to its URL,
docs/alerts.md shows a file and explains its keys.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from ingest.vocabulary.values import BadFile, converted, duration, read_toml

FILE = "channels.toml"
ALL = "operators"  # every channel that is not `named_only`; the default of a rule
DIGEST = "digest"  # for a rule that is only in the daily summaries
Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
TransitionKind = Literal["raised", "updated", "cleared", "cannot_judge", "acknowledged", "escalated"]
NotNegative = Annotated[int, msgspec.Meta(ge=0)]


class Channel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    One place that notifications are sent to.

    `severity` is the least that is sent, `rules` are patterns, `kinds` the transitions that are sent. `group` or more
    transitions that are due are one notification; after `burst` notifications within ten minutes, or a grouped one,
    they are collected for a minute each time (0: never). With `escalate_after` (as 30min) it gets only alerts that
    nobody acknowledged for so long; `digest` (as 07:30) is the local time of a daily summary.
    """

    url: str
    severity: Severity = "info"
    rules: tuple[str, ...] = ("*",)
    kinds: tuple[TransitionKind, ...] = get_args(TransitionKind)
    named_only: bool = False
    language: Literal["en", "nl"] = "en"
    group: NotNegative = 5
    burst: NotNegative = 20
    escalate_after: str | None = None
    digest: str | None = None

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


class Channels(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a file; without channels nothing is sent."""

    link: str | None = None
    heartbeat: Heartbeat | None = None
    channels: dict[str, Channel] = {}


class _Tables(msgspec.Struct, forbid_unknown_fields=True):
    """A file before its channels are read, each of which an error names."""

    link: str | None = None
    heartbeat: Heartbeat | None = None
    channel: dict[str, Any] = {}


def read_channels(path: Path, environment: Mapping[str, str] = os.environ) -> Channels:
    """Read a file; `${NAME}` in a URL is a variable of the environment. Raises BadFile."""
    tables, channels = read_toml(path, _Tables), dict[str, Channel]()
    for name, table in tables.channel.items():
        made = converted(table, Channel, str(path), f"channel.{name}")
        channels[name] = replace(made, url=_filled(f"{path}: channel.{name}.url", made.url, environment))
    if heart := tables.heartbeat:
        heart = replace(heart, url=_filled(f"{path}: heartbeat.url", heart.url, environment))
    found = Channels(link=tables.link, heartbeat=heart, channels=channels)
    for key, reason in _problems(found):
        raise BadFile(f"{path}: {key}: {reason}")
    return found


def _problems(found: Channels) -> Iterator[tuple[str, str]]:
    """Give the keys that cannot work, with the reason."""
    web = "expected an http:// or https:// URL"
    if found.link is not None and urlsplit(found.link).scheme not in ("http", "https"):
        yield "link", f"{web}, found {found.link!r}"
    for name, channel in found.channels.items():
        where = f"channel.{name}"
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", name) or name in (ALL, DIGEST):
            yield where, f"expected a name of a-z, 0-9, - and _, not {ALL!r} or {DIGEST!r}"
        if not channel.kinds and not channel.digest:
            yield f"{where}.kinds", "expected at least one, or a digest: nothing would ever be sent"
        yield from _unreadable(f"{where}.escalate_after", channel.escalate_after, duration, "")
        local = "expected a time of day as 07:30"  # which no time with a zone can be compared with
        yield from _unreadable(f"{where}.digest", channel.digest, lambda at: time.fromisoformat(at) <= time.max, local)
    if (heart := found.heartbeat) is not None:
        if urlsplit(heart.url).scheme not in ("http", "https") or not urlsplit(heart.url).hostname:
            yield "heartbeat.url", web
        yield from _unreadable("heartbeat.every", heart.every, duration, "")


def _unreadable(key: str, text: str | None, read: Callable[[str], object], expected: str) -> Iterator[tuple[str, str]]:
    try:
        if text is not None:
            read(text)
    except (ValueError, TypeError) as error:
        yield key, f"{expected}, found {text!r}" if expected else str(error)


def _filled(where: str, url: str, environment: Mapping[str, str]) -> str:
    """Put the environment's variables into a URL, unchanged: special characters must be URL-encoded in the variable."""
    names = re.findall(r"\$\{(\w+)\}", url)
    if lacking := [name for name in names if not environment.get(name)]:
        raise BadFile(f"{where}: the environment has no variable {lacking[0]}")
    return re.sub(r"\$\{(\w+)\}", lambda found: environment[found[1]], url)
