"""V85 and its neighbours: by hand, against numpy over the same vehicles, and refused where nobody can know."""

import gzip
import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from aggregates.ask.averages import read_averages
from aggregates.ask.listings import LISTS
from aggregates.ask.periods import Reporting
from aggregates.release.inquiry import Table, answer
from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store
from ingest.files.catalogue import Entry
from ingest.vocabulary.readings import Reading
from streams.commit.pipeline import Pipeline
from streams.rollup.retention import maintain
from streams.rollup.rollup import roll_up
from tests.streams.commit.test_pipeline import batch
from tests.support.apis import client_of, serving
from tests.support.commands import app
from tests.support.databases import ZONE

MONDAY = datetime(2024, 6, 2, 22, tzinfo=UTC)
LATER = datetime(2026, 7, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WEEK: dict[str, Any] = {"first": MONDAY, "last": MONDAY + 7 * DAY, "window": "1w", "period": "werkdag"}
BY_SPEED, SINGLE = "vehicle_count_by_speed", "vehicle_speed_single"


def stored(store: Store, *readings: Reading) -> None:
    """Store readings of sensors whose lanes are known, and roll them up."""
    Pipeline(store).store(batch(readings, received=LATER))
    lanes = {(one.sensor_id, one.channel.partition("/")[0]) for one in readings}
    import_sensors(store, [Entry(name, lanes=count) for name, count in Counter(name for name, _ in lanes).items()])
    roll_up(store, LATER)


def classes(counts: Mapping[str, float], sensor: str = "ndw/s", hours: int = 7 * 24) -> list[Reading]:
    """Give so many vehicles of each class of speed, every hour of a week."""
    starts = [MONDAY + at * HOUR for at in range(hours)]
    return [Reading(sensor, name, BY_SPEED, 3600, at, count) for name, count in counts.items() for at in starts]


def singles(speeds: NDArray[np.float64], **more: Any) -> list[Reading]:
    """Give vehicles one by one, spread evenly over a week."""
    steps = 7 * DAY / len(speeds)
    starts = [MONDAY + at * steps for at in range(len(speeds))]
    return [Reading("ndw/s", "/any", SINGLE, 0, *one, **more) for one in zip(starts, speeds.tolist(), strict=True)]


def asked(store: Store, quantity: str, percentile: float = 85, **more: Any) -> list[dict[str, Any]]:
    """Give the rows of a list of percentiles."""
    given = {**WEEK, "quantity": quantity, "percentile": percentile, **more}
    found = read_averages(store, None, 1000, reporting=Reporting(ZONE), **given)
    return pa.Table.from_batches(found, LISTS["percentiles"].columns).to_pylist()


class TestClasses:
    """Counts by class of speed."""

    def test_by_hand(self, store: Store) -> None:
        """10, 60, 25 and 5 of 100: 85 are 15 of the 25 into the class from 50 to 70, at 62 km/h."""
        stored(store, *classes({"/0-30": 10, "/30-50": 60, "/50-70": 25, "/70-": 5, "/any": 100}))
        (row,) = asked(store, BY_SPEED)
        assert (row["value"], row["unit"], row["vehicles"], row["readings"]) == (62, "km/h", 5 * 24 * 100, 5 * 24)
        assert (row["coverage"], row["valid"], row["valid_days"], row["reason"]) == (1, True, 5, None)
        assert [asked(store, BY_SPEED, one)[0]["value"] for one in (10, 40, 70, 95)] == [30, 40, 50, 70]
        (open_class,) = asked(store, BY_SPEED, 96)
        assert (open_class["value"], open_class["valid"]) == (None, False)
        assert open_class["reason"] == "it lies in the open class /70-"

    def test_lanes_with_classes_of_their_own(self, store: Store) -> None:
        """Lanes whose classes have other edges are added as lines; here half of each lane drives up to 40."""
        counts = {"lane1/0-40": 5, "lane1/40-80": 5, "lane2/0-20": 2, "lane2/20-60": 6, "lane2/60-80": 2}
        stored(store, *classes(counts))
        assert asked(store, BY_SPEED, 50)[0]["value"] == pytest.approx(40)

    def test_days_that_are_not_valid_are_left_out(self, store: Store) -> None:
        """Of Monday three hours are missing: its vehicles, all slow, are not among those that count."""
        fast = [one for one in classes({"/50-60": 10, "/0-10": 0}) if one.start >= MONDAY + DAY]
        stored(store, *fast, *classes({"/0-10": 100, "/50-60": 0}, hours=21))
        (row,) = asked(store, BY_SPEED)
        assert (row["value"], row["valid"], row["valid_days"], row["vehicles"]) == (58.5, True, 4, 4 * 24 * 10)
        assert (row["left_out"], row["coverage"]) == ("2024-06-03 too little covered", 0.975)

    def test_too_few_days_are_not_valid(self, store: Store) -> None:
        """Two days of five have a value, but it stands for no working day; nobody drove faster than its class."""
        stored(store, *classes({"/30-50": 10, "/50-70": 0}, hours=48))
        (row,) = asked(store, BY_SPEED)
        assert (row["value"], row["reason"], row["valid"], row["valid_days"]) == (47, None, False, 2)

    def test_part_of_the_day_and_profile(self, store: Store) -> None:
        """In the morning peak they drive slower; each hour of a profile has its own figure."""
        hours = classes({"/20-30": 100, "/50-60": 100})
        slow = [(one.start.hour in (5, 6)) == (one.channel == "/20-30") for one in hours]
        stored(store, *(one if is_so else one._replace(value=0.0) for one, is_so in zip(hours, slow, strict=True)))
        (peak,) = asked(store, BY_SPEED, period="werkdag-ochtendspits")
        assert (peak["value"], peak["hour"], peak["vehicles"]) == (28.5, 7, 5 * 2 * 100)
        assert [row["value"] for row in asked(store, BY_SPEED, profile="hour")] == [58.5] * 7 + [28.5] * 2 + [58.5] * 15

    def test_only_the_busiest_hour(self, store: Store) -> None:
        """Of `busiest` the hour with the most vehicles is given alone, in each week."""
        counts = classes({"/30-50": 10}, hours=14 * 24)
        stored(store, *(one._replace(value=60.0) if one.start.hour == 15 else one for one in counts))
        found = asked(store, BY_SPEED, profile="busiest", last=MONDAY + 14 * DAY)
        assert [(row["start"], row["hour"], row["vehicles"]) for row in found] == [
            (MONDAY, 17, 5 * 60), (MONDAY + 7 * DAY, 17, 5 * 60),
        ]  # fmt: skip

    def test_refused(self, store: Store) -> None:
        """A channel that is no class of speed, and too few vehicles: null, and the reason says what was found."""
        said = {"few": {"/30-50": 1.0}, "odd": {"/30-50": 1.0, "/fast": 1.0}, "turned": {"/50-30": 9.0}}
        stored(store, *(one for name, counts in said.items() for one in classes(counts, f"ndw/{name}")))
        few, odd, turned = asked(store, BY_SPEED)
        assert (few["value"], few["reason"]) == (None, "120 vehicles, expected at least 125")
        assert (odd["value"], odd["reason"]) == (None, "channel /fast is no class of speed, expected as /30-40 or /70-")
        assert "channel /50-30 is no class of speed" in turned["reason"]


class TestSingleVehicles:
    """The speed of one vehicle a reading."""

    def test_numpy_gives_the_same(self, store: Store) -> None:
        """The nearest rank of numpy over the vehicles of working days; of how much of the days nobody knows."""
        speeds = np.random.default_rng(3).normal(48, 9, 2000).round(1)
        stored(store, *singles(speeds))
        working = speeds[: 2000 * 5 // 7 + 1]
        for percentile in (15, 50, 85):
            (row,) = asked(store, SINGLE, percentile)
            assert row["value"] == np.percentile(working, percentile, method="inverted_cdf")
        assert (row["vehicles"], row["readings"], row["coverage"]) == (len(working), len(working), None)
        assert (row["valid"], row["reason"]) == (False, "coverage not known")

    def test_as_classes_they_give_the_same_within_a_class(self, store: Store) -> None:
        """The same vehicles counted by classes of 5 km/h: V85 is less than a class away."""
        speeds = np.random.default_rng(4).normal(48, 9, 168 * 20)
        counts = {f"/{low}-{low + 5}": np.histogram(speeds, [low, low + 5])[0][0] / 168 for low in range(0, 130, 5)}
        stored(store, *classes(counts), *singles(speeds))
        (by_class,), (single,) = asked(store, BY_SPEED), asked(store, SINGLE)
        assert by_class["value"] == pytest.approx(single["value"], abs=1)

    def test_means_are_refused(self, store: Store) -> None:
        """A reading of three vehicles is no single one."""
        stored(store, *singles(np.full(700, 50.0), weight=3))
        (row,) = asked(store, SINGLE)
        assert row["reason"] == "500 readings of 1500 vehicles: not one each, or no longer stored"

    def test_readings_that_are_deleted_are_missed(self, store: Store) -> None:
        """What the retention has deleted cannot be told apart any more: the figure is refused, not made of the rest."""
        stored(store, *singles(np.full(700, 50.0)))
        assert maintain(store, LATER + 40 * DAY, timedelta(days=30))
        (row,) = asked(store, SINGLE)
        said = "0 readings of 500 vehicles: not one each, or no longer stored"
        assert (row["value"], row["readings"], row["reason"]) == (None, 500, said)


def test_a_mean_is_no_distribution(store: Store) -> None:
    """Mean speeds, and the V85 of a supplier, give no percentile."""
    for quantity in ("vehicle_speed", "vehicle_speed_v85", "bicycle_speed"):
        hours = classes({"lane1/any": 50})
        stored(store, *(one._replace(quantity=quantity, weight=200.0) for one in hours))
        (row,) = asked(store, quantity)
        assert (row["value"], row["valid"], row["readings"]) == (None, False, 5 * 24)
        assert "of means no percentile can be made" in row["reason"]


def test_api_command_and_release_say_the_same(store: Store) -> None:
    """The list of the API page by page, `query --percentile` and a table of a release."""
    stored(store, *classes({"/0-50": 50, "/50-60": 50}, "ndw/a"), *classes({"/0-50": 10, "/50-60": 10}, "ndw/b"))
    wanted = [("ndw/a", 57.0, 12000), ("ndw/b", 57.0, 2400)]
    span = {"from": "2024-06-03", "to": "2024-06-10", "window": "1w", "period": "werkdag"}
    query: dict[str, Any] = {"quantity": BY_SPEED, "percentile": 85, **span}
    with client_of(serving(store.conninfo)) as client:
        page = client.get("/percentiles", params=query | {"limit": 1}).json()
        rows = page["items"] + client.get("/percentiles", params=query | {"cursor": page["next"]}).json()["items"]
        assert client.get("/percentiles", params=query | {"percentile": 100}).status_code == 400
        assert "57" in client.get("/percentiles", params=query | {"format": "csv-nl"}).text
    flags = [f"--{name}={value}" for name, value in query.items()]
    printed = CliRunner().invoke(app, ["query", *flags, "--format=json", f"--database={store.conninfo}"]).stdout
    days = date(2024, 6, 3), date(2024, 6, 10)
    table = Table("v85", BY_SPEED, kind="averages", window="1w", period="werkdag", percentile=85)
    frozen = answer(store, table.settled(store, days), days, Reporting(ZONE)).to_pylist()
    for found in (rows, json.loads(printed), frozen):
        assert [(one["sensor_id"], one["value"], one["vehicles"]) for one in found] == wanted


@pytest.mark.shared
def test_recorded_classes_give_the_suppliers_v85(store: Store, shared_data: Path) -> None:
    """A month of Telraam, shares of cars by classes of 5 km/h: of hours with enough cars our V85 is its own."""
    path = shared_data / "telraam/karlsruhe_9000008311_2025-09.json.gz"
    hours = [one for one in json.loads(gzip.decompress(path.read_bytes()))["data"] if one["v85"]]
    cars = {datetime.fromisoformat(one["date"]): one["car"] * one["uptime"] for one in hours}
    edges = [f"/{low}-{'' if low == 120 else low + 5}" for low in range(0, 125, 5)]
    stored(store, *(
        Reading("telraam/s", edge, BY_SPEED, 3600, start, share * count / 100)
        for one, (start, count) in zip(hours, cars.items(), strict=True)
        for edge, share in zip(edges, one["car_speed_hist_0to120plus"], strict=True)
    ))  # fmt: skip
    first, last = (datetime(2025, month, day, 22, tzinfo=UTC) for month, day in ((8, 31), (9, 30)))
    found = asked(store, BY_SPEED, first=first, last=last, window="1d", period="weekdag", profile="hour")
    ours = {row["start"] + row["hour"] * HOUR: row["value"] for row in found if row["value"] is not None}
    assert len(ours) == sum(count >= 125 for count in cars.values()) == 19
    theirs = {start: one["v85"] for start, one in zip(cars, hours, strict=True)}
    assert max(abs(value - theirs[start]) for start, value in ours.items()) <= 1
