"""
Hangs the live page into the hub's HTTP side.

`hub.web.http` calls it while it makes its application, after every other route: the page takes what is left, at `/`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from fastapi import FastAPI
from nicegui import app as nicegui
from nicegui import ui

from aggregates.store.store import Store
from hub.web.live.page import Outlook, register
from hub.web.live.routes import routes
from hub.web.live.watch import Watch

ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#0b5c7a"/>'
    '<path d="M4 17h6l3-9 5 16 4-11 2 4h4" fill="none" stroke="#fff" stroke-width="2.6" stroke-linejoin="round"/></svg>'
)


@dataclass(frozen=True, slots=True)
class Live:
    """What the page needs of its hub: the zone of its days, the numbers of `/healthz`, and tiles if any."""

    zone: str
    gauges: Callable[[], Mapping[str, object]]
    tiles: str = ""
    tiles_attribution: str = ""
    may_act: bool = False


def mount(app: FastAPI, live: Live, open_store: Callable[[], Store]) -> None:
    """Add the page and what it fetches; one to a process."""
    watch = Watch(open_store(), live.gauges, lambda: datetime.now(UTC), ZoneInfo(live.zone))
    app.include_router(routes(watch, open_store))
    register(Outlook(watch, open_store, live.zone, live.tiles, live.tiles_attribution, live.may_act))
    nicegui.on_startup(watch.start)
    nicegui.on_shutdown(watch.stop)
    ui.run_with(app, title="Stadspuls", favicon=ICON, tailwind=False, show_welcome_message=False)
