"""
Figures of areas from the store: windows beside the statistics of the same vintage, and indicators.

`compute` asks for the windows that each of `aggregates.ask.indicators` needs. `stadspuls areas`, the API and the
exports call it.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyogrio  # type: ignore[import-untyped]
import shapely

from aggregates.areas.geometry import Area
from aggregates.areas.maps import in_degrees
from aggregates.areas.statistics import BadDocument
from aggregates.ask import indicators
from aggregates.ask.areas import area_frame, areas, newest_vintage
from aggregates.ask.dates import dated, zone_of
from aggregates.ask.query import BadQuestion, Question, ask
from aggregates.store.store import Store

HEAVY = ("heavy", ">12.2", ">=12.2", ">12.20")  # Telraam's class, and NDW's longest


def joined(store: Store, asked: Question, level: str | None = None, measures: Sequence[str] = ()) -> pd.DataFrame:
    """
    Return a row an area and window of a quantity, of all areas of a level, and the measures beside them.

    Where there is none, an empty frame with the same columns. Without a vintage: the newest that is loaded.
    """
    vintage = asked.vintage or newest_vintage(store)
    with store.transaction(snapshot=True) as tx:
        tx.rows("plan_for_areas")
        zone = zone_of(tx)
        windows = area_frame(
            tx, asked.window, quantity=asked.quantity, first=asked.first, last=asked.last, vintage=vintage, level=level
        )
        cells = tx.rows("list_area_statistics", vintage=vintage, measures=list(measures), level=level)
    statistics = pd.DataFrame(cells, columns=["code", "measure", "value", "attribute", "vintage"])
    return beside(dated(windows, zone, asked.window), statistics, measures)


def beside(figures: pd.DataFrame, statistics: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
    """
    Put each measure of an area beside its figures: a column `<measure>` and a column `<measure>_reason`.

    `figures` has `code` and `vintage`, `statistics` is long (code, measure, value, attribute, vintage). A figure
    without a value stays null and has its reason; an area that the statistics do not know has that as its reason.
    Raises Refused for two vintages: areas with one code are not one area, and figures of two years not one figure.

    >>> figures = pd.DataFrame({"code": ["BU1", "BU2"], "vintage": [2024, 2024], "value": [7.0, 8.0]})
    >>> cells = {"code": ["BU1"], "measure": ["density"], "value": [None], "attribute": ["secret"], "vintage": [2024]}
    >>> beside(figures, pd.DataFrame(cells), ["density"])["density_reason"].tolist()
    ['secret', 'no statistics of this area']
    """
    vintages = sorted({int(year) for frame in (figures, statistics) for year in frame["vintage"].unique()})
    if len(vintages) > 1:
        raise indicators.Refused(f"vintages {vintages} in one join, expected one")
    joined, codes = figures.copy(deep=False), figures["code"].astype("category").cat
    for measure in measures:
        own = statistics[statistics["measure"] == measure].set_index("code").reindex(codes.categories)
        reasons = own["attribute"].astype(object).where(own["measure"].notna(), "not in the table of this vintage")
        reasons = reasons.where(own.index.isin(statistics["code"]), "no statistics of this area")
        joined[measure] = own["value"].astype("float64").to_numpy()[codes.codes]
        joined[f"{measure}_reason"] = reasons.where(reasons.notna(), None).to_numpy()[codes.codes]
    return joined


def compute(
    store: Store, name: str, asked: Question, *, base_to: datetime | None = None, threshold: float | None = None,
    heavy: Sequence[str] = HEAVY, layer: Sequence[tuple[Any, float]] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """
    Compute an indicator of an area, whatever the question's window.

    Raises BadQuestion for what is missing, `Refused` for what cannot be defended.
    """
    zone, hours = zone_of(store), replace(asked, window="1h")
    if name == "panel-index":
        if base_to is None:
            raise BadQuestion("panel-index without --base-to, expected the end of the base period")
        found = indicators.panel_index(ask(store, replace(asked, window="1d", members=True)), (asked.first, base_to))
        return dated(found.assign(quantity=asked.quantity), zone, "1d").drop(columns="quantity")
    if name == "heavy-share":
        return indicators.heavy_share(ask(store, replace(hours, channels=True)), heavy)
    if name == "week-profile":
        return indicators.week_profile(ask(store, hours), zone)
    if name not in indicators.INDICATORS:
        raise BadQuestion(f"indicator {name!r}, expected one of {', '.join(indicators.INDICATORS)}")
    if threshold is None:
        raise BadQuestion(f"{name} without --threshold, expected the limit in the quantity's unit")
    if name == "hours-above":
        return _hours_above(store, hours, threshold)
    return _exposure(store, asked, threshold, layer)


def _hours_above(store: Store, hours: Question, threshold: float) -> pd.DataFrame:
    """Each station by itself, and the area's mean of its valid stations."""
    subjects = ask(store, replace(hours, members=True)), ask(store, hours).assign(sensor_id=hours.area)
    rows = pd.concat([one[["sensor_id", "start", "value", "valid"]] for one in subjects])
    return indicators.hours_above(rows.rename(columns={"sensor_id": "subject"}), threshold, hours.first, hours.last)


def _exposure(store: Store, asked: Question, limit: float, layer: Sequence[tuple[Any, float]] | None) -> pd.DataFrame:
    vintage = asked.vintage or newest_vintage(store)
    inside = [one for one in areas(store, vintage, "buurt", limit=1_000_000, area=asked.area) if one["geometry"]]
    people = {one["code"]: (one["statistics"] or {}).get("inhabitants") for one in inside}
    buurten = [Area(one["code"], one["name"], one["geometry"]) for one in inside]
    return indicators.exposure(buurten, people, layer, limit)


def read_layer(path: Path, column: str) -> list[tuple[Any, float]]:
    """Read a modelled map: polygons or grid cells with a value each; raises BadDocument."""
    try:
        meta, _, wkb, fields = pyogrio.raw.read(path)
    except pyogrio.errors.DataSourceError as error:
        raise BadDocument(f"{path.name}: {error}") from error
    if column not in meta["fields"]:
        columns = ", ".join(meta["fields"])
        raise BadDocument(f"{path.name}: columns {columns}, expected {column} with the modelled values")
    shapes = in_degrees(shapely.from_wkb(wkb), meta["crs"], path.name)
    values = fields[list(meta["fields"]).index(column)]
    return [(shape, float(value)) for shape, value in zip(shapes, values, strict=True) if value == value]
