"""
Alerts in the store: those that windows may belong to are read, and what changed is written, with the outbox.

`streams.alerts.changes` decides what changes; every function works inside the transaction that changed the windows.
Rows leave as JSON, of which the database makes the types of the columns; NaN is null there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from aggregates.store.store import Store, Transaction
from ingest.vocabulary.readings import microseconds, utc
from streams.alerts.episodes import Episode, Transition, Window
from streams.alerts.rulebook import Rule

WITHDRAWN = "withdrawn: what came in later says that it never was"
WITHDRAWN_NL = "ingetrokken: latere gegevens zeggen dat het nooit zo was"
NOTHING = "nothing that could be judged since {}"
NOTHING_NL = "niets dat beoordeeld kon worden sinds {}"


def load_alerts(
    tx: Transaction, rules: Sequence[Rule], first: int, last: int, subjects: Sequence[str] | None = None
) -> list[Episode]:
    """Read the alerts that windows of `[first, last)` us may belong to, by when they began."""
    named = {rule.name: rule for rule in rules}
    rows = tx.rows("list_alerts_near", rules=list(named), first=utc(first), last=utc(last), subjects=subjects)
    return [Episode(named[name], *alert) for name, *alert in rows]


def write_changes(tx: Transaction, changes: Sequence[Episode], now: datetime) -> None:
    """Write alerts, their transitions, and the notifications in the outbox; a new alert gets its number."""
    new = [one for one in changes if one.alert is None]
    # Those that end go first: of one rule and subject never two alerts may be open, not even between two statements.
    for is_open in (False, True):
        if part := [one for one in changes if one.alert is not None and (one.until is None) == is_open]:
            tx.rows("update_alerts", now=now, rows=_json(map(_row, part)))
    if new:
        made = tx.rows("insert_alerts", now=now, rows=_json(map(_row, new)))
        numbers = {(rule, subject, microseconds(since)): alert for alert, rule, subject, since in made}
        for one in new:
            one.alert = numbers[one.rule.name, one.subject, one.since]
    if said := [row for one in changes for row in _transitions(one)]:
        tx.rows("insert_transitions", now=now, rows=_json(said))


def _json(rows: Iterable[object]) -> str:
    return msgspec.json.encode(list(rows)).decode()


def _row(one: Episode) -> dict[str, Any]:
    """Give the columns of an alert."""
    kept = ("alert", "subject", "state", "calm", "told", "value", "worst", "threshold", "coverage", "late", "withdrawn")
    stamps = {name: getattr(one, name) for name in ("since", "until", "judged", "sure")}
    return {
        "rule": one.rule.name,
        **{name: getattr(one.rule, name) for name in ("quantity", "level", "severity")},
        **{name: getattr(one, name) for name in kept},
        **{name: None if stamp is None else utc(stamp) for name, stamp in stamps.items()},
        "said": bool(one.transitions),
    }


def _transitions(one: Episode) -> Iterator[dict[str, Any]]:
    """Give the columns of its transitions, each with the channels that it goes to."""
    rule = one.rule
    for said in one.transitions:
        told = said.kind in rule.notify and (not one.late or rule.late == "tell")
        text, text_nl = _texts(one, said)
        yield {
            "alert": one.alert, "kind": said.kind, "about": utc(said.about), "late": one.late, "value": said.value,
            "threshold": said.threshold, "coverage": said.coverage, "text": text, "text_nl": text_nl,
            "windows": [_window(one, window) for window in said.windows], "channels": rule.channels if told else (),
        }  # fmt: skip


def _texts(one: Episode, said: Transition) -> tuple[str, str]:
    """Give the text of a transition in English and Dutch."""
    rule = one.rule
    if one.withdrawn:
        return WITHDRAWN, WITHDRAWN_NL
    if not said.windows and said.kind in ("cannot_judge", "cleared"):
        stamp = f"{utc(one.sure):%Y-%m-%d %H:%M} UTC"
        return NOTHING.format(stamp), NOTHING_NL.format(stamp)
    return said.text(rule, rule.text), said.text(rule, rule.text_nl or rule.text)


def _window(one: Episode, window: Window) -> dict[str, object]:
    return {
        "subject": one.subject, "level": one.rule.level, "start": utc(window.start), "end": utc(window.end),
        "value": window.value, "coverage": window.coverage, "revision": window.revision,
    }  # fmt: skip


def mirror_rules(store: Store, rules: Mapping[str, Rule]) -> None:
    """Write names, units and channels of the rules into the database, where lists of alerts join them."""
    rows = [{**msgspec.to_builtins(rule), "rule": name, "unit": rule.unit} for name, rule in rules.items()]
    store.rows("upsert_alert_rules", rows=_json(rows))
