"""
The OpenAPI document: FastAPI makes it of typed models; here are the models of answers, from the columns of a resource.

`hub.web.api.app` adds `responses` to each route and lets `complete` finish the document. Every answer that the API can
give is in it, with an example of every column; a test sends requests of all kinds and compares the answers with it.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Generic, Literal, TypeVar

import pyarrow as pa
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.json_schema import models_json_schema

from aggregates.ask.columns import BYTES, COUNT, DATE, MANY, NUMBER, STAMP, STATISTICS, TEXT, YES_OR_NO
from hub.web.api.access import ReadAccess
from hub.web.api.forms import FORMS
from hub.web.api.parameters import TimeRange
from hub.web.api.problems import MEDIA, ProblemDetails
from hub.web.api.resources import Resource

VERSION = "1.0.0"
REFERENCE = "#/components/schemas/{model}"
_ABOUT = """What the sensors of a city measure: figures with their evidence, beside the areas of CBS. Read-only.

Stamps in answers are UTC, with local time or the date beside them; a date in a question is a local date. Windows are
half open and labelled with their start, missing is not zero. An unknown sensor or an empty
range is an empty list. `docs/api.md` has more."""
_ROLLING_UP = "true: hours of the range still wait for the roll-up, the figures will change"
_WRONG = {
    400: "A parameter cannot be right; `errors` has all of them.",
    401: "The token is missing or wrong.",
    403: "Not for this server, or not without a token.",
    406: "None of the forms accepted can be given.",
    422: "The figure that was asked for cannot be defended; `detail` says why.",
    503: "The database does not answer, or took too long.",
}

Row = TypeVar("Row", bound=BaseModel)
_TYPES: Mapping[pa.DataType, Any] = {
    TEXT: str, BYTES: str, NUMBER: float, COUNT: int, YES_OR_NO: bool, STAMP: datetime, DATE: date, MANY: list[str],
    STATISTICS: dict[str, float | None],
}  # fmt: skip


class JsonPage(BaseModel, Generic[Row]):
    """Rows as JSON."""

    items: list[Row]
    next: str | None = Field(description="cursor of the next page; null: this is the last")
    rolling_up: bool = Field(False, description=_ROLLING_UP)


class Feature(BaseModel, Generic[Row]):
    """A row as GeoJSON."""

    type: Literal["Feature"]
    geometry: dict[str, Any] | None = Field(examples=[{"type": "Point", "coordinates": [6.5793, 53.2169]}])
    properties: Row


class FeatureCollection(BaseModel, Generic[Row]):
    """Rows as GeoJSON."""

    type: Literal["FeatureCollection"]
    features: list[Feature[Row]]
    next: str | None = Field(description="cursor of the next page; null: this is the last")
    rolling_up: bool = Field(False, description=_ROLLING_UP)


def models(resource: Resource) -> dict[str, type[BaseModel]]:
    """Give the models of an answer by the name of its form: every column is there, and no other."""
    fields: dict[str, Any] = {
        field.name: (
            _TYPES[field.type] | None if field.nullable else _TYPES[field.type],
            Field(description=(field.metadata or {})[b"description"].decode(), examples=[EXAMPLES[field.name]]),
        )
        for field in resource.columns
        if field.name != "geometry"
    }
    name = resource.path.strip("/").replace("/", "-").title().replace("-", "")
    row: Any = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
    return {"json": JsonPage[row]} | ({"geojson": FeatureCollection[row]} if resource.geographic else {})


def responses(resource: Resource | None, access: ReadAccess) -> dict[int | str, dict[str, Any]]:
    """Give every answer of a resource, for FastAPI; None is health."""
    codes = [503] if resource is None else [400, 406, 503]
    codes += [401] if access.guarded or (resource and resource.secret and access.token) else []
    codes += [403] if resource and resource.secret else []
    codes += [422] if resource and resource.path.startswith("/indicators/") else []
    problem = {MEDIA: {"schema": {"$ref": REFERENCE.format(model=ProblemDetails.__name__)}}}
    found: dict[int | str, dict[str, Any]] = {code: {"description": _WRONG[code], "content": problem} for code in codes}
    if resource is not None:
        found[200] = {"description": "A page.", "headers": _headers(resource)}
        found[304] = {"description": "You have it already (If-None-Match).", "content": {}}
    return found


def _headers(resource: Resource) -> dict[str, Any]:
    about = {
        "ETag": "of the content, for If-None-Match",
        "Link": "the next page, where there is one (rel=next)",
        **({"Rolling-Up": _ROLLING_UP} if issubclass(resource.asked, TimeRange) else {}),
        **({"Content-Crs": "of GeoJSON: CRS84"} if resource.geographic else {}),
    }
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in about.items()}


def complete(app: FastAPI, listed: Sequence[Resource], access: ReadAccess) -> None:
    """Let an application give the whole document; it is made when it is first asked for."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, listed, access)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI, listed: Sequence[Resource], access: ReadAccess) -> dict[str, Any]:
    made = get_openapi(
        title="Stadspuls", version=VERSION, summary="A city's sensors, as figures that people can act on",
        description=_ABOUT, routes=app.routes, servers=app.servers,
        license_info={"name": "Apache 2.0 (the hub); of data, see /sources", "identifier": "Apache-2.0"},
        contact={"name": "whoever runs this hub"},
    )  # fmt: skip
    answers = {one.path: models(one) for one in listed}
    every: list[type[BaseModel]] = [ProblemDetails, *(model for forms in answers.values() for model in forms.values())]
    references, found = models_json_schema([(model, "serialization") for model in every], ref_template=REFERENCE)
    schemas = made["components"]["schemas"]
    schemas |= found["$defs"]
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, which this API never gives
        schemas.pop(name, None)
    for one in listed:
        operation = made["paths"][one.path]["get"]
        _correct(operation, one)
        content = operation["responses"]["200"]["content"] = {}
        for form in FORMS:
            if form.bulk:
                content[form.media] = {"schema": {"type": "string", "format": "binary"}}
            elif model := answers[one.path].get(form.name):
                content[form.media] = {"schema": references[model, "serialization"]}
    if access.token is not None:
        made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        closed = [one.path for one in listed if access.guarded or one.secret] + ["/health"] * access.guarded
        for path in closed:
            made["paths"][path]["get"]["security"] = [{"token": []}]
    return made


def _correct(operation: dict[str, Any], resource: Resource) -> None:
    """Correct what FastAPI documents wrongly: 422 for bad input, null for what may be left out, no bound of `limit`."""
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


# An example of every column: one hour of one station, and what belongs to it.
EXAMPLES: Mapping[str, object] = {
    "sensor_id": "luchtmeetnet/NL10937", "source": "luchtmeetnet", "title": "Luchtmeetnet (RIVM and partners)",
    "class": "reference", "licence": "open data, RIVM", "commercial_use": True, "name": "Groningen-Europaweg",
    "kind": None, "lon": 6.5793, "lat": 53.2169, "lanes": None, "inferred": False, "catalogued": False, "series": 1,
    "quantities": ["no2"], "quantity": "no2", "channel": "", "period": 3600, "unit": "ug/m3", "aggregation": "mean",
    "day": "cet", "low": -10.0, "high": 1000.0, "start": "2024-06-01T11:00:00Z", "end": "2024-06-01T12:00:00Z",
    "date": "2024-06-01", "local_start": "2024-06-01T13:00:00+02:00",
    "value": 9.04, "estimate": None, "minimum": 9.04, "maximum": 9.04, "readings": 1, "nothing": 0, "flagged": 0,
    "failed": 0, "warned": 0, "coverage": 1.0, "valid": True, "revision": 1, "computed_at": "2024-07-02T08:00:00Z",
    "weight": 1.0, "covers": 3600.0, "flags": [], "status": "validated", "version": "2024-07-01T06:00:00Z",
    "received_at": "2024-07-02T07:59:58Z", "vintage": 2024, "code": "GM0014", "level": "gemeente",
    "municipality": "GM0014", "derived": False, "sensors": 2, "valid_sensors": 1, "members": ["luchtmeetnet/NL10937"],
    "statistics": {"inhabitants": 243_768.0}, "key": "5f0c", "topic": "stadspuls/luchtmeetnet/NL10937",
    "reason": "unknown unit 'ppm'", "count": 3, "size": 212, "payload": "eyJ2YWx1ZSI6IDF9",
    "first_at": "2024-06-01T11:00:03Z", "last_at": "2024-06-01T12:00:03Z", "index": 104.2, "panel": 1, "heavy": 120.0,
    "vehicles": 2_400.0, "share": 0.05, "windows": 24, "subject": "luchtmeetnet/NL10937", "above": 3,
    "valid_hours": 718, "hours": 720, "not_measured": 0.0028, "threshold": 25.0, "hour_of_week": 7, "label": "Mon 07",
    "mean": 20.0, "about": "Mean by hour of the week.", "alert": 17, "rule": "eu2008-no2-alert",
    "severity": "critical", "state": "raised", "since": "2024-06-01T09:00:00Z",
    "local_since": "2024-06-01T11:00:00+02:00", "until": None, "worst": 431.0,
    "late": False, "withdrawn": False, "raised_at": "2024-06-01T12:01:00Z",
    "cleared_at": None, "acknowledged_at": None, "pack": "eu-2008-50", "owner": "air quality",
    "runbook": "docs/alert-rules.md#legal-thresholds", "channels": ["operators"], "silence": 3,
    "first": "2024-06-01T00:00:00Z", "last": None, "weekly": ["daily 22:00-07:00"], "made_by": "Anna",
}  # fmt: skip
