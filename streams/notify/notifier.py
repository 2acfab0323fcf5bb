"""
The notifier: a turn for each channel, so that a slow mail server delays no other channel, and one for all of them.

Of several notifiers one is active: the one that holds the advisory lock. The others try to take the lock at every turn.
`hub.run.notifying` gives each turn a thread; `streams.notify.delivery` is the work of a channel.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog

from aggregates.store.store import Store, StoreError
from streams.notify.apprise_door import ping
from streams.notify.channels import ALL, DIGEST, Channels, Heartbeat
from streams.notify.delivery import KEPT, ChannelDelivery

TURN = timedelta(seconds=10)  # of a channel that has much to send
_BEAT = timedelta(seconds=10)  # between two signs of life in the database
_PING_AGAIN = timedelta(seconds=30)
_LONGEST_FAILURE = timedelta(minutes=15)  # of a channel, after which the heartbeat stops
_LOCK = "stadspuls notify"

log = structlog.get_logger(__name__)


class Notifier:
    """
    Sends notifications while it runs; `leads` is True while this is the active one.

    `deliveries` are the channels by name. `clock` gives the time.
    """

    def __init__(
        self,
        channels: Channels,
        deliveries: Mapping[str, ChannelDelivery],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.leads = False
        self.turns = self.heartbeats = 0
        self.deliveries = deliveries
        self._channels, self._clock = channels, clock
        self._beaten: datetime | None = None
        self._ping_at = clock()

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
        recent = self._beaten is not None and self._beaten > now - 3 * _BEAT
        failing = [one.failing_since for one in self.deliveries.values() if one.failing_since is not None]
        return recent and all(since > now - _LONGEST_FAILURE for since in failing)

    def numbers(self) -> Mapping[str, tuple[str, Callable[[], float]]]:
        """Give what it counts, by name and with its meaning, for `/metrics`."""
        lines = self.deliveries.values()
        return {
            "notify_leads": ("1 while this is the active notifier", lambda: self.leads),
            "notify_healthy": ("1 while alerts are sent: no channel has failed for long", lambda: self.healthy),
            "notify_delivered_total": ("transitions delivered", lambda: sum(one.delivered for one in lines)),
            "notify_failed_total": ("attempts to deliver that failed", lambda: sum(one.failed for one in lines)),
            "notify_heartbeats_total": ("heartbeats that were accepted", lambda: self.heartbeats),
        }

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
        if self._beaten is None or now >= self._beaten + _BEAT:
            self._escalate(store, now)
            names = sorted(self._channels.channels)
            store.rows("outbox_expire", channels=names, before=now - KEPT, reason="no channel of this name")
            store.rows("notifier_beat", now=now, channels=names)
            self._beaten = now

    def _escalate(self, store: Store, now: datetime) -> None:
        for name, channel in self._channels.channels.items():
            if (delay := channel.escalation_delay) is not None:
                waiting = store.rows("list_unanswered_alerts", before=now - delay, channel=name)
                chosen = [alert for alert, rule, severity in waiting if channel.accepts(rule, severity, "escalated")]
                if chosen:
                    store.rows("escalate_alerts", alerts=chosen, channel=name, now=now)

    def _ping(self, heart: Heartbeat) -> None:
        """Request the heartbeat's URL, where it is time and alerts are sent; sooner again where it is not accepted."""
        now = self._clock()
        if now < self._ping_at or not (self.leads and self.healthy):
            return
        try:
            ping(heart.url)
            self.heartbeats += 1
            self._ping_at = now + heart.period
        except (OSError, ValueError) as error:
            log.warning("heartbeat not accepted", reason=type(error).__name__)
            self._ping_at = now + min(_PING_AGAIN, heart.period)
