"""
The calendar: public holidays, school holidays and planned events, so that a quiet King's Day raises no alert.

Public holidays come from the `holidays` library, the rest from calendar files (TOML; one of the north of the
Netherlands is shipped). `streams.alerts.baseline` asks with which earlier hours an hour may be compared.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

import holidays
import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.vocabulary.readings import microseconds, utc
from streams.commit.windows import HOUR_US

SHIPPED = Path(__file__).with_name("calendars") / "nl-noord.toml"
SUNDAY = 6
_DAY = timedelta(days=1)


class BadCalendar(ValueError):  # noqa: N818 - named for the reaction: the user corrects the file
    """A calendar file that cannot be read; the text names file, key and reason."""


class School(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """School holidays, first and last day inclusive."""

    name: str
    first: date
    last: date


class PlannedEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A planned event `[first, last)` in local time, of the sensors that match a pattern."""

    name: str
    first: datetime
    last: datetime
    sensors: tuple[str, ...] = ("*",)


class Calendar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A calendar file; `working` names public holidays on which most people work, as the `holidays` library does."""

    source: str = ""
    working: tuple[str, ...] = ()
    school: tuple[School, ...] = ()
    event: tuple[PlannedEvent, ...] = ()


@dataclass(frozen=True)
class Days:
    """The kind of each day, in a time zone."""

    zone: ZoneInfo
    public: frozenset[date]
    school: tuple[School, ...] = ()
    events: tuple[PlannedEvent, ...] = ()

    def kind(self, day: date) -> tuple[int, bool]:
        """Give the weekday that a day counts as (a public holiday: Sunday), and whether schools are closed."""
        weekday = SUNDAY if day in self.public else day.weekday()
        return weekday, any(one.first <= day <= one.last for one in self.school)

    def comparable_hours(self, start: int, most: int, reach: int) -> list[int]:
        """Give the starts (us) of the last `most` hours of the kind of `start`, from at most `reach` weeks back."""
        return list(_comparable_hours(self, start, most, reach))

    def _us(self, local: datetime) -> int:
        return microseconds(local if local.tzinfo else local.replace(tzinfo=self.zone))

    def in_event(self, subjects: NDArray[np.object_], starts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which hours (subject, start in us) lie in a planned event of their subject."""
        inside = np.zeros(len(starts), bool)
        for event in self.events:
            first, last = self._us(event.first), self._us(event.last)
            during = np.flatnonzero((starts + HOUR_US > first) & (starts < last))
            for at in during:
                inside[at] |= any(fnmatchcase(str(subjects[at]), pattern) for pattern in event.sensors)
        return inside


@lru_cache(maxsize=10_000)
def _comparable_hours(days: Days, start: int, most: int, reach: int) -> tuple[int, ...]:
    local = utc(start).astimezone(days.zone)
    wanted, found, day = days.kind(local.date()), list[int](), local.date()
    for _ in range(reach * 7):
        day -= _DAY
        if days.kind(day) == wanted:
            found.append(microseconds(datetime.combine(day, time(local.hour), days.zone)))
            if len(found) == most:
                break
    return tuple(found)


def load_days(zone: str, files: Sequence[Path] = (), country: str = "NL", years: range = range(2010, 2041)) -> Days:
    """
    Load the calendar: the shipped one, or in its place the files that are named.

    Raises BadCalendar for a file that cannot be read, and for a country that the library does not know.
    """
    calendars = [_read(path) for path in files or (SHIPPED,)]
    working = {name for calendar in calendars for name in calendar.working}
    if country not in holidays.list_supported_countries():
        raise BadCalendar(f"country {country!r}, expected a code of ISO 3166 as NL")
    public = holidays.country_holidays(country, years=years, language="en_US")
    return Days(
        ZoneInfo(zone), frozenset(day for day, name in public.items() if not working & set(name.split("; "))),
        tuple(one for calendar in calendars for one in calendar.school),
        tuple(one for calendar in calendars for one in calendar.event),
    )  # fmt: skip


def school_until(files: Sequence[Path] = ()) -> date | None:
    """
    Give the last day of school holidays in the calendar; None where it has none.

    Raises BadCalendar as `load_days` does.
    """
    return max((one.last for path in files or (SHIPPED,) for one in _read(path).school), default=None)


def _read(path: Path) -> Calendar:
    try:
        calendar = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Calendar)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadCalendar(f"{path}: {error}") from error
    wrong = [one.name for one in calendar.school if one.last < one.first]
    wrong += [one.name for one in calendar.event if one.last <= one.first]
    if wrong:
        raise BadCalendar(f"{path}: {wrong[0]!r}: its last is before its first")
    return calendar
