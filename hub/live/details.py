"""
What a click opens: a sensor's day beside its usual one with its quality flags, or an area beside its CBS statistics.

`hub.live.page` asks `aggregates.live` for the day and gives it a place; `hub.live.charts` draws it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from nicegui import ui

from aggregates.live import AreaDay, FlaggedHour, Hour, SensorDay, Statistic
from hub.live.charts import LEAST_WEEKS, Day, day, options, usual
from hub.live.markup import Text, table
from hub.live.panels import Desk
from ingest.quantities import QUANTITIES
from ingest.readings import Flag

_SERIES = ("today", "yesterday", "invalid_hour", "running_hour", "flagged_hour", "none", "locale")


@dataclass(frozen=True, slots=True)
class Moment:
    """Of which quantity and when a detail speaks."""

    quantity: str
    now: datetime


def show_sensor(desk: Desk, found: SensorDay, moment: Moment) -> None:
    """Build the detail of a sensor."""
    words = desk.words
    Text("h2", found.name or found.sensor_id).props('tabindex="-1" id="detail-title"')
    about = [found.sensor_id, found.source or "", words.get(f"class.{found.source_class}", "")]
    about += [words("lanes", count=found.lanes)] if found.lanes else []
    Text("p", " · ".join(part for part in about if part), "quiet")
    _chart(desk, found.hours, moment)
    Text("h3", words("flags"))
    _flags(desk, found.flags)
    if found.licence:
        Text("p", f"{words('licence')}: {found.licence}", "quiet small")


def show_area(desk: Desk, found: AreaDay, moment: Moment) -> None:
    """Build the detail of an area."""
    words = desk.words
    Text("h2", found.name).props('tabindex="-1" id="detail-title"')
    Text("p", f"{found.code} · {words(f'one.{found.level}')} · {words('in_area', count=found.sensors)}", "quiet")
    if found.hours:
        _chart(desk, found.hours, moment)
    else:
        Text("p", words("no_hours"))
    Text("h3", words("statistics"))
    _statistics(desk, found)


def _chart(desk: Desk, hours: Sequence[Hour], moment: Moment) -> None:
    words, zone = desk.words, desk.zone
    today, before = (day(hours, moment.now, zone, ago) for ago in (0, 1))
    band = usual(hours, moment.now, zone)
    weekday = words(f"day.{moment.now.isoweekday()}")
    said = {key: words(key) for key in _SERIES}
    said |= {"usual": words("usual", day=weekday), "median": words("median", day=weekday), "unit": unit(desk, moment)}
    title = f"{words(f'quantity.{moment.quantity}')}, {said['unit']}"
    Text("h3", title)
    ui.echart(options(today, before, band, said), renderer="svg").classes("chart").props(
        f'role="img" aria-label="{title}: {words("hours_today")}"'
    )
    key = "band_of" if band.weeks >= LEAST_WEEKS else "no_band"
    Text("p", words(key, weeks=band.weeks), "quiet small")
    with ui.element("details"):
        Text("summary", words("hours_today"))
        heads = [words("hour"), words("value"), words("coverage"), words("state")]
        table(words("hours_today"), heads, _hours(desk, hours, today, moment), "narrow")


def _hours(desk: Desk, hours: Sequence[Hour], today: Day, moment: Moment) -> list[list[str]]:
    words, rows = desk.words, []
    for hour in hours:
        at = hour.start.astimezone(moment.now.tzinfo)
        if at.date() != moment.now.date():
            continue
        state = "running" if today.running[at.hour] is not None else "valid" if hour.valid else "invalid"
        state = state if hour.value is not None else "nothing" if hour.nothing else "failed"
        marks = f", {words('state.flagged')}" if hour.flagged or hour.warned else ""
        share = "–" if hour.coverage is None else f"{hour.coverage:.0%}"
        rows.append([f"{at:%H:%M}", words.number(hour.value), share, words(f"state.{state}") + marks])
    return rows


def _flags(desk: Desk, found: Sequence[FlaggedHour]) -> None:
    if not found:
        Text("p", desk.words("no_flags"), "quiet")
        return
    with ui.element("ul").classes("plain flags"):
        for hour in found:
            names = [desk.words(f"flag.{flag.name}") for flag in Flag if hour.flags & flag]
            said = {"hour": desk.clock(hour.start), "count": hour.readings, "flag": ", ".join(names)}
            Text("li", desk.words("flag_line", **said))


def _statistics(desk: Desk, found: AreaDay) -> None:
    words = desk.words
    if not found.statistics:
        Text("p", words("no_statistics"), "quiet")
        return
    Text("p", words("statistics_of", vintage=found.vintage), "quiet small")
    heads = [words("measure"), words("value"), words("period")]
    for theme, group in groupby(found.statistics, key=lambda one: one.theme or "general"):
        Text("h4", words.get(f"theme.{theme}", theme))
        table(words.get(f"theme.{theme}", theme), heads, [_statistic(desk, one) for one in group], "narrow bare")
    licences = sorted({f"{one.source} ({one.licence})" for one in found.statistics if one.source})
    Text("p", f"{words('source')}: {'; '.join(licences)}", "quiet small")


def _statistic(desk: Desk, one: Statistic) -> list[str]:
    words = desk.words
    title = words.get(f"measure.{one.measure}", one.title)
    period = (one.period or "").replace("1 January", words("first_of_january")).replace("year", words("in_year"))
    if one.value is None:
        return [title, f"{words('none')} ({one.attribute or one.content or words('withheld')})", period]
    unit_of = words.get(f"unit.{one.unit}", one.unit or "")
    return [title, f"{words.number(one.value, 4)} {unit_of}".strip(), period]


def unit(desk: Desk, moment: Moment) -> str:
    """Give the unit as words: a count is so many an hour."""
    name = QUANTITIES[moment.quantity].unit
    return desk.words.get(f"unit.{name}", name) or desk.words("per.1h")
