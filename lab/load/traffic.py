"""
Readings for benches without a message: counts and speeds of many sensors, a minute apart, as columns and as rows.

`lab.bench.write` stores the columns through the pipeline and copies the rows beside it; the numbers are made anew the
same each time.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aggregates.store.store import Store
from ingest.vocabulary.batch import SCHEMA, Batch
from ingest.vocabulary.readings import microseconds
from streams.commit.windows import READING, WINDOW
from streams.rollup.rollup import roll_up

BEGIN = microseconds(datetime(2024, 5, 1, tzinfo=UTC))
MINUTE = 60_000_000  # us
HOUR = 60 * MINUTE
_PIECE = 250  # hours in one COPY
QUANTITIES = ("vehicle_count", "vehicle_speed")
CHANNEL = "lane1/any"


class Traffic:
    """Sensors with a count and a speed each, `series` in all with their `numbers`, that are known to the store."""

    def __init__(self, store: Store, series: int) -> None:
        self.series = series
        self.sensors = [f"stadspuls/bench-{number:06d}" for number in range(series // len(QUANTITIES))]
        self.numbers = self._known(store)

    def _known(self, store: Store) -> NDArray[Any]:
        wanted = {
            "sensor_id": np.repeat(self.sensors, len(QUANTITIES)).tolist(),
            "quantity": list(QUANTITIES) * len(self.sensors),
            "channel": [CHANNEL] * self.series,
            "period": [60] * self.series,
        }
        return known(store, wanted)

    def rows(self, minute: int, minutes: int) -> NDArray[Any]:
        """Rows of the table `reading`, sorted by (series, start)."""
        rows = np.zeros(self.series * minutes, READING)
        rows["series"] = np.repeat(self.numbers, minutes)
        rows["start"] = BEGIN + MINUTE * (minute + np.tile(np.arange(minutes), self.series))
        rows["received_at"] = rows["start"] + MINUTE
        speed = self._is_speed(minutes)
        noise = np.random.default_rng(minute).integers(1, 30, len(rows))
        rows["value"] = np.where(speed, 40 + noise, noise)
        rows["weight"] = np.where(speed, noise, 1)
        rows["covers"] = 60
        return rows

    def batch(self, rows: NDArray[Any]) -> Batch:
        """The same rows as the batch that brings them to the store."""
        minutes = len(rows) // self.series
        sensor = np.repeat(np.arange(len(self.sensors)), minutes * len(QUANTITIES))
        columns: dict[str, pa.Array[Any]] = {name: pa.array(rows[name]) for name in READING.names or ()}
        columns |= {name: columns[name].cast(SCHEMA.field(name).type) for name in ("start", "received_at")}
        columns["sensor_id"] = words(sensor, self.sensors)
        columns["quantity"] = words(np.where(self._is_speed(minutes), 1, 0), QUANTITIES)
        columns["channel"] = words(np.zeros(len(rows), int), [CHANNEL])
        columns["period"] = pa.array(np.full(len(rows), 60, np.int32))
        return Batch(pa.RecordBatch.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA))

    def _is_speed(self, minutes: int) -> NDArray[np.bool_]:
        return np.tile(np.repeat([False, True], minutes), len(self.sensors))


def known(store: Store, wanted: Mapping[str, Any]) -> NDArray[Any]:
    """Make series known to the store, each named by sensor, quantity, channel and period; give their numbers."""
    store.rows("insert_series", **wanted)
    store.rows("set_series_heads", sensor_id=sorted(set(wanted["sensor_id"])))
    found = np.array([row[:2] for row in store.rows("find_series", **wanted)])
    numbers: NDArray[Any] = found[np.argsort(found[:, 0]), 1]
    return numbers


def fill_hours(
    store: Store, series: NDArray[Any], begin: datetime, hours: int, values: Callable[[int, int], NDArray[Any]]
) -> None:
    """
    Copy closed hours of counts into `window_1h`, hour by hour all series, and do what roll-up and autovacuum would.

    `values` gives those of so many hours from one on, a row an hour.
    """
    for first in range(0, hours, _PIECE):
        rows = _hours(series, microseconds(begin) + first * HOUR, values(first, min(_PIECE, hours - first)))
        with store.transaction() as tx:
            tx.copy("window_1h", rows)
    roll_up(store, begin + timedelta(hours=hours), grace=timedelta())
    store.alone("VACUUM window_1h")
    with store.transaction() as tx:
        tx.script("ANALYZE")


def _hours(series: NDArray[Any], begin: int, values: NDArray[Any]) -> NDArray[Any]:
    windows = np.zeros(values.size, WINDOW)
    windows["series"] = np.tile(series, len(values))
    windows["start"] = begin + HOUR * np.repeat(np.arange(len(values)), len(series))
    windows["readings"], windows["covered"] = 60, 3600
    for name in ("total", "weight", "weighted", "squares", "harmonic", "minimum", "maximum"):
        windows[name] = values.ravel()
    return windows


def words(codes: NDArray[Any], vocabulary: Sequence[str]) -> "pa.Array[Any]":
    """Give the words of a vocabulary by their codes, as a column of a batch."""
    return pa.DictionaryArray.from_arrays(codes.astype(np.int32), pa.array(list(vocabulary), pa.string()))
