"""Packing old chunks, on TimescaleDB's community edition: those that become smaller by it, and no others."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from aggregates.store.migrate import migrate
from aggregates.store.store import Store
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.readings import Reading
from streams.commit.pipeline import Pipeline
from streams.rollup.reconcile import reconcile
from streams.rollup.retention import maintain
from streams.rollup.rollup import roll_up
from tests.support.databases import ZONE, fresh_database, timescale_url

pytestmark = pytest.mark.timescale
DENSE, SPARSE, LATER = (datetime(2024, 5, day, tzinfo=UTC) for day in (1, 2, 9))
JOB = "FROM timescaledb_information.jobs WHERE proc_name = 'pack_chunks'"


class Hub:
    """A database of the community edition, where nothing is packed but when a test says so."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked(f"SELECT alter_job(job_id, scheduled => false) {JOB}")

    def asked(self, question: str) -> list[tuple[Any, ...]]:
        """Give the rows of an answer."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            found = connection.execute(question.encode())
            return found.fetchall() if found.description else []

    def migrate(self) -> None:
        """Migrate, as for another version."""
        with closing(Store(self.url)) as store:
            migrate(store, ZONE)

    def hear(self, day: datetime, series: int, times: int, value: float = 1.0, version: int = 0) -> None:
        """Receive readings of one day: of so many series, each so many times."""
        given = [
            Reading(f"own/{one}", "", "no2", 60, day + time * timedelta(minutes=1), value, version=version)
            for one in range(series)
            for time in range(times)
        ]
        with closing(Store(self.url)) as store:
            Pipeline(store).store(Batch(columns(given, [LATER] * len(given))))

    def pack(self) -> dict[datetime, bool]:
        """Run the job; which days of readings are packed then?"""
        ((job,),) = self.asked(f"SELECT job_id {JOB}")
        self.asked(f"CALL run_job({job})")
        return self.packed()

    def packed(self) -> dict[datetime, bool]:
        """Give which days of readings are packed."""
        chunks = "FROM timescaledb_information.chunks WHERE hypertable_name = 'reading'"
        return dict(self.asked(f"SELECT range_start, is_compressed {chunks}"))

    def told(self) -> list[tuple[str, bool]]:
        """Give what `doctor` says of packed readings."""
        return self.asked("SELECT found, good FROM policy_findings() WHERE what = 'packed reading'")


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub of the community edition; the test skips where the server is of another."""
    with fresh_database(timescale_url()) as url:
        with psycopg.connect(url) as connection:
            if connection.execute("SHOW timescaledb.license").fetchall() != [("timescale",)]:
                pytest.skip("the Apache edition packs nothing: name a TimescaleDB of the community edition")
        yield Hub(url)


def test_days_that_would_grow_are_left_as_they_are(hub: Hub) -> None:
    """Packed are days with many readings of a series; of the others `doctor` says why they are not."""
    hub.hear(DENSE, series=3, times=40)
    hub.hear(SPARSE, series=60, times=2)
    hub.hear(datetime.now(UTC) - timedelta(days=1), series=3, times=40)
    assert list(hub.pack().values()) == [True, False, False]
    ((text, good),) = hub.told()
    assert ", and 1 left that would grow" in text
    assert good
    assert hub.asked("SELECT count(*), sum(value) FROM reading") == [(360, 360.0)]


def test_few_dense_series_among_many_sparse_ones(hub: Hub) -> None:
    """What decides is the mean of all series, not what most rows or most series are like."""
    hub.hear(DENSE, series=2, times=600)
    hub.hear(DENSE, series=80, times=1)
    hub.hear(SPARSE, series=2, times=100)
    hub.hear(SPARSE, series=80, times=1)
    assert hub.pack() == {DENSE: True, SPARSE: False}


def test_a_day_that_an_older_version_packed_is_unpacked(hub: Hub) -> None:
    """It is larger packed, so it is unpacked, once, and stays so."""
    hub.hear(SPARSE, series=60, times=2)
    hub.asked("SELECT compress_chunk(chunk) FROM show_chunks('reading') chunk")
    assert hub.packed() == {SPARSE: True}
    assert hub.pack() == hub.pack() == {SPARSE: False}
    assert ", and 1 left that would grow" in hub.told()[0][0]
    assert hub.asked("SELECT count(*) FROM reading") == [(120,)]


def test_late_data_make_a_sparse_day_dense(hub: Hub) -> None:
    """A day that was left as it is and has grown since is looked at again."""
    hub.hear(SPARSE, series=60, times=2)
    assert hub.pack() == {SPARSE: False}
    hub.hear(SPARSE, series=60, times=20)
    assert hub.pack() == {SPARSE: True}


def test_late_data_of_packed_and_sparse_days(hub: Hub) -> None:
    """They are stored as anywhere, and what they unpacked is packed again."""
    hub.hear(DENSE, series=3, times=40)
    hub.hear(SPARSE, series=60, times=2)
    hub.pack()
    for day in (DENSE, SPARSE):
        hub.hear(day, series=2, times=50, value=3.0, version=1)
    loose = "SELECT count(*) FROM ONLY {}"
    ((chunk,),) = hub.asked("SELECT show_chunks('reading')::text ORDER BY 1 LIMIT 1")
    assert hub.asked(loose.format(chunk)) != [(0,)]
    assert hub.pack() == {DENSE: True, SPARSE: False}
    assert hub.asked(loose.format(chunk)) == [(0,)]
    sums = "SELECT count(*), sum(value) FROM reading GROUP BY start < '2024-05-02' ORDER BY 1"
    assert hub.asked(sums) == [(140, 340.0), (216, 416.0)]
    with closing(Store(hub.url)) as store:
        roll_up(store, LATER)
        assert not any(one.windows for one in reconcile(store, DENSE.date(), LATER.date()))
        maintain(store, LATER + timedelta(days=3), timedelta(days=2))
    assert hub.packed() == {}, "retention drops the one as the other"


def test_the_job_takes_the_place_of_timescales_policies(hub: Hub) -> None:
    """What an operator has set of them stays: after how long, and that they do not run."""
    hub.asked(f"SELECT delete_job(job_id) {JOB}")
    hub.asked("CALL add_columnstore_policy('reading', after => interval '3 days')")
    hub.asked("CALL add_columnstore_policy('window_5m', after => interval '7 days')")
    first = "FROM timescaledb_information.jobs WHERE hypertable_name = 'reading'"
    hub.asked(f"SELECT alter_job(job_id, scheduled => false) {first}")
    hub.migrate()
    hub.migrate()
    jobs = "SELECT proc_name, scheduled, config FROM timescaledb_information.jobs WHERE job_id >= 1000"
    kept = {"reading": "3 days", "window_5m": "7 days", "window_1h": "60 days"}
    assert hub.asked(jobs) == [("pack_chunks", False, {"after": kept})]


def test_a_chunk_that_cannot_be_packed_keeps_no_other_from_it(hub: Hub) -> None:
    """The job fails, which `doctor` sees, after it has packed the others; the next run packs it."""
    hub.hear(DENSE, series=3, times=40)
    hub.hear(SPARSE, series=3, times=40)
    ((chunk,),) = hub.asked("SELECT show_chunks('reading')::text ORDER BY 1 LIMIT 1")
    hub.asked(f"ALTER DATABASE {hub.url.rsplit('/', 1)[1]} SET lock_timeout = '200ms'")
    with psycopg.connect(hub.url) as other:
        other.execute(f"LOCK TABLE {chunk} IN EXCLUSIVE MODE".encode())
        with pytest.raises(psycopg.Error, match=f"not packed: {chunk}: .*lock timeout"):
            hub.pack()
    assert hub.packed() == {DENSE: False, SPARSE: True}
    assert hub.pack() == {DENSE: True, SPARSE: True}


def test_hours_in_a_plain_table(hub: Hub) -> None:
    """Where hours are many they are no chunks until the operator makes them, and readings are packed all the same."""
    hub.asked("CREATE TABLE plain (LIKE window_1h INCLUDING ALL)")
    hub.asked("ALTER TABLE window_1h RENAME TO chunked; ALTER TABLE plain RENAME TO window_1h")
    hub.hear(DENSE, series=3, times=40)
    assert hub.pack() == {DENSE: True}
