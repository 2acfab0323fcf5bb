"""
The text of notifications: what, where, since when, value and threshold, coverage, and a link; pure.

`streams.notify.delivery` passes rows of the outbox and gets a `Notification` for `streams.notify.apprise_door`. One
transition is described in full; several are counted by rule, with the first places of each.
"""

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from ingest.vocabulary.values import visible
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
    def words(self) -> Mapping[str, str]:
        """The words of the language."""
        return _WORDS[self.language]

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


_WORDS: Mapping[str, Mapping[str, str]] = tomllib.loads(
    files("streams.notify").joinpath("words.toml").read_text(encoding="utf-8")
)


def notification_of(rows: Sequence[OutboxRow], key: str, style: Style) -> Notification:
    """Make the notification of transitions that are sent together, at least one."""
    title, body = (_one if len(rows) == 1 else _many)([style.shown(row) for row in rows], style)
    return Notification(
        key=key, title=title, body=body, severity=_worst(rows),
        good=all(row.kind in ("cleared", "acknowledged") for row in rows),
        data=tuple({**row.data, "page": style.page(row.alert)} for row in rows),
    )  # fmt: skip


def _worst(rows: Sequence[OutboxRow]) -> str:
    severities: Sequence[str] = [row.severity for row in rows]
    return max(severities, key=list[str](SEVERITIES).index)


def where(row: OutboxRow) -> str:
    """Give the sensor's name and id, and the areas it is in."""
    known: str = f"{row.name} ({row.subject})" if row.name else row.subject
    return ", ".join([known, *row.places])


def number(value: float | None, unit: str = "") -> str:
    """
    Write a figure with its unit.

    >>> number(412.34567, "ug/m3"), number(0.5, "share"), number(None)
    ('412.346 ug/m3', '50 %', '-')
    """
    if value is None:
        return "-"
    return f"{100 * value:.3g} %" if unit == "share" else f"{value:.6g} {unit if unit != '1' else ''}".strip()


def _one(rows: Sequence[OutboxRow], style: Style) -> tuple[str, str]:
    (row,), words = rows, style.words
    title = f"[{words[row.severity]}] {words[row.kind]}: {row.title}, {row.name or row.subject}"
    facts = {
        "what": f"{row.title} ({row.rule}, {words.get(row.level, row.level)}, {row.quantity})",
        "where": where(row),
        "since": style.stamp(row.since) + (f", {words['late']}" if row.late else ""),
        "until": style.stamp(row.about) if row.kind == "cleared" and row.about is not None else None,
        "value": None if row.threshold is None else
        f"{number(row.value, row.unit)}, {words['threshold']} {number(row.threshold, row.unit)}",
        "coverage": None if row.coverage is None else f"{100 * row.coverage:.0f} %",
        "acknowledged_by": row.acknowledged_by,
        "owner": row.owner,
        "runbook": row.runbook,
        "page": style.page(row.alert),
    }  # fmt: skip
    lines = [f"{words[key]}: {fact}" for key, fact in facts.items() if fact]
    return title, "\n".join([row.text or row.title, "", *lines])


def _many(rows: Sequence[OutboxRow], style: Style) -> tuple[str, str]:
    words = style.words
    counted = Counter((row.kind, row.title, row.rule) for row in rows)
    (first, title, _), most = counted.most_common(1)[0]
    more = f", {words['and_more'].format(count=len(rows) - most)}" if len(counted) > 1 else ""
    lines = [words["together"].format(count=len(rows), sensors=len({row.subject for row in rows})), ""]
    for (kind, name, rule), count in counted.most_common():
        of_it = [row for row in rows if (row.kind, row.rule) == (kind, rule)]
        lines += [f"{count} x {words[kind]}: {name} ({rule}, {words[of_it[0].severity]})"]
        facts = [f"{style.stamp(row.since)}  {where(row)}  {number(row.value, row.unit)}" for row in of_it]
        lines += _listed(facts, PLACES, style)
    return f"[{words[_worst(rows)]}] {most} x {words[first]}: {title}{more}", "\n".join([*lines, *_page(style)])


def _listed(facts: Sequence[str], most: int, style: Style) -> list[str]:
    more = [style.words["and_more"].format(count=len(facts) - most)] if len(facts) > most else []
    return [f"  {fact}" for fact in (*facts[:most], *more)]


def _page(style: Style) -> list[str]:
    return [f"{style.words['page']}: {page}"] if (page := style.page()) else []


def sample_notification(now: datetime, zone: ZoneInfo, link: str | None) -> Notification:
    """Make a notification of a made-up rule, marked as a test."""
    body = f"This is a test of Stadspuls, sent {now.astimezone(zone):%Y-%m-%d %H:%M %Z}. Nothing is wrong."
    one = {"transition": 0, "alert": 0, "kind": "test", "rule": "test", "subject": "stadspuls/test", "severity": "info",
           "since": f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", "text": body, "page": link}  # fmt: skip
    return Notification(key=f"stadspuls-test-{now:%Y%m%dT%H%M%S}", title="[test] Stadspuls", body=body, data=(one,))


def digest(open_alerts: Sequence[Row], counts: Mapping[str, int], key: str, style: Style) -> Notification:
    """Make the daily summary: what is open, and what happened in the last day by the statement `digest_counts`."""
    words = style.words
    lines = [words["day"].format(**counts)]
    lines += [words[name].format(count=counts[name]) for name in ("late_found", "silenced", "lost") if counts[name]]
    facts = []
    for one in open_alerts:
        by = f", {words['acknowledged_by']}: {one['acknowledged_by']}" if one["acknowledged_by"] else ""
        place, since = one["name"] or one["subject"], style.stamp(one["since"])
        facts.append(visible(f"[{words[one['severity']]}] {one['title']}: {place}, {words['since']} {since}{by}"))
    lines += ["", words["open"].format(count=len(open_alerts)), *_listed(facts, 5 * PLACES, style), *_page(style)]
    return Notification(
        key=key, title=words["digest"].format(count=len(open_alerts)), body="\n".join(lines), good=not open_alerts
    )
