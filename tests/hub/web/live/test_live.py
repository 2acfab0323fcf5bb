"""The live page without a browser: newest windows and their states, a day and what is usual, words."""

import json
import re
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import psycopg
import pytest

from aggregates.areas.inputs import Document, gather
from aggregates.areas.load import load
from aggregates.areas.measures import SYMBOLS
from aggregates.areas.roll_up import place_sensors, roll_areas
from aggregates.areas.statistics import CANNOT_OCCUR, EMPTY, NOT_GIVEN
from aggregates.ask.listings import areas
from aggregates.ask.live import (
    LENSES,
    chosen,
    day_of,
    midnight,
    newest,
    places,
    shapes,
)
from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store
from hub.web.admission import Access
from hub.web.api import answers
from hub.web.live.known import LANGUAGES, words
from hub.web.live.watch import UsualHours
from ingest.files.catalogue import Entry
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.calendar import load_days
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import Flag, Reading, SensorFact
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up
from tests.conftest import ROOT
from tests.support.apis import served, serving
from tests.support.lines import until

LIVE = ROOT / "hub" / "web" / "live"
ZONE = "Europe/Amsterdam"
NOW = datetime(2024, 5, 1, 10, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def commit(store: Store, readings: list[Reading], now: datetime = NOW) -> None:
    """Store readings and roll up."""
    Pipeline(store).store(Batch(columns(readings, [now] * len(readings))))
    roll_up(store, now)


def counts(
    sensor: str, start: datetime, minutes: int, value: float | None = 2, quantity: str = "vehicle_count", flags: int = 0
) -> list[Reading]:
    """One reading a minute from `start` on."""
    return [
        Reading(f"stadspuls/{sensor}", "", quantity, 60, start + timedelta(minutes=n), value, flags=Flag(flags))
        for n in range(minutes)
    ]


def rows(figures: dict[str, list[Any]]) -> list[list[Any]]:
    """Columns as rows: id, state, value, coverage, start, end, flags, estimate, seen, expected, of areas sensors."""
    return [list(row) for row in zip(*(column or [] for column in figures.values()), strict=True)]


def states(store: Store, quantity: str, lens: str, now: datetime = NOW) -> dict[str, list[Any]]:
    """The rows of a view by the sensor's own name: state, value, coverage, and so on."""
    found = json.loads(newest(store, quantity, LENSES[lens], now))["sensors"]
    return {row[0].partition("/")[2]: row[1:] for row in rows(found)}


def area_rows(store: Store, lens: str = "1h") -> dict[str, list[Any]]:
    """The rows of the areas by level."""
    found = json.loads(newest(store, "vehicle_count", LENSES[lens], NOW))["areas"]
    return {level: rows(figures) for level, figures in found.items()}


class TestNewest:
    """The newest window of every sensor, and its state."""

    def test_states(self, store: Store) -> None:
        """Valid, not valid, failed, silent and never received are five states; missing is null and never zero."""
        import_sensors(store, [Entry("stadspuls/never", kind="traffic"), Entry("stadspuls/full", kind="traffic")])
        hour = NOW.replace(minute=0) - HOUR
        said = counts("full", hour, 60) + counts("half", hour, 30) + counts("zero", hour, 60, 0)
        said += counts("failed", hour, 60, None, flags=Flag.SOURCE_ERROR) + counts("old", hour - 9 * HOUR, 60)
        commit(store, said)
        found = states(store, "vehicle_count", "1h")
        assert {name: row[0] for name, row in found.items()} == {
            "full": "valid", "half": "invalid", "zero": "valid", "failed": "failed", "old": "missing",
            "never": "missing",
        }  # fmt: skip
        assert [found[name][1] for name in ("full", "half", "zero", "failed", "old", "never")] == [
            120, 60, 0, None, None, None,
        ]  # fmt: skip
        assert found["half"][2] == 0.5

    def test_nothing_to_measure(self, store: Store) -> None:
        """No vehicle and so no speed is neither missing nor failed."""
        start = NOW.replace(minute=0) - HOUR
        quiet = counts("quiet", start, 60, None, "vehicle_speed")
        commit(store, [one._replace(weight=0) for one in quiet])
        assert states(store, "vehicle_speed", "1h")["quiet"][:2] == ["nothing", None]

    def test_waits_for_the_last_readings(self, store: Store) -> None:
        """Just after its end a window that is not valid yet is not shown but the one before; later it is shown."""
        start = datetime(2024, 5, 1, 10, 20, tzinfo=UTC)
        said = counts("late", start, 9)
        commit(store, said, start + timedelta(minutes=11))
        soon, later = start + timedelta(minutes=10, seconds=30), start + timedelta(minutes=13)
        assert states(store, "vehicle_count", "5m", soon)["late"][:2] == ["valid", 10]
        assert states(store, "vehicle_count", "5m", later)["late"][:2] == ["invalid", 8]
        commit(store, counts("late", start + timedelta(minutes=9), 1), soon)
        assert states(store, "vehicle_count", "5m", soon)["late"][:2] == ["valid", 10]

    def test_running(self, store: Store) -> None:
        """The running window is called so, and stands in where a sensor has no other."""
        commit(store, counts("new", NOW, 2), NOW + timedelta(minutes=2))
        now = NOW + timedelta(minutes=2)
        assert states(store, "vehicle_count", "5m-now", now)["new"][:3] == ["running", 4, 0.4]
        assert states(store, "vehicle_count", "5m", now)["new"][0] == "running"

    def test_chosen_window_and_no_other(self, store: Store) -> None:
        """Of a moment there is the window that it is in: not the one before, nor the one after, valid or not."""
        hour = NOW.replace(minute=0) - 5 * HOUR
        commit(store, counts("full", hour, 60) + counts("half", hour, 30))
        commit(store, counts("before", hour - HOUR, 60) + counts("after", hour + HOUR, 60))
        lens, end = chosen("1h", "vehicle_count", ZONE, hour + timedelta(minutes=20), None)
        found = rows(json.loads(newest(store, "vehicle_count", lens, end))["sensors"])
        assert {row[0].partition("/")[2]: row[1] for row in found} == {
            "full": "valid", "half": "invalid", "before": "missing", "after": "missing",
        }  # fmt: skip

    @pytest.mark.parametrize(("quantity", "begins"), [("vehicle_count", "22:00"), ("no2", "23:00")])
    def test_chosen_day_is_of_its_kind(self, quantity: str, begins: str) -> None:
        """A date in summer is the civil date of traffic, and the date in UTC+1 of air; the end is a day later."""
        lens, end = chosen("1d", quantity, ZONE, datetime(2024, 6, 1, 9, tzinfo=ZoneInfo(ZONE)), None)
        assert f"{end - lens.length:%d %H:%M}, {end:%d %H:%M}" == f"31 {begins}, 01 {begins}"

    def test_range(self, store: Store) -> None:
        """Counts are summed, other figures averaged; valid is what has as many valid hours as an hour needs minutes."""
        first = NOW.replace(minute=0) - 10 * HOUR
        whole = [one for n in range(10) for one in counts("whole", first + n * HOUR, 60)]
        most = [one for n in range(9) for one in counts("most", first + n * HOUR, 60)]
        few = [one for n in range(8) for one in counts("few", first + n * HOUR, 60)]
        air = [Reading("air/1", "", "no2", 3600, first + n * HOUR, float(n)) for n in range(10)]
        commit(store, whole + most + few + air)
        lens, end = chosen("range", "vehicle_count", ZONE, first, first + 10 * HOUR)
        found = rows(json.loads(newest(store, "vehicle_count", lens, end))["sensors"])
        assert {row[0].partition("/")[2]: [*row[1:4], *row[8:]] for row in found} == {
            "whole": ["valid", 1200, 1, 10, 10], "most": ["valid", 1080, 0.9, 9, 10],
            "few": ["invalid", 960, 0.8, 8, 10],
        }  # fmt: skip
        (row,) = rows(json.loads(newest(store, "no2", lens, end))["sensors"])
        assert row[1:3] == ["valid", 4.5]
        shown = json.loads(day_of(store, "sensor", "stadspuls/few", "vehicle_count", first, NOW, end) or "")
        assert [hour[3] for hour in shown["hours"]] == [120] * 8
        assert shown["quantities"] == ["vehicle_count"]

    def test_short_windows_only_where_they_are(self, store: Store) -> None:
        """A sensor that sends by the hour is not in the view of 5 minutes, as its windows are not."""
        commit(store, [Reading("telraam/1", "", "vehicle_count", 3600, NOW.replace(minute=0) - HOUR, 9.0)])
        assert states(store, "vehicle_count", "5m") == {}
        assert states(store, "vehicle_count", "1h")["1"][:2] == ["valid", 9]

    def test_choices_and_places(self, store: Store) -> None:
        """What can be chosen, and where it stands; a sensor without a place is there with null."""
        import_sensors(store, [Entry("stadspuls/a", "Bridge", lon=6.5, lat=53.2)])
        commit(
            store,
            counts("a", NOW - HOUR, 5) + counts("b", NOW - HOUR, 5) + counts("b", NOW - HOUR, 5, 3, "bicycle_count"),
        )
        assert store.rows("live_choices") == [("vehicle_count", 2, 60), ("bicycle_count", 1, 60)]
        assert json.loads(places(store, "vehicle_count")) == [
            ["stadspuls/a", "Bridge", 6.5, 53.2], ["stadspuls/b", None, None, None],
        ]  # fmt: skip

    def test_silent(self, store: Store) -> None:
        """Silent is a sensor without readings for a quarter of an hour and three periods; first those without any."""
        import_sensors(store, [Entry("stadspuls/never")])
        commit(store, counts("old", NOW - HOUR, 5) + counts("new", NOW - timedelta(minutes=5), 5))
        commit(store, [Reading("telraam/1", "", "vehicle_count", 3600, NOW - 2 * HOUR, 9.0)])
        assert [row[0] for row in store.rows("live_silent", now=NOW)] == ["stadspuls/never", "stadspuls/old"]

    def test_sensors_of_old_files_are_not_silent(self, store: Store) -> None:
        """Last year's file makes no silent sensors of its stations, nor does one that only told where it stands."""
        commit(store, counts("archive", NOW - timedelta(days=300), 5) + counts("week", NOW - timedelta(days=7), 5))
        Pipeline(store).store(Batch(columns([], []), [SensorFact("luchtmeetnet/NL1", lon=6.5, lat=53.2)]))
        assert [row[0] for row in store.rows("live_silent", now=NOW)] == ["stadspuls/week"]


class TestAreas:
    """Areas with figures, and those without."""

    @pytest.fixture
    def known(self, store: Store) -> Store:
        """A municipality of four neighbourhoods with its statistics."""
        files = [
            Document.read(ROOT / "tests" / "cases" / "areas" / name) for name in ("map_2024.geojson", "typed_v3.json")
        ]
        found = gather(files, 2024, ["GM9901"])
        load(store, 2024, ["GM9901"], found)
        return store

    def test_no_areas(self, store: Store) -> None:
        """Without areas there is no level to choose and nothing to draw."""
        assert store.rows("live_levels") == []
        assert area_rows(store) == {}

    def test_levels_and_shapes(self, known: Store) -> None:
        """Levels from large to small; an area without a boundary is there without a shape."""
        assert known.rows("live_levels") == [("gemeente",), ("wijk",), ("buurt",)]
        drawn = {one["id"]: one["geometry"] for one in json.loads(shapes(known, "wijk"))["features"]}
        assert drawn["WK9901TB"] is None
        assert drawn["WK990100"]["type"] in ("Polygon", "MultiPolygon")

    def test_statistics_beside_figures(self, known: Store) -> None:
        """An area's figures and its statistics; those it has no figure of say so by a null."""
        code = "BU99010000"
        found = json.loads(day_of(known, "area", code, "vehicle_count", midnight(NOW, ZONE), NOW) or "")
        assert {one["measure"]: one["value"] for one in found["statistics"]}["inhabitants"] == 600
        assert found["hours"] == []
        assert [row[1:3] for row in area_rows(known)["buurt"] if row[0] == code] == [["missing", None]]
        assert area_rows(known, "5m") == {}
        assert day_of(known, "area", "BU00000000", "vehicle_count", midnight(NOW, ZONE), NOW) is None

    def test_measures_to_colour_by(self, known: Store) -> None:
        """A measure of every area of a level that has a value, with its unit and period."""
        assert ("inhabitants",) in known.rows("live_measures")
        ((text,),) = known.rows("live_statistic", level="buurt", measure="inhabitants")
        found = json.loads(text)
        assert found["values"]["BU99010000"] == 600
        assert found["period"] == "1 January 2024"
        assert not {code for code in found["values"] if not code.startswith("BU")}
        ((nothing,),) = known.rows("live_statistic", level="buurt", measure="none")
        assert json.loads(nothing)["values"] == {}

    def test_figure_of_an_area(self, known: Store) -> None:
        """An hour of two sensors in it is the area's, at every level, with how many sensors it is of."""
        inside = next(area for area in areas(known, 2024, "buurt").to_pylist() if area["code"] == "BU99010000")
        hour = NOW.replace(minute=0) - HOUR
        for name in ("in", "too"):
            import_sensors(known, [Entry(f"stadspuls/{name}", lon=inside["lon"], lat=inside["lat"])])
            commit(known, counts(name, hour, 60))
        place_sensors(known)
        known.rows("note_changed_validity", sensor_id=[None])
        while roll_areas(known):
            pass
        figures = {level: [row[1:3] + row[8:] for row in rows if row[2]] for level, rows in area_rows(known).items()}
        assert figures == {level: [["valid", 240, 2, 2, 2]] for level in ("gemeente", "wijk", "buurt")}
        for lens in LENSES.values():
            whole = json.loads(newest(known, "vehicle_count", lens, NOW))
            sensors, of_areas = (
                json.loads(newest(known, "vehicle_count", lens, NOW, one)) for one in ("sensors", "areas")
            )
            assert (sensors, of_areas) == ({"sensors": whole["sensors"]}, {"areas": whole["areas"]})
        found = rows(json.loads(newest(known, "vehicle_count", LENSES["range"], NOW))["areas"]["wijk"])
        assert [row[1:3] + row[8:] for row in found if row[2]] == [["invalid", 240, 1, 24, 2]]
        shown = json.loads(day_of(known, "area", "BU99010000", "vehicle_count", midnight(NOW, ZONE), NOW) or "")
        assert (shown["sensors"], [hour[3] for hour in shown["hours"]]) == (2, [240])
        assert shown["members"] == [[f"stadspuls/{name}"] * 2 for name in ("in", "too")]


def day(store: Store, sensor: str = "a", now: datetime = NOW) -> Any:
    """A sensor's day of vehicles."""
    return json.loads(
        day_of(store, "sensor", f"stadspuls/{sensor}", "vehicle_count", midnight(now, ZONE), NOW) or "null"
    )


def hour(start: datetime, value: float, sensor: str = "a") -> list[Reading]:
    """One valid hour with this sum."""
    return [Reading(f"stadspuls/{sensor}", "", "vehicle_count", 3600, start, value)]


class TestDay:
    """A day by hour, and what is usual."""

    def test_hours_and_flags(self, store: Store) -> None:
        """Yesterday and today, each hour with its local number and its state; flags come by hour."""
        starts = [NOW.replace(minute=0) - timedelta(days=ago) - HOUR for ago in (0, 1, 2, 7, 14, 70)]
        commit(store, [one for start in starts for one in counts("a", start, 60)])
        commit(store, counts("a", NOW.replace(minute=0) - 2 * HOUR, 3, 1e6, flags=Flag.OUT_OF_RANGE))
        commit(store, counts("a", NOW.replace(minute=0), 10) + counts("a", NOW.replace(minute=0) - 3 * HOUR, 20, 0))
        assert [one[:4] for one in day(store)["hours"]] == [
            [1, 11, "valid", 120], [0, 9, "invalid", 0], [0, 10, "failed", None], [0, 11, "valid", 120],
            [0, 12, "running", 20],
        ]  # fmt: skip
        assert [one[1] for one in day(store)["hours"] if one[5]] == [10]
        assert day(store)["flags"] == [["10:00", 3, Flag.OUT_OF_RANGE]]
        assert day(store, "none") is None
        before = day(store, now=NOW - timedelta(days=1))
        assert [one[:4] for one in before["hours"]] == [[1, 11, "valid", 120], [0, 11, "valid", 120]]
        assert before["flags"] == []

    def test_usual(self, store: Store) -> None:
        """Two spreads on either side of the median of earlier hours of its kind; an hour needs four of them."""
        eight = datetime(2024, 5, 15, 8, tzinfo=ZoneInfo(ZONE))
        weeks = [one for n in range(1, 7) for one in hour((eight - timedelta(weeks=n)).astimezone(UTC), 100.0 + n)]
        few = [one for n in (1, 3, 4) for one in hour(eight + HOUR - timedelta(weeks=n), 5)]
        commit(store, [*weeks, *few, *hour(eight - timedelta(days=1), 999), *hour(eight, 999)], eight + 9 * HOUR)
        band = UsualHours(load_days(ZONE)).band(store, "stadspuls/a", "vehicle_count", midnight(eight, ZONE))
        assert band == {8: pytest.approx([64, 104, 144])}  # five school weeks, and 20 vehicles are the least spread

    def test_hour_for_all_viewers(self, store: Store) -> None:
        """The list has the most unusual first, and so many of each reason; it is looked up once a minute."""
        eight = datetime(2024, 5, 15, 6, tzinfo=UTC)
        weeks = [one for n in range(1, 7) for name in "abc" for one in hour(eight - timedelta(weeks=n), 100, name)]
        commit(store, [*weeks, *hour(eight, 300, "a"), *hour(eight, 20, "b")], eight + 2 * HOUR)
        hours, stores = UsualHours(load_days(ZONE)), answers.Stores(lambda: store)
        found = hours.hour(stores, "vehicle_count", eight, None)
        assert [[*row[0::4], row[6]] for row in found["rows"]] == [
            ["stadspuls/a", 10, ""], ["stadspuls/b", -4, ""], ["stadspuls/c", None, "no value"],
        ]  # fmt: skip
        assert (found["at"], found["judged"], found["reasons"]) == (eight.timestamp(), 2, {"no value": 1})
        commit(store, hour(eight, 100, "c"), eight + 2 * HOUR)
        assert hours.hour(stores, "vehicle_count", eight, 1)["rows"] == found["rows"][::2]


def test_long_look_is_ended(store: Store) -> None:
    """A range that takes the database longer than the API's patience is answered 503; who acts on alerts may write."""
    import_sensors(store, [Entry("stadspuls/a")])
    with served(serving(store.conninfo, api_patience="0.3s")) as address, psycopg.connect(store.conninfo) as other:
        client = httpx.Client(base_url=address, timeout=60)
        assert client.post("/live/alerts/1/ack", json={"by": "me"}).status_code == 404
        other.execute("LOCK TABLE window_1h")
        asked = {"quantity": "vehicle_count", "lens": "range", "at": "2024-05-01T00:00"}
        assert client.get("/live/past", params=asked).status_code == 503
        client.close()


@pytest.mark.parametrize("asked", ["statistic?level=buurt&measure=%00", "sensor?quantity=no2&id=%00"])
def test_text_that_the_database_cannot_take(store: Store, asked: str) -> None:
    """It is refused before it gets there."""
    with served(serving(store.conninfo)) as address:
        assert httpx.get(f"{address}/live/{asked}").status_code == 400
        assert httpx.get(f"{address}/live/{asked.replace('%00', 'x')}").status_code == 200


def test_viewers_who_wait_for_what_is_usual(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one looks up what is usual the others wait without a connection, so that other questions are answered."""
    monkeypatch.setattr(answers, "WAIT", 1.0)
    commit(store, counts("a", NOW - HOUR, 60))
    asked = {"quantity": "vehicle_count", "at": "2024-05-01T11:30"}
    with (
        served(serving(store.conninfo, api_connections=2)) as address, ThreadPoolExecutor(4) as viewers,
        psycopg.connect(store.conninfo) as other,
    ):  # fmt: skip
        other.execute("LOCK TABLE window_1h")
        waiting = [viewers.submit(httpx.get, f"{address}/live/usual", params=asked, timeout=60) for _ in range(4)]
        until(lambda: bool(other.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall()))
        time.sleep(0.5)  # until all of them wait, each for what it waits for
        assert httpx.get(f"{address}/live/areas?level=buurt").status_code == 200
        other.rollback()
        assert [one.result().status_code for one in waiting] == [200] * 4


def test_quantity_that_nobody_knows(store: Store) -> None:
    """It is refused with the names of those that there are, also of a sensor that is known."""
    commit(store, counts("a", NOW - HOUR, 5))
    with served(serving(store.conninfo)) as address:
        for asked in ("sensor?id=stadspuls/a&", "area?id=x&", "places?"):
            answer = httpx.get(f"{address}/live/{asked}quantity=foo")
            assert (answer.status_code, "one of vehicle_count" in answer.text) == (400, True), asked
            assert httpx.get(f"{address}/live/{asked}quantity=vehicle_count").status_code == 200


def test_frame_is_told_of_the_hub_whether_it_is_away(store: Store) -> None:
    """A map on a page elsewhere names no alert and no silent sensor, as the page of the hub does."""
    guarded = serving(store.conninfo, api_token="sesame", frame_secret="a-secret-of-the-test")
    path = f"/read/vehicle_count/{Access.of(guarded).frame_key('vehicle_count')}/live/events"
    asked = {"quantity": "vehicle_count", "lens": "5m"}
    with served(guarded) as address, httpx.stream("GET", address + path, params=asked, timeout=60) as answer:
        lines = answer.iter_lines()
        assert "event: health" in lines
        assert next(lines) == "data: {}"


def test_findings_of_doctor(store: Store) -> None:
    """The page of the hub gets what `doctor` finds in the database, but for a public hub, whose viewers are anybody."""
    commit(store, counts("a", NOW - HOUR, 5))
    with served(serving(store.conninfo)) as address:
        lines = {what: (found, good) for what, found, good in httpx.get(f"{address}/live/findings").json()}
    assert lines["accounting stadspuls"][1] is True
    assert lines["sensors"] == ("1 with 1 series, 1 without a place", None)
    with served(serving(store.conninfo, public=True)) as address:
        assert httpx.get(f"{address}/live/findings").status_code == 400


def test_pictures() -> None:
    """Every picture that a document shows is there and small, and none lies about unused."""
    shown = set(re.findall(r"images/([\w-]+\.png)", (ROOT / "docs" / "first-five-minutes.md").read_text()))
    there = {path.name: path.stat().st_size for path in (ROOT / "docs" / "images").glob("*.png")}
    assert shown == there.keys()
    assert max(there.values()) <= 300_000


class TestWords:
    """The catalogue of words."""

    def test_complete(self) -> None:
        """Every text is in every language; quantities, flags, lenses, and reasons of CBS have a word."""
        table = tomllib.loads((LIVE / "words.toml").read_text())
        assert all(texts.keys() == set(LANGUAGES) for section in table.values() for texts in section.values())
        keys = [f"quantity.{name}" for name in QUANTITIES] + [f"flag.{flag.name}" for flag in Flag]
        keys += [f"lens.{lens}" for lens in LENSES]
        keys += [f"reason.{reason}" for reason in (*SYMBOLS.values(), NOT_GIVEN, CANNOT_OCCUR, EMPTY)]
        assert set(keys) <= words("nl").keys()

    def test_used(self) -> None:
        """Every word that the page uses is in the catalogue, and the page uses every word of it."""
        sources = "".join(path.read_text() for path in (LIVE / "static").glob("*.js"))
        page = tomllib.loads((LIVE / "words.toml").read_text())["page"]
        named = set(re.findall(r"words\.(?!js)(\w+)|say\([\"'](\w+)[\"']", sources))
        asked = {name for pair in named for name in pair if name}
        assert page.keys() - asked - set(re.findall(r"(\w+)[\"':]", sources)) == set()
        assert asked - page.keys() == set()

    def test_same_places(self) -> None:
        """What is filled in is the same in every language."""
        texts = [words(language) for language in LANGUAGES]
        for key in texts[0]:
            assert len({tuple(sorted(re.findall(r"\{\w+\}", text[key]))) for text in texts}) == 1, key
