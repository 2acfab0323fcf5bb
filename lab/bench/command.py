"""
`stadspuls bench`: measures this machine and prints a table, or JSON for machines.

`hub.cli.main` loads it when it is called; `lab.bench.registry` has the benches by name.
"""

from pathlib import Path
from typing import Annotated

import msgspec
import pandas as pd
import typer

from aggregates.ask.query import BadQuestion
from hub.cli.common import app, command, flag
from hub.cli.output import errors, print_table
from hub.settings.settings import Settings
from lab.bench.registry import BENCHES, measure


@command(app, "bench", "broker", database="URL of an empty database made for it (default: its own)")
def bench(
    settings: Settings,
    name: Annotated[str | None, typer.Argument(help=f"one of {', '.join(BENCHES)} (default: all)")] = None,
    json: Annotated[bool, flag("json", "one object for machines, a list for all")] = False,
    viewers: Annotated[int, flag("viewers", "latency: people at the live page meanwhile", min=0)] = 0,
    file: Annotated[Path | None, flag("file", "recorded national NDW minute (default: one made up)")] = None,
) -> None:
    """
    Measure this machine, with servers of its own where none are named.

    Example: stadspuls bench write --json
    """
    if name is not None and name not in BENCHES:
        raise BadQuestion(f"bench {name!r}, expected one of {', '.join(BENCHES)}")
    found = []
    for one in [name] if name else BENCHES:
        errors.print(f"measuring {one}")
        found.append(measure(one, settings, file, viewers))
    if json:
        typer.echo(msgspec.json.encode(found[0] if name else found))
    else:
        print_table(pd.DataFrame([msgspec.structs.asdict(one) for one in found]).drop(columns="details"))
