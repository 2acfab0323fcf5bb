"""
What every command shares: the app, its exit codes, flags, and how a command finds the hub that it is about.

The commands stand beside this module by what they are for; `hub.cli.main` loads them.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from aggregates.areas.codes import is_code
from aggregates.ask.chosen import BadQuestion
from aggregates.store.store import Store
from hub.cli.output import Format, errors
from hub.run.logging import set_up_logging
from hub.servers.datadir import RunningHub, find_hub
from hub.servers.process import CannotStart
from hub.settings.settings import PREFIX, Settings, load, sources_of
from ingest.mqtt.address import Address

NO, WRONG, IMPOSSIBLE = 1, 2, 3

app = typer.Typer(name="stadspuls", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.callback()
def stadspuls() -> None:
    """Stadspuls: from what a city's sensors say to figures that people can act on."""


def flag(name: str, text: str, **more: Any) -> Any:
    """Make an option `--name` that is also `STADSPULS_NAME`."""
    return typer.Option(f"--{name}", envvar="STADSPULS_" + name.upper().replace("-", "_"), help=text, **more)


Directory = Annotated[Path | None, flag("data-dir", "data directory of the hub (default: data)")]
Broker = Annotated[str | None, flag("broker", "mqtt:// or mqtts:// URL of a broker (default: the hub's own)")]
Database = Annotated[str | None, flag("database", "postgresql:// URL (default: the hub's own)")]
SensorId = Annotated[str | None, flag("sensor", "sensor id, <source>/<id>")]
ApiToken = Annotated[str | None, flag("api-token", "who has it may read; better in the environment than here")]
Public = Annotated[bool | None, flag("public", "let everyone read who reaches the address")]
Form = Annotated[Format, flag("format", "form of the answer")]
Out = Annotated[Path | None, flag("out", "write to this file instead of stdout")]
Retention = Annotated[str | None, flag("retention", "keep readings this long, as 90d (default: for ever)")]
HttpHost = Annotated[str | None, flag("http-host", "address of the HTTP side")]
HttpPort = Annotated[int | None, flag("http-port", "port of the HTTP side")]
MetricsPort = Annotated[int | None, flag("metrics-port", "port of this service's own metrics, 0: none")]
SourceName = Annotated[str | None, flag("source", "only this source")]


def settings_of(*, service: bool = False, **flags: Any) -> Settings:
    """Load the settings with these flags on top; what is no service logs only warnings, unless told otherwise."""
    # What a flag took from the environment is left to `load`, which says where it came from.
    said = {name: value for name, value in flags.items() if str(value) != os.environ.get(PREFIX + name.upper())}
    settings = load(said)
    quiet = not service and sources_of(settings)["log_level"] == "default"
    set_up_logging("warning" if quiet else settings.log_level, settings.log_format)
    return settings


def running_hub(settings: Settings) -> RunningHub | None:
    """Give the hub that runs in the data directory."""
    running = find_hub(settings.data_dir)
    return running if running and running.alive else None


def broker_of(settings: Settings) -> Address:
    """Give the broker that is named, or the running hub's; raises CannotStart where there is neither."""
    running = running_hub(settings)
    if not settings.broker and not running:
        raise CannotStart(f"no hub runs in {settings.data_dir}, start one with `stadspuls up` or name a --broker")
    return Address.parse(settings.broker or (running.broker if running else "")).with_credentials(settings.credentials)


@contextmanager
def open_store(settings: Settings) -> Iterator[Store]:
    """Open the database that is named, or the running hub's; raises CannotStart where there is neither."""
    running = running_hub(settings)
    if not settings.database and not running:
        raise CannotStart(f"no hub runs in {settings.data_dir}, start one with `stadspuls up` or name a --database")
    with closing(Store(settings.database or (running.database if running else ""))) as store:
        yield store


def stamp(name: str, text: str) -> datetime:
    """Read a stamp of a flag, UTC where it names no zone; raises BadQuestion."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadQuestion(f"--{name} {text!r}, expected a date or stamp in ISO 8601") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def municipality_code(name: str, text: str) -> str:
    """Read the code of a municipality out of a flag; raises BadQuestion."""
    code = text.strip().upper()
    if not (is_code(code) and code.startswith("GM")):
        raise BadQuestion(f"--{name} {text!r}, expected GM and four digits, as GM0014")
    return code


def progress_bar() -> Progress:
    """Show on stderr how many are done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=errors, transient=True)


def stop_signals() -> threading.Event:
    """Give an event that is set by Ctrl-C and by TERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
