"""
What the dashboards show, as data: `pages/*.toml`, a dashboard each, `variables.toml`, and SQL that is put around
statements.

`hub.grafana.model` makes Grafana's typed model of them. A page that cannot work is refused with its file and key. Every
panel has one SQL statement over the views of docs/analysts.md, run as the role that may only read.

The statement of a time series gives `time`, `end`, `metric` and `value`, a row a window: where windows are missing
between two, nothing is drawn. `$level` in it stands for 5m, 1h or 1d, by the length of the range that is looked at.
"""

from pathlib import Path
from typing import Literal, TypeVar

import msgspec

PAGES = Path(__file__).with_name("pages")

T = TypeVar("T")
Kind = Literal["timeseries", "stat", "table", "barchart", "geomap", "xychart"]


class Panel(msgspec.Struct, forbid_unknown_fields=True):
    """`[[panel]]`: `width` of 24 columns, `height` in rows of 30 pixels, `unit` by Grafana's name for it."""

    title: str
    kind: Kind
    sql: str
    description: str = ""
    unit: str = ""
    width: int = 12
    height: int = 8
    limits: list[tuple[float, str]] = []  # from which value on in which colour
    decimals: int | None = None
    stacked: bool = False
    links: dict[str, str] = {}  # column: address, with ${__value.text} for the cell
    row: str = ""  # a heading above the panel


class Page(msgspec.Struct, forbid_unknown_fields=True):
    """
    A dashboard; its uid is the name of its file. `since` is the range it shows at first, as now-24h.

    `alerts` is an SQL condition on the table `alert` (as `a`): which alerts are annotations in the graphs; empty: none.
    """

    title: str
    description: str
    folder: str
    variables: list[str]
    panel: list[Panel]
    alerts: str = ""
    since: str = "now-24h"
    refresh: str = "30s"


class Variable(msgspec.Struct, forbid_unknown_fields=True):
    """A choice at the top of a dashboard: the rows of a query, or a list of words."""

    label: str
    query: str = ""
    words: list[str] = []
    all: str = ""  # what stands for "all of them", where that may be chosen
    by_range: bool = False  # asked again when another time is looked at


def variables() -> dict[str, Variable]:
    """Read the variables by name; raises ValueError, naming file and key."""
    return _read(PAGES / "variables.toml", dict[str, Variable])


def pages() -> dict[str, Page]:
    """Read the dashboards by uid; raises ValueError, naming file and key."""
    found = {path.stem: _read(path, Page) for path in sorted(PAGES.glob("*.toml")) if path.stem != "variables"}
    known = variables()
    for uid, page in found.items():
        if strange := [name for name in page.variables if name not in known]:
            raise ValueError(f"{uid}.toml: variables {', '.join(strange)}, expected some of {', '.join(known)}")
    return found


def _read(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.toml.decode(path.read_bytes(), type=kind)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error
