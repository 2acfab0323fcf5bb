"""
The lists of the API: one table, a line a list.

A resource is a path, its parameters (`hub.web.api.parameters`), columns and key, and a function that gives its rows as
Arrow batches. Forms, pages, ETag and the OpenAPI document follow from it (`answers`, `document`). To add a list, add a
line here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa

from aggregates.ask.area_figures import compute
from aggregates.ask.areas import VIEWS, newest_vintage
from aggregates.ask.columns import schema
from aggregates.ask.dates import local, with_dates
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
    read_series,
)
from aggregates.ask.query import BadQuestion, Question
from aggregates.store.store import Store
from hub.web.api.parameters import (
    AlertQuery,
    AreaQuery,
    AreaWindowQuery,
    IndicatorQuery,
    LetterQuery,
    ListQuery,
    PanelQuery,
    ReadingQuery,
    SensorQuery,
    ThresholdQuery,
    WindowQuery,
    in_zone,
)
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.sources import SOURCES
from streams.notify import operators

PAGE, MOST = 100, 10_000
Row = Mapping[str, object]
Find = Callable[[Store, Any, Key | None, int], Batches]


@dataclass(frozen=True, slots=True)
class Resource:
    """
    One list. `page` rows are given by default and `most` at most; `bulk`, where it is not 0, are both for CSV, Parquet
    and Arrow. `secret` ones are for those with the token alone.
    """

    path: str
    about: str
    asked: type[ListQuery]
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
    return tuple(replace(one, asked=in_zone(one.asked, timezone)) for one in _resources(timezone))


def _resources(timezone: str) -> tuple[Resource, ...]:
    windows: Any = {"page": 1_000, "bulk": 250_000}
    return (
        _known("/sources", "Suppliers of readings, with their licence.", _SOURCES, _source_rows),
        _known("/quantities", "What can be measured.", _QUANTITIES, _quantity_rows),
        _listed("/sensors", "Sensors by id, also those without a place.", SensorQuery, SENSORS, geographic=True),
        _listed("/series", "Series of sensors: quantity, channel and period.", SensorQuery, SERIES, geographic=True),
        Resource(
            "/readings", "Readings as they are stored, with their flags.",
            ReadingQuery, READINGS, KEY, _readings, **windows,
        ),
        Resource(
            "/aggregates", "What sensors counted or measured in windows, with the evidence; the fields of `query`.",
            WindowQuery, WINDOWS, KEY, _windows, geographic=True, **windows,
        ),
        Resource(
            "/areas", "Areas of one vintage with statistics of CBS; those without a boundary too.",
            AreaQuery, AREAS, ("code",), _areas, geographic=True,
        ),
        Resource(
            "/area-aggregates", "Windows of areas, and the sensors that they are made of.",
            AreaWindowQuery, _AREA_WINDOWS, AREA_WINDOWS.key, partial(_area_windows, timezone), **windows,
        ),
        _known("/indicators", "What can be computed of an area.", _INDICATORS, _indicator_rows),
        *(
            Resource(f"/indicators/{one}", about, asked, columns, key, partial(_indicator, one, columns, key))
            for one, (about, asked, columns, key) in _COMPUTED.items()
        ),
        Resource("/alerts", "Alerts, the newest first.", AlertQuery, _ALERTS, ALERTS.key,
                 partial(_alerts, ZoneInfo(timezone))),
        _listed("/alerts/rules", "The rules that are judged.", ListQuery, _RULES),
        Resource("/alerts/silences", "Silences that hold, or will.", ListQuery, _SILENCES, ("silence",), _silences),
        _listed("/dead-letters", "Unreadable messages, the newest first.", LetterQuery, LETTERS, secret=True),
    )  # fmt: skip


def _listed(path: str, about: str, asked: type[ListQuery], listing: Listing, **more: Any) -> Resource:
    def find(store: Store, asked: ListQuery, after: Key | None, limit: int) -> Batches:
        return listing.read(store, after, limit, **asked.filters())

    return Resource(path, about, asked, listing.columns, listing.key, find, **more)


def _known(path: str, about: str, columns: pa.Schema, rows: Callable[[], Iterable[Row]]) -> Resource:
    """Make a list of what is known without the database; its first column is the key."""
    key = (columns.names[0],)

    def find(_: Store, asked: ListQuery, after: Key | None, limit: int) -> Batches:
        return _constant(rows(), columns, key, after, limit)

    return Resource(path, about, ListQuery, columns, key, find)


def _windows(store: Store, asked: WindowQuery, after: Key | None, limit: int) -> Batches:
    filters = asked.filters()
    return read_series(store, after, limit, WINDOWS, window=asked.window, channels=asked.channels, **filters)


def _readings(store: Store, asked: ReadingQuery, after: Key | None, limit: int) -> Batches:
    return read_series(store, after, limit, READINGS, window="", **asked.filters())


def _area_windows(zone: str, store: Store, asked: AreaWindowQuery, after: Key | None, limit: int) -> Batches:
    for batch in AREA_WINDOWS.read(store, after, limit, VIEWS[asked.window], **asked.filters()):
        windows = with_dates(pa.Table.from_batches([batch]), zone, asked.window)
        yield from windows.cast(_AREA_WINDOWS).combine_chunks().to_batches()


def _areas(store: Store, asked: AreaQuery, after: Key | None, limit: int) -> Batches:
    return read_areas(store, after, limit, asked.vintage, asked.level, asked.area)


_ALERTS = pa.schema([*ALERTS.columns, *schema("local_since")])
_AREA_WINDOWS = pa.schema([*AREA_WINDOWS.columns, *schema("date local_start")])
_SOURCES = schema("source title class licence commercial_use")
_QUANTITIES = schema("quantity unit aggregation day low high")
_INDICATORS = schema("name about")
_RULES = Listing(
    "list_alert_rules",
    schema("rule title quantity unit level severity pack source? owner? runbook? channels"),
    ("rule",),
)
_SILENCES = schema("silence rule subject first last? weekly made_by reason")


def _source_rows() -> Iterable[Row]:
    for one in SOURCES.values():
        yield {"source": one.name, "title": one.title, "class": one.source_class.value, "licence": one.licence,
               "commercial_use": one.commercial_use}  # fmt: skip


def _quantity_rows() -> Iterable[Row]:
    for one in QUANTITIES.values():
        yield {"quantity": one.name, "unit": one.unit, "aggregation": one.aggregation.value, "day": one.day,
               "low": one.low, "high": one.high}  # fmt: skip


def _indicator_rows() -> Iterable[Row]:
    return ({"name": name, "about": about} for name, (about, *_) in _COMPUTED.items())


def _alerts(zone: ZoneInfo, store: Store, asked: ListQuery, after: Key | None, limit: int) -> Batches:
    """Give the alerts, the newest first; a silence is in the hub's own zone."""
    for batch in list(ALERTS.read(store, after, limit, **asked.filters())):
        pairs = list(zip(*(batch[name].to_pylist() for name in ("rule", "subject")), strict=True))
        quiet = operators.silenced(store, pairs, datetime.now(UTC), zone)
        states = [
            operators.state_of(str(one), hush) for one, hush in zip(batch["state"].to_pylist(), quiet, strict=True)
        ]
        place = batch.schema.get_field_index("state")
        shown = batch.set_column(place, batch.schema.field(place), pa.array(states, pa.string()))
        yield shown.append_column(_ALERTS.field("local_since"), local(batch["since"], zone.key))


def _silences(store: Store, _: ListQuery, after: Key | None, limit: int) -> Batches:
    """Give the silences that are or will be."""
    behind = 0 if after is None else after[0]
    found = [one for one in operators.silences(store, datetime.now(UTC)) if one.silence > behind][:limit]
    rows = [{**one._asdict(), "weekly": [str(part) for part in one.weekly]} for one in found]
    yield pa.RecordBatch.from_pylist(rows, schema=_SILENCES)


def _constant(rows: Iterable[Row], columns: pa.Schema, key: tuple[str, ...], after: Key | None, limit: int) -> Batches:
    """Give the page of rows that are all known, in the order of their keys."""
    ordered = sorted((tuple(row[name] for name in key), row) for row in rows)
    page = [row for at, row in ordered if after is None or at > after][:limit]
    yield pa.RecordBatch.from_pylist(page, schema=columns)


def _indicator(
    name: str, columns: pa.Schema, key: tuple[str, ...], store: Store, asked: IndicatorQuery, after: Key | None,
    limit: int,
) -> Batches:  # fmt: skip
    try:
        vintage = asked.vintage or newest_vintage(store)
    except BadQuestion as error:
        raise Refused(str(error)) from error
    span = asked.moment(asked.first), asked.moment(asked.last)
    question = Question(asked.quantity, *span, "1h", area=asked.area, vintage=vintage)
    base_to = asked.moment(asked.base_to) if isinstance(asked, PanelQuery) else None
    frame = compute(store, name, question, base_to=base_to, threshold=getattr(asked, "threshold", None))
    yield from _constant(_rows(frame, columns), columns, key, after, limit)


def _rows(frame: pd.DataFrame, columns: pa.Schema) -> list[dict[str, object]]:
    """Give the rows of a frame, by the names of the API; what is no number is null."""
    named = frame.rename(columns={"valid": "valid_hours"})
    if "members" in named:
        named["members"] = named["members"].str.split()
    kept = named[columns.names].astype(object)
    return [dict(zip(columns.names, row, strict=True)) for row in kept.where(kept.notna(), None).to_numpy()]


_COMPUTED: Mapping[str, tuple[str, type[ListQuery], pa.Schema, tuple[str, ...]]] = {
    "heavy-share": (
        "Share of heavy vehicles by sensor, over windows in which every class is valid.",
        IndicatorQuery, schema("sensor_id heavy vehicles share? windows"), ("sensor_id",),
    ),
    "hours-above": (
        "Valid hours above a threshold, by station and for the area, and how many were not measured.",
        ThresholdQuery, schema("subject above valid_hours hours not_measured threshold"), ("subject",),
    ),
    "panel-index": (
        "Days compared with a base period by the same sensors, base = 100.",
        PanelQuery, schema("start date index? panel members"), ("start",),
    ),
    "week-profile": (
        "Mean by hour of the week.",
        IndicatorQuery, schema("hour_of_week label mean? hours"), ("hour_of_week",),
    ),
}  # fmt: skip
