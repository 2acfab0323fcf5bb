"""
The command line: the module of a command (`commands.toml` has these) is loaded, and a failure gets its exit code.

Exit codes: 0 good, 1 the data say no, 2 used wrongly, 3 it could not be done. Messages go to stderr, data to stdout.
Every flag `--a-b` is also the environment variable `STADSPULS_A_B`. A process loads the module of its own first word,
and all of them for the help.
"""

import gc
import importlib
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from threading import Lock
from types import ModuleType
from typing import Any

import typer

from hub.cli.common import IMPOSSIBLE, NO, WORDS, WRONG, app
from hub.cli.output import errors

MODULES: Mapping[str, str] = WORDS["modules"]
# The exit codes of failures, by module and name: to import the classes would make every command slow to start.
CODES = {
    WRONG: "layers.BadSettings dates.BadQuestion readings.BadPayload statistics.BadDocument values.BadFile",
    NO: "indicators.Refused",
    IMPOSSIBLE: "process.CannotStart errors.StoreError sender.BrokerRefused cbs_door.Unreachable "
    "memory.Taken worker.WorkerEnded delivery.Unsent builtins.OSError",
}
# Large libraries, loaded when used. `importlib.util.LazyLoader` is not safe in threads before Python 3.12.3.
LATE = "pandas pyarrow.compute pyarrow.parquet shapely jinja2 pyproj xlsxwriter odata_query.ast odata_query.grammar"
_LOCK = Lock()


class Late(ModuleType):
    """A module of `LATE`: loaded when something of it is first used, in any thread, for many modules import it."""

    def __getattr__(self, name: str) -> Any:
        with _LOCK:
            if sys.modules.get(self.__name__) is self:
                del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def main() -> None:
    """Run the command line, and print a failure in one line."""
    for name in LATE.split():
        sys.modules.setdefault(name, Late(name))
    load(*sys.argv[1:2])
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # a batch is thousands of objects: the default searches each 700 (docs/speed.md)
    try:
        app(prog_name="stadspuls")
    except Exception as error:
        if (code := _code(error)) is None:
            raise
        errors.print(f"error: {error}")
        sys.exit(code)


def load(word: str = "") -> typer.Typer:
    """Register the commands that begin with a word, or all where none does."""
    there = {module: words for module, words in MODULES.items() if find_spec(module.partition(".")[0])}
    found = [module for module, words in there.items() if word in words.split()]
    for module in found or there:
        importlib.import_module(module)
    return app


def _code(error: Exception) -> int | None:
    """Give the exit code of a failure that a user can understand; None for a bug."""
    names = {f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}" for kind in type(error).__mro__}
    return next((code for code, words in CODES.items() if names & set(words.split())), None)
