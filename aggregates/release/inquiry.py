"""
What is to be published: the tables that a file asks for, and the rows of each.

`aggregates.release.release` freezes them, `aggregates.release.report` shows them. A table is one of windows, of
averages over days of a kind, of areas beside their statistics, or of a year beside its limits.
"""

from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any, Literal

import msgspec
import pyarrow as pa

from aggregates.ask.areas import newest_vintage
from aggregates.ask.averages import read_averages
from aggregates.ask.dates import BadQuestion, moment
from aggregates.ask.limits import read_limits
from aggregates.ask.listings import EVERYTHING, LISTS, joined
from aggregates.ask.periods import EVERY_DAY, Reporting
from aggregates.ask.query import Question, plain, tables
from aggregates.export.areas import Origin, origins
from aggregates.store.store import Store
from ingest.vocabulary.quantities import QUANTITIES

# Columns by which the rows of two tables of one kind are compared, as far as the tables have them.
KEY = ("sensor_id", "channel", "period", "code", "quantity", "start", "hour", "law", "statistic")
NAME = "^[a-z0-9][a-z0-9._-]{0,79}$"
Name = Annotated[str, msgspec.Meta(pattern=NAME)]
Span = tuple[date, date]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table: its rows are those of `query`, of `query --period`, of `areas join` or of `limits`."""

    name: Name
    quantity: str
    kind: Literal["windows", "averages", "areas", "limits"] = "windows"
    window: str = "1d"
    period: str = EVERY_DAY
    profile: str | None = None
    percentile: float | None = None
    sensors: tuple[str, ...] | None = None
    source: str | None = None
    channels: bool = False
    area: str | None = None
    vintage: int | None = None
    level: Literal["gemeente", "wijk", "buurt"] | None = None
    measures: tuple[str, ...] = ()
    year: int = 0

    def moments(self, span: Span, zone: str) -> dict[str, Any]:
        """Give the moments `first` and `last` of a range of dates, of limits of the year; days are the quantity's."""
        days = (date(self.year, 1, 1), date(self.year + 1, 1, 1)) if self.kind == "limits" else span
        window = self.window if self.kind in ("windows", "areas") else "1d"
        named = zip(("first", "last"), days, strict=True)
        return {name: moment(day, zone, window, [self.quantity]) for name, day in named}

    def settled(self, store: Store, span: Span) -> "Table":
        """Name the year and the boundaries, the newest that have its area, so that it asks for these ever after."""
        vintage = self.vintage
        if self.area is not None:
            ((vintage,),) = store.rows("read_area_vintage", area=self.area, vintage=vintage)
        if self.area is not None or self.kind == "areas":
            vintage = vintage or newest_vintage(store)
        return msgspec.structs.replace(self, vintage=vintage, year=self.year or span[0].year)


class Inquiry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file that asks for a release: its title, its tables, and who publishes it; raises BadQuestion at birth."""

    title: str
    table: tuple[Table, ...]
    publisher: str = "Stadspuls"
    licence: str = "CC BY 4.0"

    def __post_init__(self) -> None:
        names = [one.name for one in self.table]
        if len(set(names)) < len(names) or not names:
            raise BadQuestion(f"tables {names}, expected at least one, each with a name of its own")


def answer(store: Store, asked: Table, span: Span, reporting: Reporting) -> pa.Table:
    """Give the rows of a settled table, `span` in dates, as they are known now; raises BadQuestion, `StoreError`."""
    about = ("quantity", "sensors", "source", "area", "vintage")
    scope: dict[str, Any] = {name: getattr(asked, name) for name in about}
    if asked.kind == "limits":
        compared = read_limits(store, None, EVERYTHING, year=asked.year, **scope)
        return pa.Table.from_batches(compared, LISTS["limits"].columns)
    range_ = asked.moments(span, reporting.zone)
    if asked.kind == "averages":
        found = read_averages(
            store, None, EVERYTHING, reporting=reporting, window=asked.window, period=asked.period,
            profile=asked.profile, percentile=asked.percentile, channels=asked.channels, **range_, **scope,
        )  # fmt: skip
        listed = LISTS["percentiles" if asked.percentile else "averages"]
        return plain(pa.Table.from_batches(found, listed.columns))
    if asked.kind == "areas":
        return plain(joined(
            store, window=asked.window, vintage=asked.vintage, measures=asked.measures, level=asked.level,
            quantities=[asked.quantity], **range_,
        ))  # fmt: skip
    question = Question(
        asked.quantity, window=asked.window, sensor=asked.sensors, channels=asked.channels, area=asked.area,
        vintage=asked.vintage, source=asked.source, **range_,
    )  # fmt: skip
    return plain(pa.concat_tables(tables(store, question)).drop_columns(["series"]))


def origins_of(store: Store, asked: Table, rows: pa.Table) -> list[Origin]:
    """Name the suppliers of what is in a settled table, with licences and vintages."""
    sensors = [] if asked.kind == "areas" else [name for name in rows["sensor_id"].unique().to_pylist() if name]
    return origins(store, asked.vintage, asked.quantity, None if asked.vintage and not sensors else sensors)


def rules_of(asked: Iterable[Table], reporting: Reporting) -> dict[str, Any]:
    """
    Give the rules by which figures are made and valid: share covered of a window, hours of a day, days of an average.

    And the zone and the country whose dates and holidays count.
    """
    known = ("unit", "aggregation", "day", "coverage", "hours")
    quantities = {one.quantity: {name: getattr(QUANTITIES[one.quantity], name) for name in known} for one in asked}
    own = {"zone": reporting.zone, "country": reporting.country, "enough_days": reporting.read().enough}
    return {**own, "quantities": quantities}
