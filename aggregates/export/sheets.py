"""
Tables as files: Parquet, CSV for machines, and the CSV that a Dutch spreadsheet opens with a double click.

`aggregates.export.export` writes files with it, `hub.cli.output` answers. Every Parquet file names its sources and
licences.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from aggregates.areas.export import Origin, note_of, supplier
from ingest.vocabulary.sources import source_of_sensor

FORMS = {"parquet": "parquet", "csv": "csv", "csv-nl": "csv"}  # and what their files end with

UTC_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
SHEET_FORMAT = "%Y-%m-%d %H:%M:%S"  # what a spreadsheet takes for a time; it has no zones
BYTE_ORDER_MARK = "\ufeff"

Put = Callable[[pa.Table], None]


@contextmanager
def open_writer(path: Path, form: str, zone: str, suppliers: Iterable[Origin] = ()) -> Iterator[Put]:
    """
    Open a file of a form of `FORMS` for the tables of one answer.

    `zone` is the local time of a Dutch sheet; `suppliers` are named in a Parquet file beside those of its sensors.
    """
    with _parquet(path, suppliers) if form == "parquet" else _sheet(path, form, zone) as put:
        yield put


@contextmanager
def _parquet(path: Path, suppliers: Iterable[Origin]) -> Iterator[Put]:
    writer: pq.ParquetWriter | None = None
    sources: set[str] = set()

    def put(table: pa.Table) -> None:
        nonlocal writer
        writer = writer or pq.ParquetWriter(
            path, table.schema, compression="zstd",
            use_dictionary=_words(table.schema),  # type: ignore[arg-type]  # the stubs know yes and no alone
        )  # fmt: skip
        writer.write_table(table)
        if "sensor_id" in table.column_names:
            sources.update(source_of_sensor(str(name)) for name in table["sensor_id"].unique().to_pylist())

    yield put
    if writer is not None:
        writer.add_key_value_metadata({"sources": note_of([*suppliers, *map(supplier, sorted(sources))])})
        writer.close()


def _words(schema: pa.Schema) -> list[str]:
    """Name the columns whose values repeat; figures seldom do, and to look for it takes long."""
    return [field.name for field in schema if pa.types.is_dictionary(field.type) or pa.types.is_string(field.type)]


@contextmanager
def _sheet(path: Path, form: str, zone: str) -> Iterator[Put]:
    with path.open("wb") as file:

        def put(table: pa.Table) -> None:
            header = file.tell() == 0
            frame = table.to_pandas()
            file.write(dutch_csv(frame, zone, header) if form == "csv-nl" else csv(frame, header))

        yield put


def csv(frame: pd.DataFrame, header: bool = True) -> bytes:
    """Comma and decimal point, stamps in UTC with a Z, null an empty cell."""
    return with_texts(frame, UTC_FORMAT).to_csv(index=False, header=header).encode()


def dutch_csv(frame: pd.DataFrame, zone: str, header: bool = True) -> bytes:
    """
    Semicolon, decimal comma, byte order mark; each stamp in UTC and beside it in the time of `zone`.

    Text that a spreadsheet would take for a formula has an apostrophe before it.
    """
    made: dict[str, Any] = {}
    for name in frame.columns:
        column = frame[name]
        if isinstance(column.dtype, pd.DatetimeTZDtype):
            made[f"{name} (UTC)"] = column.dt.strftime(SHEET_FORMAT)
            made[f"{name} ({zone})"] = column.dt.tz_convert(zone).dt.strftime(SHEET_FORMAT)
        else:
            made[str(name)] = column if pd.api.types.is_numeric_dtype(column) else _harmless(column)
    text = pd.DataFrame(made).to_csv(index=False, header=header, sep=";", decimal=",")
    return ((BYTE_ORDER_MARK if header else "") + text).encode()


def with_texts(frame: pd.DataFrame, form: str) -> pd.DataFrame:
    """Put the text of every stamp in its place."""
    return frame.assign(**{str(name): frame[name].dt.strftime(form) for name in frame.select_dtypes("datetimetz")})


def _harmless(column: "pd.Series[Any]") -> "pd.Series[Any]":
    words = column.astype(object).where(column.notna(), None)
    return words.map(lambda word: f"'{word}" if isinstance(word, str) and word[:1] in "=+-@\t\r" and word else word)
