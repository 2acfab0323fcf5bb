"""
The windows of areas as an Arrow table.

`aggregates.ask.listings` puts measures beside them, `aggregates.ask.query` asks for those of one area.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from aggregates.ask.dates import NO_AREAS, BadQuestion
from aggregates.ask.series import nullable, stamps
from aggregates.store.binary import unpacked
from aggregates.store.store import Store, Transaction

WORDS = pa.list_(pa.field("item", pa.string(), nullable=False))  # as the members of a window
VIEWS = {"1h": "area_panel_1h", "1d": "area_panel_1d"}  # of area windows, by their length


def newest_vintage(store: Store | Transaction) -> int:
    """Return the newest vintage that is loaded; raises BadQuestion where none is."""
    ((vintage,),) = store.rows("read_newest_vintage")
    if vintage is None:
        raise BadQuestion(NO_AREAS)
    return int(vintage)


# A window as the statement `area_windows` packs it; NaN is null.
WINDOW = np.dtype([
    ("start", "i8"), ("end", "i8"), ("value", "f8"), ("estimate", "f8"), ("minimum", "f8"), ("maximum", "f8"),
    ("coverage", "f8"), ("readings", "i8"), ("flagged", "i8"), ("failed", "i8"), ("sensors", "i4"),
    ("valid_sensors", "i4"), ("revision", "i4"), ("valid", "i4"), ("computed_at", "i8"),
])  # fmt: skip
_LABELS = ("code", "quantity", "level", "name", "unit", "members")
_SCOPE = ("level", "quantities", "codes", "coverage", "valid")


def area_windows(
    tx: Transaction, window: str, vintage: int | None, *, first: datetime, last: datetime,
    page: tuple[Sequence[object] | None, int] | None = None, **scope: object,
) -> pa.Table:  # fmt: skip
    """
    Return windows (1h or 1d) of areas of a vintage, by code, quantity and start, or a page: behind a key, so many.

    `scope` is what they must be, left out or null for any: `level`, `quantities`, `codes`, `coverage`, `valid`. What
    repeats is a dictionary, so that a million rows are small.
    """
    asked = {**dict.fromkeys(_SCOPE), **scope, "vintage": vintage, "first": first, "last": last}
    if page is None:
        tx.rows("plan_for_areas")
        rows = tx.rows("area_windows", VIEWS[window], **asked)
    else:
        asked |= zip(("after_code", "after_quantity", "after_start"), page[0] or (None,) * 3, strict=True)
        rows = tx.rows("page_of_area_windows", VIEWS[window], limit=page[1], **asked)
    times = [len(row[-1]) // WINDOW.itemsize for row in rows]
    windows = unpacked(b"".join(row[-1] for row in rows), WINDOW, sum(times))
    # Rows come by code and quantity, one for each set of members.
    changes = [at > 0 and one[:2] != rows[at - 1][:2] for at, one in enumerate(rows)]
    of_row = np.repeat(np.arange(len(rows)), times)
    order = np.lexsort((windows["start"], np.repeat(np.cumsum(changes), times)))
    windows = windows.take(order)
    columns = {name: _column(windows, name) for name in WINDOW.names or ()}
    columns |= {name: _label(name, rows, at).take(pa.array(of_row[order])) for at, name in enumerate(_LABELS)}
    return pa.table({**columns, "vintage": pa.array([vintage] * len(windows), pa.int32())})


def _column(windows: NDArray[Any], name: str) -> "pa.Array[Any]":
    if name in ("start", "end", "computed_at"):
        return stamps(windows[name])
    return pa.array(windows[name].astype(bool)) if name == "valid" else nullable(windows[name])


def _label(name: str, rows: Sequence[tuple[Any, ...]], at: int) -> Any:
    found = [row[at] for row in rows]
    return pa.array(found, WORDS) if name == "members" else pa.array(found, pa.string()).dictionary_encode()


def codes_within(
    store: Store, vintage: int | None, box: Sequence[float], codes: Sequence[str] | None = None
) -> list[str]:
    """Name the areas of a vintage, the newest by default, that meet a box (degrees); of `codes`, if given."""
    west, south, east, north = box
    found = store.rows("list_boundaries", vintage=vintage, codes=codes)
    shapes = shapely.from_wkb(np.array([row[1] for row in found], dtype=object))
    inside = shapely.intersects(shapes, shapely.box(west, south, east, north))
    return [row[0] for row, meets in zip(found, inside, strict=True) if meets]
