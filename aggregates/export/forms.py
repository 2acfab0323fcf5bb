"""
Arrow tables in every form that the hub gives, from JSON to a Dutch spreadsheet: see `write`.

`hub.web.api.answers` streams answers with it, `hub.cli.output` writes those of the command line, and
`aggregates.export.export` files. Columns stand in the order of the first table. Tables are written one by one, so that
only a few of them are in memory.

In CSV, Parquet and Arrow an object is a column for each of its members (`statistics.density`). In CSV a list is its
words with blanks between them, bytes are base64, null is an empty cell, and stamps are UTC with a Z. Text that a
spreadsheet would read as a formula has an apostrophe before it. CSV has no geometry.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import RawIOBase
from itertools import chain
from pathlib import Path
from typing import IO, Any, cast

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from aggregates.export.objects import CRS84, objects, text_of, without_geometry
from aggregates.export.sheets import write_workbook

SHEET_FORMAT = "%Y-%m-%d %H:%M:%S"  # what a spreadsheet reads as a time; it has no zones
BYTE_ORDER_MARK = "\ufeff"
_FORMULA, _NUMBER = r"^[=+\-@\t\r]", r"^[+\-][0-9.,]+$"
GROUP = 50_000  # rows at least of a row group of Parquet

Tables = Iterable[pa.Table]
Beside = Callable[[], Mapping[str, object]]


def write(
    form: str, tables: Tables, out: IO[bytes], zone: str = "Europe/Amsterdam", beside: Beside | None = None, *,
    crs: str = CRS84, key: Sequence[str] = (),
) -> None:  # fmt: skip
    """
    Write tables of the same columns, at least one, in a form: json, geojson, csv, csv-nl, xlsx, parquet, arrow or html.

    `zone` is the local time of csv-nl and xlsx. `beside` is called after the last row and gives what stands beside the
    rows: as members of the JSON object, or as metadata of Parquet, each value in JSON; of its `sources` a workbook has
    a list. Without it JSON is an array of objects. Features of GeoJSON are in `crs`, with ids of the columns `key`.
    """
    match form:
        case "json":
            _objects(out, b'{"items":' if beside else b"", (objects(table, form) for table in tables), beside or dict)
        case "geojson":
            rows = (objects(table, form, crs, key) for table in tables)
            _objects(out, b'{"type":"FeatureCollection","features":', rows, beside or dict)
        case "csv":
            _csv(tables, out, ",")
        case "csv-nl":
            out.write(BYTE_ORDER_MARK.encode())
            _csv(tables, out, ";", zone)
        case "parquet":
            _parquet(tables, out, beside)
        case "arrow":
            _arrow(tables, out)
        case "xlsx":
            write_workbook((_flat(without_geometry(table)) for table in tables), out, zone, beside or dict)
        case "html":
            out.write(b"<!doctype html><html lang=en><meta charset=utf-8><title>Stadspuls</title>")
            out.writelines(without_geometry(table).to_pandas().to_html(index=False).encode() for table in tables)
        case _:
            raise ValueError(f"form {form!r}, expected json, geojson, csv, csv-nl, xlsx, parquet, arrow or html")


def write_file(path: Path, form: str, tables: Tables, beside: Beside, zone: str = "Europe/Amsterdam") -> None:
    """Write tables as `write` does, as a file."""
    with replaced(path) as file:
        write(form, tables, file, zone, beside)


@contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """Write a file beside its place, and move it there when it is whole, so that a reader never sees half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            yield file
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _objects(out: IO[bytes], begin: bytes, pieces: Iterable[list[Any]], beside: Beside) -> None:
    """Write rows as an array: by itself, or in the object that `begin` begins, before what stands beside it."""
    out.write(begin + b"[")
    between = b""
    for piece in filter(None, pieces):
        out.write(between + msgspec.json.encode(piece)[1:-1])
        between = b","
    members = msgspec.json.encode(beside())[1:]
    after = b"," + members if len(members) > 1 else members
    out.write(b"]" + (after if begin else b"\n"))


def _csv(tables: Tables, out: IO[bytes], separator: str, zone: str | None = None) -> None:
    for at, table in enumerate(tables):
        cells = dict(_cells(_flat(without_geometry(table)), zone))
        if not cells:
            continue
        quoted = [_quoted(column, separator) for column in cells.values()]
        lines = pc.binary_join_element_wise(*quoted, separator, null_handling="replace").to_pylist()
        out.write("".join(f"{line}\n" for line in ([] if at else [separator.join(cells)]) + lines).encode())


def _quoted(column: Any, separator: str) -> Any:
    """Put cells between quotes that would be read as several cells or lines."""
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(column, '"', '""'), '"', "")
    return pc.if_else(pc.match_substring_regex(column, f'["\\n\\r{separator}]'), quoted, column)


def _cells(table: pa.Table, zone: str | None) -> Iterator[tuple[str, Any]]:
    """
    Yield the cells of each column, by the name in its header.

    With a zone as a Dutch spreadsheet wants them: numbers with a decimal comma and at most 4 decimals (of degrees 6),
    ja and nee, each stamp in UTC and in local time.
    """
    for name, column in zip(table.column_names, table.columns, strict=True):
        if zone and pa.types.is_timestamp(column.type):
            stamps = column.to_pandas()
            for place in ("UTC", zone):
                yield f"{name} ({place})", pa.array(stamps.dt.tz_convert(place).dt.strftime(SHEET_FORMAT), pa.string())
        elif zone and pa.types.is_floating(column.type):
            yield name, pc.replace_substring(text_of(pc.round(column, 6 if name in ("lon", "lat") else 4)), ".", ",")
        elif zone and pa.types.is_boolean(column.type):
            yield name, pc.if_else(column, "ja", "nee")
        elif pa.types.is_primitive(column.type):
            yield name, text_of(column)
        else:
            text = text_of(column)
            formula = pc.and_not(pc.match_substring_regex(text, _FORMULA), pc.match_substring_regex(text, _NUMBER))
            yield name, pc.if_else(formula, pc.binary_join_element_wise("'", text, ""), text)


def _parquet(tables: Tables, out: IO[bytes], beside: Beside | None) -> None:
    rows = _groups(map(_flat, tables))
    first = next(rows)
    columns = _geographic(first.schema)
    # Numbers seldom repeat, and to look for it takes long.
    repeated = [one.name for one in columns if pa.types.is_dictionary(one.type) or pa.types.is_string(one.type)]
    with pq.ParquetWriter(
        out, columns, compression="zstd",
        use_dictionary=repeated,  # type: ignore[arg-type]  # the stubs know yes and no alone
    ) as writer:  # fmt: skip
        for table in chain([first], rows):
            writer.write_table(table)
        if beside is not None:
            writer.add_key_value_metadata({name: msgspec.json.encode(it).decode() for name, it in beside().items()})


def _groups(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Join small tables into row groups of at least `GROUP` rows."""
    kept: list[pa.Table] = []
    for table in tables:
        kept.append(table)
        if sum(one.num_rows for one in kept) >= GROUP:
            yield pa.concat_tables(kept)
            kept = []
    if kept:
        yield pa.concat_tables(kept)


def _geographic(columns: pa.Schema) -> pa.Schema:
    """Add the metadata of GeoParquet 1.0 where there is a geometry."""
    if "geometry" not in columns.names:
        return columns
    about = {"encoding": "WKB", "geometry_types": []}
    geo = {"version": "1.0.0", "primary_column": "geometry", "columns": {"geometry": about}}
    return columns.with_metadata({**(columns.metadata or {}), b"geo": msgspec.json.encode(geo)})


def _arrow(tables: Tables, out: IO[bytes]) -> None:
    rows = map(_flat, tables)
    first = next(rows)
    with pa.ipc.new_stream(cast(RawIOBase, out), first.schema) as writer:
        for table in chain([first], rows):
            writer.write_table(table)


def _flat(table: pa.Table) -> pa.Table:
    return table.flatten().replace_schema_metadata(table.schema.metadata)
