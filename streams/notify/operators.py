"""
What operators do with alerts: list, acknowledge and silence them; for the commands, the API and the live page.

A silence has patterns of rule and subject, a span of time, and optionally weekly windows in the hub's time zone.
`streams.notify.delivery` holds back what is silenced and sends what is still open when the silence ends, and notifies
others of an acknowledgement. Each function that changes something is one statement or one transaction.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, time, timedelta
from fnmatch import fnmatchcase
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import pyarrow as pa

from aggregates.ask.dates import BadQuestion
from aggregates.store.store import Store, Transaction
from ingest.vocabulary.readings import YEARS

if TYPE_CHECKING:
    from aggregates.ask.listings import Batches

Row = dict[str, Any]
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = "((?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)"
_CHECK_AGAIN = timedelta(hours=1)  # whether a silence without an end has been ended
_DAY = timedelta(days=1)


class Weekly(NamedTuple):
    """A window on some days of the week, local time; an end not after the begin is on the next day."""

    days: frozenset[int]
    begin: time
    end: time

    def end_of(self, moment: datetime) -> datetime | None:
        """Give the end of the window that a local moment lies in."""
        for day in (moment.date() - _DAY, moment.date()):
            last = day if self.end > self.begin else day + _DAY
            end = datetime.combine(last, self.end, moment.tzinfo)
            if day.weekday() in self.days and datetime.combine(day, self.begin, moment.tzinfo) <= moment < end:
                return end
        return None


class Silence(NamedTuple):
    """One silence; without `last` it has no end, without `weekly` windows it is all of the time between."""

    silence: int
    rule: str
    subject: str
    first: datetime
    last: datetime | None
    weekly: Sequence[str] = ()
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
        end = max((end for one in self.weekly if (end := weekly(one).end_of(local))), default=None)
        return end if end is None or self.last is None else min(end, self.last)


def longest_silence(
    quiet: Sequence[Silence], rule: str, subjects: Sequence[str], now: datetime, zone: ZoneInfo
) -> tuple[Silence, datetime] | None:
    """Give the silence that holds back a rule and its subjects the longest, and until when."""
    found = ((one, one.until(now, zone)) for one in quiet if one.covers(rule, subjects))
    return max(((one, until) for one, until in found if until is not None), key=itemgetter(1), default=None)


def weekly(text: str) -> Weekly:
    """
    Read weekly windows; raises BadQuestion.

    >>> weekly("mon-fri 22:00-07:00").begin
    datetime.time(22, 0)
    >>> sorted(weekly("sat,sun 00:00-24:00").days)
    [5, 6]
    """
    found = re.fullmatch(rf"\s*([a-z,-]+)\s+{_CLOCK}-{_CLOCK}\s*", text.lower())
    if not found:
        expected = "days and times as 'mon-fri 22:00-07:00' or 'daily 01:00-02:00'"
        raise BadQuestion(f"weekly window {text!r}, expected {expected}")
    begin, end = (time.fromisoformat("00:00" if part == "24:00" else part) for part in found.groups()[1:])
    return Weekly(frozenset(_days(found[1])), begin, end)


def _days(text: str) -> Iterator[int]:
    for part in ("mon-sun" if text == "daily" else text).split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise BadQuestion(f"day {part!r}, expected one of {', '.join(DAYS)}, two of them with a dash, or daily")
        length = (DAYS.index(last or first) - DAYS.index(first)) % 7
        yield from ((DAYS.index(first) + step) % 7 for step in range(length + 1))


def read_alerts(store: Store, after: Any, limit: int, now: datetime, *, zone: str, **asked: Any) -> "Batches":
    """Yield alerts, the newest first, as the listing of this name does, with silences of `now` and local time."""
    from aggregates.ask.listings import LISTS, schema  # which bring pandas along
    from aggregates.ask.series import local

    quiet = [one for one in silences(store, now) if one.until(now, ZoneInfo(zone)) is not None]
    for batch in list(LISTS["alerts"].read(store, after, limit, **asked)):
        found = batch.select(["rule", "subject", "state"]).to_pylist()
        subjects = sorted({one["subject"] for one in found}) if quiet else []
        areas = {sensor: codes for sensor, _, _, codes in store.rows("list_sensor_areas", sensors=subjects)}
        for one in found:  # a raised alert that no channel gets now
            about = (one["subject"], *areas.get(one["subject"], ()))
            if one["state"] == "raised" and any(silence.covers(one["rule"], about) for silence in quiet):
                one["state"] = "silenced"
        place = batch.schema.get_field_index("state")
        states = pa.array([one["state"] for one in found], pa.string())
        shown = batch.set_column(place, batch.schema.field(place), states)
        yield shown.append_column(schema("local_since").field(0), local(batch["since"], zone))


def alerts(
    store: Store, now: datetime, zone: ZoneInfo, *, everything: bool = False, subject: str | None = None,
    limit: int = 1_000_000,
) -> list[Row]:  # fmt: skip
    """Give the open alerts, or all of them, as rows of `read_alerts`."""
    asked = {"rule": None, "subject": subject, "severity": None, "open": None if everything else True}
    found = read_alerts(store, None, limit, now, zone=zone.key, **asked)
    return [row for batch in found for row in batch.to_pylist()]


def alerts_about(store: Store, subject: str, first: datetime, last: datetime) -> list[Row]:
    """Give the alerts about a sensor or an area in `[first, last)` that stand, the newest first, as `alerts` does."""
    found = alerts(store, last, ZoneInfo("UTC"), everything=True, subject=subject)
    standing = [row for row in found if row["since"] < last and not row["withdrawn"]]
    return [row for row in standing if (row["until"] or row["cleared_at"] or last) > first]


def acknowledge(store: Store, alert: int, by: str, now: datetime) -> bool:
    """Acknowledge an alert, and notify the channels that got it; False where it is not open."""
    with store.transaction() as tx:
        tx.rows("acknowledge_alert", alert=alert, by=by, now=now)
        return tx.rows("is_acknowledged", alert=alert) != []


def silence(
    store: Store, *, rule: str, subject: str, first: datetime, last: datetime | None, windows: list[str], by: str,
    reason: str, now: datetime,
) -> int:  # fmt: skip
    """
    Make a silence and give its number.

    Raises BadQuestion for weekly windows that cannot be read, and a span without an end, without a length or far away.
    """
    for text in windows:
        weekly(text)
    if last is None and not windows:
        raise BadQuestion("neither an end nor weekly windows: a silence without an end is forgotten")
    for moment in (first, last):
        if moment is not None and moment.year not in YEARS:
            raise BadQuestion(f"{moment.isoformat()}, expected a stamp of the years {YEARS[0]} to {YEARS[-1]}")
    if last is not None and last <= first:
        raise BadQuestion(f"a silence that ends at {last.isoformat()} and begins at {first.isoformat()}")
    ((number,),) = store.rows(
        "insert_silence", rule=rule, subject=subject, first=first, last=last, made_by=by, reason=reason, now=now,
        recurrence=msgspec.json.encode(windows).decode() if windows else None,
    )  # fmt: skip
    return int(number)


def silences(source: Store | Transaction, now: datetime) -> list[Silence]:
    """Give the silences that are active or to come."""
    return [Silence(*row) for row in source.rows("list_silences", now=now)]


def end_silence(store: Store, number: int, now: datetime) -> bool:
    """End a silence: what it held back is due now; False where there is none to end."""
    return bool(store.rows("end_silence", silence=number, now=now))
