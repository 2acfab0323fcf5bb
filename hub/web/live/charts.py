"""
The day of a sensor or an area as options of ECharts: its hours, and what is usual on this weekday.

Pure: `hub.web.live.details` shows it. Colours are the page's CSS variables: light and dark follow by themselves.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from aggregates.ask.live import Hour, midnight

LEAST_WEEKS = 3  # with fewer nothing is known about what is usual
_HOURS = range(24)

Line = list[float | None]


class Band(NamedTuple):
    """What is usual by local hour: the 10th, 50th and 90th percentile of `weeks` earlier days of this weekday."""

    low: Line
    median: Line
    high: Line
    weeks: int


def usual(hours: Sequence[Hour], now: datetime, zone: str) -> Band:
    """
    Give the band of the same weekday from its valid hours before today; an hour needs three days.

    Percentiles are linear between the two nearest values (Hyndman and Fan 1996, definition 7).
    """
    here, today = ZoneInfo(zone), midnight(now, zone)
    same = [
        (local, hour.value)
        for hour in hours
        if hour.valid and hour.value is not None and hour.start < today
        and (local := hour.start.astimezone(here)).isoweekday() == today.isoweekday()
    ]  # fmt: skip
    by_hour = [[value for local, value in same if local.hour == number] for number in _HOURS]
    low, median, high = (
        [float(np.percentile(values, part)) if len(values) >= LEAST_WEEKS else None for values in by_hour]
        for part in (10, 50, 90)
    )
    return Band(low, median, high, len({local.date() for local, _ in same}))


class DayLines(NamedTuple):
    """A local day by hour, each value in the one line that its quality puts it in; `flagged` are marks upon them."""

    valid: Line
    invalid: Line
    running: Line
    flagged: Line


def day(hours: Sequence[Hour], now: datetime, zone: str, ago: int = 0) -> DayLines:
    """Give the day `ago` days before today; where the clock is set back the later of two hours stands."""
    here, wanted = ZoneInfo(zone), midnight(now, zone).date().toordinal() - ago
    found = DayLines([None] * 24, [None] * 24, [None] * 24, [None] * 24)
    for hour in hours:
        local = hour.start.astimezone(here)
        if local.date().toordinal() != wanted or hour.value is None:
            continue
        runs = (now - hour.start).total_seconds() < 3600
        line = found.running if runs else found.valid if hour.valid else found.invalid
        line[local.hour] = hour.value
        if hour.flagged or hour.failed or hour.warned:
            found.flagged[local.hour] = hour.value
    return found


def options(today: DayLines, before: DayLines, band: Band, names: Mapping[str, str]) -> dict[str, object]:
    """Give the chart; `names` has a name for each series and the unit. Without a band yesterday stands beside today."""
    has_band = band.weeks >= LEAST_WEEKS
    series = _band(band, names) if has_band else [_line(names["yesterday"], before.valid, "--quiet", width=1.5)]
    series += [
        _line(names["today"], today.valid, "--accent", width=2.5, symbol="circle"),
        _marks(names["invalid_hour"], today.invalid, "emptyCircle", "--warn"),
        _marks(names["running_hour"], today.running, "emptyDiamond", "--accent"),
        _marks(names["flagged_hour"], today.flagged, "triangle", "--warn", offset=-12),
    ]
    form = f"v => v == null ? '{names['none']}' : new Intl.NumberFormat('{names['locale']}').format(v)"
    text = {"color": "var(--ink-soft)", "fontFamily": "sans-serif", "fontSize": 12}
    return {
        "animation": False,
        "grid": {"left": 8, "right": 12, "top": 28, "bottom": 6, "containLabel": True},
        "tooltip": {
            "trigger": "axis", ":valueFormatter": form, "backgroundColor": "var(--panel)",
            "borderColor": "var(--line)", "textStyle": {"color": "var(--ink)"},
        },
        "xAxis": {
            "type": "category", "data": [f"{number:02d}:00" for number in _HOURS], "boundaryGap": False,
            "axisLabel": {**text, "interval": 5}, "axisLine": {"lineStyle": {"color": "var(--line)"}},
            "axisTick": {"show": False},
        },
        "yAxis": {
            "type": "value", "name": names["unit"], "nameTextStyle": {**text, "align": "left"}, "nameGap": 10,
            "axisLabel": {**text, ":formatter": form}, "splitLine": {"lineStyle": {"color": "var(--line)"}},
        },
        "series": series,
    }  # fmt: skip


def drawn(today: DayLines, band: Band) -> list[str]:
    """Name what the chart has in it, for its legend."""
    beside = ["usual", "median"] if band.weeks >= LEAST_WEEKS else ["yesterday"]
    marks = {"invalid_hour": today.invalid, "running_hour": today.running, "flagged_hour": today.flagged}
    return [*beside, "today", *(name for name, line in marks.items() if any(value is not None for value in line))]


def _band(band: Band, names: Mapping[str, str]) -> list[dict[str, object]]:
    # Two lines stacked upon each other: an unseen one, and the distance to the upper edge as a filled area. By default
    # ECharts stacks only values of one sign, which draws the band of a frosty day above zero.
    width = [None if low is None or high is None else high - low for low, high in zip(band.low, band.high, strict=True)]
    unseen = {"lineStyle": {"opacity": 0}, "symbol": "none", "silent": True}
    hidden = {**unseen, "stack": "usual", "stackStrategy": "all", "tooltip": {"show": False}}
    fill = {"areaStyle": {"color": "var(--band)", "opacity": 1}, "itemStyle": {"color": "var(--band)"}}
    return [
        {"type": "line", "name": "", "data": band.low, **hidden},
        {"type": "line", "name": names["usual"], "data": width, **hidden, **fill},
        {**_line(names["median"], band.median, "--quiet", width=1.5), "z": 3},
    ]


def _line(name: str, data: Line, colour: str, width: float, symbol: str = "none") -> dict[str, object]:
    return {
        "type": "line", "name": name, "data": data, "symbol": symbol, "symbolSize": 6, "z": 4,
        "lineStyle": {"color": f"var({colour})", "width": width}, "itemStyle": {"color": f"var({colour})"},
        "emphasis": {"disabled": True},
    }  # fmt: skip


def _marks(name: str, data: Line, symbol: str, colour: str, offset: int = 0) -> dict[str, object]:
    return {
        "type": "scatter", "name": name, "data": data, "symbol": symbol, "symbolSize": 9, "symbolOffset": [0, offset],
        "itemStyle": {"color": f"var({colour})", "borderColor": f"var({colour})", "borderWidth": 2}, "z": 5,
        "emphasis": {"disabled": True},
    }  # fmt: skip
