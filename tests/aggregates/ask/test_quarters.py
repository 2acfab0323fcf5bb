"""Quarters of an hour: the 5-minute rows of each together, of channels and of sensors, however the question is cut."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from aggregates.ask.dates import BadQuestion
from aggregates.ask.query import Question, ask
from aggregates.store.store import Store
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.readings import Reading
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up
from tests.support.databases import fresh_database

BEGIN, MINUTE = datetime(2024, 5, 1, 8, tzinfo=UTC), timedelta(minutes=1)
LATER = datetime(2024, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def store(postgres: str) -> Iterator[Store]:
    """Two lanes of minutes without 10 of them, a counter that sends quarters, one that sends hours; rolled up."""
    with fresh_database(postgres) as url, closing(Store(url)) as store:
        lanes = [
            Reading("ndw/s", f"lane{lane}", "vehicle_count", 60, BEGIN + at * MINUTE, float(at % 7 + lane))
            for lane in (1, 2)
            for at in range(120)
            if not 30 <= at < 40
        ]
        slow = [
            Reading(f"ndw/{period}", "", "bicycle_count", period, BEGIN + at * period * MINUTE / 60, 10.0 + at)
            for period in (900, 3600)
            for at in range(4)
        ]
        Pipeline(store).store(Batch(columns([*lanes, *slow], [LATER] * (len(lanes) + len(slow)))))
        roll_up(store, LATER)
        yield store


def quarters(store: Store, quantity: str, first: datetime, last: datetime, window: str = "15m") -> pd.DataFrame:
    """Ask for what each sensor counted."""
    return ask(store, Question(quantity, first, last, window))


def test_quarter_is_its_three_5_minute_windows(store: Store) -> None:
    """Counts, evidence and coverage; where minutes lack, it is not valid and says how much it saw."""
    last = BEGIN + timedelta(hours=2)
    shorter = quarters(store, "vehicle_count", BEGIN, last, "5m")
    folded = shorter.groupby(shorter["start"].dt.floor("15min"))
    found = quarters(store, "vehicle_count", BEGIN, last).set_index("start")
    assert len(found) == 8
    for column in ("value", "readings"):
        assert found[column].tolist() == folded[column].sum().tolist()
    assert found["coverage"].tolist() == [1, 1, 1 / 3, 1, 1, 1, 1, 1]
    lanes = ask(store, Question("vehicle_count", BEGIN, last, "15m", channels=True))
    assert lanes["channel"].unique().tolist() == ["lane1", "lane2"]
    assert lanes["valid"].tolist() == [coverage == 1 for coverage in lanes["coverage"]]
    assert (found["end"] - found.index == pd.Timedelta("15min")).all()
    assert found["minimum"].min() == shorter["minimum"].min()


@pytest.mark.parametrize("begin", [0, 5, 14, 20])
def test_range_takes_whole_quarters_that_start_in_it(store: Store, begin: int) -> None:
    """One that began before the range is left out, one that ends behind it is whole."""
    first, last = BEGIN + begin * MINUTE, BEGIN + 50 * MINUTE
    every = quarters(store, "vehicle_count", BEGIN, BEGIN + timedelta(hours=2))
    found = quarters(store, "vehicle_count", first, last)
    wanted = every[(every["start"] >= first) & (every["start"] < last)].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, wanted)


def test_counter_of_quarters_is_shown_and_one_of_hours_is_not(store: Store) -> None:
    """A level shorter than the reading's period is not shown."""
    found = quarters(store, "bicycle_count", BEGIN, BEGIN + timedelta(hours=4))
    assert found["sensor_id"].unique().tolist() == ["ndw/900"]
    assert found["value"].tolist() == [10, 11, 12, 13]
    assert found["valid"].all()


def test_area_has_no_quarters() -> None:
    """Areas have hours and days; their sensors have quarters."""
    with pytest.raises(BadQuestion, match="15m"):
        Question("bicycle_count", BEGIN, LATER, "15m", area="BU00140002")
    Question("bicycle_count", BEGIN, LATER, "15m", area="BU00140002", members=True)
