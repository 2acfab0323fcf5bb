"""
The query parameters of every resource, refused where they cannot be right.

Text has no control characters, numbers have bounds, stamps are of the years 1970 to 2099: nothing reaches a statement
that the database cannot take. An unknown parameter is refused: a typing error must not answer another question.
"""

import re
from datetime import date, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    create_model,
    model_validator,
)

from aggregates.areas.codes import is_code
from aggregates.ask.dates import moment, read
from ingest.vocabulary.quantities import QUANTITIES

_STAMP = (  # a + that nobody encoded is a blank
    r"^(19[7-9][0-9]|20[0-9]{2})-[0-9]{2}-[0-9]{2}"
    r"(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+ -][0-9]{2}:[0-9]{2})?)?$"
)
_BOX = r"^-?[0-9]{1,3}(\.[0-9]{1,15})?(,-?[0-9]{1,3}(\.[0-9]{1,15})?){3}$"
LONGEST = {"5m": 31, "1h": 400, "1d": 4000}  # days of one answer, by window
LONGEST_READINGS = 31


def _stamp(value: object) -> date:
    if not isinstance(value, str) or not re.fullmatch(_STAMP, value, re.ASCII):
        raise ValueError("expected a date or stamp of the years 1970 to 2099, as 2024-06-01 or 2024-06-01T12:00Z")
    try:
        return read(value.replace(" ", "+"))
    except ValueError as error:
        raise ValueError(str(error)) from None


def _quantity(value: str) -> str:
    if value not in QUANTITIES:
        raise ValueError(f"found {value[:50]!r}, expected one of {', '.join(QUANTITIES)}")
    return value


def _code(value: str) -> str:
    if not is_code(value):
        raise ValueError(f"found {value[:50]!r}, expected a code as GM0014, WK001400 or BU00140002")
    return value


def _box(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(_BOX, value, re.ASCII):
        west, south, east, north = map(float, value.split(","))
        if -180 <= west <= east <= 180 and -90 <= south <= north <= 90:
            return value
    raise ValueError("expected west,south,east,north in degrees, the lesser of each pair first")


_stamp_schema = WithJsonSchema({"type": "string", "pattern": _STAMP, "examples": ["2024-06-01", "2024-06-01T12:00Z"]})
Box = Annotated[str, BeforeValidator(_box), WithJsonSchema({"type": "string", "pattern": _BOX})]
Stamp = Annotated[date, PlainValidator(_stamp), _stamp_schema]  # a datetime where it has a time
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Code = Annotated[str, Field(pattern="^(GM[0-9]{4}|WK[0-9]{4}..|BU[0-9]{4}....)$"), AfterValidator(_code)]
Quantity = Annotated[str, AfterValidator(_quantity), Field(json_schema_extra={"enum": list(QUANTITIES)})]
Level = Literal["gemeente", "wijk", "buurt"]
Vintage = Annotated[int, Field(ge=1990, le=2100, description="year of the boundaries (default: the newest)")]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


_OF_THE_ANSWER = {"format", "limit", "cursor", "window", "channels"}  # no filters
_PLURALS = {"sensor": "sensors", "quantity": "quantities", "area": "areas"}


class ListQuery(BaseModel):
    """
    What every list takes; `zone` is the hub's, see `in_zone`.

    `rows` is the length of the windows it is about, where no parameter says it.
    """

    zone: ClassVar[str] = "UTC"
    rows: ClassVar[str] = ""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["json", "geojson", "csv", "parquet", "arrow"] | None = Field(
        None, description="form of the answer; goes before the header Accept"
    )
    limit: int | None = Field(None, ge=1, description="rows at most")
    cursor: Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,2000}$", description="`next` of the page before")] | None = (
        None
    )

    def filters(self) -> dict[str, Any]:
        """Give what the statements take as parameters; an empty list is no filter."""
        asked = {name: getattr(self, name) for name in type(self).model_fields.keys() - _OF_THE_ANSWER}
        asked |= {name: self.moment(value) for name, value in asked.items() if isinstance(value, date)}
        return {
            _PLURALS[name] if isinstance(value, list) else name: None if value == [] else value
            for name, value in asked.items()
        }

    def moment(self, asked: date) -> datetime:
        """Give a date or stamp as UTC; of days, a date of the quantity's kind of day."""
        named = getattr(self, "quantity", [])
        return moment(asked, self.zone, self.length, [named] if isinstance(named, str) else named)

    @property
    def length(self) -> str:
        """The length of the windows that are asked for."""
        return str(getattr(self, "window", self.rows))


def in_zone(asked: type[ListQuery], zone: str) -> type[ListQuery]:
    """Make the same parameters with dates and local time of a zone."""
    made = create_model(asked.__name__, __base__=asked, __doc__=asked.__doc__)
    made.zone = zone
    return made


class SensorQuery(ListQuery):
    """Lists about sensors, chosen by source, id, quantity, box or area (`ever`: where a sensor ever stood)."""

    ever: ClassVar[bool] = False

    source: Text | None = Field(None, description="only of this source", examples=["luchtmeetnet"])
    sensor: list[Text] = Field([], max_length=100, description="only these sensors; may be repeated")
    quantity: list[Quantity] = Field([], max_length=50, description="only these quantities; may be repeated")
    bbox: Box | None = Field(
        None, description="only within west,south,east,north (degrees, CRS84)", examples=["6.4,53.1,6.8,53.3"]
    )
    area: Code | None = Field(None, description="only within this area of CBS", examples=["GM0014"])
    vintage: Vintage | None = None

    def filters(self) -> dict[str, Any]:
        """Give what the statements take as parameters."""
        found = super().filters()
        box = found.pop("bbox")
        sides = [float(part) for part in box.split(",")] if box else [None] * 4
        return found | dict(zip(("west", "south", "east", "north"), sides, strict=True)) | {"ever": self.ever}


class TimeRange(ListQuery):
    """A range of time, half open, of at most so many days in one answer."""

    days: ClassVar[int] = LONGEST_READINGS

    first: Stamp = Field(alias="from", description="begin, inclusive; without a zone: a local date, local time")
    last: Stamp = Field(alias="to", description="end, exclusive")

    @model_validator(mode="after")
    def _range(self) -> Self:
        first, last = self.moment(self.first), self.moment(self.last)
        if first > last:
            raise ValueError(f"{first:%Y-%m-%dT%H:%MZ} is after to, {last:%Y-%m-%dT%H:%MZ}")
        longest = LONGEST.get(getattr(self, "window", ""), self.days)
        if last - first > timedelta(days=longest, hours=1):  # the month in which winter time begins is an hour longer
            raise ValueError(f"{(last - first).days} days before to, expected at most {longest} days")
        return self


class ReadingQuery(SensorQuery, TimeRange):
    """Which readings."""

    ever: ClassVar[bool] = True


class EvidenceQuery(BaseModel):
    """Which windows, by their evidence."""

    coverage: Share | None = Field(None, description="only windows with at least this coverage")
    valid: bool | None = Field(None, description="only windows that are valid, or that are not")


class WindowQuery(ReadingQuery, EvidenceQuery):
    """Which windows of sensors."""

    window: Literal["5m", "1h", "1d"] = Field(description="length of the windows")
    channels: bool = Field(False, description="every channel instead of what each sensor counted")


class AreaQuery(ListQuery):
    """Which areas."""

    vintage: Vintage | None = None
    level: Level | None = Field(None, description="only of this level")
    area: Code | None = Field(None, description="this one and all that lie in it", examples=["GM0014"])


class AreaWindowQuery(TimeRange, EvidenceQuery):
    """Which windows of areas."""

    quantity: list[Quantity] = Field([], max_length=50, description="only these quantities; may be repeated")
    window: Literal["1h", "1d"] = Field(description="length of the windows")
    area: list[Code] = Field([], max_length=100, description="only these areas; may be repeated")
    level: Level | None = Field(None, description="only areas of this level")
    vintage: Vintage | None = None


class AlertQuery(ListQuery):
    """Which alerts."""

    rule: Text | None = Field(None, description="only of this rule")
    subject: Text | None = Field(None, description="only about this sensor or area")
    severity: Literal["info", "warning", "critical"] | None = Field(None, description="only of this severity")
    open: bool | None = Field(None, description="only those that are open, or that are over")


class LetterQuery(ListQuery):
    """Which dead letters."""

    source: Text | None = Field(None, description="only of this source")
    reason: Text | None = Field(None, description="only where the reason contains this")


class IndicatorQuery(TimeRange):
    """What every indicator takes."""

    days: ClassVar[int] = LONGEST["1h"]
    rows: ClassVar[str] = "1h"
    quantity: Quantity = Field(description="what was measured")
    area: Code = Field(description="the area that it is about", examples=["GM0014"])
    vintage: Vintage | None = None


class PanelQuery(IndicatorQuery):
    """What the panel index takes."""

    rows: ClassVar[str] = "1d"

    base_to: Stamp = Field(alias="baseTo", description="end of the base period, which begins with `from`")


class ThresholdQuery(IndicatorQuery):
    """What the hours above a threshold take."""

    threshold: float = Field(
        ge=-1e9, le=1e9, allow_inf_nan=False, description="the limit, in the quantity's unit", examples=[25]
    )
