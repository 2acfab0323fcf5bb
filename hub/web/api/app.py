"""
The application below `/api/v1`: a route for each resource, health, who may read, and what every answer carries.

`hub.web.http` mounts it; `hub.web.api.resources` has the lists. Read-only, but for what `hub.web.api.alerts` changes
for those with the token: every other method than GET, HEAD and OPTIONS is 405.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.security import HTTPBearer
from pydantic import BaseModel, Field
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from aggregates.store.health import state
from aggregates.store.store import Store
from hub.settings.settings import Settings
from hub.web.admission import READS, Access, Gate
from hub.web.api.alerts import actions
from hub.web.api.answers import Stores, answer
from hub.web.api.document import VERSION, Documented, problems, responses
from hub.web.api.parameters import Query as Asked
from hub.web.api.parameters import query
from hub.web.api.problems import Problem, install
from hub.web.api.problems import answer as refusal
from hub.web.api.resources import RESOURCES, Resource

PREFIX = "/api/v1"
READER = "stadspuls_reader"
_TOKEN = Depends(HTTPBearer(scheme_name="token", auto_error=False))  # for the document alone: `_refusal` checks it


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


def api(
    settings: Settings, database: str, access: Access, health: Callable[[], Mapping[str, object]]
) -> tuple[ASGIApp, Callable[[], None]]:
    """Make the application, to be mounted at PREFIX, and what closes its connections to the database."""
    make = partial(Store, database, application="stadspuls api")
    readers, insiders = (
        Stores(partial(make, patience=settings.api_patience, role=role), settings.api_connections)
        for role in (READER, "")
    )
    writers = Stores(make, 1)
    app = Documented(
        servers=[{"url": PREFIX}], responses=problems(503, *[401] * access.guarded),
        dependencies=[_TOKEN] * access.guarded,
    )  # fmt: skip
    install(app)
    for resource in RESOURCES:
        _add(app, resource, insiders if resource.secret else readers, access, settings.timezone)
    _add_health(app, readers, health)
    app.include_router(actions(writers))
    app.add_middleware(Gate, refusal=partial(_refusal, access))
    if not access.trusting:
        app.add_middleware(
            CORSMiddleware, allow_origins=["*"], allow_methods=["GET", "HEAD"], allow_headers=["*"],
            expose_headers=["ETag", "Link", "API-Version", "Content-Crs", "Rolling-Up", "Note"],
        )  # fmt: skip
    gate = Gate(app, refusal=lambda _: None, headers={"API-Version": VERSION})

    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        """Answer HEAD as GET: the server leaves the body out."""
        await gate({**scope, "method": "GET"} if scope.get("method") == "HEAD" else scope, receive, send)

    def close() -> None:
        for stores in (readers, insiders, writers):
            stores.close()

    return answered, close


def _add(app: FastAPI, resource: Resource, stores: Stores, access: Access, zone: str) -> None:
    def give(request: Request, asked: Asked) -> Response:
        if resource.secret and (problem := _without_token(access, request.headers)):
            raise problem
        return answer(request, resource, asked, stores, zone)

    give.__annotations__["asked"] = Annotated[query(resource.parameters, resource.most, resource.bulk), Query()]
    give.__name__ = resource.path.strip("/").replace("/", "_").replace("-", "_")
    secret = [403, *[401] * (access.token is not None)] if resource.secret else []
    app.get(
        resource.path, summary=resource.about, responses={**responses(resource), **problems(*secret)},
        dependencies=[_TOKEN] * (401 in secret), response_class=Response,
    )(give)  # fmt: skip


def _add_health(app: FastAPI, stores: Stores, health: Callable[[], Mapping[str, object]]) -> None:
    @app.get("/health", summary="How the hub is.")
    def give_health() -> Health:
        with stores.lend() as store:
            now = state(store, datetime.now(UTC))
        return Health(
            ready=bool(health()["ready"]), sensors=now.sensors, sensors_without_place=now.unplaced, series=now.series,
            dead_letters=now.dead_letters, rollup_lag=now.oldest_mark or 0.0, closed_until=now.closed_until,
            reconciled=now.reconciled, frozen_days=now.frozen_days,
        )  # fmt: skip


def _refusal(access: Access, scope: Scope) -> Response | None:
    """Ask for the token before the body is read: where reading needs it, and for what changes something."""
    acts = scope.get("method") not in READS and scope["path"].startswith(f"{PREFIX}/alerts/")
    if acts or (access.guarded and scope["path"] != f"{PREFIX}/openapi.json"):
        problem = _without_token(access, Headers(scope=scope))
        return refusal(problem) if problem else None
    return None


def _without_token(access: Access, headers: Headers) -> Problem | None:
    if access.has_token(headers):
        return None
    if access.token is None:
        return Problem(403, "this needs a token, and the hub has none: set api_token")
    asked = {"WWW-Authenticate": "Bearer"}
    return Problem(401, "expected Authorization: Bearer with the token of this hub", headers=asked)
