"""
The hub's HTTP side: the API, `/metrics`, `/healthz` and `/readyz`, served by uvicorn in a thread of its own.

`hub.run.embedded` opens it last, so that an open port means a hub that is ready. Where a token guards the API it guards
everything else too, but for `/healthz` and `/readyz`.

Connections are bounded in number and in the time that a request may take to arrive: a stranger who opens many and sends
nothing keeps neither the hub from its own files nor others from the page.
"""

import asyncio
import resource
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path

import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.datastructures import Headers
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from aggregates.store.store import Store
from hub.servers.process import bound, raise_file_limit
from hub.settings.settings import Settings
from hub.settings.values import url_host
from hub.web.admission import BASIC, FRAMES, OGC, PREFIX, READABLE, Access, Gate, Health, framed

CLOSE_WITHIN = 2.0  # s for the answers that are running
MOST = 1_000  # connections, but no more than half of the files that this process may open
LONGEST_HEAD = 256 << 10  # bytes of a request before its body
WHOLE_WITHIN = 20.0  # s until a request must be whole; of a connection that is used again, twice as long


class BoundedHttp(HttpToolsProtocol):
    """One connection, closed where there are too many, where a head has no end, or where no whole request comes."""

    _requests = _head = 0  # whole ones, and bytes of the one that is not
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or refuse it."""
        super().connection_made(transport)
        if len(self.connections) > min(MOST, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2):
            transport.abort()
        else:
            self._timer = self.loop.call_later(WHOLE_WITHIN, self._look, 0)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what comes; a head is gathered piece by piece, each time copied whole, so that it must end."""
        super().data_received(data)
        self._head = self._head + len(data) if self.cycle is None or not self.cycle.more_body else 0
        if self._head > LONGEST_HEAD:
            self.transport.abort()

    def on_message_complete(self) -> None:
        """Note that a request is whole."""
        self._requests, self._head = self._requests + 1, 0
        super().on_message_complete()

    def _look(self, before: int) -> None:
        waits = self.cycle is None or self.cycle.more_body or self.cycle.response_complete
        if waits and self._requests == before:
            self.transport.abort()
        else:
            self._timer = self.loop.call_later(WHOLE_WITHIN, self._look, self._requests)


def application(collector: Collector, health: Health, settings: Settings | None = None, database: str = "") -> FastAPI:
    """Make the application; with `settings` it is a hub's."""
    app = FastAPI(title="Stadspuls", openapi_url=None, docs_url=None, redoc_url=None)
    if settings is not None:
        _add_hub(app, settings, database, health)
    _add_health(app, health)

    @app.get("/metrics")
    def metrics() -> Response:
        """Prometheus' text format."""
        return Response(generate_latest(collector), media_type=CONTENT_TYPE_LATEST)

    return app


def _add_hub(app: FastAPI, settings: Settings, database: str, health: Health) -> None:
    """Add the API, OGC API Features, SensorThings and the live page, over the same connections."""
    from hub.web.api.answers import Stores  # which a service with nothing but metrics does not need
    from hub.web.api.app import api
    from hub.web.features.app import ogc
    from hub.web.live.mount import mount
    from hub.web.sta.app import sensorthings

    access, make = Access.of(settings), partial(Store, database, application="stadspuls api")
    hasty = partial(make, patience=settings.api_patience)
    readers = Stores(partial(hasty, role="stadspuls_reader"), settings.api_connections)
    insiders, writers = Stores(hasty, settings.api_connections), Stores(make, 2)
    app.mount(PREFIX, api(settings, readers, insiders, writers, access, health))
    app.mount(OGC, ogc(settings, readers, access))
    app.mount("/sta", sensorthings(settings, readers, access))
    mount(app, settings, access, insiders, writers, Store(database, application="stadspuls live"), health)
    app.add_middleware(Gate, refusal=partial(_refusal, access), headers=framed(settings.frame_ancestors))
    _add_reference(app)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        for stores in (readers, insiders, writers):
            stores.close()

    app.include_router(APIRouter(lifespan=lifespan))


def _add_reference(app: FastAPI) -> None:
    """Show the API's document at `/docs` and `/api`, with Swagger UI as a wheel carries it: no internet is needed."""
    app.mount("/api/reference", StaticFiles(packages=[("fastapi_offline", "static")]))
    page = HTMLResponse(Path(__file__).with_name("reference.html").read_text("utf-8"))
    for path in ("/docs", "/api"):
        app.get(path)(lambda: page)


def _add_health(app: FastAPI, health: Health) -> None:
    examiner = ThreadPoolExecutor(2, "health")  # not the threads of the API: its answers may be slow

    @app.get("/healthz")
    @app.get("/readyz")
    async def examined(request: Request) -> JSONResponse:
        """Give the numbers of the process; `/readyz` is 503 while it stores nothing, and `trouble` names why."""
        found = dict(await asyncio.get_running_loop().run_in_executor(examiner, health))
        return JSONResponse(found, 503 if request.url.path == "/readyz" and not found["ready"] else 200)


def _refusal(access: Access, scope: Scope) -> Response | None:
    if strange := access.strange(scope):
        return strange
    free = scope["path"] in ("/healthz", "/readyz") or scope["path"].startswith((*READABLE, FRAMES))
    if free or not access.guarded or access.has_token(Headers(scope=scope)):
        return None
    return PlainTextResponse("the token of this hub is needed\n", 401, {"WWW-Authenticate": BASIC})


class _Server(uvicorn.Server):
    """A server that wakes once a second, for the date in its answers, instead of ten times, and when it is `over`."""

    async def main_loop(self) -> None:
        """Serve until the end."""
        self.over, self.loop = asyncio.Event(), asyncio.get_running_loop()
        over = asyncio.create_task(self.over.wait())
        while not await self.on_tick(0):
            await asyncio.wait((over,), timeout=1.0)


@contextmanager
def listening(app: FastAPI, host: str, port: int) -> Iterator[str]:
    """
    Serve an application while the block runs, and give its address; the port is open when the block begins.

    Running answers are finished within `CLOSE_WITHIN` at the end. Raises CannotStart where the port is taken.
    """
    raise_file_limit()
    opened = bound("http", host, port)
    config = uvicorn.Config(
        app, http=BoundedHttp, log_level="warning", lifespan="on", ws="none", access_log=False,
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = _Server(config)
    thread = threading.Thread(target=server.run, args=([opened],), name="http", daemon=True)
    thread.start()
    while thread.is_alive() and not server.started:
        time.sleep(0.01)
    try:
        yield f"http://{url_host(host)}:{opened.getsockname()[1]}"
    finally:
        server.should_exit = True
        with suppress(AttributeError, RuntimeError):  # it has not begun, or has ended
            server.loop.call_soon_threadsafe(server.over.set)
        thread.join(CLOSE_WITHIN)
        opened.close()


def metrics_served(settings: Settings, collector: Collector, health: Health) -> AbstractContextManager[object]:
    """Give the HTTP server of a service's own metrics, or nothing where no port is set for it."""
    if not settings.metrics_port:
        return nullcontext()
    return listening(application(collector, health), settings.metrics_host, settings.metrics_port)
