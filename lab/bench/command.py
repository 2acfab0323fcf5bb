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
from hub.cli.common import app, command
from hub.cli.output import errors, print_table
from hub.settings.settings import Settings
from lab.bench.registry import BENCHES, measure


@command(app, "bench", "broker", "database")
def bench(
    settings: Settings,
    name: Annotated[str | None, typer.Argument(help=f"one of {', '.join(BENCHES)} (default: all)")] = None,
    /, json: bool = False, viewers: int = 0, file: Path | None = None,
) -> None:  # fmt: skip
    """Measure this machine, with servers of its own where none are named."""
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
