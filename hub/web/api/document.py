"""
The OpenAPI document: FastAPI makes it of the routes; here is what the answers of a resource add, from its columns.

Every answer that the API can give is in it, with an example of every column (`examples.toml`); `document.toml` has its
texts. A test sends requests of all kinds and compares the answers with it.
"""

import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import pyarrow as pa
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.json_schema import models_json_schema

from aggregates.ask.listings import BYTES, COUNT, DATE, MANY, NUMBER, STAMP, STATISTICS, TEXT, YES_OR_NO
from hub.web.api.problems import MEDIA, ProblemDetails
from hub.web.api.resources import RESOURCES, Resource

VERSION = "1.0.0"
_REFERENCE = "#/components/schemas/{model}"
_FILE = {"type": "string", "format": "binary"}
_TEXTS: Mapping[str, Any] = tomllib.loads(Path(__file__).with_name("document.toml").read_text("utf-8"))
_HEADERS: Mapping[str, str] = _TEXTS["headers"]
_TYPES: Mapping[pa.DataType, Any] = {
    TEXT: str, BYTES: str, NUMBER: float, COUNT: int, YES_OR_NO: bool, STAMP: datetime, DATE: date, MANY: list[str],
    STATISTICS: dict[str, float | None],
}  # fmt: skip

Row = TypeVar("Row", bound=BaseModel)


class _Page(BaseModel):
    next: str | None = Field(description="cursor of the next page; null: this is the last")
    rolling_up: bool = Field(False, description=_HEADERS["Rolling-Up"])
    note: str = Field("", description=_HEADERS["Note"])


class JsonPage(_Page, Generic[Row]):
    """Rows as JSON."""

    items: list[Row]


class Feature(BaseModel, Generic[Row]):
    """A row as GeoJSON."""

    type: Literal["Feature"]
    geometry: dict[str, Any] | None = Field(examples=[{"type": "Point", "coordinates": [6.5793, 53.2169]}])
    properties: Row


class FeatureCollection(_Page, Generic[Row]):
    """Rows as GeoJSON."""

    type: Literal["FeatureCollection"]
    features: list[Feature[Row]]


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Give answers that are errors, for FastAPI."""
    content = {MEDIA: {"schema": _reference("ProblemDetails")}}
    return {code: {"description": _TEXTS["problems"][str(code)], "content": content} for code in codes}


def responses(resource: Resource) -> dict[int | str, dict[str, Any]]:
    """Give the answers of a resource, for FastAPI."""
    given = {
        "Rolling-Up": "from!" in resource.parameters,
        "Note": "area" in resource.path + resource.parameters,
        "Content-Crs": resource.geographic,
    }
    about = {name: text for name, text in _HEADERS.items() if given.get(name, True)}
    headers = {name: {"description": text, "schema": {"type": "string"}} for name, text in about.items()}
    schemas = {"json": _reference(f"JsonPage_{_name(resource)}_")}
    schemas["geojson"] = _reference(f"FeatureCollection_{_name(resource)}_")
    content = {media: {"schema": schemas.get(form, _FILE)} for form, media in resource.forms.items()}
    computed = resource.path.startswith("/indicators/")
    return {
        200: {"description": "A page.", "headers": headers, "content": content},
        304: {"description": "You have it already (If-None-Match).", "content": {}},
        **problems(400, 406, *[422] * computed),
    }


class Documented(FastAPI):
    """The application of the API, whose document has the models of all resources."""

    def __init__(self, **more: Any) -> None:
        super().__init__(
            version=VERSION, docs_url=None, redoc_url=None, redirect_slashes=False, root_path_in_servers=False,
            **_TEXTS["about"], **more,
        )  # fmt: skip

    def openapi(self) -> dict[str, Any]:
        """Give the document; it is made when it is first asked for."""
        if self.openapi_schema is None:
            made = super().openapi()
            made["components"]["schemas"] |= _schemas()
            for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, which this API never gives
                del made["components"]["schemas"][name]
            for path in made["paths"].values():
                said = path["get"]["responses"]
                if MEDIA not in said.get("422", {}).get("content", MEDIA):
                    del said["422"]
        return self.openapi_schema or {}


def _schemas() -> dict[str, Any]:
    models: list[tuple[type[BaseModel], Literal["serialization"]]] = [(ProblemDetails, "serialization")]
    for resource in RESOURCES:
        row = _row(resource)
        pages: list[Any] = [JsonPage, FeatureCollection] if resource.geographic else [JsonPage]
        models += [(page[row], "serialization") for page in pages]
    found: dict[str, Any] = models_json_schema(models, ref_template=_REFERENCE)[1]["$defs"]
    return found


def _row(resource: Resource) -> Any:
    """Make the model of a row: every column is there, and no other."""
    examples = tomllib.loads(Path(__file__).with_name("examples.toml").read_text("utf-8"))
    fields: dict[str, Any] = {
        field.name: (
            _TYPES[field.type] | None if field.nullable else _TYPES[field.type],
            Field(description=(field.metadata or {})[b"description"].decode(), examples=[examples.get(field.name)]),
        )
        for field in resource.columns
        if field.name != "geometry"
    }
    return create_model(_name(resource), __config__=ConfigDict(extra="forbid"), **fields)


def _name(resource: Resource) -> str:
    return resource.path.replace("/", "-").title().replace("-", "")


def _reference(model: str) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(model=model)}
