"""
Periods that averages are reported for: which days and hours are a *werkdag*, an *ochtendspits*. No I/O.

`periods.toml` defines kinds of day and parts of the day; `ingest.vocabulary.calendar` knows public and school holidays.
`aggregates.ask.averages` averages over them. Every command loads this: so no pandas here.
"""

from datetime import date
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec

from aggregates.ask.dates import BadQuestion
from ingest.vocabulary.calendar import Days, load_days
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.values import read_toml

SHIPPED = Path(__file__).with_name("periods.toml")
PROFILES = ("hour", "week", "busiest")
EVERY_DAY, ALL_HOURS = "weekdag", "etmaal"  # what is not named
WHOLE = "whole"  # in place of a length: all of the range as one window
SPANS = {"1d": "D", "1w": "W", "1mo": "M", "1q": "Q", "1y": "Y", WHOLE: ""}  # lengths, and what pandas calls them
LONG = tuple(SPANS)[1:]  # windows that only averages have

_HourOfDay = Annotated[int, msgspec.Meta(ge=0, le=24)]
_Weekday = Annotated[int, msgspec.Meta(ge=1, le=7)]


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of day."""

    english: str
    weekdays: tuple[_Weekday, ...] = (1, 2, 3, 4, 5, 6, 7)
    holidays: Literal["as Sundays", "as they fall"] = "as Sundays"
    school: bool | None = None

    def has(self, day: date, days: Days) -> bool:
        """Tell whether a day is of this kind."""
        weekday, school = days.kind(day)
        if self.holidays == "as they fall":
            weekday = day.weekday()
        return weekday + 1 in self.weekdays and self.school in (None, school)


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the day: hours `[first, last)` of local time."""

    english: str
    hours: tuple[tuple[_HourOfDay, _HourOfDay], ...]

    def has(self, hour: int) -> bool:
        """Tell whether an hour of the day is in it."""
        return any(first <= hour < last for first, last in self.hours)


class Period(NamedTuple):
    """A kind of day and a part of the day, as they were asked for; `name` in Dutch."""

    name: str
    kind: Kind
    part: Part

    @property
    def of_days(self) -> bool:
        """Whether it is of whole days."""
        return self.part.hours == ((0, 24),)

    def zone(self, quantity: str, zone: str) -> str:
        """Give the zone of its dates: of whole days the quantity's own, else the hub's."""
        return (self.of_days and QUANTITIES[quantity].zone) or zone


class Definitions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A file of periods: `enough` days of a window must be valid (a share), of speeds so many vehicles counted."""

    enough: Annotated[float, msgspec.Meta(ge=0, le=1)]
    enough_vehicles: Annotated[int, msgspec.Meta(ge=1)] = 125
    kind: dict[str, Kind]
    part: dict[str, Part]

    def __post_init__(self) -> None:
        for known, needed in ((self.kind, EVERY_DAY), (self.part, ALL_HOURS)):
            if needed not in known:
                raise ValueError(f"{', '.join(known)}, expected {needed} among them")

    def period(self, text: str) -> Period:
        """Find a period by its Dutch or English words, joined by a `-`; raises BadQuestion."""
        words = text.split("-")
        kinds = [name for name, one in self.kind.items() if not {name, one.english}.isdisjoint(words)]
        parts = [name for name, one in self.part.items() if not {name, one.english}.isdisjoint(words)]
        if len(kinds) > 1 or len(parts) > 1 or len(kinds) + len(parts) < len(words):
            known = f"{', '.join(self.kind)} and one of {', '.join(self.part)}"
            raise BadQuestion(f"period {text!r}, expected one of {known}, or one of each with - between", "period")
        kind, part = kinds[0] if kinds else EVERY_DAY, parts[0] if parts else ALL_HOURS
        return Period("-".join([kind, *parts]) if kinds or not parts else part, self.kind[kind], self.part[part])


class Reporting(NamedTuple):
    """What the averages of a hub are made by: its zone, calendar files and country, and the definitions of periods."""

    zone: str
    calendars: tuple[Path, ...] = ()
    country: str = "NL"
    definitions: Path = SHIPPED

    def read(self) -> Definitions:
        """Read the definitions; raises BadFile."""
        return _read(self.definitions)

    def days(self) -> Days:
        """Give the calendar; raises `ingest.vocabulary.values.BadFile`."""
        return _load_days(self.zone, self.calendars, self.country)


_load_days = lru_cache(maxsize=50)(load_days)
_read = lru_cache(maxsize=5)(partial(read_toml, kind=Definitions))
