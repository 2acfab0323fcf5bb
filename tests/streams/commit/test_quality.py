"""The rules that mark a reading: as pure functions, and what they warn of once readings are stored."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store
from ingest.files.catalogue import Entry
from ingest.vocabulary.batch import Batch, Coded, columns
from ingest.vocabulary.quantities import Quantity
from ingest.vocabulary.readings import Flag, Reading
from streams.commit.pipeline import Pipeline
from streams.commit.quality import clipped, impossible, inconsistent, limits_of, out_of_range, spike, stuck, unfinished
from streams.rollup.reconcile import reconcile
from streams.rollup.rollup import roll_up

START = datetime(2024, 5, 1, tzinfo=UTC)
LATER = datetime(2024, 6, 1, tzinfo=UTC)
HOUR_US = 3_600_000_000
ODD = int(Flag.INCONSISTENT)


def batch(readings: Sequence[Reading]) -> Batch:
    """Make a batch of readings received together."""
    return Batch(columns(readings, [LATER] * len(readings)))


def stored_flags(store: Store) -> list[int]:
    """The flags of all stored readings in order of start."""
    with psycopg.connect(store.conninfo) as connection:
        return [flags for (flags,) in connection.execute("SELECT flags FROM reading ORDER BY series, start")]


def test_out_of_range_is_outside_both_ends() -> None:
    """Both ends are plausible, a value beyond them is not, and null is neither."""
    value = np.array([-10.1, -10, 0, 1000, 1000.1, np.nan])
    low, high = np.full(6, -10.0), np.full(6, 1000.0)
    assert out_of_range(value, low, high).astype(bool).tolist() == [True, False, False, False, True, False]


def test_value_within_the_tolerance_becomes_the_end_of_the_range() -> None:
    """103 % humidity is 100, 106 % and what is null stay as they are, for the range to judge."""
    value = np.array([-6, -5, 0, 99.9, 100.4, 105, 105.1, np.nan])
    found = clipped(value, np.zeros(8), np.full(8, 100.0), np.full(8, 5.0))
    assert np.array_equal(found, [-6, 0, 0, 99.9, 100, 100, 105.1, np.nan], equal_nan=True)


def test_negative_air_is_plausible_and_negative_counts_are_not() -> None:
    """Noise around zero is real for concentrations; a count below zero is not."""
    assert limits_of("pm10").low == -50
    assert limits_of("no2").low == -10
    assert limits_of("vehicle_count").low == 0


def test_impossible_numbers_are_marked() -> None:
    """What no sum survives is out of range in any column; nothing, zero and what is usual is not, also below zero."""
    usual = np.ones(6)
    value = np.array([1e-200, -1e-31, 0, 1e-29, np.nan, -5.0])
    assert impossible(value, usual, usual).astype(bool).tolist() == [True, True, False, False, False, False]
    other = np.array([1e308, 1e-300, 0, 1e9, np.nan, 1e-9])
    for columns_ in ((usual, other, usual), (usual, usual, other)):
        assert impossible(*columns_).astype(bool).tolist() == [True, True, False, False, False, False]


@pytest.mark.parametrize(
    ("period", "most"), [(60, 60), (600, 600), (900, 90), (3600, 360), (6000, 600), (86_400, 600), (31 * 86_400, 600)]
)
def test_unfinished_is_what_came_too_early(period: int, most: int) -> None:
    """Ten minutes of any period, and of shorter ones a tenth, may be to come; of ten minutes and less all may."""
    start, to_come = np.zeros(2, np.int64), np.array([most, min(most + 1, period)])
    found = unfinished(start, np.full(2, period), (period - to_come) * 1_000_000)
    assert found.tolist() == [0, Flag.UNFINISHED if period > 600 else 0]


def test_unfinished_reading_covers_what_has_passed(store: Store) -> None:
    """An hour that is reported while it runs covers no more of it than has passed, and no more than its source says."""
    cases: list[tuple[float | None, int, float]] = [(None, 20, 1200), (600, 20, 600), (None, -5, 0), (600, 55, 600)]
    said = [
        Reading(f"telraam/{at}", "", "bicycle_count", 3600, START, 5.0, covers=covers)
        for at, (covers, *_) in enumerate(cases)
    ]
    Pipeline(store).store(Batch(columns(said, [START + timedelta(minutes=minutes) for _, minutes, _ in cases])))
    found = asked(store, "SELECT covers FROM reading JOIN series USING (series) ORDER BY sensor_id")
    assert found == [(covered,) for *_, covered in cases]


@pytest.mark.parametrize("odd", [{"value": 1e-200}, {"value": 5.0, "weight": 1.7e308}, {"value": 5.0, "covers": 1e308}])
def test_impossible_numbers_stop_nothing(store: Store, odd: dict[str, Any]) -> None:
    """Readings that would break a sum are kept out; corrections, roll-up and proof of their hour go on."""
    pipeline = Pipeline(store)
    bad = [Reading("stadspuls/x", "", "pm10", 60, START + timedelta(minutes=at), **odd) for at in (0, 1, 10, 11)]
    good = Reading("stadspuls/x", "", "pm10", 60, START + timedelta(minutes=2), 7.0)
    for said in (bad, [good], [good._replace(value=8.0, version=1)]):
        pipeline.store(batch(said))
    roll_up(store, LATER)
    assert not any(found.windows for found in reconcile(store, START.date(), START.date() + timedelta(days=1)))
    ((value, readings, flagged),) = asked(store, "SELECT value, readings, flagged FROM sensor_1h")
    assert (value, readings, flagged) == (8.0, 1, 4)


def asked(store: Store, question: str) -> list[tuple[Any, ...]]:
    """Ask the database directly."""
    with psycopg.connect(store.conninfo) as connection:
        return connection.execute(question.encode()).fetchall()


class Lines:
    """Readings of counters for the rule about totals: (sensor, channel, minute, value, flags) each."""

    def __init__(self, *lines: tuple[str, str, int, float, int], quantity: str = "vehicle_count") -> None:
        self.lines = list(lines)
        self._quantity = quantity

    def marks(self) -> list[bool]:
        """Say which lines are marked."""
        sensor, channel = (_words([line[at] for line in self.lines]) for at in (0, 1))
        start, value, flags = (np.array([line[at] for line in self.lines]) for at in (2, 3, 4))
        found = inconsistent(sensor, _words([self._quantity] * len(self.lines)), channel, start, value, flags)
        return [bool(mark) for mark in found]


def _words(said: list[Any]) -> Coded:
    words = sorted(set(said))
    return Coded(np.array([words.index(word) for word in said], dtype=np.int32), words)


class TestInconsistent:
    """`any` of a lane against the sum of its classes."""

    def test_total_that_differs_is_marked(self) -> None:
        """More than half a vehicle apart marks the total, not the classes."""
        assert Lines(("a", "lane1/any", 0, 10, 0), ("a", "lane1/car", 0, 9, 0)).marks() == [True, False]

    def test_half_a_vehicle_is_rounding(self) -> None:
        """Half a vehicle apart is no difference."""
        assert Lines(("a", "lane1/any", 0, 10, 0), ("a", "lane1/car", 0, 9.5, 0)).marks() == [False, False]

    @pytest.mark.parametrize(("value", "flags"), [(np.nan, 1), (9, 2), (np.nan, 0)])
    def test_failed_class_leaves_nothing_to_compare(self, value: float, flags: int) -> None:
        """Where one class failed or is kept out, the sum of the others is not compared with the total."""
        lines = Lines(("a", "1/any", 0, 10, 0), ("a", "1/car", 0, 1, 0), ("a", "1/truck", 0, value, flags))
        assert not any(lines.marks())

    def test_only_the_total_is_not_compared(self) -> None:
        """A total without classes, classes without a total, and a single channel are as they are."""
        assert Lines(("a", "lane1/any", 0, 10, 0), ("a", "lane2/any", 0, 9, 0)).marks() == [False, False]
        assert not any(Lines(("a", "", 0, 10, 0), ("a", "lane2", 0, 9, 0)).marks())

    def test_speeds_do_not_add_up(self) -> None:
        """A mean is never compared with the sum of means."""
        lines = Lines(("a", "1/any", 0, 50, 0), ("a", "1/car", 0, 60, 0), quantity="vehicle_speed")
        assert lines.marks() == [False, False]

    @given(st.data())
    def test_lanes_sensors_and_minutes_are_apart(self, data: st.DataObject) -> None:
        """In a batch of many lanes, sensors and minutes, in any order, exactly the odd totals are marked."""
        groups = [(s, lane, minute) for s in ("a", "b") for lane in ("1", "2") for minute in (0, 60)]
        lines, odd = [], set()
        for sensor, lane, minute in groups:
            classes = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=3))
            wrong = data.draw(st.sampled_from([0, 0, 1, -3]))
            lines += [(sensor, f"{lane}/c{at}", minute, float(n), 0) for at, n in enumerate(classes)]
            lines.append((sensor, f"{lane}/any", minute, float(sum(classes) + wrong), 0))
            odd |= {(sensor, f"{lane}/any", minute)} if wrong else set()
        shuffled = Lines(*data.draw(st.permutations(lines)))
        assert {line[:3] for line, mark in zip(shuffled.lines, shuffled.marks(), strict=True) if mark} == odd

    def test_two_messages_in_one_batch_are_compared_apart(self) -> None:
        """A total is held against the classes it came with, not against those of a second publication."""
        first = [("a", "1/any", 0, 12.0, 0), ("a", "1/car", 0, 10.0, 0)]
        second = [("a", "1/any", 0, 10.0, 0), ("a", "1/car", 0, 10.0, 0)]
        assert Lines(*first, *second).marks() == [True, False, False, False]
        assert Lines(*second, *first).marks() == [False, False, True, False]

    def test_words_of_refused_readings_are_no_matter(self) -> None:
        """A batch may still know the quantity of a reading that was refused."""
        one = Coded(np.zeros(1, dtype=np.int32), ["lane1/any"])
        quantity = Coded(np.array([1], dtype=np.int32), ["unicorns", "vehicle_count"])
        column = np.ones(1)
        assert inconsistent(one, quantity, one, column, column, column.astype(int)).tolist() == [0]

    def test_flags_do_not_depend_on_batching(self, store: Store) -> None:
        """A wrong publication and its correction leave the same flags, stored together or one after the other."""
        wrong = [lane("any", 12.0), lane("car", 10.0)]
        right = [lane("any", 10.0, version=1), lane("car", 10.0, version=1)]
        Pipeline(store).store(batch([*wrong, *right]))
        assert stored_flags(store) == [0, 0]


def lane(kind: str, value: float, version: int = 0) -> Reading:
    """One minute of a lane."""
    return Reading("stadspuls/x", f"lane1/{kind}", "vehicle_count", 60, START, value, version=version)


def marked_places(
    rule: Any, values: Sequence[float], limits: Quantity, starts: Sequence[float] | None = None
) -> list[int]:
    """Give the places that a rule marks in hourly values, or in values at `starts` in hours."""
    start = np.array(range(len(values)) if starts is None else starts, dtype=float) * HOUR_US
    found: NDArray[np.bool_] = rule(start.astype(np.int64), np.array(values, dtype=float), limits)
    return np.flatnonzero(found).tolist()


NO2 = limits_of("no2")  # spike 200, stuck 6 h


class TestSpike:
    """A value far from its two neighbours on either side."""

    def test_lone_spike_is_marked(self) -> None:
        """More than the limit from the neighbours' median is a spike, exactly the limit is not."""
        assert marked_places(spike, [10, 11, 250, 12, 9], NO2) == [2]
        assert marked_places(spike, [10, 10, 210, 10, 10], NO2) == []

    def test_neighbours_of_a_spike_are_not_marked(self) -> None:
        """The median keeps one spike from marking the readings around it."""
        assert marked_places(spike, [10, 10, 10, 500, 10, 10, 10], NO2) == [3]

    def test_step_is_no_spike(self) -> None:
        """A level that rises and stays is real."""
        assert marked_places(spike, [10, 10, 10, 400, 400, 400, 400], NO2) == []

    def test_too_few_neighbours_say_nothing(self) -> None:
        """At the ends, and after a gap of more than six hours, there is nothing to compare with."""
        assert marked_places(spike, [500, 10, 10, 500], NO2) == []
        assert marked_places(spike, [10, 11, 500, 12, 9], NO2, [0, 1, 2, 3, 9]) == []
        assert marked_places(spike, [10, 11, 500, 12, 9], NO2, [0, 1, 2, 3, 8]) == [2]

    def test_quantity_without_limit_has_no_spikes(self) -> None:
        """Where the registry gives no distance nothing is a spike."""
        assert marked_places(spike, [10, 11, 1e5, 12, 9], limits_of("ufp")) == []


class TestStuck:
    """A value that stays exactly the same."""

    def test_run_beyond_the_limit_is_marked_whole(self) -> None:
        """Six hours may be chance, more is not: then every reading of the run is marked."""
        assert marked_places(stuck, [5.5] * 7, NO2) == []
        assert marked_places(stuck, [4.0, *[5.5] * 8, 4.0], NO2) == list(range(1, 9))

    @pytest.mark.parametrize(
        ("quantity", "value"),
        [("no2", 0), ("o3", 2), ("o3", 4), ("o3", -1.1), ("no", 1), ("no", -0.3), ("so2", 2.66), ("co", 0.3),
         ("bc", 0.1), ("pm25", 1), ("pm10", 4), ("pm1", 0.3), ("temperature", 0), ("noise", 30), ("humidity", 100),
         ("pressure", 1013), ("battery", 3.6), ("bicycle_count", 0), ("vehicle_speed", 30), ("vehicle_speed_v85", 50)],
    )  # fmt: skip
    def test_low_or_steady_value_is_not_stuck(self, quantity: str, value: float) -> None:
        """What is near the detection limit, or steady by nature, may be the same for two days."""
        assert marked_places(stuck, [value] * 48, limits_of(quantity)) == []

    @pytest.mark.parametrize(("quantity", "value"), [("o3", 84), ("co", 2.4), ("pm25", 12), ("temperature", 21.5)])
    def test_other_value_is_stuck(self, quantity: str, value: float) -> None:
        """Runs as in the recorded files, where a gap was filled with one value, are marked."""
        assert len(marked_places(stuck, [value] * 26, limits_of(quantity))) == 26

    def test_temperature_of_whole_degrees_is_not_stuck_at_night(self) -> None:
        """Twenty hours at one whole degree are a foggy day."""
        assert marked_places(stuck, [7, *[6] * 20, 7], limits_of("temperature")) == []

    def test_gap_ends_a_run(self) -> None:
        """A gap longer than a quarter of the limit ends a run; a shorter one does not."""
        starts = [0, 1, 2, 3, 4.6, 5.6, 6.6, 7.6]
        assert marked_places(stuck, [5.5] * 8, NO2, starts) == []
        assert marked_places(stuck, [5.5] * 8, NO2, [0, 1, 2, 3, 4.5, 5.5, 6.5, 7.5]) == list(range(8))

    def test_no_readings_and_no_limit(self) -> None:
        """Nothing is marked in nothing, nor where the registry has no limit."""
        assert marked_places(stuck, [], NO2) == []
        assert marked_places(stuck, [50.0] * 99, limits_of("humidity")) == []


class TestOverrides:
    """A sensor's own limits."""

    def test_take_the_place_of_the_registrys(self) -> None:
        """What a sensor does not say stays the registry's."""
        limits = limits_of("no2", {"high": 400, "spike": 50})
        assert (limits.low, limits.high, limits.spike, limits.stuck) == (-10, 400, 50, 6 * 3600)
        assert marked_places(spike, [10, 11, 100, 12, 9], limits) == [2]

    def test_are_applied_to_stored_readings(self, store: Store) -> None:
        """Range and stuck time of the catalogue decide about the sensor's readings."""
        import_sensors(store, [Entry("samenmeten/s", overrides={"pm25": {"high": 20.0, "stuck": 4 * 3600.0}})])
        Pipeline(store).store(batch(hourly("samenmeten/s", [7.0] * 6 + [30.0])))
        roll_up(store, LATER)
        assert stored_flags(store) == [Flag.STUCK] * 6 + [Flag.OUT_OF_RANGE]

    def test_a_rule_that_the_registry_does_not_have(self, store: Store) -> None:
        """A distance of spikes that only the sensor has is applied to its stored readings."""
        import_sensors(store, [Entry("samenmeten/s", overrides={"humidity": {"spike": 30.0}})])
        said = [one._replace(quantity="humidity") for one in hourly("samenmeten/s", [50.0, 51.0, 90.0, 52.0, 50.0])]
        Pipeline(store).store(batch(said))
        roll_up(store, LATER)
        assert stored_flags(store) == [0, 0, Flag.SPIKE, 0, 0]

    def test_milder_limits_take_flags_back(self, store: Store) -> None:
        """
        A longer time, another level that may be flat, or no rule at all: imported, they hold for stored readings too.

        The time reaches beyond what the registry's own rules look at.
        """
        said = {name: hourly(f"samenmeten/{name}", [7.0] * 40) for name in ("a", "b", "c", "d")}
        Pipeline(store).store(batch([one for readings in said.values() for one in readings]))
        roll_up(store, LATER)
        assert stored_flags(store) == [Flag.STUCK] * 160
        limits: dict[str, Any] = {"a": {"stuck": 39 * 3600.0}, "b": {"flat": 7.0}, "c": {"stuck": None},
                                  "d": {"stuck": 38 * 3600.0}}  # fmt: skip
        import_sensors(store, [Entry(f"samenmeten/{name}", overrides={"pm25": own}) for name, own in limits.items()])
        roll_up(store, LATER)
        assert stored_flags(store) == [0] * 120 + [Flag.STUCK] * 40

    def test_a_limit_with_tolerance_is_stored_clipped(self, store: Store) -> None:
        """Saturated air of 100.4 % counts as 100 %, also when it comes again; 106 % is still out of range."""
        said = [Reading("ttn/fog", "", "humidity", 600, START + timedelta(minutes=10 * at), value)
                for at, value in enumerate([99.0, 100.4, 103.0, 106.0])]  # fmt: skip
        for _ in range(2):
            Pipeline(store).store(batch(said))
        roll_up(store, LATER)
        ((value, readings, flagged),) = asked(store, "SELECT value, readings, flagged FROM sensor_1h")
        assert (round(value, 3), readings, flagged) == (99.667, 3, 1)
        assert asked(store, "SELECT sum(duplicate), sum(corrected) FROM accounting") == [(4, 0)]


def hourly(sensor_id: str, values: Sequence[float], status: int = 0) -> list[Reading]:
    """Hours of fine dust."""
    return [
        Reading(sensor_id, "", "pm25", 3600, START + timedelta(hours=at), value, status=status)
        for at, value in enumerate(values)
    ]


STUCK_AND_SPIKE = [5.0] * 9 + [6.0, 7.0, 900.0, 6.5, 7.5, 8.0]


class TestStored:
    """Flags that the roll-up gives."""

    @pytest.mark.parametrize(
        ("sensor_id", "status", "stuck_flag", "spike_flag"),
        [
            ("samenmeten/s", 0, Flag.STUCK, Flag.SPIKE),
            ("samenmeten/s", 1, Flag.SUSPECT_STUCK, Flag.SUSPECT_SPIKE),
            ("luchtmeetnet/s", 0, Flag.SUSPECT_STUCK, Flag.SUSPECT_SPIKE),
        ],
    )
    def test_reference_and_validated_only_warn(
        self, store: Store, sensor_id: str, status: int, stuck_flag: Flag, spike_flag: Flag
    ) -> None:
        """Neighbour rules keep out an ordinary sensor's value, and only warn of a reference or validated one."""
        Pipeline(store).store(batch(hourly(sensor_id, STUCK_AND_SPIKE, status)))
        roll_up(store, LATER)
        assert stored_flags(store) == [stuck_flag] * 9 + [0, 0, spike_flag, 0, 0, 0]
        with psycopg.connect(store.conninfo) as connection:
            ((readings, flagged, warned),) = connection.execute(
                "SELECT sum(readings), sum(flagged), sum(warned) FROM window_1h"
            ).fetchall()
        kept_out = 10 if stuck_flag is Flag.STUCK else 0
        assert (readings, flagged, warned) == (15 - kept_out, kept_out, 10 - kept_out)

    def test_late_neighbour_takes_a_flag_back(self, store: Store) -> None:
        """A value that was stuck until a late reading broke the run is not stuck any more, in every table."""
        said = hourly("samenmeten/s", [5.0] * 9)
        pipeline = Pipeline(store)
        pipeline.store(batch(said))
        roll_up(store, LATER)
        assert stored_flags(store) == [Flag.STUCK] * 9
        middle = said[4]._replace(value=6.0, version=1)
        pipeline.store(batch([middle]))
        roll_up(store, LATER)
        assert stored_flags(store) == [0] * 9

    def test_neighbours_that_were_dropped_take_no_flag_back(self, store: Store) -> None:
        """Beside a frozen day, whose readings bear witness no more, a reading keeps the flags it had."""
        Pipeline(store).store(batch(hourly("samenmeten/s", [*range(1, 20), *[5.0] * 10, *range(1, 20)])))
        roll_up(store, LATER)
        assert stored_flags(store) == [0] * 19 + [Flag.STUCK] * 10 + [0] * 19
        with store.transaction() as tx:
            tx.rows("freeze_day", day=START.date())
            tx.rows("delete_readings", first=START, last=START + timedelta(days=1))
        figures = "SELECT start, readings, flagged FROM window_1h ORDER BY start"
        before = asked(store, figures)
        late = hourly("samenmeten/s", [0.0] * 29 + [77.0])[-1]._replace(version=1)
        Pipeline(store).store(batch([late]))
        roll_up(store, LATER)
        assert stored_flags(store) == [Flag.STUCK] * 5 + [0] * 19
        assert asked(store, figures) == before

    def test_the_same_value_published_again_stays_flagged(self, store: Store) -> None:
        """A later publication of the same values changes no figure, so their flags stay until the next roll-up, too."""
        pipeline = Pipeline(store)
        for version in (0, 1):
            pipeline.store(batch([one._replace(version=version) for one in hourly("samenmeten/s", [5.0] * 9)]))
            assert stored_flags(store) == [Flag.STUCK * version] * 9
            roll_up(store, LATER)
        assert stored_flags(store) == [Flag.STUCK] * 9
        assert not any(found.windows for found in reconcile(store, START.date(), START.date() + timedelta(days=1)))

    def test_what_is_kept_out_is_no_neighbour(self, store: Store) -> None:
        """A value that does not count breaks no run of others, and none of them is a spike beside it."""
        half, odd = timedelta(minutes=30), [(5000.0, 0), (7.0, Flag.CALIBRATION), (None, 0)]
        said = [
            Reading(f"samenmeten/{which}", "", "pm25", 1800, START + at * half, 5.0)
            for which in range(3)
            for at in range(16)
        ]
        for which, (value, flags) in enumerate(odd):
            said[16 * which + 9] = said[16 * which + 9]._replace(value=value, flags=int(flags))
        Pipeline(store).store(batch(said))
        roll_up(store, LATER)
        runs = np.array(stored_flags(store)).reshape(3, 16)
        assert (np.delete(runs, 9, axis=1) == Flag.STUCK).all()
        assert runs[:, 9].tolist() == [Flag.OUT_OF_RANGE, Flag.CALIBRATION, 0]

    def test_validation_turns_a_flag_into_a_warning(self, store: Store) -> None:
        """The same values, published as validated, count again."""
        pipeline = Pipeline(store)
        for status in (0, 1):
            pipeline.store(batch(hourly("samenmeten/s", [5.0] * 9, status)))
            roll_up(store, LATER)
        assert stored_flags(store) == [Flag.SUSPECT_STUCK] * 9
