"""
Alerts and windows between the store and `streams.alerts.seen`: what is read for judging, and what is written of it.

`streams.alerts.judge` decides what is asked; every function works inside the transaction that changed the windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aggregates.store.store import Store, Transaction
from ingest.vocabulary.readings import microseconds, utc
from streams.alerts.episodes import Episode, Transition, Window, message
from streams.alerts.rulebook import Rule, RuleBook
from streams.alerts.seen import COLUMNS

VIEWS = {"5m": "sensor_5m", "1h": "sensor_1h", "1d": "sensor_1d"}
AREA_VIEWS = {"1h": "area_hour", "1d": "area_day"}
MOST_SPARSE = 4  # a rectangle of sensors and starts that is emptier than this is asked for piece by piece
MOST_EXACT = 200  # windows that are asked for one by one
WITHDRAWN = "withdrawn: what came in later says that it never was"
NOTHING = "nothing that could be judged since {}"
NOTHING_NL = "niets dat beoordeeld kon worden sinds {}"
WITHDRAWN_NL = "ingetrokken: latere gegevens zeggen dat het nooit zo was"


@dataclass(frozen=True, slots=True)
class Span:
    """Windows of some sensors (None: all) that start in `[first, last)`, in us; `exact` names sensor and start."""

    first: int
    last: int
    sensors: Sequence[str] | None = None
    exact: tuple[Sequence[str], NDArray[np.int64]] | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """Windows whose readings changed: sensor and start (us) of each."""

    sensors: Sequence[str]
    starts: NDArray[np.int64]

    def span(self) -> Span:
        """Give what to ask the store for: a rectangle where the windows fill one, else each by itself."""
        sensors, starts = sorted(set(self.sensors)), np.unique(self.starts)
        first, last = int(starts[0]), int(starts[-1]) + 1
        if len(sensors) * len(starts) <= MOST_SPARSE * len(self.starts) and _dense(starts):
            return Span(first, last, sensors)
        pairs = sorted({(one, int(start)) for one, start in zip(self.sensors, self.starts, strict=True)})
        return Span(first, last, sensors, ([one for one, _ in pairs], np.array([start for _, start in pairs])))


def _dense(starts: NDArray[np.int64]) -> bool:
    """Tell whether the stamps lie close: no gap is longer than ten times the usual one."""
    gaps = np.diff(starts)
    return not len(gaps) or bool(gaps.max() <= 10 * np.median(gaps))


def load_windows(
    tx: Transaction, level: str, quantities: Sequence[str], span: Span, per: str = "sensor"
) -> pd.DataFrame:
    """Read windows as the frame that `streams.alerts.seen` judges."""
    if span.exact is not None and len(span.exact[1]) > MOST_EXACT:
        return _by_start(tx, level, quantities, span)
    view = (VIEWS if per == "sensor" else AREA_VIEWS)[level]
    times = {"first": utc(span.first), "last": utc(span.last)}
    if per == "area":
        _, rows = tx.frame(
            "list_judged_area_windows", view=view, quantities=list(quantities), areas=_or_none(span), **times
        )
    elif span.exact is not None:
        sensors, starts = span.exact
        _, rows = tx.frame("list_judged_windows_at", view=view, quantities=list(quantities), sensors=list(sensors),
                           starts=[utc(int(one)) for one in starts])  # fmt: skip
    else:
        _, rows = tx.frame(
            "list_judged_windows", view=view, quantities=list(quantities), sensors=_or_none(span), **times
        )
    return _frame(rows, level)


def _by_start(tx: Transaction, level: str, quantities: Sequence[str], span: Span) -> pd.DataFrame:
    """Read many windows that lie far apart, all of one start together."""
    sensors, starts = span.exact or ([], np.array([], np.int64))
    named = np.array(sensors, np.object_)
    parts = [
        load_windows(tx, level, quantities, Span(int(start), int(start) + 1, sorted(set(named[starts == start]))))
        for start in np.unique(starts)
    ]
    return pd.concat(parts, ignore_index=True)


def _or_none(span: Span) -> list[str] | None:
    return None if span.sensors is None else list(span.sensors)


_TYPES = {"quantity": "O", "subject": "O", "value": "f8", "coverage": "f8", "valid": "?"}  # the others are i8
_SELECTED = ["quantity", "subject", "start", "end", "value", "coverage", "valid", "revision", "readings", "flagged",
             "failed", "warned"]  # fmt: skip


def _frame(rows: list[tuple[Any, ...]], level: str) -> pd.DataFrame:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(_SELECTED)
    made = {
        name: np.array(column, _TYPES.get(name, np.object_)) for name, column in zip(_SELECTED, columns, strict=True)
    }
    return pd.DataFrame(made).assign(level=level, stuck=0)[COLUMNS]


def count_stuck(tx: Transaction, windows: pd.DataFrame) -> pd.DataFrame:
    """Fill in `stuck`, how many readings of an hour do not move, where any has a flag at all."""
    suspect = windows[(windows["flagged"] + windows["warned"] > 0) & (windows["level"] == "1h")]
    if not len(suspect):
        return windows
    first, last = int(suspect["start"].min()), int(suspect["end"].max())
    found = tx.rows(
        "count_stuck_readings", sensors=suspect["subject"].unique().tolist(), first=utc(first), last=utc(last)
    )
    counts = {(sensor, quantity, start): count for sensor, quantity, start, count in found}
    keys = zip(windows["subject"], windows["quantity"], windows["start"], strict=True)
    return windows.assign(stuck=[counts.get(key, 0) for key in keys])


def with_share(tx: Transaction, rule: Rule, windows: pd.DataFrame) -> pd.DataFrame:
    """Put the share of a rule's classes in place of the counts, of hours with at least `least` vehicles."""
    enough = windows[windows["value"].to_numpy(np.float64) >= (rule.least or 1)]
    if not len(enough):
        return enough
    first, last = int(enough["start"].min()), int(enough["end"].max())
    found = tx.rows("read_class_shares", sensors=enough["subject"].unique().tolist(), first=utc(first), last=utc(last),
                    classes=rule.share_of)  # fmt: skip
    shares = {(sensor, start): share for sensor, start, share in found}
    keys = zip(enough["subject"], enough["start"], strict=True)
    return enough.assign(value=np.array([shares.get(key) for key in keys], np.float64))


def belonging(tx: Transaction, rule: Rule, subjects: set[str]) -> set[str]:
    """Give those of some subjects that are the rule's, by name, source, kind and area."""
    found = {one for one in subjects if rule.wants(one)}
    if not found or rule.per == "area" or not (rule.kinds or rule.areas):
        return found
    members = tx.rows("list_sensor_areas", sensors=sorted(found))
    return {
        sensor for sensor, kind, areas in members
        if (not rule.kinds or kind in rule.kinds) and (not rule.areas or set(areas) & set(rule.areas))
    }  # fmt: skip


class Kept(msgspec.Struct, frozen=True):
    """An alert as it stands in the store; stamps in us."""

    alert: int
    rule: str
    subject: str
    since: int
    until: int | None
    judged: int
    sure: int
    value: float
    worst: float
    threshold: float
    coverage: float
    told: float
    calm: int
    state: str
    late: bool

    def episode(self, rule: Rule) -> Episode:
        """Give the episode to go on with."""
        return Episode(
            rule, self.subject, self.since, self.judged, self.sure, self.value, self.worst, self.threshold,
            self.coverage, self.told, self.calm, self.state == "cannot_judge", self.until,
        )  # fmt: skip


def near(tx: Transaction, rules: Sequence[str], first: int, last: int, subjects: Sequence[str] | None) -> list[Kept]:
    """Read the alerts that windows of `[first, last)` may belong to, by when they began."""
    rows = tx.rows("list_alerts_near", rules=list(rules), first=utc(first), last=utc(last),
                   subjects=None if subjects is None else list(subjects))  # fmt: skip
    return [Kept(*map(_plain, row)) for row in rows]


def _plain(cell: Any) -> Any:
    return microseconds(cell) if isinstance(cell, datetime) else cell


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one alert: the episode it shall equal (None: it never was), and what is said of it."""

    rule: Rule
    kept: Kept | None
    episode: Episode | None
    said: Sequence[Transition]
    late: bool


def write(tx: Transaction, changes: Sequence[Change], now: datetime) -> None:
    """Write alerts, their transitions, and the outbox of what must be told."""
    old = [change for change in changes if change.kept is not None]
    new = [change for change in changes if change.kept is None]
    ids = {id(change): change.kept.alert for change in old if change.kept is not None}
    # What ends first: of one rule and subject no two alerts may be open, not even for a moment.
    for part in (
        [one for one in old if _episode(one).until is not None],
        [one for one in old if _episode(one).until is None],
    ):
        if not part:
            continue
        extra = {"alert": [ids[id(one)] for one in part], "withdrawn": [one.episode is None for one in part],
                 "said": [bool(one.said) for one in part]}  # fmt: skip
        tx.rows("update_alerts", now=now, **_columns(part), **extra)
    if new:
        named = {name: [getattr(one.rule, name) for one in new] for name in ("quantity", "level", "severity")}
        keys = {"rule": [one.rule.name for one in new], "subject": [_episode(one).subject for one in new]}
        made = tx.rows("insert_alerts", now=now, **keys, **named, **_columns(new))
        numbers = {(rule, subject, microseconds(since)): alert for alert, rule, subject, since in made}
        ids |= {id(one): numbers[one.rule.name, _episode(one).subject, _episode(one).since] for one in new}
    _say(tx, [(ids[id(change)], change, one) for change in changes for one in change.said], now)


def _episode(change: Change) -> Episode:
    """The episode that the alert shall equal; of one that never was, what is known of it, over before it began."""
    if change.episode is not None:
        return change.episode
    assert change.kept is not None
    return replace(change.kept.episode(change.rule), until=change.kept.since)


def _columns(changes: Sequence[Change]) -> dict[str, list[Any]]:
    found = [_episode(change) for change in changes]
    columns: dict[str, list[Any]] = {
        name: [getattr(one, name) for one in found]
        for name in ("state", "calm", "told", "value", "worst", "threshold", "coverage")
    }
    for name in ("coverage", "told", "value", "worst"):
        columns[name] = [_number(value) for value in columns[name]]
    for name in ("since", "until", "judged", "sure"):
        stamps = [getattr(one, name) for one in found]
        columns[name] = [None if stamp is None else utc(stamp) for stamp in stamps]
    return {**columns, "late": [change.late for change in changes]}


def _number(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)


def _say(tx: Transaction, said: Sequence[tuple[int, Change, Transition]], now: datetime) -> None:
    if not said:
        return
    told = [
        (alert, one.kind, utc(one.about), channel)
        for alert, change, one in said
        if one.kind in change.rule.notify and (not change.late or change.rule.late == "tell")
        for channel in change.rule.channels
    ]
    texts = [_texts(change, one) for _, change, one in said]
    tx.rows(
        "insert_transitions", now=now, alert=[alert for alert, _, _ in said], kind=[one.kind for *_, one in said],
        about=[utc(one.about) for *_, one in said], late=[change.late for _, change, _ in said],
        value=[_number(one.value) for *_, one in said], threshold=[_number(one.threshold) for *_, one in said],
        coverage=[_number(one.coverage) for *_, one in said],
        windows=[_linked(change.rule, one) for _, change, one in said],
        text=[text for text, _ in texts], text_nl=[text for _, text in texts],
        to_alert=[alert for alert, *_ in told], to_kind=[kind for _, kind, *_ in told],
        to_about=[about for *_, about, _ in told], to_channel=[channel for *_, channel in told],
    )  # fmt: skip


def _texts(change: Change, said: Transition) -> tuple[str, str]:
    rule = change.rule
    if change.episode is None:
        return WITHDRAWN, WITHDRAWN_NL
    if not said.windows and said.kind in ("cannot_judge", "cleared"):
        stamp = f"{utc(change.episode.sure):%Y-%m-%d %H:%M} UTC"
        return NOTHING.format(stamp), NOTHING_NL.format(stamp)
    what = {"value": said.value, "threshold": said.threshold, "usual": said.usual, "coverage": said.coverage}
    return message(rule, what, rule.text), message(rule, what, rule.text_nl or rule.text)


def _linked(rule: Rule, said: Transition) -> str:
    return msgspec.json.encode([_window(rule, said.subject, one) for one in said.windows]).decode()


def _window(rule: Rule, subject: str, one: Window) -> dict[str, object]:
    return {
        "subject": subject, "level": rule.level, "start": utc(one.start), "end": utc(one.end),
        "value": _number(one.value), "coverage": _number(one.coverage), "revision": one.revision,
    }  # fmt: skip


def mirror_rules(store: Store, book: RuleBook) -> None:
    """Write what the rules are called into the database, where lists of alerts join them."""
    with store.transaction() as tx:
        for rule in book.rules:
            tx.rows(
                "upsert_alert_rule", rule=rule.name, pack=rule.pack, title=rule.title,
                title_nl=rule.title_nl or rule.title, quantity=rule.quantity, unit=rule.unit, level=rule.level,
                severity=rule.severity,
                source=rule.source or None, owner=rule.owner or None, runbook=rule.runbook or None,
                channels=list(rule.channels),
            )  # fmt: skip
