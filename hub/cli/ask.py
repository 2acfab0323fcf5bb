"""
Asking: `query`, `export` and `sensors`.

`aggregates.ask.query` and `aggregates.export.export` answer; here are the flags, and what is printed meanwhile.
"""

import time
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from aggregates.ask.areas import NO_AREAS
from aggregates.ask.query import BadQuestion, Question, ask
from aggregates.export.export import DATASETS, EVER, Wanted, Written
from aggregates.export.export import export as export_store
from aggregates.store.catalogue import import_sensors
from aggregates.store.catalogue import sensors as list_sensors
from hub.cli.common import (
    BEGIN,
    Form,
    Out,
    SourceName,
    app,
    command,
    flag,
    group,
    note_waiting,
    open_store,
    range_of,
    stamp,
)
from hub.cli.output import Format, errors, write
from hub.settings.settings import Settings
from ingest.files.catalogue import read_catalogue
from ingest.files.site_table import SITES_FILE, import_table

USUAL = Wanted()
sensors_app = group("sensors", "The catalogue of sensors.")


@command(app, "query", "database")
def query(
    settings: Settings,
    quantity: Annotated[str, flag("quantity", "what was measured, as no2 or vehicle_count")],
    first: Annotated[str, flag("from", BEGIN)],
    last: Annotated[str, flag("to", "end of the range, exclusive")],
    window: Annotated[str, flag("window", "5m, 1h or 1d")],
    sensor: Annotated[str | None, flag("sensor", "sensor id, <source>/<id>")] = None,
    channels: Annotated[bool, flag("channels", "every series instead of what each sensor counted")] = False,
    area: Annotated[str | None, flag("area", "area code, as BU00140002: the area itself, or its --channels")] = None,
    vintage: Annotated[int | None, flag("vintage", "year of the area (default: the newest loaded)")] = None,
    form: Form = Format.TABLE,
    out: Out = None,
) -> None:
    """
    Ask for aggregates with their evidence.

    Days are asked for and answered by their date: civil for traffic, UTC+1 for air.

    Example: stadspuls query --quantity no2 --from 2024-06-01 --to 2024-06-02 --window 1h --format csv
    """
    span = range_of(first, last, settings.timezone, window, quantity)
    question = Question(quantity, *span, window, sensor, channels, area, vintage)
    with open_store(settings) as store:
        note_waiting(store, span, window, areas=question.of_area)
        frame = ask(store, question)
        if frame.empty:
            none = area and store.rows("read_newest_vintage") == [(None,)]
            errors.print(NO_AREAS if none else "no windows found for this question")
    write(frame, form, out, settings.timezone)


@command(app, "export", "database")
def export(
    settings: Settings,
    out: Annotated[Path, flag("out", "directory to write to; what is in it already is only brought up to date")],
    dataset: Annotated[
        list[str] | None,
        flag("dataset", f"{', '.join(DATASETS)}; may be repeated (default: all but channels)"),
    ] = None,
    window: Annotated[list[str] | None, flag("window", "5m, 1h or 1d; may be repeated (default: 1h, 1d)")] = None,
    quantity: Annotated[str | None, flag("quantity", "only this quantity, as no2 (default: all)")] = None,
    first: Annotated[str | None, flag("from", "only files with something from here on (a local date or stamp)")] = None,
    last: Annotated[str | None, flag("to", "only files with something before this")] = None,
    form: Annotated[str, flag("format", "parquet, csv, or csv-nl: as a Dutch spreadsheet opens it")] = "parquet",
    anew: Annotated[bool, flag("anew", "write every file again, not only what changed")] = False,
) -> None:
    """
    Export readings, aggregates and areas as Parquet, partitioned the hive way; run again it writes what changed.

    Example: stadspuls export --out lake
    """
    wanted = Wanted(
        tuple(dataset or USUAL.datasets), tuple(window or USUAL.windows), quantity,
        stamp("from", first, settings.timezone) if first else EVER[0],
        stamp("to", last, settings.timezone) if last else EVER[1], form, settings.timezone, anew,
    )  # fmt: skip
    began = time.monotonic()
    with open_store(settings) as store:
        note_waiting(store, (wanted.first, wanted.last), "1d", areas="area_aggregates" in wanted.datasets)
        try:
            found = [_printed(one) for one in export_store(store, out, wanted)]
        except ValueError as error:
            raise BadQuestion(str(error)) from error
    rows, seconds = sum(one.rows for one in found), time.monotonic() - began
    files = sum(one.path is not None for one in found)
    errors.print(f"{files} files with {rows} rows written to {out} in {seconds:.1f} s")


def _printed(written: Written) -> Written:
    if written.path is not None:
        errors.print(f"{written.path}: {written.rows} rows")
    return written


@command(sensors_app, "import", "database")
def sensors_import(
    settings: Settings,
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV, GeoJSON, or NDW's measurement-site table (XML, may be .gz)", exists=True, dir_okay=False
        ),
    ],
) -> None:
    """
    Import a catalogue of sensors.

    Example: stadspuls sensors import sensors.csv
    """
    if file.name.removesuffix(".gz").endswith(".xml"):
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        errors.print(f"{import_table(file, settings.data_dir / SITES_FILE)} measurement sites imported")
        return
    entries = read_catalogue(file)
    with open_store(settings) as store:
        import_sensors(store, entries)
    errors.print(f"{len(entries)} sensors imported")


@command(sensors_app, "list", "database")
def sensors_list(settings: Settings, source: SourceName = None, form: Form = Format.TABLE) -> None:
    """
    List the sensors.

    Example: stadspuls sensors list --source ndw
    """
    with open_store(settings) as store:
        frame = pd.DataFrame(list_sensors(store, source, limit=1_000_000))
    write(frame.astype({"lanes": "Int64"}) if "lanes" in frame else frame, form, None, settings.timezone)
