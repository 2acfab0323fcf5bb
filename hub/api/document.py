"""
The OpenAPI document: what FastAPI cannot know by itself, from the columns of each resource.

Every answer that the API can give is in it, with an example; a test sends it requests of all kinds and compares.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from hub.api.access import Access
from hub.api.examples import EXAMPLES, POINT
from hub.api.forms import FORMS
from hub.api.problems import MEDIA
from hub.api.resources import Resource

VERSION = "1.0.0"
_ABOUT = """What the sensors of a city say: figures with their evidence, and the areas of CBS beside them. Read-only.

Stamps are UTC, windows are half open and labelled with their start, missing is not zero. An unknown sensor or an empty
range is an empty list. `docs/api.md` says the rest."""
_PROBLEM = {
    "type": "object",
    "required": ["title", "status", "detail"],
    "properties": {
        "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what was found and what was expected"},
        "errors": {"type": "array", "items": {
            "type": "object", "required": ["in", "name", "detail"],
            "properties": {name: {"type": "string"} for name in ("in", "name", "detail")},
        }},
    },
}  # fmt: skip
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
        found[200] = {"description": "A page.", "content": _content(resource), "headers": _headers(resource)}
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


def _content(resource: Resource) -> dict[str, Any]:
    example = {field.name: EXAMPLES[field.name] for field in resource.columns if field.name != "geometry"}
    following = {"type": ["string", "null"], "description": "cursor of the next page; null: this is the last"}
    item = {"$ref": f"#/components/schemas/{_name(resource)}"}
    feature = {
        "type": "object", "required": ["type", "geometry", "properties"],
        "properties": {
            "type": {"const": "Feature"}, "properties": item,
            "geometry": {"type": ["object", "null"], "required": ["type", "coordinates"]},
        },
    }  # fmt: skip
    features = {"type": "array", "items": feature}
    collection = {"type": {"const": "FeatureCollection"}, "features": features, "next": following}
    shown = [{"type": "Feature", "geometry": POINT, "properties": example}]
    shapes: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "json": ({"items": {"type": "array", "items": item}, "next": following}, {"items": [example], "next": None}),
        "geojson": (collection, {"type": "FeatureCollection", "features": shown, "next": None}),
    }
    content: dict[str, Any] = {}
    for form in FORMS:
        if form.name in shapes and (resource.geographic or not form.geographic):
            properties, sample = shapes[form.name]
            schema = {"type": "object", "required": list(properties), "properties": properties}
            content[form.media] = {"schema": schema, "example": sample}
        elif form.bulk:
            content[form.media] = {"schema": {"type": "string", "format": "binary"}}
    return content


def _name(resource: Resource) -> str:
    return "".join(word.capitalize() for word in resource.path.strip("/").replace("/", "-").split("-"))


def _item(columns: pa.Schema) -> dict[str, Any]:
    fields = [field for field in columns if field.name != "geometry"]
    return {
        "type": "object",
        "required": [field.name for field in fields],
        "additionalProperties": False,
        "properties": {field.name: _kind(field) for field in fields},
    }


def _kind(field: "pa.Field[Any]") -> dict[str, Any]:
    about = {"description": (field.metadata or {})[b"description"].decode()} if field.metadata else {}
    kind = field.type
    found: dict[str, Any] = {"type": "string"}
    if pa.types.is_timestamp(kind):
        found = {"type": "string", "format": "date-time"}
    elif pa.types.is_floating(kind) or pa.types.is_integer(kind):
        found = {"type": "number" if pa.types.is_floating(kind) else "integer"}
    elif pa.types.is_boolean(kind):
        found = {"type": "boolean"}
    elif pa.types.is_list(kind):
        found = {"type": "array", "items": {"type": "string"}}
    elif pa.types.is_struct(kind):
        found = {"type": "object", "additionalProperties": {"type": ["number", "null"]}}
    if field.nullable:
        found["type"] = [found["type"], "null"]
    return found | about


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
    schemas |= {"Problem": _PROBLEM, **{_name(one): _item(one.columns) for one in listed}}
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    bounds = {one.path: max(one.most, one.bulk) for one in listed}
    for path, methods in made["paths"].items():
        operation = methods["get"]
        computed = path.startswith("/indicators/")
        if not computed:
            operation["responses"].pop("422", None)
        for parameter in operation.get("parameters", ()):
            _bound(parameter, bounds.get(path))
    if access.token is not None:
        made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for one in listed:
            if access.guarded or one.secret:
                made["paths"][one.path]["get"]["security"] = [{"token": []}]
        if access.guarded:
            made["paths"]["/health"]["get"]["security"] = [{"token": []}]
    return made


def _bound(parameter: dict[str, Any], most: int | None) -> None:
    """Say how many rows there may be; and that a parameter may be left out is no reason to call it null."""
    schema = parameter["schema"]
    if "anyOf" in schema:
        parameter["schema"] = {**schema["anyOf"][0], **{name: schema[name] for name in schema.keys() - {"anyOf"}}}
    if parameter["name"] == "limit":
        parameter["schema"] = {"type": "integer", "minimum": 1, "maximum": most}
        parameter["description"] = f"rows at most: {most}, of JSON and GeoJSON 10000"
