"""
The live page as part of the hub's HTTP side: the page at `/`, and what its scripts fetch below `/live`.

`hub.web.http` calls `mount`. What the scripts fetch is no part of the API, and changes with them. Who may read the page
may acknowledge and silence alerts as through the API, unless the hub is public or its database role may only read.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from string import Template
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import PositiveInt
from starlette.middleware.gzip import GZipMiddleware

from aggregates.areas.codes import BASE_MAP, Level
from aggregates.ask import dates
from aggregates.ask.live import LENSES, RANGE, Part, chosen, day_of, midnight, newest, places, shapes
from aggregates.store.health import list_findings
from aggregates.store.store import Store
from hub.settings.settings import Settings
from hub.web.admission import FRAMES, Access, Gate, Health
from hub.web.api.answers import Stores
from hub.web.api.app import actions
from hub.web.api.parameters import Quantity, Stamp, Text, preferred
from hub.web.api.problems import Problem, install
from hub.web.live.known import LANGUAGES, known, words
from hub.web.live.watch import UsualHours, Watch, packed
from ingest.vocabulary.calendar import load_days
from ingest.vocabulary.quantities import QUANTITIES
from streams.alerts.unusual import closed_hour
from streams.notify.operators import alerts_about

OWN = Path(__file__).parent / "static"
# Vue, Leaflet and ECharts come as files of this wheel; none of its Python is imported.
_WHEEL = "nicegui"
_CARRIED = {"vue": "static", "leaflet": "elements/leaflet/dist", "echarts": "elements/echart/dist"}
_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
Lens: Any = Literal[tuple(LENSES)]
_NEWEST = {"Cache-Control": "no-cache"}
_PACKED = {"Content-Encoding": "gzip"}


def mount(
    app: FastAPI, settings: Settings, access: Access, readers: Stores, writers: Stores, watching: Store, health: Health
) -> None:
    """Add the page and what it fetches, also for frames of other sites; `watching` looks for news."""
    watch = Watch(watching, health, settings.timezone)
    usual = UsualHours(load_days(settings.timezone, settings.calendars, settings.country))
    base_map = settings.base_map or settings.data_dir / BASE_MAP
    frames = {name: access.frame_key(name) for name in QUANTITIES} if access.guarded else {}
    app.include_router(_page(watch, writers, settings, base_map, frames))
    app.mount("/live", _fetched(watch, usual, readers, writers, settings, base_map))
    more = {"Referrer-Policy": "no-referrer", "Access-Control-Allow-Origin": "null"}  # of sandboxed frames
    app.mount(f"{FRAMES}{{quantity}}/{{key}}", Gate(app.router, refusal=access.not_framed, headers=more))


def _page(watch: Watch, writers: Stores, settings: Settings, base_map: Path, frames: Mapping[str, str]) -> APIRouter:
    router = APIRouter(include_in_schema=False, lifespan=watch.running)
    text = Template((OWN / "index.html").read_text("utf-8"))
    own = b"".join(path.read_bytes() for path in sorted(OWN.rglob("*.*")))
    # In the addresses of all files, which may be cached for ever.
    stamp = blake2b(own + version(_WHEEL).encode(), digest_size=6).hexdigest()
    first = f'<link rel="modulepreload" href="live/files/{stamp}/'
    modules = "\n    ".join(f'{first}{one.name}">' for one in sorted(OWN.glob("*.js")))

    @router.get("/")
    @router.get("/health")
    def page(request: Request) -> HTMLResponse:
        """Fill in the language of the viewer, and what the scripts must know."""
        asked = request.query_params.get("lang") or request.cookies.get("lang") or ""
        language = asked if asked in LANGUAGES else preferred(request.headers, LANGUAGES)
        found = {"stamp": stamp, "base": base_map.is_file(), **known(writers, settings, language)}
        found["frames"] = {} if "key" in request.path_params else frames
        inside = msgspec.json.encode(found).decode().replace("<", r"\u003c")
        filled = text.substitute(language=words(language)["locale"], stamp=stamp, modules=modules, known=inside)
        return HTMLResponse(filled, headers=_NEWEST)

    return router


def _fetched(
    watch: Watch, usual: UsualHours, readers: Stores, writers: Stores, settings: Settings, base_map: Path
) -> FastAPI:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    install(app)
    app.add_middleware(GZipMiddleware, compresslevel=3)  # but for what is packed already
    places = {f"/{name}": StaticFiles(packages=[(_WHEEL, place)]) for name, place in _CARRIED.items()}
    for path, files in {**places, "": StaticFiles(directory=OWN)}.items():
        app.mount(f"/files/{{stamp}}{path}", Gate(files, headers=_FOR_EVER))
    _add_figures(app, watch, usual, readers, settings.timezone)
    if not settings.public:
        app.include_router(actions(writers))

        @app.get("/findings")
        def findings() -> Response:
            """What `stadspuls doctor` finds in the database: lines of what about, what, and whether it is good."""
            asked = datetime.now(UTC), settings.timezone, dates.NO_AREAS
            return _json(msgspec.json.encode(readers.ask(lambda store: list_findings(store, *asked))))

    _add_places(app, usual, readers, settings.timezone, base_map)
    return app


def _add_figures(app: FastAPI, watch: Watch, usual: UsualHours, stores: Stores, zone: str) -> None:
    @app.get("/figures")
    async def figures(quantity: Quantity, lens: Lens) -> Response:
        """The newest figures of a view."""
        return _json(await watch.packed((quantity, lens)), **_PACKED)

    @app.get("/past")
    def past(
        quantity: Quantity, lens: Lens, at: Stamp, until: Stamp | None = None, part: Part | None = None
    ) -> Response:
        """The figures of the window that a moment is in, or of a range; stamps without a zone are local time."""
        seen, end = chosen(lens, quantity, zone, at, until)
        found = stores.ask(lambda store: newest(store, quantity, seen, end, part))
        return _json(packed(found, end), **_PACKED)

    @app.get("/events")
    async def events(request: Request, quantity: Quantity, lens: Lens) -> StreamingResponse:
        """News for a viewer, while it looks."""
        news = watch.events((quantity, lens), framed="key" in request.path_params)
        return StreamingResponse(news, media_type="text/event-stream", headers=_NEWEST)

    @app.get("/usual")
    def beside(quantity: Quantity, at: Stamp | None = None, most: PositiveInt | None = None) -> Response:
        """The hour that a moment is in, or the last one, of every sensor beside what is usual for it."""
        start = closed_hour(dates.moment(at, zone) if at else None, datetime.now(UTC))
        return _json(msgspec.json.encode(usual.hour(stores, quantity, start, most)))


def _add_places(app: FastAPI, usual: UsualHours, stores: Stores, zone: str, base_map: Path) -> None:
    @app.get("/base")
    def base(request: Request) -> Response:
        """Roads and water as GeoJSON; whoever has it is told so."""
        if not base_map.is_file():
            raise Problem(404, "no base map, expected one of `stadspuls areas base-map`")
        found = StaticFiles(check_dir=False).file_response(base_map, base_map.stat(), request.scope)
        found.headers.update({"Content-Type": "application/geo+json", **_PACKED, **_NEWEST})
        return found

    @app.get("/places")
    def placed(quantity: Quantity) -> Response:
        """Where the sensors of a quantity stand."""
        return _json(stores.ask(lambda store: places(store, quantity)))

    @app.get("/areas")
    def boundaries(level: Level) -> Response:
        """The boundaries of a level, as GeoJSON."""
        return _json(stores.ask(lambda store: shapes(store, level)))

    @app.get("/statistic")
    def statistic(level: Level, measure: Text) -> Response:
        """One measure of CBS for every area of a level."""
        ((text,),) = stores.ask(lambda store: store.rows("live_statistic", level=level, measure=measure))
        return _json(text)

    @app.get("/{kind}")
    def day(
        kind: Literal["sensor", "area"], id: Text, quantity: Quantity,
        at: Stamp | None = None, until: Stamp | None = None,
    ) -> Response:  # fmt: skip
        """The day of a sensor or an area, today's or a moment's, or a range; null where there is no such sensor."""
        now = datetime.now(UTC)
        first, end = midnight(dates.moment(at, zone) if at else now, zone), None
        if at and until:
            seen, end = chosen(RANGE, quantity, zone, at, until)
            first = (end - seen.length).astimezone(ZoneInfo(zone))
        found = stores.ask(lambda store: day_of(store, kind, id, quantity, first, now, end))
        if found:
            until = end or first + timedelta(days=1)
            more: dict[str, object] = {"alerts": stores.ask(lambda store: alerts_about(store, id, first, until))}
            if kind == "sensor" and not end:
                more["usual"] = stores.ask(lambda store: usual.band(store, id, quantity, first))
            found = f"{found[:-1]},{msgspec.json.encode(more).decode()[1:]}"
        return _json(found or "null")


def _json(text: str | bytes, **headers: str) -> Response:
    return Response(text, media_type="application/json", headers=_NEWEST | headers)
