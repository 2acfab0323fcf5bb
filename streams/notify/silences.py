"""
Silences: alerts that are not notified for a while, once or every week; pure.

A silence has patterns of rule and subject, a span of time, and optionally weekly windows in the hub's time zone.
`streams.notify.delivery` holds back what is silenced and sends what is still open when the silence ends;
`streams.notify.operators` keeps silences in the database.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, time, timedelta
from fnmatch import fnmatchcase
from typing import NamedTuple
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CHECK_AGAIN = timedelta(hours=1)  # whether a silence without an end has been ended
_DAY = timedelta(days=1)


class Weekly(NamedTuple):
    """A window on some days of the week, local time; an end not after the begin is on the next day."""

    days: frozenset[int]
    begin: time
    end: time

    def __str__(self) -> str:
        days = ",".join(DAYS[day] for day in sorted(self.days))
        return f"{'daily' if len(self.days) == 7 else days} {self.begin:%H:%M}-{self.end:%H:%M}"

    def end_of(self, moment: datetime) -> datetime | None:
        """Give the end of the window that a local moment lies in."""
        for day in (moment.date() - _DAY, moment.date()):
            last = day if self.end > self.begin else day + _DAY
            end = datetime.combine(last, self.end, moment.tzinfo)
            if day.weekday() in self.days and datetime.combine(day, self.begin, moment.tzinfo) <= moment < end:
                return end
        return None


class Silence(NamedTuple):
    """One silence; without `last` it has no end, without `weekly` it is all of the time between."""

    silence: int
    rule: str
    subject: str
    first: datetime
    last: datetime | None
    weekly: tuple[Weekly, ...] = ()
    made_by: str = ""
    reason: str = ""

    def covers(self, rule: str, subjects: Iterable[str]) -> bool:
        """Tell whether it is about a rule and one of these subjects: a sensor and the areas it is in."""
        return fnmatchcase(rule, self.rule) and any(fnmatchcase(subject, self.subject) for subject in subjects)

    def until(self, now: datetime, zone: ZoneInfo) -> datetime | None:
        """Give the moment when what it holds back at `now` is checked again; None where it is not active now."""
        if now < self.first or (self.last is not None and now >= self.last):
            return None
        if not self.weekly:
            return self.last or now + _CHECK_AGAIN
        local = now.astimezone(zone)
        end = max((end for one in self.weekly if (end := one.end_of(local))), default=None)
        return end if end is None or self.last is None else min(end, self.last)


def longest_silence(
    silences: Sequence[Silence], rule: str, subjects: Sequence[str], now: datetime, zone: ZoneInfo
) -> tuple[Silence, datetime] | None:
    """Give the silence that holds back a rule and its subjects the longest, and until when."""
    found = [
        (one, until) for one in silences if one.covers(rule, subjects) and (until := one.until(now, zone)) is not None
    ]
    return max(found, key=lambda pair: pair[1], default=None)


def weekly(text: str) -> Weekly:
    """
    Read weekly windows; raises ValueError.

    >>> weekly("mon-fri 22:00-07:00").begin
    datetime.time(22, 0)
    >>> sorted(weekly("sat,sun 00:00-24:00").days)
    [5, 6]
    """
    found = re.fullmatch(r"\s*([a-z,-]+)\s+(\d\d:\d\d)-(\d\d:\d\d)\s*", text.lower())
    if not found:
        expected = "expected days and times as 'mon-fri 22:00-07:00' or 'daily 01:00-02:00'"
        raise ValueError(f"weekly window {text!r}, {expected}")
    begin, end = (time.fromisoformat("00:00" if part == "24:00" else part) for part in found.groups()[1:])
    return Weekly(frozenset(_days(found[1])), begin, end)


def _days(text: str) -> Iterator[int]:
    for part in ("mon-sun" if text == "daily" else text).split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise ValueError(f"day {part!r}, expected one of {', '.join(DAYS)}, two of them with a dash, or daily")
        length = (DAYS.index(last or first) - DAYS.index(first)) % 7
        yield from ((DAYS.index(first) + step) % 7 for step in range(length + 1))
