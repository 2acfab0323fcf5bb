"""What a reading of a long, running or civil period says of windows: valid means valid."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import structlog
from typer.testing import CliRunner

from aggregates.ask.dates import BadQuestion
from aggregates.ask.query import Question, ask
from aggregates.ask.series import PERIOD
from aggregates.store.store import Store
from ingest.formats.decode import decode
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.readings import Message, Reading
from streams.commit.pipeline import Pipeline
from streams.rollup.reconcile import reconcile
from streams.rollup.rollup import roll_up
from tests.support.commands import app

FIRST, LAST = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
HOUR = datetime(2026, 3, 2, 8, tzinfo=UTC)
WEEK_AND_TUBE = (
    b'[{"sensor_id": "week", "quantity": "bicycle_count", "period": 604800, "start": "2026-03-01T23:00:00Z",'
    b' "value": 7000}, {"sensor_id": "passive", "quantity": "no2", "period": 2419200, "start": "2026-01-31T23:00:00Z",'
    b' "value": 24.5}]'
)


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """The command line sets up logging; it ends with the test."""
    yield
    structlog.reset_defaults()


def received(store: Store, *readings: Reading, at: datetime = LAST) -> None:
    """Store readings and roll them up; the proof holds afterwards."""
    Pipeline(store).store(Batch(columns(readings, [at] * len(readings))))
    roll_up(store, LAST)
    days = sorted(one.start.date() for one in readings)
    assert not any(one.windows for one in reconcile(store, days[0] - timedelta(days=1), days[-1] + timedelta(days=2)))


def windows(store: Store, quantity: str, window: str, *, channels: bool = False) -> list[tuple[Any, ...]]:
    """Give start, hours, value, coverage and validity of all windows of a level."""
    found: pd.DataFrame = ask(store, Question(quantity, FIRST, LAST, window, channels=channels))
    found["hours"] = (found["end"] - found["start"]).dt.total_seconds() / 3600
    found["start"] = found["start"].dt.strftime("%d-%m %H:%M")
    return [tuple(row) for row in found[["start", "hours", "value", "coverage", "valid"]].to_numpy()]


class TestLongerThanADay:
    """A week, a month, and the four weeks of a diffusion tube."""

    @pytest.mark.parametrize("shared", [False, True])
    def test_no_day_of_it(self, request: pytest.FixtureRequest, store: Store, shared: bool) -> None:
        """7,000 bicycles of a week are of no day, and the tube's 28 days are one window: both have their own level."""
        payload = WEEK_AND_TUBE
        if shared:
            folder: Path = request.getfixturevalue("shared_data").parent / "cases" / "week-as-day"
            if not folder.is_dir():
                pytest.skip(f"no {folder}")
            payload = (folder / "stadspuls~week.json").read_bytes()
        batch = decode([Message("stadspuls/stadspuls/week", payload, LAST)])
        assert batch.dead_letters == ()
        Pipeline(store).store(batch)
        roll_up(store, LAST)
        for quantity, start, hours, value in (
            ("bicycle_count", "01-03 23:00", 168, 7000), ("no2", "31-01 23:00", 672, 24.5),
        ):  # fmt: skip
            for level in ("5m", "1h", "1d"):
                assert windows(store, quantity, level) == windows(store, quantity, level, channels=True) == []
            assert windows(store, quantity, PERIOD) == [(start, hours, value, 1, True)]

    def test_command_line_names_it(self, store: Store) -> None:
        """`query --window period` gives start and end of the reading itself."""
        received(store, Reading("stadspuls/m", "", "bicycle_count", 31 * 86_400, HOUR, 31_000.0))
        words = ["query", "--quantity=bicycle_count", "--window=period", "--from=2026-03-01", "--to=2026-04-01"]
        found = CliRunner().invoke(app, [*words, "--format=json", f"--database={store.conninfo}"])
        (row,) = json.loads(found.stdout)
        assert (row["start"], row["end"]) == ("2026-03-02T08:00:00Z", "2026-04-02T08:00:00Z")
        assert (row["value"], row["valid"]) == (31_000, True)

    def test_areas_have_none(self) -> None:
        """An area has hours and days; a question for its periods is refused."""
        with pytest.raises(BadQuestion, match="window 'period' of an area, expected 1h or 1d"):
            Question("no2", FIRST, LAST, PERIOD, area="GM0014")


class TestDays:
    """Readings of a day or nearly a day."""

    @pytest.mark.parametrize(("month", "day", "hours"), [(3, 28, 23), (10, 24, 25), (6, 30, 24)])
    def test_civil_day_is_its_own_day(self, store: Store, month: int, day: int, hours: int) -> None:
        """A count of a date has 23, 24 or 25 hours and is the whole, valid day."""
        start = datetime(2026, month, day, 23 if month == 3 else 22, tzinfo=UTC)
        received(store, Reading("stadspuls/d", "", "bicycle_count", hours * 3600, start, 900.0))
        assert windows(store, "bicycle_count", "1d") == [(f"{start:%d-%m %H:%M}", hours, 900, 1, True)]

    def test_sample_from_noon_to_noon_is_no_valid_day(self, store: Store) -> None:
        """A filter that hangs from 11 to 11 o'clock is valid for its own period, and of neither date."""
        start = datetime(2026, 3, 2, 10, tzinfo=UTC)
        received(store, Reading("stadspuls/f", "", "pm10", 86_400, start, 31.0))
        ((_, _, value, coverage, valid),) = windows(store, "pm10", "1d")
        assert (value, pd.isna(coverage), valid) == (31, True, False)
        assert windows(store, "pm10", PERIOD) == [("02-03 10:00", 24, 31, 1, True)]

    def test_count_of_a_utc_day_is_the_day(self, store: Store) -> None:
        """An hour beyond a civil day is less than a valid day may lack."""
        received(store, Reading("stadspuls/u", "", "bicycle_count", 86_400, datetime(2026, 3, 2, tzinfo=UTC), 90.0))
        assert windows(store, "bicycle_count", "1d") == [("01-03 23:00", 24, 90, 1, True)]


class TestOverlaps:
    """Readings that cover one another."""

    def test_hour_beside_its_minutes_is_taken_once(self, store: Store) -> None:
        """The hour's own reading and those of its minutes are two series; the figure is one of them, never both."""
        minutes = [
            Reading("stadspuls/o", "", "bicycle_count", 60, HOUR + at * timedelta(minutes=1), 2.0) for at in range(60)
        ]
        received(store, Reading("stadspuls/o", "", "bicycle_count", 3600, HOUR, 118.0), *minutes)
        assert windows(store, "bicycle_count", "1h") == [("02-03 08:00", 1, 120, 1, True)]

    def test_hours_of_every_ten_minutes_are_not_valid(self, store: Store) -> None:
        """Counts of the last hour, sent each ten minutes, add up to more than passed: no window is valid."""
        rolling = [
            Reading("stadspuls/r", "", "bicycle_count", 3600, HOUR + at * timedelta(minutes=10), 60.0)
            for at in range(144)
        ]
        received(store, *rolling)
        assert {valid for *_, valid in windows(store, "bicycle_count", "1h")[:23]} == {False}
        assert {valid for *_, valid in windows(store, "bicycle_count", "1d")} == {False}

    def test_quarters_have_no_five_minutes(self, store: Store) -> None:
        """A count of 15 minutes is shown in hours, and never as one of 5 minutes."""
        received(
            store,
            *(
                Reading("stadspuls/q", "", "bicycle_count", 900, HOUR + at * timedelta(minutes=15), 5.0)
                for at in range(4)
            ),
        )
        assert windows(store, "bicycle_count", "5m") == windows(store, "bicycle_count", "5m", channels=True) == []
        assert windows(store, "bicycle_count", "1h") == [("02-03 08:00", 1, 20, 1, True)]


class TestRunning:
    """Readings that came before their period had ended."""

    def test_what_came_in_its_period_is_not_valid_until_it_ended(self, store: Store) -> None:
        """An hour's mean at 20 past is a third of it; the final one takes its place, higher or lower."""
        hour = Reading("stadspuls/h", "", "no2", 3600, HOUR, 50.0)
        received(store, hour, at=HOUR + timedelta(minutes=20))
        assert windows(store, "no2", "1h") == [("02-03 08:00", 1, 50, pytest.approx(1 / 3), False)]
        received(store, hour._replace(value=40.0), at=HOUR + timedelta(minutes=61))
        assert windows(store, "no2", "1h") == [("02-03 08:00", 1, 40, 1, True)]
        received(store, hour, at=HOUR + timedelta(minutes=20))
        assert windows(store, "no2", "1h") == [("02-03 08:00", 1, 40, 1, True)]

    def test_clock_that_is_ahead_by_seconds_costs_nothing(self, store: Store) -> None:
        """A count of a quarter that comes half a minute before its end is whole, and of minutes nothing is said."""
        for period in (60, 900):
            at = HOUR + timedelta(seconds=period - 30)
            received(store, Reading(f"stadspuls/{period}", "", "bicycle_count", period, HOUR, 5.0), at=at)
        found = ask(store, Question("bicycle_count", FIRST, LAST, ""))
        assert found[["covers", "flags"]].to_numpy().tolist() == [[60, ""], [900, ""]]


class TestFractions:
    """Counts that are no whole number."""

    @pytest.mark.parametrize("source", ["stadspuls", "ttn", "fiware"])
    def test_half_a_bicycle_is_refused(self, source: str) -> None:
        """Own JSON of any source that counts is refused alone, with what to write."""
        given = [{"sensor_id": "x", "quantity": "bicycle_count", "start": f"2026-03-02T08:{at:02}:00Z", "value": value}
                 for at, value in enumerate((3, 1.024, 4.0))]  # fmt: skip
        sent = json.dumps([one | {"sensor_id": f"{source}/x"} for one in given]).encode()
        batch = decode([Message("stadspuls/hub/x", sent, LAST)])
        assert batch.readings["value"].to_pylist() == [3, 4]
        assert [one.reason for one in batch.dead_letters] == [
            "count with a fraction, expected a whole number, or `fractions = true` of its source"
        ]

    def test_corrected_counts_have_them(self) -> None:
        """Telraam's counts are multiplied by the uptime, and rates are no counts."""
        given = {"sensor_id": "telraam/9", "quantity": "bicycle_count", "start": "2026-03-02T08:00:00Z", "value": 1.5}
        assert not decode([Message("stadspuls/hub/x", json.dumps(given).encode(), LAST)]).dead_letters
