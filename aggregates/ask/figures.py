"""
Windows and readings of sensors as the API lists them: of several quantities, by any filter, with places.

`aggregates.ask.query` and `aggregates.ask.rawreadings` fetch them a quantity at a time; `aggregates.ask.listings` has
other lists.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from aggregates.ask.chosen import Cursor
from aggregates.ask.columns import COLUMNS, schema
from aggregates.ask.listings import SIZE, Batches, Key
from aggregates.ask.query import Question, tables
from aggregates.ask.rawreadings import Readings, readings
from aggregates.store.store import Store
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import microseconds

WINDOWS = schema(
    "sensor_id channel quantity unit start end value? estimate? minimum? maximum? readings nothing flagged failed "
    "warned coverage? valid revision status lon? lat?"
)
READINGS = schema(
    "sensor_id channel quantity period unit start end value? weight covers? flags status version? received_at"
)
KEY = ("quantity", "series", "start")

Places = Mapping[str, tuple[float | None, float | None]]


def read_windows(
    store: Store, after: Key | None, limit: int, *, first: datetime, last: datetime, window: str, channels: bool,
    quantities: Sequence[str] | None, coverage: float | None, valid: bool | None, **scope: Any,
) -> Batches:  # fmt: skip
    """Give windows by quantity, sensor, channel and start, each with the place of its sensor. Raises `StoreError`."""
    places, sensors = _places(store, scope)
    if first >= last or not places:
        return
    area = {"area": scope["area"], "vintage": scope["vintage"], "members": scope["area"] is not None}
    for quantity, behind in _turns(quantities or list(QUANTITIES), after):
        named = str(quantity)
        question = Question(named, first, last, window, sensors, channels, coverage=coverage or 0.0, **area)
        most = limit if valid is None else None
        for table in tables(store, question, after=behind, limit=most):
            kept = table if valid is None else table.filter(pc.equal(table["valid"], pa.scalar(valid)))
            for batch in _batches(kept, WINDOWS, places):
                limit -= batch.num_rows
                yield batch
        if limit <= 0:
            return


def read_readings(
    store: Store, after: Key | None, limit: int, *, first: datetime, last: datetime, quantities: Sequence[str] | None,
    **scope: Any,
) -> Batches:  # fmt: skip
    """Give readings, of several quantities one after the other, by sensor, channel and start. Raises `StoreError`."""
    places, sensors = _places(store, scope)
    if first >= last or not places:
        return
    for quantity, behind in _turns(quantities or [None], after):
        for table in readings(store, Readings(first, last, quantity, sensors), after=behind, limit=limit):
            for batch in _batches(table, READINGS, places):
                limit -= batch.num_rows
                yield batch
        if limit <= 0:
            return


def _places(store: Store, scope: Mapping[str, Any]) -> tuple[Places, tuple[str, ...] | None]:
    """Find the sensors that are asked for, with their places; as None where all are."""
    places = {sensor: (lon, lat) for sensor, lon, lat in store.rows("list_sensor_places", **scope)}
    chosen = any(scope[name] is not None for name in ("source", "sensors", "west", "area"))
    return places, tuple(places) if chosen else None


def _turns(quantities: Sequence[str | None], after: Key | None) -> Iterator[tuple[str | None, str]]:
    """Go through quantities in order, from where a page ended; each with the cursor behind which it goes on."""
    for quantity in sorted(quantities, key=str):
        if after is None or (quantity is not None and quantity > after[0]):
            yield quantity, ""
        elif quantity is None or quantity == after[0]:
            yield quantity, str(Cursor(after[1], microseconds(after[2])))


def _batches(table: pa.Table, columns: pa.Schema, places: Places) -> Iterator[pa.RecordBatch]:
    """Cut a table in batches of these columns, and of the number of the series."""
    wanted = columns.append(pa.field("series", COLUMNS["series"][0]))
    for at in range(0, table.num_rows, SIZE):
        part = table.slice(at, SIZE)
        made = {name: _column(part, name, places) for name in wanted.names}
        yield pa.table(made).cast(wanted).combine_chunks().to_batches()[0]


def _column(table: pa.Table, name: str, places: Places) -> Any:
    if name in ("lon", "lat"):
        sensors = table["sensor_id"].to_pylist()
        return pa.array([places[str(sensor)][name == "lat"] for sensor in sensors], pa.float64())
    if name == "period":
        return pc.divide(pc.subtract(table["end"], table["start"]).cast(pa.int64()), 1_000_000)
    if name == "flags":
        return pa.array([str(flags).split() for flags in table["flags"].to_pylist()], COLUMNS["flags"][0])
    return table[name]
