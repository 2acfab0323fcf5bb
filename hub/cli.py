"""
The command line: a thin layer of names, flags and exit codes over the rest.

Exit codes: 0 good, 1 the data say no, 2 used wrongly, 3 it could not be done. Messages go to stderr, data to stdout.
Every flag `--a-b` is also the environment variable `STADSPULS_A_B`.
"""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pandas as pd
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from aggregates.catalogue import import_sensors
from aggregates.catalogue import sensors as list_sensors
from aggregates.cbs import Unreachable
from aggregates.deadletters import dead_letters, exhume
from aggregates.indicators import Refused
from aggregates.kwb import BadStatistics
from aggregates.maps import BadMap
from aggregates.migrate import migrate as migrate_store
from aggregates.query import BadQuestion, Question, ask
from aggregates.store import Store, StoreError
from hub.bench.registry import BENCHES
from hub.datadir import RunningHub, find_hub
from hub.demo import Demo
from hub.doctor import examine, settings_table
from hub.embedded import SITES_FILE, EmbeddedHub
from hub.logging import set_up_logging
from hub.output import Format, errors, print_table, write
from hub.publish import Backlog, BadRecording, recorded
from hub.publish import publish as publish_messages
from hub.servers import CannotStart
from hub.settings import BadSettings, Settings, load
from ingest.address import Address
from ingest.catalogue import BadCatalogue, read_catalogue
from ingest.readings import BadPayload
from ingest.registry import load_formats
from ingest.sender import BrokerRefused, Sender
from ingest.sitetable import import_table
from streams.maintain import maintain as maintain_store
from streams.maintain import thaw as thaw_store
from streams.reconcile import first_day
from streams.reconcile import reconcile as reconcile_store

NO, WRONG, IMPOSSIBLE = 1, 2, 3
LARGEST_REPLAY = 1_000_000  # bytes; with its topic a larger payload is more than a broker takes

app = typer.Typer(
    name="stadspuls", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Stadspuls: from what a city's sensors say to figures that people can act on.",
)  # fmt: skip
sensors_app = typer.Typer(no_args_is_help=True, help="The catalogue of sensors.", rich_markup_mode=None)
letters_app = typer.Typer(no_args_is_help=True, help="Messages that could not be read.", rich_markup_mode=None)
app.add_typer(sensors_app, name="sensors")
app.add_typer(letters_app, name="dead-letters")


def flag(name: str, text: str, **more: Any) -> Any:
    """Make an option `--name` that is also `STADSPULS_NAME`."""
    return typer.Option(f"--{name}", envvar="STADSPULS_" + name.upper().replace("-", "_"), help=text, **more)


Directory = Annotated[Path | None, flag("data-dir", "data directory of the hub (default: data)")]
Broker = Annotated[str | None, flag("broker", "mqtt:// or mqtts:// URL of a broker (default: the hub's own)")]
Database = Annotated[str | None, flag("database", "postgresql:// URL (default: the hub's own)")]
SensorId = Annotated[str | None, flag("sensor", "sensor id, <source>/<id>")]
SourceName = Annotated[str | None, flag("source", "only this source")]
Stamp = Annotated[str, typer.Argument()]


@app.command()
def up(
    demo: Annotated[bool, flag("demo", "add a simulated city with two days of history")] = False,
    data_dir: Directory = None,
    mqtt_host: Annotated[str | None, flag("mqtt-host", "address the built-in broker listens on")] = None,
    mqtt_port: Annotated[int | None, flag("mqtt-port", "port of the built-in broker")] = None,
    http_host: Annotated[str | None, flag("http-host", "address of the HTTP side")] = None,
    http_port: Annotated[int | None, flag("http-port", "port of the HTTP side")] = None,
    broker: Broker = None,
    database: Database = None,
    retention: Annotated[str | None, flag("retention", "keep readings this long, as 90d (default: for ever)")] = None,
) -> None:
    """
    Run the whole hub as one program: broker, database, collector, pipeline, roll-ups.

    Example: stadspuls up --demo
    """
    settings = _settings(
        data_dir=data_dir, mqtt_host=mqtt_host, mqtt_port=mqtt_port, http_host=http_host, http_port=http_port,
        broker=broker, database=database, retention=retention,
    )  # fmt: skip
    stop = _stop_signals()
    with EmbeddedHub(settings) as hub:
        errors.print(f"ready  mqtt {hub.broker}  http {hub.http.url}  database {hub.edition} at {settings.data_dir}")
        errors.print(
            "try    stadspuls query --quantity vehicle_count --window 1h --from "
            f"{datetime.now(UTC) - timedelta(hours=3):%Y-%m-%dT%H:00} --to {datetime.now(UTC):%Y-%m-%dT%H:59}"
        )
        errors.print("Ctrl-C stops it; the other commands find it by its data directory")
        with _demo(settings, hub) if demo else nullcontext():
            while not stop.wait(0.5):
                hub.supervise()
                if hub.failed.is_set():
                    errors.print("error: the pipeline failed, see the log; nothing unacknowledged is lost")
                    raise typer.Exit(IMPOSSIBLE)
        errors.print("stopping")


@app.command()
def publish(
    files: Annotated[list[Path], typer.Argument(help="recorded files, plain or .gz")],
    source: Annotated[str, flag("source", "who supplied them: ndw, luchtmeetnet, telraam, stadspuls, ...")],
    speed: Annotated[float | None, flag("speed", "times real time (default: at once)", min=0.001)] = None,
    status: Annotated[str | None, flag("status", "call every reading provisional or validated")] = None,
    version: Annotated[str | None, flag("version", "publication stamp of every reading, ISO 8601")] = None,
    broker: Broker = None,
    data_dir: Directory = None,
) -> None:
    """
    Send recorded files as MQTT messages; returns when the broker has all of them.

    Example: stadspuls publish 2024_06_NO2.csv.gz --source luchtmeetnet
    """
    settings = _settings(data_dir=data_dir, broker=broker)
    load_formats(settings.mappings)
    running = _running(settings)
    backlog = Backlog(running.http) if running and not settings.broker else None
    with Sender(_broker(settings)) as sender, _progress() as progress:
        task = progress.add_task("messages", total=None)
        found = recorded(files, source, status, version)
        count = publish_messages(sender, found, speed, backlog, lambda: progress.advance(task))
    errors.print(f"{count} messages published")


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
    form: Annotated[Format, flag("format", "form of the answer")] = Format.TABLE,
    out: Annotated[Path | None, flag("out", "write to this file instead of stdout")] = None,
    database: Database = None,
    data_dir: Directory = None,
) -> None:
    """
    Ask for aggregates with their evidence.

    Example: stadspuls query --quantity no2 --from 2024-06-01 --to 2024-06-02 --window 1h --format csv
    """
    question = Question(quantity, _stamp("from", first), _stamp("to", last), window, sensor, channels, area, vintage)
    with _store(_settings(data_dir=data_dir, database=database)) as store:
        frame = ask(store, question)
    if frame.empty:
        errors.print("no windows found for this question")
    write(frame, form, out)


@sensors_app.command("import")
def sensors_import(
    file: Annotated[Path, typer.Argument(help="CSV, GeoJSON, or NDW's measurement-site table (XML, may be .gz)")],
    database: Database = None,
    data_dir: Directory = None,
) -> None:
    """
    Import a catalogue of sensors.

    Example: stadspuls sensors import sensors.csv
    """
    settings = _settings(data_dir=data_dir, database=database)
    if file.name.removesuffix(".gz").endswith(".xml"):
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        errors.print(f"{import_table(file, settings.data_dir / SITES_FILE)} measurement sites imported")
        return
    entries = read_catalogue(file)
    with _store(settings) as store:
        import_sensors(store, entries)
    errors.print(f"{len(entries)} sensors imported")


@sensors_app.command("list")
def sensors_list(
    source: SourceName = None,
    form: Annotated[Format, flag("format", "form of the answer")] = Format.TABLE,
    database: Database = None,
    data_dir: Directory = None,
) -> None:
    """
    List the sensors.

    Example: stadspuls sensors list --source ndw
    """
    with _store(_settings(data_dir=data_dir, database=database)) as store:
        frame = pd.DataFrame(list_sensors(store, source, limit=1_000_000))
    write(frame.astype({"lanes": "Int64"}) if "lanes" in frame else frame, form, None)


@letters_app.command("list")
def letters_list(
    source: SourceName = None,
    reason: Annotated[str | None, flag("reason", "only where the reason contains this")] = None,
    limit: Annotated[int, flag("limit", "how many at most")] = 100,
    form: Annotated[Format, flag("format", "form of the answer")] = Format.TABLE,
    database: Database = None,
    data_dir: Directory = None,
) -> None:
    """
    List what could not be read, the newest first.

    Example: stadspuls dead-letters list --reason "unknown unit"
    """
    with _store(_settings(data_dir=data_dir, database=database)) as store:
        found = dead_letters(store, source, reason, limit)
    columns = ["last_at", "source", "count", "size", "reason", "topic", "payload"]
    rows = [[getattr(letter, name) for name in columns] for letter in found]
    frame = pd.DataFrame(rows, columns=columns)
    frame["payload"] = [(payload or b"")[:80].decode("utf-8", "replace") for payload in frame["payload"]]
    write(frame, form, None)


@letters_app.command("replay")
def letters_replay(
    source: SourceName = None,
    reason: Annotated[str | None, flag("reason", "only where the reason contains this")] = None,
    limit: Annotated[int, flag("limit", "how many at most")] = 10_000,
    broker: Broker = None,
    database: Database = None,
    data_dir: Directory = None,
) -> None:
    """
    Publish dead letters again, after what was wrong is mended; those that fail again come back.

    Example: stadspuls dead-letters replay --source ttn
    """
    settings = _settings(data_dir=data_dir, broker=broker, database=database)
    with _store(settings) as store, Sender(_broker(settings)) as sender:
        fits = (letter for letter in dead_letters(store, source, reason, limit) if letter.size < LARGEST_REPLAY)
        whole = [letter for letter in fits if letter.whole]
        for letter in whole:
            sender.publish(letter.topic, letter.payload or b"")
        sender.flush()
        exhume(store, whole)
    errors.print(f"{len(whole)} dead letters published again")


@app.command()
def reconcile(
    first: Annotated[str | None, flag("from", "first UTC day (default: the first there is)")] = None,
    last: Annotated[str | None, flag("to", "end of the range, exclusive (default: tomorrow)")] = None,
    repair: Annotated[bool, flag("repair", "recompute what differs")] = False,
    database: Database = None,
    data_dir: Directory = None,
) -> None:
    """
    Compare every window with a plain aggregation of its readings; exit 1 on a difference.

    Example: stadspuls reconcile --from 2024-06-01 --to 2024-07-01
    """
    end = _stamp("to", last).date() if last else datetime.now(UTC).date() + timedelta(days=1)
    with _store(_settings(data_dir=data_dir, database=database)) as store:
        begin = _stamp("from", first).date() if first else first_day(store) or end
        found = list(reconcile_store(store, begin, end, repair=repair))
    shown = [(d.day, d.level, d.compared, len(d.windows)) for d in found if d.compared or d.windows]
    print_table(pd.DataFrame(shown, columns=["day", "level", "compared", "different"]))
    if any(difference.windows for difference in found):
        errors.print("differences repaired, the next roll-up writes their hours" if repair else "windows differ")
        raise typer.Exit(NO)


@app.command()
def maintain(
    thaw: Annotated[bool, flag("thaw", "delete the aggregates of frozen days and unfreeze them")] = False,
    first: Annotated[str | None, flag("from", "first UTC day to thaw")] = None,
    last: Annotated[str | None, flag("to", "end of the days to thaw, exclusive")] = None,
    retention: Annotated[str | None, flag("retention", "keep readings this long, as 90d")] = None,
    database: Database = None,
    data_dir: Directory = None,
) -> None:
    """
    Drop and freeze days beyond the retention, or thaw frozen days.

    Example: stadspuls maintain --thaw --from 2024-06-01 --to 2024-07-01
    """
    settings = _settings(data_dir=data_dir, database=database, retention=retention)
    if thaw and not (first and last):
        raise BadQuestion("--thaw needs --from and --to")
    with _store(settings) as store:
        if thaw:
            days = thaw_store(store, _stamp("from", first or "").date(), _stamp("to", last or "").date())
        else:
            days = maintain_store(store, datetime.now(UTC), settings.retention)
    errors.print(f"{len(days)} days {'thawed' if thaw else 'frozen'}")


@app.command()
def migrate(database: Database = None, data_dir: Directory = None) -> None:
    """
    Bring the schema of a database up to date.

    Example: stadspuls migrate --database postgresql://owner@db/stadspuls
    """
    settings = _settings(data_dir=data_dir, database=database)
    with _store(settings) as store:
        edition = migrate_store(store, settings.timezone, settings.chunk_interval)
    errors.print(f"schema is up to date, edition {edition}")


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
    settings = _settings(data_dir=data_dir, broker=broker, database=database)
    findings = list(examine(settings, find_hub(settings.data_dir)))
    marks = {True: "good", False: "BAD", None: ""}
    print_table(pd.DataFrame([(marks[f.good], f.what, f.found) for f in findings], columns=["", "what", "found"]))
    print_table(pd.DataFrame(settings_table(settings), columns=["setting", "value", "from"]))
    if any(finding.good is False for finding in findings):
        raise typer.Exit(NO)


@app.command()
def bench(
    name: Annotated[str | None, typer.Argument(help=f"one of {', '.join(BENCHES)} (default: all)")] = None,
    json: Annotated[bool, flag("json", "one object for machines, a list for all")] = False,
    file: Annotated[Path | None, flag("file", "recorded national NDW minute (default: one made up)")] = None,
    broker: Broker = None,
    database: Annotated[str | None, flag("database", "URL of an empty database made for it (default: its own)")] = None,
    data_dir: Directory = None,
) -> None:
    """
    Measure this machine, with servers of its own where none are named.

    Example: stadspuls bench write --json
    """
    settings = _settings(data_dir=data_dir, broker=broker, database=database)
    if name is not None and name not in BENCHES:
        raise BadQuestion(f"bench {name!r}, expected one of {', '.join(BENCHES)}")
    found = []
    for one in [name] if name else BENCHES:
        errors.print(f"measuring {one}")
        found.append(BENCHES[one](settings, file))
    if json:
        typer.echo(msgspec.json.encode(found[0] if name else found))
    else:
        print_table(pd.DataFrame([msgspec.structs.asdict(one) for one in found]).drop(columns="details"))


def main() -> None:
    """Run the command line, and say in one line what went wrong."""
    try:
        app(prog_name="stadspuls")
    except (BadSettings, BadQuestion, BadCatalogue, BadRecording, BadPayload, BadStatistics, BadMap, Refused) as error:
        _end(error, WRONG)
    except (CannotStart, StoreError, BrokerRefused, Unreachable, TimeoutError, OSError) as error:
        _end(error, IMPOSSIBLE)


def _end(error: Exception, code: int) -> None:
    errors.print(f"error: {error}", markup=False)
    sys.exit(code)


def _settings(**flags: Any) -> Settings:
    settings = load(flags)
    set_up_logging(settings.log_level, settings.log_format)
    return settings


def _running(settings: Settings) -> RunningHub | None:
    running = find_hub(settings.data_dir)
    return running if running and running.alive else None


def _broker(settings: Settings) -> Address:
    running = _running(settings)
    if not settings.broker and not running:
        raise CannotStart(f"no hub runs in {settings.data_dir}, start one with `stadspuls up` or name a --broker")
    return Address.parse(settings.broker or (running.broker if running else "")).with_credentials(settings.credentials)


@contextmanager
def _store(settings: Settings) -> Iterator[Store]:
    running = _running(settings)
    if not settings.database and not running:
        raise CannotStart(f"no hub runs in {settings.data_dir}, start one with `stadspuls up` or name a --database")
    with closing(Store(settings.database or (running.database if running else ""))) as store:
        yield store


def _stamp(name: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadQuestion(f"--{name} {text!r}, expected a date or stamp in ISO 8601") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _stop_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


@contextmanager
def _demo(settings: Settings, hub: EmbeddedHub) -> Iterator[None]:
    demo = Demo(settings.data_dir, hub.broker, settings.timezone)
    with closing(Store(hub.database)) as store:
        demo.catalogue(store)
    demo.start()
    try:
        yield
    finally:
        demo.stop()


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=errors, transient=True)


from hub import cli_areas, cli_services  # noqa: E402, F401 - register `areas`, collect, work, rollup and serve on `app`
