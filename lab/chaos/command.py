"""
`chaos`: runs a distributed hub whose parts are killed while readings are counted.

`lab.chaos` is what it runs, loaded when it is called; `make chaos` fetches the programs that it needs first.
"""

import secrets
import signal
import sys

import typer
from rich.console import Console

from aggregates.ask.dates import BadQuestion
from hub.cli.common import NO, command
from hub.cli.output import errors
from hub.settings.settings import Settings


@command("chaos", "database")
def chaos(
    settings: Settings, seconds: float = 180.0, rate: float = 2_000.0, seed: int | None = None,
    only: list[str] | None = None,
) -> None:  # fmt: skip
    """Kill, freeze and cut off the parts of a distributed hub, and prove that no reading is lost; else exit 1."""
    from lab.chaos.plan import POSSIBLE, USUAL
    from lab.chaos.report import show
    from lab.chaos.run import chaos as run_chaos
    from lab.chaos.stage import Scale

    names = {f"{action} {part}": (action, part) for action, part in POSSIBLE}
    if unknown := sorted(set(only or ()) - names.keys()):
        raise BadQuestion(f"event {unknown[0]!r}, expected one of {', '.join(names)}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it must not leave its servers behind
    report = run_chaos(
        settings, Scale(seconds, rate), secrets.randbelow(10_000) if seed is None else seed,
        tuple(names[name] for name in only) if only else USUAL, errors.print,
    )  # fmt: skip
    show(report, Console(width=None if sys.stdout.isatty() else 140))
    if not report.good:
        raise typer.Exit(NO)
