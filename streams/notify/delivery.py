"""
Delivery of the outbox of one channel: in order, at least once, and exactly once where the receiver compares keys.

    due ──▶ filtered ──▶ key committed ──▶ sent ──▶ delivered
             │   │             ▲             │
       dropped   │             └── due again ┘  later each time, for a day
         held by a silence

Which rows are one notification is committed before the first attempt, with a key. A process that is killed after that
and before the delivery is committed sends the same notification again, with the same key. Critical alerts go first.
While a notification fails the others of its channel wait, but not for one that is never taken: what is refused for good
is sent in halves, and the transition at fault dropped; after `PATIENCE` attempts the next is tried, and if that is
taken the channel goes on with the others. `streams.notify.notifier` runs one `ChannelDelivery` for each channel.
"""

import re
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta
from itertools import groupby
from operator import attrgetter
from uuid import uuid4

import structlog

from aggregates.store.store import Store, Transaction
from ingest.vocabulary.backoff import pause
from streams.notify.channels import Channel
from streams.notify.operators import alerts, longest_silence, silences
from streams.notify.texts import Notification, OutboxRow, Style, digest, notification_of

KEPT = timedelta(days=1)  # a transition is tried for so long
GROUP_WAIT = timedelta(seconds=1)  # of a transition that is not critical, for others of the same moment
STORM_WAIT = timedelta(minutes=1)  # the same in a storm
STORM_SPAN = timedelta(minutes=10)  # in which notifications are counted to detect a storm
PATIENCE = 8  # attempts, about four minutes, before another notification may overtake
MOST = 1_000  # transitions in a notification
COUNTED = ("raised", "cleared", "late_found", "silenced", "lost")  # in a summary, the columns of `digest_counts`
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 600.0  # s

log = structlog.get_logger(__name__)


class Unsent(Exception):  # noqa: N818 - named for what happened
    """The service did not accept a notification; the text is the reason, without secrets."""

    @property
    def for_good(self) -> bool:
        """Tell whether the service will never take this message, by the status of HTTP, though it may take others."""
        status = re.search(r"error=(\d{3})\b", str(self))
        return status is not None and status[1] in ("400", "406", "413", "414", "415", "422", "431")


class ChannelDelivery:
    """Sends the outbox of one channel; `delivered`, `failed` and `failing_since` are for metrics and health."""

    def __init__(self, name: str, channel: Channel, send: Callable[[Notification], None], style: Style) -> None:
        self.delivered = self.failed = 0
        self.failing_since: datetime | None = None
        self._name, self._channel, self._send_message, self._style = name, channel, send, style
        self._sent = deque[tuple[datetime, bool]](maxlen=max(channel.burst, 1))  # when, and whether it was grouped
        self._digest_again = datetime.min.replace(tzinfo=UTC)

    def turn(self, store: Store, now: datetime) -> bool:
        """Send the next notification that is due; True when one was delivered, so that another may be due."""
        with store.transaction() as tx:
            rows = tx.records("outbox_open", channel=self._name)
        begun = [list(group) for _, group in groupby(rows, attrgetter("message"))]
        again = [one for one in begun if one[0].due_at <= now]
        # All transitions of an alert have its severity, so their order is kept.
        critical_first = min(again, key=lambda rows: (not _is_critical(rows), rows[0].transition), default=None)
        chosen = critical_first or self._begin(store, now, begun)
        if not chosen:
            return False
        if old := [row for row in chosen if row.written_at < now - KEPT]:  # the others leave in the next turn
            self._drop(store, old, f"not delivered within {KEPT.days * 24} hours", now)
            return True
        return self._send(store, chosen, now)

    def _begin(self, store: Store, now: datetime, failing: Sequence[Sequence[OutboxRow]]) -> list[OutboxRow]:
        """Choose the rows of the next notification, and commit that before anything is sent."""
        # One overtakes what fails for long as a trial, all once the channel is known to work.
        patient = all(one[0].attempts >= PATIENCE for one in failing)
        only_critical = not patient or (len(failing) > 1 and self.failing_since is not None)
        if only_critical and any(_is_critical(one) for one in failing):
            return []
        with store.transaction() as tx:
            rows = tx.records("outbox_due", channel=self._name, now=now, limit=MOST, only_critical=only_critical)
            alerts_failing = {row.alert for one in failing for row in one}  # what follows in an alert waits for it
            due = [row for row in rows if row.alert not in alerts_failing]
            chosen = sorted(self._chosen(self._filtered(tx, due, now), now)) if due else []
            return self._fixed(tx, chosen) if chosen else []

    def _fixed(self, tx: Transaction, rows: Sequence[OutboxRow]) -> list[OutboxRow]:
        """Make one notification of some rows, from now on."""
        key = uuid4()
        self._note("outbox_begin", tx, rows, message=key)
        return [row._replace(message=key) for row in rows]

    def _note(self, statement: str, source: Store | Transaction, rows: Sequence[OutboxRow], **what: object) -> None:
        source.rows(statement, channel=self._name, transitions=[row.transition for row in rows], **what)

    def _filtered(self, tx: Transaction, due: Sequence[OutboxRow], now: datetime) -> list[OutboxRow]:
        """Give the rows to send: drop those that are not for this channel, hold those that a silence covers."""
        quiet = silences(tx, now)
        kept: list[OutboxRow] = []
        for row in due:
            sent_before = row.sent_before or any(one.alert == row.alert for one in kept)
            if reason := self._drop_reason(row, sent_before):
                self._note("outbox_drop", tx, [row], reason=reason, now=now)
            elif held := longest_silence(quiet, row.rule, (row.subject, *row.codes), now, self._style.zone):
                self._note("outbox_hold", tx, [row], silence=held[0].silence, until=held[1])
            else:
                kept.append(row)
        return kept

    def _drop_reason(self, row: OutboxRow, sent_before: bool) -> str | None:
        """Give the reason why a transition is never sent here; None where it may be."""
        if not self._channel.accepts(row.rule, row.severity, row.kind):
            return "not for this channel"
        if self._channel.escalate_after is not None and row.kind != "escalated" and not sent_before:
            return "sent here only when nobody acknowledges"
        if row.held_by is not None and row.over and not sent_before:
            return f"over before silence {row.held_by} ended"
        if row.kind == "cleared" and not sent_before and "raised" in self._channel.kinds and not row.late:
            return "its beginning was never sent here"
        return None

    def _chosen(self, rows: list[OutboxRow], now: datetime) -> list[OutboxRow]:
        """Choose the next notification: one transition, or all of them where they are many or there is a storm."""
        group, burst = self._channel.group, self._channel.burst
        recent = [grouped for at, grouped in self._sent if at >= now - STORM_SPAN]
        wait = timedelta()
        if group and not _is_critical(rows):
            is_storm = burst and (len(recent) >= burst or any(recent))
            wait = STORM_WAIT if is_storm else GROUP_WAIT
        if any(row.written_at <= now - wait for row in rows):
            return rows if wait == STORM_WAIT or 0 < group <= len(rows) else rows[:1]
        return []

    def _send(self, store: Store, rows: list[OutboxRow], now: datetime) -> bool:
        key = rows[0].message
        reason, for_good = self._try(lambda: notification_of(rows, f"stadspuls-{key}", self._style), now)
        if reason is None:
            store.rows("outbox_delivered", message=key, now=now)
            self._sent.append((now, len(rows) > 1))
            self.delivered += len(rows)
        elif for_good and len(rows) == 1:
            self._drop(store, rows, f"not delivered, refused for good: {reason}", now)
        elif for_good:  # the one at fault is in one of the halves
            half = len(rows) // 2
            with store.transaction() as tx:
                for part in (rows[:half], rows[half:]):
                    self._fixed(tx, part)
        else:
            wait = pause(rows[0].attempts + 1, _FIRST_WAIT, _LONGEST_WAIT)
            store.rows("outbox_failed", message=key, error=reason, due=now + timedelta(seconds=wait))
            log.warning("notification not accepted", channel=self._name, reason=reason, again_in=round(wait, 1))
        return reason is None or for_good

    def _try(self, made: Callable[[], Notification], now: datetime) -> tuple[str | None, bool]:
        """Make and send a notification; give why that failed, and if for good: refused so, or it cannot be made."""
        for_good = True
        try:
            message = made()
            for_good = False
            self._send_message(message)
        except Exception as error:  # whatever the service's code raises
            self.failed += 1
            self.failing_since = self.failing_since or now
            if isinstance(error, Unsent):
                return str(error), error.for_good
            return f"{type(error).__name__}: {error}", for_good
        self.failing_since = None
        return None, False

    def _drop(self, store: Store, rows: Sequence[OutboxRow], reason: str, now: datetime) -> None:
        self._note("outbox_drop", store, rows, reason=reason, now=now)
        log.error("notifications given up", channel=self._name, transitions=len(rows), reason=reason)

    def summary(self, store: Store, now: datetime) -> bool:
        """Send the daily summary where it is due, once a day; True when it was delivered."""
        local = now.astimezone(self._style.zone)
        at = self._channel.digest
        if at is None or local.time() < time.fromisoformat(at) or now < self._digest_again:
            return False
        if store.rows("digest_sent", channel=self._name, day=local.date())[0][0]:
            return False
        reason, _ = self._try(lambda: self._digest(store, now), now)
        if reason is not None:
            self._digest_again = now + timedelta(minutes=5)
            log.warning("summary not accepted", channel=self._name, reason=reason)
            return False
        store.rows("digest_note", channel=self._name, day=local.date(), now=now)
        return True

    def _digest(self, store: Store, now: datetime) -> Notification:
        """Make the summary of the alerts of the channel."""
        found = store.rows("digest_counts", since=now - timedelta(days=1), channel=self._name)
        mine = [counts for rule, severity, *counts in found if self._channel.matches(rule, severity)]
        counts = {name: sum(row[at] for row in mine) for at, name in enumerate(COUNTED)}
        is_open = alerts(store, now, self._style.zone)
        open_alerts = [one for one in is_open if self._channel.matches(one["rule"], one["severity"])]
        key = f"stadspuls-digest-{self._name}-{now.astimezone(self._style.zone).date()}"
        return digest(open_alerts, counts, key, self._style)


def _is_critical(rows: Sequence[OutboxRow]) -> bool:
    return any(row.severity == "critical" for row in rows)
