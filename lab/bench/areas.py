"""
How long a month of area hours takes: 2,000 sensors in 3,000 areas, and 20,000 places compared with 14,000 polygons.

The store makes the hours and days of every buurt, wijk and gemeente out of the sensors' hours, commits them, and gives
them as a pandas frame beside the areas' statistics. The baseline is pandas alone, grouping the same sensors' hours
that it already has in memory. Areas are squares, sensors stand anywhere in them, every hour is whole.
"""

import resource
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from aggregates.areas.geometry import Area, assign, completed
from aggregates.areas.inputs import Gathered
from aggregates.areas.load import load
from aggregates.areas.roll_up import place_sensors, roll_areas
from aggregates.areas.statistics import COLUMNS, About, Statistics
from aggregates.ask.listings import joined
from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store
from hub.servers.process import CannotStart
from hub.settings.settings import Settings
from ingest.files.catalogue import Entry
from lab.load.result import Result
from lab.load.servers import database
from lab.load.traffic import QUANTITIES, Traffic, fill_hours

BEGIN = datetime(2024, 5, 1, tzinfo=UTC)
VINTAGE = 2024
_SIDE = 0.01  # degrees of a buurt
TABLES = "area, area_load, area_statistic, area_1h, area_1d, area_mark, panel"


def areas(settings: Settings, sensors: int = 2000, hours: int = 720, places: int = 20_000) -> Result:
    """Measure the join and the assignment; the default takes two minutes, half of it to fill the tables."""
    with database(settings) as (store, edition):
        if store.rows("list_area_loads", vintage=None):
            raise CannotStart("database named has areas in it, expected an empty one made for the bench")
        try:
            made = load_squares(store, municipalities=20, wijken=10, buurten=14)
            values = fill_sensors(store, sensors, hours)
            seconds = _timed(store, hours)
        finally:
            with store.transaction() as tx:
                tx.script(f"TRUNCATE {TABLES}")
    baseline, ours = _pandas(values, hours), seconds["figures"] + seconds["beside"]
    details: dict[str, object] = {
        "edition": str(edition), "sensors": sensors, "areas": made, "hours": hours, "rows": int(seconds["rows"]),
        "placing_s": round(seconds["placing"], 2), "figures_s": round(seconds["figures"], 2),
        "beside_s": round(seconds["beside"], 2), "assigning_s": round(_assign(places), 2), "places": places,
        "polygons": 14_000, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "limits": "join 30 s and 1000 MB, assigning 5 s",
    }  # fmt: skip
    name = "pandas grouping of the same hours in memory; the ratio is how many times that"
    return Result("areas", ours, "s", baseline, name, ours / baseline, details)


def _timed(store: Store, hours: int) -> dict[str, float]:
    began = time.perf_counter()
    place_sensors(store)
    placed = time.perf_counter()
    roll_areas(store)
    rolled = time.perf_counter()
    end = BEGIN + timedelta(hours=hours)
    asked: dict[str, Any] = {"window": "1h", "quantities": ["vehicle_count"], "measures": ["inhabitants"]}
    rows = len(joined(store, **asked, vintage=VINTAGE, first=BEGIN, last=end, level="buurt"))
    done = time.perf_counter()
    return {"placing": placed - began, "figures": rolled - placed, "beside": done - rolled, "rows": rows}


def squares(municipalities: int, wijken: int, buurten: int) -> list[Area]:
    """Make buurten in a row a wijk and a column of wijken a municipality."""
    found = []
    for municipality in range(municipalities):
        for wijk in range(wijken):
            for buurt in range(buurten):
                lon, lat = 3 + (municipality * buurten + buurt) * _SIDE, 51 + wijk * _SIDE
                code = f"BU{municipality:04d}{wijk:02d}{buurt:02d}"
                found.append(Area(code, code, shapely.box(lon, lat, lon + _SIDE, lat + _SIDE)))
    return found


def load_squares(store: Store, municipalities: int, wijken: int, buurten: int) -> int:
    """Load squares as areas, each with a number of inhabitants; give how many there are of all levels."""
    found = completed(squares(municipalities, wijken, buurten))
    cells = [(area.code, "inhabitants", 1000.0, None, None, "1", "AantalInwoners_5") for area in found]
    statistics = Statistics(About("made up", "none"), pd.DataFrame(cells, columns=COLUMNS), {})
    codes = [f"GM{number:04d}" for number in range(municipalities)]
    load(store, VINTAGE, codes, Gathered(tuple(found), (statistics,), "made up", ("bench",), ("bench",)))
    return len(found)


def fill_sensors(store: Store, sensors: int, hours: int, columns: int = 280) -> NDArray[Any]:
    """Put sensors in the areas and hours of counts in the table, and mark them as closed."""
    traffic = Traffic(store, sensors * len(QUANTITIES))
    noise = np.random.default_rng(1)
    lon, lat = 3 + noise.uniform(0, columns * _SIDE, sensors), 51 + noise.uniform(0, 10 * _SIDE, sensors)
    places = zip(traffic.sensors, lon.tolist(), lat.tolist(), strict=True)
    import_sensors(store, [Entry(sensor, lon=x, lat=y, lanes=1) for sensor, x, y in places])
    values = noise.uniform(1, 60, (hours, sensors))
    numbers = traffic.numbers[:: len(QUANTITIES)]
    fill_hours(store, numbers, BEGIN, hours, lambda first, count: values[first : first + count])
    return values


def _pandas(values: NDArray[Any], hours: int) -> float:
    """Group the hours of sensors by area, level by level."""
    sensors = values.shape[1]
    buurt = np.random.default_rng(2).integers(0, 2800, sensors)
    frame = pd.DataFrame(
        {"hour": np.repeat(np.arange(hours), sensors), "buurt": np.tile(buurt, hours), "value": values.ravel()}
    )
    began = time.perf_counter()
    for part in (1, 14, 140):
        area = frame["buurt"] // part
        frame.groupby([area, frame["hour"]])["value"].agg(["size", "sum", "min", "max"])
    return time.perf_counter() - began


def _assign(places: int) -> float:
    """Compare places with 14,000 polygons of 40 corners, the whole country."""
    leaves = [Area(area.code, area.code, shapely.segmentize(area.shape, _SIDE / 10)) for area in squares(100, 10, 14)]
    noise = np.random.default_rng(3)
    lon, lat = 3 + noise.uniform(0, 1400 * _SIDE, places), 51 + noise.uniform(0, 10 * _SIDE, places)
    began = time.perf_counter()
    assign(leaves, lon, lat)
    return time.perf_counter() - began
