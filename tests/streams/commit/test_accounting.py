"""The accounting of a batch: every reading meets exactly one fate, on its source's day of receipt."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import psycopg
from hypothesis import given
from hypothesis import strategies as st

from aggregates.store.store import Store
from ingest.vocabulary.batch import Batch, DeadLetter, columns
from ingest.vocabulary.readings import Reading
from lab.load.balances import balances
from streams.commit.accounting import accounts
from streams.commit.pipeline import Pipeline
from streams.commit.series import source_code

DAY = datetime(2024, 5, 1, tzinfo=UTC)
MIDNIGHT_US = int(DAY.timestamp()) * 1_000_000
ROW = np.dtype([("source", "i2"), ("received_at", "i8")])
SOURCES = ("ndw", "ttn")
came = st.lists(st.tuples(st.sampled_from(SOURCES), st.integers(0, 2), st.integers(0, 4)), max_size=40)


def letter(source: str, received: datetime = DAY) -> DeadLetter:
    """A message that could not be read."""
    return DeadLetter(source, f"stadspuls/{source}/x", b"?", "on purpose", received)


def account(fates: Sequence[tuple[str, int, int]], letters: Sequence[DeadLetter]) -> list[SimpleNamespace]:
    """Account for readings of (source, day, fate): stored, corrected, duplicate, frozen, or twice in one batch."""
    rows = np.array([(source_code(source), MIDNIGHT_US + day * 86_400_000_000) for source, day, _ in fates], ROW)
    fate = np.array([fate for _, _, fate in fates], dtype=np.int8)
    columns = accounts(rows, fate == 3, rows[fate < 3], fate[fate < 3], fate[fate < 3] == 1, letters)
    return [SimpleNamespace(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


@given(came, st.lists(st.sampled_from(SOURCES)))
def test_identity_holds_whatever_happened(fates: list[tuple[str, int, int]], dead: list[str]) -> None:
    """received = stored + duplicate + corrected + rejected, by source and day, and nothing is left out."""
    found = account(fates, [letter(source) for source in dead])
    for one in found:
        assert one.received == one.stored + one.duplicate + one.corrected + one.rejected
        here = [
            fate for source, day, fate in fates if (source, DAY.date() + timedelta(days=day)) == (one.source, one.day)
        ]
        buried = dead.count(one.source) if one.day == DAY.date() else 0
        assert (one.stored, one.corrected, one.ambiguous) == (here.count(0), here.count(1), here.count(1))
        assert (one.duplicate, one.rejected) == (here.count(2) + here.count(4), here.count(3) + buried)
    assert sum(one.received for one in found) == len(fates) + len(dead)


def test_nothing_is_no_account() -> None:
    """A batch without readings and letters accounts for nothing."""
    assert account([], []) == []


def test_day_is_the_utc_day_of_receipt(store: Store) -> None:
    """What arrives around midnight is on the day it arrived, whatever its own stamp and zone say."""
    reading = Reading("ndw/s", "", "vehicle_count", 60, DAY - timedelta(days=9), 1.0)
    before, after = DAY - timedelta(microseconds=1), DAY
    said = [reading, reading._replace(start=DAY - timedelta(days=8))]
    Pipeline(store).store(Batch(columns(said, [before, after]), (), [letter("ndw", before), letter("ttn", after)]))
    with psycopg.connect(store.conninfo) as connection:
        rows = connection.execute(
            "SELECT source, day, received, stored, rejected FROM accounting ORDER BY 1, 2"
        ).fetchall()
    assert rows == [
        ("ndw", date(2024, 4, 30), 2, 1, 1),
        ("ndw", date(2024, 5, 1), 1, 1, 0),
        ("ttn", date(2024, 5, 1), 1, 0, 1),
    ]


def test_batches_add_up(store: Store) -> None:
    """A redelivery counts again, as duplicate; a correction as corrected; the sum since ever is by source."""
    reading = Reading("ndw/s", "", "vehicle_count", 60, DAY, 1.0)
    pipeline = Pipeline(store)
    for said in ([reading, reading], [reading], [reading._replace(value=2.0, version=1)], [reading]):
        pipeline.store(Batch(columns(said, [DAY] * len(said)), (), [letter("ttn")]))
    ndw, ttn = balances(store)
    assert (ndw.received, ndw.stored, ndw.duplicate, ndw.corrected, ndw.rejected) == (5, 1, 3, 1, 0)
    assert (ttn.received, ttn.rejected) == (4, 4)
    assert ndw.holds
    assert ttn.holds


def test_a_reading_is_ambiguous_once(store: Store) -> None:
    """It counts when two values first contradict each other, in one batch or two, and not when they come again."""
    both = [Reading("ndw/s", "", "vehicle_count", 60, DAY, value) for value in (1.0, 2.0)]
    other = [one._replace(start=DAY + timedelta(minutes=1)) for one in both]
    pipeline, found = Pipeline(store), []
    for said in (both, both, other[:1], other[1:], other[:1]):
        pipeline.store(Batch(columns(said, [DAY] * len(said))))
        with psycopg.connect(store.conninfo) as connection:
            question = "SELECT sum(stored), sum(corrected), sum(duplicate), sum(ambiguous) FROM accounting"
            found += connection.execute(question).fetchall()
    assert found == [(1, 0, 1, 1), (1, 0, 3, 1), (2, 0, 3, 1), (2, 1, 3, 2), (2, 1, 4, 2)]


def test_failed_batch_is_not_accounted_for(store: Store) -> None:
    """The account is in the batch's own transaction: what was refused alone counts once, the batch not twice."""
    with psycopg.connect(store.conninfo, autocommit=True) as connection:
        connection.execute("ALTER TABLE reading ADD CONSTRAINT unlucky CHECK (value <> 13)")
    said = [Reading("ndw/s", "", "vehicle_count", 60, DAY + timedelta(minutes=at), float(at)) for at in range(20)]
    Pipeline(store).store(Batch(columns(said, [DAY] * 20), (), [letter("ndw")]))
    (balance,) = balances(store)
    assert (balance.received, balance.stored, balance.rejected, balance.holds) == (21, 19, 2, True)
