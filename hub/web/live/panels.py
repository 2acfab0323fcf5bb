"""
The panels beside the map: how the hub is, its open alerts, and its silent sensors.

`hub.web.live.page` builds each once for a viewer, and calls what it returns with the hub's health every second or so.
A page that everyone may read has no buttons that change something.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from glob import escape
from typing import TypeVar
from zoneinfo import ZoneInfo

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from aggregates.ask.live import Silent
from aggregates.store.store import Store, StoreError
from hub.web.live.watch import HubNumbers, Watch
from hub.web.live.words import Words
from streams.notify.operators import Row, acknowledge, silence

T = TypeVar("T")
Renew = Callable[[HubNumbers | None], None]
SILENT = timedelta(hours=2)  # what the button silences an alert for
_LATE = 60.0  # s that a closed hour waits for the roll-up before the page says so
_NAMED = 8  # alerts or sensors of a list that are named
_SEVERITIES = {"info": "severity_info", "warning": "severity_warning", "critical": "severity_critical"}


@dataclass(frozen=True, slots=True)
class Context:
    """What panels and details of one viewer share: words, store, how to open a sensor, whether it may act."""

    words: Words
    watch: Watch
    open_sensor: Callable[[str], Awaitable[None]]
    may_act: bool = False

    def clock(self, at: datetime, form: str = "%H:%M") -> str:
        """Write a stamp in the hub's own zone."""
        return at.astimezone(ZoneInfo(self.watch.zone)).strftime(form)


class Text(TextElement):
    """An HTML element of any tag that holds text."""

    def __init__(self, tag: str, text: str, classes: str = "") -> None:
        super().__init__(tag=tag, text=text)
        self.classes(classes)


def button(text: str, clicked: Callable[[], object]) -> Text:
    """Make a button that looks like a link."""
    made = Text("button", text, "link").props('type="button"')
    made.on("click", clicked, [])
    return made


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], classes: str = "") -> None:
    """Write a table whose first column names its rows."""
    with ui.element("table").classes(f"figures {classes}"):
        Text("caption", caption, "only-read")
        with ui.element("thead"), ui.element("tr"):
            for head in heads:
                Text("th", head).props('scope="col"')
        with ui.element("tbody"):
            for first, *others in rows:
                with ui.element("tr"):
                    Text("th", first).props('scope="row"')
                    for cell in others:
                        Text("td", cell)


def health_panel(context: Context) -> Renew:
    """Show how many messages and readings come in, how many wait, and how many could not be read."""
    words = context.words
    Text("h2", words("health"))
    away = Text("p", words("away_now"), "alarm")
    rolling_up = Text("p", words("rolling_up"), "alarm")
    away.visible = rolling_up.visible = False
    shown = {}
    with ui.element("dl").classes("numbers"):
        for key in ("rate", "messages", "in_flight", "lag", "letters", "viewers"):
            with ui.element("div"):
                Text("dt", words(key))
                shown[key] = Text("dd", "–")

    def renew(health: HubNumbers | None) -> None:
        away.visible = health is None
        rolling_up.visible = health is not None and (health.state.oldest_mark or 0.0) > _LATE
        for key, text in _numbers(health, words).items() if health else ():
            shown[key].text = text

    return renew


def _numbers(health: HubNumbers, words: Words) -> dict[str, str]:
    state = health.state
    return {
        "rate": "–" if health.rate is None else words.number(round(health.rate, 1)),
        "messages": "–" if health.messages is None else words.number(round(health.messages, 1)),
        "in_flight": "–" if health.in_flight is None else words.number(health.in_flight, 9),
        "lag": words("lag_none") if state.oldest_mark is None else f"{words.number(state.oldest_mark / 60, 3)} min",
        "letters": words.number(state.dead_letters, 9),
        "viewers": words.number(health.viewers, 9),
    }


def silent_panel(context: Context) -> Renew:
    """Name the sensors that send nothing, the longest silent first."""
    return _list(context, "silent", "silent_none", lambda health: health.silent, _silent_line)


def _silent_line(context: Context, sensor: Silent) -> None:
    words, last = context.words, sensor.last
    button(sensor.name or sensor.sensor_id, partial(context.open_sensor, sensor.sensor_id))
    Text("span", words("since", time=context.clock(last, "%d-%m %H:%M")) if last else words("never"), "quiet")


def alerts_panel(context: Context) -> Renew:
    """List the open alerts, the newest first, with buttons to acknowledge or silence each."""
    return _list(context, "alerts", "alerts_none", lambda health: health.alerts, _alert_line, "wrapped")


def _alert_line(context: Context, alert: Row) -> None:
    words = context.words
    title = alert["title_nl" if words.language == "nl" else "title"]
    Text("span", f"{words(_SEVERITIES[alert['severity']])}: {title}", "alarm")
    button(alert["name"] or alert["subject"], partial(context.open_sensor, alert["subject"]))
    Text("span", words("since", time=context.clock(alert["since"], "%d-%m %H:%M")), "quiet")
    if alert["state"] == "silenced":
        Text("span", words("silenced"), "quiet")
    if alert["acknowledged_by"]:
        Text("span", words("seen_by", who=alert["acknowledged_by"]), "quiet")
    elif context.may_act:
        _action(context, "acknowledge", "acknowledged", partial(_acknowledge, context, alert))
    if alert["state"] == "raised" and context.may_act:
        _action(context, "silence", "silenced", partial(_silence, context, alert))


def _acknowledge(context: Context, alert: Row, store: Store) -> None:
    acknowledge(store, alert["alert"], context.words("live_page"), datetime.now(UTC))


def _silence(context: Context, alert: Row, store: Store) -> None:
    now, who = datetime.now(UTC), context.words("live_page")
    silence(store, rule=escape(alert["rule"]), subject=escape(alert["subject"]), first=now, last=now + SILENT,
            windows=[], by=who, reason=who, now=now)  # fmt: skip


def _action(context: Context, name: str, done: str, act: Callable[[Store], None]) -> None:
    async def clicked() -> None:
        try:
            await context.watch.ask(act)
            made.text = context.words(done)
        except StoreError:
            made.text = context.words("action_failed")

    made = button(context.words(name), clicked)


def _list(
    context: Context, name: str, none: str, read: Callable[[HubNumbers], list[T]], line: Callable[[Context, T], None],
    classes: str = "",
) -> Renew:  # fmt: skip
    """Build a list whose title has its length, and whose lines are built anew when it changed."""
    words = context.words
    title = Text("h2", words(name))
    place = ui.element("ul").classes("plain")
    shown: list[list[T]] = []

    def renew(health: HubNumbers | None) -> None:
        if health is None or shown == [read(health)]:
            return
        shown[:] = [found := read(health)]
        title.text = f"{words(name)} ({len(found)})"
        place.clear()
        with place:
            if not found:
                Text("li", words(none))
            for one in found[:_NAMED]:
                with ui.element("li").classes(classes):
                    line(context, one)
            if len(found) > _NAMED:
                Text("li", words("and_more", count=len(found) - _NAMED), "quiet")

    return renew


PANELS = (health_panel, silent_panel, alerts_panel)
