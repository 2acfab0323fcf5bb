"""Questions over years of TimescaleDB's chunks: each looks at, and locks, those alone that can hold its answer."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from aggregates.ask.query import READINGS, WINDOWS, Question, tables
from aggregates.store.store import Store, Transaction
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.calendar import load_days
from ingest.vocabulary.readings import Reading
from streams.alerts.judge import Judge
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up
from tests.support.databases import fresh_database, timescale_url

DAY = timedelta(days=1)
FIRST = datetime(2024, 5, 1, tzinfo=UTC)
DAYS = 40

pytestmark = pytest.mark.timescale


LOCKED = """
    SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
    WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND c.relname LIKE '\\_hyper\\_%'
"""


@pytest.fixture(scope="module")
def city() -> Iterator[Store]:
    """Forty days of two lanes, all closed but the last; of the first day every five minutes."""
    starts = [FIRST + at * timedelta(minutes=5) for at in range(287)] + [FIRST + day * DAY for day in range(1, DAYS)]
    given = [
        Reading("ndw/s", lane, "vehicle_count", 300, start, 5.0) for start in starts for lane in ("lane1", "lane2")
    ]
    with fresh_database(timescale_url()) as url, closing(Store(url)) as store:
        Pipeline(store).store(Batch(columns(given, [FIRST + DAYS * DAY] * len(given))))
        roll_up(store, FIRST + (DAYS - 1) * DAY)
        yield store


def locked(store: Store, question: Question, limit: int | None = None) -> int:
    """Ask for the first rows of an answer, and count the chunks and their indexes that are locked meanwhile."""
    answer = tables(store, question, limit=limit)
    assert next(answer).num_rows > 0
    with psycopg.connect(store.conninfo, autocommit=True) as other:
        ((count,),) = other.execute(LOCKED).fetchall()
    list(answer)
    return int(count)


@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("window", [*WINDOWS, READINGS])
def test_question_locks_no_chunk_that_cannot_hold_its_answer(city: Store, window: str, channels: bool) -> None:
    """
    A day of forty locks its own chunk and that of what still runs, each with one index.

    Asked often, because a plan that serves any time would lock all.
    """
    for first in (FIRST + day * DAY for day in range(8)):
        assert locked(city, Question("vehicle_count", first, first + DAY, window, channels=channels)) <= 4


@pytest.mark.parametrize("channels", [False, True])
def test_page_of_years_locks_the_chunks_of_its_rows(city: Store, channels: bool) -> None:
    """The first hundred windows of forty days lie in one chunk; the question is cut by time as well as by series."""
    years = Question("vehicle_count", FIRST, FIRST + DAYS * DAY, "5m", channels=channels)
    assert locked(city, years, 100) <= 2


class Locks(Judge):
    """Counts the chunks, and indexes of chunks, that a roll-up has locked."""

    def rolled(self, tx: Transaction, until: datetime, now: datetime) -> None:
        """Count, and judge as ever."""
        ((self.count,),) = tx.select(LOCKED.replace("%", "%%"), {})
        super().rolled(tx, until, now)


def test_roll_up_locks_the_chunks_of_its_hours(city: Store) -> None:
    """Of readings and hours: it plans over none of the other thirty-odd days."""
    last = FIRST + (DAYS - 1) * DAY
    late = [
        Reading("ndw/s", "lane1", "vehicle_count", 300, last + at * timedelta(minutes=5), 0.0) for at in range(1, 30)
    ]
    Pipeline(city).store(Batch(columns(late, [FIRST + DAYS * DAY] * len(late))))
    judge = Locks({}, load_days("UTC"))
    roll_up(city, last + timedelta(hours=6), judge=judge)
    assert judge.count <= 24
