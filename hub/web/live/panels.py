"""
The panels beside the map: each a function that builds itself once, and says how it is renewed.

A panel of your own (open alerts with their buttons, say) is one function with `@panel("name")`, in a module that
`hub.web.live.page` imports; it stands where it registered. It gets the desk of its viewer: words, zone, and `ask`,
which runs a question to the store off the loop. What it gives back is called with the hub's health every second or so
while somebody looks, or it gives None.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol, TypeVar
from zoneinfo import ZoneInfo

from nicegui import ui

from aggregates.ask.live import Silent
from aggregates.store.store import Store
from hub.web.live.markup import Text
from hub.web.live.watch import Health
from hub.web.live.words import Words

T = TypeVar("T")
Renew = Callable[[Health | None], None]
_NAMED = 6  # silent sensors


class Ask(Protocol):
    """Runs a question to the store in a thread, and gives its answer; raises StoreError."""

    def __call__(self, question: Callable[[Store], T]) -> Awaitable[T]:
        """Ask."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What a panel works with: the viewer's words and zone, store, how to open a sensor, whether it may act."""

    words: Words
    zone: str
    ask: Ask
    open_sensor: Callable[[str], Awaitable[None]]
    may_act: bool = False

    def clock(self, at: datetime, form: str = "%H:%M") -> str:
        """Write a stamp as the hub's own clock says it."""
        return at.astimezone(ZoneInfo(self.zone)).strftime(form)


Panel = Callable[[Desk], Renew | None]
PANELS: dict[str, Panel] = {}


def panel(name: str) -> Callable[[Panel], Panel]:
    """Register a panel; a name that is taken is an error."""

    def register(build: Panel) -> Panel:
        if name in PANELS:
            raise ValueError(f"panel {name!r} is there already")
        PANELS[name] = build
        return build

    return register


@panel("health")
def health_panel(desk: Desk) -> Renew:
    """Show how the hub itself is: its pace, what waits, what could not be read."""
    words = desk.words
    Text("h2", words("health"))
    away = Text("p", words("away_now"), "alarm")
    away.visible = False
    with ui.element("dl").classes("numbers"):
        keys = ("rate", "messages", "in_flight", "lag", "letters", "viewers")
        shown = {key: _number(words(key)) for key in keys}

    def renew(health: Health | None) -> None:
        away.visible = health is None
        for key, text in _numbers(health, words).items() if health else ():
            shown[key].text = text

    return renew


def _number(title: str) -> Text:
    with ui.element("div"):
        Text("dt", title)
        return Text("dd", "–")


def _numbers(health: Health, words: Words) -> dict[str, str]:
    state = health.state
    return {
        "rate": "–" if health.rate is None else words.number(round(health.rate, 1)),
        "messages": "–" if health.messages is None else words.number(round(health.messages, 1)),
        "in_flight": "–" if health.in_flight is None else words.number(health.in_flight, 9),
        "lag": words("lag_none") if state.oldest_mark is None else f"{words.number(state.oldest_mark / 60, 3)} min",
        "letters": words.number(state.dead_letters, 9),
        "viewers": words.number(health.viewers, 9),
    }


def listing(desk: Desk, name: str, read: Callable[[Health], list[T]], lines: Callable[[Desk, list[T]], None]) -> Renew:
    """Build a panel of a list, titled with how many there are, whose lines are drawn anew when it changed."""
    title = Text("h2", desk.words(name))
    place = ui.element("ul").classes("plain")
    drawn: list[list[T]] = []

    def renew(health: Health | None) -> None:
        if health is None or drawn == [read(health)]:
            return
        drawn[:] = [read(health)]
        title.text = f"{desk.words(name)} ({len(drawn[0])})"
        place.clear()
        with place:
            lines(desk, drawn[0])

    return renew


@panel("silent")
def silent_panel(desk: Desk) -> Renew:
    """Name the sensors that say nothing, the longest silent first."""
    return listing(desk, "silent", lambda health: health.silent, _silent_lines)


def _silent_lines(desk: Desk, found: list[Silent]) -> None:
    if not found:
        Text("li", desk.words("silent_none"))
    for sensor in found[:_NAMED]:
        when = desk.words("since", time=desk.clock(sensor.last, "%d-%m %H:%M")) if sensor.last else desk.words("never")
        with ui.element("li"):
            button = Text("button", sensor.name or sensor.sensor_id, "link").props('type="button"')
            button.on("click", partial(desk.open_sensor, sensor.sensor_id), [])
            Text("span", when, "quiet")
    if len(found) > _NAMED:
        Text("li", desk.words("and_more", count=len(found) - _NAMED), "quiet")
