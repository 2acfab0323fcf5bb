"""The soak: its readings are told apart as late and corrected, and a tiny run measures everything and proves it."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from aggregates.store.store import Store
from hub.settings.layers import load
from lab.load.balances import balances
from lab.soak.history import HELD_BACK, OWN, History
from lab.soak.samples import Samples
from lab.soak.soak import soak
from streams.commit.pipeline import Pipeline

BEGIN = datetime(2024, 5, 1, tzinfo=UTC)


def _keys(readings: pa.RecordBatch) -> set[tuple[object, ...]]:
    names = ("sensor_id", "quantity", "channel", "start")
    return set(zip(*(readings.column(name).to_pylist() for name in names), strict=True))


def test_late_readings_are_those_that_the_whole_lacks(store: Store) -> None:
    """Together they are every step of every series, and no reading is in both."""
    history = History(store, 12, 60, BEGIN)
    what = 120, 60, range(3)
    whole, late = (_keys(one(*what).readings) for one in (history.whole, history.late))
    assert not whole & late
    assert len(whole | late) == 3 * OWN * 60
    assert 0 < len(late) <= 3 * OWN * (60 // HELD_BACK + 1)


def test_a_correction_changes_counts_and_repeats_speeds(store: Store) -> None:
    """The accounting has as many corrected readings as counts were sent again, and nothing is refused."""
    history, pipeline = History(store, 40, 60, BEGIN), Pipeline(store)
    for batch in (history.whole(0, 60, range(10)), corrected := history.corrected(0, 60, range(10))):
        pipeline.store(batch)
    (found,) = balances(store)
    assert (found.corrected, found.duplicate, found.rejected) == (len(corrected) / 2, len(corrected) / 2, 0)
    assert found.corrected > 0


def test_a_day_has_its_peaks(store: Store) -> None:
    """More vehicles pass at eight in the morning than at three in the night, and a speed comes with each count."""
    history = History(store, 40, 60, BEGIN)
    night, peak = (history.whole(hour * 60, 60, range(10)).readings.to_pandas() for hour in (3, 8))
    at_night, at_eight = (one[one["quantity"] == "vehicle_count"]["value"].sum() for one in (night, peak))
    assert at_eight > 3 * at_night
    assert peak[peak["quantity"] == "vehicle_speed"]["weight"].sum() == at_eight


def test_samples_are_of_a_span() -> None:
    """What began before or after counts for nothing."""
    samples = Samples()
    for moment, seconds in [(1, 9.0), (2, 0.001), (3, 0.003), (4, 9.0)]:
        samples.add("a", moment, seconds)
    assert samples.ms((2, 4)) == {"a": {"count": 2, "p50": 2.0, "p99": pytest.approx(2.98)}}


@pytest.mark.slow
def test_a_tiny_soak(tmp_path: Path) -> None:
    """Every figure is measured at the beginning and at the end, all readings are accounted for, all windows agree."""
    result = soak(load({"data_dir": tmp_path / "data"}, tmp_path), series=16, days=2, period=20, seconds=9)
    details = result.details
    beginning, end = details["ms_beginning"], details["ms_end"]
    assert isinstance(beginning, dict)
    assert isinstance(end, dict)
    figures = {"alert", "ask for a box", "ask for alerts", "ask for an hour of all", "ask for latest", "yardstick",
               "ask for one sensor", "roll-up of a whole hour", "commit of live readings"}  # fmt: skip
    assert figures <= beginning.keys() & end.keys()
    assert (details["accounted"], details["windows_that_differ"]) == (True, 0)
    assert int(str(details["windows_compared"])) > 24 * 12 * 16
