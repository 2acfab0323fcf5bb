"""
The lists of the API: `resources.toml` has an entry for each.

A resource is a path, its parameters (`hub.web.api.parameters`), columns and key, and a function that gives its rows as
Arrow batches. Forms, pages, ETag and the OpenAPI document follow from it (`answers`, `document`). To add a list, add an
entry there, and here a function where its rows do not come from a listing of the database as they are.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import pandas as pd
import pyarrow as pa

from aggregates.ask.areas import newest_vintage
from aggregates.ask.averages import read_area_averages, read_averages
from aggregates.ask.dates import BadQuestion, known_at
from aggregates.ask.indicators import Refused, compute
from aggregates.ask.limits import read_limits
from aggregates.ask.listings import BESIDE, LISTS, Batches, Key, read_area_figures, read_areas, read_series, schema
from aggregates.ask.query import Question, is_waiting
from aggregates.store.store import Store
from hub.settings.settings import Settings
from ingest.vocabulary.calendar import Days
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.sources import SOURCES
from ingest.vocabulary.values import raised_as, shipped_toml
from streams.alerts.unusual import beside_usual, closed_hour
from streams.notify.operators import read_alerts, silences

Rows: TypeAlias = "pd.DataFrame | Iterable[tuple[Any, ...]]"
_given = shipped_toml(__file__, "resources.toml")
FORMS: Mapping[str, str] = _given["forms"]  # media types
PAGED = ("json", "geojson", "html")  # the other forms are files, which hold all rows at once


class Resource(NamedTuple):
    """
    One list; `find(store, after, limit, **asked)` gives its rows, in the order of `key`.

    `resources.toml` says what the fields are. `only` are its forms, where it has not the usual ones.
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
    beside: str = ""
    item: str | None = None
    only: tuple[str, ...] = ()

    def whole(self, form: str) -> int:
        """Give how many rows an answer has at most that is a whole, not a page; 0: it is a page."""
        return 0 if form in PAGED or not self.bulk else self.most if form == "xlsx" else self.bulk

    def shown(self, asked: Mapping[str, Any]) -> pa.Schema:
        """Give the columns of an answer: measures and shapes are there where they are asked for."""
        measures = asked.get("measures", ()) or ()
        hidden = {name for name in BESIDE if "measures" in asked and name.removesuffix("_reason") not in measures}
        hidden |= set() if asked.get("shapes", True) else {"geometry"}
        return pa.schema([column for column in self.columns if column.name not in hidden])

    @property
    def forms(self) -> Mapping[str, str]:
        """The media types of its forms, which `aggregates.export.forms` writes, by name."""
        offered = self.only or [name for name in FORMS if name != "html" and (self.geographic or name != "geojson")]
        return {name: FORMS[name] for name in offered}

    def is_waiting(self, store: Store, asked: Mapping[str, Any]) -> bool:
        """Tell whether windows that are asked for wait for the roll-up; to be asked before the windows."""
        window = asked.get("window", self.window)
        if not window or asked.get("as_of"):
            return False
        return is_waiting(store, *_span(asked), window, areas="sensors" not in asked)

    def lacks_areas(self, store: Store, asked: Mapping[str, Any]) -> bool:
        """Tell whether it has no rows because no areas are loaded."""
        about = "area" in self.path or asked.get("area") is not None
        return about and store.rows("read_newest_vintage") == [(None,)]


def _span(asked: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """Give the range of windows that are asked for: a range, a year or an hour."""
    if "year" in asked:
        return datetime(asked["year"], 1, 1, tzinfo=UTC), datetime(asked["year"] + 1, 1, 1, tzinfo=UTC)
    if "at" in asked:
        return closed_hour(asked["at"], datetime.now(UTC)), datetime.now(UTC)
    return asked["first"], asked["last"]


def _resource(path: str, listing: str = "", columns: str = "", **given: Any) -> Resource:
    """Make a list of `resources.toml`."""
    listed = LISTS.get(listing)
    columns = columns.replace("{measures}", "? ".join([*BESIDE, ""]))
    made = pa.schema([*(listed.columns if listed else ()), *schema(columns)])
    if listed:
        find = _FIND.get(path, partial(listed.read, ever=False))
    else:
        find = partial(_page, _WHOLE.get(path) or partial(_compute, path.removeprefix("/indicators/")), made)
    find = partial(_as_known, find) if "asOf" in given.get("parameters", "") else find
    return Resource(path=path, columns=made, key=listed.key if listed else (made.names[0],), find=find, **given)


def _as_known(
    find: Callable[..., Batches], store: Store, *page: Any, as_of: datetime | None = None, **asked: Any
) -> Batches:
    """Give rows as the hub knew them at a moment, where one is asked for."""
    with known_at(store, as_of, asked.get("window", "1h")):
        if as_of and "at" in asked:
            asked["at"] = closed_hour(asked["at"], as_of)  # one that had ended then
        yield from find(store, *page, **asked)


def _page(
    read: Callable[..., Rows], columns: pa.Schema, store: Store, after: Key | None, limit: int, **asked: Any
) -> Batches:
    """Give rows that are all known before the first is given; what is no number is null."""
    key = columns.names[0]
    found = pd.DataFrame(read(store, **asked), columns=columns.names).sort_values(key)
    page = found[found[key] > after[0]] if after else found
    yield from pa.Table.from_pandas(page.iloc[:limit], schema=columns, preserve_index=False).to_batches()


def _compute(
    name: str, store: Store, *, quantity: str, first: datetime, last: datetime, area: str, vintage: int | None,
    **more: Any,
) -> "pd.DataFrame":  # fmt: skip
    """Compute an indicator, by the names of the API."""
    with raised_as(Refused, BadQuestion):
        question = Question(quantity, first, last, "1h", area=area, vintage=vintage or newest_vintage(store))
    frame = compute(store, name, question, **more).rename(columns={"valid": "valid_hours"})
    return frame.assign(members=frame["members"].str.split()) if "members" in frame else frame


def _usual(store: Store, *, days: Days, quantity: str, at: datetime | None, **scope: Any) -> "pd.DataFrame":
    start = closed_hour(at, datetime.now(UTC))
    found = beside_usual(store, days, quantity, [start], **scope).rename(columns={"hours": "earlier"})
    hour = {"start": start, "end": start + timedelta(hours=1)}
    reason = found["reason"].where(found["reason"] != "", None)
    return found.assign(quantity=quantity, unit=QUANTITIES[quantity].unit, reason=reason, **hour)


_FIND: Mapping[str, Callable[..., Batches]] = {
    "/readings": partial(read_series, window="", ever=True),
    "/aggregates": partial(read_series, ever=True),
    "/averages": read_averages,
    "/percentiles": read_averages,
    "/limits": read_limits,
    "/areas": read_areas,
    "/area-aggregates": read_area_figures,
    "/area-averages": read_area_averages,
    "/alerts": lambda store, after, limit, **asked: read_alerts(store, after, limit, datetime.now(UTC), **asked),
}
_WHOLE: Mapping[str, Callable[..., Rows]] = {
    "/sources": lambda *_, **__: (
        (it.name, it.title, it.source_class, it.licence, it.commercial_use) for it in SOURCES.values()
    ),
    "/quantities": lambda *_, **__: (
        (it.name, it.unit, it.aggregation, it.day, it.low, it.high) for it in QUANTITIES.values()
    ),
    "/indicators": lambda *_, **__: (
        (one.path.rpartition("/")[2], one.about) for one in RESOURCES if one.path.startswith("/indicators/")
    ),
    "/usual": _usual,
    "/alerts/silences": lambda store, **_: silences(store, datetime.now(UTC)),
}
RESOURCES: tuple[Resource, ...] = tuple(_resource(**one) for one in _given["resource"])


def by_settings(settings: Settings) -> Mapping[str, Resource]:
    """Give the lists by path, with a hub's calendar and periods; raises BadFile for a file that is wrong."""
    reporting = settings.reporting
    reporting.read()
    known: dict[str, Any] = {"": {}, "days": {"days": reporting.days()}, "reporting": {"reporting": reporting}}
    known["zone"] = {"zone": settings.timezone}
    return {one.path: one._replace(find=partial(one.find, **known[one.beside])) for one in RESOURCES}
