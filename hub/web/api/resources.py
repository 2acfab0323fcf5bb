"""
The lists of the API: one table, an entry a list.

A resource is a path, its parameters (`hub.web.api.parameters`), columns and key, and a function that gives its rows as
Arrow batches. Forms, pages, ETag and the OpenAPI document follow from it (`answers`, `document`). To add a list, add an
entry here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from aggregates.ask.area_figures import compute
from aggregates.ask.areas import VIEWS, newest_vintage
from aggregates.ask.dates import local, with_dates
from aggregates.ask.indicators import Refused
from aggregates.ask.listings import LISTS, Batches, Key, read_areas, read_series, schema
from aggregates.ask.query import BadQuestion, Question
from aggregates.store.store import Store
from hub.web.api.parameters import LONGEST
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.sources import SOURCES
from streams.notify.operators import silenced, silences, state_of

Rows = Iterable[tuple[Any, ...]]
FORMS = {
    "json": "application/json", "geojson": "application/geo+json", "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet", "arrow": "application/vnd.apache.arrow.stream",
}  # fmt: skip
PAGED = ("json", "geojson")  # the other forms are for machines, which want all rows at once


@dataclass(frozen=True, slots=True)
class Resource:
    """
    One list; `find(store, after, limit, **asked)` gives its rows, in the order of `key`.

    `page` rows are given by default and `most` at most; `bulk`, where it is not 0, are both for CSV, Parquet and Arrow.
    `window` is the length of the windows that it is about and `days` its longest range, where no parameter says it.
    `secret` ones are for those with the token alone.
    """

    path: str
    about: str
    parameters: str
    columns: pa.Schema
    key: tuple[str, ...]
    find: Callable[..., Batches]
    page: int = 100
    most: int = 10_000
    bulk: int = 0
    geographic: bool = False
    secret: bool = False
    window: str = ""
    days: int = 31

    @property
    def forms(self) -> Mapping[str, str]:
        """The media types of its forms, which `aggregates.export.forms` writes, by name."""
        return {name: media for name, media in FORMS.items() if self.geographic or name != "geojson"}


def _listed(
    path: str, about: str, parameters: str, name: str, beside: str = "", find: Callable[..., Batches] | None = None,
    **more: Any,
) -> Resource:  # fmt: skip
    """Make a list of `listings.toml`, with the columns `beside` it that are made here."""
    listing = LISTS[name]
    columns = pa.schema([*listing.columns, *schema(beside)])
    return Resource(path, about, parameters, columns, listing.key, find or partial(listing.read, ever=False), **more)


def _known(path: str, about: str, columns: str, rows: Callable[[Store], Rows]) -> Resource:
    """Make a list of rows that are all known before the first is given; its first column is the key."""
    made = schema(columns)

    def find(store: Store, after: Key | None, limit: int, **_: object) -> Batches:
        yield _page(rows(store), made, after, limit)

    return Resource(path, about, "", made, (made.names[0],), find)


def _indicator(name: str, about: str, columns: str, more: str = "", window: str = "1h") -> Resource:
    made = schema(columns)
    asked = f"from! to! quantity! area! vintage {more}"
    find = partial(_compute, name, made)
    return Resource(
        f"/indicators/{name}", about, asked, made, (made.names[0],), find, window=window, days=LONGEST["1h"]
    )


def _page(rows: Rows, columns: pa.Schema, after: Key | None, limit: int) -> pa.RecordBatch:
    ordered = sorted(rows, key=lambda row: row[0])
    page = [row for row in ordered if after is None or row[0] > after[0]][:limit]
    return pa.RecordBatch.from_pylist([dict(zip(columns.names, row, strict=True)) for row in page], schema=columns)


def _compute(
    name: str, columns: pa.Schema, store: Store, after: Key | None, limit: int, *, quantity: str, first: datetime,
    last: datetime, area: str, vintage: int | None, zone: str, **more: Any,
) -> Batches:  # fmt: skip
    """Compute an indicator, by the names of the API; what is no number is null."""
    try:
        question = Question(quantity, first, last, "1h", area=area, vintage=vintage or newest_vintage(store))
    except BadQuestion as error:
        raise Refused(str(error)) from error
    frame = compute(store, name, question, **more).rename(columns={"valid": "valid_hours"})
    if "members" in frame:
        frame["members"] = frame["members"].str.split()
    kept = frame[columns.names].astype(object)
    yield _page(kept.where(kept.notna(), None).itertuples(index=False), columns, after, limit)


def _silences(store: Store) -> Rows:
    return ((*one[:5], [str(part) for part in one.weekly], *one[6:]) for one in silences(store, datetime.now(UTC)))


def _area_windows(store: Store, after: Key | None, limit: int, *, zone: str, window: str, **asked: Any) -> Batches:
    for batch in LISTS["area_windows"].read(store, after, limit, VIEWS[window], **asked):
        windows = with_dates(pa.Table.from_batches([batch]), zone, window)
        columns = pa.schema([*batch.schema, *schema("date local_start")])
        yield from windows.cast(columns).combine_chunks().to_batches()


def _alerts(store: Store, after: Key | None, limit: int, *, zone: str, **asked: Any) -> Batches:
    """Give the alerts, the newest first; a silence is in the hub's own zone."""
    for batch in list(LISTS["alerts"].read(store, after, limit, **asked)):
        pairs = list(zip(*(batch[name].to_pylist() for name in ("rule", "subject")), strict=True))
        quiet = silenced(store, pairs, datetime.now(UTC), ZoneInfo(zone))
        states = [state_of(str(state), hush) for state, hush in zip(batch["state"].to_pylist(), quiet, strict=True)]
        place = batch.schema.get_field_index("state")
        shown = batch.set_column(place, batch.schema.field(place), pa.array(states, pa.string()))
        yield shown.append_column(schema("local_since").field(0), local(batch["since"], zone))


_PLACED = "source sensor* quantity* bbox area vintage"
_LONG: Any = {"page": 1_000, "bulk": 250_000}

_INDICATORS = (
    _indicator(
        "heavy-share",
        "Share of heavy vehicles by sensor, over windows in which every class is valid.",
        "sensor_id heavy vehicles share? windows",
    ),
    _indicator(
        "hours-above",
        "Valid hours above a threshold, by station and for the area, and how many were not measured.",
        "subject above valid_hours hours not_measured threshold", "threshold!",
    ),
    _indicator(
        "panel-index",
        "Days compared with a base period by the same sensors, base = 100.",
        "start date index? panel members", "baseTo!", window="1d",
    ),
    _indicator("week-profile", "Mean by hour of the week.", "hour_of_week label mean? hours"),
)  # fmt: skip

RESOURCES = (
    _known(
        "/sources", "Suppliers of readings, with their licence.", "source title class licence commercial_use",
        lambda _: ((it.name, it.title, it.source_class, it.licence, it.commercial_use) for it in SOURCES.values()),
    ),
    _known(
        "/quantities", "What can be measured.", "quantity unit aggregation day low high",
        lambda _: ((it.name, it.unit, it.aggregation, it.day, it.low, it.high) for it in QUANTITIES.values()),
    ),
    _listed("/sensors", "Sensors by id, also those without a place.", _PLACED, "sensors", geographic=True),
    _listed("/series", "Series of sensors: quantity, channel and period.", _PLACED, "series", geographic=True),
    _listed(
        "/readings", "Readings as they are stored, with their flags.", f"from! to! {_PLACED}", "readings",
        find=partial(read_series, window="", ever=True), **_LONG,
    ),
    _listed(
        "/aggregates", "What sensors counted or measured in windows, with the evidence; the fields of `query`.",
        f"from! to! window! channels coverage valid {_PLACED}",
        "windows", find=partial(read_series, ever=True), geographic=True, **_LONG,
    ),
    _listed(
        "/areas", "Areas of one vintage with statistics of CBS; those without a boundary too.",
        "vintage level area", "areas", find=read_areas, geographic=True,
    ),
    _listed(
        "/area-aggregates", "Windows of areas, and the sensors that they are made of.",
        "from! to! window/hours! quantity* area* level vintage coverage valid",
        "area_windows", "date local_start", _area_windows, **_LONG,
    ),
    _known(
        "/indicators", "What can be computed of an area.", "name about",
        lambda _: ((it.path.rpartition("/")[2], it.about) for it in _INDICATORS),
    ),
    *_INDICATORS,
    _listed(
        "/alerts", "Alerts, the newest first.", "rule subject severity open", "alerts", "local_since", _alerts,
    ),
    _listed("/alerts/rules", "The rules that are judged.", "", "alert_rules"),
    _known(
        "/alerts/silences", "Silences that hold, or will.",
        "silence rule subject first last? weekly made_by reason", _silences,
    ),
    _listed("/dead-letters", "Unreadable messages, the newest first.", "source reason", "dead_letters", secret=True),
)  # fmt: skip
