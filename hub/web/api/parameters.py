"""
The query parameters of every resource, refused where they cannot be right; `parameters.toml` has their words.

Text has no control characters, numbers have bounds, stamps are of the years 1970 to 2099: nothing reaches a statement
that the database cannot take. An unknown parameter is refused: a typing error must not answer another question.
"""

import re
import tomllib
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from importlib.resources import files
from types import GenericAlias
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema, create_model
from pydantic.json_schema import SkipJsonSchema

from aggregates.areas.codes import is_code
from aggregates.ask.dates import moment, read
from hub.web.api.problems import wrong
from ingest.vocabulary.quantities import QUANTITIES

_STAMP = (  # a + that nobody encoded is a blank
    r"^(19[7-9][0-9]|20[0-9]{2})-[0-9]{2}-[0-9]{2}"
    r"(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+ -][0-9]{2}:[0-9]{2})?)?$"
)
_BOX = r"^-?[0-9]{1,3}(\.[0-9]{1,15})?(,-?[0-9]{1,3}(\.[0-9]{1,15})?){3}$"
LONGEST = {"5m": 31, "1h": 400, "1d": 4000, "period": 4000}  # days of one answer, by window


def _stamp(value: object) -> date:
    if not isinstance(value, str) or not re.fullmatch(_STAMP, value, re.ASCII):
        raise ValueError("expected a date or stamp of the years 1970 to 2099, as 2024-06-01 or 2024-06-01T12:00Z")
    return read(value.replace(" ", "+"))


def _quantity(value: str) -> str:
    if value not in QUANTITIES:
        raise ValueError(f"found {value[:50]!r}, expected one of {', '.join(QUANTITIES)}")
    return value


def _code(value: str) -> str:
    if not is_code(value):
        raise ValueError(f"found {value[:50]!r}, expected a code as GM0014, WK001400 or BU00140002")
    return value


def _box(value: object) -> list[float]:
    if isinstance(value, str) and re.fullmatch(_BOX, value, re.ASCII):
        west, south, east, north = sides = [float(side) for side in value.split(",")]
        if -180 <= west <= east <= 180 and -90 <= south <= north <= 90:
            return sides
    raise ValueError("expected west,south,east,north in degrees, the lesser of each pair first")


Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Stamp = Annotated[
    date, PlainValidator(_stamp),
    WithJsonSchema({"type": "string", "pattern": _STAMP, "examples": ["2024-06-01", "2024-06-01T12:00Z"]}),
]  # fmt: skip
_Box = Annotated[
    str, PlainValidator(_box), WithJsonSchema({"type": "string", "pattern": _BOX, "examples": ["6.4,53.1,6.8,53.3"]}),
]  # fmt: skip
_Code = Annotated[str, Field(pattern="^(GM[0-9]{4}|WK[0-9]{4}..|BU[0-9]{4}....)$"), AfterValidator(_code)]
_Cursor = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,2000}$")]
_Quantity = Annotated[str, AfterValidator(_quantity), Field(json_schema_extra={"enum": list(QUANTITIES)})]

_KINDS: Mapping[str, Any] = {
    "text": Text, "quantity": _Quantity, "box": _Box, "code": _Code, "stamp": Stamp, "boolean": bool, "integer": int,
    "number": Annotated[float, Field(allow_inf_nan=False)],
}  # fmt: skip
_PARAMETERS: Mapping[str, Mapping[str, Any]] = tomllib.loads(
    files("hub.web.api").joinpath("parameters.toml").read_text("utf-8")
)


class Query(BaseModel):
    """What every list takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["json", "geojson", "csv", "parquet", "arrow"] | SkipJsonSchema[None] = Field(
        None, description="form of the answer; goes before the header Accept"
    )
    limit: int | SkipJsonSchema[None] = Field(None, ge=1)
    cursor: _Cursor | SkipJsonSchema[None] = Field(None, description="`next` of the page before")

    def arguments(self, zone: str, window: str, days: int) -> dict[str, Any]:
        """
        Give what was asked as keyword arguments, with `zone`: dates and local time are of this zone.

        `window` is the length of the windows that it is about, and `days` the longest range, where no parameter says
        it. Raises Problem for a range that is too long or ends before it begins.
        """
        found = {name: getattr(self, name) for name in type(self).model_fields.keys() - Query.model_fields.keys()}
        window = found.get("window", window)
        named = found.get("quantities") or [found.get("quantity")]
        found |= {name: moment(one, zone, window, named) for name, one in found.items() if isinstance(one, date)}
        if "bbox" in found:
            found |= zip(("west", "south", "east", "north"), found.pop("bbox") or [None] * 4, strict=True)
        if "first" in found:
            _check(found["first"], found["last"], LONGEST[window] if "window" in found else days)
        return {"zone": zone, **found}


def query(words: str, most: int, bulk: int = 0) -> type[Query]:
    """Make the model of a resource that takes these parameters; those that end in `!` may not be left out."""
    json = f"; of JSON and GeoJSON {most}" if bulk else ""
    most = max(most, bulk)
    limit = Field(None, ge=1, description=f"rows at most, up to {most}{json}", json_schema_extra={"maximum": most})
    fields: dict[str, Any] = {"limit": (int, limit)}
    for word in words.split():
        name = word.rstrip("!")
        alias = name.rstrip("*").partition("/")[0]
        about = {"argument": alias, **_PARAMETERS[name]}
        argument, given = about.pop("argument"), about.pop("kind")
        kind: Any = _KINDS[given] if isinstance(given, str) else Literal[tuple(given)]
        default: Any = ... if word.endswith("!") else None
        some = GenericAlias(list, kind) if name.endswith("*") else kind
        fields[argument] = (some, Field(default, alias=alias, **about))
    return create_model("Query", __base__=Query, **fields)


def _check(first: datetime, last: datetime, longest: int) -> None:
    if first > last:
        raise wrong("from", f"{first:%Y-%m-%dT%H:%MZ} is after to, {last:%Y-%m-%dT%H:%MZ}")
    if last - first > timedelta(days=longest, hours=1):  # the month in which winter time begins is an hour longer
        raise wrong("from", f"{(last - first).days} days before to, expected at most {longest} days")
