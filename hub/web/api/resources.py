"""
The lists of the API: `resources.toml` has an entry for each.

A resource is a path, its parameters (`hub.web.api.parameters`), columns and key, and a function that gives its rows as
Arrow batches. Forms, pages, ETag and the OpenAPI document follow from it (`answers`, `document`). To add a list, add an
entry there, and here a function where its rows do not come from a listing of the database as they are.
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
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
    columns: pa.Schema
    key: tuple[str, ...]
    find: Callable[..., Batches]
    parameters: str = ""
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


def _resource(path: str, listing: str = "", columns: str = "", **given: Any) -> Resource:
    """Make a list of `resources.toml`."""
    listed = LISTS.get(listing)
    made = pa.schema([*(listed.columns if listed else ()), *schema(columns)])
    if listed:
        find = _FIND.get(path, partial(listed.read, ever=False))
    elif path in _KNOWN:
        find = partial(_read_known, _KNOWN[path], made)
    else:
        find = partial(_compute, path.removeprefix("/indicators/"), made)
    return Resource(path=path, columns=made, key=listed.key if listed else (made.names[0],), find=find, **given)


def _read_known(
    rows: Callable[[Store], Rows], columns: pa.Schema, store: Store, after: Key | None, limit: int, **_: object
) -> Batches:
    """Give rows that are all known before the first is given."""
    yield _page(rows(store), columns, after, limit)


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


def _indicators(_: Store) -> Rows:
    return ((one.path.rpartition("/")[2], one.about) for one in RESOURCES if one.path.startswith("/indicators/"))


_FIND: Mapping[str, Callable[..., Batches]] = {
    "/readings": partial(read_series, window="", ever=True),
    "/aggregates": partial(read_series, ever=True),
    "/areas": read_areas,
    "/area-aggregates": _area_windows,
    "/alerts": _alerts,
}
_KNOWN: Mapping[str, Callable[[Store], Rows]] = {
    "/sources": lambda _: (
        (it.name, it.title, it.source_class, it.licence, it.commercial_use) for it in SOURCES.values()
    ),
    "/quantities": lambda _: (
        (it.name, it.unit, it.aggregation, it.day, it.low, it.high) for it in QUANTITIES.values()
    ),
    "/indicators": _indicators,
    "/alerts/silences": _silences,
}
_given = tomllib.loads(Path(__file__).with_name("resources.toml").read_text("utf-8"))
RESOURCES = tuple(_resource(**one) for one in _given["resource"])
