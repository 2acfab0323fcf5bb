"""
Indicators of an area from the store: `compute` asks for the windows that each of `aggregates.ask.indicators` needs.

`stadspuls areas indicator` and the API call it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyogrio  # type: ignore[import-untyped]
import shapely

from aggregates.areas.codes import wijk_of
from aggregates.areas.geometry import Area
from aggregates.areas.maps import BadMap, in_degrees
from aggregates.ask.areas import areas
from aggregates.ask.dates import dated
from aggregates.ask.indicators import INDICATORS, exposure, heavy_share, hours_above, panel_index, week_profile
from aggregates.ask.query import BadQuestion, Question, ask
from aggregates.store.store import Store

HEAVY = ("heavy", ">12.2", ">=12.2", ">12.20")  # Telraam's class, and NDW's longest


@dataclass(frozen=True, slots=True)
class Asked:
    """A quantity in `[first, last)`, an area of a vintage, and the tz name of civil days."""

    quantity: str
    first: datetime
    last: datetime
    area: str
    vintage: int
    timezone: str

    def windows(self, window: str) -> Question:
        """Ask for the area's own windows."""
        return Question(self.quantity, self.first, self.last, window, area=self.area, vintage=self.vintage)


def compute(
    store: Store, name: str, asked: Asked, *, base_to: datetime | None = None, threshold: float | None = None,
    heavy: Sequence[str] = HEAVY, layer: Sequence[tuple[Any, float]] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Compute an indicator; raises BadQuestion for what is missing, `Refused` for what cannot be defended."""
    if name == "panel-index":
        if base_to is None:
            raise BadQuestion("panel-index without --base-to, expected the end of the base period")
        found = panel_index(_members(store, asked, "1d"), (asked.first, base_to))
        return dated(found.assign(quantity=asked.quantity), asked.timezone, "1d").drop(columns="quantity")
    if name == "heavy-share":
        return heavy_share(ask(store, replace(asked.windows("1h"), channels=True)), heavy)
    if name == "week-profile":
        return week_profile(ask(store, asked.windows("1h")), asked.timezone)
    if name not in INDICATORS:
        raise BadQuestion(f"indicator {name!r}, expected one of {', '.join(INDICATORS)}")
    if threshold is None:
        raise BadQuestion(f"{name} without --threshold, expected the limit in the quantity's unit")
    if name == "hours-above":
        return _hours_above(store, asked, threshold)
    return _exposure(store, asked, threshold, layer)


def _members(store: Store, asked: Asked, window: str) -> pd.DataFrame:
    """Ask what each sensor of the area counted."""
    return ask(store, replace(asked.windows(window), members=True))


def _hours_above(store: Store, asked: Asked, threshold: float) -> pd.DataFrame:
    """Each station by itself, and the area's mean of its valid stations."""
    stations = hours_above(_members(store, asked, "1h"), threshold, asked.first, asked.last)
    area = ask(store, asked.windows("1h")).drop(columns="sensor_id").rename(columns={"area": "code"})
    whole = hours_above(area, threshold, asked.first, asked.last).rename(columns={"code": "sensor_id"})
    return pd.concat([stations, whole], ignore_index=True).rename(columns={"sensor_id": "subject"})


def _exposure(store: Store, asked: Asked, limit: float, layer: Sequence[tuple[Any, float]] | None) -> pd.DataFrame:
    known = [one for one in areas(store, asked.vintage, "buurt", limit=1_000_000) if one["geometry"] is not None]
    inside = [one for one in known if asked.area in (one["code"], wijk_of(one["code"]), one["municipality"])]
    people = {one["code"]: (one["statistics"] or {}).get("inhabitants") for one in inside}
    return exposure([Area(one["code"], one["name"], one["geometry"]) for one in inside], people, layer, limit)


def read_layer(path: Path, column: str) -> list[tuple[Any, float]]:
    """Read a modelled map: polygons or grid cells with a value each; raises BadMap."""
    try:
        meta, _, wkb, fields = pyogrio.raw.read(path)
    except pyogrio.errors.DataSourceError as error:
        raise BadMap(f"{path.name}: {error}") from error
    if column not in meta["fields"]:
        raise BadMap(f"{path.name}: columns {', '.join(meta['fields'])}, expected {column} with the modelled values")
    shapes = in_degrees(shapely.from_wkb(wkb), meta["crs"], path.name)
    values = fields[list(meta["fields"]).index(column)]
    return [(shape, float(value)) for shape, value in zip(shapes, values, strict=True) if value == value]
