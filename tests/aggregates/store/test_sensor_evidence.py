"""The stored evidence of sensors gives the figures that their series give, whatever happened before."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from aggregates.store.catalogue import import_sensors
from aggregates.store.migrate import migrate
from aggregates.store.store import Store
from ingest.files.catalogue import Entry
from ingest.vocabulary import sources
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.readings import Reading
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up
from tests.support.databases import fresh_database
from tests.support.examples import up_to

MONDAY = datetime(2024, 5, 6, 20, tzinfo=UTC)  # two hours before a local day ends
ORACLE = Path(__file__).with_name("sensor_oracle.sql").read_text("utf-8")
HOUR = timedelta(hours=1)
CHANNELS = ("", "lane1", "lane1/any", "lane1/car", "lane1/truck", "lane2/any", "lane2/car", "soil", "index_a")
QUANTITIES = ("vehicle_count", "vehicle_speed", "temperature", "no2")


class Given(NamedTuple):
    """A reading: `at` is the slot of its hour in which it starts."""

    quantity: str
    channel: str
    period: int
    hour: int
    at: int
    value: float | None
    covers: float
    validated: bool


class Catalogued(NamedTuple):
    """What the catalogue says from now on."""

    lanes: int | None
    channels: str | None


class Rolled(NamedTuple):
    """The roll-up runs once so many hours have ended."""

    hours: int


READINGS = st.builds(
    Given, st.sampled_from(QUANTITIES), st.sampled_from(CHANNELS), st.sampled_from([300, 900, 3600]),
    st.integers(0, 5), st.integers(0, 3), st.one_of(st.none(), st.floats(1, 40)), st.sampled_from([0.5, 0.9, 1.0]),
    st.booleans(),
)  # fmt: skip
RULES = st.sampled_from([None, "lanes", "separate", "soil -", "lane1 soil", "lane2/any - lane1/any"])
STEPS = st.lists(
    st.one_of(
        st.lists(READINGS, min_size=1, max_size=12),
        st.builds(Catalogued, st.sampled_from([None, 1, 2, 3]), RULES),
        st.builds(Rolled, st.integers(0, 6)),
    ),
    min_size=2,
    max_size=8,
)


@pytest.fixture(scope="module")
def shared(postgres: str) -> Iterator[Store]:
    """One database for all examples: each has a sensor and a week of its own."""
    with fresh_database(postgres) as url, closing(Store(url)) as store:
        yield store


_weeks = count()


@settings(max_examples=up_to(10))
@given(steps=STEPS)
def test_figures_are_those_of_the_series(shared: Store, steps: list[Any]) -> None:
    """
    After every step, with hours that are closed, dirty or still run, every level has the figures of today's rules.

    Steps are batches with late readings and corrections, changes of the catalogue, and turns of the roll-up.
    """
    week = next(_weeks)
    sensor, first = f"ndw/s{week}", MONDAY + week * timedelta(weeks=1)
    for step in [*steps, Rolled(6)]:
        take(shared, sensor, first, step)
        agree(shared, sensor)
    ((unstored,),) = asked(shared, "SELECT count(*) FROM series WHERE NOT (stored OR alone) AND head IS NOT NULL")
    assert unstored == 0


def test_what_is_stored_already_is_filled_by_the_roll_up(store: Store) -> None:
    """After an upgrade no sensor's evidence is stored: the views compute it, and turns of the roll-up fill it in."""
    lanes = [
        Given("vehicle_count", f"lane{lane}", 3600, hour, 0, 5.0, 1.0, False) for lane in (1, 2) for hour in range(4)
    ]
    take(store, "ndw/s", MONDAY, lanes)
    roll_up(store, MONDAY + 4 * HOUR, timedelta())
    before = rows(store, "SELECT * FROM sensor_1h", "ndw/s")
    with psycopg.connect(store.conninfo) as connection:
        connection.execute("UPDATE series SET stored = false; TRUNCATE sensor_evidence_1h, sensor_evidence_1d")
    assert rows(store, "SELECT * FROM sensor_1h", "ndw/s") == before
    roll_up(store, MONDAY + 4 * HOUR, timedelta(), most=1)
    assert rows(store, "SELECT * FROM sensor_1h", "ndw/s") == before
    assert asked(
        store, "SELECT (SELECT count(*) FROM sensor_evidence_1h), (SELECT count(*) FROM sensor_evidence_1d)"
    ) == [(4, 2)]


def test_one_series_that_stands_for_its_sensor_is_not_stored(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel that its source left out, and then takes, has evidence only until it is known to be the only one."""
    soil = Given("temperature", "soil", 3600, 0, 0, 5.0, 1.0, False)
    for channel in ("radar", "soil"):
        monkeypatch.setitem(sources._sources, "ndw", replace(sources.SOURCES["ndw"], channels=[channel]))
        migrate(store, "Europe/Amsterdam")
        take(store, "ndw/s", MONDAY, [soil])
        take(store, "ndw/s", MONDAY, Rolled(1))
    flags = "SELECT alone, stored FROM series WHERE channel = 'soil'"
    assert asked(store, flags) == [(False, True)]
    take(store, "ndw/s", MONDAY, [soil._replace(quantity="no2", channel="")])
    assert asked(store, flags) == [(True, False)]
    agree(store, "ndw/s")


def take(store: Store, sensor: str, first: datetime, step: Any) -> None:
    """Let one step happen."""
    if isinstance(step, Catalogued):
        import_sensors(store, [Entry(sensor, lanes=step.lanes, channels=step.channels)])
    elif isinstance(step, Rolled):
        roll_up(store, first + step.hours * HOUR, timedelta())
    else:
        read = [reading(sensor, first, one) for one in step]
        Pipeline(store).store(Batch(columns(read, [first + timedelta(days=2)] * len(read))))


def reading(sensor: str, first: datetime, one: Given) -> Reading:
    """Make the reading that was drawn."""
    start = first + one.hour * HOUR + timedelta(seconds=one.at * one.period % 3600)
    weight = 0.0 if one.value is None else 3.0
    return Reading(
        sensor, one.channel, one.quantity, one.period, start, one.value, weight, covers=one.covers * one.period,
        status=int(one.validated),
    )  # fmt: skip


def agree(store: Store, sensor: str) -> None:
    """Hold each view against the rules that read the series."""
    for level in ("5m", "1h", "1d"):
        wanted = f"SELECT * FROM sensor_alone_{level} UNION ALL ({ORACLE.replace('<level>', level)})"
        found, expected = (rows(store, text, sensor) for text in (f"SELECT * FROM sensor_{level}", wanted))
        assert [row[:3] for row in found] == [row[:3] for row in expected], level
        for row, other in zip(found, expected, strict=True):
            differ = [pair for pair in zip(row, other, strict=True) if not same(*pair)]
            assert not differ, (level, row, other)


def same(cell: object, other: object) -> bool:
    """Tell whether two figures are the same, sums up to the order in which they were added."""
    return cell == other or (isinstance(other, float) and cell == pytest.approx(other, rel=1e-9))


def rows(store: Store, text: str, sensor: str) -> list[Sequence[object]]:
    """Give the rows of a view of one sensor."""
    return asked(
        store,
        'SELECT quantity, extract(epoch FROM start)::float8, extract(epoch FROM "end")::float8, value, estimate,'
        " space_mean, minimum, maximum, readings, nothing, flagged, failed, warned, coverage, valid::integer, lanes,"
        f" lanes_expected, status, revision, extract(epoch FROM computed_at)::float8, series, weight FROM ({text}) v"
        f" WHERE sensor_id = '{sensor}' ORDER BY quantity, start",
    )


def asked(store: Store, text: str) -> list[Sequence[Any]]:
    """Ask for rows."""
    with psycopg.connect(store.conninfo) as connection:
        return list(connection.execute(text.encode()).fetchall())
