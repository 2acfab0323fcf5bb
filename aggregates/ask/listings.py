"""
Lists as Arrow batches for the API, in the order of their keys, each from behind a key on.

`listings.toml` names columns and key of each list, `columns.toml` has type and meaning of every column, once; the API's
document, its JSON, Parquet and Arrow follow from these. Rows come from the database a batch at a time, so that no
answer is ever whole in memory. Windows and readings of sensors are those of `aggregates.ask.query`, a quantity at a
time, with the places of their sensors; windows of areas have measures of CBS of the same vintage beside them, in one
flat table.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from aggregates.areas.measures import MEASURES
from aggregates.ask.areas import WORDS, area_windows, newest_vintage
from aggregates.ask.dates import BadQuestion, zone_of
from aggregates.ask.query import Question, tables
from aggregates.ask.series import STAMP, Cursor, nullable, with_dates
from aggregates.store.store import Store, Transaction
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import microseconds
from ingest.vocabulary.values import shipped_toml

SIZE = 5_000  # rows of a batch
EVERYTHING = 1_000_000_000  # rows: no limit
Key = tuple[Any, ...]
Batches = Generator[pa.RecordBatch, None, None]

TEXT, NUMBER = pa.string(), pa.float64()
TYPES: Mapping[str, pa.DataType] = {
    "text": TEXT, "number": NUMBER, "count": pa.int64(), "yes_or_no": pa.bool_(), "bytes": pa.binary(), "stamp": STAMP,
    "date": pa.date32(), "many": WORDS, "statistics": pa.struct([pa.field(name, NUMBER) for name in MEASURES]),
}  # fmt: skip

COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    name: (TYPES[kind], meaning)
    for kind, known in shipped_toml(__file__, "columns.toml").items()
    for name, meaning in known.items()
}
for _one in MEASURES.values():
    COLUMNS[_one.name] = NUMBER, f"{_one.title}, in {_one.unit}; null: see {_one.name}_reason"
    COLUMNS[f"{_one.name}_reason"] = TEXT, f"why {_one.name} has no number, or what CBS says of it"
BESIDE = tuple(f"{name}{part}" for name in MEASURES for part in ("", "_reason"))  # columns, two of each measure


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
        """Yield at most `limit` rows from the one behind `after`. Raises `aggregates.store.errors.StoreError`."""
        with store.transaction(snapshot=True) as tx:
            yield from self.stream(tx, after, limit, view, **asked)

    def stream(self, tx: Transaction, after: Key | None, limit: int, view: str = "", **asked: object) -> Batches:
        """Do so in an open transaction."""
        behind = after or (None,) * len(self.key)
        asked |= {f"after_{name}": value for name, value in zip(self.key, behind, strict=True)}
        for rows in tx.stream(self.statement, view, SIZE, limit=limit, **asked):
            columns = zip(self.columns, zip(*rows, strict=True), strict=True)
            arrays = [pa.array(values, column.type) for column, values in columns]
            yield pa.RecordBatch.from_arrays(arrays, schema=self.columns)


LISTS: Mapping[str, Listing] = {
    name: Listing(f"list_{name}", schema(one["columns"]), tuple(one["key"].split()))
    for name, one in shipped_toml(__file__, "listings.toml").items()
}


def areas(store: Store, vintage: int | None, level: str | None = None, area: str | None = None) -> pa.Table:
    """Give the areas of a vintage (None: the newest), all or those of a level, or of an area and what lies in it."""
    found = read_areas(store, None, EVERYTHING, vintage=vintage, level=level, area=area)
    return pa.Table.from_batches(found, LISTS["areas"].columns)


def read_areas(
    store: Store, after: Key | None, limit: int, *, vintage: int | None, level: str | None, area: str | None,
    areas: Sequence[str] | None = None, **_: object,
) -> Batches:  # fmt: skip
    """
    Yield areas of a vintage, None the newest, by code with their boundaries, and a point that certainly lies in each.

    `area` is the code of one: it and all that lie in it; `areas` are those of areas alone. Raises `StoreError`.
    """
    for found in LISTS["areas"].read(store, after, limit, vintage=vintage, level=level, area=area, codes=areas):
        shapes = shapely.from_wkb(np.array(found["geometry"].to_pylist(), dtype=object))
        points = shapely.point_on_surface(shapes)
        for name, degrees in (("lon", shapely.get_x(points)), ("lat", shapely.get_y(points))):
            at = found.schema.get_field_index(name)
            found = found.set_column(at, found.schema.field(at), nullable(degrees.round(6)))
        yield found


def read_area_figures(
    store: Store, after: Key | None, limit: int, *, areas: Sequence[str] | None, measures: Sequence[str] | None,
    shapes: bool | None, **asked: Any,
) -> Batches:  # fmt: skip
    """Yield the rows of the list `area_windows` and what `joined` puts beside them: none without areas."""
    page = None if limit >= EVERYTHING and not after else (after, limit)
    try:
        found = joined(store, measures=measures or (), shapes=bool(shapes), page=page, codes=areas, **asked)
    except BadQuestion:
        return
    yield from found.to_batches(SIZE)


def joined(
    store: Store, *, window: str, vintage: int | None, measures: Sequence[str] = (), shapes: bool = False, **scope: Any
) -> pa.Table:
    """
    Give windows of areas with date, local time and the measures of the area, and its boundary where it is asked for.

    A measure is a column `<measure>` and a column `<measure>_reason`: why it has no number, or what is said of it.
    `scope` is that of `aggregates.ask.areas.area_windows`. Without a vintage: the newest that is loaded; raises
    BadQuestion where none is, and `StoreError`.
    """
    with store.transaction(snapshot=True) as tx:
        year = vintage or newest_vintage(tx)
        windows = area_windows(tx, window, year, **scope)
        table = with_dates(windows.select(LISTS["area_windows"].columns.names), zone_of(tx), window)
        return with_measures(tx, table, measures, shapes=shapes)


def with_measures(tx: Store | Transaction, table: pa.Table, measures: Sequence[str], *, shapes: bool) -> pa.Table:
    """Put measures beside rows with the `code` of an area and a `vintage`, the same in all, as `joined` does."""
    codes = table["code"].cast(pa.string())
    asked = {"vintage": pc.max(table["vintage"]).as_py(), "codes": codes.unique().to_pylist(), "shapes": shapes}
    rows = tx.rows("list_area_measures", measures=list(measures), **asked)
    at = pc.index_in(codes, value_set=pa.array([row[0] for row in rows], pa.string()))
    for place, measure in enumerate(measures):
        for name, kind, part in ((measure, pa.float64(), 1), (f"{measure}_reason", pa.string(), 2)):
            table = table.append_column(name, pa.array([row[part][place] for row in rows], kind).take(at))
    if shapes:
        table = table.append_column("geometry", pa.array([row[3] for row in rows], pa.binary()).take(at))
    return table


def read_series(
    store: Store, after: Key | None, limit: int, *, first: datetime, last: datetime, window: str,
    quantities: Sequence[str] | None, **scope: Any,
) -> Batches:  # fmt: skip
    """
    Yield the rows of `windows`, or of `readings` where the window is empty.

    A quantity after the other, by sensor, channel and start. Each row has the place of its sensor. Raises `StoreError`.
    """
    columns = LISTS["windows" if window else "readings"].columns
    for quantity, behind in _by_quantity(quantities or (list(QUANTITIES) if window else [None]), after):
        if first >= last or limit <= 0:
            return
        asked = Question.of(quantity, first, last, window, **scope)
        for table in tables(store, asked, after=behind, limit=limit, places=True):
            for batch in _batches(table, columns):
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
        part = pa.table({name: _column(table.slice(at, SIZE), name) for name in wanted.names})
        yield from part.cast(wanted).combine_chunks().to_batches()


def _column(table: pa.Table, name: str) -> Any:
    if name == "period":
        return pc.divide(pc.subtract(table["end"], table["start"]).cast(pa.int64()), 1_000_000)
    if name == "flags":
        return pa.array([str(flags).split() for flags in table["flags"].to_pylist()], COLUMNS["flags"][0])
    return table[name]
