"""
What the command line writes: answers to stdout, as a table to read or a form of `aggregates.export.forms`; all else to
stderr, also the log, which every module writes with structlog, for people or as a JSON object a line.
"""

import io
import logging
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import structlog
from rich.console import Console
from rich.table import Table
from rich.text import Text

from aggregates.export import forms
from ingest.vocabulary.values import visible, visible_lines


class _Errors(Console):
    """Prints text as it is, without markup, and control characters as escapes."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print on stderr."""
        super().print(*(visible_lines(one) if isinstance(one, str) else one for one in objects), **options)


errors = _Errors(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)


Format = Literal["table", "csv", "json", "parquet", "csv-nl"]  # what --format takes


def write(frame: pd.DataFrame, form: Format, out: Path | None, zone: str) -> None:
    """
    Write a frame to a file or to stdout; stamps are UTC with a Z, null is an empty cell or null.

    `zone` is the hub's: a table for people has local time instead, which says so.
    """
    if form == "table":
        stamps = frame.select_dtypes("datetimetz").columns
        frame = frame.drop(columns="local_start", errors="ignore")
        print_table(frame.assign(**{str(name): frame[name].dt.tz_convert(zone) for name in stamps}), out)
        return
    sink = io.BytesIO()
    forms.write(form, [forms.table_of(frame)], sink, zone)
    if out is not None:
        out.write_bytes(sink.getvalue())
    else:
        sys.stdout.buffer.write(sink.getvalue())
        sys.stdout.buffer.flush()


def print_table(frame: pd.DataFrame, out: Path | None = None) -> None:
    """Print a frame for people, on stdout or in a file; nothing is cut off but on a terminal."""
    with out.open("w", encoding="utf-8") if out else nullcontext(sys.stdout) as file:
        Console(file=file, width=None if file.isatty() else 300).print(_table(frame))


def _table(frame: pd.DataFrame) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in frame.columns:
        right = pd.api.types.is_numeric_dtype(frame[name]) and not pd.api.types.is_bool_dtype(frame[name])
        table.add_column(Text(visible(str(name))), justify="right" if right else "left", no_wrap=True)
    for row in frame.itertuples(index=False):
        table.add_row(*(Text(visible(_cell(value))) for value in row))
    return table


def _cell(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d %H:%M %Z")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value is pd.NaT or (isinstance(value, float) and value != value):
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


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
        cache_logger_on_first_use=False,
    )


def _visible(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Escape control characters, but for the ends of lines of a traceback."""
    texts = {key: value for key, value in event.items() if isinstance(value, str)}
    return {**event, **{key: (visible_lines if key == "exception" else visible)(text) for key, text in texts.items()}}
