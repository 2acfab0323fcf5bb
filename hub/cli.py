"""
The command line: every command, and what its end says.

Exit codes: 0 good, 1 the data say no, 2 used wrongly, 3 it could not be done. Messages go to stderr, data to stdout.
Every flag `--a-b` is also the environment variable `STADSPULS_A_B`. The commands stand in `hub.commands`; a process
loads those of its own first word, and what they need, and all of them for the help.
"""

import importlib
import sys

import typer

from hub.commands.common import IMPOSSIBLE, NO, WRONG, app
from hub.output import errors

# The modules of `hub.commands`, each with the first words of its commands; the help has them in this order.
MODULES = {
    "run": "up migrate publish",
    "services": "collect work rollup serve",
    "gateway": "gateway",
    "ask": "query sensors doctor bench",
    "keep": "dead-letters reconcile maintain",
    "areas": "areas",
    "figures": "areas",
    "alerts": "alerts",
    "rules": "alerts",
    "export": "export",
    "grafana": "grafana",
    "chaos": "chaos",
}


def main() -> None:
    """Run the command line, and say in one line what went wrong."""
    load(*sys.argv[1:2])
    try:
        app(prog_name="stadspuls")
    except Exception as error:
        if (code := _code(error)) is None:
            raise
        errors.print(f"error: {error}", markup=False)
        sys.exit(code)


def load(word: str = "") -> typer.Typer:
    """Register the commands that begin with a word, or all where none does."""
    found = [module for module, words in MODULES.items() if word in words.split()]
    for module in found or MODULES:
        importlib.import_module(f"hub.commands.{module}")
    return app


def _code(error: Exception) -> int | None:
    """Give the exit code of a failure that a user can understand; None for a bug."""
    from hub.failures import FAILURES, MISUSES, REFUSALS

    codes = ((MISUSES, WRONG), (REFUSALS, NO), (FAILURES, IMPOSSIBLE))
    return next((code for kinds, code in codes if isinstance(error, kinds)), None)
