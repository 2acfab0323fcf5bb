"""
The live page as part of the hub's HTTP side: the page at `/`, and what its script fetches below `/live`.

`hub.web.http` calls `mount` after it added every other route: the page takes what is left. What the script fetches is
packed once for all viewers, is no part of the API, and changes with `static/city.js`, which draws it.
"""

import gzip
from collections.abc import Callable, Mapping
from typing import Literal, TypeVar

from fastapi import APIRouter, FastAPI, HTTPException, Response
from nicegui import app as nicegui
from nicegui import ui

from aggregates.ask.live import LENSES, places, shapes
from aggregates.store.store import Store, StoreError
from hub.settings.settings import Settings
from hub.web.live.page import register
from hub.web.live.watch import View, Watch
from ingest.vocabulary.quantities import QUANTITIES

T = TypeVar("T")
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#0b5c7a"/>'
    '<path d="M4 17h6l3-9 5 16 4-11 2 4h4" fill="none" stroke="#fff" stroke-width="2.6" stroke-linejoin="round"/></svg>'
)


def mount(app: FastAPI, settings: Settings, health: Callable[[], Mapping[str, object]], database: str) -> None:
    """Add the page and what it fetches; one to a process. `health` gives the numbers of `/healthz`."""
    watch = Watch(lambda: Store(database, application="stadspuls live"), health, settings.timezone)
    app.include_router(_routes(watch))
    register(watch, settings)
    nicegui.on_startup(watch.start)
    nicegui.on_shutdown(watch.stop)
    ui.run_with(app, title="Stadspuls", favicon=ICON, tailwind=False, show_welcome_message=False)


def _routes(watch: Watch) -> APIRouter:
    router = APIRouter(prefix="/live", include_in_schema=False)

    @router.get("/figures")
    async def figures(quantity: str, lens: str) -> Response:
        """The newest figures of a view."""
        if quantity not in QUANTITIES or lens not in LENSES:
            raise HTTPException(404, f"view {quantity!r} {lens!r}, expected a quantity and one of {', '.join(LENSES)}")
        try:
            packed = await watch.packed(View(quantity, lens))
        except StoreError as error:
            raise _unanswered(error) from error
        return _json(packed.body)

    @router.get("/places")
    async def placed(quantity: str) -> Response:
        """Where the sensors of a quantity stand."""
        return _json(gzip.compress((await ask(lambda store: places(store, quantity))).encode(), 3))

    @router.get("/areas")
    async def boundaries(level: Literal["gemeente", "wijk", "buurt"]) -> Response:
        """The boundaries of a level, as GeoJSON."""
        return _json(gzip.compress(await ask(lambda store: shapes(store, level)), 3))

    async def ask(question: Callable[[Store], T]) -> T:
        try:
            return await watch.ask(question)
        except StoreError as error:
            raise _unanswered(error) from error

    return router


def _unanswered(error: StoreError) -> HTTPException:
    return HTTPException(503, f"the database did not answer: {error}")


def _json(body: bytes) -> Response:
    headers = {"Content-Encoding": "gzip", "Cache-Control": "no-cache"}
    return Response(body, media_type="application/json", headers=headers)
