"""
The application below `/api/v1`: a route for each resource, health, who may read, and what every answer carries.

`hub.web.http` mounts it; `hub.web.api.resources` has the lists. What may be changed are alerts: they are acknowledged,
silences made and ended. That needs the token, also where everyone may read; a hub without a token refuses it, and
where the server's database role may only read (`serve` in Compose) the answer is 403. Every other method than GET, HEAD
and OPTIONS is 405.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.security import HTTPBearer
from pydantic import AwareDatetime, BaseModel, Field
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Scope

from aggregates.store.health import state
from hub.settings.settings import Settings
from hub.web.admission import PREFIX, READS, Access, Gate, Health
from hub.web.api.answers import Stores, answer, item
from hub.web.api.document import VERSION, Documented, problems, reference, responses
from hub.web.api.parameters import Name, Text, chosen, query
from hub.web.api.problems import Problem, install
from hub.web.api.problems import answer as refusal
from hub.web.api.resources import RESOURCES, Resource, by_settings
from streams.notify import operators

_SECRET = [f"{PREFIX}{one.path}" for one in RESOURCES if one.secret]
_TOKEN = Depends(HTTPBearer(scheme_name="token", auto_error=False))  # for the document alone: `_refusal` checks it


def api(
    settings: Settings, readers: Stores, insiders: Stores, writers: Stores, access: Access, health: Health
) -> ASGIApp:
    """
    Make the application, to be mounted at PREFIX; `insiders` read what is secret.

    Raises `ingest.vocabulary.values.BadFile` for a file of periods that cannot be read.
    """
    resources = by_settings(settings)
    app = Documented(
        servers=[{"url": PREFIX}], responses=problems(503, *[401] * access.guarded),
        dependencies=[_TOKEN] * access.guarded,
    )  # fmt: skip
    install(app)
    for resource in resources.values():
        _add(app, resource, insiders if resource.secret else readers, access, settings.timezone)
    _add_about(app, readers, health)
    app.include_router(actions(writers))
    return Gate(admitted(app, access), headers={"API-Version": VERSION})


def admitted(app: FastAPI, access: Access, challenge: str = "Bearer") -> FastAPI:
    """Let an application answer those alone who may read, pages of other sites among them."""
    app.add_middleware(Gate, refusal=partial(_refusal, access, challenge))
    if not access.trusting:
        app.add_middleware(
            CORSMiddleware, allow_origins=["*"], allow_methods=["GET", "HEAD"], allow_headers=["*"],
            expose_headers=["ETag", "Link", "API-Version", "Content-Crs", "Rolling-Up", "Note", "Total-Count"],
        )  # fmt: skip
    return app


def _add(app: FastAPI, resource: Resource, stores: Stores, access: Access, zone: str) -> None:
    words = f"{resource.parameters}{' crs' * resource.geographic}{' bbox-crs' * ('bbox' in resource.parameters)}"
    parameters: Any = Annotated[query(words, resource.most, resource.bulk), Query()]
    name = resource.path.strip("/").replace("/", "_").replace("-", "_")
    secret = [403, *[401] * (access.token is not None)] if resource.secret else []

    @app.get(
        resource.path, name=name, summary=resource.about, responses={**responses(resource), **problems(*secret)},
        dependencies=[_TOKEN] * (401 in secret), response_class=Response,
    )  # fmt: skip
    def give(request: Request, asked: parameters) -> Response:
        return answer(request, resource, asked, stores, zone)

    if resource.item is not None:

        @app.get(
            f"{resource.path}/{{key:path}}", name=f"{name}_item", response_class=Response,
            summary=f"One of {resource.path}, by its {resource.key[0]}.", responses=responses(resource, one=True),
        )  # fmt: skip
        def give_one(request: Request, key: Name, asked: parameters) -> Response:
            return item(request, resource, key, asked, stores, zone)


def _add_about(app: FastAPI, stores: Stores, health: Health) -> None:
    content = {"application/json": {"schema": reference("Health")}}

    @app.get("/health", summary="How the hub is.", response_class=Response, responses={200: {"content": content}})
    def give_health() -> Response:
        now = stores.ask(lambda store: state(store, datetime.now(UTC)))
        found = {"ready": bool(health()["ready"]), **now._asdict()}
        return Response(msgspec.json.encode(found), media_type="application/json")

    @app.get("/catalog", include_in_schema=False)
    def give_catalog(request: Request, format: Literal["json", "turtle"] | None = None) -> Response:
        from hub.web.api.catalog import MEDIA, catalog  # with the templates' compiler

        form = format or chosen(", ".join(request.headers.getlist("accept")), MEDIA) or "json"
        hub = str(request.url.replace(path=PREFIX, query=""))
        return Response(stores.ask(lambda store: catalog(store, hub, form)), media_type=MEDIA[form])


class Acknowledgement(BaseModel, extra="forbid"):
    """Who acknowledges an alert."""

    by: Text


class NewSilence(BaseModel, extra="forbid"):
    """Which alerts are silenced, when, by whom and why."""

    rule: Text = "*"
    subject: Text = "*"
    first: AwareDatetime | None = Field(None, alias="from")
    last: AwareDatetime | None = Field(None, alias="to")
    windows: list[Text] = Field([], alias="weekly")
    by: Text
    reason: Text


def actions(stores: Stores) -> APIRouter:
    """Give what changes something: `_refusal` lets in only requests with the token."""
    actions = APIRouter(prefix="/alerts", include_in_schema=False)

    @actions.post("/{alert}/ack", status_code=204)
    def acknowledge(alert: int, wanted: Acknowledgement) -> Response:
        with stores.lend() as store:
            if not operators.acknowledge(store, alert, wanted.by, datetime.now(UTC)):
                raise Problem(404, f"alert {alert} is not open")
        return Response(status_code=204)

    @actions.post("/silences", status_code=201)
    def silence(wanted: NewSilence) -> Mapping[str, int]:
        now = datetime.now(UTC)
        asked = {**wanted.model_dump(), "first": wanted.first or now}
        with stores.lend() as store:
            return {"silence": operators.silence(store, now=now, **asked)}

    @actions.delete("/silences/{silence}", status_code=204)
    def end_silence(silence: int) -> Response:
        with stores.lend() as store:
            if not operators.end_silence(store, silence, datetime.now(UTC)):
                raise Problem(404, f"silence {silence} does not exist or is over")
        return Response(status_code=204)

    return actions


def _refusal(access: Access, challenge: str, scope: Scope) -> Response | None:
    """Ask for the token before the body is read: where reading needs it, for what is secret or changes something."""
    path, headers = scope["path"], Headers(scope=scope)
    acts = scope.get("method") not in READS and path.startswith(f"{PREFIX}/alerts/")
    needed = acts or path in _SECRET or (access.guarded and path != f"{PREFIX}/openapi.json")
    if not needed or access.has_token(headers):
        return None
    if access.token is None:
        return refusal(Problem(403, "this needs a token, and the hub has none: set api_token"), headers)
    asked = {"WWW-Authenticate": challenge}
    return refusal(Problem(401, "expected Authorization: Bearer with the token of this hub", headers=asked), headers)
