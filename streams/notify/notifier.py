"""
The notifier: a thread for each channel, so that a slow mail server delays no other channel, and one for all of them.

Of several notifiers one is active: the one that holds the advisory lock. The others try to take the lock at every turn.
`hub.run.notifying` starts one from the settings; `streams.notify.delivery` is the work of a channel's thread.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import structlog

from aggregates.store.store import Store, StoreError
from streams.notify.apprise_door import ping
from streams.notify.channels import ALL, DIGEST, Channels
from streams.notify.delivery import KEPT, ChannelDelivery

EVERY = 0.25  # s between two reads of the outbox
_BEAT = timedelta(seconds=10)  # between two signs of life in the database
_LONGEST_FAILURE = timedelta(minutes=15)  # of a channel, after which the heartbeat stops
_LOCK = "stadspuls notify"

log = structlog.get_logger(__name__)


class Notifier:
    """
    Sends notifications while it runs; `leads` is True while this is the active one.

    `store` opens a new session, `deliveries` are the channels by name. `clock` gives the time.
    """

    def __init__(
        self,
        store: Callable[[], Store],
        channels: Channels,
        deliveries: Mapping[str, ChannelDelivery],
        every: float = EVERY,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.leads = False
        self.turns = self.heartbeats = 0
        self.deliveries = deliveries
        self._store, self._channels, self._every, self._clock = store, channels, every, clock
        self._stop = threading.Event()
        self._beaten: datetime | None = None
        self._threads = [threading.Thread(target=self._loop, args=("lead", self._lead, every), daemon=True)]
        for name, delivery in deliveries.items():
            self._threads.append(
                threading.Thread(target=self._loop, args=(name, _channel_turn(name, delivery), every), daemon=True)
            )
        if channels.heartbeat is not None:
            period = channels.heartbeat.period.total_seconds()
            self._threads.append(
                threading.Thread(target=self._beat, args=(channels.heartbeat.url, period), daemon=True)
            )

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float) -> None:
        """End after the notification that is being sent; wait at most so long for it."""
        self._stop.set()
        deadline = self._clock() + timedelta(seconds=seconds)
        for thread in self._threads:
            thread.join(max(0.1, (deadline - self._clock()).total_seconds()))

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

    def _loop(self, name: str, turn: Callable[[Store, datetime], bool], every: float) -> None:
        store = self._store()
        while not self._stop.wait(every):
            try:
                while (name == "lead" or self.leads) and not self._stop.is_set() and turn(store, self._clock()):
                    pass
            except StoreError as error:
                self.leads = self.leads and name != "lead"
                log.warning("the notifier waits for the database", part=name, error=str(error))
                self._stop.wait(2.0)
            except Exception:
                log.exception("the notifier goes on after an error", part=name)
                self._stop.wait(10.0)
        store.close()

    def _lead(self, store: Store, now: datetime) -> bool:
        """Be active, where this session has or gets the lock; the lock ends with the session."""
        ((leads,),) = store.rows("take_session_lock", name=_LOCK)
        self.leads = bool(leads)
        self.turns += 1
        if self.leads:
            self.direct(store, now)
        return False

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
            if (delay := channel.escalation_delay) is None:
                continue
            waiting = store.rows("list_unanswered_alerts", before=now - delay, channel=name)
            chosen = [alert for alert, rule, severity in waiting if channel.accepts(rule, severity, "escalated")]
            if chosen:
                store.rows("escalate_alerts", alerts=chosen, channel=name, now=now)

    def _beat(self, url: str, period: float) -> None:
        """Request the heartbeat's URL while alerts are sent; soon after the start, then every `period` seconds."""
        wait = min(5.0, period)
        while not self._stop.wait(wait):
            wait = period
            if not (self.leads and self.healthy):
                wait = min(5.0, period)
                continue
            try:
                ping(url)
                self.heartbeats += 1
            except (OSError, ValueError) as error:
                log.warning("heartbeat not accepted", reason=type(error).__name__)
                wait = min(30.0, period)


def _channel_turn(name: str, delivery: ChannelDelivery) -> Callable[[Store, datetime], bool]:
    def turn(store: Store, now: datetime) -> bool:
        # A lock of its own: a notifier that lost its session without knowing it may still be sending.
        ((mine,),) = store.rows("take_session_lock", name=f"{_LOCK} {name}")
        return bool(mine) and (delivery.turn(store, now) or delivery.summary(store, now))

    return turn
