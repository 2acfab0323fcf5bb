"""
Delivery: what the outbox holds for one channel, in order, at least once, and once where the channel can tell.

    due ──▶ sifted ──▶ message begun ──▶ sent ──▶ delivered
             │ │            ▲              │
    not for it │            └── due again ─┘  later each time, for a day
         held by a silence

Which rows leave together is committed before the first attempt, with a key. A process that is killed anywhere between
then and the note of the delivery sends the very same message again, under the same key. A channel whose oldest message
does not leave waits with it: nothing overtakes. `streams.notify.notifier` runs one of these for every channel.
"""

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import uuid4

import structlog

from aggregates.store.store import Store, Transaction
from streams.notify.apprise_door import Unsent
from streams.notify.channels import Channel
from streams.notify.operators import alerts, silences
from streams.notify.silences import holding
from streams.notify.texts import Message, Standing, Told, Voice, digest_of, message_of

KEPT = timedelta(days=1)  # a transition is tried for so long
SETTLE = timedelta(seconds=1)  # what is not critical waits for its like
GATHER = timedelta(minutes=1)  # in a storm
CALM = timedelta(minutes=10)  # what a storm is measured over
MOST = 1_000  # transitions in a message
COUNTED = (
    "raised",
    "cleared",
    "late_found",
    "silenced",
    "lost",
)  # in a summary, as the statement `digest_counts` has them
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 600.0  # s

log = structlog.get_logger(__name__)


class Delivery:
    """One channel's way out of the outbox; `delivered`, `failed` and `failing_since` are for whoever watches."""

    def __init__(self, name: str, channel: Channel, send: Callable[[Message], None], voice: Voice) -> None:
        self.delivered = self.failed = 0
        self.failing_since: datetime | None = None
        self._name, self._channel, self._send_message, self._voice = name, channel, send, voice
        self._sent: deque[tuple[datetime, bool]] = deque()  # when, and whether it was a grouped one
        self._digest_again: datetime | None = None

    def turn(self, store: Store, now: datetime) -> bool:
        """Send the next message that is due; True when one arrived, so that there may be another."""
        begun = [Told(*row) for row in store.rows("outbox_open", channel=self._name)]
        rows = [row for row in begun if row.message == begun[0].message] or self._begin(store, now)
        if not rows or rows[0].due_at > now:
            return False
        if rows[0].written_at < now - KEPT:
            self._drop(store, rows, f"not delivered within {KEPT.days * 24} hours")
            return True
        return self._send(store, rows, now)

    def _begin(self, store: Store, now: datetime) -> list[Told]:
        """Fix what leaves next, and commit it before anything is sent."""
        with store.transaction() as tx:
            due = [Told(*row) for row in tx.rows("outbox_due", channel=self._name, now=now, limit=MOST)]
            chosen = self._chosen(self._sifted(tx, due, now), now) if due else []
            if not chosen:
                return []
            key = uuid4()
            transitions = [row.transition for row in chosen]
            tx.rows("outbox_begin", channel=self._name, transitions=transitions, message=key)
        return [row._replace(message=key) for row in chosen]

    def _sifted(self, tx: Transaction, due: Sequence[Told], now: datetime) -> list[Told]:
        """Leave what is told now: drop what is not for this channel, hold what a silence covers."""
        quiet = silences(tx, now)
        kept: list[Told] = []
        for row in due:
            told = row.told or any(one.alert == row.alert for one in kept)
            if (reason := self._objection(row, told)) is not None:
                tx.rows("outbox_drop", channel=self._name, transitions=[row.transition], reason=reason)
            elif (held := holding(quiet, row.rule, row.subjects, now, self._voice.zone)) is not None:
                silence, until = held[0].silence, held[1]
                tx.rows("outbox_hold", channel=self._name, transitions=[row.transition], silence=silence, until=until)
            else:
                kept.append(row)
        return kept

    def _objection(self, row: Told, told: bool) -> str | None:
        """Say why a transition is never told here."""
        if not self._channel.takes(row.rule, row.severity, row.kind):
            return "not for this channel"
        if self._channel.patience is not None and row.kind != "escalated" and not told:
            return "told here only when nobody acknowledges"
        if row.held_by is not None and row.over and not told:
            return f"over before silence {row.held_by} was"
        if row.kind == "cleared" and not told and "raised" in self._channel.kinds and not row.late:
            return "its beginning was never told here"
        return None

    def _chosen(self, rows: list[Told], now: datetime) -> list[Told]:
        """Take what makes the next message: one transition, or all that wait where they are many or come in a storm."""
        if not rows or any(row.severity == "critical" for row in rows):
            return self._grouped(rows)
        oldest = min(row.written_at for row in rows)
        if self._in_storm(now):
            return rows if oldest <= now - GATHER else []
        return self._grouped(rows) if oldest <= now - SETTLE or not self._channel.group else []

    def _grouped(self, rows: list[Told]) -> list[Told]:
        return rows if self._channel.group and len(rows) >= self._channel.group else rows[:1]

    def _in_storm(self, now: datetime) -> bool:
        while self._sent and self._sent[0][0] < now - CALM:
            self._sent.popleft()
        many = len(self._sent) >= self._channel.burst or any(grouped for _, grouped in self._sent)
        return bool(self._channel.burst and self._channel.group) and many

    def _send(self, store: Store, rows: list[Told], now: datetime) -> bool:
        key = rows[0].message
        reason = self._hand_over(lambda: message_of(rows, f"stadspuls-{key}", self._voice), now)
        if reason is None:
            store.rows("outbox_delivered", message=key, now=now)
            self._sent.append((now, len(rows) > 1))
            self.delivered += len(rows)
            return True
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(rows[0].attempts, 10))
        store.rows("outbox_failed", message=key, error=reason, due=now + timedelta(seconds=wait))
        log.warning("message not taken", channel=self._name, reason=reason, again_in=wait)
        return False

    def _hand_over(self, made: Callable[[], Message], now: datetime) -> str | None:
        """Send, and give the reason where that failed: whatever a service's code raises, the channel lives on."""
        try:
            self._send_message(made())
        except Exception as error:
            self.failed += 1
            self.failing_since = self.failing_since or now
            return str(error) if isinstance(error, Unsent) else f"{type(error).__name__}: {error}"
        self.failing_since = None
        return None

    def _drop(self, store: Store, rows: Sequence[Told], reason: str) -> None:
        store.rows("outbox_drop", channel=self._name, transitions=[row.transition for row in rows], reason=reason)
        log.error("messages given up", channel=self._name, transitions=len(rows), reason=reason)

    def summary(self, store: Store, now: datetime) -> bool:
        """Send the daily summary where it is due, once a day; True when it left."""
        local = now.astimezone(self._voice.zone)
        at = self._channel.digest_at
        if at is None or local.time() < at or (self._digest_again is not None and now < self._digest_again):
            return False
        if store.rows("digest_sent", channel=self._name, day=local.date())[0][0]:
            return False
        reason = self._hand_over(lambda: self._digest(store, now), now)
        if reason is not None:
            self._digest_again = now + timedelta(minutes=5)
            log.warning("summary not taken", channel=self._name, reason=reason)
            return False
        store.rows("digest_note", channel=self._name, day=local.date(), now=now)
        return True

    def _digest(self, store: Store, now: datetime) -> Message:
        """Sum up the alerts that concern the channel."""
        found = store.rows("digest_counts", since=now - timedelta(days=1), channel=self._name)
        mine = [counts for rule, severity, *counts in found if self._channel.minds(rule, severity)]
        standing = [
            Standing(one["rule"], one["title"], one["name"] or one["subject"], one["state"], one["severity"],
                     one["since"], one["acknowledged_by"])
            for one in alerts(store, now, self._voice.zone, limit=None)
            if self._channel.minds(one["rule"], one["severity"])
        ]  # fmt: skip
        day = now.astimezone(self._voice.zone).date()
        key = f"stadspuls-digest-{self._name}-{day}"
        counts = {name: sum(row[at] for row in mine) for at, name in enumerate(COUNTED)}
        return digest_of(standing, counts, key, self._voice)
