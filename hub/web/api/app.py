"""
The application below `/api/v1`: a route for each resource, health, who may read, and what every answer carries.

`hub.web.http` mounts it; `hub.web.api.resources` has the lists. Read-only, but for what `hub.web.api.alerts` changes
for those with the token: every other method than GET, HEAD and OPTIONS is 405.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, NamedTuple

from fastapi import FastAPI, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aggregates.store.health import state
from aggregates.store.store import Store
from hub.web.api.access import Guard, ReadAccess
from hub.web.api.alerts import add_actions
from hub.web.api.answers import Stores, answer
from hub.web.api.document import VERSION, complete, responses
from hub.web.api.parameters import ListQuery
from hub.web.api.problems import Problem, install
from hub.web.api.problems import answer as refusal
from hub.web.api.resources import Resource, resources

PREFIX = "/api/v1"
READER = "stadspuls_reader"


@dataclass(frozen=True, slots=True)
class Served:
    """
    What the API needs: database, zone of civil days, longest time of a statement, most connections, who may read.

    `hosts` are names of the hub.
    """

    database: str
    timezone: str = "Europe/Amsterdam"
    patience: timedelta = timedelta(seconds=30)
    connections: int = 8
    access: ReadAccess = field(default_factory=ReadAccess)
    hosts: tuple[str, ...] = ()

    def stores(self, role: str) -> Stores:
        """Make connections that only read, as `role` where their user may."""
        make = partial(Store, self.database, application="stadspuls api", patience=self.patience, role=role)
        return Stores(make, self.connections)


class Health(BaseModel):
    """How the hub is."""

    ready: bool = Field(description="whether messages are taken and stored; of `serve`, whether the database answers")
    sensors: int = Field(description="sensors known")
    sensors_without_place: int = Field(description="of these, how many have no place")
    series: int = Field(description="series known")
    dead_letters: int = Field(description="distinct messages that could not be read")
    rollup_lag: float = Field(description="seconds that the oldest closed hour waits to be rolled up; 0: none waits")
    closed_until: datetime = Field(description="hours before this are rolled up")
    reconciled: datetime | None = Field(description="readings received before this are proven; null: not yet")
    frozen_days: int = Field(description="days whose readings were dropped")


class Api(NamedTuple):
    """The application, to be mounted at PREFIX, and what closes its connections."""

    app: ASGIApp
    close: Callable[[], None]


def api(served: Served, health: Callable[[], Mapping[str, object]]) -> Api:
    """Make the application."""
    app = FastAPI(
        title="Stadspuls", version=VERSION, openapi_url="/openapi.json", docs_url=None, redoc_url=None,
        redirect_slashes=False, root_path_in_servers=False, servers=[{"url": PREFIX}],
    )  # fmt: skip
    install(app)
    readers, insiders = served.stores(READER), served.stores("")
    listed = resources(served.timezone)
    for resource in listed:
        _add(app, resource, insiders if resource.secret else readers, served.access)
    _add_health(app, readers, health, served.access)
    writers = Stores(lambda: Store(served.database, application="stadspuls api"), 1)
    add_actions(app, writers, lambda request: _check(request, served.access))
    complete(app, listed, served.access)
    app.add_middleware(Guard, access=served.access, refuse=_unauthorised, free=[f"{PREFIX}/openapi.json"])
    if not served.access.trusting:
        app.add_middleware(
            CORSMiddleware, allow_origins=["*"], allow_methods=["GET", "HEAD"], allow_headers=["*"],
            expose_headers=["ETag", "Link", "API-Version", "Content-Crs", "Rolling-Up"],
        )  # fmt: skip

    def close() -> None:
        for stores in (readers, insiders, writers):
            stores.forget()

    return Api(Headers(app), close)


def _add(app: FastAPI, resource: Resource, stores: Stores, access: ReadAccess) -> None:
    def give(request: Request, asked: ListQuery) -> Response:
        if resource.secret:
            _check(request, access)
        return answer(request, resource, asked, stores)

    give.__annotations__["asked"] = Annotated[resource.asked, Query()]
    give.__name__ = resource.path.strip("/").replace("/", "_").replace("-", "_")
    app.get(resource.path, summary=resource.about, responses=responses(resource, access), response_class=Response)(give)


def _add_health(app: FastAPI, stores: Stores, health: Callable[[], Mapping[str, object]], access: ReadAccess) -> None:
    @app.get("/health", summary="How the hub is.", responses=responses(None, access))
    def give_health() -> Health:
        with stores.lend() as store:
            now = state(store, datetime.now(UTC))
        return Health(
            ready=bool(health()["ready"]), sensors=now.sensors, sensors_without_place=now.unplaced, series=now.series,
            dead_letters=now.dead_letters, rollup_lag=now.oldest_mark or 0.0, closed_until=now.closed_until,
            reconciled=now.reconciled, frozen_days=now.frozen_days,
        )  # fmt: skip


def _check(request: Request, access: ReadAccess) -> None:
    if not access.has_token(request.headers):
        raise _missing() if access.token else Problem(403, "this needs a token, and the hub has none: set api_token")


def _missing() -> Problem:
    return Problem(
        401, "expected Authorization: Bearer with the token of this hub", headers={"WWW-Authenticate": "Bearer"}
    )


def _unauthorised() -> Response:
    return refusal(_missing())


class Headers:
    """Adds the version to every answer, and answers HEAD as GET: the server leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["API-Version"] = VERSION
            await send(message)

        asked: dict[str, Any] = {**scope, "method": "GET"} if scope.get("method") == "HEAD" else dict(scope)
        await self._app(asked, receive, sent)
