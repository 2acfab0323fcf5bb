"""
The page at `/`: what each viewer has chosen and opened, and the panels beside the map.

The map and the table are drawn in the browser (`static/city.js`), from figures that it fetches from
`hub.web.live.mount`.
"""

from collections.abc import Callable
from contextlib import suppress
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import nicegui
from fastapi import Request
from nicegui import background_tasks, ui
from nicegui.element import Element
from nicegui.events import GenericEventArguments

from aggregates.ask.live import LENSES, area_day, choices, levels, sensor_day
from aggregates.store.store import Store, StoreError
from hub.settings.settings import Settings
from hub.web.live.details import Moment, Renewal, Subject, show
from hub.web.live.panels import PANELS, Context, Text
from hub.web.live.watch import HubNumbers, View, Watch
from hub.web.live.words import LANGUAGES, Words, preferred, words
from ingest.vocabulary.quantities import QUANTITIES
from streams.notify.operators import may_act

_LEAFLET = Path(nicegui.__file__).parent / "elements" / "leaflet" / "dist"
_STYLE = Path(__file__).parent / "static" / "style.css"
_FIRST = View("vehicle_count", "5m")
_FOLLOW = timedelta(seconds=10)  # between two readings of the day of what is open


class City(Element, component="static/city.js", esm={"nicegui-leaflet": str(_LEAFLET)}, default_classes="city"):
    """The map and the table; it emits `view` when another one is chosen, and `open` with what was clicked."""

    def __init__(self, **properties: object) -> None:
        super().__init__()
        self.add_resource(_LEAFLET)
        for name, value in properties.items():
            self._props[name] = value


def register(watch: Watch, settings: Settings) -> None:
    """Serve the page at `/`."""

    @ui.page("/", title="Stadspuls")
    async def live(request: Request) -> None:
        chosen = request.query_params.get("lang") or request.cookies.get("lang") or ""
        language = chosen if chosen in LANGUAGES else preferred(request.headers.get("accept-language", ""))
        client = ui.context.client
        client.page = copy(client.page)  # this viewer's own language and theme
        client.page.language = "nl" if language == "nl" else "en-GB"
        client.page.dark = {"dark": True, "light": False}.get(request.cookies.get("theme", ""))
        await ViewerPage(watch, words(language), settings).build(dict(request.query_params))


class ViewerPage:
    """One viewer's page; a `Viewer` of the watch."""

    def __init__(self, watch: Watch, own: Words, settings: Settings) -> None:
        self.view = _FIRST
        self._watch, self._words, self._settings = watch, own, settings
        self._client = ui.context.client
        self._context = Context(own, watch, self._open_sensor)
        self._opened: tuple[str, str] | None = None
        self._renew_detail: Renewal | None = None
        self._followed = self._now()
        self._renewals: list[Callable[[HubNumbers | None], None]] = []

    async def build(self, asked: dict[str, str]) -> None:
        """Build everything; `asked` are the parameters of the address."""
        try:
            known, drawn, may = await self._watch.ask(lambda store: (choices(store), levels(store), may_act(store)))
        except StoreError:
            known, drawn, may = [], [], False
        self._context = replace(self._context, may_act=may and not self._settings.public)
        self.view = _view(asked, {name: shortest for name, _, shortest in known})
        ui.add_head_html(f"<style>{_STYLE.read_text('utf-8')}</style>")
        self._header()
        with ui.element("div").classes("layout"):
            self._city = City(
                words=self._words.all(), language=self._words("locale"), zone=self._watch.zone,
                view=self.view._asdict(), quantities=self._quantities(known), lenses=list(LENSES), levels=drawn,
                level=asked.get("level") or (drawn[-1] if drawn else ""), show=asked.get("show", "map"),
                tiles=self._settings.map_tiles, attribution=self._settings.map_attribution,
            )  # fmt: skip
            with ui.element("aside").classes("side").props(f'aria-label="{self._words("health")}"'):
                self._hint = Text("p", self._words("choose"), "quiet hint")
                self._detail = ui.element("section").classes("card detail")
                for panel in PANELS:
                    with ui.element("section").classes("card"):
                        self._renewals.append(panel(self._context))
        self._detail.visible = False
        self._city.on("view", self._chosen)
        self._city.on("open", self._clicked)
        for kind in ("sensor", "area"):
            if asked.get(kind):
                await self._open(kind, asked[kind])
        self._client.on_connect(self._arrive)
        self._client.on_disconnect(self._leave)

    def renew(self, version: int | None, health: HubNumbers | None) -> None:
        """Let the browser fetch newer figures, and renew the panels and the day of what is open."""
        if version is not None:
            self._city.run_method("renew", version)
        with self._client:
            for renew in self._renewals:
                renew(health)
        if health and self._opened:
            background_tasks.create(self._follow(), name="follow")

    def _arrive(self) -> None:
        self._watch.viewers.add(self)
        self.renew(0, self._watch.health)  # what changed while the page was on its way

    def _leave(self) -> None:
        self._watch.viewers.discard(self)

    def _now(self) -> datetime:
        return datetime.now(UTC).astimezone(ZoneInfo(self._watch.zone))

    def _header(self) -> None:
        own = self._words
        Text("a", own("skip"), "skip").props('href="#show-table"')
        with ui.element("header").classes("top"):
            with ui.element("div").classes("brand"):
                ui.html(_PULSE, sanitize=False)
                Text("h1", own("title"))
                Text("p", own("tagline"), "quiet")
            with ui.element("nav").classes("switches").props(f'aria-label="{own("language")}"'):
                for language, name in (("nl", "Nederlands"), ("en", "English")):
                    link = Text("a", language.upper()).props(f'href="?lang={language}" hreflang="{language}"')
                    link.props(f'lang="{language}" aria-label="{language.upper()}: {name}" title="{name}"')
                    link.props('aria-current="true"' if language == own.language else "")
                    link.on("click", js_handler=f"event => window.stadspuls.language(event, '{language}')")
            theme = ui.element("button").props(f'type="button" aria-label="{own("theme")}" title="{own("theme")}"')
            theme.classes("theme").on("click", js_handler="() => window.stadspuls.theme()")
            with theme:
                ui.html(_HALF, sanitize=False)

    def _quantities(self, known: list[tuple[str, int, int]]) -> list[dict[str, object]]:
        names = known or [(self.view.quantity, 0, 0)]
        return [
            {
                "name": name, "label": self._words(f"quantity.{name}"), "sensors": sensors, "shortest": shortest,
                "unit": self._words.get(f"unit.{QUANTITIES[name].unit}", QUANTITIES[name].unit),
                "sum": QUANTITIES[name].aggregation == "sum",
            }
            for name, sensors, shortest in names
        ]  # fmt: skip

    async def _chosen(self, event: GenericEventArguments) -> None:
        self.view = _view(_texts(event.args), dict.fromkeys(QUANTITIES, 0))
        if self._opened:
            await self._open(*self._opened)

    async def _clicked(self, event: GenericEventArguments) -> None:
        clicked = _texts(event.args)
        if clicked.get("kind") in ("sensor", "area"):
            await self._open(clicked["kind"], clicked.get("id", ""))
            self._focus()

    async def _open_sensor(self, sensor_id: str) -> None:
        await self._open("sensor", sensor_id)
        self._focus()

    def _focus(self) -> None:
        self._client.run_javascript("window.stadspuls.opened()")

    async def _open(self, kind: str, subject: str) -> None:
        """Show a sensor or an area beside the map; what is not known closes the detail."""
        moment = Moment(self.view.quantity, self._now())
        try:
            found = await self._look_up(kind, subject, moment)
        except StoreError:
            return
        self._opened, self._followed = (kind, subject) if found else None, moment.now
        self._detail.clear()
        self._detail.visible, self._hint.visible = found is not None, found is None
        self._city.run_method("opened", kind if found else "", subject)
        with self._detail:
            close = ui.element("button").props(f'type="button" aria-label="{self._words("close")}"').classes("close")
            close.on("click", self._close)
            with close:
                Text("span", "×").props('aria-hidden="true"')
            if found:
                self._renew_detail = show(self._context, found, moment)

    async def _follow(self) -> None:
        """Bring the day of what is open up to date where it stands: nothing moves, and the focus stays."""
        opened, renew, moment = self._opened, self._renew_detail, Moment(self.view.quantity, self._now())
        if not opened or not renew or moment.now - self._followed < _FOLLOW:
            return
        self._followed = moment.now
        with suppress(StoreError):
            found = await self._look_up(*opened, moment)
            if found and self._renew_detail is renew:  # nothing else was opened meanwhile
                with self._client:
                    renew(found, moment)

    async def _look_up(self, kind: str, subject: str, moment: Moment) -> Subject | None:
        def question(store: Store) -> Subject | None:
            look = area_day if kind == "area" else sensor_day
            return look(store, subject, moment.quantity, moment.now, self._watch.zone)

        return await self._watch.ask(question)

    def _close(self) -> None:
        self._opened = self._renew_detail = None
        self._detail.clear()
        self._detail.visible, self._hint.visible = False, True
        self._city.run_method("opened", "", "")


def _view(asked: dict[str, str], known: dict[str, int]) -> View:
    """Read a view; what is not known, or a window shorter than what is measured (s), becomes the first that is."""
    first = _FIRST.quantity if _FIRST.quantity in known or not known else next(iter(known))
    quantity, lens = asked.get("quantity", ""), asked.get("lens", "")
    quantity = quantity if quantity in QUANTITIES else first
    fitting = [name for name, one in LENSES.items() if one.length.total_seconds() >= known.get(quantity, 0)]
    return View(quantity, lens if lens in fitting else (fitting or list(LENSES))[0])


def _texts(found: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


_PULSE = (
    '<svg viewBox="0 0 32 32" width="30" height="30" aria-hidden="true"><path d="M2 17h7l3-10 6 18 4-12 2 4h6" '
    'fill="none" stroke="currentColor" stroke-width="2.6" stroke-linejoin="round" stroke-linecap="round"/></svg>'
)
_HALF = (
    '<svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true"><circle cx="12" cy="12" r="9" fill="none" '
    'stroke="currentColor" stroke-width="2"/><path d="M12 3a9 9 0 0 1 0 18z" fill="currentColor"/></svg>'
)
