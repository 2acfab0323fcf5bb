"""
A message and what is in it: `Message` in, `Reading` and `SensorFact` out, `BadPayload` where it cannot be read.

Every payload format (`ingest.formats`) gives these; `ingest.vocabulary.batch` packs them in columns.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import IntEnum, IntFlag
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec


class Flag(IntFlag):
    """What is known to be odd about a reading. `EXCLUDES` are kept out of the figures, the others only warn."""

    SOURCE_ERROR = 1
    OUT_OF_RANGE = 2
    CALIBRATION = 4
    SPIKE = 8
    STUCK = 16
    INCONSISTENT = 32
    AMBIGUOUS = 64
    # On reference sources and validated readings the neighbour rules and `dead` only warn.
    SUSPECT_SPIKE = 128
    SUSPECT_STUCK = 256
    DEAD = 512
    SUSPECT_DEAD = 1024
    # Received before its period had ended: its figure will grow.
    UNFINISHED = 2048
    # An ambiguous reading whose values differ by more than the quantity's `agree`.
    CONFLICT = 4096


EXCLUDES = (
    Flag.SOURCE_ERROR | Flag.OUT_OF_RANGE | Flag.CALIBRATION | Flag.SPIKE | Flag.STUCK | Flag.DEAD | Flag.CONFLICT
)
# Made by the hub from other readings: never sent by a supplier.
DEATHS = Flag.DEAD | Flag.SUSPECT_DEAD
DERIVED = Flag.SPIKE | Flag.STUCK | Flag.SUSPECT_SPIKE | Flag.SUSPECT_STUCK | DEATHS
OWN_FLAGS = DERIVED | Flag.UNFINISHED | Flag.CONFLICT

# On the way to the store only: the value is what a counter had counted by the end of the period.
RUNNING_TOTAL = 1 << 20


class Status(IntEnum):
    """How final a supplier calls a reading."""

    PROVISIONAL = 0
    VALIDATED = 1


class SiteIndex(NamedTuple):
    """What one index of an NDW site measures, and over how many seconds."""

    channel: str
    quantity: str
    period: int = 60


class Site(msgspec.Struct, frozen=True):
    """One record of NDW's measurement-site table; an index that is not in `layout` is of no use to the hub."""

    version: str
    name: str | None
    lon: float | None
    lat: float | None
    lanes: int | None
    layout: Mapping[str, SiteIndex]


class Message(NamedTuple):
    """One MQTT message as it came in, with the measurement sites known at that moment."""

    topic: str
    payload: bytes
    received_at: datetime
    sites: Mapping[str, Site] = MappingProxyType({})
    replayed: bool = False  # a retained message that was delivered before: what has no stamp of its own is known
    token: Any = None  # by which its receiver acknowledges it


class Reading(NamedTuple):
    """
    One value of one series for the half-open interval `[start, start + period)`.

    `period` and `covers` are seconds, `version` is the supplier's publication stamp in microseconds since 1970, else 0.
    `covers` None means the whole period, and "unknown" for an instant (period 0). Three states, never mixed: a value;
    value None without a flag: observed, nothing to measure (weight 0); value None with `SOURCE_ERROR`: failed.
    """

    sensor_id: str
    channel: str
    quantity: str
    period: int
    start: datetime
    value: float | None
    weight: float = 1.0
    covers: float | None = None
    flags: int = 0
    status: int = Status.PROVISIONAL
    version: int = 0


class SensorFact(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    What a message or the catalogue gives about a sensor; None where it gives nothing.

    `lanes` is the number of lanes or directions expected, `inferred` that it was guessed from the supplier's layout,
    `interval` the seconds between the instants of a sensor that sends instants, `indoor` whether it is in a building.
    """

    sensor_id: str
    name: str | None = None
    lon: float | None = None
    lat: float | None = None
    lanes: int | None = None
    inferred: bool = False
    kind: str | None = None
    interval: float | None = None
    indoor: bool | None = None


class Identity(msgspec.Struct, frozen=True):
    """What a source calls a message that is stamped on receipt, and the sensor and start (us) of its readings."""

    key: str
    sensor_id: str
    start: int


class BadPayload(ValueError):  # noqa: N818 - the reaction is the name: this payload goes to the dead letters
    """A message that cannot be read: the text names what was found, what was expected, and where."""


class Unreadable(NamedTuple):
    """A part of a message that goes to the dead letters alone: in a form that can be published again, and why."""

    payload: bytes
    reason: str


def microseconds(stamp: datetime) -> int:
    """
    Microseconds since 1970 of an aware stamp.

    >>> microseconds(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    since = stamp - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def utc(stamp: int) -> datetime:
    """
    Give microseconds since 1970 as an aware stamp.

    >>> utc(1_000_000).isoformat()
    '1970-01-01T00:00:01+00:00'
    """
    return _EPOCH + timedelta(microseconds=int(stamp))


YEARS = range(1970, 2100)  # of stamps that people give: what is stored beyond the year 9999 cannot be read again
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
