"""
Lists as Arrow batches for the API, in the order of their keys, each from behind a key on.

`listings.toml` names columns and key of each list, `columns.toml` has type and meaning of every column, once; the API's
document, its JSON, Parquet and Arrow follow from these. Rows come from the database a batch at a time, so that no
answer is ever whole in memory. Windows and readings of sensors are those of `aggregates.ask.query`, a quantity at a
time, with the places of their sensors.
"""

import tomllib
from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import shapely

from aggregates.areas.measures import MEASURES
from aggregates.ask.areas import areas, newest_vintage
from aggregates.ask.query import BadQuestion, Question, tables
from aggregates.ask.series import Cursor
from aggregates.store.store import Store
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import microseconds

SIZE = 5_000  # rows of a batch
Key = tuple[Any, ...]
Batches = Generator[pa.RecordBatch, None, None]

TEXT, NUMBER, COUNT, YES_OR_NO, BYTES = pa.string(), pa.float64(), pa.int64(), pa.bool_(), pa.binary()
STAMP, DATE = pa.timestamp("us", "UTC"), pa.date32()
MANY = pa.list_(pa.field("item", TEXT, nullable=False))
STATISTICS = pa.struct([pa.field(name, NUMBER) for name in MEASURES])
_TYPES: Mapping[str, pa.DataType] = {
    "text": TEXT, "number": NUMBER, "count": COUNT, "yes_or_no": YES_OR_NO, "bytes": BYTES, "stamp": STAMP,
    "date": DATE, "many": MANY, "statistics": STATISTICS,
}  # fmt: skip


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(files("aggregates.ask").joinpath(name).read_text("utf-8"))


COLUMNS: Mapping[str, tuple[pa.DataType, str]] = {
    name: (_TYPES[kind], meaning) for kind, known in _read("columns.toml").items() for name, meaning in known.items()
}


def schema(names: str) -> pa.Schema:
    """
    Make a schema of named columns; a name that ends in `?` may be null.

    >>> [(field.name, field.nullable) for field in schema("code name?")]
    [('code', False), ('name', True)]
    """
    return pa.schema([_field(name) for name in names.split()])


def _field(word: str) -> "pa.Field[Any]":
    name = word.rstrip("?")
    kind, meaning = COLUMNS[name]
    return pa.field(name, kind, nullable=word.endswith("?"), metadata={"description": meaning})


class Listing(NamedTuple):
    """One kind of rows; `key` names the columns that order them, and that no two rows share."""

    statement: str
    columns: pa.Schema
    key: tuple[str, ...]

    def read(self, store: Store, after: Key | None, limit: int, view: str = "", **asked: object) -> Batches:
        """Yield at most `limit` rows from the one behind `after`. Raises `aggregates.store.store.StoreError`."""
        behind = after or (None,) * len(self.key)
        asked |= {f"after_{name}": value for name, value in zip(self.key, behind, strict=True)}
        with store.transaction(snapshot=True) as tx:
            for rows in tx.stream(self.statement, view, SIZE, limit=limit, **asked):
                yield self._batch(rows)

    def _batch(self, rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
        columns = zip(*rows, strict=True)
        arrays = [pa.array(values, column.type) for column, values in zip(self.columns, columns, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=self.columns)


LISTS: Mapping[str, Listing] = {
    name: Listing(f"list_{name}", schema(one["columns"]), tuple(one["key"].split()))
    for name, one in _read("listings.toml").items()
}


def read_areas(
    store: Store, after: Key | None, limit: int, *, vintage: int | None, level: str | None, area: str | None,
    **_: object,
) -> Batches:  # fmt: skip
    """Yield areas by code with their boundaries; none where no vintage is loaded. Raises `StoreError`."""
    try:
        year = vintage or newest_vintage(store)
    except BadQuestion:
        return
    found = areas(store, year, level, after[0] if after else "", limit, area)
    for at in range(0, len(found), SIZE):
        rows = found[at : at + SIZE]
        for row in rows:
            row["geometry"] = None if row["geometry"] is None else shapely.to_wkb(row["geometry"])
        yield pa.RecordBatch.from_pylist(rows, schema=LISTS["areas"].columns)


def read_series(
    store: Store, after: Key | None, limit: int, *, first: datetime, last: datetime, window: str,
    quantities: Sequence[str] | None, source: str | None, sensors: Sequence[str] | None, area: str | None,
    vintage: int | None, channels: bool = False, coverage: float | None = None, valid: bool | None = None,
    **sides: Any,
) -> Batches:  # fmt: skip
    """
    Yield the rows of `windows`, or of `readings` where the window is empty.

    A quantity after the other, by sensor, channel and start. Each row has the place of its sensor. Raises `StoreError`.
    """
    columns = LISTS["windows" if window else "readings"].columns
    box = tuple(sides[side] for side in ("west", "south", "east", "north"))
    scope: dict[str, Any] = {"area": area, "vintage": vintage, "members": area is not None, "source": source}
    scope |= {"sensor": None if sensors is None else tuple(sensors), "box": None if None in box else box}
    for quantity, behind in _by_quantity(quantities or (list(QUANTITIES) if window else [None]), after):
        if first >= last or limit <= 0:
            return
        asked = Question(quantity, first, last, window, channels=channels, coverage=coverage or 0.0, **scope)
        most = limit if valid is None else None
        for table in tables(store, asked, after=behind, limit=most, places=True):
            kept = table if valid is None else table.filter(pc.equal(table["valid"], pa.scalar(valid)))
            for batch in _batches(kept, columns):
                limit -= batch.num_rows
                yield batch


def _by_quantity(quantities: Sequence[str | None], after: Key | None) -> Iterator[tuple[str | None, Cursor | None]]:
    """Yield the quantities in order, from the one where a page ended, each with the cursor where it continues."""
    for quantity in sorted(quantities, key=str):
        if after is None or (quantity is not None and quantity > after[0]):
            yield quantity, None
        elif quantity is None or quantity == after[0]:
            yield quantity, Cursor(after[1], microseconds(after[2]))


def _batches(table: pa.Table, columns: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Cut a table in batches of these columns, and of the number of the series."""
    wanted = columns.append(pa.field("series", COLUMNS["series"][0]))
    for at in range(0, table.num_rows, SIZE):
        part = table.slice(at, SIZE)
        yield (
            pa.table({name: _column(part, name) for name in wanted.names}).cast(wanted).combine_chunks().to_batches()[0]
        )


def _column(table: pa.Table, name: str) -> Any:
    if name == "period":
        return pc.divide(pc.subtract(table["end"], table["start"]).cast(pa.int64()), 1_000_000)
    if name == "flags":
        return pa.array([str(flags).split() for flags in table["flags"].to_pylist()], COLUMNS["flags"][0])
    return table[name]
