"""A group's hours and days are what its members counted, with signs and directions, also after everything changes."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from aggregates.areas.groups import Groups, import_groups
from aggregates.ask.dates import known_at
from aggregates.ask.query import Question, ask
from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store
from ingest.files.catalogue import Entry
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.readings import Reading
from ingest.vocabulary.values import BadFile, read_toml
from streams.commit.pipeline import Pipeline
from streams.rollup.reconcile import reconcile
from streams.rollup.rollup import roll_up
from tests.support.commands import app

MONDAY = datetime(2024, 5, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)
GROUPS = """
[cordon]
title = "Cordon of the centre, net"
quantities = ["vehicle_count"]
members = [
    { sensor = "telraam/1", lane = "lft" },
    { sensor = "telraam/1", lane = "rgt", sign = -1 },
    { sensor = "ndw/two" },
]

[corridor]
title = "Corridor"
members = [{ sensor = "telraam/1" }, { sensor = "ndw/two" }]
"""


def import_text(store: Store, tmp_path: Path, text: str) -> None:
    """Import a file of groups."""
    file = tmp_path / "groups.toml"
    file.write_text(text)
    import_groups(store, read_toml(file, Groups))


def count(
    sensor: str, channel: str, hour: int, value: float, covers: float = 3600, quantity: str = "vehicle_count"
) -> Reading:
    """An hour of a sensor."""
    return Reading(
        sensor,
        channel,
        quantity,
        3600,
        MONDAY + hour * HOUR,
        value,
        1.0 if "count" in quantity else value,
        covers=covers,
    )


def take(store: Store, *readings: Reading, hours: int = 30) -> None:
    """Store readings and roll them up."""
    Pipeline(store).store(Batch(columns(list(readings), [MONDAY + timedelta(days=2)] * len(readings))))
    roll_up(store, MONDAY + hours * HOUR, timedelta())


def members(*hours: int) -> list[Reading]:
    """Hours of both sensors: 100 to the left, 30 to the right, 50 on each of two lanes."""
    return [
        count(sensor, channel, hour, value)
        for hour in hours
        for sensor, channel, value in (
            ("telraam/1", "lft", 100), ("telraam/1", "rgt", 30),
            ("ndw/two", "lane1/any", 50), ("ndw/two", "lane2/any", 50),
        )
    ]  # fmt: skip


def figures(store: Store, group: str, level: str = "1h", quantity: str = "vehicle_count") -> list[tuple[Any, ...]]:
    """Value, coverage, validity, and lanes seen and expected of a group, in order of time."""
    with psycopg.connect(store.conninfo) as connection:
        return connection.execute(
            f"SELECT value, coverage, valid, lanes, lanes_expected FROM sensor_{level}"
            " WHERE sensor_id = %s AND quantity = %s ORDER BY start",
            (f"group/{group}", quantity),
        ).fetchall()


@pytest.fixture
def filled(store: Store, tmp_path: Path) -> Store:
    """Two groups, and a day of their members."""
    import_sensors(store, [Entry("ndw/two", lanes=2)])
    import_text(store, tmp_path, GROUPS)
    take(store, *members(*range(22)))
    return store


def test_signs_and_directions_count(filled: Store) -> None:
    """What goes out is subtracted, a whole sensor is all of its lanes, and the day is the sum of its hours."""
    assert figures(filled, "cordon")[0] == (170, 1, True, 4, 4)
    assert figures(filled, "corridor")[0][0] == 230
    assert figures(filled, "cordon", "1d") == [(22 * 170, pytest.approx(22 / 24), True, 4, 4)]


@pytest.mark.parametrize("more", [["--window=1h"], ["--window=whole", "--profile=hour"]])
def test_a_group_beside_a_sensor(filled: Store, more: list[str]) -> None:
    """`query` with both gives both, hours and averages, as the API does; with one of them that one."""
    words = ["query", "--quantity=vehicle_count", "--from=2024-05-06", "--to=2024-05-07", "--format=json", *more]
    for chosen in ("telraam/1",), ("group/corridor",), ("group/corridor", "telraam/1"):
        named = [f"--group={own}" if source == "group" else f"--sensor={source}/{own}"
                 for source, own in (one.split("/") for one in chosen)]  # fmt: skip
        done = CliRunner().invoke(app, [*words, *named, f"--database={filled.conninfo}"])
        assert {row["sensor_id"] for row in json.loads(done.stdout)} == set(chosen)


def test_a_member_that_is_silent_makes_it_not_valid(filled: Store) -> None:
    """An hour without a member has the value of the others, three quarters of the coverage, and is not valid."""
    take(filled, *members(24)[:3])
    assert figures(filled, "cordon")[-1] == (120, 0.75, False, 3, 4)


def test_a_roll_up_spends_no_number_of_a_series(filled: Store) -> None:
    """There are two thousand million, and a roll-up comes each second."""
    number = "SELECT last_value FROM pg_sequences WHERE sequencename = 'series_series_seq'"
    with psycopg.connect(filled.conninfo, autocommit=True) as connection:
        before = connection.execute(number).fetchall()
        take(filled, *members(22))
        assert connection.execute(number).fetchall() == before != [(None,)]


def test_late_data_and_corrections_reach_it(filled: Store) -> None:
    """A correction of one member makes the group's hour anew."""
    late = Reading("ndw/two", "lane1/any", "vehicle_count", 3600, MONDAY + 3 * HOUR, 51, 1.0, covers=3600, status=1)
    take(filled, late)
    assert [one[0] for one in figures(filled, "cordon")[2:5]] == [170, 171, 170]


def test_another_definition_makes_all_of_it_anew(filled: Store, tmp_path: Path) -> None:
    """A group that loses a member loses it in all its hours; one that is no longer named is gone."""
    without = GROUPS.replace('    { sensor = "ndw/two" },\n', "").partition("[corridor]")[0]
    import_text(filled, tmp_path, without)
    roll_up(filled, MONDAY + 30 * HOUR, timedelta())
    assert {one[0] for one in figures(filled, "cordon")} == {70}
    assert figures(filled, "cordon", "1d")[0][0] == 22 * 70
    assert figures(filled, "corridor") == []


def test_speeds_weigh_by_vehicles(filled: Store) -> None:
    """The speed of a corridor is that of its vehicles, whatever the signs; it began after the group was made."""
    slow, fast = (
        Reading(sensor, channel, "vehicle_speed", 3600, MONDAY, speed, weight, covers=3600)
        for sensor, channel, speed, weight in (("ndw/two", "lane1/any", 20.0, 30.0), ("telraam/1", "lft", 60.0, 10.0))
    )
    take(filled, slow, fast)
    assert figures(filled, "corridor", quantity="vehicle_speed")[0][0] == 30
    assert figures(filled, "cordon", quantity="vehicle_speed") == []


def test_a_member_that_never_measured_is_expected_where_the_quantity_is_named(filled: Store, tmp_path: Path) -> None:
    """A cordon with a counter that was never heard of is not valid, and says of how many lanes it knows."""
    more = GROUPS.replace('{ sensor = "ndw/two" },\n', '{ sensor = "ndw/two" }, { sensor = "ndw/never" },\n', 1)
    import_text(filled, tmp_path, more)
    roll_up(filled, MONDAY + 30 * HOUR, timedelta())
    assert figures(filled, "cordon")[0] == (170, 0.8, False, 4, 5)


def test_a_lane_that_was_never_seen_is_missing(filled: Store, tmp_path: Path) -> None:
    """A direction that was misspelt counts nothing: what is left is too little, and says so."""
    import_text(filled, tmp_path, GROUPS.replace('lane = "rgt", sign = -1', 'lane = "right"'))
    roll_up(filled, MONDAY + 30 * HOUR, timedelta())
    assert figures(filled, "cordon")[0] == (200, 0.75, False, 3, 4)


CHIPS = """
[air]
title = "Air"
quantities = ["temperature"]
members = [{ sensor = "sensor_community/1" }, { sensor = "sensor_community/2" }]
"""


def test_of_a_member_with_alternatives_one_counts(store: Store, tmp_path: Path) -> None:
    """
    Two chips of one box are one member, by its first that is there; so is a box with one chip.

    Where nothing of a box is there, it is missing. Once the catalogue prefers the other chip, that one counts.
    """
    import_text(store, tmp_path, CHIPS)
    hours = (("1", "BME280", (0, 1), 20.0), ("1", "", (0, 1, 2), 30.0), ("2", "", (0, 2), 24.0))
    chips = [
        count(f"sensor_community/{box}", chip, hour, degrees, quantity="temperature")
        for box, chip, known, degrees in hours
        for hour in known
    ]
    take(store, *chips)
    both, one = [(22, 1, True, 2, 2), (27, 1, True, 2, 2)], (20, 0.5, False, 1, 2)
    assert figures(store, "air", quantity="temperature") == [both[0], one, both[1]]
    assert figures(store, "air", "1d", "temperature")[0][3:] == (2, 2)
    first, last = MONDAY.date(), (MONDAY + timedelta(days=2)).date()
    assert not [found for found in reconcile(store, first, last) if found.windows]
    import_sensors(store, [Entry("sensor_community/1", channels="- BME280")])
    roll_up(store, MONDAY + 30 * HOUR, timedelta())
    assert figures(store, "air", quantity="temperature") == [both[1], (30, 0.5, False, 1, 2), both[1]]


def test_a_member_without_a_figure_of_its_own_is_missing(store: Store, tmp_path: Path) -> None:
    """Temperatures of soil and air have no mean: of such a station nothing counts, unless one of them is named."""
    import_text(store, tmp_path, CHIPS.replace("sensor_community", "stadspuls"))
    soil, air, other = (
        count(f"stadspuls/{one}", channel, 0, degrees, quantity="temperature")
        for one, channel, degrees in (("1", "soil", 8.0), ("1", "", 20.0), ("2", "", 22.0))
    )
    take(store, air, other)
    assert figures(store, "air", quantity="temperature") == [(21, 1, True, 2, 2)]
    take(store, soil)
    assert figures(store, "air", quantity="temperature") == [(22, 0.5, False, 1, 2)]
    named = CHIPS.replace("sensor_community", "stadspuls").replace('/1"', '/1", lane = "soil"')
    import_text(store, tmp_path, named)
    roll_up(store, MONDAY + 30 * HOUR, timedelta())
    assert figures(store, "air", quantity="temperature") == [(15, 1, True, 2, 2)]


def test_it_is_proven(filled: Store) -> None:
    """The proof compares groups as well: it finds a figure that was altered by hand, and the repair mends it."""
    first, last = MONDAY.date(), (MONDAY + timedelta(days=2)).date()
    assert not [one for one in reconcile(filled, first, last) if one.windows]
    with psycopg.connect(filled.conninfo) as connection:
        connection.execute(
            "UPDATE sensor_evidence_1h SET value = 1 WHERE start = %s AND head IN (SELECT head FROM group_part)",
            (MONDAY,),
        )
    found = [one for one in reconcile(filled, first, last, repair=True) if one.windows]
    assert {one.level for one in found} == {"sensor_1h"}
    roll_up(filled, MONDAY + 30 * HOUR, timedelta())
    assert figures(filled, "cordon")[0][0] == 170


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[a]\ntitle = "A"', "neither members nor area"),
        ('[a]\ntitle = "A"\narea = "x"', "area 'x', expected a code"),
        ('[a]\ntitle = "A"\nmembers = [{ sensor = "group/b" }]', "sensor"),
        ('[a]\ntitle = "A"\nmembers = [{ sensor = "x/1" }, { sensor = "x/1" }]', "a member twice"),
        ('[a]\ntitle = "A"\nquantities = ["cars"]\narea = "GM0014"', "quantity 'cars'"),
        ('["A b"]\ntitle = "A"\narea = "GM0014"', "matching regex"),
    ],
)
def test_a_group_that_cannot_be_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """Whoever writes the file is told what was found and expected."""
    file = tmp_path / "groups.toml"
    file.write_text(text)
    with pytest.raises(BadFile, match=said):
        read_toml(file, Groups)


def test_as_of_a_moment_a_group_has_its_figures_of_then(filled: Store) -> None:
    """An hour of a member is corrected: the group had another figure before."""
    ((moment,),) = filled.rows("read_settled_moment")
    take(filled, Reading("ndw/two", "lane1/any", "vehicle_count", 3600, MONDAY, 40.0, version=1))
    for level, before, now in (("1h", 170, 160), ("1d", 22 * 170, 22 * 170 - 10)):
        asked = Question("vehicle_count", MONDAY - HOUR * 24, MONDAY + HOUR, level, "group/cordon")
        with known_at(filled, moment):
            assert ask(filled, asked)["value"].tolist() == [before]
        assert ask(filled, asked)["value"].tolist() == [now]
