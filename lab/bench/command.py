"""
`stadspuls bench`: measures this machine and prints a table, or JSON for machines.

`hub.cli.main` loads it when it is called; `lab.bench.registry` has the benches by name.
"""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from aggregates.ask.dates import BadQuestion
from hub.cli.common import command
from hub.cli.output import errors, print_table
from hub.settings.settings import Settings
from lab.bench.registry import BENCHES, measure


@command("bench", "broker", "database")
def bench(
    settings: Settings,
    name: Annotated[str | None, typer.Argument(help=f"one of {', '.join(BENCHES)} (default: all)")] = None,
    /, json: bool = False, viewers: int = 0, series: int = 0, days: int = 0, period: int = 0, seconds: int = 0,
    file: Path | None = None,
) -> None:  # fmt: skip
    """Measure this machine, with servers of its own where none are named."""
    if name is not None and name not in BENCHES:
        raise BadQuestion(f"bench {name!r}, expected one of {', '.join(BENCHES)}")
    found = []
    for one in [name] if name else BENCHES:
        errors.print(f"measuring {one}")
        found.append(
            measure(one, settings, file, viewers=viewers, series=series, days=days, period=period, seconds=seconds)
        )
    if json:
        typer.echo(msgspec.json.encode(found[0] if name else found))
    else:
        names = [name for name in found[0].__struct_fields__ if name != "details"]
        print_table(names, [[getattr(one, name) for name in names] for one in found])
