"""Sets of sensors are stored once, and area windows have their numbers; whoever asks has the names, as ever."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aggregates.areas.roll_up import roll_areas
from aggregates.ask.dates import known_at
from aggregates.ask.listings import joined
from aggregates.store.errors import StoreError
from aggregates.store.migrate import migrate
from aggregates.store.store import Store, Transaction
from streams.rollup.rollup import roll_up
from tests.aggregates.areas.test_area_history import BUURT, GEMEENTE, reasons
from tests.aggregates.areas.test_areas import (
    BEGIN,
    LATER,
    PLACES,
    SOON,
    fetched,
    figures,
    hours,
    load_cases,
    place,
    refresh,
)
from tests.aggregates.store.test_versions import publish
from tests.conftest import ROOT
from tests.support.databases import ZONE, fresh_database
from tests.support.examples import up_to

HOURS = st.lists(st.frozensets(st.sampled_from("abc")), min_size=1, max_size=6)
PANELS = "SELECT members FROM panel ORDER BY members"
_days = count()


@pytest.fixture
def loaded(store: Store) -> Store:
    """A store with sensors in a vintage of areas."""
    load_cases(store)
    place(store, **PLACES)
    return store


@pytest.fixture(scope="module")
def shared(postgres: str) -> Iterator[Store]:
    """The same for all examples: each has a day of its own."""
    with fresh_database(postgres) as url, closing(Store(url)) as store:
        load_cases(store)
        place(store, **PLACES)
        yield store


def named(store: Store, first: datetime, code: str) -> list[list[str]]:
    """The names of the sensors of each hour of a day of an area."""
    last = first + timedelta(days=1)
    found = joined(store, window="1h", vintage=2024, first=first, last=last, quantities=["no2"], codes=[code])
    return [row["members"] for row in found.to_pylist()]


@settings(max_examples=up_to(15))
@given(rounds=st.lists(HOURS, min_size=1, max_size=3))
@example(rounds=[[frozenset("ab")] * 3, [frozenset("a")] * 3, [frozenset("ab")] * 3])
def test_every_window_has_the_names_of_its_valid_sensors(shared: Store, rounds: list[list[frozenset[str]]]) -> None:
    """
    Whatever becomes valid or not, in whichever order: names are those of the valid sensors, now and as of each round.

    Each set is there once, of however many hours and areas, and what is made again as it was has no other number.
    """
    first = BEGIN + timedelta(days=next(_days))
    now: dict[int, frozenset[str]] = {}
    known: list[tuple[datetime | None, list[list[str]]]] = []
    for version, valid in enumerate(rounds):
        now |= dict(enumerate(valid))
        for sensor in "abc":
            for at, one in enumerate(valid):
                covers: dict[str, Any] = {} if sensor in one else {"covers": 900.0}
                hours(shared, sensor, [10.0], begin=first + timedelta(hours=at), version=version, **covers)
        roll_up(shared, first + timedelta(days=4))
        roll_areas(shared)
        moment = publish(shared, f"{first:%j}-{version}")
        known.append((moment, [sorted(f"stadspuls/{name}" for name in now[at]) for at in sorted(now)]))
    for then, expected in [*known, (None, known[-1][1])]:
        with known_at(shared, then):
            assert named(shared, first, GEMEENTE) == expected
            here = [[name for name in names if name != "stadspuls/c"] for names in expected]
            assert named(shared, first, BUURT) == here
    panels = fetched(shared, PANELS)
    assert panels == fetched(shared, "SELECT DISTINCT members FROM panel ORDER BY members")
    assert fetched(shared, "SELECT count(*) FROM area_1h WHERE panel IS NULL OR members IS NOT NULL") == [(0,)]
    with shared.transaction() as tx:
        tx.script("INSERT INTO area_mark (hour, quantity) SELECT DISTINCT start, quantity FROM area_1h")
    before = fetched(shared, "SELECT code, start, panel FROM area_1h ORDER BY 1, 2")
    roll_areas(shared)
    assert (fetched(shared, "SELECT code, start, panel FROM area_1h ORDER BY 1, 2"), fetched(shared, PANELS)) == (
        before,
        panels,
    )


def test_a_set_and_its_windows_are_there_together_or_not_at_all(loaded: Store) -> None:
    """The server ends the session of a roll-up before it commits: no number is left, and the next one makes all."""
    hours(loaded, "a", [10, 20])
    roll_up(loaded, SOON)

    def killed(tx: Transaction, *_: Any) -> None:
        tx.script("SELECT pg_terminate_backend(pg_backend_pid())")

    with closing(Store(loaded.conninfo)) as other, pytest.raises(StoreError):
        roll_areas(other, rolled=killed)
    assert fetched(loaded, PANELS) == []
    roll_areas(loaded)
    assert fetched(loaded, PANELS) == [([],), (["stadspuls/a"],)]  # of the day none is valid
    assert figures(loaded, BUURT)["members"].tolist() == ["stadspuls/a"] * 2


def test_two_sessions_that_make_one_set_have_one_number(loaded: Store) -> None:
    """Of two that do not wait for each other, as nobody does, the second makes no second number."""
    url, insert = (
        loaded.conninfo,
        b"INSERT INTO panel (members) VALUES ('{a,b}') ON CONFLICT DO NOTHING RETURNING panel",
    )
    with (
        psycopg.connect(loaded.conninfo) as one,
        psycopg.connect(loaded.conninfo) as other,
        ThreadPoolExecutor(1) as go,
    ):
        assert len(one.execute(insert).fetchall()) == 1
        second = go.submit(lambda: other.execute(insert).fetchall())
        one.commit()
        assert second.result(60) == []
    with psycopg.connect(url) as one, pytest.raises(psycopg.errors.ExclusionViolation):
        one.execute("INSERT INTO panel (members) VALUES ('{a,b}')")


def go_back(store: Store) -> None:
    """Make the schema what it was before 0033, with the rows that are there as they were stored then."""
    schema = ROOT / "aggregates" / "schema"
    text = {number: next(schema.glob(f"{number}_*.sql")).read_text("utf-8") for number in ("0003", "0026", "0031")}
    views = text["0003"][text["0003"].index("CREATE VIEW area_hour") :].split("-- For analysts: every")[0]
    keeping = text["0026"][text["0026"].index("CREATE FUNCTION keep_version") :].split("-- A window is closed")[0]
    with psycopg.connect(store.conninfo) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("DROP SCHEMA as_of CASCADE; DROP VIEW area_panel_1h, area_panel_1d CASCADE")
        for table in ("area_1h", "area_1d", "area_1h_version", "area_1d_version"):
            connection.execute(
                f"UPDATE {table} a SET members = p.members FROM panel p WHERE p.panel = a.panel".encode()
            )
            connection.execute(f"ALTER TABLE {table} DROP COLUMN panel, ALTER members SET NOT NULL".encode())
        connection.execute("DROP TABLE panel; DELETE FROM migration WHERE name = '0033_panels.sql'")
        connection.execute((views + keeping.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")).encode())
        connection.execute(text["0031"].encode())


def answers(store: Store, moment: datetime) -> list[Any]:
    """What questions about areas say, now and as of a moment."""
    found: list[Any] = [reasons(store, BUURT), reasons(store, GEMEENTE)]
    for then in (None, moment):
        with known_at(store, then):
            for window in ("1h", "1d"):
                table = joined(store, window=window, vintage=2024, first=BEGIN, last=LATER, quantities=["no2"])
                found += [figures(store, BUURT, window=window).to_csv(), table.to_pylist()]
    return found


def test_a_hub_with_areas_answers_as_before(loaded: Store) -> None:
    """What is stored by names is read as ever; made again it has numbers, and only what is another figure a version."""
    hours(loaded, "a", [10, 20, 30])
    hours(loaded, "b", [20, 40, 60])
    refresh(loaded)
    moment = publish(loaded, "first")
    hours(loaded, "b", [20], covers=900.0, version=1)
    refresh(loaded)
    expected = answers(loaded, moment)
    go_back(loaded)
    migrate(loaded, ZONE)
    assert answers(loaded, moment) == expected
    assert fetched(loaded, "SELECT count(*) FROM area_1h WHERE members IS NULL") == [(0,)]

    hours(loaded, "a", [32], begin=BEGIN + timedelta(hours=2), version=1)
    roll_up(loaded, SOON)
    with loaded.transaction() as tx:
        tx.script("INSERT INTO area_mark (hour, quantity) SELECT DISTINCT start, quantity FROM area_1h")
    roll_areas(loaded)
    assert fetched(loaded, "SELECT count(*) FROM area_1h WHERE members IS NOT NULL OR panel IS NULL") == [(0,)]
    assert by_hours(reasons(loaded, BUURT)) == [*by_hours(expected[0]), ("1h", "correction", 45.0, 46.0)]
    assert figures(loaded, BUURT)["members"].tolist() == ["stadspuls/a", *["stadspuls/a stadspuls/b"] * 2]
    hours(loaded, "a", [20], covers=900.0, begin=BEGIN + timedelta(hours=1), version=1)
    refresh(loaded)
    assert figures(loaded, BUURT)["members"].tolist()[1] == "stadspuls/b"
    assert ("1h", "catalogue", 30.0, 40.0) in reasons(loaded, BUURT)
    with known_at(loaded, moment):
        assert figures(loaded, BUURT)["members"].tolist() == ["stadspuls/a stadspuls/b"] * 3


def by_hours(changes: list[Any]) -> list[Any]:
    """The changes of hours alone."""
    return [one for one in changes if one[0] == "1h"]
