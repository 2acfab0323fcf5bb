"""
How long the aggregates of one sensor over a year of hours take, as a pandas frame with their evidence.

`aggregates.query.ask`, which `stadspuls query` and the API call, beside a bare SELECT of the same rows out of
`window_1h` that is received and not looked at. The hours of several hundred sensors are copied straight into the table,
in the order in which roll-ups write them: hour by hour, all sensors.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aggregates.query import Question, ask
from aggregates.store import Store
from hub.bench.result import Result
from hub.bench.servers import database
from hub.bench.traffic import HOUR, QUANTITIES, Traffic
from hub.settings import Settings
from ingest.readings import microseconds
from streams.windows import WINDOW

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
_PIECE = 250  # hours in one COPY


def query(settings: Settings, sensors: int = 300, hours: int = 366 * 24, runs: int = 20) -> Result:
    """Measure `runs` questions of both sides in turn; the default takes a minute, most of it to fill the table."""
    end = BEGIN + timedelta(hours=hours)
    with database(settings) as (store, edition):
        traffic = Traffic(store, sensors * len(QUANTITIES))
        _fill(store, traffic.numbers, hours)
        year = Question("vehicle_count", BEGIN, end, "1h", traffic.sensors[sensors // 2])
        day = replace(year, sensor=None, last=min(end, BEGIN + timedelta(days=1)))
        questions: dict[str, Callable[[], int]] = {
            "ask": lambda: len(ask(store, year)),
            "select": lambda: _select(store, traffic.numbers[sensors // 2 * len(QUANTITIES)]),
            "channels": lambda: len(ask(store, replace(year, channels=True))),
            "day": lambda: len(ask(store, day)),
        }
        seconds = _in_turn(questions, runs)
        rows = {name: question() for name, question in questions.items()}
    middle = {name: statistics.median(found) for name, found in seconds.items()}
    details: dict[str, object] = {
        "edition": str(edition), "rows": rows["ask"], "table_rows": sensors * len(QUANTITIES) * hours, "runs": runs,
        "slowest_ms": round(max(seconds["ask"]) * 1000, 1), "channels_ms": round(middle["channels"] * 1000, 1),
        "all_sensors_one_day_ms": round(middle["day"] * 1000, 1), "all_sensors_one_day_rows": rows["day"],
    }  # fmt: skip
    baseline = "bare SELECT of the same rows of window_1h, received only; the ratio is how many times that"
    ours, bare = middle["ask"] * 1000, middle["select"] * 1000
    return Result("query", ours, "ms", bare, baseline, ours / bare, details)


def _in_turn(questions: dict[str, Callable[[], int]], runs: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in questions}
    for _ in range(runs):
        for name, question in questions.items():
            began = time.perf_counter()
            question()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def _select(store: Store, series: int) -> int:
    with store.transaction() as tx:
        tx.script("SELECT * FROM window_1h WHERE series = %(series)s ORDER BY start", series=int(series))
    return 0


def _fill(store: Store, series: NDArray[Any], hours: int) -> None:
    """Copy the hours of a year, and say that they are closed."""
    for first in range(0, hours, _PIECE):
        with store.transaction() as tx:
            tx.copy("window_1h", _windows(series, first, min(_PIECE, hours - first)))
    store.rows("close_hours", until=BEGIN + timedelta(hours=hours))
    with store.transaction() as tx:
        tx.script("ANALYZE")


def _windows(series: NDArray[Any], first: int, hours: int) -> NDArray[Any]:
    windows = np.zeros(len(series) * hours, WINDOW)
    windows["series"] = np.tile(series, hours)
    windows["start"] = microseconds(BEGIN) + HOUR * np.repeat(np.arange(first, first + hours), len(series))
    windows["readings"], windows["covered"] = 60, 3600
    noise = np.random.default_rng(first).uniform(1, 60, len(windows))
    for name in ("total", "weight", "weighted", "squares", "harmonic", "minimum", "maximum"):
        windows[name] = noise
    return windows
