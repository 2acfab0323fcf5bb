"""
Asking: `query`, `export` and `sensors`.

`aggregates.ask.query` and `aggregates.export.export` answer; here are the flags, and what is printed meanwhile.
"""

import time
from pathlib import Path

import pandas as pd

from aggregates.ask.areas import NO_AREAS
from aggregates.ask.query import BadQuestion, Question, ask
from aggregates.export.export import EVER, Wanted, Written
from aggregates.export.export import export as export_store
from aggregates.store.catalogue import import_sensors
from hub.cli.common import app, command, group, note_waiting, open_store, range_of, stamp
from hub.cli.output import Format, errors, write
from hub.settings.settings import Settings
from ingest.files.catalogue import read_catalogue
from ingest.files.site_table import SITES_FILE, import_table

USUAL = Wanted()
sensors_app = group("sensors", "The catalogue of sensors.")


@command(app, "query", "database")
def query(
    settings: Settings, quantity: str, first: str, last: str, window: str, sensor: str | None = None,
    channels: bool = False, area: str | None = None, vintage: int | None = None, form: Format = "table",
    out: Path | None = None,
) -> None:  # fmt: skip
    """
    Ask for aggregates with their evidence.

    Days are asked for and answered by their date: civil for traffic, UTC+1 for air.
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
    settings: Settings, out: Path, dataset: list[str] | None = None, window: list[str] | None = None,
    quantity: str | None = None, first: str | None = None, last: str | None = None, form: str = "parquet",
    anew: bool = False,
) -> None:  # fmt: skip
    """Export readings, aggregates and areas as Parquet, partitioned the hive way; run again it writes what changed."""
    wanted = Wanted(
        tuple(dataset or USUAL.datasets), tuple(window or USUAL.windows), quantity,
        stamp("from", first, settings.timezone) if first else EVER[0],
        stamp("to", last, settings.timezone) if last else EVER[1], form, settings.timezone, anew,
    )  # fmt: skip
    began, written = time.monotonic(), list[Written]()
    with open_store(settings) as store:
        note_waiting(store, (wanted.first, wanted.last), "1d", areas="area_aggregates" in wanted.datasets)
        try:
            for one in export_store(store, out, wanted):
                written.append(one)
                if one.path is not None:
                    errors.print(f"{one.path}: {one.rows} rows")
        except ValueError as error:
            raise BadQuestion(str(error)) from error
    rows, seconds = sum(one.rows for one in written), time.monotonic() - began
    files = sum(one.path is not None for one in written)
    errors.print(f"{files} files with {rows} rows written to {out} in {seconds:.1f} s")


@command(sensors_app, "import", "database")
def sensors_import(settings: Settings, file: Path, /) -> None:
    """Import a catalogue of sensors."""
    if file.name.removesuffix(".gz").endswith(".xml"):
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        errors.print(f"{import_table(file, settings.data_dir / SITES_FILE)} measurement sites imported")
        return
    entries = read_catalogue(file)
    with open_store(settings) as store:
        import_sensors(store, entries)
    errors.print(f"{len(entries)} sensors imported")


@command(sensors_app, "list", "database")
def sensors_list(settings: Settings, source: str | None = None, form: Format = "table") -> None:
    """List the sensors."""
    with open_store(settings) as store:
        rows = store.rows("list_catalogue", source=source)
    columns = ["sensor_id", "name", "kind", "lon", "lat", "indoor", "lanes", "inferred", "catalogued", "series"]
    write(pd.DataFrame(rows, columns=columns).astype({"lanes": "Int64"}), form, None, settings.timezone)
