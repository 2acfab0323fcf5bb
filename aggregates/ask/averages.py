"""
Averages over the days of a kind, as *werkdaggemiddelde*, of each sensor by week, month, quarter or year.

`aggregates.ask.periods` says which days and hours a period has, and the statements `list_averages*` make the figures of
closed days and hours, `list_percentiles*` the speed that a share of the vehicles does not exceed. `stadspuls query
--period` and the API's `/averages` and `/percentiles` show them.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from aggregates.ask.dates import BadQuestion, zone_of
from aggregates.ask.listings import LISTS, Batches, Key, with_measures
from aggregates.ask.periods import EVERY_DAY, PROFILES, SPANS, WHOLE, Period, Reporting
from aggregates.ask.query import Question, chosen_series
from aggregates.ask.series import STAMP, ChosenSeries, local
from aggregates.store.store import Store
from ingest.vocabulary.calendar import Days

TOGETHER = 1_000  # series of one statement
_LONGEST = timedelta(days=366)


def read_averages(
    store: Store, after: Key | None, limit: int, *, reporting: Reporting, quantity: str, first: datetime,
    last: datetime, window: str, period: str | None = None, profile: str | None = None, percentile: float | None = None,
    of_areas: Mapping[str, Any] | None = None, **scope: Any,
) -> Batches:  # fmt: skip
    """
    Yield rows of the list `averages`, by its key, from the one behind `after`; `scope` is that of `Question.of`.

    `period` is a name of `periods.toml`, as `werkdag-ochtendspits`. With `profile` each hour of the day (`hour`) or of
    the week (`week`) has its average, or only the hour with the greatest is given (`busiest`). `value` is the mean of
    the valid days, `total` what all days counted, `valid` whether enough days are. Sensors in an area are those that
    stood in it then. With `of_areas` (vintage, level and codes, null for any) the rows are those of `area_averages`.
    With `percentile` (of vehicles, as 85) they are those of `percentiles`: of counts by class of speed and of single
    vehicles; others say why they have no value. Raises BadQuestion, and `aggregates.store.errors.StoreError`.
    """
    if window not in SPANS:
        raise BadQuestion(f"window {window!r} of a period, expected one of {', '.join(SPANS)}", "window")
    if profile not in (None, *PROFILES):
        raise BadQuestion(f"profile {profile!r}, expected one of {', '.join(PROFILES)}", "profile")
    question, definitions = Question.of(quantity, first, last, "1d", **scope), reporting.read()
    chosen_period, days = definitions.period(period or EVERY_DAY), reporting.days()
    listing = LISTS["percentiles" if percentile else "averages" if of_areas is None else "area_averages"]
    with store.transaction(snapshot=True) as tx:
        hub = zone_of(tx)
        units = plan((first, last), window, chosen_period, profile, days, chosen_period.zone(quantity, hub))
        chosen, area = chosen_series(tx, question)
        if of_areas is not None:
            chosen = ChosenSeries(tx.rows("choose_area_series", quantity=quantity, **of_areas))
        kind = "area_numbered" if of_areas is not None else "aggregate" if question.by_series else "sensor"
        given: dict[str, Any] = {
            **_arrays(units, hub), "kind": kind, "quantity": quantity, "area": None, "vintage": None, **area,
            "day_kind": chosen_period.name, "enough": definitions.enough, "busiest": profile == "busiest",
            "level": "1d" if chosen_period.of_days and not profile else "1h", "percentile": percentile,
            "least": definitions.enough_vehicles,
        }  # fmt: skip
        if units["unit"].duplicated().any():
            listing = listing._replace(statement=f"{listing.statement}_of_parts")
        tx.rows("plan_for_areas" if percentile else "plan_for_days")
        for at in range(0, len(chosen.series) if len(units) else 0, TOGETHER):
            series = chosen.series[at : at + TOGETHER].tolist()
            for found in listing.stream(tx, after, limit, f"{kind}_{given['level']}", series=series, **given):
                limit -= found.num_rows
                yield found


def read_area_averages(
    store: Store, after: Key | None, limit: int, *, vintage: int | None, level: str | None,
    areas: Sequence[str] | None, measures: Sequence[str] | None, shapes: bool | None, **asked: Any,
) -> Batches:  # fmt: skip
    """Yield averages of areas of a vintage, None the newest, with measures of CBS and their boundaries beside them."""
    of_areas = {"vintage": vintage, "level": level, "codes": areas}
    for found in read_averages(store, after, limit, of_areas=of_areas, **asked):
        beside = with_measures(store, pa.Table.from_batches([found]), measures or (), shapes=bool(shapes))
        yield from beside.to_batches()


def _arrays(units: "pd.DataFrame", hub: str) -> dict[str, Any]:
    """Give what `plan` gave, and its first and last start, as the statements unnest it."""
    given = {name: pd.DatetimeIndex(units[name]).to_pydatetime().tolist() for name in ("start", "begin", "end")}
    given |= {name: units[name].dt.date.tolist() for name in ("date", "window")}
    given |= {name: units[name].tolist() for name in ("unit", "place", "hour")}
    starts, here = given["start"], local(pa.array(given["begin"], STAMP), hub).to_pylist()
    return {**given, "local_start": here, "first": min(starts, default=None), "last": max(starts, default=None)}


def plan(
    span: tuple[datetime, datetime], length: str, period: Period, profile: str | None, days: Days, zone: str
) -> "pd.DataFrame":
    """
    Give the days or hours that are averaged, of the windows that start in a span, each whole, in order of time.

    Columns: `start` of the stored day or hour; `unit`, the number of what is averaged: a day, its part, or of a profile
    one hour; its `date`; `window`, the date on which its window begins, and that window's `begin` and `end`; `hour`,
    that of the day or week of a profile, else the first of the part of the day; `place`, the number of window and hour.
    Raises BadQuestion for a range that the school holidays of the calendar do not reach.
    """
    first, until = (pd.Timestamp(one).tz_convert(zone).tz_localize(None) for one in span)
    opening, whole = first.ceil("D"), length == WHOLE
    dates = pd.date_range(opening, until if whole else until + _LONGEST, inclusive="left")
    spans = dates.to_period(SPANS[length] or "D")
    found = pd.DataFrame({"date": dates, "window": spans.start_time, "after": (spans + 1).start_time})
    if whole:
        found = found.assign(window=opening, after=until.ceil("D"))
    found = found[(found["window"] >= opening) & (found["window"] < until)]
    _check_school(period, found["date"], days)
    found = found[np.array([period.kind.has(day, days) for day in found["date"].dt.date], bool)]
    found = found.merge(_parts(period, profile, found["date"], zone), on="date")
    found["unit"] = np.arange(len(found)) if profile else found.groupby("date").ngroup()
    found["place"] = found.groupby(["window", "hour"]).ngroup()
    return found.assign(begin=_midnights(found["window"], zone), end=_midnights(found["after"], zone))


def _parts(period: Period, profile: str | None, dates: "pd.Series[pd.Timestamp]", zone: str) -> "pd.DataFrame":
    """Give what is averaged of each day: the day, its part, or each of its hours; with the hour of its window."""
    begins = _midnights(dates, zone)
    if begins.empty or (period.of_days and not profile):
        return pd.DataFrame({"date": dates, "start": begins, "hour": 0})
    starts = pd.date_range(begins.iloc[0], begins.iloc[-1] + pd.Timedelta(days=1), freq="h")
    here = starts.tz_convert(zone)
    found = pd.DataFrame({"date": here.tz_localize(None).normalize(), "start": starts, "hour": here.hour})
    found = found[found["hour"].map(period.part.has)]
    if not profile:
        return found.assign(hour=next(filter(period.part.has, range(24)), 0))  # also where summer time skips it
    return found.assign(hour=found["hour"] + 24 * found["date"].dt.day_of_week * (profile == "week"))


def _midnights(dates: "pd.Series[pd.Timestamp]", zone: str) -> "pd.Series[pd.Timestamp]":
    """Give the times (UTC) at which days begin in a zone; of two the first."""
    twice = np.ones(len(dates), bool)
    return dates.dt.tz_localize(zone, ambiguous=twice, nonexistent="shift_forward").dt.tz_convert("UTC")


def _check_school(period: Period, dates: "pd.Series[pd.Timestamp]", days: Days) -> None:
    known = sorted((one.first, one.last) for one in days.school)
    for day in dates.iloc[[0, -1]].dt.date if period.kind.school is not None and len(dates) else ():
        if not (known and known[0][0] <= day <= known[-1][1]):
            reach = f"{known[0][0]} to {known[-1][1]}" if known else "none"
            said = f"{period.name} on {day}, expected a day within the school holidays of the calendar, {reach}"
            raise BadQuestion(said, "period")
