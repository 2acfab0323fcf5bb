"""A counter that dies counts zero: zeros that are incredible are flagged, and nights without cyclists are not."""

import csv
import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psycopg
import pytest

from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store
from ingest.files.catalogue import Entry
from ingest.vocabulary.calendar import load_days
from ingest.vocabulary.readings import Flag, Reading, microseconds
from streams.alerts.judge import Judge
from streams.alerts.rulebook import load_rules
from streams.commit.pipeline import Pipeline
from streams.commit.quality import dead, limits_of
from streams.rollup.rollup import roll_up
from tests.streams.commit.test_pipeline import batch
from tests.support.databases import ZONE

MONDAY = datetime(2024, 3, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = [0, 0, 0, 0, 0, 1, 9, 40, 90, 60, 40, 40, 50, 50, 40, 50, 80, 90, 60, 30, 20, 9, 4, 1]  # by hour
DEATH = 6 * 7 * 24 + 9  # hours after six weeks: at nine o'clock on a Monday
Hours = list[tuple[datetime, float]]
Read = Callable[[Path], Iterator[tuple[str, Hours]]]


def found(hours: Hours, quantity: str = "bicycle_count") -> list[datetime]:
    """Give the hours that are dead."""
    start = np.array([microseconds(at) for at, _ in hours], np.int64)
    zero = np.array([count == 0 for _, count in hours], bool)
    marks = dead(start, zero, np.zeros(len(hours), bool), limits_of(quantity))
    return [at for (at, _), is_dead in zip(hours, marks.tolist(), strict=True) if is_dead]


def counted(hours: int, silent: int = 0) -> Hours:
    """Give so many hours of an ordinary counter, and zeros after them."""
    return [(MONDAY + at * HOUR, DAY[at % 24] if at < hours else 0) for at in range(hours + silent)]


class TestRule:
    """A pure function of hours."""

    def test_nights_say_nothing(self) -> None:
        """Hours of zeros that are usual for their hour of the week are not dead."""
        assert found(counted(DEATH)) == []

    def test_zeros_by_day_are_dead_within_hours(self) -> None:
        """Seven zeros by day may be chance, eight are not, and then all of them are marked."""
        assert found(counted(DEATH, 7)) == []
        assert found(counted(DEATH, 8)) == [MONDAY + (DEATH + at) * HOUR for at in range(8)]

    def test_zeros_from_the_start_say_nothing(self) -> None:
        """Where nothing was ever counted, and in the first two weeks, nobody can say what is usual; after that, yes."""
        assert found(counted(0, 2_000)) == []
        assert found(counted(13 * 24, 48)) == []
        assert found(counted(14 * 24 + 9, 10)) == []
        assert len(found(counted(21 * 24 + 9, 10))) == 10

    def test_second_death_is_found(self) -> None:
        """The zeros of a first death do not make those of a second one usual: twelve by day are enough."""
        silent, well = DEATH + 14 * 24, DEATH + 40 * 24
        hours = counted(well, 12)
        hours[DEATH:silent] = counted(DEATH, 14 * 24)[DEATH:]
        dead_hours = found(hours)
        assert dead_hours[-12:] == [at for at, _ in hours[well:]]
        assert not {at for at, _ in hours[silent:well]} & set(dead_hours)

    def test_what_was_dead_for_half_a_year_stays_it(self) -> None:
        """Without a profile that is left, what is marked stays marked."""
        hours = counted(0, 100)
        start = np.array([microseconds(at) for at, _ in hours], np.int64)
        assert dead(start, np.ones(100, bool), np.arange(100) < 90, limits_of("vehicle_count")).all()


def fremont(folder: Path) -> Iterator[tuple[str, Hours]]:
    """Read six years of cyclists on the two pavements of a bridge, by its clock."""
    rows = table(folder / "counters/fremont_bridge_bikes_hourly_2012_2018.csv.gz")
    for name in [one for one in rows[0] if one.startswith("Fremont")]:
        stamped = ((row["\ufeffDate"], row[name]) for row in rows)
        read = {
            datetime.strptime(at, "%m/%d/%Y %I:%M:%S %p").replace(tzinfo=UTC): count for at, count in stamped if count
        }
        yield name, sorted((at, float(count)) for at, count in read.items())


def melbourne(folder: Path) -> Iterator[tuple[str, Hours]]:
    """Read two years of pedestrians at four places."""
    found: dict[str, Hours] = {}
    for row in table(folder / "counters/melbourne_pedestrians_hourly_2015_2016.csv.gz"):
        at = datetime.fromisoformat(row["Date_Time"]).astimezone(UTC)
        found.setdefault(row["Sensor"], []).append((at, float(row["Count"])))
    yield from ((name, sorted(dict(hours).items())) for name, hours in found.items())


def telraam(folder: Path) -> Iterator[tuple[str, Hours]]:
    """Read months of two Telraam devices, the hours in which they saw something for half of the time at least."""
    for device in ("9000008311", "9000008322"):
        paths = sorted((folder / "telraam").glob(f"karlsruhe_{device}_*.json.gz"))
        months = [json.loads(gzip.decompress(path.read_bytes())) for path in paths]
        rows = [row for month in months for row in month["data"] if row["uptime"] > 0.5]
        for what in ("car", "bike", "pedestrian", "heavy"):
            hours = {datetime.fromisoformat(row["date"]).astimezone(UTC): float(row[what]) for row in rows}
            yield f"{device} {what}", sorted(hours.items())


def table(path: Path) -> list[dict[str, str]]:
    """Read a table."""
    return list(csv.DictReader(gzip.decompress(path.read_bytes()).decode().splitlines()))


@pytest.mark.shared
@pytest.mark.parametrize("read", [fremont, melbourne, telraam])
def test_years_of_real_counters_have_no_dead_hour(shared_data: Path, read: Read) -> None:
    """Nights without cyclists, cars or pedestrians, snow and holidays: nothing of it is dead, though hours are zero."""
    zeros = 0
    for name, hours in read(shared_data):
        zeros += sum(count == 0 for _, count in hours)
        assert found(hours) == [], name
    assert zeros > 100


@pytest.mark.shared
@pytest.mark.parametrize("read", [fremont, melbourne, telraam])
def test_real_counters_that_die_are_dead_within_two_days(shared_data: Path, read: Read) -> None:
    """Each of them, had it died at the end of its record: the last two days are marked, but where zeros are usual."""
    for name, hours in read(shared_data):
        death = hours[-1][0] - 2 * 24 * HOUR
        often = sum(count == 0 for _, count in hours) < len(hours) / 3
        died = found([(at, 0.0 if at > death else count) for at, count in hours])
        assert bool(died) is often, name
        assert not died or died[0] > death - 12 * HOUR, name


def minutes(values: Sequence[float], start: datetime, sensor: str = "telraam/1", status: int = 0) -> list[Reading]:
    """Hours of a counter."""
    return [
        Reading(sensor, "", "bicycle_count", 3600, start + at * HOUR, value, status=status)
        for at, value in enumerate(values)
    ]


class Hub:
    """A store that hours are delivered to, and rolled up."""

    def __init__(self, store: Store) -> None:
        self.store, self.judge = store, Judge(load_rules(), load_days(ZONE))

    def deliver(self, readings: Sequence[Reading]) -> None:
        """Store and roll up."""
        last = max(one.start for one in readings) + HOUR
        Pipeline(self.store, judge=self.judge.batch).store(batch(list(readings), received=last))
        roll_up(self.store, last + 2 * timedelta(minutes=1), judge=self.judge)

    def asked(self, question: str) -> list[tuple[object, ...]]:
        """Ask the database."""
        with psycopg.connect(self.store.conninfo) as connection:
            return connection.execute(question.encode()).fetchall()

    def flags(self) -> list[int]:
        """The flags of the readings since the death."""
        since = (MONDAY + DEATH * HOUR).isoformat()
        return [
            int(str(one)) for (one,) in self.asked(f"SELECT flags FROM reading WHERE start >= '{since}' ORDER BY start")
        ]


@pytest.fixture
def hub(store: Store) -> Hub:
    """A hub that has six weeks of a counter."""
    return Hub(store)


class TestStored:
    """In the store: flagged, kept out of the figures, told, and taken back."""

    @pytest.mark.parametrize(
        ("sensor", "status", "flag"),
        [("telraam/1", 0, Flag.DEAD), ("telraam/1", 1, Flag.SUSPECT_DEAD), ("ndw/1", 0, Flag.DEAD)],
    )
    def test_dead_hours_are_kept_out_and_told(self, hub: Hub, sensor: str, status: int, flag: Flag) -> None:
        """Nothing at the seventh hour, all eight at the eighth, each that follows; validated ones only warn."""
        hub.deliver(minutes([count for _, count in counted(DEATH)], MONDAY, sensor, status))
        for at in range(10):
            hub.deliver(minutes([0], MONDAY + (DEATH + at) * HOUR, sensor, status))
            assert hub.flags() == ([flag] * (at + 1) if at > 6 else [0] * (at + 1))
        kept_out = 10 if flag is Flag.DEAD else 0
        rows = hub.asked("SELECT sum(flagged), sum(warned) FROM window_1h")
        assert rows == hub.asked("SELECT sum(flagged), sum(warned) FROM window_1d") == [(kept_out, 10 - kept_out)]
        assert hub.asked("SELECT subject, state FROM alert WHERE rule = 'sensor-dead'") == [(sensor, "raised")]

    def test_any_order_of_arrival_gives_the_same_flags(self, hub: Hub) -> None:
        """All at once, or the last hours before those between them."""
        history = minutes([count for _, count in counted(DEATH)], MONDAY)
        zeros = minutes([0] * 12, MONDAY + DEATH * HOUR)
        hub.deliver(history)
        for part in (zeros[10:], zeros[:4], zeros[4:10]):
            assert not any(hub.flags())
            hub.deliver(part)
        assert hub.flags() == [Flag.DEAD] * 12

    def test_late_count_takes_the_flags_back(self, hub: Hub) -> None:
        """A correction in the midst of the zeros shows that it lived; its figures are whole again."""
        hub.deliver(minutes([count for _, count in counted(DEATH)], MONDAY))
        zeros = minutes([0] * 9, MONDAY + DEATH * HOUR)
        hub.deliver(zeros)
        assert hub.flags() == [Flag.DEAD] * 9
        hub.deliver([zeros[4]._replace(value=5.0, status=1)])
        assert hub.flags() == [0] * 9
        assert hub.asked("SELECT sum(flagged) FROM window_1h") == [(0,)]

    def test_later_zeros_leave_an_earlier_death_as_it_was(self, hub: Hub) -> None:
        """The profile that they are judged by begins too late to judge the earlier ones."""
        weeks, death = [5.0] * (6 * 7 * 24), [0.0] * 8
        hub.deliver(minutes(weeks, MONDAY))
        hub.deliver(minutes(death, MONDAY + len(weeks) * HOUR))
        known = "SELECT count(*) FROM reading WHERE flags & 512 <> 0"
        assert hub.asked(known) == [(8,)]
        well = MONDAY + (len(weeks) + 8) * HOUR
        hub.deliver(minutes([5.0] * (2 * 7 * 24), well))
        hub.deliver(minutes(death, well + timedelta(weeks=2)))
        assert hub.asked(known) == [(16,)]

    def test_road_that_is_closed(self, hub: Hub) -> None:
        """Where the zeros are right the sensor's own limit says so: the next hour takes the flags back."""
        hub.deliver(minutes([count for _, count in counted(DEATH)], MONDAY))
        hub.deliver(minutes([0] * 9, MONDAY + DEATH * HOUR))
        assert hub.flags() == [Flag.DEAD] * 9
        import_sensors(hub.store, [Entry("telraam/1", overrides={"bicycle_count": {"dead": None}})])
        hub.deliver(minutes([0], MONDAY + (DEATH + 9) * HOUR))
        assert hub.flags() == [0] * 10

    def test_only_what_changed_is_written_again(self, hub: Hub) -> None:
        """Hours and days that are new are at their first revision, though flags were found after they were written."""
        hub.deliver(minutes([count for _, count in counted(DEATH)], MONDAY))
        hub.deliver(minutes([0] * 9, MONDAY + DEATH * HOUR) + minutes([5] * 9, MONDAY + DEATH * HOUR, "ndw/well"))
        assert hub.flags().count(Flag.DEAD) == 9
        since = (MONDAY + DEATH * HOUR).isoformat()
        assert hub.asked(f"SELECT max(revision), sum(flagged) FROM window_1h WHERE start >= '{since}'") == [(1, 9)]
        well = "SELECT max(revision) FROM window_1d JOIN series USING (series) WHERE sensor_id = 'ndw/well'"
        assert hub.asked(well) == [(1,)]

    def test_frozen_days_stay_as_they_are(self, hub: Hub) -> None:
        """Of zeros on both sides of a midnight those of a day that froze meanwhile get no flag."""
        hub.deliver(minutes([count for _, count in counted(DEATH)], MONDAY))
        hub.deliver(minutes([0] * 7, MONDAY + DEATH * HOUR))
        monday = MONDAY + timedelta(weeks=6)
        with psycopg.connect(hub.store.conninfo) as connection:
            connection.execute("INSERT INTO frozen (day) VALUES (%s)", [monday.date()])
        hub.deliver(minutes([0] * 12, monday + 24 * HOUR))
        assert hub.flags() == [0] * 7 + [Flag.DEAD] * 12
        assert hub.asked("SELECT sum(flagged) FROM window_5m") == hub.asked("SELECT sum(flagged) FROM window_1h")
