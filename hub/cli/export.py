"""
`export`: the whole hub as files.

`aggregates.export.export` does it; here are its flags, and what is said on stderr meanwhile.
"""

import time
from datetime import datetime
from pathlib import Path
from typing import Annotated

from aggregates.ask.chosen import BadQuestion
from aggregates.export.export import DATASETS, EVER, Wanted, Written, export
from hub.cli.common import Database, Directory, app, flag, open_store, settings_of, stamp
from hub.cli.output import errors

USUAL = Wanted()


@app.command("export")
def export_command(
    out: Annotated[Path, flag("out", "directory to write to; what is in it already is only brought up to date")],
    dataset: Annotated[
        list[str] | None,
        flag("dataset", f"{', '.join(DATASETS)}; may be repeated (default: all but channels)"),
    ] = None,
    window: Annotated[list[str] | None, flag("window", "5m, 1h or 1d; may be repeated (default: 1h, 1d)")] = None,
    quantity: Annotated[str | None, flag("quantity", "only this quantity, as no2 (default: all)")] = None,
    first: Annotated[str | None, flag("from", "only files with something from here on (ISO 8601)")] = None,
    last: Annotated[str | None, flag("to", "only files with something before this")] = None,
    form: Annotated[str, flag("format", "parquet, csv, or csv-nl: as a Dutch spreadsheet opens it")] = "parquet",
    anew: Annotated[bool, flag("anew", "write every file again, not only what changed")] = False,
    database: Database = None,
    data_dir: Directory = None,
) -> None:
    """
    Export readings, aggregates and areas as Parquet, partitioned the hive way; run again it writes what changed.

    Example: stadspuls export --out lake
    """
    settings = settings_of(data_dir=data_dir, database=database)
    wanted = Wanted(
        tuple(dataset or USUAL.datasets), tuple(window or USUAL.windows), quantity, _stamp("from", first, EVER[0]),
        _stamp("to", last, EVER[1]), form, settings.timezone, anew,
    )  # fmt: skip
    began = time.monotonic()
    with open_store(settings) as store:
        try:
            found = [_said(one) for one in export(store, out, wanted)]
        except ValueError as error:
            raise BadQuestion(str(error)) from error
    rows, seconds = sum(one.rows for one in found), time.monotonic() - began
    files = sum(one.path is not None for one in found)
    errors.print(f"{files} files with {rows} rows written to {out} in {seconds:.1f} s", markup=False)


def _said(written: Written) -> Written:
    if written.path is not None:
        errors.print(f"{written.path}: {written.rows} rows", markup=False)
    return written


def _stamp(name: str, text: str | None, otherwise: datetime) -> datetime:
    return stamp(name, text) if text else otherwise
