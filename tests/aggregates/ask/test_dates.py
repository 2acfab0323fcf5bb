"""A date is a local date, and an answer says when its figures are still being made: command line, API, indicators."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pyarrow as pa
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from aggregates.ask.dates import NO_AREAS, BadQuestion, moment
from aggregates.ask.series import STAMP, local
from aggregates.store.store import Store
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.readings import Reading
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up
from tests.support.apis import client_of, serving
from tests.support.commands import app
from tests.support.databases import fresh_database

FIRST = datetime(2024, 5, 30, tzinfo=UTC)
LATER = datetime(2024, 7, 1, tzinfo=UTC)
JUNE_1 = ("--from=2024-06-01", "--to=2024-06-02")


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def week(postgres: str) -> Iterator[str]:
    """Five days of a counter and of an NO2 station, an hour a reading, each with its number."""
    with fresh_database(postgres) as url, closing(Store(url)) as store:
        commit(store, *(reading(quantity, at) for quantity in ("no2", "vehicle_count") for at in range(120)))
        roll_up(store, LATER)
        yield url


@pytest.fixture(scope="module")
def api(week: str) -> Iterator[httpx.Client]:
    """The API over it."""
    with client_of(serving(week)) as client:
        yield client


def reading(quantity: str, at: int) -> Reading:
    """Make the reading of an hour since FIRST."""
    return Reading(f"stadspuls/{quantity}", "", quantity, 3600, FIRST + timedelta(hours=at), float(at))


def commit(store: Store, *said: Reading) -> None:
    """Store readings that came later."""
    Pipeline(store).store(Batch(columns(said, [LATER] * len(said))))


def command(url: str, *words: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(app, [*words, f"--database={url}"], catch_exceptions=False)


def query(url: str, quantity: str, window: str, *words: str) -> list[dict[str, Any]]:
    """Ask for JSON."""
    done = command(url, "query", f"--quantity={quantity}", f"--window={window}", "--format=json", *words)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def served(api: httpx.Client, quantity: str, window: str, **asked: str) -> list[dict[str, Any]]:
    """Ask the API for the same."""
    answer = api.get("/aggregates", params={"quantity": quantity, "window": window, **asked})
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


class TestDates:
    """A date without a time."""

    @pytest.mark.parametrize(
        ("quantity", "start"), [("no2", "2024-05-31T23:00:00Z"), ("vehicle_count", "2024-05-31T22:00:00Z")]
    )
    def test_a_day_that_is_asked_for_by_its_date_is_that_day(
        self, week: str, api: httpx.Client, quantity: str, start: str
    ) -> None:
        """One day, whose date is the one that was asked for, of the quantity's own kind of day."""
        (row,) = query(week, quantity, "1d", *JUNE_1)
        assert (row["start"], row["date"]) == (start, "2024-06-01")
        (same,) = served(api, quantity, "1d", **{"from": "2024-06-01", "to": "2024-06-02"})
        assert (same["start"], same["date"], same["local_start"]) == (start, "2024-06-01", row["local_start"])

    def test_hours_of_a_date_are_those_of_the_local_day(self, week: str, api: httpx.Client) -> None:
        """From midnight on the clock to midnight, with local time and date beside UTC."""
        rows = query(week, "no2", "1h", *JUNE_1)
        assert (len(rows), rows[0]["start"]) == (24, "2024-05-31T22:00:00Z")
        assert (rows[0]["local_start"], rows[0]["date"]) == ("2024-06-01T00:00:00+02:00", "2024-06-01")
        assert {row["date"] for row in rows} == {"2024-06-01"}
        assert [row["start"] for row in served(api, "no2", "1h", **{"from": "2024-06-01", "to": "2024-06-02"})] == [
            row["start"] for row in rows
        ]

    def test_several_quantities_at_once(self, api: httpx.Client) -> None:
        """Each gives the day of this date, whatever its kind of day."""
        asked = {"window": "1d", "from": "2024-06-01", "to": "2024-06-02"}
        found = api.get("/aggregates", params=asked).json()["items"]
        assert [(row["quantity"], row["date"]) for row in found] == [
            ("no2", "2024-06-01"), ("vehicle_count", "2024-06-01"),
        ]  # fmt: skip

    def test_stamp_without_a_zone_is_local_and_one_with_a_zone_is_not(self, week: str, api: httpx.Client) -> None:
        """On the command line and in the API."""
        for asked, start in (
            (("2024-06-01T12:00", "2024-06-01T13:00"), "2024-06-01T10:00:00Z"),
            (("2024-06-01T12:00Z", "2024-06-01T13:00Z"), "2024-06-01T12:00:00Z"),
        ):
            (row,) = query(week, "no2", "1h", f"--from={asked[0]}", f"--to={asked[1]}")
            (same,) = served(api, "no2", "1h", **dict(zip(("from", "to"), asked, strict=True)))
            assert row["start"] == same["start"] == start

    def test_readings_carry_local_time(self, api: httpx.Client) -> None:
        """Beside UTC."""
        row = api.get("/readings?quantity=no2&from=2024-06-01&to=2024-06-02").json()["items"][0]
        assert (row["start"], row["local_start"]) == ("2024-05-31T22:00:00Z", "2024-06-01T00:00:00+02:00")

    def test_table_is_in_the_zone_of_the_hub_and_says_so(self, week: str) -> None:
        """A day of a table begins when it begins on the clock."""
        done = command(week, "query", "--quantity=vehicle_count", "--window=1d", *JUNE_1)
        assert "2024-06-01 00:00 CEST  2024-06-02 00:00 CEST" in done.stdout

    @pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Europe/Amsterdam", "Pacific/Auckland"])
    def test_date_of_a_fixed_day_does_not_depend_on_the_hub(self, zone: str) -> None:
        """An air day begins at 23:00 UTC wherever the hub is."""
        assert moment(date(2024, 6, 1), zone, "1d", ["no2"]) == datetime(2024, 5, 31, 23, tzinfo=UTC)

    def test_a_month_with_an_hour_more_is_a_month(self, api: httpx.Client) -> None:
        """October has 31 days and an hour of local time: not more than 31 days."""
        asked = {"quantity": "no2", "window": "5m", "from": "2024-10-01", "to": "2024-11-01"}
        assert api.get("/aggregates", params=asked).status_code == 200


STAMPS = st.datetimes(*(datetime.fromisoformat(day) for day in ("2000-01-01", "2037-01-01")), timezones=st.just(UTC))
ZONES = ["Europe/Amsterdam", "America/St_Johns", "Asia/Kathmandu", "UTC"]


@given(st.lists(STAMPS), st.sampled_from(ZONES))
def test_local_time_is_that_of_pythons_zones(stamps: list[datetime], zone: str) -> None:
    """Every stamp is written with the offset that its zone has then, the nights of a switch included."""
    written = local(pa.chunked_array([pa.array(stamps, STAMP)]), zone).to_pylist()
    assert written == [stamp.astimezone(ZoneInfo(zone)).isoformat(timespec="seconds") for stamp in stamps]


def test_question_about_an_area_where_none_is_loaded_says_so(week: str, tmp_path: Path) -> None:
    """In the same sentence everywhere."""
    asked = command(week, "query", "--quantity=no2", "--window=1d", "--area=GM0014", *JUNE_1)
    assert (asked.exit_code, asked.stderr.strip()) == (0, NO_AREAS)
    assert NO_AREAS in command(week, "doctor", f"--data-dir={tmp_path}").stdout
    with pytest.raises(BadQuestion, match=NO_AREAS):
        command(week, "areas", "list")


@pytest.mark.parametrize(
    ("path", "more", "status"),
    [("/areas", {}, 200), ("/area-aggregates", {"window": "1d"}, 200), ("/sensors", {"area": "GM0014"}, 200),
     ("/aggregates", {"window": "1h", "area": "GM0014"}, 200),
     ("/indicators/week-profile", {"quantity": "no2", "area": "GM0014"}, 422)],
)  # fmt: skip
def test_api_says_so_in_the_same_sentence(api: httpx.Client, path: str, more: dict[str, str], status: int) -> None:
    """An empty list says beside its rows why it is empty, in each form; what cannot be computed is refused with it."""
    span = {} if path in ("/areas", "/sensors") else {"from": "2024-06-01", "to": "2024-06-02"}
    answer = api.get(path, params={**span, **more})
    assert (answer.status_code, answer.json().get("note") or answer.json()["detail"]) == (status, NO_AREAS)
    if status == 200:
        assert answer.json()["items"] == []
        assert api.get(path, params={**span, **more, "format": "csv"}).headers["note"] == NO_AREAS
        assert "note" not in api.get("/sensors").json()


class TestStillRolledUp:
    """An answer whose range still waits for the roll-up."""

    @pytest.mark.parametrize("window", ["1h", "1d"])
    def test_answer_says_so_until_it_is_done(self, postgres: str, window: str) -> None:
        """On stderr, in a header, and in JSON; not for another range, nor when it is done."""
        with fresh_database(postgres) as url, closing(Store(url)) as store, client_of(serving(url)) as api:
            roll_up(store, LATER)
            commit(store, *(reading("no2", at) for at in range(120)))
            words = ("query", "--quantity=no2", f"--window={window}", "--format=json")
            asked = {"quantity": "no2", "window": window, "from": "2024-06-01", "to": "2024-06-02"}
            done = command(url, *words, *JUNE_1)
            assert json.loads(done.stdout) == []
            assert "wait for the roll-up" in done.stderr
            for form in ("json", "csv"):
                answer = api.get("/aggregates", params={**asked, "format": form})
                assert answer.headers["rolling-up"] == "true"
                assert form == "csv" or answer.json()["rolling_up"] is True
            assert "wait for" not in command(url, *words, "--from=2024-05-01", "--to=2024-05-02").stderr
            roll_up(store, LATER)
            done = command(url, *words, *JUNE_1)
            assert (len(json.loads(done.stdout)), done.stderr) == (24 if window == "1h" else 1, "")
            answer = api.get("/aggregates", params=asked)
            assert "rolling-up" not in answer.headers
            assert "rolling_up" not in answer.json()
