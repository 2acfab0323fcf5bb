"""
Alerts in the store: those that windows may belong to are read, and what changed is written, with the outbox.

`streams.alerts.changes` decides what changes; every function works inside the transaction that changed the windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import numpy as np

from aggregates.store.store import Store, Transaction
from ingest.vocabulary.readings import microseconds, utc
from streams.alerts.episodes import Episode, Transition, Window
from streams.alerts.rulebook import Rule, RuleBook

WITHDRAWN = "withdrawn: what came in later says that it never was"
WITHDRAWN_NL = "ingetrokken: latere gegevens zeggen dat het nooit zo was"
NOTHING = "nothing that could be judged since {}"
NOTHING_NL = "niets dat beoordeeld kon worden sinds {}"


class StoredAlert(msgspec.Struct, frozen=True):
    """An alert as it is in the store, with the columns of the statement `list_alerts_near`; stamps in us."""

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
    reported: float
    calm: int
    state: str
    late: bool

    def episode(self, rule: Rule) -> Episode:
        """Make the episode to go on with."""
        return Episode(
            rule, self.subject, self.since, self.judged, self.sure, self.value, self.worst, self.threshold,
            self.coverage, self.reported, self.calm, self.state == "cannot_judge", self.until,
        )  # fmt: skip


def load_alerts(
    tx: Transaction, rules: Sequence[str], first: int, last: int, subjects: Sequence[str] | None = None
) -> list[StoredAlert]:
    """Read the alerts that windows of `[first, last)` may belong to, by when they began."""
    rows = tx.rows("list_alerts_near", rules=list(rules), first=utc(first), last=utc(last),
                   subjects=None if subjects is None else list(subjects))  # fmt: skip
    return [StoredAlert(*map(_plain, row)) for row in rows]


def _plain(cell: Any) -> Any:
    return microseconds(cell) if isinstance(cell, datetime) else cell


@dataclass(frozen=True, slots=True)
class AlertChange:
    """
    A new alert, or what changes of a stored one: its episode and the transitions to write.

    `withdrawn`: later data show that it never was; its episode ends where it began.
    """

    rule: Rule
    stored: StoredAlert | None
    episode: Episode
    transitions: Sequence[Transition]
    late: bool
    withdrawn: bool = False


def write_changes(tx: Transaction, changes: Sequence[AlertChange], now: datetime) -> None:
    """Write alerts, their transitions, and the notifications in the outbox."""
    alerts = {id(one): one.stored.alert for one in changes if one.stored is not None}
    old = [one for one in changes if one.stored is not None]
    # Those that end go first: of one rule and subject never two alerts may be open, not even between two statements.
    for is_open in (False, True):
        if part := [one for one in old if (one.episode.until is None) == is_open]:
            tx.rows("update_alerts", now=now, **_columns(part), alert=[alerts[id(one)] for one in part],
                    withdrawn=[one.withdrawn for one in part],
                    said=[bool(one.transitions) for one in part])  # fmt: skip
    if new := [one for one in changes if one.stored is None]:
        named = {name: [getattr(one.rule, name) for one in new] for name in ("quantity", "level", "severity")}
        keys = {"rule": [one.rule.name for one in new], "subject": [one.episode.subject for one in new]}
        made = tx.rows("insert_alerts", now=now, **keys, **named, **_columns(new))
        numbers = {(rule, subject, microseconds(since)): alert for alert, rule, subject, since in made}
        alerts |= {id(one): numbers[one.rule.name, one.episode.subject, one.episode.since] for one in new}
    _write_transitions(tx, [(alerts[id(one)], one, part) for one in changes for part in one.transitions], now)


def _columns(changes: Sequence[AlertChange]) -> dict[str, list[Any]]:
    """Give the episodes as the arrays that the statements unnest; `told` is the column of `reported`."""
    found = [one.episode for one in changes]
    columns: dict[str, list[Any]] = {
        "state": [one.state for one in found],
        "calm": [one.calm for one in found],
        "threshold": [one.threshold for one in found],
        "told": [_number(one.reported) for one in found],
        "late": [change.late for change in changes],
    }
    columns |= {name: [_number(getattr(one, name)) for one in found] for name in ("value", "worst", "coverage")}
    for name in ("since", "until", "judged", "sure"):
        stamps = [getattr(one, name) for one in found]
        columns[name] = [None if stamp is None else utc(stamp) for stamp in stamps]
    return columns


def _number(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)


def _write_transitions(tx: Transaction, found: Sequence[tuple[int, AlertChange, Transition]], now: datetime) -> None:
    """Write the transitions of alerts by number, and an outbox row for each channel that a transition goes to."""
    if not found:
        return
    notified = [
        (alert, one.kind, utc(one.about), channel)
        for alert, change, one in found
        if one.kind in change.rule.notify and (not change.late or change.rule.late == "tell")
        for channel in change.rule.channels
    ]
    texts = [_texts(change, one) for _, change, one in found]
    tx.rows(
        "insert_transitions", now=now, alert=[alert for alert, _, _ in found], kind=[one.kind for *_, one in found],
        about=[utc(one.about) for *_, one in found], late=[change.late for _, change, _ in found],
        value=[_number(one.value) for *_, one in found], threshold=[_number(one.threshold) for *_, one in found],
        coverage=[_number(one.coverage) for *_, one in found],
        windows=[_windows_json(change.rule, one) for _, change, one in found],
        text=[text for text, _ in texts], text_nl=[text for _, text in texts],
        to_alert=[alert for alert, *_ in notified], to_kind=[kind for _, kind, *_ in notified],
        to_about=[about for *_, about, _ in notified], to_channel=[channel for *_, channel in notified],
    )  # fmt: skip


def _texts(change: AlertChange, one: Transition) -> tuple[str, str]:
    """Give the text of a transition in English and Dutch."""
    rule = change.rule
    if change.withdrawn:
        return WITHDRAWN, WITHDRAWN_NL
    if not one.windows and one.kind in ("cannot_judge", "cleared"):
        stamp = f"{utc(change.episode.sure):%Y-%m-%d %H:%M} UTC"
        return NOTHING.format(stamp), NOTHING_NL.format(stamp)
    return one.text(rule, rule.text), one.text(rule, rule.text_nl or rule.text)


def _windows_json(rule: Rule, one: Transition) -> str:
    return msgspec.json.encode([_window(rule, one.subject, window) for window in one.windows]).decode()


def _window(rule: Rule, subject: str, one: Window) -> dict[str, object]:
    return {
        "subject": subject, "level": rule.level, "start": utc(one.start), "end": utc(one.end),
        "value": _number(one.value), "coverage": _number(one.coverage), "revision": one.revision,
    }  # fmt: skip


def mirror_rules(store: Store, book: RuleBook) -> None:
    """Write names, units and channels of the rules into the database, where lists of alerts join them."""
    with store.transaction() as tx:
        for rule in book.rules:
            tx.rows(
                "upsert_alert_rule", rule=rule.name, pack=rule.pack, title=rule.title,
                title_nl=rule.title_nl or rule.title, quantity=rule.quantity, unit=rule.unit, level=rule.level,
                severity=rule.severity, source=rule.source or None, owner=rule.owner or None,
                runbook=rule.runbook or None, channels=list(rule.channels),
            )  # fmt: skip
