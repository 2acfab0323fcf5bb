"""
The notifier: a turn for each channel, so that a slow mail server delays no other channel, and one for all of them.

Of several notifiers one is active: the one that holds the advisory lock. The others try to take the lock at every turn.
`hub.run.notifying` gives each turn a thread; `streams.notify.delivery` is the work of a channel.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.request import urlopen

import structlog

from aggregates.store.errors import StoreError
from aggregates.store.store import Store
from ingest.vocabulary.values import duration
from streams.notify.channels import ALL, DIGEST, Channels, Heartbeat
from streams.notify.delivery import KEPT, ChannelDelivery

TURN = timedelta(seconds=10)  # of a channel that has much to send
_BEAT = timedelta(seconds=10)  # between two signs of life in the database
_PING_AGAIN = timedelta(seconds=30)
_LONGEST_FAILURE = timedelta(minutes=15)  # of a channel, after which the heartbeat stops
_LOCK = "stadspuls notify"

log = structlog.get_logger(__name__)


class Notifier:
    """Sends notifications while it runs; `leads` while it is the active one. `deliveries` are the channels by name."""

    def __init__(self, channels: Channels, deliveries: Mapping[str, ChannelDelivery]) -> None:
        self.leads, self.turns, self.heartbeats = False, 0, 0
        self.deliveries, self._channels = deliveries, channels
        self._clock: Callable[[], datetime] = partial(datetime.now, UTC)
        self._beaten = self._ping_at = datetime.min.replace(tzinfo=UTC)

    def turns_of(self) -> Iterator[tuple[str, Callable[[Store], object]]]:
        """Give what has a thread of its own: its name, and what it does in a turn."""
        yield "notifier", self.lead
        for name, delivery in self.deliveries.items():
            yield f"channel {name}", partial(self._deliver, name, delivery)
        if (heart := self._channels.heartbeat) is not None:
            yield "heartbeat", lambda _: self._ping(heart)

    @property
    def healthy(self) -> bool:
        """Tell whether alerts are sent: one is active, the database answers, and no channel has failed for long."""
        now = self._clock()
        failing = [one.failing_since for one in self.deliveries.values() if one.failing_since is not None]
        return self._beaten > now - 3 * _BEAT and all(since > now - _LONGEST_FAILURE for since in failing)

    @property
    def delivered(self) -> int:
        """How many transitions were delivered."""
        return sum(one.delivered for one in self.deliveries.values())

    @property
    def failed(self) -> int:
        """How many attempts to deliver failed."""
        return sum(one.failed for one in self.deliveries.values())

    def lead(self, store: Store) -> None:
        """Be active, where this session has or gets the lock; the lock ends with the session."""
        try:
            self.leads = store.rows("take_session_lock", name=_LOCK) == [(True,)]
        except StoreError:  # the lock is gone with the session
            self.leads = False
            raise
        self.turns += 1
        if self.leads:
            self.direct(store, self._clock())

    def _deliver(self, name: str, delivery: ChannelDelivery, store: Store) -> None:
        """Send what is due at a channel, one after the other while they are taken, for some seconds at most."""
        until = self._clock() + TURN
        # A lock of its own: a notifier that lost its session without knowing it may still be sending.
        while self.leads and store.rows("take_session_lock", name=f"{_LOCK} {name}") == [(True,)]:
            now = self._clock()
            if now > until or not (delivery.turn(store, now) or delivery.summary(store, now)):
                return

    def direct(self, store: Store, now: datetime) -> None:
        """Distribute the outbox to the channels, escalate, drop what has no channel, write a sign of life."""
        everyone = [name for name, one in self._channels.channels.items() if not one.named_only]
        reason = "sent to every channel" if everyone else "no channel is configured"
        store.rows("outbox_spread", everyone=ALL, channels=everyone, reason=reason)
        store.rows("outbox_spread", everyone=DIGEST, channels=[], reason="in the daily summary")
        if now >= self._beaten + _BEAT:
            self._escalate(store, now)
            names = sorted(self._channels.channels)
            store.rows("outbox_expire", channels=names, before=now - KEPT, reason="no channel of this name")
            store.rows("notifier_beat", now=now, channels=names)
            self._beaten = now

    def _escalate(self, store: Store, now: datetime) -> None:
        for name, channel in self._channels.channels.items():
            if channel.escalate_after is not None:
                before = now - duration(channel.escalate_after)
                waiting = store.rows("list_unanswered_alerts", before=before, channel=name)
                chosen = [alert for alert, rule, severity in waiting if channel.accepts(rule, severity, "escalated")]
                if chosen:
                    store.rows("escalate_alerts", alerts=chosen, channel=name, now=now)

    def _ping(self, heart: Heartbeat) -> None:
        """Request the heartbeat's URL, where it is time and alerts are sent; sooner again where it is not accepted."""
        now = self._clock()
        if now < self._ping_at or not (self.leads and self.healthy):
            return
        try:
            with urlopen(heart.url, timeout=10.0) as answer:
                answer.read(1_000)
            self.heartbeats += 1
            self._ping_at = now + duration(heart.every)
        except (OSError, ValueError) as error:
            log.warning("heartbeat not accepted", reason=type(error).__name__)
            self._ping_at = now + min(_PING_AGAIN, duration(heart.every))
