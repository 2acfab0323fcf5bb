"""
What the browser fetches beside the page: figures, places and boundaries, packed once for all viewers.

`hub.web.live.mount` includes the router; `static/city.js` draws what it gives. These are not part of the API: they
follow the page and change with it.
"""

import asyncio
import gzip
from collections.abc import Callable
from contextlib import closing
from typing import Literal, TypeVar

from fastapi import APIRouter, HTTPException, Response

from aggregates.ask.live import LENSES, places, shapes
from aggregates.store.store import Store, StoreError
from hub.web.live.watch import View, Watch
from ingest.vocabulary.quantities import QUANTITIES

T = TypeVar("T")


def routes(watch: Watch, open_store: Callable[[], Store]) -> APIRouter:
    """Make the router."""
    router = APIRouter(prefix="/live", include_in_schema=False)

    @router.get("/figures")
    async def figures(quantity: str, lens: str) -> Response:
        """The newest figures of a view."""
        if quantity not in QUANTITIES or lens not in LENSES:
            raise HTTPException(404, f"view {quantity!r} {lens!r}, expected a quantity and one of {', '.join(LENSES)}")
        try:
            packed = await watch.packed(View(quantity, lens))
        except StoreError as error:
            raise HTTPException(503, f"the database did not answer: {error}") from error
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
            return await asyncio.to_thread(asked, open_store, question)
        except StoreError as error:
            raise HTTPException(503, f"the database did not answer: {error}") from error

    return router


def asked(open_store: Callable[[], Store], question: Callable[[Store], T]) -> T:
    """Put a question to a store of its own."""
    with closing(open_store()) as store:
        return question(store)


def _json(body: bytes) -> Response:
    headers = {"Content-Encoding": "gzip", "Cache-Control": "no-cache"}
    return Response(body, media_type="application/json", headers=headers)
