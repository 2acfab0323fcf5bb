"""
Areas: their list, their windows beside the statistics of the same vintage as a pandas frame, and how sensors lie.

`stadspuls areas`, the API, `doctor` and the exports call it; `aggregates.ask.query` asks for the windows of one area.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import shapely

from aggregates.areas.geometry import NEAR
from aggregates.ask.dates import dated, zone_of
from aggregates.ask.indicators import Refused
from aggregates.ask.series import VIEWS, BadQuestion
from aggregates.store.store import Store


@dataclass(frozen=True, slots=True)
class Join:
    """Windows of one quantity in `[first, last)` of all areas of a level, and the measures beside them."""

    quantity: str
    first: datetime
    last: datetime
    window: str
    vintage: int
    level: str | None = None
    measures: Sequence[str] = ()


NO_AREAS = "no areas are loaded, see `stadspuls areas load --help`"


def newest_vintage(store: Store) -> int:
    """Return the newest vintage that is loaded; raises BadQuestion where none is."""
    ((vintage,),) = store.rows("read_newest_vintage")
    if vintage is None:
        raise BadQuestion(NO_AREAS)
    return int(vintage)


def joined(store: Store, asked: Join) -> pd.DataFrame:
    """Return a row an area and window; where there is none, an empty frame with the same columns."""
    with store.transaction(snapshot=True) as tx:
        tx.rows("plan_for_areas")
        zone = zone_of(tx)
        _, rows = tx.frame(
            "join_area_windows", view=VIEWS[asked.window], quantity=asked.quantity, first=asked.first, last=asked.last,
            vintage=asked.vintage, level=asked.level,
        )  # fmt: skip
        cells = tx.rows("list_area_statistics", vintage=asked.vintage, measures=list(asked.measures), level=asked.level)
    columns = ["code", "measure", "value", "attribute", "unit", "period", "vintage", "source", "licence"]
    return beside(
        dated(_unpacked(rows, asked), zone, asked.window), pd.DataFrame(cells, columns=columns), asked.measures
    )


# A window as the statement `join_area_windows` packs it; stamps are seconds since 1970, NaN is null.
WINDOW = np.dtype([
    ("start", ">i8"), ("end", ">i8"), ("value", ">f8"), ("estimate", ">f8"), ("minimum", ">f8"), ("maximum", ">f8"),
    ("coverage", ">f8"), ("readings", ">i8"), ("flagged", ">i8"), ("failed", ">i8"), ("sensors", ">i4"),
    ("valid_sensors", ">i4"), ("revision", ">i4"), ("valid", ">i4"),
])  # fmt: skip
_LABELS = ("code", "name", "level", "unit", "members")


def _unpacked(rows: list[tuple[Any, ...]], asked: Join) -> pd.DataFrame:
    """Make a frame of packed windows; what repeats is a category, so that a million rows are small."""
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
    frame.insert(2, "vintage", asked.vintage)
    frame.insert(3, "quantity", pd.Series(pd.Categorical([asked.quantity]).repeat(len(frame))))
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


def state_lines(store: Store) -> Iterator[tuple[str, str, bool | None]]:
    """Yield lines for `doctor`: what is loaded, what waits, and how the sensors of each vintage lie."""
    ((marks, loads),) = store.rows("count_area_marks")
    if not loads:
        yield "areas", NO_AREAS, None
        return
    for vintage, municipality, part, title, *_ in store.rows("list_area_loads", vintage=None):
        yield f"areas {vintage} {municipality}", f"{part}: {title}", None
    yield "area hours waiting", f"{marks} marks", marks < 100_000
    for vintage, status, count, example in store.rows("count_placements"):
        yield f"sensors {vintage} {status}", f"{count}, as {example}: {_ANSWERS[status]}", None


_ANSWERS = {
    "inside": "in one area",
    "border": "on a border, in the first of its areas by code",
    "overlap": "where areas overlap, in the one it lies deepest in",
    "gap": f"in no area, within {NEAR:g} m of one: a gap of the map, not snapped",
    "outside": "in no area that is loaded",
}


class MixedVintages(Refused):
    """Two vintages in one join: areas with one code are not one area, and figures of two years not one figure."""


def beside(figures: pd.DataFrame, statistics: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
    """
    Put each measure of an area beside its figures: a column `<measure>` and a column `<measure>_reason`.

    `figures` has `code` and `vintage`, `statistics` is long (code, measure, value, attribute, vintage). A figure
    without a value stays null and has its reason; an area that the statistics do not know has that as its reason.
    Raises MixedVintages.

    >>> figures = pd.DataFrame({"code": ["BU1", "BU2"], "vintage": [2024, 2024], "value": [7.0, 8.0]})
    >>> cells = {"code": ["BU1"], "measure": ["density"], "value": [None], "attribute": ["secret"], "vintage": [2024]}
    >>> beside(figures, pd.DataFrame(cells), ["density"])["density_reason"].tolist()
    ['secret', 'no statistics of this area']
    """
    _same_vintage(figures, statistics)
    known = statistics.drop_duplicates(["code", "measure"])
    index = pd.Index(sorted(known["code"].unique()), name="code", dtype=object)
    wide = pd.DataFrame(index=index)
    for measure in measures:
        own = known[known["measure"] == measure].set_index("code")
        wide[measure] = own["value"].astype("float64").reindex(index)
        reason = own["attribute"].astype(object).reindex(index)
        wide[f"{measure}_reason"] = reason.where(index.isin(own.index), "not in the table of this vintage")
    codes = pd.Categorical(figures["code"].astype(object)) if figures.empty else pd.Categorical(figures["code"])
    wide = wide.reindex(pd.Index(codes.categories, dtype=object))
    strange = ~wide.index.isin(index)
    joined = figures.copy(deep=False)
    for measure in measures:
        reasons = wide[f"{measure}_reason"].astype(object).where(~strange, "no statistics of this area")
        reasons = reasons.where(reasons.notna(), None)
        joined[measure] = wide[measure].to_numpy()[codes.codes]
        joined[f"{measure}_reason"] = reasons.to_numpy()[codes.codes]
    return joined


def _same_vintage(figures: pd.DataFrame, statistics: pd.DataFrame) -> None:
    found = sorted({int(year) for frame in (figures, statistics) for year in frame["vintage"].unique()})
    if len(found) > 1:
        raise MixedVintages(f"vintages {found} in one join, expected one")
