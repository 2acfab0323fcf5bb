"""
Alerts in the store, made equal to the episodes of the windows around a change, with their transitions and the outbox.

`streams.alerts.judge` finds the subjects and takes the lock, `streams.alerts.episodes` folds; every function works
inside the transaction that changed the windows. Rows leave as JSON, of which the database makes the types of the
columns; NaN is null there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from aggregates.store.store import Store, Transaction
from ingest.vocabulary.readings import microseconds, utc
from streams.alerts.episodes import Episode, Transition, Window, fold
from streams.alerts.rulebook import Rule

WITHDRAWN = ("withdrawn: what came in later says that it never was",
             "ingetrokken: latere gegevens zeggen dat het nooit zo was")  # fmt: skip
NOTHING = "nothing that could be judged since {}", "niets dat beoordeeld kon worden sinds {}"
_OWN = ("alert", "subject", "state", "since", "until", "judged", "sure", "calm", "told", "value", "worst", "threshold",
        "coverage", "late", "withdrawn")  # fmt: skip
Change = tuple[Episode | None, Episode]  # the alert that is stored, if any, and what it becomes


def load_alerts(tx: Transaction, rules: list[Rule], first: int, last: int, subjects: list[str] | None) -> list[Episode]:
    """Read the alerts, of some subjects or all, that windows of `[first, last)` us may belong to, by their begin."""
    named = {rule.name: rule for rule in rules}
    rows = tx.rows("list_alerts_near", rules=list(named), first=utc(first), last=utc(last), subjects=subjects)
    return [Episode(named[name], *alert) for name, *alert in rows]


class Task(NamedTuple):
    """One rule and subject to fold from `start` on: the alert to go on with, if any, and those that may change."""

    rule: Rule
    subject: str
    start: int
    opened: Episode | None
    stored: Sequence[Episode]

    def fold(self, windows: Sequence[Window], now: int | None) -> list[Episode]:
        """Give the episodes from `start` on."""
        opened = self.opened and replace(self.opened, transitions=[])
        return fold(self.rule, self.subject, [one for one in windows if one.start >= self.start], opened, now)

    def final(self, episodes: Sequence[Episode], end: int) -> bool:
        """Tell whether windows from `end` on cannot change these episodes: none is open there, or about to begin."""
        if episodes and episodes[-1].is_open:
            return False
        edge = end - self.rule.lookback
        return all(one.since >= end or (one.since < edge and one.until <= end) for one in self.stored)

    def changes(self, episodes: Sequence[Episode], now: int, end: int) -> Iterator[Change]:
        """Pair episodes with the stored alerts they overlap; an alert without an episode is withdrawn."""
        left = [one for one in self.stored if one.since < end]
        for episode in episodes:
            stored = next((one for one in left if one.since < episode.until and episode.since < one.until), None)
            if stored is not None:
                left.remove(stored)
            episode.alert = None if stored is None else stored.alert
            episode.late = _is_late(stored, episode, now)
            yield stored, episode
        for one in left:
            gone = replace(one, until=one.since, withdrawn=True)
            gone.transitions = [gone.transition("cleared", one.since)]
            yield one, gone


def task_of(rule: Rule, subject: str, stored: Sequence[Episode], first: int) -> Task:
    """Find from where windows must be folded again, where those from `first` on changed."""
    past = [one.until for one in stored if one.until <= first]
    mine = [one for one in stored if one.until > first]
    if len(mine) == 1 and mine[0].is_open and mine[0].judged <= first:
        return Task(rule, subject, mine[0].judged, mine[0], mine)
    if mine and mine[0].since <= first:
        return Task(rule, subject, mine[0].since, None, mine)
    return Task(rule, subject, max([first - rule.lookback, *past]), None, mine)


def _is_late(stored: Episode | None, episode: Episode, now: int) -> bool:
    """Tell whether an alert was found long after its windows, and no recent window has kept it open since."""
    last = episode.sure if episode.is_open else episode.until
    past = last < now - episode.rule.times["late_after"]
    return past if stored is None else stored.late and (past or not episode.is_open)


def only_new(tx: Transaction, changes: Sequence[Change]) -> list[Episode]:
    """Leave out the transitions that are in the store already; add one where the state of an alert needs it."""
    alerts = [stored.alert for stored, new in changes if stored is not None and new.transitions]
    rows = tx.rows("list_transition_kinds", alerts=alerts) if alerts else []
    written = {(alert, kind, microseconds(about)) for alert, kind, about in rows if about is not None}
    for stored, new in changes:
        if stored is not None:
            found = [
                one
                for one in new.transitions
                if not {(new.alert, one.kind, one.about), (new.alert, "raised", one.about)} & written
            ]
            new.transitions = found if new.withdrawn else _with_state(stored, new, found)
    return [new for _, new in changes]


def _with_state(stored: Episode, new: Episode, found: list[Transition]) -> list[Transition]:
    """
    Add the transition into the state of the episode, where the alert has another and no transition says so.

    An alert that was cleared, or that nobody was notified of because it was late, is raised again.
    """
    hidden = stored.late and not new.late and new.rule.late == "quiet"
    begins = new.state == "raised" and (hidden or stored.state == "cleared")
    same = ("raised", "updated") if new.state == "raised" else (new.state,)
    last = next((one for one in found if one.kind in same), None)
    if last is None and (begins or stored.state != new.state):
        kind = "raised" if begins else same[-1]
        known = [one for one in new.transitions if one.kind == kind]
        return [*found, known[-1] if known else new.transition(kind, new.judged)]
    return [one._replace(kind="raised") if begins and one is last else one for one in found]


def write_changes(tx: Transaction, changes: Sequence[Episode], now: datetime) -> None:
    """Write alerts, their transitions, and the notifications in the outbox; a new alert gets its number."""
    new = [one for one in changes if one.alert is None]
    # Those that end go first: of one rule and subject never two alerts may be open, not even between two statements.
    for is_open in (False, True):
        if part := [one for one in changes if one.alert is not None and one.is_open == is_open]:
            tx.rows("update_alerts", now=now, rows=_json(map(_row, part)))
    if new:
        made = tx.rows("insert_alerts", now=now, rows=_json(map(_row, new)))
        numbers = {(rule, subject, microseconds(since)): alert for alert, rule, subject, since in made}
        for one in new:
            one.alert = numbers[one.rule.name, one.subject, one.since]
    if said := [_said(one, transition) for one in changes for transition in one.transitions]:
        tx.rows("insert_transitions", now=now, rows=_json(said))


def _json(rows: Iterable[object]) -> str:
    return msgspec.json.encode(list(rows)).decode()


def _row(one: Episode) -> dict[str, Any]:
    """Give the columns of an alert, as the statement `written_alerts` takes them."""
    of_rule = {name: getattr(one.rule, name) for name in ("quantity", "level", "severity")}
    own = {name: getattr(one, name) for name in _OWN}
    return {"rule": one.rule.name, "said": bool(one.transitions), **of_rule, **own}


def _said(one: Episode, said: Transition) -> dict[str, Any]:
    """Give the columns of a transition, with the channels that it goes to."""
    told = said.kind in one.rule.notify and (not one.late or one.rule.late == "tell")
    text, text_nl = _texts(one, said)
    windows = [
        {"subject": one.subject, "level": one.rule.level, "start": utc(window.start), "end": utc(window.end),
         "value": window.value, "coverage": window.coverage, "revision": window.revision}
        for window in said.windows
    ]  # fmt: skip
    return {
        "alert": one.alert, "kind": said.kind, "about": utc(said.about), "late": one.late, "value": said.value,
        "threshold": said.threshold, "coverage": said.coverage, "text": text, "text_nl": text_nl, "windows": windows,
        "channels": one.rule.channels if told else (),
    }  # fmt: skip


def _texts(one: Episode, said: Transition) -> tuple[str, str]:
    """Give the text of a transition in English and Dutch."""
    if one.withdrawn:
        return WITHDRAWN
    if not said.windows and said.kind in ("cannot_judge", "cleared"):
        stamp = f"{utc(one.sure):%Y-%m-%d %H:%M} UTC"
        return NOTHING[0].format(stamp), NOTHING[1].format(stamp)
    return said.text(one.rule, one.rule.text), said.text(one.rule, one.rule.text_nl or one.rule.text)


def mirror_rules(store: Store, rules: Mapping[str, Rule]) -> None:
    """Write names, units and channels of the rules into the database, where lists of alerts join them."""
    rows = [{**msgspec.to_builtins(rule), "rule": name, "unit": rule.unit} for name, rule in rules.items()]
    store.rows("upsert_alert_rules", rows=_json(rows))
