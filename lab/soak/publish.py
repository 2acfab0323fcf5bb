"""
How fast figures are made that a municipality publishes, from a year of hours of 1,000 sensors in 151 buurten.

The report of a sensor's year as a page; the joined table of a month, hours of all buurten beside a measure, as Parquet;
and *werkdaggemiddelde* of every sensor over the year. The figure is the last of these, beside a pandas script over the
same hours in Parquet, which makes the same averages: of days with nine tenths of their hours, public holidays aside.
"""

import io
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import holidays
import numpy as np
import pandas as pd
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from aggregates.areas.geometry import Area
from aggregates.areas.inputs import Gathered
from aggregates.areas.load import load
from aggregates.areas.roll_up import place_sensors, roll_areas
from aggregates.areas.statistics import COLUMNS, About, Statistics
from aggregates.ask.averages import read_averages
from aggregates.ask.listings import joined
from aggregates.ask.periods import Reporting
from aggregates.export.export import Wanted, export
from aggregates.export.forms import write
from aggregates.release.report import report
from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store
from hub.settings.settings import Settings
from ingest.files.catalogue import Entry
from lab.load.result import Result
from lab.load.servers import database, scratch
from lab.load.traffic import fill_hours, known

ZONE, YEAR = "Europe/Amsterdam", 2023
MONTH, VINTAGE, QUANTITY = 6, 2024, "bicycle_count"
_DAYS = """
INSERT INTO dirty (series, start) SELECT series, start FROM window_1h;
ANALYZE dirty
"""
_EMPTY = "TRUNCATE area, area_load, area_statistic, area_1h, area_1d, area_mark, panel"


def publish(settings: Settings, sensors: int = 1000, buurten: int = 151, runs: int = 5) -> Result:
    """Measure each in turn, `runs` times; the default takes minutes, most of them to fill the tables."""
    first, last = (datetime(year, 1, 1, tzinfo=ZoneInfo(ZONE)).astimezone(UTC) for year in (YEAR, YEAR + 1))
    with database(settings) as (store, edition), scratch(settings) as directory:
        try:
            names = _fill(store, sensors, buurten, first, last)
            for _ in export(store, directory, Wanted(("aggregates",), ("1h",))):
                pass
            seconds, ours, theirs = _measured(store, directory, names, (first, last), runs)
        finally:
            with store.transaction() as tx:
                tx.script(_EMPTY)
    pd.testing.assert_series_equal(ours, theirs, check_names=False, rtol=1e-9)
    details: dict[str, object] = {
        "edition": str(edition), "sensors": sensors, "buurten": buurten, "runs": runs,
        **{f"{name}_s": round(took, 3) for name, took in seconds.items()},
        "wanted": "report below 1 s, join and averages below 2 s",
    }  # fmt: skip
    name = "pandas over the same hours in Parquet, the same averages; the ratio is how many times that"
    return Result(
        "publish", seconds["averages"], "s", seconds["pandas"], name, seconds["averages"] / seconds["pandas"], details
    )


def _fill(store: Store, sensors: int, buurten: int, first: datetime, last: datetime) -> list[str]:
    """Fill a year of hours and days, and the figures of the areas in one month of it; give the sensors."""
    names = [f"stadspuls/bench-{number:06d}" for number in range(sensors)]
    import_sensors(store, [Entry(name, lanes=1) for name in names])
    numbers = known(store, {
        "sensor_id": names, "quantity": [QUANTITY] * sensors, "channel": [""] * sensors, "period": [3600] * sensors,
    })  # fmt: skip
    hours = (last - first) // timedelta(hours=1)
    fill_hours(store, numbers, first, hours, partial(_values, sensors))
    with store.transaction(writing=True) as tx:
        tx.script(_DAYS)
        tx.rows("roll_days", first=first, last=last, again=False, until=last)
    shapes = [
        Area(f"BU0000{at:04d}", f"buurt {at}", shapely.box(3 + at / 100, 51, 3 + (at + 1) / 100, 51.01))
        for at in range(buurten)
    ]
    cells = [(area.code, "inhabitants", 1000.0, None, None, "1", "AantalInwoners_5") for area in shapes]
    statistics = Statistics(About("made up", "none"), pd.DataFrame(cells, columns=COLUMNS), {})
    load(store, VINTAGE, ["GM0000"], Gathered(tuple(shapes), (statistics,), "made up", ("bench",), ("bench",)))
    middles = [area.shape.centroid for area in shapes]
    at = [middles[number % buurten] for number in range(sensors)]
    import_sensors(store, [Entry(name, lon=it.x, lat=it.y, lanes=1) for name, it in zip(names, at, strict=True)])
    place_sensors(store)
    begin, end = (datetime(YEAR, month, 1, tzinfo=ZoneInfo(ZONE)) for month in (MONTH, MONTH + 1))
    with store.transaction() as tx:  # one month of areas is enough to be asked for
        tx.script("DELETE FROM changed_validity")
        tx.script(
            "INSERT INTO area_mark SELECT h, %(quantity)s FROM generate_series(%(begin)s::timestamptz,"
            " %(end)s::timestamptz - interval '1 hour', '1 hour') h", quantity=QUANTITY, begin=begin, end=end,
        )  # fmt: skip
    roll_areas(store)
    return names


def _values(sensors: int, first: int, hours: int) -> NDArray[np.float64]:
    return np.random.default_rng(first).integers(1, 60, (hours, sensors)).astype(np.float64)


def _measured(
    store: Store, directory: Path, names: list[str], year: tuple[datetime, datetime], runs: int
) -> tuple[dict[str, float], "pd.Series[float]", "pd.Series[float]"]:
    """Give the median seconds of each, and both sides' averages by sensor."""
    reporting = Reporting(ZONE)
    begin, end = (datetime(YEAR, one, 1, tzinfo=ZoneInfo(ZONE)).astimezone(UTC) for one in (MONTH, MONTH + 1))

    def join() -> object:
        span: dict[str, Any] = {"window": "1h", "first": begin, "last": end}
        table = joined(store, **span, vintage=VINTAGE, level="buurt", quantities=[QUANTITY], measures=["inhabitants"])
        write("parquet", [table], io.BytesIO())
        return table

    def ours() -> "pd.Series[float]":
        asked: dict[str, Any] = {
            "quantity": QUANTITY,
            "first": year[0],
            "last": year[1],
            "window": "1y",
            "period": "werkdag",
        }
        found = pa.Table.from_batches(read_averages(store, None, len(names), reporting=reporting, **asked)).to_pandas()
        return pd.Series(found["value"].to_numpy(), found["sensor_id"].astype(str))

    kinds: dict[str, Callable[[], object]] = {
        "report": lambda: report(store, names[len(names) // 2], YEAR, reporting, "bench"),
        "join": join, "averages": ours, "pandas": lambda: _pandas(directory),
    }  # fmt: skip
    took: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(runs):
        for name, made in kinds.items():
            began = time.perf_counter()
            made()
            took[name].append(time.perf_counter() - began)
    return {name: median(found) for name, found in took.items()}, ours(), _pandas(directory)


def _pandas(directory: Path) -> "pd.Series[float]":
    """Average the valid working days of each sensor."""
    hours = pd.read_parquet(directory / "aggregates/window=1h", columns=["sensor_id", "start", "value", "coverage"])
    hours["day"] = hours["start"].dt.tz_convert(ZONE).dt.normalize().dt.tz_localize(None)
    by_day = hours.groupby(["sensor_id", "day"], observed=True).agg(value=("value", "sum"), covered=("coverage", "sum"))
    days = by_day.reset_index()
    length = days["day"].dt.tz_localize(ZONE)
    length = ((days["day"] + pd.Timedelta(days=1)).dt.tz_localize(ZONE) - length).dt.total_seconds() / 3600
    known = holidays.country_holidays("NL", years=YEAR, language="en_US")
    public = pd.DatetimeIndex([day for day, name in known.items() if name != "Good Friday"])  # a working day of most
    working = days[(days["day"].dt.day_of_week < 5) & ~days["day"].isin(public) & (days["covered"] >= 0.9 * length)]
    found: pd.Series[float] = working.groupby(working["sensor_id"].astype(str))["value"].mean()
    return found.sort_index()
