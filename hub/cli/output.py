"""
What the command line writes: answers to stdout, as a table to read or a form of `aggregates.export.forms`; all else to
stderr, also the log, which every module writes with structlog, for people or as a JSON object a line.
"""

import io
import logging
import sys
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

import structlog
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ingest.vocabulary.values import visible, visible_lines

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class _Errors(Console):
    """Prints text as it is, without markup, and control characters as escapes."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print on stderr."""
        super().print(*(visible_lines(one) if isinstance(one, str) else one for one in objects), **options)


errors = _Errors(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)


Format = Literal["table", "csv", "json", "parquet", "csv-nl", "xlsx", "arrow"]  # what --format takes


def write(found: "pa.Table | pd.DataFrame", form: Format, out: Path | None, zone: str) -> None:
    """
    Write a table to a file or to stdout; stamps are UTC with a Z, null is an empty cell or null.

    `zone` is the hub's: a table for people has local time instead, which says so.
    """
    import pyarrow as pa

    from aggregates.export import forms  # brings much along that half of the commands do without

    table = found if isinstance(found, pa.Table) else pa.Table.from_pandas(found, preserve_index=False)  # NaN is null
    if form == "table":
        names = [name for name in table.column_names if name != "local_start"]
        print_table(names, zip(*(table[name].to_pylist() for name in names), strict=True), out, ZoneInfo(zone))
        return
    sink = io.BytesIO()
    forms.write(form, [table], sink, zone)
    if out is not None:
        out.write_bytes(sink.getvalue())
    else:
        sys.stdout.buffer.write(sink.getvalue())
        sys.stdout.buffer.flush()


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], out: Path | None = None, zone: ZoneInfo | None = None
) -> None:
    """Print rows for people, on stdout or in a file, stamps in a zone; a terminal folds long cells, none is cut off."""
    kept = list(rows)
    half = Console().width // 2 if out is None and sys.stdout.isatty() else None
    table = Table(box=None, pad_edge=False, header_style="bold")
    for at, name in enumerate(columns):
        values = [row[at] for row in kept if row[at] is not None]
        right = bool(values) and all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in values)
        table.add_column(Text(visible(name)), justify="right" if right else "left", overflow="fold", max_width=half)
    for row in kept:
        table.add_row(*(Text(visible(_cell(value, zone))) for value in row))
    with out.open("w", encoding="utf-8") if out else nullcontext(sys.stdout) as file:
        Console(file=file, width=10**9).print(table)  # what is wider than the terminal goes on below


def _cell(value: Any, zone: ZoneInfo | None) -> str:
    if isinstance(value, datetime):
        return value.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value != value:  # NaN
        return "-"
    if isinstance(value, list):
        return " ".join(map(str, value))
    # What is left of a difference of equal sums is no figure.
    return f"{round(value, 9) + 0.0:.6g}" if isinstance(value, float) else str(value)


def set_up_logging(level: str, form: str) -> None:
    """Log from `level` on, as `console` or `json`."""
    plain = structlog.dev.plain_traceback
    renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _visible,
            structlog.processors.JSONRenderer() if form == "json" else renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # what stderr is then, not now
    )


def _visible(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Escape control characters, but for the ends of lines of a traceback."""
    texts = {key: value for key, value in event.items() if isinstance(value, str)}
    return {**event, **{key: (visible_lines if key == "exception" else visible)(text) for key, text in texts.items()}}
