"""
How many readings a second the pipeline commits, beside a binary COPY of the very same rows.

Both write 5,000 series at a 1-minute cadence, sorted, one transaction a batch: `Pipeline.store` with quality, windows,
marks, position and accounting, the baseline into an empty copy of `reading` with its key. Both begin a round with
nothing and take turns, batch by batch, so that what else the machine does falls on both alike. Batches are made
beforehand (`lab.load.traffic`).
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from aggregates.store.migrate import Edition
from aggregates.store.store import Store
from hub.settings.settings import Settings
from lab.load.result import Result
from lab.load.servers import database
from lab.load.time_shares import Spent
from lab.load.traffic import Traffic
from streams.commit.pipeline import Pipeline

SERIES = 5_000
SIZES = (10_000, 5_000, 50_000)  # readings in a batch; the first gives the figure
_COPY = "bench_reading"


@dataclass(frozen=True, slots=True)
class Rates:
    """Readings a second of both sides."""

    ours: float
    copy: float

    @property
    def ratio(self) -> float:
        """How much of the COPY's speed is left."""
        return self.ours / self.copy

    def shown(self) -> dict[str, float]:
        """Give the rates and their ratio for people."""
        return {"readings_s": round(self.ours), "copy_s": round(self.copy), "ratio": round(self.ratio, 3)}


def write(
    settings: Settings, series: int = SERIES, sizes: tuple[int, ...] = SIZES, readings: int = 500_000, rounds: int = 3
) -> Result:
    """Write `readings` in batches of each size on both sides, `rounds` times; the default takes a minute or two."""
    with database(settings) as (store, edition):
        sides = _Sides(store, edition, series)
        found = {size: _median([sides.race(size, readings // size) for _ in range(rounds)]) for size in sizes}
        shares = sides.shares(sizes[0], readings // sizes[0])
    head = found[sizes[0]]
    details: dict[str, object] = {
        "edition": str(edition), "series": series, "batch": sizes[0], "readings": readings, "rounds": rounds,
        "batches_of": {str(size): rates.shown() for size, rates in found.items()}, "time_shares": shares,
    }  # fmt: skip
    baseline = "binary COPY of the same rows into an empty copy of reading with its key, a transaction a batch"
    return Result("write", head.ours, "readings/s", head.copy, baseline, head.ratio, details)


def _median(rounds: list[Rates]) -> Rates:
    """Give the round in the middle, by the ratio."""
    return sorted(rounds, key=lambda one: one.ratio)[len(rounds) // 2]


class _Sides:
    def __init__(self, store: Store, edition: Edition, series: int) -> None:
        self._store = store
        self._edition = edition
        self._traffic = Traffic(store, series)
        self._pipeline = Pipeline(store)
        self._minute = 0
        self.alone(series, 1)  # from here on the series are known

    def race(self, size: int, batches: int) -> Rates:
        """Store batches of one size on both sides in turn."""
        self._empty()
        ours = copy = readings = 0.0
        for rows in self._rows(size, batches):
            batch = self._traffic.batch(rows)
            began = time.perf_counter()
            self._pipeline.store(batch)
            stored = time.perf_counter()
            self._copy(rows)
            ours, copy, readings = ours + stored - began, copy + time.perf_counter() - stored, readings + len(rows)
        return Rates(readings / ours, readings / copy)

    def shares(self, size: int, batches: int) -> dict[str, float]:
        """Say where the time goes, on a connection of its own whose statements are timed."""
        spent = Spent(self._store.conninfo)
        pipeline, self._pipeline = self._pipeline, Pipeline(spent)
        try:
            self.alone(self._traffic.series, 2)
            with spent:
                self.alone(size, batches)
        finally:
            self._pipeline = pipeline
            spent.close()
        return spent.shares()

    def alone(self, size: int, batches: int) -> None:
        """Store batches without the other side."""
        for batch in [self._traffic.batch(rows) for rows in self._rows(size, batches)]:
            self._pipeline.store(batch)

    def _rows(self, size: int, batches: int) -> Iterator[NDArray[Any]]:
        minutes = max(1, size // self._traffic.series)
        for _ in range(batches):
            yield self._traffic.rows(self._minute, minutes)
            self._minute += minutes

    def _copy(self, rows: NDArray[Any]) -> None:
        with self._store.transaction() as tx:
            tx.copy(_COPY, rows)

    def _empty(self) -> None:
        """Let both sides begin with nothing; the series stay known."""
        with self._store.transaction() as tx:
            tx.script("TRUNCATE reading, window_5m, mark")
            tx.script(f"DROP TABLE IF EXISTS {_COPY}; CREATE TABLE {_COPY} (LIKE reading, PRIMARY KEY (series, start))")
            if self._edition is not Edition.POSTGRES:
                tx.script(f"SELECT create_hypertable('{_COPY}', 'start', create_default_indexes => false)")
