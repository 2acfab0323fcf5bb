"""
What a request asks for: the query parameters of every resource, refused where they cannot be right, and the headers
Accept and Accept-Language, by which forms and languages are chosen. `parameters.toml` has the words.

Text has no control characters, numbers have bounds, stamps are of the years 1970 to 2099: nothing reaches a statement
that the database cannot take. An unknown parameter is refused: a typing error must not answer another question.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from types import GenericAlias
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, PlainValidator, WithJsonSchema, create_model
from pydantic.json_schema import SkipJsonSchema

from aggregates.areas.codes import is_code
from aggregates.areas.groups import PREFIX
from aggregates.areas.measures import MEASURES
from aggregates.ask.dates import BadQuestion, moment, read
from aggregates.ask.query import SIDES
from aggregates.export.objects import CRS84, degrees
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import YEARS
from ingest.vocabulary.values import shipped_toml

_STAMP = (  # a + that nobody encoded is a blank
    r"^(19[7-9][0-9]|20[0-9]{2})-[0-9]{2}-[0-9]{2}"
    r"(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+ -][0-9]{2}:[0-9]{2})?)?$|^-[0-9]{1,5}(s|m|min|h|d|w)$"
)
_BOX = r"^-?[0-9]{1,6}(\.[0-9]{1,15})?(,-?[0-9]{1,6}(\.[0-9]{1,15})?){3}$"
LONGEST = {"5m": 31, "15m": 93, "1h": 400}  # days of one answer, by window; of longer windows:
LONG = 4000
EVER = ("1970-01-01T00:00Z", "2099-12-31T00:00Z")


def _stamp(value: object) -> date:
    if isinstance(value, str) and re.fullmatch(_STAMP, value, re.ASCII):
        found = read(value.replace(" ", "+"), datetime.now(UTC))
        if found.year in YEARS:
            return found
    raise ValueError("expected a date or stamp of the years 1970 to 2099, as 2024-06-01T12:00Z, or a time ago, as -24h")


def _known(is_known: Callable[[str], bool], expected: str, value: str) -> str:
    if not is_known(value):
        raise ValueError(f"found {value[:50]!r}, expected {expected}")
    return value


def _box(value: object) -> list[float]:
    if isinstance(value, str) and re.fullmatch(_BOX, value, re.ASCII):
        west, south, east, north = sides = [float(side) for side in value.split(",")]
        if west <= east and south <= north:
            return sides
    raise ValueError("expected west,south,east,north, the lesser of each pair first")


Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Name = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]  # in a path; nothing is the name of none
Stamp = Annotated[
    date, PlainValidator(_stamp),
    WithJsonSchema({"type": "string", "pattern": _STAMP, "examples": ["2024-06-01", "2024-06-01T12:00Z", "-24h"]}),
]  # fmt: skip
_Box = Annotated[
    str, PlainValidator(_box), WithJsonSchema({"type": "string", "pattern": _BOX, "examples": ["6.4,53.1,6.8,53.3"]}),
]  # fmt: skip
_Code = Annotated[
    str, AfterValidator(partial(_known, is_code, "a code as GM0014, WK001400 or BU00140002")),
    Field(json_schema_extra={"pattern": "^(GM[0-9]{4}|WK[0-9]{4}[0-9A-Z]{2}|BU[0-9]{4}[0-9A-Z]{4})$"}),
]  # fmt: skip
_Cursor = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,2000}$")]
Quantity = Annotated[
    str, AfterValidator(partial(_known, QUANTITIES.__contains__, f"one of {', '.join(QUANTITIES)}")),
    Field(json_schema_extra={"enum": list(QUANTITIES)}),
]  # fmt: skip

_KINDS: Mapping[str, Any] = {
    "text": Text, "quantity": Quantity, "box": _Box, "code": _Code, "stamp": Stamp, "boolean": bool, "integer": int,
    "measure": Literal[tuple(MEASURES)], "number": Annotated[float, Field(allow_inf_nan=False)],
    "system": Literal["http://www.opengis.net/def/crs/OGC/1.3/CRS84", "http://www.opengis.net/def/crs/EPSG/0/28992"],
}  # fmt: skip
_PARAMETERS: Mapping[str, Mapping[str, Any]] = shipped_toml(__file__, "parameters.toml")


class Query(BaseModel, extra="forbid", frozen=True):
    """What every list takes."""

    format: Literal["json", "geojson", "csv", "csv-nl", "xlsx", "parquet", "arrow"] | SkipJsonSchema[None] = Field(
        None, description="form of the answer; goes before the header Accept"
    )
    limit: int | SkipJsonSchema[None] = Field(None, ge=1)
    cursor: _Cursor | SkipJsonSchema[None] = Field(None, description="`next` of the page before")
    count: bool = Field(False, description="say beside the rows how many there are in all")
    local: bool = Field(False, description="stamps in the hub's time zone, with their offset, in place of UTC")

    def arguments(self, zone: str, window: str, days: int | None) -> dict[str, Any]:
        """
        Give what was asked as keyword arguments; dates are of a time zone.

        `window` is the length of the windows that it is about, and `days` the longest range, where no parameter says
        it; None: as long as it may be. Raises BadQuestion for a range that is too long or ends before it begins.
        """
        found = {name: getattr(self, name) for name in type(self).model_fields.keys() - Query.model_fields.keys()}
        window = found.get("window", window)
        named = found.get("quantities") or [found.get("quantity")]
        found |= {name: moment(one, zone, window, named) for name, one in found.items() if isinstance(one, date)}
        if groups := found.pop("groups", None):
            found["sensors"] = [*(found["sensors"] or ()), *(f"{PREFIX}{name}" for name in groups)]
        if "bbox" in found:
            found |= zip(SIDES, _degrees(found.pop("bbox"), found.pop("bbox_crs", None)), strict=True)
        if "first" in found:
            _check(found["first"], found["last"], LONGEST.get(window, LONG) if "window" in found and days else days)
        if "datetime" in found:
            found |= zip(("first", "last"), _interval(found.pop("datetime") or "..", zone), strict=True)
        return found


def _degrees(box: list[float] | None, crs: str | None) -> Sequence[float | None]:
    if box is None:
        return [None] * 4
    west, south, east, north = found = degrees(box, crs or CRS84)
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise BadQuestion(f"{box}, expected sides within {crs or CRS84}: see bbox-crs", "bbox")
    return found


def _interval(text: str, zone: str) -> tuple[datetime, datetime]:
    """Read a moment, or two with a / between, both inclusive and `..` for an open end."""
    ends = text.split("/", 1) if "/" in text else [text, text]
    try:
        first, last = (_stamp(EVER[at] if one in ("", "..") else one) for at, one in enumerate(ends))
    except ValueError as error:
        raise BadQuestion(str(error), "datetime") from None
    step = timedelta(microseconds=1) if isinstance(last, datetime) else timedelta(days=1)
    return moment(first, zone), moment(last, zone) + step


@cache
def query(words: str, most: int, bulk: int = 0) -> type[Query]:
    """Make the model of a resource that takes these parameters; those that end in `!` may not be left out."""
    json = f"; of JSON, GeoJSON and xlsx {most}" if bulk else ""
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


def _check(first: datetime, last: datetime, longest: int | None) -> None:
    if first > last:
        raise BadQuestion(f"{first:%Y-%m-%dT%H:%MZ} is after to, {last:%Y-%m-%dT%H:%MZ}", "from")
    # The month in which winter time begins is an hour longer.
    if longest is not None and last - first > timedelta(days=longest, hours=1):
        raise BadQuestion(f"{(last - first).days} days before to, expected at most {longest} days", "from")


def accepted(header: str) -> Mapping[str, float]:
    """
    Read a header as ranges with their quality, the best first (RFC 9110, 12.4.2); one that is no number is 0.

    >>> accepted("text/csv;q=0.5, */*; Q=0.1, text/html")
    {'text/html': 1.0, 'text/csv': 0.5, '*/*': 0.1}
    >>> accepted("nl;q=x"), accepted("")
    ({'nl': 0.0}, {})
    """
    found: dict[str, float] = {}
    for part in header.lower().split(","):
        name, *parameters = (word.strip() for word in part.split(";"))
        wanted = next((one[2:] for one in parameters if one.startswith("q=")), "1")
        quality = min(float(wanted), 1.0) if re.fullmatch(r"[0-9]+(\.[0-9]*)?", wanted) else 0.0
        if name:
            found[name] = max(found.get(name, 0.0), quality)
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def chosen(header: str, offered: Mapping[str, str]) -> str | None:
    """
    Choose by the header Accept from names with their media type, the first of equals; without a header the first.

    The most specific range of a media type decides (RFC 9110, 12.5.1).

    >>> offered = {"json": "application/json", "csv": "text/csv"}
    >>> chosen("text/html, text/csv;q=0.9, */*;q=0.1", offered), chosen("image/png", offered)
    ('csv', None)
    """
    ranges = accepted(header or "*/*")

    def quality(name: str) -> float:
        kinds = (offered[name], offered[name].partition("/")[0] + "/*", "*/*")
        return next((ranges[kind] for kind in kinds if kind in ranges), 0.0)

    best = max(offered, key=quality)
    return best if quality(best) > 0 else None


def preferred(headers: Mapping[str, str], languages: Sequence[str]) -> str:
    """
    Choose a language by the header Accept-Language, the first where none fits (RFC 9110, 12.5.4).

    >>> [preferred({"accept-language": text}, ["nl", "en"]) for text in ("en-GB,en;q=0.9,nl;q=0.8", "nl;q=0.9", "de")]
    ['en', 'nl', 'nl']
    """
    tags = [tag for tag, quality in accepted(headers.get("accept-language", "")).items() if quality > 0]
    return next((language for tag in tags if (language := tag.partition("-")[0]) in languages), languages[0])
