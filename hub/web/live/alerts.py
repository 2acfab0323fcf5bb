"""
The panel of open alerts, with buttons to see to each, or keep it quiet, where the page may change something.

`hub.web.live.page` imports it; `streams.notify.operators` does what is asked. A page that everyone may read has no
buttons.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from glob import escape

from nicegui import ui

from aggregates.store.store import Store, StoreError
from hub.web.live.markup import Text
from hub.web.live.panels import Desk, Renew, listing, panel
from streams.notify.operators import Row, acknowledge, silence

SILENT = timedelta(hours=2)  # what the button keeps quiet for
_NAMED = 8
_SEVERITIES = {"info": "severity_info", "warning": "severity_warning", "critical": "severity_critical"}


@panel("alerts")
def alerts_panel(desk: Desk) -> Renew:
    """List what is open, the newest first."""
    return listing(desk, "alerts", lambda health: health.alerts, _lines)


def _lines(desk: Desk, found: list[Row]) -> None:
    if not found:
        Text("li", desk.words("alerts_none"))
    for one in found[:_NAMED]:
        with ui.element("li").classes("wrapped"):
            _line(desk, one)
    if len(found) > _NAMED:
        Text("li", desk.words("and_more", count=len(found) - _NAMED), "quiet")


def _line(desk: Desk, one: Row) -> None:
    since = desk.words("since", time=desk.clock(one["since"], "%d-%m %H:%M"))
    title = one["title_nl" if desk.words.language == "nl" else "title"]
    Text("span", f"{desk.words(_SEVERITIES[one['severity']])}: {title}", "alarm")
    button = Text("button", one["name"] or one["subject"], "link").props('type="button"')
    button.on("click", partial(desk.open_sensor, one["subject"]), [])
    Text("span", since, "quiet")
    if one["state"] == "silenced":
        Text("span", desk.words("silenced"), "quiet")
    if one["acknowledged_by"]:
        Text("span", desk.words("seen_by", who=one["acknowledged_by"]), "quiet")
    elif desk.may_act:
        _button(desk, "acknowledge", "acknowledged", partial(_acknowledge, desk, one))
    if one["state"] == "raised" and desk.may_act:
        _button(desk, "silence", "silenced", partial(_silence, desk, one))


def _acknowledge(desk: Desk, one: Row, store: Store) -> None:
    acknowledge(store, one["alert"], desk.words("live_page"), datetime.now(UTC))


def _silence(desk: Desk, one: Row, store: Store) -> None:
    now, who = datetime.now(UTC), desk.words("live_page")
    silence(store, rule=escape(one["rule"]), subject=escape(one["subject"]), first=now, last=now + SILENT,
            windows=[], by=who, reason=who, now=now)  # fmt: skip


def _button(desk: Desk, name: str, done: str, act: Callable[[Store], None]) -> None:
    async def clicked() -> None:
        try:
            await desk.ask(act)
            button.text = desk.words(done)
        except StoreError:
            button.text = desk.words("action_failed")

    button = Text("button", desk.words(name), "link").props('type="button"')
    button.on("click", clicked, [])
