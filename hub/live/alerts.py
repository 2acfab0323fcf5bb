"""
The panel of open alerts, with a button to see to each where the page may change something.

`hub.live.page` imports it; `streams.operators` lists and acknowledges. A page that everyone may read has no buttons.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

from nicegui import ui

from aggregates.store import StoreError
from hub.live.markup import Text
from hub.live.panels import Desk, Renew, listing, panel
from streams.operators import Row, acknowledge

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
    Text("span", f"{desk.words(_SEVERITIES[one['severity']])}: {one['title']}", "alarm")
    button = Text("button", one["name"] or one["subject"], "link").props('type="button"')
    button.on("click", partial(desk.open_sensor, one["subject"]), [])
    Text("span", since, "quiet")
    if one["acknowledged_by"]:
        Text("span", desk.words("seen_by", who=one["acknowledged_by"]), "quiet")
    elif desk.may_act:
        seen = Text("button", desk.words("acknowledge"), "link").props('type="button"')
        seen.on("click", _acknowledging(desk, one["alert"], seen), [])


def _acknowledging(desk: Desk, alert: int, button: Text) -> Callable[[], Awaitable[None]]:
    async def clicked() -> None:
        try:
            await desk.ask(lambda store: acknowledge(store, alert, desk.words("live_page"), datetime.now(UTC)))
            button.text = desk.words("acknowledged")
        except StoreError:
            button.text = desk.words("acknowledge_failed")

    return clicked
