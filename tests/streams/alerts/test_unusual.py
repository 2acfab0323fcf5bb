"""How usual an hour was: recorded counts against an independent calculation, and the reasons why it cannot be said."""

import json
import math
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from zoneinfo import ZoneInfo

import holidays
import pandas as pd
import pytest

from aggregates.ask.dates import BadQuestion
from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store
from hub.cli.main import load
from ingest.files.catalogue import Entry
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.calendar import load_days
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import Reading
from streams.alerts.comparison import usual
from streams.alerts.rulebook import Baseline
from streams.alerts.unusual import beside_usual, closed_hour, ranked
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up
from tests.support.apis import client_of, serving
from tests.support.databases import ZONE

HOUR = timedelta(hours=1)
EIGHT = datetime(2024, 5, 15, 6, tzinfo=UTC)  # a Wednesday, eight o'clock


def commit(store: Store, readings: list[Reading], now: datetime) -> None:
    """Store readings and roll up."""
    Pipeline(store).store(Batch(columns(readings, [now] * len(readings))))
    while roll_up(store, now):
        pass


def counted(sensor: str, start: datetime, value: float | None, covers: float = 3600) -> Reading:
    """One hour of a counter."""
    return Reading(f"stadspuls/{sensor}", "", "bicycle_count", 3600, start, value, covers=covers)


def plain(
    counts: dict[tuple[date, int], float], there: set[tuple[date, int]], at: datetime, closed: set[date]
) -> tuple[float, float, int] | None:
    """
    Median, spread and number of the last six hours of one kind, written down once more with nothing of the hub.

    `counts` is by local day and hour, of an hour that is there twice the first; `there` are all hours that clocks show.
    """

    def kind(day: date) -> int:
        return 6 if day in closed else day.weekday()

    before = [at.date() - timedelta(days=back) for back in range(1, 183)]
    same = [(day, at.hour) for day in before if kind(day) == kind(at.date()) and (day, at.hour) in there]
    values = [counts[one] for one in same[:6] if one in counts]
    if len(values) < 4:
        return None
    middle = median(values)
    spread = 1.4826 * median(abs(one - middle) for one in values)
    return middle, max(spread, 10, 0.1 * middle), len(values)


@pytest.mark.long
@pytest.mark.shared
def test_recorded_counts_equal_an_independent_calculation(shared_data: Path, store: Store) -> None:
    """
    Pedestrians in Melbourne in the days after both changes of the clock and Easter: every hour.

    The clock goes back on 3 April 2016 and forward on 4 October 2015; then two in the night is there twice, or not.
    """
    recorded = pd.read_csv(shared_data / "counters/melbourne_pedestrians_hourly_2015_2016.csv.gz")
    zone = ZoneInfo("Australia/Melbourne")
    recorded["start"] = pd.to_datetime(recorded["Date_Time"], utc=True)
    recorded = recorded[recorded["Sensor"].isin(["Birrarung Marr", "Southern Cross Station"])]
    whole = pd.date_range("2015-01-01", "2017-01-01", freq="h", tz="UTC").tz_convert(zone)
    there = {(one.date(), one.hour) for one in whole}
    closed = set(holidays.country_holidays("AU", years=range(2015, 2017)))
    days = load_days(zone.key, (Path("/dev/null"),), "AU")
    for first, last in (("2015-08-24", "2015-11-05"), ("2016-02-20", "2016-04-12")):
        part = recorded[recorded["start"].between(f"{first}T00:00Z", f"{last}T00:00Z")]
        commit(store, [
            Reading(f"stadspuls/{name[0]}", "", "pedestrian_count", 3600, start.to_pydatetime(), float(count))
            for name, start, count in zip(part["Sensor"], part["start"], part["Count"], strict=True)
        ], datetime.now(UTC))  # fmt: skip
        starts = list(pd.date_range(pd.Timestamp(last, tz="UTC") - pd.Timedelta(days=9), periods=200, freq="h"))
        found = beside_usual(store, days, "pedestrian_count", [one.to_pydatetime() for one in starts])
        judged = 0
        for name, rows in found.groupby("sensor_id"):
            mine = part[part["Sensor"].str[0] == str(name)[-1]].sort_values("start", ascending=False)
            local = mine["start"].dt.tz_convert(zone)
            counts = dict(zip(zip(local.dt.date, local.dt.hour, strict=True), mine["Count"], strict=True))
            figures = rows[["start", "usual", "spread", "hours", "value", "deviation"]].to_numpy(float).tolist()
            for stamp, middle, spread, hours, value, deviation in figures:
                expected = plain(counts, there, datetime.fromtimestamp(stamp / 1e6, zone), closed)
                if expected is None:
                    assert math.isnan(middle)
                    continue
                assert (middle, spread, hours) == pytest.approx(expected)
                if not math.isnan(value):
                    assert deviation == pytest.approx((value - expected[0]) / expected[1])
                    judged += 1
        assert judged > 150


def test_an_hour_that_a_day_lacks_is_compared_with_no_other() -> None:
    """Two o'clock, and the Sunday whose clocks go from two to three: the one before stands in; Easter Monday is one."""
    days = load_days(ZONE)
    two = int(datetime(2024, 4, 14, 0, tzinfo=UTC).timestamp()) * 1_000_000
    local = [datetime.fromtimestamp(one / 1e6, days.zone) for one in days.comparable_hours(two)]
    assert [f"{one:%m-%d %H}" for one in local[:3]] == ["04-07 02", "04-01 02", "03-24 02"]


def test_hours_of_an_event_are_no_baseline(tmp_path: Path) -> None:
    """Nothing is usual in a planned event, and later weeks are compared with others; four of these are enough."""
    (tmp_path / "own.toml").write_text(
        'event = [{ name = "race", first = 2024-05-15T06:00:00, last = 2024-05-15T12:00:00, sensors = ["race"] }]'
    )
    days = load_days(ZONE, (tmp_path / "own.toml",))
    hours = [EIGHT + timedelta(weeks=week) for week in range(-4, 2)]  # the event in the fifth
    past = pd.DataFrame({
        "subject": "race", "start": [int(one.timestamp()) * 1_000_000 for one in hours], "valid": True,
        "value": [100.0, 101.0, 99.0, 100.0, 900.0, 100.0],
    })  # fmt: skip
    found = usual(past.iloc[3:], past, days, "bicycle_count", Baseline())
    assert found["hours"].tolist() == [3, 4, 4]
    assert found["median"].fillna(-1).tolist() == [-1, -1, 100]
    assert found["spread"].fillna(-1).tolist() == [-1, -1, QUANTITIES["bicycle_count"].least_spread]


def test_why_it_cannot_be_said(store: Store, tmp_path: Path) -> None:
    """Each sensor that cannot be judged has a reason, and comes after those that can, the most unusual first."""
    (tmp_path / "own.toml").write_text(
        'event = [{ name = "race", first = 2024-05-15T06:00:00, last = 2024-05-15T12:00:00, sensors = ["*/race"] }]'
    )
    names = ("busy", "quiet", "race", "half", "none", "gone")
    said = [counted(one, EIGHT - timedelta(weeks=week), 100) for one in names for week in range(1, 7)]
    said += [counted("few", EIGHT - timedelta(weeks=week), 100) for week in range(1, 4)]
    said += [counted("busy", EIGHT, 190), counted("quiet", EIGHT, 95), counted("race", EIGHT, 900)]
    said += [counted("half", EIGHT, 50, 1800), counted("few", EIGHT, 100)]
    said += [counted("none", EIGHT, None)._replace(weight=0)]
    import_sensors(store, [Entry("stadspuls/unheard")])
    commit(store, said, EIGHT + 2 * HOUR)
    found = ranked(beside_usual(store, load_days(ZONE, (tmp_path / "own.toml",)), "bicycle_count", [EIGHT]))
    rows = {name.partition("/")[2]: (round(far, 2) if far == far else reason) for name, far, reason in zip(
        found["sensor_id"], found["deviation"], found["reason"], strict=True)}  # fmt: skip
    assert list(rows)[:2] == ["busy", "quiet"]
    assert rows == {
        "busy": 9.0, "quiet": -0.5, "race": "planned event", "half": "not valid", "none": "nothing to measure",
        "gone": "no value", "few": "too few earlier hours",
    }  # fmt: skip
    assert found.set_index("sensor_id").loc["stadspuls/few", "hours"] == 3


def test_an_hour_that_still_runs_is_refused() -> None:
    """The last hour that has ended is the default."""
    now = EIGHT + timedelta(minutes=30)
    assert closed_hour(None, now) == EIGHT - HOUR
    with pytest.raises(BadQuestion, match="begins at 2024-05-15T06:00Z has not ended"):
        closed_hour(EIGHT, now)


def test_api_and_command_say_the_same(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Pages of the API, and the command with the most unusual first; a week of holidays is left out."""
    said = [counted(one, EIGHT - timedelta(weeks=week), 100) for one in "ab" for week in range(1, 7)]
    commit(store, [*said, counted("a", EIGHT, 90), counted("b", EIGHT, 190)], EIGHT + 2 * HOUR)
    asked = {"quantity": "bicycle_count", "at": "2024-05-15T08:20"}
    with client_of(serving(store.conninfo)) as client:
        page = client.get("/usual", params=asked | {"limit": 1}).json()
        rows = page["items"] + client.get("/usual", params=asked | {"cursor": page["next"]}).json()["items"]
    assert [(one["start"], one["usual"], one["deviation"], one["earlier"], one["reason"]) for one in rows] == [
        ("2024-05-15T06:00:00Z", 100, -1, 5, None), ("2024-05-15T06:00:00Z", 100, 9, 5, None),
    ]  # fmt: skip
    flags = ["--quantity=bicycle_count", "--at=2024-05-15T08:20", "--format=json", f"--database={store.conninfo}"]
    load("usual")(["usual", *flags], standalone_mode=False)
    printed = json.loads(capsys.readouterr().out)
    assert [(one["sensor_id"], one["deviation"]) for one in printed] == [("stadspuls/b", 9), ("stadspuls/a", -1)]


def test_as_of_a_moment_the_baseline_is_that_of_then(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """An hour of the weeks before is corrected: as of before, usual is what it was; so the API and the command say."""
    said = [counted("a", EIGHT - timedelta(weeks=week), 100) for week in range(1, 7)]
    commit(store, [*said, counted("a", EIGHT, 190)], EIGHT + 2 * HOUR)
    ((moment,),) = store.rows("read_settled_moment")
    commit(store, [one._replace(value=150.0, version=1) for one in said], EIGHT + 2 * HOUR)
    asked = {"quantity": "bicycle_count", "at": "2024-05-15T08:20"}
    then = {**asked, "asOf": moment.isoformat()}
    with client_of(serving(store.conninfo)) as client:
        assert [client.get("/usual", params=one).json()["items"][0]["usual"] for one in (asked, then)] == [150, 100]
        refused = client.get("/usual", params={**asked, "asOf": "2024-05-15T08:30"})
        assert (refused.status_code, "earlier figures are kept since then" in refused.json()["detail"]) == (400, True)
        ahead = {**then, "at": (moment + HOUR).isoformat()}
        assert "has not ended, expected an earlier one" in client.get("/usual", params=ahead).json()["detail"]
    flags = ["--quantity=bicycle_count", "--at=2024-05-15T08:20", f"--as-of={moment.isoformat()}", "--format=json"]
    load("usual")(["usual", *flags, f"--database={store.conninfo}"], standalone_mode=False)
    assert [one["usual"] for one in json.loads(capsys.readouterr().out)] == [100]
