"""
Asking: `query`, `sensors` and `doctor`.
"""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from aggregates.ask.query import Question, ask
from aggregates.store.catalogue import import_sensors
from aggregates.store.catalogue import sensors as list_sensors
from hub.cli.common import (
    NO,
    Broker,
    Database,
    Directory,
    Form,
    Out,
    SensorId,
    SourceName,
    app,
    flag,
    open_store,
    settings_of,
    stamp,
)
from hub.cli.doctor import examine, settings_table
from hub.cli.output import Format, errors, print_table, write
from hub.servers.datadir import find_hub
from ingest.files.catalogue import read_catalogue
from ingest.files.site_table import SITES_FILE, import_table

sensors_app = typer.Typer(no_args_is_help=True, help="The catalogue of sensors.", rich_markup_mode=None)
app.add_typer(sensors_app, name="sensors")


@app.command()
def query(
    quantity: Annotated[str, flag("quantity", "what was measured, as no2 or vehicle_count")],
    first: Annotated[str, flag("from", "first window's start, inclusive (ISO 8601; without a zone: UTC)")],
    last: Annotated[str, flag("to", "end of the range, exclusive")],
    window: Annotated[str, flag("window", "5m, 1h or 1d")],
    sensor: SensorId = None,
    channels: Annotated[bool, flag("channels", "every series instead of what each sensor counted")] = False,
    area: Annotated[str | None, flag("area", "area code, as BU00140002: the area itself, or its --channels")] = None,
    vintage: Annotated[int | None, flag("vintage", "year of the area (default: the newest loaded)")] = None,
    form: Form = Format.TABLE,
    out: Out = None,
    database: Database = None,
    data_dir: Directory = None,
) -> None:
    """
    Ask for aggregates with their evidence.

    Example: stadspuls query --quantity no2 --from 2024-06-01 --to 2024-06-02 --window 1h --format csv
    """
    question = Question(quantity, stamp("from", first), stamp("to", last), window, sensor, channels, area, vintage)
    settings = settings_of(data_dir=data_dir, database=database)
    with open_store(settings) as store:
        frame = ask(store, question)
    if frame.empty:
        errors.print("no windows found for this question")
    write(frame, form, out, settings.timezone)


@sensors_app.command("import")
def sensors_import(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV, GeoJSON, or NDW's measurement-site table (XML, may be .gz)", exists=True, dir_okay=False
        ),
    ],
    database: Database = None,
    data_dir: Directory = None,
) -> None:
    """
    Import a catalogue of sensors.

    Example: stadspuls sensors import sensors.csv
    """
    settings = settings_of(data_dir=data_dir, database=database)
    if file.name.removesuffix(".gz").endswith(".xml"):
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        errors.print(f"{import_table(file, settings.data_dir / SITES_FILE)} measurement sites imported")
        return
    entries = read_catalogue(file)
    with open_store(settings) as store:
        import_sensors(store, entries)
    errors.print(f"{len(entries)} sensors imported")


@sensors_app.command("list")
def sensors_list(
    source: SourceName = None,
    form: Form = Format.TABLE,
    database: Database = None,
    data_dir: Directory = None,
) -> None:
    """
    List the sensors.

    Example: stadspuls sensors list --source ndw
    """
    with open_store(settings_of(data_dir=data_dir, database=database)) as store:
        frame = pd.DataFrame(list_sensors(store, source, limit=1_000_000))
    write(frame.astype({"lanes": "Int64"}) if "lanes" in frame else frame, form, None)


@app.command()
def doctor(
    broker: Broker = None,
    database: Database = None,
    data_dir: Directory = None,
) -> None:
    """
    Say what is wrong; exit 1 when something is.

    Example: stadspuls doctor
    """
    settings = settings_of(data_dir=data_dir, broker=broker, database=database)
    findings = list(examine(settings, find_hub(settings.data_dir)))
    marks = {True: "good", False: "BAD", None: ""}
    print_table(pd.DataFrame([(marks[f.good], f.what, f.found) for f in findings], columns=["", "what", "found"]))
    print_table(pd.DataFrame(settings_table(settings), columns=["setting", "value", "from"]))
    if any(finding.good is False for finding in findings):
        raise typer.Exit(NO)
