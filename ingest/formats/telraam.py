"""
Telraam's hourly street counts: an API answer, a collected month, or one report.

Telraam divides its counts by the uptime, the part of the hour that it could see: the reading is what was counted
(count x uptime) and covers what was seen (uptime x 3600 s). An hour without uptime says 0 and means "failed".
"""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from ingest.decoding import payload_format
from ingest.readings import BadPayload, Flag, Message, Reading, SensorFact
from ingest.values import stamp

HOUR = 3600
Count = float | UnsetType | None


class Report(msgspec.Struct):
    """One hour of one street segment; a field that is absent was not measured, null or -1 failed."""

    segment_id: int | str
    date: str
    uptime: float
    interval: str = "hourly"
    car: Count = UNSET
    car_lft: Count = UNSET
    car_rgt: Count = UNSET
    heavy: Count = UNSET
    heavy_lft: Count = UNSET
    heavy_rgt: Count = UNSET
    bike: Count = UNSET
    bike_lft: Count = UNSET
    bike_rgt: Count = UNSET
    pedestrian: Count = UNSET
    pedestrian_lft: Count = UNSET
    pedestrian_rgt: Count = UNSET
    v85: Count = UNSET


class Answer(msgspec.Struct):
    """The API gives a `report`, collected months give `data`."""

    report: list[Report] = []
    data: list[Report] = []


class Hour(NamedTuple):
    """What the readings of one report share."""

    sensor_id: str
    start: datetime
    uptime: float


_answer = msgspec.json.Decoder(Answer)
_report = msgspec.json.Decoder(Report)
_COUNTED = (
    ("car", "vehicle_count", "/car"),
    ("heavy", "vehicle_count", "/heavy"),
    ("bike", "bicycle_count", ""),
    ("pedestrian", "pedestrian_count", ""),
)


@payload_format("telraam")
def telraam(message: Message) -> Iterator[Reading | SensorFact]:
    """Read hourly reports; raises BadPayload for another interval or an uptime that is none."""
    facts = set()
    for report in _reports(message.payload):
        fact = SensorFact(f"telraam/{report.segment_id}", lanes=2 if _directions(report, "car") else 1)
        if fact not in facts:
            facts.add(fact)
            yield fact
        yield from _readings(report)


def _reports(payload: bytes) -> list[Report]:
    try:
        if b'"report"' in payload or b'"data"' in payload:
            answer = _answer.decode(payload)
            return answer.report + answer.data
        return [_report.decode(payload)]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadPayload(f"not a Telraam report: {error}") from error


def _readings(report: Report) -> Iterator[Reading]:
    if report.interval != "hourly":
        raise BadPayload(f"interval {report.interval[:50]!r}, expected hourly")
    if not 0 <= report.uptime <= 1:
        raise BadPayload(f"uptime {report.uptime}, expected 0 to 1")
    hour = Hour(f"telraam/{report.segment_id}", stamp(report.date, "date"), report.uptime)
    for name, quantity, kind in _COUNTED:
        for direction in ("lft", "rgt") if _directions(report, name) else ("",):
            count: Count = getattr(report, f"{name}_{direction}" if direction else name)
            if not isinstance(count, UnsetType):
                yield _count(hour, f"{direction}{kind}", quantity, count)
    if not isinstance(report.v85, UnsetType):
        yield _v85(hour, report.v85, report.car)


def _directions(report: Report, name: str) -> bool:
    return all(isinstance(getattr(report, f"{name}_{direction}"), float) for direction in ("lft", "rgt"))


def _failed(hour: Hour, channel: str, quantity: str) -> Reading:
    covers = hour.uptime * HOUR
    return Reading(hour.sensor_id, channel, quantity, HOUR, hour.start, None, 0.0, covers, Flag.SOURCE_ERROR.value)


def _count(hour: Hour, channel: str, quantity: str, count: float | None) -> Reading:
    if not hour.uptime or count is None or count < 0:
        return _failed(hour, channel, quantity)
    counted = count * hour.uptime
    return Reading(hour.sensor_id, channel, quantity, HOUR, hour.start, counted, 1.0, hour.uptime * HOUR)


def _v85(hour: Hour, speed: float | None, cars: Count) -> Reading:
    if not hour.uptime or (speed is not None and speed < 0):
        return _failed(hour, "", "vehicle_speed_v85")
    counted = cars * hour.uptime if isinstance(cars, float) and cars >= 0 else 1.0
    value = speed if counted else None
    weight = 0.0 if value is None else counted
    return Reading(hour.sensor_id, "", "vehicle_speed_v85", HOUR, hour.start, value, weight, hour.uptime * HOUR)
