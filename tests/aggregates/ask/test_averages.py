"""Averages over days of a kind: the definitions, and recorded counters against pandas over the files alone."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import holidays
import pandas as pd
import pyarrow as pa
import pytest
import structlog
from typer.testing import CliRunner

from aggregates.ask.averages import plan, read_area_averages, read_averages
from aggregates.ask.dates import BadQuestion
from aggregates.ask.listings import LISTS
from aggregates.ask.periods import SHIPPED, Reporting
from aggregates.ask.query import Question
from aggregates.store.catalogue import import_sensors
from aggregates.store.migrate import migrate
from aggregates.store.store import Store
from ingest.files.catalogue import Entry
from ingest.files.recordings import messages
from ingest.formats.decode import decode
from ingest.vocabulary.readings import Message, Reading
from ingest.vocabulary.values import BadFile
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up
from tests.aggregates.areas.test_areas import hours, load_cases, place, refresh
from tests.streams.commit.test_dead import Hours, fremont, melbourne
from tests.streams.commit.test_pipeline import batch
from tests.support.commands import app
from tests.support.databases import ZONE

DUTCH = Reporting(ZONE)
LATER = datetime(2024, 12, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def planned(text: str, first: date, last: date, length: str, profile: str | None = None) -> list[tuple[str, int]]:
    """Give what is averaged: the date, and of how many windows it is made."""
    zone = ZoneInfo(ZONE)
    begin, end = (datetime(one.year, one.month, one.day, tzinfo=zone).astimezone(UTC) for one in (first, last))
    units = plan((begin, end), length, DUTCH.read().period(text), profile, DUTCH.days(), ZONE)
    sizes = units.groupby("unit")["date"].agg(["first", "size"])
    return list(zip(sizes["first"].dt.strftime("%d-%m"), sizes["size"].tolist(), strict=True))


def asked(store: Store, about: Question, length: str, period: str, profile: str | None = None) -> pd.DataFrame:
    """Give averages as a frame."""
    ((zone,),) = store.rows("read_zone")
    reporting = Reporting(zone, country={"Europe/Amsterdam": "NL", "Australia/Melbourne": "AU"}.get(zone, "US"))
    span = {"first": about.first, "last": about.last, "window": length}
    asked: dict[str, Any] = {**span, "quantity": about.quantity, "period": period, "profile": profile}
    found = read_averages(store, None, 100_000, reporting=reporting, **asked)
    return pa.Table.from_batches(found, LISTS["averages"].columns).to_pandas()


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """The command line sets up logging; it ends with the test."""
    yield
    structlog.reset_defaults()


class TestPlan:
    """Which days and hours a period has."""

    def test_working_days_of_a_week_with_holidays(self) -> None:
        """Monday of Pentecost is no working day, and counts as a Sunday; among Monday to Friday it is."""
        assert [day for day, _ in planned("werkdag", date(2024, 5, 20), date(2024, 5, 27), "1w")] == [
            "21-05", "22-05", "23-05", "24-05"
        ]  # fmt: skip
        assert [day for day, _ in planned("sundays_holidays", date(2024, 5, 20), date(2024, 5, 27), "1w")] == [
            "20-05", "26-05"
        ]  # fmt: skip
        assert len(planned("maandag_vrijdag", date(2024, 5, 20), date(2024, 5, 27), "1w")) == 5

    @pytest.mark.parametrize(("day", "hours"), [(31, 7), (30, 8)])
    def test_night_of_the_switch(self, day: int, hours: int) -> None:
        """A night has 8 hours, one less when summer time begins, one more when it ends; dag and avond 12 and 4."""
        first = date(2024, 3, day)
        found = [planned(part, first, first + timedelta(days=1), "1d")[0][1] for part in ("nacht", "dag", "avond")]
        assert found == [hours, 12, 4]
        autumn = date(2024, 10, 27)
        assert planned("night", autumn, autumn + timedelta(days=1), "1d") == [("27-10", 9)]

    def test_a_part_that_begins_in_the_hour_of_the_switch(self, tmp_path: Path) -> None:
        """The morning on which 02:00 does not exist is one of its month, under the same hour as the others."""
        path = tmp_path / "periods.toml"
        path.write_text(f'{SHIPPED.read_text("utf-8")}\n[part.vroeg]\nenglish = "early"\nhours = [[2, 6]]\n', "utf-8")
        own = Reporting(ZONE, definitions=path)
        span = datetime(2024, 2, 29, 23, tzinfo=UTC), datetime(2024, 3, 31, 22, tzinfo=UTC)
        units = plan(span, "1mo", own.read().period("vroeg"), None, own.days(), ZONE)
        assert units.groupby(["place", "hour"])["date"].nunique().to_dict() == {(0, 2): 31}
        assert len(units) == 31 * 4 - 1

    def test_windows_are_whole(self) -> None:
        """A month that begins before the range is left out, one that ends after it is whole."""
        found = planned("werkdag", date(2024, 1, 15), date(2024, 2, 2), "1mo")
        assert (found[0], found[-1], len(found)) == (("01-02", 1), ("29-02", 1), 21)
        assert len(planned("werkdag", date(2024, 1, 15), date(2024, 2, 2), "whole")) == 14

    def test_refused(self, tmp_path: Path) -> None:
        """Words that no period has, two kinds at once, unknown school holidays, and a file without the usual kinds."""
        for text in ("werkda", "werkdag-zondag", "werkdag-dag-dag", "-", ""):
            with pytest.raises(BadQuestion, match="expected one of weekdag"):
                DUTCH.read().period(text)
        with pytest.raises(BadQuestion, match="within the school holidays of the calendar, 2023-10-21 to"):
            planned("schoolvakantie", date(2020, 1, 1), date(2020, 2, 1), "1mo")
        path = tmp_path / "periods.toml"
        path.write_text('enough = 0.5\n[kind.werkdag]\nenglish = "x"\n[part.etmaal]\nenglish = "y"\nhours = [[0, 24]]')
        with pytest.raises(BadFile, match="expected weekdag among them"):
            Reporting(ZONE, definitions=path).read()


def stored(store: Store, sensor: str, quantity: str, channels: Sequence[tuple[str, Hours]]) -> None:
    """Store hours of a sensor's channels, and roll them up."""
    readings = [Reading(sensor, name, quantity, 3600, at, value) for name, hours in channels for at, value in hours]
    last = max(one.start for one in readings) + timedelta(days=10)
    Pipeline(store).store(batch(readings, received=last))
    import_sensors(store, [Entry(sensor, lanes=len(channels))])
    roll_up(store, last)


def by_pandas(
    channels: Sequence[tuple[str, Hours]], span: tuple[datetime, datetime], zone: str, country: str, inside: range,
    freq: str,
) -> pd.DataFrame:  # fmt: skip
    """Average the valid working days of a part of the day by hand: hours, sums, days, holidays, all by pandas."""
    known = holidays.country_holidays(country, years=range(2012, 2018), language="en_US")
    public = {day for day, name in known.items() if "Good Friday" not in name}
    table = pd.DataFrame({name: dict(hours) for name, hours in channels})
    every = pd.date_range(*span, freq="h", inclusive="left").tz_convert(zone)
    table = table.reindex(every.tz_convert("UTC"))
    table = table[every.hour.isin(inside)]
    days = every[every.hour.isin(inside)].tz_localize(None).normalize()
    share = table.notna().groupby(days).mean().min(axis=1)
    valid = pd.DataFrame({"value": table.sum(axis=1).groupby(days).sum(), "valid": share >= 0.9, "any": share > 0})
    date = pd.DatetimeIndex(valid.index)
    working = valid[(date.day_of_week < 5) & ~date.isin(pd.DatetimeIndex(sorted(public)))]
    windows = pd.DatetimeIndex(working.index).to_period(freq)
    good = working["value"].where(working["valid"])
    return pd.DataFrame({
        "value": good.groupby(windows).mean(),
        "days": working["value"].groupby(windows).size(),
        "valid_days": working["valid"].groupby(windows).sum(),
        "total": working["value"].where(working["any"]).groupby(windows).sum(),
    })  # fmt: skip


@pytest.mark.long
@pytest.mark.shared
def test_pedestrians_of_melbourne_equal_pandas(store: Store, shared_data: Path) -> None:
    """Ten months of a place with gaps and both switches of time: every month's average, days and sum are pandas'."""
    zone = "Australia/Melbourne"
    migrate(store, zone)
    first, last = (datetime(2015, month, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC) for month in (2, 12))
    hours = [one for one in dict(melbourne(shared_data))["Birrarung Marr"] if first <= one[0] < last]
    stored(store, "stadspuls/marr", "pedestrian_count", [("", hours)])
    for period, inside in (("werkdag", (0, 24)), ("werkdag-ochtendspits", (7, 9)), ("werkdag-dag", (7, 19))):
        found = asked(store, Question("pedestrian_count", first, last, "1d"), "1mo", period)
        wanted = by_pandas([("", hours)], (first, last), zone, "AU", range(*inside), "M")
        assert found["value"].tolist() == pytest.approx(wanted["value"].tolist(), nan_ok=True)
        assert found["days"].tolist() == wanted["days"].tolist()
        assert found["valid_days"].tolist() == wanted["valid_days"].tolist()
        assert found["valid"].tolist() == (wanted["valid_days"] >= 0.75 * wanted["days"]).tolist()
        assert found["total"].tolist() == pytest.approx(wanted["total"].tolist())
        assert found["left_out"][3] == "2015-05-07 to 2015-05-29 not measured"


@pytest.mark.long
@pytest.mark.shared
def test_bicycles_of_two_lanes_equal_pandas(store: Store, shared_data: Path) -> None:
    """A bridge with two pavements: working days by quarter, profile and busiest hour are pandas' over both."""
    zone = ZoneInfo("America/Los_Angeles")
    migrate(store, str(zone))
    first, last = (datetime(2016, month, 1, tzinfo=zone).astimezone(UTC) for month in (1, 7))
    pavements = [[(at + 8 * HOUR, count) for at, count in hours] for _, hours in fremont(shared_data)]
    lanes = [
        (f"lane{lane}/any", [one for one in hours if first <= one[0] < last]) for lane, hours in enumerate(pavements)
    ]
    stored(store, "stadspuls/bridge", "bicycle_count", lanes)
    about = Question("bicycle_count", first, last, "1d")
    found = asked(store, about, "1q", "working_days")
    wanted = by_pandas(lanes, (first, last), str(zone), "US", range(24), "Q")
    assert found["value"].tolist() == pytest.approx(wanted["value"].tolist())
    assert found["valid_days"].tolist() == wanted["valid_days"].tolist()
    profile = asked(store, about, "whole", "werkdag", "hour")
    hourly = [
        by_pandas(lanes, (first, last), str(zone), "US", range(hour, hour + 1), "Y")["value"].item()
        for hour in range(24)
    ]
    assert profile["hour"].tolist() == list(range(24))
    assert profile["value"].tolist() == pytest.approx(hourly)
    busiest = asked(store, about, "whole", "werkdag", "busiest")
    assert busiest["hour"].tolist() == [max(range(24), key=hourly.__getitem__)]
    assert busiest["value"].tolist() == pytest.approx([max(hourly)])


def test_a_channel_with_two_periods_is_two_rows(store: Store) -> None:
    """A lane that sent minutes until Tuesday and hours from then on: no page ends between rows that it cannot part."""
    begin = datetime(2024, 5, 5, 22, tzinfo=UTC)
    sent = [Reading("ndw/x", "lane1", "vehicle_count", 60, begin + HOUR * at / 60, 1.0) for at in range(24 * 60)]
    sent += [Reading("ndw/x", "lane1", "vehicle_count", 3600, begin + at * HOUR, 50.0) for at in range(24, 168)]
    Pipeline(store).store(batch(sent, received=LATER))
    roll_up(store, LATER)
    about: dict[str, Any] = {"quantity": "vehicle_count", "first": begin, "last": begin + 168 * HOUR, "window": "1w"}
    key, pages, after = LISTS["averages"].key, list[list[Any]](), None
    while page := read_averages(store, after, 1, reporting=DUTCH, channels=True, **about):
        rows = [row for found in page for row in found.to_pylist()]
        if not rows:
            break
        pages.append([(row["period"], row["valid_days"], row["value"]) for row in rows])
        after = tuple(rows[-1][name] for name in key)
    assert pages == [[(60, 1, 1440)], [(3600, 6, 1200)]]
    assert asked(store, Question(**about | {"window": "1d"}), "1w", "weekdag")["period"].tolist() == [0]


@pytest.mark.parametrize(("missing", "valid"), [((1, 11), True), ((1, 12), False)])
def test_a_peak_covered_as_the_rule_wants_is_valid(store: Store, missing: tuple[int, int], valid: bool) -> None:
    """Nine tenths of two hours are 108 minutes, though 59/60 and 49/60 are a little less than 1.8 in binary numbers."""
    minutes = [hour * 60 + at for hour, lacks in enumerate(missing) for at in range(60 - lacks)]
    begin = datetime(2024, 5, 6, 5, tzinfo=UTC)
    readings = [
        Reading("ndw/x", "", "vehicle_count", 60, begin + timedelta(minutes=at), 1.0, covers=60) for at in minutes
    ]
    Pipeline(store).store(batch(readings, received=LATER))
    roll_up(store, LATER)
    about = Question("vehicle_count", begin - 7 * HOUR, begin + 17 * HOUR, "1d")
    found = asked(store, about, "1d", "ochtendspits")
    assert (found["total"].item(), found["valid"].item()) == (len(minutes), valid)
    assert found["left_out"].item() == ("" if valid else "2024-05-06 too little covered")


def parts(store: Store, *said: Reading) -> Any:
    """Store readings of the morning peak of a Monday, and give its figures by day."""
    Pipeline(store).store(batch(said, received=LATER))
    roll_up(store, LATER)
    about = Question(said[0].quantity, MONDAY, MONDAY + 24 * HOUR, "1d")
    return asked(store, about, "1d", "ochtendspits").iloc[0]


MONDAY = datetime(2024, 5, 5, 22, tzinfo=UTC)
SEVEN = MONDAY + 7 * HOUR


@pytest.mark.parametrize("quantity", ["vehicle_speed", "occupancy"])
def test_a_mean_over_a_part_is_that_of_its_valid_hours(store: Store, quantity: str) -> None:
    """A peak that is covered as the rule wants, with an hour that by itself is not: that hour does not count."""
    minutes = [Reading("ndw/x", "", quantity, 60, SEVEN + HOUR * at / 60, 50.0 + at // 60) for at in range(113)]
    found = parts(store, *minutes)
    assert (found["value"], found["valid"], found["left_out"]) == (50, True, "")


def test_a_part_of_which_one_hour_is_not_known(store: Store) -> None:
    """Where nobody knows how much of an hour was measured nobody knows it of the peak."""
    known = [Reading("stadspuls/x", "", "occupancy", 60, SEVEN + HOUR * at / 60, 5.0) for at in range(60)]
    found = parts(store, *known, Reading("stadspuls/x", "", "occupancy", 0, SEVEN + HOUR, 9.0))
    assert (found["valid"], found["left_out"]) == (False, "2024-05-06 coverage not known")


def test_a_part_in_which_a_lane_lacks_too_much(store: Store) -> None:
    """Two lanes that are covered together as the rule wants, and one of them not: the peak is not valid."""
    import_sensors(store, [Entry("ndw/x", lanes=2)])
    minutes = [at for at in range(120) if at % 60 < 49]
    lanes = [("lane1", at) for at in range(120)] + [("lane2", at) for at in minutes]
    said = [Reading("ndw/x", lane, "vehicle_count", 60, SEVEN + HOUR * at / 60, 1.0) for lane, at in lanes]
    found = parts(store, *said)
    assert (found["total"], found["valid"]) == (218, False)
    assert found["left_out"] == "2024-05-06 a lane is missing or not known"


def test_the_busiest_hour_is_one_that_is_known(store: Store) -> None:
    """An hour that was measured on one day of a week is not the busiest, whatever was counted in it."""
    days = [SEVEN + 24 * day * HOUR for day in range(5)]
    hours = [(at, 10.0) for at in days] + [(days[0] + 9 * HOUR, 99.0)]
    stored(store, "stadspuls/x", "bicycle_count", [("", sorted(hours))])
    found = asked(store, Question("bicycle_count", MONDAY, MONDAY + 168 * HOUR, "1d"), "1w", "werkdag", "busiest")
    assert found[["hour", "value", "valid"]].to_numpy().tolist() == [[7, 10, True]]


@pytest.mark.parametrize(("days", "valid"), [(2, False), (3, True)])
def test_three_of_four_days_are_enough(store: Store, days: int, valid: bool) -> None:
    """A week with a public holiday has four working days, and three quarters of them make its average valid."""
    hours = [(MONDAY + at * HOUR, 10.0) for at in range(24 * days)]
    stored(store, "stadspuls/x", "bicycle_count", [("", hours)])
    found = asked(store, Question("bicycle_count", MONDAY, MONDAY + 168 * HOUR, "1d"), "1w", "werkdag").iloc[0]
    assert (found["days"], found["valid_days"], found["value"], found["valid"]) == (4, days, 240, valid)


def test_days_without_a_vehicle_have_no_speed(store: Store) -> None:
    """They are measured and valid; their average is not, for there is none."""
    empty = [Reading("ndw/x", "", "vehicle_speed", 3600, MONDAY + at * HOUR, None, weight=0.0) for at in range(120)]
    Pipeline(store).store(batch(empty, received=LATER))
    roll_up(store, LATER)
    found = asked(store, Question("vehicle_speed", MONDAY, MONDAY + 168 * HOUR, "1d"), "1w", "werkdag").iloc[0]
    assert (pd.isna(found["value"]), found["valid"], found["valid_days"]) == (True, False, found["days"])


@pytest.mark.shared
def test_motorway_loops_equal_pandas(store: Store, shared_data: Path) -> None:
    """Eight loops of the A10 in a week: vehicles of the morning peaks, and their speeds, weighted by vehicles."""
    path = shared_data / "ndw/dexter_A10_hourly_week_2019.csv.gz"
    found = decode([Message(one.topic, one.payload, LATER) for one in messages(path, "dexter")])
    Pipeline(store).store(found)
    roll_up(store, LATER)
    first, last = (datetime(2019, 9, day, tzinfo=ZoneInfo(ZONE)).astimezone(UTC) for day in (16, 23))
    counts, speeds = (
        asked(store, Question(f"vehicle_{what}", first, last, "1d"), "whole", "werkdag-ochtendspits").set_index(
            "sensor_id"
        )
        for what in ("count", "speed")
    )
    table = pd.read_csv(path, parse_dates=["start_meetperiode"])
    start = table["start_meetperiode"].dt
    peak = table[start.hour.isin([7, 8]) & (start.day_of_week < 5)].assign(day=start.date)
    peak["counted"] = peak["gem_intensiteit"] * peak["gebruikte_minuten_intensiteit"] / 60
    assert counts["days"].eq(5).all()
    for site, rows in peak.groupby("id_meetlocatie"):
        name = f"dexter/{site}"
        hours = rows.groupby(["day", "start_meetperiode"])["gebruikte_minuten_intensiteit"].mean()
        good = rows[rows["day"].isin((hours.groupby("day").sum() >= 2 * 54).loc[lambda one: one].index)]
        assert counts["value"][name] == pytest.approx(good.groupby("day")["counted"].sum().mean())
        assert counts["valid_days"][name] == good["day"].nunique()
        seen = good[(good["gem_snelheid"] >= 0) & (good["counted"] > 0)]
        by_vehicle = (seen["gem_snelheid"] * seen["counted"]).sum() / seen["counted"].sum()
        assert speeds["value"][name] == pytest.approx(by_vehicle)


def test_working_days_of_areas_beside_measures(store: Store) -> None:
    """
    Two counters of a gemeente, of which one is silent from the second Tuesday on.

    Days on which it is missed are left out of the gemeente's averages, and not of those of the other's buurt; a part
    of the day is summed over its hours, as of a sensor.
    """
    load_cases(store)
    place(store, a=(6.002, 53.002), c=(6.005, 53.015))
    begin = datetime(2024, 6, 2, 22, tzinfo=UTC)
    hours(store, "a", [1.0] * 24 * 14, "bicycle_count", begin)
    hours(store, "c", [2.0] * 24 * 8, "bicycle_count", begin)
    refresh(store, LATER)
    span = {"first": begin, "last": begin + timedelta(days=14), "window": "1w", "quantity": "bicycle_count"}
    asked: dict[str, Any] = {**span, "profile": None, "vintage": None, "areas": None, "measures": ["inhabitants"]}
    asked |= {"reporting": DUTCH, "shapes": None}

    def rows(period: str, level: str | None, after: Any = None, limit: int = 100) -> list[dict[str, Any]]:
        found = read_area_averages(store, after, limit, level=level, period=period, **asked)
        return [row for batch in found for row in batch.to_pylist()]

    first, second = rows("werkdag", "gemeente")
    assert (first["code"], first["date"], first["value"], first["total"]) == ("GM9901", date(2024, 6, 3), 72, 5 * 72)
    assert (first["valid"], first["days"], first["valid_days"], first["inhabitants"]) == (True, 5, 5, 1203)
    assert (second["value"], second["valid"], second["valid_days"]) == (72, False, 1)
    assert second["left_out"] == "2024-06-11 to 2024-06-14 too little covered"
    buurt = [(row["value"], row["valid"]) for row in rows("werkdag", "buurt") if row["code"] == "BU99010000"]
    assert buurt == [(24, True)] * 2
    assert rows("werkdag-ochtendspits", "gemeente")[0]["value"] == 2 * 3
    every = rows("werkdag", None)
    key = [(row["code"], row["start"], row["hour"]) for row in every]
    assert rows("werkdag", None, key[2], 2) == every[3:5]


@pytest.mark.long
def test_command_line_averages_areas(database: str) -> None:
    """`areas join --period` is that table, also as of now; as of a moment before versions are kept it is refused."""
    with closing(Store(database)) as store:
        load_cases(store)
        place(store, a=(6.002, 53.002))
        hours(store, "a", [1.0] * 24 * 7, "bicycle_count", datetime(2024, 6, 2, 22, tzinfo=UTC))
        refresh(store, LATER)
    span = ["--from=2024-06-03", "--to=2024-06-10", "--level=gemeente", f"--database={database}"]
    words = ["areas", "join", "--quantity=bicycle_count", "--format=json", *span]
    shown = [
        json.loads(CliRunner().invoke(app, [*words, *more]).stdout)
        for flags in (["--window=1w", "--period=werkdag"], ["--window=1d"])
        for more in (flags, [*flags, f"--as-of={datetime.now(UTC).isoformat()}"])
    ]
    (row,) = shown[0]
    assert (row["day_kind"], row["value"], row["valid_days"], row["inhabitants"]) == ("werkdag", 24, 5, 1203)
    assert [day["value"] for day in shown[2]] == [24] * 7
    assert (shown[1], shown[3]) == (shown[0], shown[2])
    for window in ("1w", "1d"):
        done = CliRunner().invoke(app, [*words, f"--window={window}", "--as-of=2024-06-10"])
        assert "earlier figures are kept since then" in str(done.exception)
