"""
What is usual for an hour: the median of earlier hours of its kind and their spread, so that King's Day raises no alert.

Public holidays come from the `holidays` library, school holidays and planned events from calendar files (TOML; one of
the north of the Netherlands is shipped). Median and MAD are robust, so that one odd week does not move them (Rousseeuw
& Croux, Journal of the American Statistical Association 88, 1993). `streams.alerts.comparison` compares with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import holidays
import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ingest.vocabulary.readings import microseconds, utc
from ingest.vocabulary.toml import BadFile, read_toml
from streams.alerts.rulebook import Baseline
from streams.commit.windows import HOUR_US

SHIPPED = Path(__file__).with_name("calendars") / "nl-noord.toml"
SUNDAY = 6
HOURS, REACH = 6, 182  # earlier hours of a kind that an hour is compared with, from at most so many days back
LEAST = 4  # of them, else nothing is usual
NORMAL = 1.4826  # MAD of a normal distribution to its standard deviation


class BadCalendar(BadFile):
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

    @property
    def school_until(self) -> date | None:
        """The last day of school holidays; None where it has none."""
        return max((one.last for one in self.school), default=None)

    def kind(self, day: date) -> tuple[int, bool]:
        """Give the weekday that a day counts as (a public holiday: Sunday), and whether schools are closed."""
        weekday = SUNDAY if day in self.public else day.weekday()
        return weekday, any(one.first <= day <= one.last for one in self.school)

    @lru_cache(maxsize=10_000)  # noqa: B019 - one object lives as long as the process
    def comparable_hours(self, start: int) -> tuple[int, ...]:
        """Give the starts (us) of the last `HOURS` hours of the kind of `start`, from at most `REACH` days back."""
        local = utc(start).astimezone(self.zone)
        days = (local.date() - timedelta(days=back) for back in range(1, REACH + 1))
        same = [day for day in days if self.kind(day) == self.kind(local.date())]
        return tuple(microseconds(datetime.combine(day, time(local.hour), self.zone)) for day in same[:HOURS])

    def in_event(self, subjects: NDArray[np.object_], starts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which hours (subject, start in us) lie in a planned event of their subject."""
        inside = np.zeros(len(starts), bool)
        for event in self.events:
            first, last = (
                microseconds(local if local.tzinfo else local.replace(tzinfo=self.zone))
                for local in (event.first, event.last)
            )
            for at in np.flatnonzero((starts + HOUR_US > first) & (starts < last)):
                inside[at] |= any(fnmatchcase(str(subjects[at]), pattern) for pattern in event.sensors)
        return inside


def load_days(zone: str, files: Sequence[Path] = (), country: str = "NL") -> Days:
    """
    Load the calendar: the shipped one, or in its place the files that are named.

    Raises BadCalendar for a file that cannot be read, and for a country that the library does not know.
    """
    calendars = [_read(path) for path in files or (SHIPPED,)]
    working = {name for calendar in calendars for name in calendar.working}
    if country not in holidays.list_supported_countries():
        raise BadCalendar(f"country {country!r}, expected a code of ISO 3166 as NL")
    public = holidays.country_holidays(country, years=range(2010, 2041), language="en_US")
    return Days(
        ZoneInfo(zone), frozenset(day for day, name in public.items() if not working & set(name.split("; "))),
        tuple(one for calendar in calendars for one in calendar.school),
        tuple(one for calendar in calendars for one in calendar.event),
    )  # fmt: skip


def _read(path: Path) -> Calendar:
    calendar = read_toml(path, Calendar, BadCalendar)
    wrong = [one.name for one in calendar.school if one.last < one.first]
    wrong += [one.name for one in calendar.event if one.last <= one.first]
    if wrong:
        raise BadCalendar(f"{path}: {wrong[0]!r}: its last is before its first")
    return calendar


class Usual(NamedTuple):
    """The usual value of each window and its spread; NaN where there are too few earlier hours."""

    median: NDArray[np.float64]
    spread: NDArray[np.float64]


def comparison_hours(starts: NDArray[np.int64], days: Days) -> NDArray[np.int64]:
    """Give the starts (us) of the earlier hours that hours are compared with."""
    found = {one for start in np.unique(starts) for one in days.comparable_hours(int(start))}
    return np.array(sorted(found), dtype=np.int64)


def usual(windows: pd.DataFrame, history: pd.DataFrame, days: Days, asked: Baseline) -> Usual:
    """
    Give what is usual for each of `windows` (subject, start), from valid `history` (subject, start, value).

    An hour is compared with the last hours of its kind: the same hour of the week, a public holiday as a Sunday, school
    holidays apart. Hours of a planned event are never used, and nothing is usual for them.
    """
    subject, start = windows["subject"].to_numpy(), windows["start"].to_numpy(np.int64)
    past = history[~days.in_event(history["subject"].to_numpy(), history["start"].to_numpy(np.int64))]
    by_start = dict(iter(past.groupby("start")))
    median, spread = (np.full(len(windows), np.nan) for _ in range(2))
    for one in np.unique(start):
        same = [by_start[at] for at in days.comparable_hours(int(one)) if at in by_start]
        if same:
            here = np.flatnonzero(start == one)
            known = _usual_of(pd.concat(same), asked).reindex(subject[here])
            median[here], spread[here] = known["median"], known["spread"]
    event = days.in_event(subject, start)
    return Usual(np.where(event, np.nan, median), np.where(event, np.nan, spread))


def _usual_of(same: pd.DataFrame, asked: Baseline) -> pd.DataFrame:
    """Give median and spread by subject; NaN where there are too few hours."""
    values = same.groupby("subject")["value"]
    median = values.median()
    distance = (same["value"] - same["subject"].map(median)).abs()
    spread = NORMAL * distance.groupby(same["subject"]).median()
    least = (asked.share * median.abs()).clip(lower=asked.floor)
    return pd.DataFrame({"median": median, "spread": spread.where(spread > least, least)}).where(
        values.count() >= LEAST
    )
