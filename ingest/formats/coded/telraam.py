"""
Telraam's hourly street counts: an API answer, a collected month, or one report.

Telraam divides its counts by the uptime, the part of the hour that it could see: the reading is what was counted
(count x uptime) and covers what was seen (uptime x 3600 s). An hour without uptime has 0 and means "failed".
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from ingest.formats.decode import payload_format
from ingest.vocabulary.readings import BadPayload, Flag, Message, Reading, SensorFact
from ingest.vocabulary.values import stamp

HOUR = 3600
Count = float | UnsetType | None


class Report(msgspec.Struct):
    """One hour of one street segment; a field that is absent was not measured, null or -1 failed."""

    segment_id: int | str
    date: str
    uptime: float | None
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
_SIDES = ("lft", "rgt")
_COUNTED = (
    ("car", "vehicle_count", "/car"),
    ("heavy", "vehicle_count", "/heavy"),
    ("bike", "bicycle_count", ""),
    ("pedestrian", "pedestrian_count", ""),
)


@payload_format("telraam")
def telraam(message: Message) -> Iterator[Reading | SensorFact]:
    """Read hourly reports; raises BadPayload for another interval or an uptime that is none."""
    segments: dict[str, list[Report]] = {}
    for report in _reports(message.payload):
        segments.setdefault(f"telraam/{report.segment_id}", []).append(report)
    for sensor_id, reports in segments.items():
        directed = _directed(reports)
        yield SensorFact(sensor_id, lanes=2 if directed else 1)
        for report in reports:
            yield from _readings(sensor_id, report, directed)


def _reports(payload: bytes) -> list[Report]:
    try:
        if b'"report"' in payload or b'"data"' in payload:
            answer = _answer.decode(payload)
            return answer.report + answer.data
        return [_report.decode(payload)]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadPayload(f"not a Telraam report: {error}") from error


def _readings(sensor_id: str, report: Report, directed: bool) -> Iterator[Reading]:
    if report.interval != "hourly":
        raise BadPayload(f"interval {report.interval[:50]!r}, expected hourly")
    uptime = report.uptime or 0.0
    if not 0 <= uptime <= 1:
        raise BadPayload(f"uptime {uptime}, expected 0 to 1")
    hour = Hour(sensor_id, stamp(report.date, "date"), uptime)
    for name, quantity, kind in _COUNTED:
        for direction in _SIDES if _parted(report, name, directed) else ("",):
            count: Count = getattr(report, f"{name}_{direction}" if direction else name)
            if not isinstance(count, UnsetType):
                yield _count(hour, f"{direction}{kind}", quantity, count)
    if not isinstance(report.v85, UnsetType):
        yield _v85(hour, report.v85, report.car)


def _sides(report: Report, name: str) -> list[Count]:
    return [getattr(report, f"{name}_{side}") for side in _SIDES]


def _directed(reports: Sequence[Report]) -> bool:
    """Tell whether a segment is counted by direction: some hour has directions, or every hour has null and no total."""
    sides = [side for report in reports for name, *_ in _COUNTED for side in _sides(report, name)]
    totals = [getattr(report, name) for report in reports for name, *_ in _COUNTED]
    return any(isinstance(side, float) for side in sides) or (None in sides and not any(map(_counted, totals)))


def _parted(report: Report, name: str, directed: bool) -> bool:
    """Tell whether a class is read by direction: not where the report has only the total of both."""
    sides = _sides(report, name)
    known = any(isinstance(side, float) for side in sides)
    return known or (directed and None in sides and not _counted(getattr(report, name)))


def _counted(count: Count) -> bool:
    return isinstance(count, float) and count >= 0


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
