"""
JSON Schemas of what the API gives, from the Arrow columns of each resource; `hub.web.api.document` puts them in place.
"""

from typing import Any

import pyarrow as pa

from hub.web.api.examples import EXAMPLES, POINT
from hub.web.api.forms import FORMS
from hub.web.api.resources import Resource

Schema = dict[str, Any]
PROBLEM = {
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
_NEXT = {"type": ["string", "null"], "description": "cursor of the next page; null: this is the last"}
_GEOMETRY = {"type": ["object", "null"], "required": ["type", "coordinates"]}
_KINDS: tuple[tuple[Any, Schema], ...] = (
    (pa.types.is_timestamp, {"type": "string", "format": "date-time"}),
    (pa.types.is_floating, {"type": "number"}),
    (pa.types.is_integer, {"type": "integer"}),
    (pa.types.is_boolean, {"type": "boolean"}),
    (pa.types.is_list, {"type": "array", "items": {"type": "string"}}),
    (pa.types.is_struct, {"type": "object", "additionalProperties": {"type": ["number", "null"]}}),
)


def content(resource: Resource) -> Schema:
    """Give what an answer holds, by media type, each that people read with an example."""
    example = {field.name: EXAMPLES[field.name] for field in resource.columns if field.name != "geometry"}
    one = {"$ref": f"#/components/schemas/{name_of(resource)}"}
    found: Schema = {}
    for form in FORMS:
        if form.name == "json":
            whole = _object({"items": {"type": "array", "items": one}, "next": _NEXT})
            found[form.media] = {"schema": whole, "example": {"items": [example], "next": None}}
        elif form.geographic and resource.geographic:
            feature = {"type": "Feature", "geometry": POINT, "properties": example}
            sample = {"type": "FeatureCollection", "features": [feature], "next": None}
            found[form.media] = {"schema": _collection(one), "example": sample}
        elif form.bulk:
            found[form.media] = {"schema": {"type": "string", "format": "binary"}}
    return found


def _collection(properties: Schema) -> Schema:
    feature = _object({"type": {"const": "Feature"}, "geometry": _GEOMETRY, "properties": properties})
    features = {"type": "array", "items": feature}
    return _object({"type": {"const": "FeatureCollection"}, "features": features, "next": _NEXT})


def name_of(resource: Resource) -> str:
    """Give the name of a resource's schema, as `AreaAggregates`."""
    return "".join(word.capitalize() for word in resource.path.strip("/").replace("/", "-").split("-"))


def item(columns: pa.Schema) -> Schema:
    """Give the schema of one row in JSON: every column is there, and no other."""
    return _object({field.name: _kind(field) for field in columns if field.name != "geometry"}) | {
        "additionalProperties": False
    }


def _object(properties: Schema) -> Schema:
    return {"type": "object", "required": list(properties), "properties": properties}


def _kind(field: "pa.Field[Any]") -> Schema:
    found = dict(next((schema for fits, schema in _KINDS if fits(field.type)), {"type": "string"}))
    if field.nullable:
        found["type"] = [found["type"], "null"]
    return found | {"description": (field.metadata or {})[b"description"].decode()}
