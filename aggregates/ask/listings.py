"""
Lists out of the store as Arrow batches, in the order of their keys, from behind a key on: what the API gives.

Each `Listing` names its statement of `aggregates/sql/`, its columns (`aggregates.ask.columns`) and its key. Rows come
from the database a batch at a time, so that no answer is ever whole in memory. `aggregates.ask.figures` has windows
and readings of sensors, `aggregates.ask.query` the answers of the command line.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import shapely

from aggregates.areas.figures import areas, newest_vintage
from aggregates.ask.columns import schema
from aggregates.ask.query import BadQuestion
from aggregates.store.store import Store

SIZE = 5_000  # rows of a batch
Key = tuple[Any, ...]
Batches = Generator[pa.RecordBatch, None, None]


@dataclass(frozen=True, slots=True)
class Listing:
    """One kind of rows; `key` names the columns that order them, and that no two rows share."""

    statement: str
    columns: pa.Schema
    key: tuple[str, ...]

    def read(self, store: Store, after: Key | None, limit: int, view: str = "", **asked: object) -> Batches:
        """Give at most `limit` rows from the one behind `after`. Raises `aggregates.store.store.StoreError`."""
        behind = after or (None,) * len(self.key)
        asked |= {f"after_{name}": value for name, value in zip(self.key, behind, strict=True)}
        with store.transaction(snapshot=True) as tx:
            for rows in tx.stream(self.statement, view, SIZE, limit=limit, **asked):
                yield self._batch(rows)

    def _batch(self, rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
        columns = zip(*rows, strict=True)
        arrays = [pa.array(values, column.type) for column, values in zip(self.columns, columns, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=self.columns)


SENSORS = Listing(
    "list_sensors",
    schema("sensor_id source name? kind? lon? lat? lanes? inferred catalogued series quantities"),
    ("sensor_id",),
)
SERIES = Listing(
    "list_series",
    schema("sensor_id quantity channel period unit aggregation source lon? lat?"),
    ("sensor_id", "quantity", "channel", "period"),
)
AREA_WINDOWS = Listing(
    "list_area_windows",
    schema(
        "vintage code level name quantity unit start end value? estimate? minimum? maximum? readings flagged failed "
        "coverage? valid sensors valid_sensors members revision computed_at"
    ),
    ("code", "quantity", "start"),
)
LETTERS = Listing(
    "list_dead_letters",
    schema("key source topic reason count first_at last_at size payload?"),
    ("last_at", "key"),
)
ALERTS = Listing(
    "list_alerts",
    schema(
        "alert rule title subject quantity unit level severity state since until? value? worst? threshold coverage? "
        "late withdrawn raised_at cleared_at? acknowledged_at?"
    ),
    ("raised_at", "alert"),
)
AREAS = schema("vintage code level name municipality derived sensors lon? lat? statistics? geometry?")


def read_areas(
    store: Store, after: Key | None, limit: int, vintage: int | None, level: str | None, area: str | None
) -> Batches:
    """Give areas by code with their boundaries; none where no vintage is loaded. Raises `StoreError`."""
    try:
        year = vintage or newest_vintage(store)
    except BadQuestion:
        return
    found = areas(store, year, level, after[0] if after else "", limit, area)
    for at in range(0, len(found), SIZE):
        rows = found[at : at + SIZE]
        for row in rows:
            row["geometry"] = None if row["geometry"] is None else shapely.to_wkb(row["geometry"])
        yield pa.RecordBatch.from_pylist(rows, schema=AREAS)
