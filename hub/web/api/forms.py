"""
The forms of an answer: JSON, GeoJSON, CSV, Parquet and Arrow, chosen by `Accept` and written batch by batch.

Each writer takes `hub.web.api.paging.Rows` and a file; none holds more than some batches. In CSV, Parquet and Arrow an
object becomes a column for each of its members (`statistics.density`), and a list in CSV words with blanks between.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import RawIOBase
from typing import IO, Any, cast

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import shapely

from hub.web.api.paging import Rows

GROUP = 50_000  # rows of a row group of Parquet
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"


@dataclass(frozen=True, slots=True)
class Form:
    """One form; `bulk` is for machines, which want all rows at once."""

    name: str
    media: str
    write: Callable[[Rows, IO[bytes]], None]
    bulk: bool = False
    geographic: bool = False


def chosen(accept: str, offered: Sequence[Form]) -> Form | None:
    """
    Choose the form that the header wants most (RFC 9110, 12.5.1); without one the first.

    >>> chosen("text/html, text/csv;q=0.9, */*;q=0.1", FORMS).name
    'csv'
    >>> chosen("image/png", FORMS) is None
    True
    """
    ranges = [_range(part) for part in (accept or "*/*").split(",") if part.strip()]
    best = max(offered, key=lambda form: _quality(form.media, ranges))
    return best if _quality(best.media, ranges) > 0 else None


def _range(part: str) -> tuple[str, float]:
    media, *parameters = (word.strip().lower() for word in part.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return media, min(max(float(parameter[2:]), 0.0), 1.0)
            except ValueError:
                return media, 0.0
    return media, 1.0


def _quality(media: str, ranges: list[tuple[str, float]]) -> float:
    """The most specific range decides."""
    for wanted in (media, media.partition("/")[0] + "/*", "*/*"):
        found = [quality for known, quality in ranges if known == wanted]
        if found:
            return max(found)
    return 0.0


def _json(rows: Rows, out: IO[bytes]) -> None:
    out.write(b'{"items":[')
    _joined(out, (_objects(_without(batch, "geometry")) for batch in rows))
    out.write(b'],"next":' + msgspec.json.encode(rows.next) + b"}")


def _geojson(rows: Rows, out: IO[bytes]) -> None:
    out.write(b'{"type":"FeatureCollection","features":[')
    _joined(out, (_features(batch) for batch in rows))
    out.write(b'],"next":' + msgspec.json.encode(rows.next) + b"}")


def _joined(out: IO[bytes], pieces: Iterable[bytes]) -> None:
    first = True
    for piece in pieces:
        if piece:
            out.write(piece if first else b"," + piece)
            first = False


def _objects(batch: pa.RecordBatch) -> bytes:
    return msgspec.json.encode(batch.to_pylist())[1:-1]


def _features(batch: pa.RecordBatch) -> bytes:
    objects = _without(batch, "geometry").to_pylist()
    features = [
        {"type": "Feature", "geometry": geometry, "properties": properties}
        for geometry, properties in zip(_geometries(batch), objects, strict=True)
    ]
    return msgspec.json.encode(features)[1:-1]


def _geometries(batch: pa.RecordBatch) -> Iterator[Any]:
    if "geometry" in batch.schema.names:
        shapes = shapely.from_wkb(np.array(batch.column("geometry").to_pylist(), dtype=object))
        yield from (None if text is None else msgspec.Raw(text.encode()) for text in shapely.to_geojson(shapes))
        return
    places = zip(batch.column("lon").to_pylist(), batch.column("lat").to_pylist(), strict=True)
    for lon, lat in places:
        yield None if lon is None or lat is None else {"type": "Point", "coordinates": [lon, lat]}


def _without(batch: pa.RecordBatch, name: str) -> pa.RecordBatch:
    return batch.drop_columns(name) if name in batch.schema.names else batch


def _csv(rows: Rows, out: IO[bytes]) -> None:
    columns = _text(_flat(rows.columns.empty_table(), without="geometry")).schema
    with pyarrow.csv.CSVWriter(out, columns) as writer:
        for batch in rows:
            writer.write_table(_text(_flat(pa.Table.from_batches([batch]), without="geometry")))


def _flat(table: pa.Table, without: str = "") -> pa.Table:
    table = table.drop_columns(without) if without in table.column_names else table
    return table.flatten().replace_schema_metadata(table.schema.metadata)


def _text(table: pa.Table) -> pa.Table:
    for at, column in enumerate(table.schema):
        if pa.types.is_timestamp(column.type):
            table = table.set_column(at, column.name, _stamps(table.column(at)))
        elif pa.types.is_list(column.type):
            words = [None if one is None else " ".join(one) for one in table.column(at).to_pylist()]
            table = table.set_column(at, column.name, pa.array(words, pa.string()))
        elif pa.types.is_binary(column.type):
            encoded = [text and msgspec.json.encode(text)[1:-1].decode() for text in table.column(at).to_pylist()]
            table = table.set_column(at, column.name, pa.array(encoded, pa.string()))
    return table


def _stamps(column: Any) -> Any:
    return pc.replace_substring_regex(pc.strftime(column, "%Y-%m-%dT%H:%M:%SZ"), r"\.0+Z$", "Z")


def _parquet(rows: Rows, out: IO[bytes]) -> None:
    columns = _flat(_geographic(rows.columns).empty_table()).schema
    with pq.ParquetWriter(out, columns, compression="zstd") as writer:
        for batches in _together(rows):
            writer.write_table(_flat(pa.Table.from_batches(batches)).cast(columns))


def _geographic(columns: pa.Schema) -> pa.Schema:
    """Make Parquet with a geometry GeoParquet 1.0."""
    if "geometry" not in columns.names:
        return columns
    about = {"encoding": "WKB", "geometry_types": []}
    geo = {"version": "1.0.0", "primary_column": "geometry", "columns": {"geometry": about}}
    return columns.with_metadata({**(columns.metadata or {}), b"geo": json.dumps(geo).encode()})


def _together(rows: Rows) -> Iterator[list[pa.RecordBatch]]:
    kept: list[pa.RecordBatch] = []
    for batch in rows:
        kept.append(batch)
        if sum(one.num_rows for one in kept) >= GROUP:
            yield kept
            kept = []
    if kept:
        yield kept


def _arrow(rows: Rows, out: IO[bytes]) -> None:
    columns = _flat(rows.columns.empty_table()).schema
    with pa.ipc.new_stream(cast(RawIOBase, out), columns) as writer:
        for batch in rows:
            writer.write_table(_flat(pa.Table.from_batches([batch])).cast(columns))


FORMS = (
    Form("json", "application/json", _json),
    Form("geojson", "application/geo+json", _geojson, geographic=True),
    Form("csv", "text/csv", _csv, bulk=True),
    Form("parquet", "application/vnd.apache.parquet", _parquet, bulk=True),
    Form("arrow", "application/vnd.apache.arrow.stream", _arrow, bulk=True),
)
