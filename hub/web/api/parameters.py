"""
The query parameters of every resource, refused where they cannot be right.

Text has no control characters, numbers have bounds, stamps are of the years 1970 to 2099: nothing reaches a statement
that the database cannot take. An unknown parameter is refused: a typing error must not answer another question.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
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

# Type, description and example of each; one with a star is a list, and what follows a slash is no part of its name.
_PARAMETERS: Mapping[str, tuple[Any, str, *tuple[Any, ...]]] = {
    "source": (Text, "only of this source", "luchtmeetnet"),
    "sensor*": (Annotated[list[Text], Field(max_length=100)], "only these sensors; may be repeated"),
    "quantity": (_Quantity, "what was measured"),
    "quantity*": (Annotated[list[_Quantity], Field(max_length=50)], "only these quantities; may be repeated"),
    "bbox": (_Box, "only within west,south,east,north (degrees, CRS84)"),
    "area": (_Code, "an area of CBS, with all that lies in it", "GM0014"),
    "area*": (Annotated[list[_Code], Field(max_length=100)], "only these areas; may be repeated"),
    "vintage": (Annotated[int, Field(ge=1990, le=2100)], "year of the boundaries (default: the newest)"),
    "level": (Literal["gemeente", "wijk", "buurt"], "only areas of this level"),
    "from": (Stamp, "begin, inclusive; without a zone: a local date, local time"),
    "to": (Stamp, "end, exclusive"),
    "baseTo": (Stamp, "end of the base period, which begins with `from`"),
    "window": (
        Literal["5m", "1h", "1d", "period"],
        "length of the windows; period: readings longer than an hour, each by itself",
    ),
    "window/hours": (Literal["1h", "1d"], "length of the windows"),
    "channels": (bool, "every channel instead of what each sensor counted (default: no)"),
    "coverage": (Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)], "only windows with at least this coverage"),
    "valid": (bool, "only windows that are valid, or that are not"),
    "rule": (Text, "only of this rule"),
    "subject": (Text, "only about this sensor or area"),
    "severity": (Literal["info", "warning", "critical"], "only of this severity"),
    "open": (bool, "only those that are open, or that are over"),
    "reason": (Text, "only where the reason contains this"),
    "threshold": (
        Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)],
        "the limit, in the quantity's unit",
        25,
    ),
}
_ARGUMENTS = {
    "sensor*": "sensors", "quantity*": "quantities", "area*": "areas", "from": "first", "to": "last",
    "baseTo": "base_to",
}  # fmt: skip


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
        kind, about, *examples = _PARAMETERS[name]
        default: Any = ... if word.endswith("!") else None
        alias = name.partition("/")[0]
        field = Field(default, alias=alias.rstrip("*"), description=about, examples=examples or None)
        fields[_ARGUMENTS.get(alias, alias)] = (kind, field)
    return create_model("Query", __base__=Query, **fields)


def _check(first: datetime, last: datetime, longest: int) -> None:
    if first > last:
        raise wrong("from", f"{first:%Y-%m-%dT%H:%MZ} is after to, {last:%Y-%m-%dT%H:%MZ}")
    if last - first > timedelta(days=longest, hours=1):  # the month in which winter time begins is an hour longer
        raise wrong("from", f"{(last - first).days} days before to, expected at most {longest} days")
