"""
How fast the hub answers over a year of hours of 1,000 sensors, 8.8 million rows: pages, programs, exports.

One sensor's year, a bounding box of 100 sensors for a month, the latest window of every sensor, and the export of all
to Parquet; each through the function that users reach it by. The figure is one sensor's year, as Arrow table with its
evidence, beside a bare SELECT of the same rows of `window_1h` that is received and not looked at. Every question is
about another sensor or month than the one before. The hours lie in the table in the order in which roll-ups write them:
hour by hour, all sensors. Where no database is named, all is measured on a TimescaleDB too, if this machine has one.
"""

import json
import random
import statistics
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aggregates.ask.live import LENSES, newest
from aggregates.ask.query import Question, tables
from aggregates.export.export import Wanted, export
from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store
from hub.settings.settings import Settings
from ingest.files.catalogue import Entry
from lab.load.result import Result
from lab.load.servers import NO_TIMESCALE, database, emptied, scratch
from lab.load.traffic import fill_hours, known
from lab.rig.database import KillableTimescale, installation, running_database

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
QUANTITY = "vehicle_count"
LANES = 12  # channels of one more sensor, whose figure is made of them
Figures = dict[str, object]


def query(settings: Settings, sensors: int = 1000, hours: int = 366 * 24, runs: int = 15) -> Result:
    """Measure `runs` questions of each kind in turn; the default takes minutes, most of them to fill the tables."""
    with database(settings) as (store, edition), scratch(settings) as directory:
        found = {"edition": str(edition), **_measured(store, directory, sensors, hours, runs)}
    found["timescale"] = NO_TIMESCALE if settings.database else _on_timescale(settings, sensors, hours, runs)
    ours, bare = float(str(found["one_ms"])), float(str(found["select_ms"]))
    baseline = "bare SELECT of the same rows of window_1h, received only; the ratio is how many times that"
    return Result("query", ours, "ms", bare, baseline, ours / bare, found)


def _on_timescale(settings: Settings, sensors: int, hours: int, runs: int) -> Figures | str:
    place = installation()
    if place is None:
        return NO_TIMESCALE
    with (
        running_database(KillableTimescale(place)) as server,
        emptied(server.conninfo, settings) as (store, edition),
        scratch(settings) as directory,
    ):
        return {"edition": str(edition), **_measured(store, directory, sensors, hours, runs)}


def _measured(store: Store, directory: Path, sensors: int, hours: int, runs: int) -> Figures:
    names = [f"stadspuls/bench-{number:06d}" for number in range(sensors)]
    end = BEGIN + timedelta(hours=hours)
    series = _known(store, names)
    fill_hours(store, series, BEGIN, hours, partial(_values, len(series)))
    asked = _Questions(store, names, series, end)
    kinds = {"one": asked.one, "select": asked.select, "box": asked.box, "latest": asked.latest, "lanes": asked.lanes}
    seconds, rows = _in_turn(kinds, runs)
    began = time.perf_counter()
    written = sum(one.rows for one in export(store, directory, Wanted(("aggregates",), ("1h",))))
    return {
        "table_rows": len(series) * hours, "runs": runs,
        **{f"{kind}_ms": round(statistics.median(found) * 1000, 1) for kind, found in seconds.items()},
        **{f"{kind}_slowest_ms": round(max(found) * 1000, 1) for kind, found in seconds.items()},
        **{f"{kind}_rows": count for kind, count in rows.items() if count},
        "export_rows": written, "export_rows_per_s": round(written / (time.perf_counter() - began)),
    }  # fmt: skip


class _Questions:
    """The questions, each time about something else."""

    def __init__(self, store: Store, names: list[str], series: NDArray[Any], end: datetime) -> None:
        self._store, self._names, self._series, self._end = store, names, series, end
        self._random = random.Random(7)

    def one(self) -> int:
        """A year of one sensor."""
        return _rows(tables(self._store, Question(QUANTITY, BEGIN, self._end, "1h", self._random.choice(self._names))))

    def box(self) -> int:
        """A month of those in a box of a hundred: the sensors stand on a line from west to east."""
        first = self._random.randrange(max(1, len(self._names) - 100))
        begin = BEGIN + timedelta(days=self._random.randrange(11) * 30)
        month = min(begin, self._end - timedelta(days=1)), min(begin + timedelta(days=30), self._end)
        box = (first / 1000 - 0.0005, 52.0, (first + 99) / 1000 + 0.0005, 54.0)
        return _rows(tables(self._store, Question(QUANTITY, *month, "1h", box=box)))

    def latest(self) -> int:
        """The newest window of every sensor, as the live page asks for it."""
        return len(json.loads(newest(self._store, QUANTITY, LENSES["1h"], self._end))["sensors"]["id"])

    def lanes(self) -> int:
        """A year of a sensor that is the sum of its lanes."""
        return _rows(tables(self._store, Question(QUANTITY, BEGIN, self._end, "1h", "stadspuls/lanes")))

    def select(self) -> int:
        """The rows of one sensor's year as they are."""
        with self._store.transaction() as tx:
            series = int(self._random.choice(self._series[:-LANES]))
            tx.script("SELECT * FROM window_1h WHERE series = %(series)s ORDER BY start", series=series)
        return 0


def _in_turn(kinds: dict[str, Callable[[], int]], runs: int) -> tuple[dict[str, list[float]], dict[str, int]]:
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    rows: dict[str, int] = {}
    for _ in range(runs):
        for name, ask in kinds.items():
            began = time.perf_counter()
            rows[name] = ask()
            seconds[name].append(time.perf_counter() - began)
    return seconds, rows


def _rows(found: Iterable[pa.Table]) -> int:
    return sum(table.num_rows for table in found)


def _known(store: Store, names: list[str]) -> NDArray[Any]:
    """Put the sensors on a line, a thousandth of a degree apart, and give their series; the last are the lanes."""
    import_sensors(store, [Entry(name, lon=at / 1000, lat=53.0, lanes=1) for at, name in enumerate(names)])
    import_sensors(store, [Entry("stadspuls/lanes", lanes=LANES)])
    sensors = [*names, *["stadspuls/lanes"] * LANES]
    channels = [*["lane1/any"] * len(names), *(f"lane{lane}/any" for lane in range(1, LANES + 1))]
    wanted = {"sensor_id": sensors, "quantity": [QUANTITY] * len(sensors), "channel": channels,
              "period": [60] * len(sensors)}  # fmt: skip
    return known(store, wanted)


def _values(series: int, first: int, hours: int) -> NDArray[np.float64]:
    return np.random.default_rng(first).uniform(1, 60, (hours, series))
