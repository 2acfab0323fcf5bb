"""
Upkeep: what is due again and again: roll-ups, area figures, rules of the clock, retention, the nightly reconciliation.

`hub.run.embedded` and `hub.run.distributed` run it, with the judge that the settings describe. Each is a step of its
own: what fails in one (`hub.run.parts`) is tried again and keeps no other away, and what has much to do does some of it
in each turn.
"""

import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import structlog

from aggregates.areas.roll_up import roll_areas
from aggregates.store.store import Store
from hub.run.parts import Turns
from hub.settings.settings import Settings
from hub.web.metrics import histogram
from ingest.vocabulary.calendar import load_days
from streams.alerts.clock import AlertClock
from streams.alerts.judge import Judge
from streams.alerts.rulebook import load_rules
from streams.alerts.store import mirror_rules
from streams.rollup.reconcile import reconcile
from streams.rollup.retention import delete_frozen, maintain
from streams.rollup.rollup import MOST_HOURS, roll_up

NIGHT = 2  # o'clock UTC, when the proof is made
DAY = timedelta(days=1)
READINGS_FIRST = 3.0  # s that a turn waits at most while readings queue up
LITTLE, RESTING = 0.2, 3  # s of a turn that rolled nothing up, after which the next comes so many times later
ROLL_UPS = 3  # transactions of a turn, of `MOST_HOURS` each at least: a backfill takes many turns, one after the other
BEAT = timedelta(seconds=10)  # between two signs of life in the database
FROZEN_HOURS = 2  # whose readings a turn deletes at most
AREA_DAYS = 5  # of a quantity that one turn makes area figures of, so that the roll-ups never wait long

log = structlog.get_logger(__name__)


class Upkeep(Turns):
    """
    Rolls up as often as the settings say, less often while there is little to do, freezes daily, reconciles nightly;
    `differences` is what the last reconciliation found, -1 before the first.

    A proof compares a day in each turn. While `queued` is true, a turn waits, up to `READINGS_FIRST`: both use the same
    database and cores. Of several that are `shared`, the one that has the lock works, the others try to get it.
    """

    def __init__(
        self, store: Store, settings: Settings, judge: Judge | None = None, *, shared: bool = False,
        queued: Callable[[], bool] = lambda: False, clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        super().__init__("upkeep", settings.rollup_every, self.turn, store.close)
        self._store, self._settings = store, settings
        self.differences = -1
        self.rolled = self.turns = 0
        self.leads = not shared
        self.took = histogram("rollup_turn_seconds", "seconds of a turn: roll-ups, areas, what else is due", 0.01)
        self._judge, self._queued, self._shared, self._clock = judge, queued, shared, clock
        self._alert_clock = None if judge is None else AlertClock(judge, settings.timezone)
        self._frozen: date | None = None  # the day on which it froze last
        self._beaten: datetime | None = None
        self._proven: datetime | None = None
        # A proof that is under way: when it began by our clock and by the database's, and what to compare.
        self._proof: tuple[datetime, datetime, list[tuple[Any, ...]]] | None = None
        self._found = 0
        self._turned = time.monotonic()
        self._pace = 1  # how many times later the next turn comes: at once where the last one left hours
        self._seen: object = None  # what had been committed, and which hours had closed, when it last looked for work

    def turn(self, now: datetime | None = None) -> None:
        """Do what is due at `now`; where it is shared, only in the session that has or gets the lock."""
        began, rolled, self._pace = time.monotonic(), self.rolled, 1
        if self._queued() and time.monotonic() - self._turned < READINGS_FIRST:
            return
        now = now or self._clock()
        if self._shared:
            self.leads = False  # the lock is gone with the session
            ((leads,),) = self._store.rows("take_session_lock", name="stadspuls upkeep")
            self.leads = bool(leads)
        self.turns += 1
        if self.leads:
            with self.took.time():
                self._turn(now)
        else:
            self._failing.clear()  # another one does it
        self._turned = time.monotonic()
        more = self.rolled - rolled >= ROLL_UPS * MOST_HOURS
        idle = self.rolled == rolled and self._turned - began < LITTLE
        self._pace = 0 if more else RESTING if idle else 1

    def wait(self, seconds: float) -> bool:
        """Wait for the next turn; True when it is to end."""
        return super().wait(self._pace * seconds)

    def _turn(self, now: datetime) -> None:
        self.step("sign of life", lambda: self._beat(now))
        if self._has_news(now):
            self.step("roll-ups", lambda: self._roll_up(now))
            judged = None if self._judge is None else partial(self._judge.areas, now=now)
            self.step("areas", lambda: roll_areas(self._store, AREA_DAYS, judged))
            self.step("retention", lambda: self._retain(now))
            self.step("proof", lambda: self._prove_if_due(now))
        if (clock := self._alert_clock) is not None:
            self.step("rules of the clock", lambda: clock.run(self._store, now))

    def _has_news(self, now: datetime) -> bool:
        """Tell whether there may be work: something was committed, an hour closed, or the last turn left some."""
        closed = (now - timedelta(seconds=self._settings.rollup_grace)).replace(minute=0, second=0, microsecond=0)
        before, self._seen = self._seen, (closed, self._store.rows("read_snapshot"))
        return bool(self._failing) or self._proof is not None or self._seen != before

    def _roll_up(self, now: datetime) -> None:
        self.rolled += roll_up(self._store, now, timedelta(seconds=self._settings.rollup_grace), self._judge, ROLL_UPS)

    def _retain(self, now: datetime) -> None:
        if now.date() != self._frozen:
            maintain(self._store, now, self._settings.retention, self._settings.versions_kept, hours=0)
            self._frozen = now.date()
        delete_frozen(self._store, FROZEN_HOURS)

    def _beat(self, now: datetime) -> None:
        """Note for `stadspuls doctor` that it works, and what does not; so the database is known to take writes."""
        if self._beaten is None or now >= self._beaten + BEAT:
            self._store.rows("note_sign_of_life", part="upkeep", now=now, trouble="; ".join(self.trouble))
            self._beaten = now

    def _prove_if_due(self, now: datetime) -> None:
        """Prove once after every `NIGHT` o'clock, be it late: a hub that sleeps at night is proven when it wakes."""
        night = (now - timedelta(hours=NIGHT)).replace(hour=NIGHT, minute=0, second=0, microsecond=0)
        if self._proven is None:
            # By the clock of the database, which says when windows were written.
            ((at, proven),) = self._store.rows("read_reconciled")
            if proven is None:  # the first night proves what is written from about now on
                self._store.rows("set_reconciled", at=at - DAY)
            self._proven = proven or now
        if self._proven < night and self._proof is None:
            ((at, _),) = self._store.rows("read_reconciled")
            self._proof, self._found = (now, at, self._store.rows("list_changed_days")), 0
        if self._proof is None:
            return
        began, at, days = self._proof
        if days:  # compare what changed of one of them since the last proof, and repair what differs
            day, members = days[0]
            for difference in reconcile(self._store, day, day + DAY, repair=True, members=members):
                self._found += len(difference.windows)
            del days[0]
        if not days:
            self.differences, self._proof = self._found, None
            self._store.rows("set_reconciled", at=at)
            self._proven = began
            log.info("reconciled", differences=self._found)


def judge_of(settings: Settings, database: str | None = None) -> Judge:
    """Load rules and calendar, and name the rules in a database that is given; raises BadFile for what cannot work."""
    judge = Judge(load_rules(settings.rules), load_days(settings.timezone, settings.calendars, settings.country))
    if database is not None:
        with closing(Store(database, application="stadspuls rules")) as store:
            mirror_rules(store, judge.rules)
    return judge
