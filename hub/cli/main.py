"""
The command line: every command, and what its end says.

Exit codes: 0 good, 1 the data say no, 2 used wrongly, 3 it could not be done. Messages go to stderr, data to stdout.
Every flag `--a-b` is also the environment variable `STADSPULS_A_B`. The commands stand in `hub.cli`; a process
loads those of its own first word, and what they need, and all of them for the help.
"""

import importlib
import sys
from importlib.util import find_spec

import typer

from hub.cli.common import IMPOSSIBLE, NO, WRONG, app
from hub.cli.output import errors

# The modules that hold the commands, each with their first words; the help has them in this order. The laboratory is
# not part of an image: there it has no commands.
MODULES = {
    "hub.cli.run": "up migrate publish",
    "hub.cli.services": "collect work rollup serve",
    "hub.cli.gateway": "gateway",
    "hub.cli.ask": "query sensors doctor",
    "hub.cli.keep": "dead-letters reconcile maintain",
    "hub.cli.areas": "areas",
    "hub.cli.figures": "areas",
    "hub.cli.alerts": "alerts",
    "hub.cli.rules": "alerts",
    "hub.cli.export": "export",
    "hub.cli.grafana": "grafana",
    "lab.bench.command": "bench",
    "lab.chaos.command": "chaos",
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
    there = {module: words for module, words in MODULES.items() if find_spec(module.partition(".")[0])}
    found = [module for module, words in there.items() if word in words.split()]
    for module in found or there:
        importlib.import_module(module)
    return app


def _code(error: Exception) -> int | None:
    """Give the exit code of a failure that a user can understand; None for a bug."""
    from hub.cli.failures import FAILURES, MISUSES, REFUSALS

    codes = ((MISUSES, WRONG), (REFUSALS, NO), (FAILURES, IMPOSSIBLE))
    return next((code for kinds, code in codes if isinstance(error, kinds)), None)
