"""Areas in the store: loaded whole or not at all, sensors placed, figures made and made anew; the command line."""

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest
from typer.testing import CliRunner

from aggregates.areas.inputs import Document, gather
from aggregates.areas.load import load
from aggregates.areas.roll_up import place_sensors, roll_areas
from aggregates.ask.dates import BadQuestion
from aggregates.ask.indicators import Refused
from aggregates.ask.listings import areas, joined, read_area_figures
from aggregates.ask.query import Question, ask, is_waiting
from aggregates.export.areas import check_open, export_areas, export_figures, origins
from aggregates.store.catalogue import import_sensors
from aggregates.store.errors import StoreError
from aggregates.store.statements import statement_text
from aggregates.store.store import Store, Transaction
from ingest.files.catalogue import Entry
from ingest.files.recordings import messages
from ingest.formats.decode import decode
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.readings import Message, Reading
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up
from tests.conftest import CASES
from tests.support.commands import app
from tests.support.plans import watched_plans

AREAS = CASES / "areas"
GM = "GM9901"
BEGIN = datetime(2024, 6, 3, tzinfo=UTC)
SOON = BEGIN + timedelta(days=4)
LATER = datetime(2024, 9, 1, tzinfo=UTC)
HOURS: dict[str, Any] = {"window": "1h", "first": BEGIN, "last": LATER, "quantities": ["no2"]}
PLACES = {"a": (6.002, 53.002), "b": (6.004, 53.004), "c": (6.005, 53.015), "far": (7.0, 53.0)}


def load_cases(store: Store, vintage: int = 2024, *names: str) -> int:
    """Load cases of `tests/cases/areas`; give how many parts changed."""
    found = gather([Document.read(AREAS / name) for name in names or ("map_2024.geojson", "typed_v3.json")], 2024, [GM])
    return len(load(store, vintage, [GM], found))


def place(store: Store, **places: tuple[float, float]) -> None:
    """Put sensors in the catalogue."""
    import_sensors(store, [Entry(f"stadspuls/{name}", lon=lon, lat=lat) for name, (lon, lat) in places.items()])


def hours(
    store: Store, name: str, values: Sequence[float | None], quantity: str = "no2", begin: datetime = BEGIN,
    channel: str = "", **more: Any,
) -> None:  # fmt: skip
    """Store an hour for each value, from `begin` on."""
    said = [
        Reading(f"stadspuls/{name}", channel, quantity, 3600, begin + timedelta(hours=at), value, **more)
        for at, value in enumerate(values)
        if value is not None
    ]
    Pipeline(store).store(Batch(columns(said, [LATER] * len(said)), (), ()))


def refresh(store: Store, now: datetime = SOON) -> None:
    """Roll up, and make the area figures that are due: of each day until `now`, for four weeks."""
    roll_up(store, now)
    roll_areas(store)


def figures(store: Store, code: str, quantity: str = "no2", window: str = "1h") -> pd.DataFrame:
    """Ask for the windows of an area."""
    return ask(store, Question(quantity, BEGIN - timedelta(days=1), BEGIN + timedelta(days=2), window, area=code))


def fetched(store: Store, question: str) -> list[tuple[Any, ...]]:
    """Ask the database directly."""
    with psycopg.connect(store.conninfo, autocommit=True) as connection:
        return connection.execute(question.encode()).fetchall()


def contents(store: Store) -> list[tuple[Any, ...]]:
    """Everything that is loaded."""
    return fetched(store, "SELECT * FROM area ORDER BY 1, 2") + fetched(
        store, "SELECT * FROM area_statistic ORDER BY 1, 2, 3"
    )


@pytest.fixture
def loaded(store: Store) -> Store:
    """A store with the made-up vintage 2024 and four sensors, one of them far away."""
    load_cases(store)
    place(store, **PLACES)
    return store


class TestLoading:
    """A vintage is replaced as a whole."""

    def test_twice_changes_nothing(self, store: Store) -> None:
        """The same files again change no row, and are not noted as a new load."""
        assert load_cases(store) == 2
        before, noted = contents(store), fetched(store, "SELECT * FROM area_load ORDER BY 1, 2, 3")
        assert load_cases(store) == 0
        assert contents(store) == before
        assert fetched(store, "SELECT * FROM area_load ORDER BY 1, 2, 3") == noted

    def test_failed_load_leaves_the_old(self, store: Store) -> None:
        """A load that the database refuses half-way leaves the vintage as it was."""
        load_cases(store)
        before = contents(store)
        with psycopg.connect(store.conninfo, autocommit=True) as connection:
            connection.execute("ALTER TABLE area_statistic ADD CONSTRAINT unlucky CHECK (value <> 1203) NOT VALID")
        found = gather([Document.read(AREAS / name) for name in ("map_2024.geojson", "municipal.json")], 2024, [GM])
        with pytest.raises(StoreError, match="unlucky"):
            load(store, 2024, [GM], found._replace(areas=found.areas[:3]))
        assert contents(store) == before

    def test_parts_alone(self, store: Store) -> None:
        """Statistics without a map make areas without a boundary; the map, loaded later, gives it to them."""
        load_cases(store, 2024, "typed_v3.json")
        listed = areas(store, 2024).to_pylist()
        assert {one["code"] for one in listed} >= {"BU99010000", "WK9901TB"}
        assert all(one["lon"] is None for one in listed)
        load_cases(store, 2024, "map_2024.geojson")
        named = {one["code"]: one for one in areas(store, 2024).to_pylist()}
        assert named["BU99010000"]["lon"] == pytest.approx(6.005)
        assert named["WK9901TB"]["lon"] is None
        assert named["GM9901"]["name"] == "Zeestad"
        assert named["BU99010000"]["statistics"]["inhabitants"] == 600

    def test_vintages_stand_beside_each_other(self, loaded: Store) -> None:
        """A second vintage leaves the first alone; each has its own figures, and a question is of one of them."""
        load_cases(loaded, 2023)
        hours(loaded, "a", [10, 20])
        refresh(loaded)
        assert fetched(loaded, "SELECT DISTINCT vintage FROM area_1h ORDER BY 1") == [(2023,), (2024,)]
        assert set(figures(loaded, "BU99010000")["vintage"]) == {2024}

    def test_statistics_have_their_period(self, loaded: Store) -> None:
        """The analysts' view has unit, reference period, table, source and licence of every figure."""
        (row,) = fetched(
            loaded,
            "SELECT value, unit, period, table_id, source, licence FROM area_statistics "
            "WHERE code = 'GM9901' AND measure = 'wealth'",
        )
        assert row[:4] == (-0.7, "1000 EUR", "1 January 2024", "85984NED")
        assert "Kerncijfers" in row[4]
        assert "CC BY 4.0" in row[5]


class TestFigures:
    """Area x hour and day x quantity."""

    def test_of_a_sum_only_valid_sensors_count(self, loaded: Store) -> None:
        """Of half an hour only evidence and status are in the figure; who knows no hours is not expected."""
        hours(loaded, "a", [10.0], "bicycle_count", status=1)
        half = Reading("stadspuls/b", "", "bicycle_count", 3600, BEGIN, 99.0, covers=1800)
        slow = Reading("stadspuls/c", "", "bicycle_count", 7200, BEGIN, 70.0)
        Pipeline(loaded).store(Batch(columns([half, slow], [LATER] * 2), (), ()))
        refresh(loaded)
        question = (
            "SELECT value, estimate, minimum, maximum, sensors, valid_sensors, valid, readings, status FROM area_1h"
            f" WHERE code = 'GM9901' AND start = '{BEGIN}'"
        )
        assert fetched(loaded, question) == [(10, 10, 10, 10, 2, 1, False, 2, 0)]

    def test_mean_over_valid_sensors_that_are_named(self, loaded: Store) -> None:
        """The mean of the buurt is over its valid sensors, named; the gemeente has every sensor of it, once."""
        hours(loaded, "a", [10, 20, 30])
        hours(loaded, "b", [20, 40], covers=900.0)  # a quarter of the hour: not valid
        hours(loaded, "c", [50])
        hours(loaded, "far", [1000])
        refresh(loaded)
        buurt = figures(loaded, "BU99010000")
        assert buurt["value"].tolist() == [10, 20, 30]
        assert buurt["sensors"].tolist() == [2, 2, 2]
        assert buurt["valid_sensors"].tolist() == [1, 1, 1]
        assert buurt["members"].tolist() == ["stadspuls/a"] * 3
        assert buurt["coverage"].tolist() == [0.625, 0.625, 0.5]
        assert figures(loaded, "GM9901")["value"].tolist() == [30, 20, 30]

    def test_sum_is_valid_when_all_are(self, loaded: Store) -> None:
        """Counts add up over valid sensors; the sum is not valid while one of its sensors is not."""
        hours(loaded, "a", [10, 20], "bicycle_count")
        hours(loaded, "b", [5, 5], "bicycle_count", covers=1800.0)
        refresh(loaded)
        found = figures(loaded, "WK990100", "bicycle_count")
        assert found["value"].tolist() == [10, 20]
        assert found["valid"].tolist() == [False, False]

    def test_days(self, loaded: Store) -> None:
        """A day of the area is of its sensors' days, which have their own rule of validity."""
        hours(loaded, "a", [float(hour) for hour in range(47)])
        refresh(loaded)
        first, second = figures(loaded, "GM9901", window="1d").to_dict("records")
        assert (first["valid"], second["valid"]) == (True, True)
        assert (second["start"].hour, second["value"]) == (23, sum(range(23, 47)) / 24)

    def test_late_data_and_corrections_arrive(self, loaded: Store) -> None:
        """What comes later, or is corrected, is in the area's hour after the next round, as a new revision."""
        hours(loaded, "a", [10, 20])
        refresh(loaded)
        assert roll_areas(loaded) == 0
        hours(loaded, "a", [12], version=5)
        hours(loaded, "b", [None, 30])
        refresh(loaded)
        found = figures(loaded, "BU99010000")
        assert found["value"].tolist() == [12, 25]
        assert found["revision"].tolist() == [2, 2]

    def test_new_sensor_brings_its_history(self, loaded: Store) -> None:
        """A sensor whose place becomes known after its data is counted from its first hour on."""
        hours(loaded, "late", [7, 8])
        refresh(loaded)
        assert figures(loaded, "BU99010001").empty
        place(loaded, late=(6.015, 53.005))
        refresh(loaded)
        assert figures(loaded, "BU99010001")["value"].tolist() == [7, 8]

    def test_moved_sensor_keeps_its_history(self, loaded: Store) -> None:
        """After a move the old hours stay where they were measured, and a jitter of metres is no move."""
        hours(loaded, "a", [10, 20])
        refresh(loaded)
        place(loaded, a=(6.015, 53.015))
        place(loaded, b=(6.00401, 53.00401))
        assert place_sensors(loaded) == 1
        loaded.rows("note_changed_validity", sensor_id=[None])
        refresh(loaded)
        assert figures(loaded, "BU99010000")["value"].tolist() == [10, 20]
        now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        said = [Reading("stadspuls/a", "", "no2", 3600, now, 99.0)]
        Pipeline(loaded).store(Batch(columns(said, [now + timedelta(hours=1)]), (), ()))
        roll_up(loaded, now + timedelta(hours=3))
        roll_areas(loaded)
        asked = Question("no2", now - timedelta(days=1), now + timedelta(hours=1), "1h", area="BU99010101")
        assert ask(loaded, asked)["value"].tolist() == [99]

    def test_an_area_of_any_level_finds_its_sensors_by_an_index(self, loaded: Store) -> None:
        """A page of the national list reads the sensors of its areas alone; one that moved counts where it is now."""
        refresh(loaded)
        place(loaded, a=(6.015, 53.015))
        refresh(loaded)
        found = {one["code"]: one["sensors"] for one in areas(loaded, 2024).to_pylist()}
        assert [found[code] for code in ("BU99010000", "BU99010101", "WK990100", "WK990101", GM)] == [1, 1, 1, 2, 3]
        with psycopg.connect(loaded.conninfo) as connection:
            connection.execute("SET enable_seqscan = off")
            for code, index in (("BU99010000", "area"), ("WK990100", "wijk"), (GM, "gemeente")):
                asked = f"EXPLAIN SELECT FROM sensor_area WHERE vintage = 2024 AND code = '{code}'"
                plan = "\n".join(line for (line,) in connection.execute(asked.encode()).fetchall())
                assert f"placement_{index}" in plan

    def test_places_are_compared_when_there_are_new_ones(self, loaded: Store) -> None:
        """Every turn of the upkeep asks: a country's places, with all boundaries, are not compared each time."""
        refresh(loaded)
        with watched_plans() as found:
            assert place_sensors(loaded) == 0
            assert set(found) == {"find_unplaced"}
            place(loaded, a=(6.015, 53.015))
            assert place_sensors(loaded) == 1
        assert "list_unplaced" in found

    def test_changed_boundaries_place_sensors_again(self, loaded: Store) -> None:
        """With other boundaries of the same vintage the figures are those of the new ones."""
        hours(loaded, "a", [10])
        refresh(loaded)
        found = gather([Document.read(AREAS / "map_2024.geojson")], 2024, [GM])
        others = tuple(area for area in found.areas if area.code != "BU99010000")
        load(loaded, 2024, [GM], found._replace(areas=others, statistics=()))
        refresh(loaded)
        assert figures(loaded, "BU99010000").empty
        assert figures(loaded, "GM9901").empty
        assert ("outside",) in fetched(loaded, "SELECT status FROM placement WHERE sensor_id = 'stadspuls/a'")

    def test_another_vintage_leaves_the_figures_of_the_first(self, loaded: Store) -> None:
        """Boundaries of another year have their own figures made, and no hour of the others is made again."""
        hours(loaded, "a", [10, 20])
        refresh(loaded)
        first = "SELECT code, start, computed_at, revision FROM area_1h WHERE vintage = 2024 ORDER BY 1, 2"
        before = fetched(loaded, first)
        load_cases(loaded, 2023)
        refresh(loaded)
        made = "SELECT vintage, count(*) FROM area_1h GROUP BY vintage ORDER BY 1"
        assert fetched(loaded, made) == [(2023, len(before)), (2024, len(before))]
        assert fetched(loaded, first) == before
        place(loaded, a=(6.015, 53.02))
        hours(loaded, "a", [30], begin=BEGIN + timedelta(hours=2))
        refresh(loaded)
        assert len({count for _, count in fetched(loaded, made)}) == 1

    def test_members_and_channels(self, loaded: Store) -> None:
        """Of an area one may also ask what each of its sensors counted, and every series."""
        hours(loaded, "a", [10])
        hours(loaded, "c", [30])
        refresh(loaded)
        for more in ({"members": True}, {"channels": True}):
            asked = Question("no2", BEGIN, BEGIN + timedelta(hours=1), "1h", area="GM9901", **more)  # type: ignore[arg-type]
            assert ask(loaded, asked)["sensor_id"].tolist() == ["stadspuls/a", "stadspuls/c"]
        with pytest.raises(BadQuestion, match="expected a code"):
            Question("no2", BEGIN, LATER, "1h", area="Groningen")

    def test_doctor_lists_how_sensors_lie(self, loaded: Store) -> None:
        """The one far away is there with its distance, and nothing waits."""
        refresh(loaded)
        asked = {"now": LATER, "since": None, "edition": "postgres", "no_areas": ""}
        lines = {what: found for what, found, _ in loaded.rows("list_findings", **asked)}
        assert lines["sensors 2024 inside"].startswith("3, as stadspuls/a")
        assert "m from BU99010" in lines["sensors 2024 outside"]


def shown(store: Store, first: datetime = BEGIN, last: datetime = LATER, window: str = "1h") -> list[Any]:
    """What the gemeente's bicycles are: value, sensors, valid ones, coverage, validity."""
    found = ask(store, Question("bicycle_count", first, last, window, area=GM))
    return list(found[["value", "sensors", "valid_sensors", "coverage", "valid"]].itertuples(index=False, name=None))


class TestExpected:
    """A sum is of the sensors that stand there and measure, not of those that happen to have said something."""

    @pytest.fixture
    def counters(self, loaded: Store) -> Store:
        """Three counters of 600 an hour, for two hours; `c` is silent in the second."""
        for name in "abc":
            hours(loaded, name, [600, None if name == "c" else 600], "bicycle_count")
        refresh(loaded)
        return loaded

    def test_silent_counter_makes_the_sum_invalid(self, counters: Store) -> None:
        """Two of three counters are not the sum of three, whatever they cover."""
        assert shown(counters) == [(1800, 3, 3, 1, True), (1200, 3, 2, pytest.approx(2 / 3), False)]

    def test_silent_day(self, counters: Store) -> None:
        """The same with days: a counter that is silent for all of a day is missing in it."""
        for name in "ab":
            hours(counters, name, [600] * 24, "bicycle_count", BEGIN + timedelta(days=2, hours=-2))
        refresh(counters)
        assert shown(counters, BEGIN + timedelta(days=1), window="1d") == [(28800, 3, 2, pytest.approx(2 / 3), False)]

    def test_counter_is_expected_from_its_first_hour_for_four_weeks(self, counters: Store) -> None:
        """Before it began it is not missed, and what was silent for four weeks is taken for removed."""
        before, soon, late = (BEGIN + timedelta(days=days) for days in (-1, 28, 29))
        for begin in (before, soon, late):
            hours(counters, "a", [600], "bicycle_count", begin)
        refresh(counters, LATER)
        assert shown(counters, before, BEGIN) == [(600, 1, 1, 1, True)]
        assert [row[1] for row in shown(counters, soon)] == [3, 1]

    def test_late_hour_makes_the_next_ones_incomplete(self, counters: Store) -> None:
        """A counter whose history comes late is missed in the hours after it, which were valid without it."""
        place(counters, d=(6.003, 53.003))
        refresh(counters)
        hours(counters, "d", [600], "bicycle_count", BEGIN - timedelta(hours=3))
        refresh(counters)
        assert [row[1:3] for row in shown(counters)] == [(4, 3), (4, 2)]

    def test_place_that_comes_late(self, counters: Store) -> None:
        """A dead counter is missed from its death on, also where its place is known only afterwards."""
        hours(counters, "e", [600], "bicycle_count")
        refresh(counters)
        place(counters, e=(6.003, 53.003))
        refresh(counters)
        assert [row[1:3] for row in shown(counters)] == [(4, 4), (4, 2)]


class TestValidityChanges:
    """What changes whether a sensor's figures are valid also changes the areas, for all of its history."""

    @pytest.fixture
    def lane(self, loaded: Store) -> Store:
        """One counter with one lane, known to the catalogue."""
        import_sensors(loaded, [Entry("stadspuls/a", lanes=1)])
        hours(loaded, "a", [600], "bicycle_count", channel="lane1")
        refresh(loaded)
        assert [row[4] for row in shown(loaded)] == [True]
        return loaded

    def test_lanes_of_the_catalogue(self, lane: Store) -> None:
        """A second lane, of which nothing is known, makes sensor and area invalid alike."""
        import_sensors(lane, [Entry("stadspuls/a", lanes=2)])
        refresh(lane)
        assert fetched(lane, "SELECT valid FROM sensor_1h") == [(False,)]
        assert [row[4] for row in shown(lane)] == [False]

    def test_answer_says_that_it_waits(self, lane: Store) -> None:
        """Until the areas are made again, who asks is told."""
        asked = BEGIN, BEGIN + timedelta(hours=1), "1h"
        assert not is_waiting(lane, *asked, areas=True)
        import_sensors(lane, [Entry("stadspuls/a", lanes=2)])
        assert is_waiting(lane, *asked, areas=True)
        refresh(lane)
        assert not is_waiting(lane, *asked, areas=True)

    def test_notes_do_not_pile_up(self, lane: Store) -> None:
        """Of lanes that change to and fro one note stays, the newest, for exports; of a place that changed none."""
        for lanes in (2, 1, 2):
            import_sensors(lane, [Entry("stadspuls/a", lanes=lanes)])
            place(lane, a=(6.015, 53.01 + lanes / 1000))
            refresh(lane)
        noted = fetched(lane, "SELECT sensor_id, marked, made_at < now() FROM changed_validity WHERE NOT areas")
        assert noted == [("stadspuls/a", True, True)]
        assert fetched(lane, "SELECT count(*) FROM changed_validity WHERE areas") == [(0,)]
        assert [row[4] for row in shown(lane)] == [False]

    def test_many_changes_cost_what_they_are(self, lane: Store) -> None:
        """Where a thousand sensors changed, not all series are read for each of them."""
        sensors = [f"stadspuls/{number}" for number in range(1000)]
        import_sensors(lane, [Entry(sensor) for sensor in sensors])
        read = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'series'"
        with psycopg.connect(lane.conninfo) as session:
            made = "INSERT INTO series (sensor_id, quantity, channel, period) SELECT unnest(%s::text[]), 'no2', '', 60"
            session.execute(made, [sensors])
        lane.rows("note_changed_validity", sensor_id=sensors)
        with psycopg.connect(lane.conninfo) as session:
            session.execute(statement_text("mark_changed_validity"))
            assert session.execute(read).fetchone()[0] < 10 * len(sensors)  # type: ignore[index]

    def test_new_channel(self, loaded: Store) -> None:
        """A second channel of a sensor without known lanes makes its history invalid."""
        hours(loaded, "a", [600], "bicycle_count", channel="lane1")
        refresh(loaded)
        assert [row[4] for row in shown(loaded)] == [True]
        hours(loaded, "a", [600], "bicycle_count", BEGIN + timedelta(hours=5), "lane2")
        refresh(loaded)
        assert [row[4] for row in shown(loaded)] == [False, False]

    def test_rule_of_a_quantity(self, loaded: Store) -> None:
        """A new version that demands more coverage."""
        hours(loaded, "a", [600], "bicycle_count", covers=3400.0)
        refresh(loaded)
        assert [row[4] for row in shown(loaded)] == [True]
        with psycopg.connect(loaded.conninfo, autocommit=True) as connection:
            connection.execute("UPDATE quantity SET coverage = 0.99 WHERE quantity = 'bicycle_count'")
        refresh(loaded)
        assert [row[4] for row in shown(loaded)] == [False]


class TestOutput:
    """The join beside statistics, exports, and the command line."""

    def test_join_beside_statistics(self, loaded: Store) -> None:
        """A suppressed cell stays null with its reason, beside figures that stand."""
        place(loaded, d=(6.015, 53.005))
        hours(loaded, "d", [10])
        refresh(loaded)
        measures = ("inhabitants", "cars_per_household", "gas")
        (row,) = joined(loaded, **HOURS, vintage=2024, level="buurt", measures=measures).to_pylist()
        assert (row["inhabitants"], row["inhabitants_reason"]) == (100, None)
        assert row["cars_per_household"] is None
        assert row["cars_per_household_reason"] == "withheld: fewer than 50 households"
        assert row["gas_reason"] == "not in the table of this vintage"

    @pytest.mark.parametrize("limit", [2, 5, 10_001, 250_001])
    def test_an_answer_reads_no_more_than_its_limit(
        self, loaded: Store, limit: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However many rows an answer may have, the database gives no more, and they are the first of all."""
        hours(loaded, "a", [10, 12])
        refresh(loaded)
        read, bounds = Transaction.rows, dict[str, Any]()

        def noted(tx: Transaction, statement: str, *words: Any, **asked: Any) -> list[tuple[Any, ...]]:
            bounds[statement] = asked.get("limit")
            return read(tx, statement, *words, **asked)

        whole = joined(loaded, **HOURS, vintage=2024).to_pylist()
        monkeypatch.setattr(Transaction, "rows", noted)
        asked: dict[str, Any] = HOURS | {"areas": None, "measures": None, "shapes": None, "vintage": 2024}
        found = [row for batch in read_area_figures(loaded, None, limit, **asked) for row in batch.to_pylist()]
        assert found == whole[:limit]
        assert len(whole) == 6
        assert bounds["page_of_area_windows"] == limit

    def test_the_view_is_the_join(self, loaded: Store) -> None:
        """SQL has the same table: a window and the measures of its area in columns, with the reason of a null."""
        place(loaded, d=(6.015, 53.005))
        hours(loaded, "d", [10, 12])
        refresh(loaded)
        rows = joined(loaded, **HOURS, vintage=2024, measures=("density", "gas")).to_pylist()
        columns = ("code", "start", "value", "valid", "density", "density_reason", "gas", "gas_reason")
        view = "SELECT {} FROM area_figures_hour WHERE vintage = 2024 AND quantity = 'no2' ORDER BY code, start"
        found = fetched(loaded, view.format(", ".join(columns)))
        assert [tuple(row[name] for name in columns) for row in rows] == found
        assert len(found) >= 6

    def test_exports_carry_their_origins(self, loaded: Store, tmp_path: Path) -> None:
        """Figures and areas come with source, vintage and licence; GeoParquet says where its geometry is."""
        hours(loaded, "a", [10])
        refresh(loaded)
        found = joined(loaded, **HOURS, vintage=None, measures=("inhabitants",))
        named = origins(loaded, 2024, "no2")
        assert export_figures(found, named, tmp_path / "figures") == 3
        again = pd.read_parquet(tmp_path / "figures", columns=["code", "value", "vintage", "level"])
        assert set(again["code"]) == {"GM9901", "WK990100", "BU99010000"}
        assert "CC BY 4.0" in (tmp_path / "figures" / "_SOURCES.json").read_text()
        geojson, count = export_areas(loaded, 2024, None, tmp_path, "geojson")
        assert count == len(areas(loaded, 2024))
        assert '"vintage":2024' in geojson.read_text()
        parquet, _ = export_areas(loaded, 2024, None, tmp_path, "geoparquet")
        assert "geometry" in pd.read_parquet(parquet)
        check_open(named)

    def test_open_data_refuses_what_is_not_open(self, loaded: Store) -> None:
        """An open-data export with figures of Telraam (CC BY-NC) is refused and says so."""
        import_sensors(loaded, [Entry("telraam/9", lon=6.002, lat=53.002)])
        said = [Reading("telraam/9", "", "vehicle_count", 3600, BEGIN, 5.0, covers=60.0)]
        Pipeline(loaded).store(Batch(columns(said, [LATER]), (), ()))
        refresh(loaded)
        check_open(origins(loaded, 2024, "no2"))
        with pytest.raises(Refused, match="CC BY-NC"):
            check_open(origins(loaded, 2024, "vehicle_count"))

    def test_command_line(self, database: str, tmp_path: Path) -> None:
        """Load, join, list and measures from files; a wrong vintage ends with 2 and names the file."""
        files = [f"--from-file={AREAS / name}" for name in ("map_2024.geojson", "typed_v3.json")]
        common = [f"--database={database}", f"--data-dir={tmp_path}"]
        load_ = ["areas", "load", f"--municipality={GM}", "--offline", *files, *common]
        runner = CliRunner()
        assert runner.invoke(app, [*load_, "--vintage=2024"]).exit_code == 0
        assert "nothing changed" in runner.invoke(app, [*load_, "--vintage=2024"]).stderr
        assert "2024" in str(runner.invoke(app, [*load_, "--vintage=2023"]).exception)
        listed = runner.invoke(app, ["areas", "list", "--format=csv", *common])
        assert "BU990101TB" in listed.stdout
        window = ["--quantity=no2", "--from=2024-06-01", "--to=2024-06-02"]
        assert runner.invoke(app, ["areas", "join", *window, "--format=json", *common]).stdout == "[]\n"
        measures = runner.invoke(app, ["areas", "measures"]).stdout
        assert "fixed-panel traffic index" in measures
        assert "1 January <vintage - 1>" in measures
        assert "{" not in measures


@pytest.mark.long
@pytest.mark.shared
class TestRecorded:
    """A month of real NO2 in two real municipalities."""

    def test_month_equals_pandas(self, store: Store, shared_data: Path) -> None:
        """The area figures of June 2024 equal a calculation in pandas straight from the file."""
        codes = ["GM0014", "GM0772"]
        names = [f"cbs/{kind}_{code}{rest}" for code in codes
                 for kind, rest in (("geometry/buurt_2024", "_approx.geojson"), ("kwb/kwb_2024", ".json"))]  # fmt: skip
        found = gather([Document.read(shared_data / name) for name in names], 2024, codes)
        load(store, 2024, codes, found)
        path = shared_data / "air/luchtmeetnet/2024_06_NO2.csv.gz"
        pipeline = Pipeline(store)
        for message in messages(path, "luchtmeetnet"):
            pipeline.store(decode([Message(message.topic, message.payload, LATER)]))
        refresh(store, LATER)
        table = pd.read_csv(path, sep=";", skiprows=9, encoding="cp1252", index_col=3)
        table.index = pd.DatetimeIndex(pd.to_datetime(table.index, utc=True)).as_unit("us")
        stations = {"GM0014": ["NL10937"], "GM0772": ["NL10236", "NL10237"], "BU00140002": ["NL10937"]}
        for code, members in stations.items():
            expected = table[members].mean(axis=1).dropna()
            asked = Question("no2", BEGIN - timedelta(days=9), BEGIN + timedelta(days=40), "1h", area=code)
            area = ask(store, asked).set_index("start")
            valid = area.loc[area["valid"], "value"]
            pd.testing.assert_series_equal(valid, expected, check_names=False, check_freq=False, rtol=1e-12)
        assert fetched(store, "SELECT status, nearest FROM placement WHERE sensor_id = 'luchtmeetnet/NL10938'") == [
            ("gap", "BU00141207")
        ]
        with closing(Store(store.conninfo)) as other:
            shown = joined(other, **HOURS | {"window": "1d"}, vintage=None, level="buurt", measures=("density",))
        assert shown["density"].null_count == 0
