"""
Areas: their list, and their windows as a pandas frame.

`stadspuls areas`, the API and the exports call it, and `aggregates.ask.query` for the windows of one area.
"""

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import shapely

from aggregates.ask.series import BadQuestion
from aggregates.store.store import Store, Transaction

VIEWS = {"1h": "area_hour", "1d": "area_day"}  # of area windows, by their length
NO_AREAS = "no areas are loaded, see `stadspuls areas load --help`"


def newest_vintage(store: Store) -> int:
    """Return the newest vintage that is loaded; raises BadQuestion where none is."""
    ((vintage,),) = store.rows("read_newest_vintage")
    if vintage is None:
        raise BadQuestion(NO_AREAS)
    return int(vintage)


# A window as the statement `area_windows` packs it; stamps are seconds since 1970, NaN is null.
WINDOW = np.dtype([
    ("start", ">i8"), ("end", ">i8"), ("value", ">f8"), ("estimate", ">f8"), ("minimum", ">f8"), ("maximum", ">f8"),
    ("coverage", ">f8"), ("readings", ">i8"), ("flagged", ">i8"), ("failed", ">i8"), ("sensors", ">i4"),
    ("valid_sensors", ">i4"), ("revision", ">i4"), ("valid", ">i4"),
])  # fmt: skip
_LABELS = ("code", "name", "level", "unit", "members")


def area_frame(
    tx: Transaction, window: str, *, quantity: str | None, first: datetime, last: datetime, vintage: int | None,
    level: str | None = None, code: str | None = None,
) -> pd.DataFrame:  # fmt: skip
    """
    Return the windows (1h or 1d) of the areas of a vintage, by code and start: all, those of a level, or of one area.

    What repeats is a category, so that a million rows are small.
    """
    rows = tx.rows(
        "area_windows", VIEWS[window], quantity=quantity, first=first, last=last, vintage=vintage, level=level,
        code=code,
    )  # fmt: skip
    windows = np.frombuffer(b"".join(row[-1] for row in rows), WINDOW)
    times = [len(row[-1]) // WINDOW.itemsize for row in rows]
    labels = {
        name: pd.Categorical([row[at] for row in rows]).repeat(times) if rows else pd.Categorical([])
        for at, name in enumerate(_LABELS)
    }
    numbers = {name: windows[name].astype(WINDOW[name].newbyteorder("=")) for name in WINDOW.names or ()}
    frame = pd.DataFrame({**labels, **numbers})
    frame["valid"] = frame["valid"].astype(bool)
    for name in ("start", "end"):
        frame[name] = frame[name].astype("M8[s]").astype("M8[us]").dt.tz_localize("UTC")
    frame = frame.sort_values(["code", "start"], ignore_index=True)
    frame.insert(2, "vintage", vintage)
    frame.insert(3, "quantity", pd.Series(pd.Categorical([quantity]).repeat(len(frame))))
    return frame


def areas(
    store: Store, vintage: int, level: str | None = None, after: str = "", limit: int = 10_000, area: str | None = None
) -> list[dict[str, Any]]:
    """
    List areas by code, those behind `after`; those without a boundary have `lon` and `lat` null.

    `area` is the code of one: it and all that lie in it.
    """
    names = ("vintage", "code", "level", "name", "municipality", "derived", "geometry", "sensors", "statistics")
    rows = store.rows("list_areas", vintage=vintage, level=level, after=after, limit=limit, area=area)
    return [_area(dict(zip(names, row, strict=True))) for row in rows]


def _area(found: dict[str, Any]) -> dict[str, Any]:
    shape = shapely.from_wkb(found["geometry"]) if found["geometry"] is not None else None
    point = shapely.point_on_surface(shape) if shape is not None else None
    place = {"lon": None, "lat": None} if point is None else {"lon": round(point.x, 6), "lat": round(point.y, 6)}
    return {**found, **place, "geometry": shape}
