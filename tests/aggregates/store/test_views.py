"""Figures out of evidence: the views aggregate_* and sensor_* over stored readings."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest
from msgspec.structs import replace
from psycopg.rows import dict_row

from aggregates.store.catalogue import import_sensors
from aggregates.store.migrate import migrate
from aggregates.store.store import Store
from ingest.files.catalogue import Entry
from ingest.formats.decode import decode
from ingest.vocabulary import sources
from ingest.vocabulary.air_index import INDICES
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.readings import Message, Reading, SensorFact
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up
from tests.support.indices import index_of_hour

HOUR = datetime(2024, 5, 1, 8, tzinfo=UTC)
LATER = datetime(2024, 12, 1, tzinfo=UTC)
Row = dict[str, Any]


class City:
    """A store that is fed and asked."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def receive(self, readings: Sequence[Reading], *facts: SensorFact, now: datetime = LATER) -> "City":
        """Store readings and roll up what closed by `now`."""
        Pipeline(self.store).store(Batch(columns(readings, [LATER] * len(readings)), facts))
        roll_up(self.store, now)
        return self

    def rows(self, view: str) -> list[Row]:
        """Give all rows of a view in order."""
        with psycopg.connect(self.store.conninfo, row_factory=dict_row) as connection:
            connection.execute("SET timezone = 'UTC'")
            question = f"SELECT * FROM {view} ORDER BY sensor_id, quantity, channel, start"
            return connection.execute(question.encode()).fetchall()

    def one(self, view: str, **expected: object) -> Row:
        """Give the only row of a view, and hold it against what is expected."""
        (row,) = self.rows(view)
        for name, value in expected.items():
            assert row[name] == (pytest.approx(value) if isinstance(value, float) else value), (name, row)
        return row


@pytest.fixture
def city(store: Store) -> City:
    """An empty store."""
    return City(store)


def minutes(
    values: Sequence[float | None],
    quantity: str = "vehicle_count",
    channel: str = "",
    sensor: str = "stadspuls/s",
    start: datetime = HOUR,
    weight: float = 1.0,
) -> list[Reading]:
    """Give the minutes of an hour, one for each value."""
    return [
        Reading(
            sensor, channel, quantity, 60, start + timedelta(minutes=at), value, weight if value is not None else 0.0
        )
        for at, value in enumerate(values)
    ]


def hours(
    values: Sequence[float], start: datetime, quantity: str = "no2", sensor: str = "luchtmeetnet/s", **more: Any
) -> list[Reading]:
    """Give hours, one for each value."""
    return [
        Reading(sensor, "", quantity, 3600, start + timedelta(hours=at), value, **more)
        for at, value in enumerate(values)
    ]


class TestFigures:
    """One series."""

    def test_sum_has_value_and_estimate(self, city: City) -> None:
        """46 of 60 minutes: the value comes out 23 % low and is not valid, the estimate is right."""
        city.receive(minutes([10.0] * 46)).one("aggregate_1h", value=460, estimate=600, readings=46, valid=False)
        assert city.rows("aggregate_1h")[0]["coverage"] == pytest.approx(46 / 60)

    def test_estimate_of_a_full_window_is_its_value(self, city: City) -> None:
        """55 vehicles in 5 whole minutes are 55, not 54.99999999999999."""
        city.receive(minutes([11] * 5)).one("aggregate_5m", value=55, estimate=55, coverage=1)

    def test_mean_is_over_its_readings(self, city: City) -> None:
        """A mean has no estimate, and 45 of 60 minutes make it valid."""
        values = [20.0 if at % 2 else 40.0 for at in range(44)] + [30.0]
        row = city.receive(minutes(values, "no2")).one("aggregate_1h", value=30, coverage=0.75, valid=True)
        assert (row["estimate"], row["minimum"], row["maximum"]) == (None, 20, 40)

    def test_speed_is_weighted_and_has_a_space_mean(self, city: City) -> None:
        """Ten vehicles at 30 and thirty at 90: 75 km/h on average, 60 km/h in space."""
        slow = minutes([30.0] * 30, "vehicle_speed", weight=10.0)
        fast = minutes([90.0] * 30, "vehicle_speed", weight=30.0, start=HOUR + timedelta(minutes=30))
        city.receive(slow + fast).one("aggregate_1h", value=75, space_mean=60, coverage=1, valid=True)

    def test_three_states_of_a_speed(self, city: City) -> None:
        """Nobody passed: covered with weight 0; a failure covers nothing; the mean is of those who passed."""
        readings = minutes([50.0, *[None] * 55], "vehicle_speed", weight=4.0)
        failed = [one._replace(value=None, weight=0.0, flags=1) for one in minutes([0.0] * 60, "vehicle_speed")[56:]]
        city.receive(readings + failed).one(
            "aggregate_1h", value=50, weight=4, readings=1, nothing=55, failed=4, coverage=56 / 60, valid=True
        )

    def test_hour_without_a_vehicle_is_valid_and_has_no_speed(self, city: City) -> None:
        """Observed all the time, nothing to measure: the window is valid and its value null."""
        row = city.receive(minutes([None] * 60, "vehicle_speed")).one(
            "aggregate_1h", readings=0, coverage=1, valid=True
        )
        assert (row["value"], row["space_mean"], row["minimum"]) == (None, None, None)

    def test_speeds_without_weight_have_no_mean(self, city: City) -> None:
        """A value that stands for no vehicle divides nothing by nothing."""
        row = city.receive(minutes([50.0] * 60, "vehicle_speed", weight=0.0)).one("aggregate_1h", readings=60)
        assert (row["value"], row["space_mean"]) == (None, None)

    def test_flagged_values_cover_nothing(self, city: City) -> None:
        """An excluded value is in the evidence, and in no figure."""
        readings = minutes([10.0] * 54 + [1e7] * 6)
        city.receive(readings).one("aggregate_1h", value=540, flagged=6, maximum=10, coverage=0.9, valid=True)

    @pytest.mark.parametrize(("covered", "valid"), [(2700.0, True), (2699.0, False)])
    def test_air_hour_needs_75_percent(self, city: City, covered: float, valid: bool) -> None:
        """45 minutes make an hour of air valid."""
        city.receive(hours([12.0], HOUR, covers=covered)).one("aggregate_1h", value=12, valid=valid)

    def test_unknown_covers_is_no_coverage(self, city: City) -> None:
        """An instant of which nobody knows what it stands for gives a value without coverage, not valid."""
        instants = [Reading("fiware/s", "", "no2", 0, HOUR + timedelta(minutes=at), 5.0) for at in range(60)]
        for view in ("aggregate_1h", "sensor_1h"):
            city.receive(instants).one(view, value=5, readings=60, coverage=None, valid=False)

    def test_more_than_covered_is_covered(self, city: City) -> None:
        """Coverage ends at 1."""
        city.receive(minutes([1.0] * 60, "no2"), SensorFact("stadspuls/s"))
        twice = [one._replace(period=0, covers=120.0, sensor_id="stadspuls/t") for one in minutes([1.0] * 60, "no2")]
        assert [row["coverage"] for row in city.receive(twice).rows("aggregate_1h")] == [1, 1]


class TestLevels:
    """Which levels a series is shown at."""

    @pytest.mark.parametrize(
        ("period", "shown"), [(60, [1, 1, 1]), (300, [1, 1, 1]), (600, [0, 1, 1]), (3600, [0, 1, 1]), (7200, [0, 0, 1])]
    )
    def test_shorter_level_than_the_period_is_not_shown(self, city: City, period: int, shown: list[int]) -> None:
        """A 10-minute value has no figure for 5 minutes, an hourly one appears at hours and days."""
        city.receive([Reading("luchtmeetnet/s", "", "no2", period, HOUR, 5.0)])
        for level, count in zip(("5m", "1h", "1d"), shown, strict=True):
            assert len(city.rows(f"aggregate_{level}")) == len(city.rows(f"sensor_{level}")) == count

    def test_daily_value_makes_its_own_day(self, city: City) -> None:
        """One reading of a day, from midnight at UTC+1, is a whole valid day."""
        start = datetime(2024, 4, 30, 23, tzinfo=UTC)
        city.receive([Reading("luchtmeetnet/s", "", "pm10", 86400, start, 21.0)])
        city.one("aggregate_1d", value=21, start=start, coverage=1, valid=True)
        assert city.rows("aggregate_1h") == []

    def test_running_hour_is_what_will_be_rolled_up(self, city: City) -> None:
        """The live figures of an hour are those of its row afterwards, late 5 minutes included."""
        speeds = minutes([40.0, 60.0, None, 80.0], "vehicle_speed", weight=3.0)
        city.receive(minutes([3.0] * 20) + speeds, now=HOUR + timedelta(minutes=30))
        city.receive(minutes([4.0] * 20, start=HOUR + timedelta(minutes=20)), now=HOUR + timedelta(minutes=50))
        running = [_figures(row) for view in ("aggregate_1h", "sensor_1h") for row in city.rows(view)]
        assert city.rows("window_1h JOIN series USING (series)") == []
        city.receive([], now=HOUR + timedelta(minutes=62))
        assert len(city.rows("window_1h JOIN series USING (series)")) == 2
        assert [_figures(row) for view in ("aggregate_1h", "sensor_1h") for row in city.rows(view)] == running


def _figures(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in ("revision", "computed_at", "running")}


def _days() -> Iterator[tuple[str, str, datetime, int]]:
    """Kind of day, quantity, its start, its hours; the clocks change on 31 March and 27 October 2024."""
    for start, length in [(datetime(2024, 3, 30, 23, tzinfo=UTC), 23), (datetime(2024, 5, 1, 22, tzinfo=UTC), 24),
                          (datetime(2024, 10, 26, 22, tzinfo=UTC), 25)]:  # fmt: skip
        yield "civil", "bicycle_count", start, length
    for day in (30, 31):
        yield "cet", "no2", datetime(2024, 3, day, 23, tzinfo=UTC), 24


class TestDays:
    """Civil days of traffic, fixed days of air."""

    @pytest.mark.parametrize(("kind", "quantity", "start", "length"), list(_days()))
    def test_day_has_its_own_hours(self, city: City, kind: str, quantity: str, start: datetime, length: int) -> None:
        """A day begins and ends at its own midnight, is as long as it is, and full when every hour is there."""
        readings = hours([2.0] * (length + 2), start - timedelta(hours=1), quantity)
        before, day, after = city.receive(readings).rows("aggregate_1d")
        assert (day["start"], day["end"]) == (start, start + timedelta(hours=length))
        assert (day["readings"], day["length"], day["coverage"], day["valid"]) == (length, length * 3600, 1, True)
        assert day["value"] == (2.0 * length if kind == "civil" else 2.0)
        assert (before["readings"], before["valid"], after["readings"]) == (1, False, 1)

    @pytest.mark.parametrize(("count", "valid"), [(17, False), (18, True)])
    def test_air_day_needs_18_valid_hours(self, city: City, count: int, valid: bool) -> None:
        """Eighteen hours that are valid themselves; half hours do not add up to them."""
        start = datetime(2024, 4, 30, 23, tzinfo=UTC)
        halves = hours([5.0] * (24 - count), start + timedelta(hours=count), covers=1800.0)
        city.receive(hours([5.0] * count, start) + halves).one("aggregate_1d", readings=24, valid=valid)

    @pytest.mark.parametrize(("count", "valid"), [(21, False), (22, True)])
    def test_traffic_day_needs_90_percent(self, city: City, count: int, valid: bool) -> None:
        """A day of counts is valid from 90 % of its own length, and its estimate is for all of it."""
        readings = hours([100.0] * count, datetime(2024, 4, 30, 22, tzinfo=UTC), "vehicle_count", "ndw/s")
        city.receive(readings).one("aggregate_1d", value=100 * count, estimate=2400, valid=valid)


def hour_of(
    channel: str, value: float, quantity: str = "vehicle_count", period: int = 3600, sensor: str = "ndw/s", **more: Any
) -> Reading:
    """An hour of a channel of a sensor."""
    return Reading(sensor, channel, quantity, period, HOUR, value, **more)


class TestSensorFigure:
    """What a sensor counted."""

    def test_any_is_never_added_to_its_classes(self, city: City) -> None:
        """Where a lane has a total it is that; a lane without one is the sum of its classes; lanes add up."""
        city.receive(
            [hour_of("lane1/any", 100), hour_of("lane1/car", 90), hour_of("lane1/truck", 10),
             hour_of("lane2/car", 40), hour_of("lane2/truck", 2)],
            SensorFact("ndw/s", lanes=2),
        ).one("sensor_1h", channel="", value=142, lanes=2, lanes_expected=2, coverage=1, valid=True)  # fmt: skip

    def test_one_channel_is_its_own_figure(self, city: City) -> None:
        """A sensor with one channel needs no catalogue, whatever the channel's name."""
        city.receive([hour_of("", 100)]).one("sensor_1h", value=100, lanes_expected=1, valid=True)

    @pytest.mark.parametrize("channel", ["any", "lane1/any"])
    def test_one_named_channel_is_its_own_figure(self, city: City, channel: str) -> None:
        """The same for a channel with a name."""
        city.receive([hour_of(channel, 100)]).one("sensor_1h", value=100, lanes_expected=1, valid=True)

    def test_unknown_lanes(self, city: City) -> None:
        """Neither catalogue nor layout: the value is given, lanes expected is null, and it is not valid."""
        city.receive([hour_of("lane1", 100), hour_of("lane2", 50)]).one(
            "sensor_1h", value=150, lanes=2, lanes_expected=None, coverage=1, valid=False
        )

    def test_inferred_layout_sets_the_lanes(self, city: City) -> None:
        """The supplier's layout counts until the catalogue has another one."""
        given = [hour_of("lane1", 100), hour_of("lane2", 50)]
        city.receive(given, SensorFact("ndw/s", lanes=2, inferred=True)).one("sensor_1h", lanes_expected=2, valid=True)
        import_sensors(city.store, [Entry("ndw/s", lanes=3)])
        city.one("sensor_1h", value=150, lanes_expected=3, coverage=2 / 3, valid=False)

    def test_chips_of_one_box_are_not_averaged(self, city: City) -> None:
        """Of a box with a heated inlet the weather chip tells the air, alone or not, and is valid."""
        for channel, degrees, percent in (("BME280", 7.5, 82.0), ("HECA", 20.5, 37.0)):
            box = "sensor_community/esp8266-1004"
            city.receive(
                [
                    hour_of(channel, degrees, "temperature", sensor=box),
                    hour_of(channel, percent, "humidity", sensor=box),
                ]
            )
            found = [(row["quantity"], row["value"], row["valid"]) for row in city.rows("sensor_1h")]
            assert found == [("humidity", 82, True), ("temperature", 7.5, True)]

    def test_report_of_a_box_with_a_heated_inlet(self, city: City) -> None:
        """The report itself, as a box sends it: 7.5 degC and 82 %."""
        payload = (
            b'{"esp8266id": "1004", "sensordatavalues": [{"value_type": "HECA_humidity", "value": "37.0"},'
            b'{"value_type": "BME280_temperature", "value": "7.50"},'
            b'{"value_type": "BME280_humidity", "value": "82.0"},'
            b'{"value_type": "HECA_temperature", "value": "20.50"}]}'
        )
        Pipeline(city.store).store(decode([Message("stadspuls/sensor_community/nam", payload, LATER)]))
        roll_up(city.store, LATER + timedelta(hours=2))
        assert [(row["quantity"], row["value"]) for row in city.rows("sensor_1h")] == [
            ("humidity", 82), ("temperature", 7.5),
        ]  # fmt: skip

    def test_heated_inlet_alone_is_no_figure(self, city: City) -> None:
        """What is not among the alternatives never stands for its sensor, also where it is the only channel."""
        city.receive([hour_of("HECA", 20.5, "temperature", sensor="sensor_community/1")])
        assert (city.rows("sensor_1h"), len(city.rows("aggregate_1h"))) == ([], 1)

    def test_source_that_leaves_a_channel_out_later(self, city: City, monkeypatch: pytest.MonkeyPatch) -> None:
        """A mapping file that names alternatives after the first readings came: the others are figures no more."""
        city.receive([hour_of("cellar", 20.5, "temperature")]).one("sensor_1h", value=20.5)
        monkeypatch.setitem(sources._sources, "ndw", replace(sources.SOURCES["ndw"], channels=["street"]))
        migrate(city.store, "Europe/Amsterdam")
        assert (city.rows("sensor_1h"), len(city.rows("aggregate_1h"))) == ([], 1)

    def test_next_alternative_where_the_first_is_not_valid(self, city: City) -> None:
        """An hour that the better chip covers by a third is the other chip's."""
        given = [hour_of("BME280", 7.5, "temperature", sensor="sensor_community/1", covers=1200.0)]
        city.receive(given).one("sensor_1h", value=7.5, valid=False)
        city.receive([hour_of("", 8.5, "temperature", sensor="sensor_community/1")])
        city.one("sensor_1h", value=8.5, lanes=1, lanes_expected=1, coverage=1, valid=True)

    def test_what_nobody_called_alike_has_no_mean(self, city: City) -> None:
        """A probe in the ground and one in the air are two series; the catalogue may prefer one, or weigh both."""
        city.receive([hour_of("soil", 4.0, "temperature"), hour_of("", 8.0, "temperature")])
        assert (city.rows("sensor_1h"), len(city.rows("aggregate_1h"))) == ([], 2)
        for channels, value in (("- soil", 8.0), ("soil", 4.0), ("lanes", 6.0)):
            import_sensors(city.store, [Entry("ndw/s", channels=channels, lanes=2)])
            city.one("sensor_1h", value=value, valid=True)
        import_sensors(city.store, [Entry("ndw/s", channels="separate")])
        assert city.rows("sensor_1h") == []

    def test_two_instruments_that_count_one_road(self, city: City) -> None:
        """Counts of channels add up, unless the catalogue calls them alternatives."""
        city.receive([hour_of("radar", 100.0), hour_of("tube", 98.0)]).one("sensor_1h", value=198)
        import_sensors(city.store, [Entry("ndw/s", channels="radar tube")])
        city.one("sensor_1h", value=100, valid=True)

    def test_missing_lane_makes_it_not_valid(self, city: City) -> None:
        """A lane without readings is missing from value and coverage, and the figure is not valid."""
        city.receive([hour_of("lane1", 100)], SensorFact("ndw/s", lanes=2)).one(
            "sensor_1h", value=100, lanes=1, lanes_expected=2, coverage=0.5, valid=False
        )

    def test_lane_that_is_not_valid_makes_it_not_valid(self, city: City) -> None:
        """Every expected lane must be valid by itself."""
        given = [hour_of("lane1", 100), hour_of("lane2", 20, covers=1800.0)]
        city.receive(given, SensorFact("ndw/s", lanes=2)).one("sensor_1h", value=120, estimate=140, valid=False)

    def test_speeds_are_weighted_by_count(self, city: City) -> None:
        """Over lanes and over classes a speed is weighted by its vehicles."""
        city.receive(
            [hour_of("lane1/any", 50, "vehicle_speed", weight=30.0), hour_of("lane1/car", 1, "vehicle_speed"),
             hour_of("lane2/car", 90, "vehicle_speed", weight=9.0), hour_of("lane2/truck", 80, "vehicle_speed")],
            SensorFact("ndw/s", lanes=2),
        ).one("sensor_1h", value=(1500 + 810 + 80) / 40, minimum=50, maximum=90, valid=True)  # fmt: skip
        (row,) = city.rows("sensor_1h")
        assert row["space_mean"] == pytest.approx(40 / (30 / 50 + 9 / 90 + 1 / 80))

    def test_other_means_by_covered_time(self, city: City) -> None:
        """An occupancy that was seen for half an hour weighs half."""
        given = [hour_of("lane1", 30, "occupancy"), hour_of("lane2", 60, "occupancy", covers=1800.0)]
        city.receive(given, SensorFact("ndw/s", lanes=2)).one("sensor_1h", value=40, coverage=0.75, valid=False)

    def test_most_coverage_wins_and_the_shorter_a_tie(self, city: City) -> None:
        """Of two periods of a channel one is taken, never both."""
        few = [hour_of("", 7.0, period=60), hour_of("", 100.0)]
        city.receive(few).one("sensor_1h", value=100, readings=1)
        all_minutes = minutes([3.0] * 60, sensor="ndw/s")
        city.receive(all_minutes[1:]).one("sensor_1h", value=7 + 3 * 59, readings=60)

    def test_index_channels_sum_with_nothing(self, city: City) -> None:
        """A raw index nobody understands is shown as a series, and in no sensor's figure."""
        city.receive([hour_of("index7", 100), hour_of("index8", 100)])
        assert city.rows("sensor_1h") == []
        assert len(city.rows("aggregate_1h")) == 2
        city.receive([hour_of("lane1/any", 10)], SensorFact("ndw/s", lanes=1)).one("sensor_1h", value=10, valid=True)

    def test_unknown_covers_of_one_lane(self, city: City) -> None:
        """Coverage of the sensor is unknown when that of a lane is; the value is still the sum."""
        given = [hour_of("lane1", 100), hour_of("lane2", 50, period=0)]
        city.receive(given, SensorFact("ndw/s", lanes=2)).one("sensor_1h", value=150, coverage=None, valid=False)

    def test_quantities_are_apart(self, city: City) -> None:
        """A count and a speed of one sensor are two figures."""
        city.receive([hour_of("", 10), hour_of("", 50, "vehicle_speed", weight=10.0)])
        assert [(row["quantity"], row["value"]) for row in city.rows("sensor_1h")] == [
            ("vehicle_count", 10), ("vehicle_speed", 50),
        ]  # fmt: skip


def hours_of_air() -> Iterator[dict[str, float]]:
    """Give the means of an hour: every bound and just above it alone; all substances in one band, less one, one odd."""
    for index in INDICES.values():
        for quantity, bounds in index.bounds.items():
            yield from ({quantity: value} for bound in bounds for value in (bound, np.nextafter(bound, np.inf)))
        ladder = {quantity: (*bounds, bounds[-1] + 1) for quantity, bounds in index.bounds.items()}
        first = next(iter(ladder))
        for band in range(len(ladder[first])):
            alike = {quantity: bounds[band] for quantity, bounds in ladder.items()}
            yield alike
            yield {quantity: value for quantity, value in alike.items() if quantity != first}
            yield {**alike, first: ladder[first][band - 1]}
    yield {"co": 1.0}


def test_index_views_equal_the_code(store: Store) -> None:
    """
    Both indices of many hours, of stations and of areas, are those of `ingest.vocabulary.air_index`, with the +1 rule.

    The worst substance is one that decides, and only what the index knows is named.
    """
    cases = [{quantity: float(value) for quantity, value in case.items()} for case in hours_of_air()]
    given = [one for at, case in enumerate(cases) for quantity, value in case.items()
            for one in hours([value], HOUR, quantity, f"luchtmeetnet/{at}")]  # fmt: skip
    City(store).receive(given)
    expected = {
        (str(at), name): (index, [one for one in sorted(case) if one in INDICES[name].bounds])
        for at, case in enumerate(cases) for name in INDICES
        if (index := index_of_hour(name, case)) is not None
    }  # fmt: skip
    with psycopg.connect(store.conninfo) as connection:
        connection.execute("INSERT INTO area SELECT 2024, c, 'buurt', c, 'GM0014' FROM unnest(%s::text[]) c",
                           [[str(at) for at in range(len(cases))]])  # fmt: skip
        connection.execute(
            "INSERT INTO area_1h (vintage, code, quantity, start, value, coverage, readings, flagged, failed, sensors,"
            " valid_sensors, status, valid, members)"
            " SELECT 2024, split_part(sensor_id, '/', 2), quantity, start, value, coverage, readings, flagged, failed,"
            " 1, 1, status, valid, '{}' FROM sensor_1h"
        )
        for who, view in (("split_part(sensor_id, '/', 2)", "index_1h"), ("code", "index_area_1h")):
            rows = connection.execute(f"SELECT {who}, index, value, substances, worst FROM {view}".encode()).fetchall()
            assert {(case, name): (value, parts) for case, name, value, parts, _ in rows} == expected
            for case, name, _, _, worst in rows:
                alone = {one: index_of_hour(name, {one: cases[int(case)][one]}) for one in expected[case, name][1]}
                assert alone[worst] == max(one for one in alone.values() if one is not None)
