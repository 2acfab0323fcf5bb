"""
`chaos`: runs a distributed hub whose parts are killed while readings are counted.

`lab.chaos` is what it runs, loaded when it is called; `make chaos` fetches the programs that it needs first.
"""

import secrets
import signal
import sys
from typing import Annotated

import typer
from rich.console import Console

from aggregates.ask.query import BadQuestion
from hub.cli.common import NO, app, command, flag
from hub.cli.output import errors
from hub.settings.settings import Settings


@command(app, "chaos", database="URL of an empty database made for it (default: its own)")
def chaos(
    settings: Settings,
    seconds: Annotated[float, flag("seconds", "how long readings are published", min=10)] = 180.0,
    rate: Annotated[float, flag("rate", "readings a second", min=1)] = 2_000.0,
    seed: Annotated[int | None, flag("seed", "of the order of events (default: another each time)")] = None,
    only: Annotated[list[str] | None, flag("only", "only this event, as 'kill -9 kafka'; repeatable")] = None,
) -> None:
    """
    Kill, freeze and cut off the parts of a distributed hub, and prove that no reading is lost; exit 1 when one is.

    Example: stadspuls chaos --seconds 60 --seed 7
    """
    from lab.chaos.plan import POSSIBLE, USUAL
    from lab.chaos.report import show
    from lab.chaos.run import Scale
    from lab.chaos.run import chaos as run_chaos

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
