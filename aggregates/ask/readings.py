"""
The readings themselves, as they are stored, with flags and status in words.

The API and the exports ask for them; `aggregates.ask.query` has the aggregates.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aggregates.ask.dates import local, zone_of
from aggregates.ask.series import (
    BadQuestion,
    Box,
    ChosenSeries,
    Cursor,
    check_box,
    check_range,
    choose_series,
    nullable,
    pieces,
    stamps,
    statuses,
)
from aggregates.store.store import Store
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import Flag

USUAL = 60.0  # s between readings of a series, where nothing is known


@dataclass(frozen=True, slots=True)
class Readings:
    """
    Readings whose start lies in `[first, last)`.

    Of one quantity or all; `sensor` is one, several, or None for all; `box` chooses those that stand in it (west,
    south, east, north, degrees). Raises BadQuestion at birth.
    """

    first: datetime
    last: datetime
    quantity: str | None = None
    sensor: str | tuple[str, ...] | None = None
    box: Box | None = None

    def __post_init__(self) -> None:
        if self.quantity is not None and self.quantity not in QUANTITIES:
            raise BadQuestion(f"quantity {self.quantity!r}, expected one of {', '.join(QUANTITIES)}")
        check_range(self.first, self.last)
        check_box(self.box)


def readings(
    store: Store, question: Readings, *, after: Cursor | None = None, limit: int | None = None
) -> Iterator[pa.Table]:
    """
    Answer in tables of about 100,000 readings, at least one, all of one state of the database.

    Columns: sensor_id, channel, quantity, unit (dictionaries), start, end (UTC; an instant ends when it starts), value
    (in that unit; null: nothing to measure or failed), weight, covers (s), flags (names with a blank between them,
    empty for none), status (provisional or validated), version (the supplier's publication stamp or null), received_at,
    local_start (in the hub's zone, with its offset), series (its number in the store). Sorted by sensor_id, channel,
    quantity, period and start. Raises BadQuestion for a cursor of another question, and
    `aggregates.store.store.StoreError`.
    """
    with store.transaction(snapshot=True) as tx:
        zone = zone_of(tx)
        chosen = choose_series(tx, quantity=question.quantity, sensor=question.sensor, channels=True, box=question.box)

        def fetch(series: NDArray[np.int32]) -> NDArray[Any]:
            return tx.numbers(
                "ask_readings", READ, by=MONTH, series=series.tolist(), first=question.first, last=question.last
            )

        expected, nothing = (question.last - question.first).total_seconds() / USUAL, np.empty(0, READ)
        for rows in pieces(chosen, fetch, nothing, expected, after, limit):
            yield _table(rows, chosen, zone)


MONTH = "date_bin('28 days', v.start, 'epoch')"  # what one value holds: it has at most 1 GB
READ = np.dtype([
    ("series", "i4"), ("start", "i8"), ("value", "f8"), ("weight", "f8"), ("covers", "f8"), ("flags", "i4"),
    ("status", "i2"), ("version", "i8"), ("received_at", "i8"),
])  # fmt: skip


def _table(rows: NDArray[Any], chosen: ChosenSeries, zone: str) -> pa.Table:
    columns: dict[str, pa.Array[Any]] = dict(chosen.words(rows["series"]))
    ends = rows["start"] + chosen.periods(rows["series"]).astype(np.int64) * 1_000_000
    columns |= {"start": stamps(rows["start"]), "end": stamps(ends)}
    columns |= {name: nullable(rows[name]) for name in ("value", "weight", "covers")}
    columns |= {"flags": _named(rows["flags"]), "status": statuses(rows["status"])}
    columns["version"] = stamps(np.ma.masked_equal(rows["version"], 0))
    columns |= {"received_at": stamps(rows["received_at"]), "series": pa.array(rows["series"])}
    return pa.table(columns).append_column("local_start", local(columns["start"], zone))


def _named(flags: NDArray[np.int32]) -> "pa.Array[Any]":
    """What flags are called, as `spike ambiguous`."""
    known, codes = np.unique(flags, return_inverse=True)
    names = [" ".join(str(flag.name).lower() for flag in Flag if flag & number) for number in known.tolist()]
    return pa.DictionaryArray.from_arrays(codes.astype(np.int32), pa.array(names, pa.string()))
