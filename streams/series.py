"""
Which series is which: the words of a batch to the numbers of the tables, with what the quality rules need of each.

`streams.pipeline` asks here for every batch; the database is asked only for series not met before, and again for all
after the catalogue was imported anew.
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aggregates.store import Store, Transaction, unnested
from ingest.batch import Batch, coded, numbers
from ingest.quantities import QUANTITIES
from ingest.readings import SensorFact
from ingest.sources import SOURCES, source_of_sensor
from streams.quality import Limits

_KEY = ("sensor_id", "quantity", "channel", "period")
Key = tuple[str, str, str, int]

# Of each known series: its number, its source's place in `source_names`, plausible range, and the seconds that an
# instant of it covers (NaN: unknown).
SERIES = np.dtype([("series", "i4"), ("source", "i2"), ("low", "f8"), ("high", "f8"), ("interval", "f8")])

_source_codes: dict[str, int] = {}


def source_code(name: str) -> int:
    """Number a source, for as long as this process lives."""
    return _source_codes.setdefault(name, len(_source_codes))


def source_names() -> list[str]:
    """The sources by their numbers."""
    return list(_source_codes)


class SeriesBook:
    """The series met so far."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[Key, int] = {}
        self._lines = np.empty(0, SERIES)
        self._version: int | None = None

    def of(self, batch: Batch) -> NDArray[Any]:
        """
        Give a line of `SERIES` for each reading of a batch, registering sensors and series that are new.

        Raises `aggregates.store.StoreError`.
        """
        keys, row_key = _keys(batch.readings)
        with self._store.transaction() as tx:
            self._forget_if_imported(tx)
            if batch.sensors:
                tx.rows("know_sensors", **unnested(_merged(batch.sensors), SensorFact.__struct_fields__))
            at = self._places(keys)
            missing = [keys[place] for place in np.flatnonzero(at < 0)]
            learned = self._learned(tx, missing) if missing else {}
        if learned:  # after the commit: numbers that were rolled back belong to nobody
            self._remember(learned)
            at = self._places(keys)
        lines: NDArray[Any] = self._lines[at[row_key]]
        return lines

    def _places(self, keys: Sequence[Key]) -> NDArray[np.int64]:
        """Where the line of each key stands, -1 where it is not known."""
        known = self._known
        return np.array([known.get(key, -1) for key in keys], dtype=np.int64)

    def _forget_if_imported(self, tx: Transaction) -> None:
        ((version,),) = tx.rows("catalogue_version")
        if version != self._version:
            self._known.clear()
            self._lines = np.empty(0, SERIES)
            self._version = version

    def _learned(self, tx: Transaction, keys: Sequence[Key]) -> dict[Key, tuple[Any, ...]]:
        wanted = dict(zip(_KEY, map(list, zip(*keys, strict=True)), strict=True))
        found = tx.rows("find_series", **wanted)
        if len(found) < len(keys):
            tx.rows("lock_sensors", sensor_id=wanted["sensor_id"])
            tx.rows("know_series", **wanted)
            tx.rows("mark_alone", sensor_id=wanted["sensor_id"])
            found = tx.rows("find_series", **wanted)
        return {keys[nr - 1]: _line(keys[nr - 1], *line) for nr, *line in found}

    def _remember(self, learned: dict[Key, tuple[Any, ...]]) -> None:
        start = len(self._lines)
        self._lines = np.concatenate([self._lines, np.array(list(learned.values()), SERIES)])
        self._known.update((key, start + at) for at, key in enumerate(learned))


def _line(key: Key, series: int, interval: float | None, overrides: dict[str, Any] | None) -> tuple[Any, ...]:
    limits = Limits.of(QUANTITIES[key[1]], overrides)
    source = SOURCES.get(source_of_sensor(key[0]))
    covers = interval if interval is not None else source.interval if source else None
    return series, source_code(source_of_sensor(key[0])), limits.low, limits.high, np.nan if covers is None else covers


def _merged(facts: Sequence[SensorFact]) -> list[SensorFact]:
    """The last fact about each sensor: one statement may touch a row once."""
    return list({fact.sensor_id: fact for fact in facts}.values())


def _keys(readings: pa.RecordBatch) -> tuple[list[Key], NDArray[np.int64]]:
    """The distinct series of a batch, and for each reading which of them it belongs to."""
    columns = [coded(readings, name) for name in ("sensor_id", "quantity", "channel")]
    periods, period_codes = np.unique(numbers(readings, "period"), return_inverse=True)
    codes = [codes for codes, _ in columns] + [period_codes]
    sizes = [max(1, len(words)) for _, words in columns] + [max(1, len(periods))]
    combined = np.ravel_multi_index([code.astype(np.int64) for code in codes], sizes)
    distinct, row_key = np.unique(combined, return_inverse=True)
    places = (at.tolist() for at in np.unravel_index(distinct, sizes))
    words: list[list[Any]] = [*(words for _, words in columns), periods.tolist()]
    keys = zip(*(map(known.__getitem__, at) for known, at in zip(words, places, strict=True)), strict=True)
    return cast("list[Key]", list(keys)), row_key
