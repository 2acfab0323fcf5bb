"""
What a click opens: a sensor's day beside its usual one with its quality flags, or an area beside its CBS statistics.

`hub.web.live.page` reads the day with `aggregates.ask.live` and gives it a place; `hub.web.live.charts` draws it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from nicegui import ui

from aggregates.ask.live import AreaDay, FlaggedHour, Hour, SensorDay, Statistic
from hub.web.live.charts import LEAST_WEEKS, DayLines, day, drawn, options, usual
from hub.web.live.panels import Context, Text, table
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import Flag

_SERIES = ("today", "yesterday", "invalid_hour", "running_hour", "flagged_hour", "none", "locale")
_KEYS = {  # how each thing in the chart looks, for its legend
    "usual": '<path d="M1 4h16v6H1z" fill="var(--band)"/>',
    "median": '<path d="M1 7h16" stroke="var(--quiet)" stroke-width="1.5"/>',
    "yesterday": '<path d="M1 7h16" stroke="var(--quiet)" stroke-width="1.5"/>',
    "today": '<path d="M1 7h16" stroke="var(--accent)" stroke-width="2.5"/><circle cx="9" cy="7" r="3" '
    'fill="var(--accent)"/>',
    "invalid_hour": '<circle cx="9" cy="7" r="4" fill="none" stroke="var(--warn)" stroke-width="2"/>',
    "running_hour": '<path d="M9 2l5 5-5 5-5-5z" fill="none" stroke="var(--accent)" stroke-width="2"/>',
    "flagged_hour": '<path d="M9 2l5 9H4z" fill="var(--warn)"/>',
}


@dataclass(frozen=True, slots=True)
class Moment:
    """The quantity and the time of a detail."""

    quantity: str
    now: datetime


Subject = SensorDay | AreaDay
Renewal = Callable[[Subject, Moment], None]


def show(context: Context, found: Subject, moment: Moment) -> Renewal:
    """Build the detail of a sensor or an area; give what renews its day where it stands."""
    renew = _show_sensor(context, found, moment) if isinstance(found, SensorDay) else _show_area(context, found, moment)
    renew(found, moment)
    return renew


def _show_sensor(context: Context, found: SensorDay, moment: Moment) -> Renewal:
    words = context.words
    Text("h2", found.name or found.sensor_id).props('tabindex="-1" id="detail-title"')
    about = [found.sensor_id, found.source or "", words.get(f"class.{found.source_class}", "")]
    about += [words("lanes", count=found.lanes)] if found.lanes else []
    Text("p", " · ".join(part for part in about if part), "quiet")
    course = _Course(context, moment)
    Text("h3", words("flags"))
    flags = ui.element("div")
    if found.licence:
        Text("p", f"{words('licence')}: {found.licence}", "quiet small")

    def renew(found: Subject, moment: Moment) -> None:
        course.renew(found.hours, moment)
        flags.clear()
        with flags:
            _flags(context, found.flags if isinstance(found, SensorDay) else [])

    return renew


def _show_area(context: Context, found: AreaDay, moment: Moment) -> Renewal:
    words = context.words
    Text("h2", found.name).props('tabindex="-1" id="detail-title"')
    Text("p", f"{found.code} · {words(f'one.{found.level}')} · {words('in_area', count=found.sensors)}", "quiet")
    empty = Text("p", words("no_hours"))
    with ui.element("div") as place:
        course = _Course(context, moment, band=False)
    Text("h3", words("statistics"))
    _statistics(context, found)

    def renew(found: Subject, moment: Moment) -> None:
        course.renew(found.hours, moment)
        empty.visible, place.visible = not found.hours, bool(found.hours)

    return renew


class _Course:
    """
    The hours of a day: a chart with its legend, and a table.

    An area has no `band`: what it adds up are the sensors that were valid, from week to week not the same ones.
    """

    def __init__(self, context: Context, moment: Moment, band: bool = True) -> None:
        words = context.words
        self._context, self._band = context, band
        title = ", ".join(part for part in (words(f"quantity.{moment.quantity}"), unit(context, moment)) if part)
        Text("h3", title)
        self._chart = ui.echart({}, renderer="svg").classes("chart")
        self._chart.props(f'role="img" aria-label="{title}: {words("hours_today")}"')
        self._legend = ui.element("ul").classes("keys")
        self._note = Text("p", "", "quiet small")
        with ui.element("details"):
            Text("summary", words("hours_today"))
            self._table = ui.element("div")

    def renew(self, hours: Sequence[Hour], moment: Moment) -> None:
        """Draw these hours in the place of those before."""
        words, zone = self._context.words, self._context.watch.zone
        today, before = (day(hours, moment.now, zone, ago) for ago in (0, 1))
        band = usual(hours if self._band else [], moment.now, zone)
        weekday = words(f"day.{moment.now.isoweekday()}")
        names = {key: words(key) for key in _SERIES} | {
            "usual": words("usual", day=weekday), "median": words("median", day=weekday),
            "unit": unit(self._context, moment),
        }  # fmt: skip
        self._chart.options.clear()
        self._chart.options.update(options(today, before, band, names))
        self._chart.update()
        self._legend.clear()
        with self._legend:
            for key in drawn(today, band):
                with ui.element("li"):
                    ui.html(f'<svg viewBox="0 0 18 14" aria-hidden="true">{_KEYS[key]}</svg>', sanitize=False)
                    Text("span", names[key])
        has_band = "band_of" if band.weeks >= LEAST_WEEKS else "no_band"
        self._note.text = words(has_band if self._band else "area_band", weeks=band.weeks)
        self._table.clear()
        with self._table:
            heads = [words("hour"), words("value"), words("coverage"), words("state")]
            table(words("hours_today"), heads, _hours(self._context, hours, today, moment), "narrow")


def _hours(context: Context, hours: Sequence[Hour], today: DayLines, moment: Moment) -> list[list[str]]:
    words, rows = context.words, []
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


def _flags(context: Context, found: Sequence[FlaggedHour]) -> None:
    if not found:
        Text("p", context.words("no_flags"), "quiet")
        return
    with ui.element("ul").classes("plain flags"):
        for hour in found:
            flags = ", ".join(context.words(f"flag.{flag.name}") for flag in Flag if hour.flags & flag)
            Text("li", context.words("flag_line", hour=context.clock(hour.start), count=hour.readings, flag=flags))


def _statistics(context: Context, found: AreaDay) -> None:
    words = context.words
    if not found.statistics:
        Text("p", words("no_statistics"), "quiet")
        return
    Text("p", words("statistics_of", vintage=found.vintage), "quiet small")
    heads = [words("measure"), words("value"), words("period")]
    for theme, group in groupby(found.statistics, key=lambda one: one.theme or "general"):
        Text("h4", words.get(f"theme.{theme}", theme))
        table(words.get(f"theme.{theme}", theme), heads, [_statistic(context, one) for one in group], "narrow bare")
    licences = sorted({f"{one.source} ({one.licence})" for one in found.statistics if one.source})
    Text("p", f"{words('source')}: {'; '.join(licences)}", "quiet small")


def _statistic(context: Context, one: Statistic) -> list[str]:
    words = context.words
    title = words.get(f"measure.{one.measure}", one.title)
    period = (one.period or "").replace("1 January", words("first_of_january")).replace("year", words("in_year"))
    if one.value is None:
        return [title, f"{words('none')} ({_reason(context, one)})", period]
    unit_of = words.get(f"unit.{one.unit}", one.unit or "")
    return [title, f"{words.number(one.value, 4)} {unit_of}".strip(), period]


def _reason(context: Context, one: Statistic) -> str:
    words, reason = context.words, one.attribute or one.content
    if below := re.fullmatch(r"withheld: fewer than (\d+) (\w+)", reason or ""):
        measure = words.get(f"measure.{below[2]}", below[2]).lower()
        return words("withheld_below", least=words.number(float(below[1]), 9), measure=measure)
    return words.get(f"reason.{reason}", reason) if reason else words("withheld")


def unit(context: Context, moment: Moment) -> str:
    """Give the unit as words: a count is so many an hour."""
    name = QUANTITIES[moment.quantity].unit
    return context.words.get(f"unit.{name}", name) or context.words("per.1h")
