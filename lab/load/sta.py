"""
How fast SensorThings answers with 20,000 sensors: a year of hours as arrays, and 1,000 Things with what they expand to.

Every sensor has a day of hours, and a few of them a year. Answers come over HTTP, whole, each about others than the
one before. The figure is a year of hours of one Datastream (8,784 Observations) in the form `dataArray`, beside a bare
SELECT of the same rows of `window_1h`, received and not looked at.
"""

import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import quote
from urllib.request import urlopen

import numpy as np
from numpy.typing import NDArray

from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store
from hub.settings.settings import Settings
from hub.web.http import application, listening
from hub.web.metrics import ServiceCollector
from ingest.files.catalogue import Entry
from lab.load.result import Result
from lab.load.servers import database
from lab.load.traffic import CHANNEL, fill_hours, known

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
HOURS = 366 * 24
MONTH = "phenomenonTime ge 2024-06-01T00:00:00Z and phenomenonTime lt 2024-07-01T00:00:00Z"


def sta(settings: Settings, sensors: int = 20_000, whole: int = 50, runs: int = 15) -> Result:
    """Measure `runs` questions of each kind in turn; `whole` sensors have a year of hours."""
    with database(settings) as (store, edition):
        names = [f"stadspuls/bench-{number:06d}" for number in range(sensors)]
        series = _known(store, names)
        fill_hours(store, series[whole:], BEGIN + timedelta(hours=HOURS - 24), 24, partial(_values, sensors - whole))
        fill_hours(store, series[:whole], BEGIN, HOURS, partial(_values, whole))
        with _served(settings, store) as root:
            seconds, sizes = _in_turn(_questions(root, store, series, whole), runs)
    found = {f"{kind}_ms": round(statistics.median(one) * 1000, 1) for kind, one in seconds.items()}
    slowest = {f"{kind}_slowest_ms": round(max(one) * 1000, 1) for kind, one in seconds.items()}
    details = {"edition": str(edition), "sensors": sensors, "runs": runs, **found, **slowest, "bytes": sizes}
    ours, bare = found["year_ms"], found["select_ms"]
    baseline = "bare SELECT of the same rows of window_1h, received only; the ratio is how many times that"
    return Result("sta", ours, "ms", bare, baseline, ours / bare, details)


def _known(store: Store, names: list[str]) -> NDArray[np.int_]:
    """Put the sensors on a line, and give their series."""
    import_sensors(store, [Entry(name, lon=at / 10_000, lat=53.0, lanes=1) for at, name in enumerate(names)])
    count = len(names)
    return known(store, {"sensor_id": names, "quantity": ["vehicle_count"] * count, "channel": [CHANNEL] * count,
                         "period": [60] * count})  # fmt: skip


def _values(series: int, first: int, hours: int) -> NDArray[np.float64]:
    return np.random.default_rng(first).uniform(1, 60, (hours, series))


@contextmanager
def _served(settings: Settings, store: Store) -> Iterator[str]:
    app = application(ServiceCollector({}, database=store.conninfo), lambda: {"ready": True}, settings, store.conninfo)
    with listening(app, "127.0.0.1", 0) as address:
        yield f"{address}/sta/v1.1"


def _questions(
    root: str, store: Store, series: NDArray[np.int_], whole: int
) -> dict[str, Callable[[], int]]:  # fmt: skip
    """Give the kinds of questions, each time about something else."""
    chance = random.Random(7)

    def get(path: str) -> int:
        with urlopen(f"{root}/{quote(path, safe='/?&=$(),;')}") as answer:
            return len(answer.read())

    def hours() -> str:
        return f"Datastreams({int(chance.choice(series[:whole])) << 4 | 6})/Observations"

    def select() -> int:
        with store.transaction() as tx:
            one = int(chance.choice(series[:whole]))
            tx.script("SELECT * FROM window_1h WHERE series = %(series)s ORDER BY start", series=one)
        return 0

    return {
        "year": lambda: get(f"{hours()}?$resultFormat=dataArray&$top=10000"),
        "select": select,
        "month": lambda: get(f"{hours()}?$filter={MONTH}&$top=1000"),
        "things": lambda: get(f"Things?$expand=Datastreams,Locations&$top=1000&$skip={chance.randrange(1000)}"),
        "latest": lambda: get(
            "Datastreams?$filter=properties/level eq '1h'&$top=100"
            f"&$skip={chance.randrange(1000)}&$expand=Observations($top=1;$orderby=phenomenonTime desc)"
        ),
    }


def _in_turn(kinds: dict[str, Callable[[], int]], runs: int) -> tuple[dict[str, list[float]], dict[str, int]]:
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    sizes: dict[str, int] = {}
    for _ in range(runs):
        for name, ask in kinds.items():
            began = time.perf_counter()
            sizes[name] = ask()
            seconds[name].append(time.perf_counter() - began)
    return seconds, sizes
