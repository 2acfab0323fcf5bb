"""
Readings of a city's counters over any time: two lanes a sensor, a count and a speed each, with the shape of a day.

Every value follows from its sensor and step, so that any piece can be made by itself. One reading in `HELD_BACK` is
left out at first: `late` gives those of an hour, `corrected` others of that hour again with another value.
"""

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store
from ingest.files.catalogue import Entry
from ingest.vocabulary.batch import SCHEMA, Batch
from ingest.vocabulary.readings import microseconds
from lab.load.traffic import known, words

SECOND = 1_000_000  # us
HOUR = 3600  # s
HELD_BACK = 97
BEYOND = 500  # added to a count that is corrected: always another one
APART = 0.001  # degrees from one sensor to the next, on a line from west to east
QUANTITIES, CHANNELS = ("vehicle_count", "vehicle_speed"), ("lane1/any", "lane2/any")
OWN = len(QUANTITIES) * len(CHANNELS)  # series of a sensor
_TEXTS = {"sensor_id", "quantity", "channel"}


class History:
    """`series` in all, four a sensor, known to the store; a step is `period` s long, and step 0 begins at `begin`."""

    def __init__(self, store: Store, series: int, period: int, begin: datetime) -> None:
        self.sensors = [f"stadspuls/soak-{number:06d}" for number in range(max(1, series // OWN))]
        self.period, self.begin = period, microseconds(begin)
        import_sensors(store, [Entry(name, lon=3.5 + at % 3000 * APART, lat=52.0 + at // 3000 * APART, lanes=2)
                               for at, name in enumerate(self.sensors)])  # fmt: skip
        known(store, {
            "sensor_id": np.repeat(self.sensors, OWN).tolist(), "period": [period] * (OWN * len(self.sensors)),
            "quantity": np.repeat(QUANTITIES, len(CHANNELS)).tolist() * len(self.sensors),
            "channel": list(CHANNELS) * len(QUANTITIES) * len(self.sensors),
        })  # fmt: skip

    @property
    def series(self) -> int:
        """How many there are."""
        return OWN * len(self.sensors)

    def whole(self, first: int, steps: int, sensors: range) -> Batch:
        """Give all readings of some steps and sensors, but those held back."""
        step, sensor = _grid(first, steps, sensors)
        chosen = ~_is_held_back(step, sensor)
        return self._batch(step[chosen], sensor[chosen])

    def late(self, first: int, steps: int, sensors: range) -> Batch:
        """Give those held back."""
        step, sensor = _grid(first, steps, sensors)
        chosen = _is_held_back(step, sensor)
        return self._batch(step[chosen], sensor[chosen])

    def corrected(self, first: int, steps: int, sensors: range) -> Batch:
        """Give the neighbours of those held back again: a newer version, and of counts another value."""
        step, sensor = _grid(first, steps, sensors)
        chosen = _is_held_back(step + 1, sensor)
        return self._batch(step[chosen], sensor[chosen], version=1)

    def _batch(self, step: NDArray[np.int64], sensor: NDArray[np.int64], version: int = 0) -> Batch:
        """Make the readings of each pair of step and sensor, in the order of series and start."""
        count = OWN * len(step)
        step, sensor, kind = np.tile(step, OWN), np.tile(sensor, OWN), np.repeat(np.arange(OWN), len(step))
        order = np.lexsort((step, kind, sensor))
        step, sensor, kind = step[order], sensor[order], kind[order]
        lane, is_speed = kind % len(CHANNELS), kind >= len(CHANNELS)
        start = self.begin + step * self.period * SECOND
        vehicles = self._vehicles(start, sensor, lane)
        columns: dict[str, NDArray[Any]] = {
            "sensor_id": sensor, "quantity": is_speed, "channel": lane, "start": start,
            "period": np.full(count, self.period), "weight": np.where(is_speed, vehicles, 1),
            "value": np.where(is_speed, np.where(vehicles, 60 - 0.2 * vehicles + _noise(step, sensor, 7), np.nan),
                              vehicles + BEYOND * version),
            "covers": np.full(count, self.period), "received_at": start + (self.period + 1) * SECOND,
            "version": np.full(count, version), "status": np.ones(count), "flags": np.zeros(count),
        }  # fmt: skip
        vocabulary = {"sensor_id": self.sensors, "quantity": QUANTITIES, "channel": CHANNELS}
        arrays = [
            words(columns[name], vocabulary[name]) if name in _TEXTS
            else pa.array(columns[name], from_pandas=True).cast(SCHEMA.field(name).type)
            for name in SCHEMA.names
        ]  # fmt: skip
        return Batch(pa.RecordBatch.from_arrays(arrays, schema=SCHEMA))

    def _vehicles(
        self, start: NDArray[np.int64], sensor: NDArray[np.int64], lane: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Count more by day than by night, more of a busy sensor than of a quiet one, and in lane 1."""
        hour = start / SECOND / HOUR % 24
        busy = 0.08 + np.exp(-((hour - 7.5) ** 2) / 4) + np.exp(-((hour - 16) ** 2) / 8)
        expected = busy * (1 + sensor % 7) * (2 - lane) * self.period / 60
        return np.asarray(np.floor(expected * (0.5 + _noise(start, sensor + lane, 1)) + _noise(start, sensor, 1)))


def _grid(first: int, steps: int, sensors: range) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.tile(np.arange(first, first + steps), len(sensors)), np.repeat(np.asarray(sensors), steps)


def _is_held_back(step: NDArray[np.int64], sensor: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.asarray((step + 13 * sensor) % HELD_BACK == 0)


def _noise(one: NDArray[np.int64], other: NDArray[np.int64], most: float) -> NDArray[np.float64]:
    """
    Give a number from 0 to `most` for each pair, the same each time.

    >>> pairs = np.arange(1000), np.arange(1000)[::-1]
    >>> bool(abs(_noise(*pairs, 1).mean() - 0.5) < 0.05)
    True
    """
    mixed = (one.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) ^ (
        other.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    )
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return np.asarray((mixed >> np.uint64(40)) / float(1 << 24) * most)
