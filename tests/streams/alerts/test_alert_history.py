"""The shipped rules on real data: a year of air and of traffic, against calculations that share nothing with them."""

import csv
import gzip
import io
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import psycopg
import pytest

from aggregates.store.store import Store
from ingest.formats.coded.luchtmeetnet import PREAMBLE
from ingest.formats.decode import FUTURE, decode
from ingest.vocabulary.batch import Batch
from ingest.vocabulary.calendar import load_days
from ingest.vocabulary.readings import Message
from streams.alerts.comparison import COLUMNS, usual
from streams.alerts.judge import Judge
from streams.alerts.rulebook import Baseline, load_rules
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up
from tests.support.alerting import replay
from tests.support.databases import ZONE

HOUR_US = 3_600_000_000
NEW_YEAR = datetime(2022, 12, 31, 23, tzinfo=UTC)
YEAR, MONTH = "2023", "2024_06"
Hours = dict[str, list[tuple[datetime, float | None]]]


def hours_of(folder: Path, year: str, component: str) -> Hours:
    """Read a file with nothing of the hub: station to (start of the hour, mean)."""
    text = gzip.decompress((folder / f"air/luchtmeetnet/{year}_{component}.csv.gz").read_bytes()).decode("latin-1")
    rows = list(csv.reader(io.StringIO(text), delimiter=";"))
    head = next(at for at, row in enumerate(rows) if row[0] == "Component")
    stations = [name.strip() for name in rows[head]]
    found: Hours = {name: [] for name in stations if name.startswith("NL")}
    for row in rows[head + 1 :]:
        start = datetime.fromisoformat(row[3]).astimezone(UTC)
        for name, cell in zip(stations, row, strict=False):
            if name in found:
                found[name].append((start, float(cell) if cell.strip() else None))
    return found


def runs(
    values: Sequence[tuple[datetime, float | None]], high: float, low: float, calm: int
) -> Iterator[tuple[str, str]]:
    """Begin and end of what lies above `high`, until `calm` values were not above `low`; whole numbers, half up."""
    since, quiet = None, 0
    for start, value in values:
        if value is None:
            continue
        whole = int(value + 0.5) if value > 0 else 0
        if since is None and whole > high:
            since, quiet = start, 0
        elif since is not None:
            quiet = quiet + 1 if whole <= low else 0
            if quiet == calm:
                yield f"{since:%m-%d %H}", f"{start + timedelta(hours=1):%m-%d %H}"
                since = None


def windows_of(folder: Path, year: str, components: Sequence[str]) -> pd.DataFrame:
    """Make the windows that the hub would have, valid hours and days of UTC+1."""
    frames = []
    for component in components:
        for station, values in hours_of(folder, year, component).items():
            made = pd.DataFrame(values, columns=["start", "value"]).dropna()
            made["start"] = [round(stamp.timestamp()) * 1_000_000 for stamp in made["start"]]
            day = (made["start"] + HOUR_US) // (24 * HOUR_US)
            daily = made.groupby(day)["value"].agg(["mean", "size"])
            days = pd.DataFrame({"start": daily.index * 24 * HOUR_US - HOUR_US, "value": daily["mean"].to_numpy()})
            days = days.assign(level="1d", valid=daily["size"].to_numpy() >= 18, length=24)
            one = pd.concat([made.assign(level="1h", valid=True, length=1), days])
            frames.append(one.assign(subject=f"luchtmeetnet/{station}", quantity=component.lower()))
    found = pd.concat(frames, ignore_index=True)
    found["end"] = found["start"] + found["length"] * HOUR_US
    evidence = dict.fromkeys(("revision", "readings"), 1) | dict.fromkeys(("flagged", "failed", "warned"), 0)
    chosen: pd.DataFrame = found.assign(coverage=1.0, **evidence)[COLUMNS]
    return chosen


def said(rule: str, windows: pd.DataFrame) -> dict[str, list[tuple[str, str]]]:
    """The alerts of a shipped rule: station to (since, cleared), hours of 2023."""
    found: dict[str, list[tuple[str, str]]] = {}
    begun: dict[str, int] = {}
    for one in replay([load_rules()[rule]], windows):
        if one.kind == "raised":
            begun[one.subject] = one.windows[0].start
        elif one.kind == "cleared" and one.windows:
            since, until = (pd.Timestamp(stamp, unit="us") for stamp in (begun[one.subject], one.about))
            found.setdefault(one.subject.partition("/")[2], []).append((f"{since:%m-%d %H}", f"{until:%m-%d %H}"))
    return found


@pytest.mark.shared
@pytest.mark.parametrize(
    ("rule", "component", "high", "low", "calm", "episodes"),
    [
        ("eu2008-o3-information", "O3", 180, 170, 2, 26),
        pytest.param("eu2024-no2-information", "NO2", 150, 135, 2, 6, marks=pytest.mark.slow),
        pytest.param("eu2008-o3-alert", "O3", 240, 220, 2, 0, marks=pytest.mark.slow),
    ],
)
def test_hours_of_a_year_beyond_a_legal_threshold(
    shared_data: Path, rule: str, component: str, high: float, low: float, calm: int, episodes: int
) -> None:
    """Every episode of 2023 at every station, from its first hour to its clearance, is what a plain loop finds."""
    plain = {
        station: list(runs(values, high, low, calm))
        for station, values in hours_of(shared_data, YEAR, component).items()
    }
    found = said(rule, windows_of(shared_data, YEAR, [component]))
    assert found == {station: some for station, some in plain.items() if some}
    assert sum(map(len, found.values())) == episodes


@pytest.mark.shared
def test_new_years_fireworks_in_the_store(shared_data: Path, store: Store, database: str) -> None:
    """
    The first two days of 2023, stored and rolled up: six stations have a bad LKI from midnight to 05:00 (UTC+1).

    The view has every station whose first hour was bad; the rule asks for two hours, so most of them raise nothing.
    """
    judge = Judge(load_rules(), load_days(ZONE))
    for component in ("NO2", "O3", "PM10", "PM25"):
        file = gzip.decompress((shared_data / f"air/luchtmeetnet/{YEAR}_{component}.csv.gz").read_bytes())
        payload = b"\n".join(file.split(b"\n")[: PREAMBLE + 50])
        payload = re.sub(rb"\(20\d\d-[^)]*\)", b"(2023-01-01T00:00:00+01:00)", payload, count=1)  # as of its export
        received = NEW_YEAR + timedelta(days=2) - FUTURE - timedelta(seconds=1)  # what comes later is not believed
        decoded = decode([Message("stadspuls/luchtmeetnet/x", payload, received)])
        Pipeline(store, judge=judge.batch).store(Batch(decoded.readings))
    roll_up(store, NEW_YEAR + timedelta(days=2, hours=1), judge=judge)
    with psycopg.connect(database) as connection:
        connection.execute("SET timezone = 'UTC'")
        rows = connection.execute(
            "SELECT subject, since, until, worst FROM alert WHERE rule = 'lki-bad' AND NOT withdrawn ORDER BY 1"
        ).fetchall()
        views = connection.execute(
            "SELECT sensor_id, value FROM index_1h WHERE index = 'lki' AND start = %s AND value >= 9", [NEW_YEAR]
        ).fetchall()
    stations = ["NL10236", "NL10404", "NL10445", "NL10450", "NL10639", "NL10937"]
    assert [row[0].partition("/")[2] for row in rows] == stations
    assert {row[1:3] for row in rows} == {(NEW_YEAR, NEW_YEAR + timedelta(hours=5))}
    highest = {
        station
        for component, bound in (("PM10", 125), ("PM25", 90), ("NO2", 125), ("O3", 180))
        for station, values in hours_of(shared_data, YEAR, component).items()
        if (first := values[0])[1] is not None and first[1] > bound
    }
    assert {sensor.partition("/")[2] for sensor, _ in views} == highest
    assert len(highest) > len(stations)


@pytest.mark.shared
def test_a_month_of_ordinary_air_is_a_handful_of_messages(shared_data: Path) -> None:
    """June 2024 at all stations of the country: what goes to operators at once, as docs/alert-rules.md has it."""
    windows = windows_of(shared_data, MONTH, ["NO2", "O3", "PM10", "PM25", "SO2"])
    rules = [rule for rule in load_rules().values() if rule.level != "clock" and rule.channels == ("operators",)]
    told = replay(rules, windows, effective=True)
    assert [(one.rule, one.kind, one.subject.partition("/")[2]) for one in told] == [
        ("lki-bad", "raised", "NL10230"),
        ("lki-bad", "cleared", "NL10230"),
        ("lki-bad", "raised", "NL10230"),
        ("lki-bad", "cleared", "NL10230"),
    ]


def motorway(folder: Path, years: Sequence[str]) -> pd.DataFrame:
    """Read the hourly counts of the I-94 at Minneapolis as windows of the hub."""
    counts = pd.read_csv(folder / "counters/metro_interstate_traffic_volume.csv.gz").drop_duplicates("date_time")
    counts = counts[counts["date_time"].str[:4].isin(list(years))]
    local = pd.to_datetime(counts["date_time"]).dt.tz_localize("America/Chicago", ambiguous="NaT", nonexistent="NaT")
    made = pd.DataFrame({"start": local, "value": counts["traffic_volume"].astype(float)}).dropna()
    made["start"] = [round(stamp.timestamp()) * 1_000_000 for stamp in made["start"]]
    made = made.assign(end=made["start"] + HOUR_US, subject="stadspuls/i94", quantity="vehicle_count", level="1h")
    evidence = {"coverage": 1.0, "valid": True, "revision": 1, "readings": 60, "flagged": 0, "failed": 0, "warned": 0}
    chosen: pd.DataFrame = made.assign(**evidence).sort_values("start")[COLUMNS]
    return chosen


@pytest.mark.slow
@pytest.mark.shared
def test_a_quarter_of_a_motorway_is_three_alerts(shared_data: Path, tmp_path: Path) -> None:
    """October to December 2017: a snowstorm, the day after Thanksgiving and one busy night; no holiday among them."""
    (tmp_path / "us.toml").write_text('working = ["Columbus Day", "Veterans Day", "Veterans Day (observed)"]')
    days = load_days("America/Chicago", (tmp_path / "us.toml",), "US")
    windows = motorway(shared_data, ["2017"])
    history = windows[["subject", "start", "value", "valid"]]
    told = replay(
        [load_rules()["traffic-flow-low"], load_rules()["traffic-flow-high"]],
        windows[windows["start"] >= datetime(2017, 10, 1, 5, tzinfo=UTC).timestamp() * 1e6],
        usual_of=lambda rule, some: usual(some, history, days, rule.quantity, rule.baseline or Baseline()),
    )
    stamps = [(one.rule, pd.Timestamp(one.about, unit="us", tz="UTC")) for one in told if one.kind == "raised"]
    assert [(rule.rpartition("-")[2], f"{stamp.tz_convert(days.zone):%m-%d}") for rule, stamp in stamps] == [
        ("high", "10-17"),
        ("low", "11-24"),
        ("low", "12-05"),
    ]
