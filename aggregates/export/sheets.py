"""
Tables as a workbook for Excel and LibreOffice: real dates, units in the header, and a sheet that explains the columns.

Excel knows no time zones: each stamp is there in UTC and in local time. `aggregates.export.forms` calls it, as one of
its forms. Rows are written as they come, so that a long table is not whole in memory.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import xlsxwriter  # type: ignore[import-untyped]

from aggregates.areas.measures import MEASURES
from aggregates.ask.dates import BadQuestion
from aggregates.ask.listings import COLUMNS
from aggregates.export.objects import text_of

ROWS = 1_048_575  # of a sheet of Excel, below the header
_TOO_LONG = -2  # what xlsxwriter says of a text that it has cut off
_MEASURED = ("value", "estimate", "minimum", "maximum", "total", "usual", "spread", "threshold", "worst", "mean")
_UNITS = {name: one.unit for name, one in MEASURES.items()} | {"coverage": "0 to 1", "lon": "degrees", "lat": "degrees"}
_DAY, _MOMENT = "yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss"
_AS_TEXT = dict.fromkeys(("strings_to_formulas", "strings_to_urls", "strings_to_numbers"), False)


class _Column(NamedTuple):
    """A column of the sheet: of which of the table, its unit or zone, how cells are shown, and their values."""

    name: str
    unit: str
    form: str
    values: list[Any]


def write_workbook(
    tables: Iterable[pa.Table], out: IO[bytes], zone: str, beside: Callable[[], Mapping[str, Any]]
) -> None:
    """
    Write flat tables of the same columns, at least one, and the sources that `beside` names after the last row.

    Raises BadQuestion for more rows than a sheet has, and for a text that is longer than a cell holds.
    """
    with xlsxwriter.Workbook(out, {"constant_memory": True, **_AS_TEXT}) as book:
        book.set_properties({"created": datetime(2000, 1, 1)})  # noqa: DTZ001 - the same rows are the same file
        bold, sheet, written = book.add_format({"bold": True}), book.add_worksheet("data"), 0
        formats = {form: form and book.add_format({"num_format": form}) for form in ("", _DAY, _MOMENT)}
        heads: list[_Column] = []
        for table in tables:
            columns = list(_columns(table, zone))
            if not heads:
                heads = columns
                sheet.freeze_panes(1, 0)
                sheet.set_column(0, len(heads) - 1, 19)
                sheet.write_row(0, 0, [f"{one.name} ({one.unit})" if one.unit else one.name for one in heads], bold)
            for row in zip(*(one.values for one in columns), strict=True):
                written += 1
                if written > ROWS:
                    raise BadQuestion(f"more than {ROWS} rows, expected what a sheet of Excel holds: a shorter range")
                for at, value in enumerate(row):
                    if value is not None and value == value:  # null, and NaN
                        done = sheet.write(written, at, value, formats[columns[at].form] or None)
                        if done == _TOO_LONG:
                            found = f"{columns[at].name} of row {written} is longer than the 32767 that a cell holds"
                            raise BadQuestion(f"{found}, expected another form, as csv")
        _explain(book.add_worksheet("explanation"), heads, zone, beside().get("sources", ()), bold)


def _columns(table: pa.Table, zone: str) -> Iterator[_Column]:
    units = table["unit"].unique().to_pylist() if "unit" in table.column_names else []
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind, unit = column.type, ""
        found: Any = column
        if pa.types.is_timestamp(kind):  # a sheet's have no zone
            for place in ("UTC", zone):
                clock: Any = pc.local_timestamp(found.cast(pa.timestamp("us", place)))
                yield _Column(name, place, _MOMENT, clock.to_pylist())
            continue
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            own = str(units[0]) if len(units) == 1 and name in _MEASURED else ""
            unit = own or _UNITS.get(name.rpartition(".")[2], "")
        elif not (pa.types.is_date(kind) or pa.types.is_boolean(kind)):
            found = text_of(column)
        yield _Column(name, unit, _DAY if pa.types.is_date(kind) else "", found.to_pylist())


def _explain(sheet: Any, columns: list[_Column], zone: str, sources: Iterable[Mapping[str, Any]], bold: Any) -> None:
    """Write what each column means, and who supplied the rows."""
    rows: list[tuple[str, ...]] = [("column", "unit", "meaning")]
    rows += [(one.name, one.unit, COLUMNS[one.name][1] if one.name in COLUMNS else "") for one in columns]
    rows += [(f"A stamp is the same moment in UTC and in {zone}. A window is labelled with its start.",), ()]
    rows += [(str(one["title"]), str(one["licence"]), str(one["vintage"] or "")) for one in sources]
    sheet.set_column(0, 2, 30)
    for at, row in enumerate(rows):
        sheet.write_row(at, 0, row, None if at else bold)
