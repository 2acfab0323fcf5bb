"""
The kind of each day: public holidays, school holidays and planned events.

Public holidays come from the `holidays` library, school holidays and planned events from calendar files (TOML; one of
the north of the Netherlands is shipped). `streams.alerts.comparison` compares hours of the same kind with it, and
`aggregates.ask.periods` chooses the days of an average.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.vocabulary.readings import microseconds, utc
from ingest.vocabulary.values import BadFile, read_toml

SHIPPED = Path(__file__).with_name("calendars") / "nl-noord.toml"
SUNDAY = 6
HOURS, REACH = 6, 182  # earlier hours of a kind that an hour is compared with, from at most so many days back
HOUR = 3_600_000_000  # us
YEARS = range(2010, 2041)  # whose public holidays are known


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


class Days(NamedTuple):
    """The kind of each day, in a time zone."""

    zone: ZoneInfo
    public: frozenset[date]
    school: tuple[School, ...] = ()
    events: tuple[PlannedEvent, ...] = ()

    def kind(self, day: date) -> tuple[int, bool]:
        """Give the weekday that a day counts as (a public holiday: Sunday), and whether schools are closed."""
        weekday = SUNDAY if day in self.public else day.weekday()
        return weekday, any(one.first <= day <= one.last for one in self.school)

    @lru_cache(maxsize=10_000)  # noqa: B019 - one object lives as long as the process
    def comparable_hours(self, start: int) -> tuple[int, ...]:
        """
        Give the starts (us) of the last `HOURS` hours of the kind of `start`, from at most `REACH` days back.

        The day on which clocks go forward lacks an hour, and is left out for it; of two hours it is the first.
        """
        local = utc(start).astimezone(self.zone)
        kind, clock = self.kind(local.date()), local.time().replace(fold=0)
        days = (local.date() - timedelta(days=back) for back in range(1, REACH + 1))
        same = (datetime.combine(day, clock, self.zone) for day in days if self.kind(day) == kind)
        there = (hour for hour in same if hour.astimezone(UTC).astimezone(self.zone).time() == clock)
        return tuple(microseconds(hour) for hour in islice(there, HOURS))

    def in_event(self, subjects: NDArray[np.object_], starts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which hours (subject, start in us) lie in a planned event of their subject."""
        inside = np.zeros(len(starts), bool)
        for event in self.events:
            first, last = (
                microseconds(local if local.tzinfo else local.replace(tzinfo=self.zone))
                for local in (event.first, event.last)
            )
            for at in np.flatnonzero((starts + HOUR > first) & (starts < last)):
                inside[at] |= any(fnmatchcase(str(subjects[at]), pattern) for pattern in event.sensors)
        return inside


def load_days(zone: str, files: Sequence[Path] = (), country: str = "NL") -> Days:
    """
    Load the calendar: the shipped one, or in its place the files that are named.

    Raises BadFile for a file that cannot be read, and for a country that the library does not know.
    """
    import holidays  # half a second that only those wait for who ask for days

    calendars = [_read(path) for path in files or (SHIPPED,)]
    working = {name for calendar in calendars for name in calendar.working}
    if country not in holidays.list_supported_countries():
        raise BadFile(f"country {country!r}, expected a code of ISO 3166 as NL")
    public = holidays.country_holidays(country, years=YEARS, language="en_US")
    return Days(
        ZoneInfo(zone), frozenset(day for day, name in public.items() if not working & set(name.split("; "))),
        tuple(one for calendar in calendars for one in calendar.school),
        tuple(one for calendar in calendars for one in calendar.event),
    )  # fmt: skip


def _read(path: Path) -> Calendar:
    calendar = read_toml(path, Calendar)
    wrong = [one.name for one in calendar.school if one.last < one.first]
    wrong += [one.name for one in calendar.event if one.last <= one.first]
    if wrong:
        raise BadFile(f"{path}: {wrong[0]!r}: its last is before its first")
    return calendar
