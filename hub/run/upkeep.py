"""
Upkeep: what is due again and again: roll-ups, area figures, rules of the clock, retention, the nightly reconciliation.

`hub.run.embedded` and `hub.run.distributed` run it. A database that is away is tried again at the next turn.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

from aggregates.areas.roll_up import Rolled, roll_areas
from aggregates.store.store import Store, StoreError
from hub.run.parts import Background
from hub.web.metrics import Gauges, histogram
from streams.alerts.clock import AlertClock
from streams.alerts.judge import Judge
from streams.rollup.reconcile import changed_days, last_proof, note_reconciled, reconcile
from streams.rollup.retention import maintain
from streams.rollup.rollup import roll_up

NIGHT = 2  # o'clock UTC, when the proof is made
DAY = timedelta(days=1)
READINGS_FIRST = 60.0  # s that a turn waits at most while readings queue up
AREA_DAYS = 5  # of a quantity that one turn makes area figures of, so that the roll-ups never wait long

log = structlog.get_logger(__name__)


class Upkeep(Background):
    """
    Rolls up every `every` seconds, maintains hourly, reconciles nightly; `differences` is of the last reconciliation.

    While `queued` is true, a turn waits, up to `READINGS_FIRST`: a year of history goes in sooner when its roll-ups do
    not use the same database and the same two cores. Of several that are `shared`, the one that has the lock works, and
    the others try to get it at every turn.
    """

    def __init__(
        self,
        store: Store,
        every: float = 1.0,
        grace: timedelta = timedelta(minutes=1),
        retention: timedelta | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        judge: Judge | None = None,
        zone: str = "Europe/Amsterdam",
        queued: Callable[[], bool] = lambda: False,
        shared: bool = False,
    ) -> None:
        super().__init__("upkeep")
        self.differences: int | None = None
        self.rolled = self.turns = 0
        self.leads = not shared
        self.took = histogram(
            "rollup_turn_seconds", "seconds that a turn took: roll-ups, areas, what else is due", 0.01
        )
        self._store = store
        self._every, self._grace, self._retention, self._clock = every, grace, retention, clock
        self._judge, self._queued, self._shared = judge, queued, shared
        self._alert_clock = None if judge is None else AlertClock(judge, zone)
        self._hour: datetime | None = None
        self._proven: datetime | None = None

    def numbers(self) -> Gauges:
        """Give what the last reconciliation found, for `/metrics`."""
        text = "windows that differed at the last nightly proof, -1 before the first"
        return {"reconcile_differences": (text, lambda: -1 if self.differences is None else self.differences)}

    def run(self) -> None:
        """Take a turn every so many seconds; when it is stopped, the transaction that runs now is finished."""
        turned = time.monotonic()
        while not self.stopping.wait(self._every):
            if self._queued() and time.monotonic() - turned < READINGS_FIRST:
                continue
            try:
                self.turn(self._clock())
            except StoreError as error:
                if not self.stopping.is_set():
                    log.warning("upkeep waits for the database", error=str(error))
            turned = time.monotonic()
        self._store.close()

    def turn(self, now: datetime) -> None:
        """Do what is due at `now`; where it is shared, only in the session that has or gets the lock."""
        if self._shared:
            self.leads = False  # the lock is gone with the session
            ((leads,),) = self._store.rows("take_session_lock", name="stadspuls upkeep")
            self.leads = bool(leads)
        self.turns += 1
        if self.leads:
            with self.took.time():
                self._turn(now)

    def _turn(self, now: datetime) -> None:
        self.rolled += roll_up(self._store, now, self._grace, self._judge)
        roll_areas(self._store, AREA_DAYS, self._judge_areas(now))
        if self._alert_clock is not None:
            self._alert_clock.run(self._store, now)
        hour = now.replace(minute=0, second=0, microsecond=0)
        if hour != self._hour:
            maintain(self._store, now, self._retention)
            self._hour = hour
        self._prove_if_due(now)

    def _judge_areas(self, now: datetime) -> Rolled | None:
        judge = self._judge
        if judge is None:
            return None
        return lambda tx, level, quantity, first, last: judge.areas(tx, level, quantity, first, last, now)

    def _prove_if_due(self, now: datetime) -> None:
        """Prove once after every `NIGHT` o'clock, be it late: a hub that sleeps at night is proven when it wakes."""
        night = now.replace(hour=NIGHT, minute=0, second=0, microsecond=0)
        night -= DAY if night > now else timedelta(0)
        self._proven = self._proven or last_proof(self._store)
        if self._proven is None:  # nothing to prove yet: the first night proves what is written from now on
            note_reconciled(self._store, now)
            self._proven = now
        if self._proven < night:
            self._prove(now)
            self._proven = now

    def _prove(self, now: datetime) -> None:
        """Compare the days that changed since the last proof, and repair what differs."""
        found = 0
        for day in changed_days(self._store):
            for difference in reconcile(self._store, day, day + DAY, repair=True):
                found += len(difference.windows)
        self.differences = found
        note_reconciled(self._store, now)
        log.info("reconciled", differences=found)
