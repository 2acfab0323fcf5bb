"""
The OpenAPI document: FastAPI makes it of the routes; here is what the answers of a resource add, from its columns.

Every answer that the API can give is in it, with an example of every column (`examples.toml`); `document.toml` has its
texts, and the schemas of what is no row. A test sends requests of all kinds and compares the answers with it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
from fastapi import FastAPI

from aggregates.ask.listings import BESIDE, TYPES
from hub.web.api.problems import MEDIA
from hub.web.api.resources import RESOURCES, Resource
from ingest.vocabulary.values import shipped_toml

VERSION = "1.1.0"
Schema = dict[str, Any]
_FILE = {"type": "string", "format": "binary"}
_TEXTS: Mapping[str, Any] = shipped_toml(__file__, "document.toml")
_EXAMPLES: Mapping[str, Any] = shipped_toml(__file__, "examples.toml")
_TYPES: Mapping[pa.DataType, Schema] = {TYPES[name]: schema for name, schema in _TEXTS["types"].items()}


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Give answers that are errors, for FastAPI."""
    content = {MEDIA: {"schema": reference("ProblemDetails")}}
    return {code: {"description": _TEXTS["problems"][str(code)], "content": content} for code in codes}


def responses(resource: Resource, *, one: bool = False) -> dict[int | str, dict[str, Any]]:
    """Give the answers of a resource, or of `one` of its rows, for FastAPI."""
    given = {
        "Rolling-Up": bool(resource.window) or "window" in resource.parameters,
        "Note": "area" in resource.path + resource.parameters,
        "Content-Crs": resource.geographic,
    }
    about = {name: text for name, text in _TEXTS["headers"].items() if given.get(name, True)}
    headers = {name: {"description": text, "schema": {"type": "string"}} for name, text in about.items()}
    names = {"json": "", "geojson": "Feature"} if one else {"json": "JsonPage", "geojson": "FeatureCollection"}
    schemas = {form: reference(_name(resource) + kind) for form, kind in names.items()}
    content = {
        media: {"schema": schemas.get(form, _FILE)}
        for form, media in resource.forms.items()
        if not one or form in schemas
    }
    computed = resource.path.startswith("/indicators/")
    return {
        200: {"description": "One." if one else "A page.", "headers": headers, "content": content},
        304: {"description": "You have it already (If-None-Match).", "content": {}},
        **problems(400, 406, *[404] * one, *[422] * computed),
    }


class Documented(FastAPI):
    """The application of the API, whose document has the schemas of all resources."""

    def __init__(self, **more: Any) -> None:
        super().__init__(
            version=VERSION, docs_url=None, redoc_url=None, redirect_slashes=False, root_path_in_servers=False,
            **_TEXTS["about"], **more,
        )  # fmt: skip

    def openapi(self) -> dict[str, Any]:
        """Give the document; it is made when it is first asked for."""
        if self.openapi_schema is None:
            made = super().openapi()
            schemas = made["components"]["schemas"]
            for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, which this API never gives
                del schemas[name]
            schemas |= _TEXTS["schemas"] | {name: one for each in RESOURCES for name, one in _schemas(each)}
            for path in made["paths"].values():
                said = path["get"]["responses"]
                if MEDIA not in said.get("422", {}).get("content", MEDIA):
                    del said["422"]
        return self.openapi_schema or {}


def _schemas(resource: Resource) -> Iterator[tuple[str, Schema]]:
    """Give the schemas of a row, of a page, and where it has places those of a feature and of a page of them."""
    name = _name(resource)
    columns = [column for column in resource.columns if column.name != "geometry"]
    yield name, {
        "type": "object", "properties": {column.name: _column(column) for column in columns},
        "required": [column.name for column in columns if column.name not in BESIDE], "additionalProperties": False,
    }  # fmt: skip
    rows = {"type": "array", "items": reference(name)}
    features = {"type": "array", "items": reference(f"{name}Feature")}
    yield _page(name, "JsonPage", rows, _TEXTS["beside"])
    if resource.geographic:
        yield _page(name, "Feature", reference(name), {})
        yield _page(name, "FeatureCollection", features, _TEXTS["beside"])


def _page(name: str, kind: str, rows: Schema, beside: Mapping[str, Schema]) -> tuple[str, Schema]:
    """Give the schema of one kind of page, with its name."""
    known = dict(_TEXTS["page"][kind])
    properties = {**known.get("properties", {}), known.pop("of"): rows, **beside}
    return name + kind, {**known, "properties": properties}


def _column(column: "pa.Field[Any]") -> Schema:
    """Give the schema of one column of a row, which is there; measures are where they are asked for."""
    kind = _TYPES[column.type]
    about = {"description": (column.metadata or {})[b"description"].decode(), "examples": [_EXAMPLES.get(column.name)]}
    return {**kind, "type": [kind["type"], "null"] if column.nullable else kind["type"], **about}


def _name(resource: Resource) -> str:
    return resource.path.replace("/", "-").title().replace("-", "")


def reference(schema: str) -> dict[str, str]:
    """Refer to a schema of the document."""
    return {"$ref": f"#/components/schemas/{schema}"}
