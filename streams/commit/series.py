"""
The number of each series in the tables, with the parameters that the quality rules need of it.

`streams.commit.pipeline` calls `SeriesCache.of` for every batch, and `check` inside its transaction. The database is
asked only for series that are not in the cache, and for all of them after the catalogue was imported again.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aggregates.store.errors import Clash
from aggregates.store.store import Store, Transaction, unnested
from ingest.vocabulary.batch import Batch, coded, numbers
from ingest.vocabulary.readings import SensorFact
from ingest.vocabulary.sources import SOURCES, source_of_sensor
from streams.commit.quality import limits_of

HELD = 10_000  # sensors that were refused, whose last fact is kept
MOST_SERIES = 2_000  # of a sensor; a site of twelve lanes with fifteen classes each has some 400
NEW_SENSOR = "new sensor: its source has registered as many within an hour as the setting new_sensors allows"
NEW_SERIES = f"new series: its sensor has {MOST_SERIES} channels, quantities and periods, no sensor has more"
_KEY = ("sensor_id", "quantity", "channel", "period")

# Of each known series: its number, its source's place in `source_names`, plausible range with its tolerance, the
# seconds that an instant of it covers (NaN: unknown), of which multiple two values must be to agree, and which of
# several values without a version counts: 1 the last received, -1 the first, 0 the greatest.
SERIES = np.dtype([("series", "i4"), ("source", "i2"), ("low", "f8"), ("high", "f8"), ("tolerance", "f8"),
                   ("interval", "f8"), ("agree", "f8"), ("repeated", "i8")])  # fmt: skip
_REPEATED = {"last": 1, "first": -1}

# No series has the greatest key, so a search for a key always ends inside the array.
_EMPTY = np.array([np.iinfo(np.int64).max]), np.zeros(1, SERIES)

_source_codes: dict[str, int] = {}


def source_code(name: str) -> int:
    """Number a source, for as long as this process lives."""
    return _source_codes.setdefault(name, len(_source_codes))


def source_names() -> list[str]:
    """The sources by their numbers."""
    return list(_source_codes)


class TooMany(Exception):  # noqa: N818 - what happened is the name
    """These rows of a batch, and facts of these sensors, are of more than may be new: nothing was written."""

    def __init__(self, why: str, rows: NDArray[np.bool_], sensors: frozenset[str] = frozenset()) -> None:
        super().__init__(why)
        self.why, self.rows, self.sensors = why, rows, sensors


class SeriesCache:
    """
    The series of all batches so far; of a source `most` sensors may be new within an hour (None: any number).

    A series is a sensor and a kind (quantity, channel and period). Both get a number in the order of their first
    appearance; the two together are one key for each series, by which numpy finds the lines of a batch.
    """

    def __init__(self, store: Store, most: int | None = None) -> None:
        self._store, self._most = store, most
        self._held: dict[str, SensorFact] = {}  # what was said of sensors that were refused, for when they are not
        self._sensors: dict[str, int] = {}
        self._kinds: dict[tuple[str, str, int], int] = {}
        self._version: int | None = None
        self._keys, self._lines = _EMPTY

    def of(self, batch: Batch) -> NDArray[Any]:
        """
        Give a line of `SERIES` for each reading of a batch, registering sensors and series that are new.

        Raises `TooMany`, and `aggregates.store.errors.StoreError`.
        """
        before = [(names, len(names)) for names in (self._sensors, self._kinds)]
        keys = self._numbered(batch.readings)
        at = np.searchsorted(self._keys, keys)
        if batch.sensors or (self._keys[at] != keys).any():
            try:
                self._load(batch, keys)
            except TooMany:
                for names, known in before:
                    while len(names) > known:
                        names.popitem()  # a flood of names shall not fill the memory
                raise
            at = np.searchsorted(self._keys, keys)
        return self._lines.take(at)

    def check(self, version: int) -> None:
        """Drop all lines where the catalogue was imported since, and raise `Clash`: what they say may have changed."""
        known, self._version = self._version, version
        if version != known:
            self._keys, self._lines = _EMPTY
            if known is not None:
                raise Clash("the catalogue was imported meanwhile")

    def _numbered(self, readings: pa.RecordBatch) -> NDArray[np.int64]:
        """Give the key of each reading's series."""
        sensor, quantity, channel = (coded(readings, name) for name in _KEY[:3])
        pair, period = quantity.codes.astype(np.int64) * len(channel.words) + channel.codes, numbers(readings, "period")
        _, rows, at = np.unique(pair << 32 | period, return_index=True, return_inverse=True)
        words = ([one.words[code] for code in one.codes[rows]] for one in (quantity, channel))
        kinds = zip(*words, period[rows].tolist(), strict=True)
        known = np.array([self._kinds.setdefault(kind, len(self._kinds)) for kind in kinds], np.int64)
        used = np.flatnonzero(np.bincount(sensor.codes))  # other words are of readings that were left out
        sensors = np.zeros(len(sensor.words), np.int64)
        sensors[used] = [self._sensors.setdefault(sensor.words[at], len(self._sensors)) for at in used.tolist()]
        return sensors.take(sensor.codes) << 32 | known.take(at)

    def _load(self, batch: Batch, keys: NDArray[np.int64]) -> None:
        with self._store.transaction() as tx:
            ((version,),) = tx.rows("read_catalogue_version")
            self.check(version)
            missing, rows = np.unique(keys, return_index=True)
            new = self._keys[np.searchsorted(self._keys, missing)] != missing
            unknown = batch.readings.take(pa.array(rows[new]))
            if facts := self._admitted(tx, batch, unknown):
                tx.rows("upsert_sensors", **unnested(facts, SensorFact.__struct_fields__))
            lines, refused = _registered(tx, unknown)
            if refused:
                raise TooMany(NEW_SERIES, np.isin(keys, missing[new][refused]))
        # Only after the commit: a transaction that was rolled back registered nothing.
        for fact in facts:
            self._held.pop(fact.sensor_id, None)
        at = np.searchsorted(self._keys, missing[new])
        self._lines = np.insert(self._lines, at, lines)
        self._keys = np.insert(self._keys, at, missing[new])

    def _admitted(self, tx: Transaction, batch: Batch, unknown: pa.RecordBatch) -> list[SensorFact]:
        """Give the last fact about each sensor (a statement may touch a row once); raises TooMany."""
        facts = {fact.sensor_id: fact for fact in batch.sensors}
        if self._most is None:
            return list(facts.values())
        named = list(dict.fromkeys([*facts, *unknown.column("sensor_id").to_pylist()]))
        if refused := frozenset(one for (one,) in tx.rows("refuse_sensors", sensor_id=named, most=self._most)):
            self._held |= {name: fact for name, fact in facts.items() if name in refused}
            for oldest in list(self._held)[:-HELD]:
                del self._held[oldest]
            rows = coded(batch.readings, "sensor_id").each(refused.__contains__, bool)
            raise TooMany(NEW_SENSOR, rows, refused)
        return list(({name: self._held[name] for name in named if name in self._held} | facts).values())


def _registered(tx: Transaction, readings: pa.RecordBatch) -> tuple[NDArray[Any], list[int]]:
    """Give the lines of readings of distinct series, registering new ones; or the places of those that are too many."""
    wanted = {name: readings.column(name).to_pylist() for name in _KEY}
    if not len(readings):
        return np.empty(0, SERIES), []
    tx.rows("use_indexes")
    found = tx.rows("find_series", **wanted)
    if len(found) < len(readings):
        new = sorted(set(range(len(readings))) - {nr - 1 for nr, *_ in found})
        named = [wanted["sensor_id"][at] for at in new]
        if full := {sensor_id for (sensor_id,) in tx.rows("list_full_sensors", sensor_id=named, most=MOST_SERIES)}:
            return np.empty(0, SERIES), [at for at in new if wanted["sensor_id"][at] in full]
        sensors = list(dict.fromkeys(named))
        tx.rows("lock_sensors", sensor_id=sensors)
        tx.rows("insert_series", **{name: [column[at] for at in new] for name, column in wanted.items()})
        tx.rows("set_series_heads", sensor_id=sensors)
        found = tx.rows("find_series", **wanted)
    keys = list(zip(wanted["sensor_id"], wanted["quantity"], strict=True))
    return np.array([_line(*keys[nr - 1], *line) for nr, *line in sorted(found)], SERIES), []


def _line(
    sensor_id: str, quantity: str, series: int, interval: float | None, overrides: dict[str, Any] | None
) -> tuple[Any, ...]:
    limits = limits_of(quantity, overrides)
    name = source_of_sensor(sensor_id)
    source = SOURCES.get(name)
    covers = interval if interval is not None else source.interval if source else None
    repeated = _REPEATED.get(source.repeated, 0) if source else 0
    range_ = limits.low, limits.high, limits.tolerance
    return series, source_code(name), *range_, np.nan if covers is None else covers, limits.agree, repeated
