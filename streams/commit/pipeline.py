"""
A batch into the store, exactly once: quality, readings, windows, marks and accounting in one transaction.

The embedded log and the Faust worker call `Pipeline.store` with each batch. The order is always this:

    log position (locked) ─▶ readings ─▶ 5-minute rows ─▶ marks, accounting ─▶ dead letters ─▶ alerts

Readings first, then windows, in one transaction: a crash between them would count nothing or count twice. Where all
readings are new they are COPYed straight in and folded by numpy (the optimistic path), and so are the 5-minute rows
that begin with them; where one is known already, the staging path says which are new and which changed, and their
windows are recomputed from the readings.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import structlog
from numpy.typing import NDArray

from aggregates.store.binary import packed
from aggregates.store.errors import Clash, Known, Limit, Refused, StoreError
from aggregates.store.store import Store, Transaction
from ingest.vocabulary.backoff import pauses
from ingest.vocabulary.batch import Batch, DeadLetter, by_sensor_and_start, middle, numbers, refused
from ingest.vocabulary.readings import Flag, utc
from streams.commit.accounting import AMBIGUOUS, STORED, accounts, dead_letter_columns
from streams.commit.identities import first_received
from streams.commit.quality import received_rows
from streams.commit.recompute import change_staged
from streams.commit.series import SeriesCache, TooMany
from streams.commit.totals import LATER, differences, with_later
from streams.commit.windows import DAY_US, READING, LatestWindows, dirty_hours, distinct, fold, ordered, without_zeros

FROZEN = "frozen: the readings of this day were dropped, so that a duplicate cannot be recognised any more"
COLUMNS = list(READING.names or ())
Marks = dict[str, list[Any]]  # parameters of `insert_marks`
NO_MARKS: Marks = {"hour": [], "members": []}
LONGEST_WAIT = 10.0  # s between two attempts while the database is away

# Judges alert rules on the windows of a batch, last in its transaction: `streams.alerts.judge.Judge.batch`.
JudgeBatch = Callable[[Transaction, pa.RecordBatch], object]

log = structlog.get_logger(__name__)


class Position(NamedTuple):
    """A place on the log; `position` None counts batches, where the log has no offsets of its own."""

    topic: str = "embedded"
    partition: int = 0
    position: int | None = None


EMBEDDED = Position()


class Stopped(Exception):  # noqa: N818 - a normal end, not an error
    """The hub stops while a batch waits for the database; nothing of the batch is acknowledged."""


class Condemned(Refused):
    """A statement of the readings or facts themselves was refused; one of another statement condemns none of them."""


@contextmanager
def _own_statements() -> Iterator[None]:
    try:
        yield
    except Known:
        raise
    except Refused as error:
        raise Condemned(str(error)) from error


def wait_for_database(stop: Event, seconds: float, error: StoreError) -> None:
    """Wait before the next attempt; raises `Stopped` when `stop` is set meanwhile."""
    log.warning("database away, trying again", error=str(error), seconds=round(seconds, 1))
    if stop.wait(seconds):
        raise Stopped("the database did not come back before the hub stopped") from error


class Pipeline:
    """Stores batches through one connection; not to be shared by threads."""

    def __init__(
        self, store: Store, stop: Event | None = None, judge: JudgeBatch | None = None, new_sensors: int | None = None
    ) -> None:
        self._store = store
        self._judge = judge
        self._series = SeriesCache(store, new_sensors)
        self._latest = LatestWindows()
        self._stop = stop or Event()
        self.retries = 0
        self.trouble: list[str] = []  # why the batch in hand waits
        self._expect_new = True  # the last batch was all new, so the next one probably is too

    def store(self, batch: Batch, position: Position = EMBEDDED) -> None:
        """
        Commit a batch, however long it takes.

        A reading that the database refuses becomes a dead letter, and so does one of a sensor or series beyond those
        that may be new (`TooMany`); while the database is away, or at a limit that no smaller batch keeps, the batch is
        tried again. Raises `Stopped` when the hub stops meanwhile.
        """
        waits = pauses(0.1, LONGEST_WAIT)
        while True:
            try:
                batch = first_received(self._store, batch)
                self._attempt(batch, position)
                self.trouble.clear()
                return None
            except Known as error:
                if not self._expect_new:
                    return self._split(batch, position, error)
                self._expect_new = False  # without a savepoint, which every batch would pay for
            except Condemned as error:
                return self._split(batch, position, error)
            except TooMany as error:
                log.warning("readings refused", reason=error.why, readings=int(error.rows.sum()))
                batch = _without(batch, error)
            except Clash as error:
                self.retries += 1
                log.info("another session was in the way, trying again", error=str(error))
            except StoreError as error:
                if isinstance(error, Limit) and len(batch) > 1 and not batch.identities:
                    return self._split(batch, position, error)
                self.retries += 1
                self.trouble[:] = [f"pipeline: the database: {error}"]
                wait_for_database(self._stop, next(waits), error)

    def _split(self, batch: Batch, position: Position, error: StoreError) -> None:
        """
        Store a batch in halves, and readings of one sensor and start alone; the last part moves the position.

        A part that is stored twice is harmless: the primary key of `reading` rejects duplicates.
        """
        rows, first = batch.readings, Position(position.topic, position.partition, 0)
        if batch.sensors and len(batch):
            self.store(Batch(rows.slice(0, 0), batch.sensors), first)
            return self.store(Batch(rows, (), batch.dead_letters), position)
        if len(batch) > 1:
            rows = by_sensor_and_start(rows)
            cut = middle(rows)
            *parts, last = (rows.slice(0, cut), rows.slice(cut)) if cut else self._singles(rows)
            for part in parts:
                self.store(Batch(part), first)
            return self.store(Batch(last, (), batch.dead_letters), position)
        log.warning("refused by the database", error=str(error), readings=len(batch), facts=len(batch.sensors))
        letters = [refused(row, str(error)) for row in rows.to_pylist()]
        return self.store(Batch(rows.slice(0, 0), (), (*batch.dead_letters, *letters)), position)

    def _attempt(self, batch: Batch, position: Position) -> None:
        with _own_statements():
            readings = received_rows(batch.readings, self._series.of(batch))
        with self._store.transaction(writing=True) as tx:
            tx.rows("advance_position", topic=position.topic, partition=position.partition, position=position.position)
            ((version, days),) = tx.rows("read_versions")
            self._series.check(version)
            frozen = np.isin(readings["start"] // DAY_US, days)
            rows = distinct(ordered(readings[~frozen]))
            with _own_statements():
                rows = differences(tx, rows)
                rows = rows[~np.isin(rows["start"] // DAY_US, days)]
                outcome, marks = self._insert(tx, rows)
            unsure = (outcome & AMBIGUOUS != 0) | ((outcome == STORED) & (rows["flags"] & Flag.AMBIGUOUS != 0))
            own = rows["source"] != LATER
            fates = rows[own], outcome[own] & 3, unsure[own]
            tx.rows("add_to_accounting", **marks, **accounts(readings, frozen, *fates, batch.dead_letters))
            if letters := [*batch.dead_letters, *_refusals(batch, frozen, FROZEN)]:
                tx.rows("upsert_dead_letters", **dead_letter_columns(letters))
            if self._judge is not None and len(rows):
                self._judge(tx, batch.readings if own.all() else with_later(batch.readings, readings, rows[~own]))

    def _singles(self, rows: pa.RecordBatch) -> list[pa.RecordBatch]:
        """Part readings of one sensor and start, each with what comparing it with the others has found."""
        with suppress(StoreError, TooMany):  # the database was asked for these series a moment ago
            found = received_rows(rows, self._series.of(Batch(rows)))["flags"] & int(Flag.INCONSISTENT)
            at = rows.schema.get_field_index("flags")
            rows = rows.set_column(at, rows.schema.field(at), pa.array(numbers(rows, "flags") | found, pa.int32()))
        return [rows.slice(at, 1) for at in range(rows.num_rows)]

    def _insert(self, tx: Transaction, rows: NDArray[Any]) -> tuple[NDArray[np.int8], Marks]:
        """Write readings and 5-minute rows; give the outcome of each reading, and the hours that are to be marked."""
        if not len(rows):
            return np.zeros(0, dtype=np.int8), NO_MARKS
        if self._expect_new:
            return np.zeros(len(rows), dtype=np.int8), self._insert_new(tx, rows)
        outcome = self._insert_staged(tx, rows)
        self._expect_new = bool((outcome == STORED).all())
        return outcome, NO_MARKS

    def _insert_new(self, tx: Transaction, rows: NDArray[Any]) -> Marks:
        """Write by the optimistic path; raises `Known` where a row exists already."""
        with tx.copying("reading", rows[COLUMNS]):
            windows = fold(rows)
            begun = self._latest.advance(windows)
            running = packed(without_zeros(windows[~begun]))
            ahead = packed(windows[begun])
            marks = dirty_hours(windows["series"], windows["start"])
        if not begun.all():
            tx.copy("touched", running)
            tx.rows("merge_windows")
        if begun.any():
            tx.copy("window_5m", ahead)
        return marks

    def _insert_staged(self, tx: Transaction, rows: NDArray[Any]) -> NDArray[np.int8]:
        """Write by the staging path, marks too."""
        span = {"first": utc(rows["start"].min()), "last": utc(rows["start"].max())}
        tx.copy("stage", rows[COLUMNS])
        tx.rows("leave_out_twins", **span)
        tx.rows("insert_new_readings")
        change_staged(tx, "correct_readings", **span)
        tx.rows("mark_touched_hours")
        return np.array([outcome for (outcome,) in tx.rows("list_outcomes")], dtype=np.int8)


def _without(batch: Batch, error: TooMany) -> Batch:
    """Give a batch in which the readings that are too many are dead letters."""
    facts = [fact for fact in batch.sensors if fact.sensor_id not in error.sensors]
    letters = [*batch.dead_letters, *_refusals(batch, error.rows, error.why)]
    return Batch(batch.readings.filter(pa.array(~error.rows)), facts, letters)


def _refusals(batch: Batch, chosen: NDArray[np.bool_], why: str) -> list[DeadLetter]:
    return [refused(row, why) for row in batch.readings.filter(pa.array(chosen)).to_pylist()] if chosen.any() else []
