"""Answers in pages: windows and readings as Arrow tables, chosen by place and coverage, cut and put together again."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from aggregates.ask import series
from aggregates.ask.dates import BadQuestion
from aggregates.ask.listings import LISTS, read_series
from aggregates.ask.query import READINGS, Question, tables
from aggregates.ask.series import Cursor
from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store, Transaction
from ingest.files.catalogue import Entry
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.readings import Flag, Reading, microseconds
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up

HOUR = datetime(2024, 5, 1, 8, tzinfo=UTC)
LATER = datetime(2024, 6, 1, tzinfo=UTC)
PUBLISHED = 1_714_600_000_000_000  # us
HOURS = Question("vehicle_count", HOUR, LATER, "1h")
PLACES = {"ndw/a": (6.56, 53.21), "ndw/b": (6.57, 53.22), "ndw/c": (5.47, 51.44), "stadspuls/nowhere": (None, None)}


@pytest.fixture
def city(store: Store) -> Store:
    """Four sensors of three hours: two near each other, one far away, one without a place, one of them with lanes."""
    import_sensors(store, [Entry(name, lon=lon, lat=lat, lanes=2) for name, (lon, lat) in PLACES.items()])
    said = [
        Reading(
            name, channel, "vehicle_count", 3600, HOUR + timedelta(hours=hour), 10.0 * hour, covers=3600 - 900 * hour
        )
        for name in PLACES
        for channel in (("lane1", "lane2") if name == "ndw/b" else ("",))
        for hour in range(3)
    ]
    said.append(Reading("ndw/a", "", "no2", 3600, HOUR, None, 0.0, flags=1, status=1, version=PUBLISHED))
    Pipeline(store).store(Batch(columns(said, [LATER] * len(said))))
    roll_up(store, LATER)
    return store


def whole(found: Any) -> pa.Table:
    """Put an answer's tables together."""
    return pa.concat_tables(list(found))


Answer = Callable[[Cursor | None, int], Iterator[pa.Table]]  # from behind a cursor on, so many rows


def walked(answer: Answer, limit: int) -> list[dict[str, Any]]:
    """Turn page after page, each from behind the last row of the one before, until one is not full."""
    rows: list[dict[str, Any]] = []
    while len(page := whole(answer(_cursor(rows), limit)).to_pylist()) == limit:
        rows += page
    return rows + page


def _cursor(rows: list[dict[str, Any]]) -> Cursor | None:
    return Cursor(rows[-1]["series"], microseconds(rows[-1]["start"])) if rows else None


class TestPages:
    """What a cursor promises."""

    @pytest.mark.parametrize("limit", [1, 2, 5, 12, 100])
    @pytest.mark.parametrize("channels", [False, True])
    def test_pages_are_the_answer(self, city: Store, limit: int, channels: bool) -> None:
        """Whatever the page's size, all pages together are the whole answer, in its order, nothing twice."""
        asked = Question("vehicle_count", HOUR, LATER, "1h", channels=channels)
        rows = whole(tables(city, asked)).to_pylist()
        assert len(rows) == (15 if channels else 12)
        assert rows == sorted(rows, key=lambda row: (row["sensor_id"], row["channel"], row["start"]))
        assert walked(lambda after, most: tables(city, asked, after=after, limit=most), limit) == rows

    def test_readings_are_paged_the_same_way(self, city: Store) -> None:
        """Readings of all quantities too."""
        asked = Question(None, HOUR, LATER, READINGS)
        rows = whole(tables(city, asked)).to_pylist()
        assert len(rows) == 16
        assert walked(lambda after, most: tables(city, asked, after=after, limit=most), 3) == rows

    @pytest.mark.parametrize("limit", [1, 2, 3, 100])
    def test_two_periods_of_a_channel_are_paged_by_start(self, city: Store, limit: int) -> None:
        """A sensor that changed its interval has two series in one place of the answer: in order, none left out."""
        said = [
            Reading("ndw/g", "", "vehicle_count", period, HOUR + timedelta(minutes=5 * at), 1.0)
            for at, period in enumerate((60, 300, 60, 300, 300))
        ]
        Pipeline(city).store(Batch(columns([*said, said[0]._replace(period=300)], [LATER] * 6)))
        asked = Question("vehicle_count", HOUR, LATER, "5m", "ndw/g", channels=True)
        rows = walked(lambda after, most: tables(city, asked, after=after, limit=most), limit)
        assert [row["start"].minute for row in rows] == [0, 0, 5, 10, 15, 20]
        assert rows == whole(tables(city, asked)).to_pylist()

    def test_small_pieces_are_the_same_answer(self, city: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """In how many pieces the database was asked cannot be seen in the answer."""
        before = whole(tables(city, HOURS)).to_pylist()
        monkeypatch.setattr(series, "PIECE", 2)
        found = list(tables(city, HOURS))
        assert len(found) > 3
        assert whole(found).to_pylist() == before

    def test_a_cursor_of_another_question_is_refused(self, city: Store) -> None:
        """A cursor that no page gave is a bad question, not an empty answer."""
        with pytest.raises(BadQuestion, match="cursor"):
            whole(tables(city, HOURS, after=Cursor(999_999, 0), limit=10))

    def test_nothing_found_has_the_same_columns(self, city: Store) -> None:
        """An empty table knows its columns and their types."""
        nobody = Question("vehicle_count", HOUR, LATER, "1h", "ndw/none")
        assert whole(tables(city, nobody)).schema == whole(tables(city, HOURS)).schema


class TestLatest:
    """The newest hour of each sensor."""

    @pytest.mark.parametrize("limit", [1, 2, 3, 100])
    def test_sensors_without_a_figure_end_no_page(self, store: Store, limit: int) -> None:
        """Separate channels, alternatives that are none, and weeks are passed over: a page is full until the last."""
        day = timedelta(days=1)
        said = [
            *(Reading(f"ttn/{name}", "", "temperature", 3600, HOUR, 10.0) for name in "adgi"),
            *(Reading("ttn/b", channel, "temperature", 3600, HOUR, 10.0) for channel in ("1", "2")),
            *(Reading("ttn/c", channel, "temperature", 3600, HOUR, 10.0) for channel in ("1", "2")),
            Reading("ttn/e", "", "temperature", 7 * 86400, HOUR, 10.0),
            Reading("ttn/g", "", "temperature", 7 * 86400, HOUR + 7 * day, 10.0),
            *(Reading("ttn/h", name, "temperature", 3600, HOUR + at * day, 10.0) for at, name in enumerate(("x", "y"))),
        ]
        import_sensors(store, [Entry("ttn/f"), Entry("ttn/h", channels="x")])
        Pipeline(store).store(Batch(columns(said, [LATER] * len(said))))
        roll_up(store, LATER)
        scope = dict.fromkeys(("source", "sensors", "west", "east", "south", "north", "area", "vintage"))
        rows: list[dict[str, Any]] = []
        while len(page := self.page(store, rows, limit, **scope)) == limit:
            rows += page
        rows += page
        assert [row["sensor_id"] for row in rows] == [f"ttn/{name}" for name in "adghi"]
        assert {(row["start"], row["value"]) for row in rows} == {(HOUR, 10)}

    def page(self, store: Store, rows: list[dict[str, Any]], limit: int, **scope: Any) -> list[dict[str, Any]]:
        """Give the page behind some rows."""
        after = (rows[-1]["sensor_id"],) if rows else None
        found = LISTS["latest"].read(store, after, limit, quantity="temperature", ever=False, **scope)
        return [row for batch in found for row in batch.to_pylist()]


class TestFilters:
    """Which windows are in an answer."""

    def sensors(self, store: Store, **more: Any) -> list[str]:
        """Who is in the answer."""
        found = whole(tables(store, Question("vehicle_count", HOUR, LATER, "1h", **more)))
        return sorted({str(name) for name in found["sensor_id"].to_pylist()})

    def test_box(self, city: Store) -> None:
        """Sensors in a bounding box, its edges included; one without a place is in none."""
        assert self.sensors(city, box=(6.5, 53.2, 6.6, 53.3)) == ["ndw/a", "ndw/b"]
        assert self.sensors(city, box=(6.56, 53.21, 6.56, 53.21)) == ["ndw/a"]
        assert self.sensors(city, box=(-180, -90, 180, 90)) == ["ndw/a", "ndw/b", "ndw/c"]

    def test_several_sensors(self, city: Store) -> None:
        """More than one by name; one that nobody knows is not missed."""
        assert self.sensors(city, sensor=("ndw/c", "ndw/a", "ndw/none")) == ["ndw/a", "ndw/c"]
        assert self.sensors(city, sensor=()) == []

    def test_least_coverage(self, city: Store) -> None:
        """Windows with less are left out; the figures of the others stay."""
        asked = Question("vehicle_count", HOUR, LATER, "1h", "ndw/a", coverage=0.75)
        assert whole(tables(city, asked))["value"].to_pylist() == [0, 10]

    @pytest.mark.parametrize("window", ["1h", "1d"])
    @pytest.mark.parametrize("channels", [False, True])
    @pytest.mark.parametrize("valid", [False, True])
    def test_validity_page_by_page(self, city: Store, window: str, channels: bool, valid: bool) -> None:
        """Pages of the windows that are valid, or not, are those of the whole answer, in its order."""
        said = [Reading("ndw/a", "", "vehicle_count", 3600, HOUR + timedelta(hours=at), 1.0) for at in range(12, 36)]
        Pipeline(city).store(Batch(columns(said, [LATER] * len(said))))
        roll_up(city, LATER)
        asked: dict[str, Any] = {"window": window, "channels": channels, "first": HOUR - timedelta(days=1)}
        wanted = [row for row in self.rows(city, None, 1000, **asked) if row["valid"] == valid]
        assert len(wanted) > 0
        rows: list[dict[str, Any]] = []
        while len(page := self.rows(city, rows[-1] if rows else None, 3, valid=valid, **asked)) == 3:
            rows += page
        assert rows + page == wanted

    def test_a_page_by_validity_reads_no_more_than_a_page(self, city: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is valid, or not, the database chooses, and the limit of a page bounds what is asked of it."""
        fetch, spans = Transaction.numbers, list[timedelta]()

        def noted(tx: Transaction, *words: Any, **asked: Any) -> Any:
            spans.append(asked["last"] - asked["first"])
            return fetch(tx, *words, **asked)

        monkeypatch.setattr(Transaction, "numbers", noted)
        asked = {"window": "1h", "valid": True, "quantities": ["vehicle_count"]}
        assert [row["start"] for row in self.rows(city, None, 1, **asked)] == [HOUR]
        assert spans == [timedelta(hours=1)]

    def rows(self, store: Store, after: dict[str, Any] | None, limit: int, **asked: Any) -> list[dict[str, Any]]:
        """Give at most so many rows of `/aggregates`, behind one."""
        key = tuple(after[name] for name in LISTS["windows"].key) if after else None
        span: dict[str, Any] = {"first": HOUR, "last": LATER, "quantities": ["no2", "vehicle_count"]}
        found = read_series(store, key, limit, ever=True, **span | asked)
        return [row for batch in found for row in batch.to_pylist()]

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({"coverage": 1.5}, "coverage 1.5, expected 0 to 1"),
            ({"box": (7.0, 53.0, 6.0, 54.0)}, "expected west, south, east, north"),
            ({"box": (6.0, 53.0, 7.0, float("nan"))}, "expected west, south, east, north"),
        ],
    )
    def test_bad_filter_is_refused(self, changed: dict[str, Any], said: str) -> None:
        """With what was found and what was expected."""
        with pytest.raises(BadQuestion, match=said):
            Question("vehicle_count", HOUR, LATER, "1h", **changed)


class TestColumns:
    """What is said of a window and of a reading."""

    def test_a_day_ends_where_the_next_begins(self, city: Store) -> None:
        """Also when the clock is changed: 23, 24 and 25 hours."""
        days = [datetime(2024, month, day, 12, tzinfo=UTC) for month, day in ((3, 31), (5, 1), (10, 27))]
        said = [Reading("ndw/d", "", "vehicle_count", 3600, day, 1.0) for day in days]
        later = datetime(2024, 12, 1, tzinfo=UTC)
        Pipeline(city).store(Batch(columns(said, [later] * 3)))
        roll_up(city, later)
        asked = Question("vehicle_count", datetime(2024, 1, 1, tzinfo=UTC), later, "1d", "ndw/d")
        rows = whole(tables(city, asked)).to_pylist()
        assert [(row["end"] - row["start"]) / timedelta(hours=1) for row in rows] == [23, 24, 25]

    def test_flags_and_status_are_words(self, city: Store) -> None:
        """A failed reading says so; what is unknown is null."""
        (row,) = whole(tables(city, Question("no2", HOUR, LATER, READINGS))).to_pylist()
        assert (row["value"], row["flags"], row["status"]) == (None, "source_error", "validated")
        assert row["version"] == datetime.fromtimestamp(PUBLISHED / 1e6, UTC)
        assert (row["start"], row["end"], row["received_at"]) == (HOUR, HOUR + timedelta(hours=1), LATER)
        (first, *_) = whole(tables(city, Question("vehicle_count", HOUR, LATER, READINGS, "ndw/a"))).to_pylist()
        assert (first["value"], first["flags"], first["status"], first["version"]) == (0, "", "provisional", None)

    def test_several_flags(self, city: Store) -> None:
        """Their names stand beside each other."""
        value = Reading("ndw/e", "", "no2", 3600, HOUR, 1e9, flags=int(Flag.CALIBRATION))
        Pipeline(city).store(Batch(columns([value], [LATER])))
        (row,) = whole(tables(city, Question(None, HOUR, LATER, READINGS, "ndw/e"))).to_pylist()
        assert row["flags"] == "out_of_range calibration"
