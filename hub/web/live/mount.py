"""
The live page as part of the hub's HTTP side: the page at `/`, and what its scripts fetch below `/live`.

`hub.run` calls `mount`. What the scripts fetch is no part of the API, and changes with them. Who may read the page may
acknowledge and silence alerts as through the API, unless the hub is public or its database role may only read.
"""

import gzip
import mimetypes
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache, partial
from hashlib import blake2b
from importlib.metadata import distribution
from pathlib import Path
from string import Template
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse

from aggregates.ask import dates
from aggregates.ask.live import LENSES, RANGE, chosen, day_of, midnight, newest, places, shapes
from aggregates.store.store import Store, StoreError
from hub.settings.settings import Settings
from hub.web.api.alerts import actions
from hub.web.api.answers import Stores
from hub.web.api.parameters import Stamp
from hub.web.api.problems import Problem, install
from hub.web.live.watch import View, Watch, packed
from hub.web.live.words import LANGUAGES, preferred, words
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import Flag
from streams.notify.operators import may_act

_OWN = Path(__file__).parent / "static"
_WHEEL = distribution("nicegui")  # carries Vue, Leaflet and ECharts as files; none of its Python is imported
_CARRIED = {
    "vue.js": "nicegui/static/vue.esm-browser.prod.js",
    "leaflet.js": "nicegui/elements/leaflet/dist/index.js",
    "leaflet.css": "nicegui/elements/leaflet/dist/leaflet/leaflet.css",
    "echarts/": "nicegui/elements/echart/dist",
}
_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}


def mount(app: FastAPI, settings: Settings, health: Callable[[], Mapping[str, object]], database: str) -> None:
    """Add the page and what it fetches. `health` gives the numbers of `/healthz`."""
    open_store = partial(Store, database, application="stadspuls live")
    watch = Watch(open_store, health, settings.timezone)
    readers, writers = Stores(partial(open_store, patience=settings.api_patience)), Stores(open_store, 2)
    app.include_router(_page(watch, readers, writers, settings))
    app.mount("/live", _fetched(watch, readers, writers, settings))


def _page(watch: Watch, readers: Stores, writers: Stores, settings: Settings) -> APIRouter:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with watch.running():
            yield
        for stores in (readers, writers):
            stores.close()

    router = APIRouter(include_in_schema=False, lifespan=lifespan)
    text, stamp = Template((_OWN / "index.html").read_text("utf-8")), _stamp()

    @router.get("/")
    def page(request: Request) -> HTMLResponse:
        """Fill in the language of the viewer, and what the scripts must know."""
        asked = request.query_params.get("lang") or request.cookies.get("lang") or ""
        language = asked if asked in LANGUAGES else preferred(request.headers.get("accept-language", ""))
        themes = (request.query_params.get("theme"), request.cookies.get("theme"))
        theme = next((one for one in themes if one in ("dark", "light")), "")
        known = msgspec.json.encode(_known(writers, settings, language)).decode().replace("<", r"\u003c")
        filled = text.substitute(language=words(language)["locale"], theme=theme, stamp=stamp, known=known)
        return HTMLResponse(filled, headers={"Cache-Control": "no-cache"})

    return router


def _known(stores: Stores, settings: Settings, language: str) -> dict[str, object]:
    """Give what the scripts must know before they fetch anything."""
    try:
        measured, drawn, may = stores.ask(
            lambda store: (store.rows("live_choices"), store.rows("live_levels"), may_act(store))
        )
    except (StoreError, Problem):
        measured, drawn, may = [], [], False
    return {
        "language": language, "words": words(language), "zone": settings.timezone,
        "levels": [level for (level,) in drawn],
        "measured": [name for name, _, _ in measured], "shortest": {name: period for name, _, period in measured},
        "quantities": dict(QUANTITIES), "lenses": {name: lens.length.total_seconds() for name, lens in LENSES.items()},
        "flags": {flag.name: flag.value for flag in Flag}, "may_act": may and not settings.public,
        "tiles": settings.map_tiles, "attribution": settings.map_attribution,
    }  # fmt: skip


def _fetched(watch: Watch, readers: Stores, writers: Stores, settings: Settings) -> FastAPI:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    install(app)
    app.get("/files/{stamp}/{name:path}")(_file)
    _add_figures(app, watch, readers, settings.timezone)
    _add_places(app, readers, settings.timezone)
    if not settings.public:
        app.include_router(actions(writers))
    return app


def _file(name: str) -> Response:
    """Give a script or a style, own or of the wheel; the stamp in its address is of their content."""
    if name not in _files():
        raise Problem(404, f"file {name!r} is no part of the page")
    kind, _ = mimetypes.guess_type(name)
    return _gzipped(_compressed(_files()[name]), kind or "application/octet-stream", _FOR_EVER)


def _add_figures(app: FastAPI, watch: Watch, stores: Stores, zone: str) -> None:
    @app.get("/figures")
    async def figures(quantity: str, lens: str) -> Response:
        """The newest figures of a view."""
        return _gzipped(await watch.packed(_view(quantity, lens)))

    @app.get("/past")
    def past(quantity: str, lens: str, at: Stamp, until: Stamp | None = None) -> Response:
        """The figures of the window that a moment is in, or of a range; stamps without a zone are local time."""
        view = _view(quantity, lens)
        seen, end = chosen(view.lens, view.quantity, zone, at, until)
        return _gzipped(packed(stores.ask(lambda store: newest(store, view.quantity, seen, end)), end, 0))

    @app.get("/events")
    async def events(quantity: str, lens: str) -> StreamingResponse:
        """News for a viewer, while it looks."""
        found = watch.events(_view(quantity, lens))
        return StreamingResponse(found, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


def _add_places(app: FastAPI, stores: Stores, zone: str) -> None:
    @app.get("/places")
    def placed(quantity: str) -> Response:
        """Where the sensors of a quantity stand."""
        return _gzipped(gzip.compress(stores.ask(lambda store: places(store, quantity)).encode(), 3))

    @app.get("/areas")
    def boundaries(level: Literal["gemeente", "wijk", "buurt"]) -> Response:
        """The boundaries of a level, as GeoJSON."""
        return _gzipped(gzip.compress(stores.ask(lambda store: shapes(store, level)), 3))

    @app.get("/{kind}")
    def day(
        kind: Literal["sensor", "area"], id: str, quantity: str, at: Stamp | None = None, until: Stamp | None = None
    ) -> Response:
        """The day of a sensor or an area, today's or a moment's, or a range; null where there is no such sensor."""
        now = datetime.now(UTC)
        first, end = midnight(dates.moment(at, zone) if at else now, zone), None
        if at and until:
            seen, end = chosen(RANGE, quantity, zone, at, until)
            first = (end - seen.length).astimezone(ZoneInfo(zone))
        found = stores.ask(lambda store: day_of(store, kind, id, quantity, first, now, end))
        return Response(found or "null", media_type="application/json", headers={"Cache-Control": "no-cache"})


def _view(quantity: str, lens: str) -> View:
    if quantity not in QUANTITIES or lens not in LENSES:
        raise Problem(404, f"view {quantity!r} {lens!r}, expected a quantity and one of {', '.join(LENSES)}")
    return View(quantity, lens)


def _gzipped(body: bytes, kind: str = "application/json", caching: Mapping[str, str] | None = None) -> Response:
    headers = {"Content-Encoding": "gzip", "Cache-Control": "no-cache", **(caching or {})}
    return Response(body, media_type=kind, headers=headers)


@cache
def _files() -> Mapping[str, Path]:
    """Give the files of the page by name."""
    found = {path.name: path for path in _OWN.iterdir() if path.suffix in (".js", ".css")}
    for name, place in _CARRIED.items():
        path = Path(str(_WHEEL.locate_file(place)))
        found |= {f"{name}{one.name}": one for one in path.glob("*.js")} if name.endswith("/") else {name: path}
    return found


def _stamp() -> str:
    """Give a short hash of the page's own files and the wheel's version, for addresses that may be cached for ever."""
    own = b"".join(path.read_bytes() for name, path in sorted(_files().items()) if path.parent == _OWN)
    return blake2b(own + _WHEEL.version.encode(), digest_size=6).hexdigest()


@cache
def _compressed(path: Path) -> bytes:
    return gzip.compress(path.read_bytes())
