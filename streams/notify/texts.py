"""
The text of notifications: what, where, since when, value and threshold, coverage, and a link; pure.

`streams.notify.delivery` passes rows of the outbox and gets a `Notification` for `streams.notify.apprise_door`. One
transition is described in full; several are counted by rule, with the first places of each: `messages.jinja` has the
forms, `words.toml` the words.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import jinja2
import msgspec

from ingest.vocabulary.values import shipped_toml, visible
from streams.notify.channels import SEVERITIES
from streams.notify.operators import Row

PLACES = 8  # listed for each rule of a grouped notification


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent: `key` is the same when it is sent again, `data` are the transitions for programs."""

    key: str
    title: str
    body: str
    severity: str = "info"
    good: bool = False
    data: tuple[dict[str, Any], ...] = ()


OutboxRow = Any  # a row of the statement `outbox_row`: a transition due for a channel, with its alert, rule and place


class Style(NamedTuple):
    """How notifications of a channel are written: the language, the zone of stamps, the address of the live page."""

    language: str
    zone: ZoneInfo
    link: str | None

    @property
    def messages(self) -> Any:
        """The macros of `messages.jinja`, each of which gives a text."""
        return _messages().make_module({"words": _WORDS[self.language], "stamp": self.stamp})

    def stamp(self, moment: datetime) -> str:
        """Give a stamp in local time, with the zone."""
        return f"{moment.astimezone(self.zone):%Y-%m-%d %H:%M %Z}"

    def page(self, alert: int | None = None) -> str | None:
        """Give the address of the page, of one alert where it is named."""
        if self.link is None:
            return None
        return f"{self.link.rstrip('/')}/" + ("" if alert is None else f"?alert={alert}")

    def shown(self, row: OutboxRow) -> OutboxRow:
        """Choose the language of title and text, and let no text of others begin a line or control a terminal."""
        if self.language == "nl":
            row = row._replace(title=row.title_nl or row.title, text=row.text_nl or row.text)
        texts: dict[str, Any] = {key: visible(value) for key, value in row._asdict().items() if isinstance(value, str)}
        return row._replace(**texts, places=list(map(visible, row.places)))


_WORDS: Mapping[str, Mapping[str, str]] = shipped_toml(__file__, "words.toml")


def notification_of(rows: Sequence[OutboxRow], key: str, style: Style) -> Notification:
    """Make the notification of transitions that are sent together, at least one."""
    worst = max((row.severity for row in rows), key=list[str](SEVERITIES).index)
    by_rule: dict[tuple[str, ...], list[OutboxRow]] = {}
    for row in map(style.shown, rows):
        by_rule.setdefault((row.kind, row.title, row.rule), []).append(row)
    groups, said = sorted(by_rule.values(), key=len, reverse=True), style.messages
    page = style.page(rows[0].alert if len(rows) == 1 else None)
    return Notification(
        key=key, title=said.title(groups, worst), body=said.body(groups, PLACES, page), severity=worst,
        good=all(row.kind in ("cleared", "acknowledged") for row in rows),
        data=tuple({**row.data, "page": style.page(row.alert)} for row in rows),
    )  # fmt: skip


def number(value: float | None, unit: str = "") -> str:
    """
    Write a figure with its unit.

    >>> number(412.34567, "ug/m3"), number(0.5, "share"), number(None)
    ('412.346 ug/m3', '50 %', '-')
    """
    if value is None:
        return "-"
    return f"{100 * value:.3g} %" if unit == "share" else f"{value:.6g} {unit if unit != '1' else ''}".strip()


def sample_notification(now: datetime, zone: ZoneInfo, link: str | None) -> Notification:
    """Make a notification of a made-up rule, marked as a test."""
    body = f"This is a test of Stadspuls, sent {now.astimezone(zone):%Y-%m-%d %H:%M %Z}. Nothing is wrong."
    one = {"transition": 0, "alert": 0, "kind": "test", "rule": "test", "subject": "stadspuls/test", "severity": "info",
           "since": f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", "text": body, "page": link}  # fmt: skip
    return Notification(key=f"stadspuls-test-{now:%Y%m%dT%H%M%S}", title="[test] Stadspuls", body=body, data=(one,))


def digest(open_alerts: Sequence[Row], counts: Mapping[str, int], key: str, style: Style) -> Notification:
    """Make the daily summary: what is open, and what happened in the last day by the statement `digest_counts`."""
    said = style.messages
    body = said.digest(open_alerts, counts, 5 * PLACES, style.page())
    return Notification(key=key, title=said.digest_title(open_alerts), body=body, good=not open_alerts)


@cache
def _messages() -> "jinja2.Template":
    folder = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=folder, undefined=jinja2.StrictUndefined)  # plain text: nothing is escaped
    environment.filters |= {"figure": number, "visible": visible}
    return environment.get_template("messages.jinja")
