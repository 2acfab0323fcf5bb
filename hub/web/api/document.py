"""
The OpenAPI document: what FastAPI cannot know by itself, from the columns of each resource.

Every answer that the API can give is in it, with an example; a test sends it requests of all kinds and compares.
"""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from hub.web.api.access import Access
from hub.web.api.problems import MEDIA
from hub.web.api.resources import Resource
from hub.web.api.schemas import PROBLEM, content, item, name_of

VERSION = "1.0.0"
_ABOUT = """What the sensors of a city say: figures with their evidence, and the areas of CBS beside them. Read-only.

Stamps are UTC, windows are half open and labelled with their start, missing is not zero. An unknown sensor or an empty
range is an empty list. `docs/api.md` says the rest."""
_WRONG = {
    400: "A parameter cannot be right; `errors` has all of them.",
    401: "The token is missing or wrong.",
    403: "Not for this server, or not without a token.",
    406: "None of the forms accepted can be given.",
    422: "What was asked cannot be defended; `detail` says why.",
    503: "The database does not answer, or took too long.",
}


def responses(resource: Resource | None, access: Access) -> dict[int | str, dict[str, Any]]:
    """Give every answer of a resource, for FastAPI; None is health."""
    codes = [503] if resource is None else [400, 406, 503]
    codes += [401] if access.guarded or (resource and resource.secret and access.token) else []
    codes += [403] if resource and resource.secret else []
    codes += [422] if resource and resource.path.startswith("/indicators/") else []
    found: dict[int | str, dict[str, Any]] = {code: _problem(code) for code in codes}
    if resource is not None:
        found[200] = {"description": "A page.", "content": content(resource), "headers": _headers(resource)}
        found[304] = {"description": "You have it already (If-None-Match).", "content": {}}
    return found


def _problem(code: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": _WRONG[code], "content": {MEDIA: {"schema": schema}}}


def _headers(resource: Resource) -> dict[str, Any]:
    text = {"schema": {"type": "string"}}
    crs = {"Content-Crs": {"description": "of GeoJSON: CRS84", **text}} if resource.geographic else {}
    return {
        "ETag": {"description": "of the content, for If-None-Match", **text},
        "Link": {"description": "the next page, where there is one (rel=next)", **text},
        **crs,
    }


def complete(app: FastAPI, listed: Sequence[Resource], access: Access) -> None:
    """Let an application give the whole document; it is made when it is first asked for."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, listed, access)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI, listed: Sequence[Resource], access: Access) -> dict[str, Any]:
    made = get_openapi(
        title="Stadspuls", version=VERSION, summary="A city's sensors, as figures that people can act on",
        description=_ABOUT, routes=app.routes, servers=app.servers,
        license_info={"name": "Apache 2.0 (the hub); of data, see /sources", "identifier": "Apache-2.0"},
        contact={"name": "whoever runs this hub"},
    )  # fmt: skip
    schemas = made["components"]["schemas"]
    schemas |= {"Problem": PROBLEM, **{name_of(one): item(one.columns) for one in listed}}
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, which this API never gives
        schemas.pop(name, None)
    for one in listed:
        _correct(made["paths"][one.path]["get"], one)
    if access.token is not None:
        made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        closed = [one.path for one in listed if access.guarded or one.secret] + ["/health"] * access.guarded
        for path in closed:
            made["paths"][path]["get"]["security"] = [{"token": []}]
    return made


def _correct(operation: dict[str, Any], resource: Resource) -> None:
    """Mend what FastAPI says wrongly: 422 for bad input, null for what may be left out, and no bound of `limit`."""
    if not resource.path.startswith("/indicators/"):
        operation["responses"].pop("422", None)
    for parameter in operation["parameters"]:
        schema = parameter["schema"]
        if "anyOf" in schema:
            parameter["schema"] = {**schema["anyOf"][0], **{name: schema[name] for name in schema.keys() - {"anyOf"}}}
        if parameter["name"] == "limit":
            most = max(resource.most, resource.bulk)
            parameter["schema"] = {"type": "integer", "minimum": 1, "maximum": most}
            json = f"; of JSON and GeoJSON {resource.most}" if resource.bulk else ""
            parameter["description"] = f"rows at most, up to {most}{json}"
