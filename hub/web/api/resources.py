"""
What the API gives: one table, a line a list.

A resource is a path, what may be asked (`parameters`), columns and key, and a function that gives its rows as Arrow
batches. Formats, paging, ETag and the OpenAPI document follow by themselves (`answers`, `document`). To add a list,
add a line here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa

from aggregates.ask.areas import VIEWS, newest_vintage
from aggregates.ask.columns import schema
from aggregates.ask.indicators import Refused
from aggregates.ask.listings import (
    ALERTS,
    AREA_WINDOWS,
    AREAS,
    KEY,
    LETTERS,
    READINGS,
    SENSORS,
    SERIES,
    WINDOWS,
    Batches,
    Key,
    Listing,
    read_areas,
    read_readings,
    read_windows,
)
from aggregates.ask.query import BadQuestion
from aggregates.ask.stored_indicators import Asked as Indicator
from aggregates.ask.stored_indicators import compute
from aggregates.store.store import Store
from hub.web.api import parameters as asks
from hub.web.api.alerts import RULES, SILENCES, find_alerts, find_rules, find_silences
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.sources import SOURCES

PAGE, MOST = 100, 10_000
Find = Callable[[Store, Any, Key | None, int], Batches]


@dataclass(frozen=True, slots=True)
class Resource:
    """
    One list. `page` rows are given by default and `most` at most; `bulk`, where it is not 0, are both for CSV, Parquet
    and Arrow. `secret` ones are for those with the token alone.
    """

    path: str
    about: str
    asked: type[asks.Asked]
    columns: pa.Schema
    key: tuple[str, ...]
    find: Find
    page: int = PAGE
    most: int = MOST
    bulk: int = 0
    geographic: bool = False
    secret: bool = False


def resources(timezone: str) -> tuple[Resource, ...]:
    """Give every list; `timezone` is that of civil days."""
    windows: Any = {"page": 1_000, "bulk": 250_000}
    return (
        Resource("/sources", "Who supplies readings, and its licence.", asks.Asked, _SOURCES, ("source",), _sources),
        Resource("/quantities", "What can be measured.", asks.Asked, _QUANTITIES, ("quantity",), _quantities),
        _listed("/sensors", "Sensors by id, also those without a place.", asks.Scoped, SENSORS, geographic=True),
        _listed("/series", "Series of sensors: quantity, channel and period.", asks.Scoped, SERIES, geographic=True),
        Resource(
            "/readings", "Readings as they are stored, with their flags.",
            asks.Readings, READINGS, KEY, _readings, **windows,
        ),
        Resource(
            "/aggregates", "What sensors counted or measured in windows, with the evidence; the fields of `query`.",
            asks.Windows, WINDOWS, KEY, _windows, geographic=True, **windows,
        ),
        Resource(
            "/areas", "Areas of one vintage with statistics of CBS; those without a boundary too.",
            asks.Areas, AREAS, ("code",), _areas, geographic=True,
        ),
        Resource(
            "/area-aggregates", "What the sensors of areas say together in windows, and which sensors these are.",
            asks.AreaWindows, AREA_WINDOWS.columns, AREA_WINDOWS.key, _area_windows, **windows,
        ),
        Resource("/indicators", "What can be computed of an area.", asks.Asked, _INDICATORS, ("name",), _indicators),
        *(
            Resource(f"/indicators/{one}", about, asked, columns, key, partial(_indicator, one, timezone, columns, key))
            for one, (about, asked, columns, key) in _COMPUTED.items()
        ),
        Resource("/alerts", "Alerts, the newest first.", asks.Alerts, ALERTS.columns, ALERTS.key,
                 partial(find_alerts, ZoneInfo(timezone))),
        Resource("/alerts/rules", "The rules that are judged.", asks.Asked, RULES, ("rule",), find_rules),
        Resource("/alerts/silences", "What is kept quiet.", asks.Asked, SILENCES, ("silence",), find_silences),
        _listed("/dead-letters", "What could not be read, the newest first.", asks.Letters, LETTERS, secret=True),
    )  # fmt: skip


def _listed(path: str, about: str, asked: type[asks.Asked], listing: Listing, **more: Any) -> Resource:
    def find(store: Store, asked: asks.Asked, after: Key | None, limit: int) -> Batches:
        return listing.read(store, after, limit, **asked.filters())

    return Resource(path, about, asked, listing.columns, listing.key, find, **more)


def _windows(store: Store, asked: asks.Windows, after: Key | None, limit: int) -> Batches:
    return read_windows(store, after, limit, window=asked.window, channels=asked.channels, **asked.filters())


def _readings(store: Store, asked: asks.Readings, after: Key | None, limit: int) -> Batches:
    return read_readings(store, after, limit, **asked.filters())


def _area_windows(store: Store, asked: asks.AreaWindows, after: Key | None, limit: int) -> Batches:
    return AREA_WINDOWS.read(store, after, limit, VIEWS[asked.window], **asked.filters())


def _areas(store: Store, asked: asks.Areas, after: Key | None, limit: int) -> Batches:
    return read_areas(store, after, limit, asked.vintage, asked.level, asked.area)


_SOURCES = schema("source title class licence commercial_use")
_QUANTITIES = schema("quantity unit aggregation day low high")
_INDICATORS = schema("name about")


def _sources(_: Store, asked: asks.Asked, after: Key | None, limit: int) -> Batches:
    rows = [
        {"source": one.name, "title": one.title, "class": one.source_class.value, "licence": one.licence,
         "commercial_use": one.commercial_use}
        for one in SOURCES.values()
    ]  # fmt: skip
    return _constant(rows, _SOURCES, ("source",), after, limit)


def _quantities(_: Store, asked: asks.Asked, after: Key | None, limit: int) -> Batches:
    rows = [
        {"quantity": one.name, "unit": one.unit, "aggregation": one.aggregation.value, "day": one.day.value,
         "low": one.low, "high": one.high}
        for one in QUANTITIES.values()
    ]  # fmt: skip
    return _constant(rows, _QUANTITIES, ("quantity",), after, limit)


def _indicators(_: Store, asked: asks.Asked, after: Key | None, limit: int) -> Batches:
    rows = [{"name": name, "about": about} for name, (about, *_) in _COMPUTED.items()]
    return _constant(rows, _INDICATORS, ("name",), after, limit)


def _constant(
    rows: Iterable[Mapping[str, object]], columns: pa.Schema, key: tuple[str, ...], after: Key | None, limit: int
) -> Batches:
    """Give the page of rows that are all known, in the order of their keys."""
    ordered = sorted((tuple(row[name] for name in key), row) for row in rows)
    page = [row for at, row in ordered if after is None or at > after][:limit]
    yield pa.RecordBatch.from_pylist(page, schema=columns)


def _indicator(
    name: str, timezone: str, columns: pa.Schema, key: tuple[str, ...], store: Store, asked: asks.Indicated,
    after: Key | None, limit: int,
) -> Batches:  # fmt: skip
    try:
        vintage = asked.vintage or newest_vintage(store)
    except BadQuestion as error:
        raise Refused(str(error)) from error
    question = Indicator(asked.quantity, asked.first, asked.last, asked.area, vintage, timezone)
    frame = compute(
        store, name, question, base_to=getattr(asked, "base_to", None), threshold=getattr(asked, "threshold", None)
    )
    yield from _constant(_rows(frame, columns), columns, key, after, limit)


def _rows(frame: pd.DataFrame, columns: pa.Schema) -> list[dict[str, object]]:
    """Give the rows of a frame, by the names of the API; what is no number is null."""
    named = frame.rename(columns={"valid": "valid_hours"})
    if "members" in named:
        named["members"] = named["members"].str.split()
    kept = named[columns.names].astype(object)
    return [dict(zip(columns.names, row, strict=True)) for row in kept.where(kept.notna(), None).to_numpy()]


_COMPUTED: Mapping[str, tuple[str, type[asks.Asked], pa.Schema, tuple[str, ...]]] = {
    "heavy-share": (
        "Share of heavy vehicles by sensor, over windows in which every class is valid.",
        asks.Indicated, schema("sensor_id heavy vehicles share? windows"), ("sensor_id",),
    ),
    "hours-above": (
        "Valid hours above a threshold, by station and for the area, and how many were not measured.",
        asks.Above, schema("subject above valid_hours hours not_measured threshold"), ("subject",),
    ),
    "panel-index": (
        "Days compared with a base period by the same sensors, base = 100.",
        asks.Panel, schema("start index? panel members"), ("start",),
    ),
    "week-profile": (
        "Mean by hour of the week.",
        asks.Indicated, schema("hour_of_week label mean? hours"), ("hour_of_week",),
    ),
}  # fmt: skip
