"""
Telraam's hourly street counts: an API answer, a collected month, or one report.

Telraam divides its counts by the uptime, the part of the hour that it could see: the reading is what was counted
(count x uptime) and covers what was seen (uptime x 3600 s). An hour without uptime has 0 and means "failed".
"""

import json
from collections.abc import Iterator
from typing import Any, TypeGuard

import msgspec
from msgspec import UNSET, UnsetType

from ingest.formats.cells import figure
from ingest.formats.decode import payload_format
from ingest.formats.documents import decoded, json_document
from ingest.vocabulary.readings import BadPayload, Flag, Message, Reading, SensorFact, Unreadable
from ingest.vocabulary.values import stamp

HOUR = 3600
Count = float | UnsetType | None
# What is counted, and the end of its channel; a direction is the beginning.
COUNTED = {
    "car": ("vehicle_count", "/car"), "heavy": ("vehicle_count", "/heavy"), "bike": ("bicycle_count", ""),
    "pedestrian": ("pedestrian_count", ""),
}  # fmt: skip
SIDES = ("lft", "rgt")


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


COUNTS = set(Report.__struct_fields__) - {"segment_id", "date", "uptime", "interval"}


class Answer(msgspec.Struct):
    """The API gives a `report`, collected months give `data`."""

    report: list[Any] = []
    data: list[Any] = []


@payload_format("telraam")
def telraam(message: Message) -> Iterator[Reading | SensorFact | Unreadable]:
    """Read hourly reports; a count that is no number costs itself, another interval or an odd uptime its report."""
    segments: dict[str, list[Report]] = {}
    for given in _reports(message.payload):
        wrong: list[str] = []
        try:
            report = _report(given, wrong)
            segments.setdefault(f"telraam/{report.segment_id}", []).append(report)
        except BadPayload as error:
            wrong.append(str(error))
        if wrong:
            yield Unreadable(json.dumps(given).encode(), "; ".join(wrong))
    for sensor_id, reports in segments.items():
        directed = _directed(reports)
        yield SensorFact(sensor_id, lanes=2 if directed else 1)
        for report in reports:
            yield from _readings(sensor_id, report, directed)


def _reports(payload: bytes) -> list[Any]:
    try:
        given = json_document(decoded(payload).strip("\ufeff\0"))
        answer = msgspec.convert(given if isinstance(given, dict) else {"data": given}, Answer)
    except (BadPayload, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise BadPayload(f"not a Telraam report: {error}") from error
    return answer.report + answer.data if not isinstance(given, dict) or given.keys() & {"report", "data"} else [given]


def _report(given: Any, wrong: list[str]) -> Report:
    """Read a report without the counts that are no numbers, which go to `wrong`; raises BadPayload for no report."""
    kept = dict(given) if isinstance(given, dict) else {}
    for name in COUNTS & kept.keys():
        try:
            kept[name] = kept[name] if kept[name] is None else figure(kept[name], name)
        except BadPayload as error:
            wrong.append(str(error))
            del kept[name]
    try:
        report = msgspec.convert(kept, Report)
    except msgspec.ValidationError as error:
        raise BadPayload(f"not a Telraam report: {error}") from error
    if report.interval != "hourly":
        raise BadPayload(f"interval {report.interval[:50]!r}, expected hourly")
    if not 0 <= (report.uptime or 0) <= 1:
        raise BadPayload(f"uptime {report.uptime}, expected 0 to 1")
    stamp(report.date, "date")
    return report


def _directed(reports: list[Report]) -> bool:
    """Tell whether a segment is counted by direction: some hour has directions, or every hour has null and no total."""
    counts = [_counts(report, name) for report in reports for name in COUNTED]
    sides = [side for _, *two in counts for side in two]
    return _any_number(sides) or (None in sides and not any(_counted(total) for total, *_ in counts))


def _readings(sensor_id: str, report: Report, directed: bool) -> Iterator[Reading]:
    uptime, start = report.uptime or 0.0, stamp(report.date, "date")
    covers, failed = uptime * HOUR, Flag.SOURCE_ERROR.value
    for channel, quantity, count in _channels(report, directed):
        value = count * uptime if uptime and count is not None and count >= 0 else None
        state = (value, 1.0, covers) if value is not None else (None, 0.0, covers, failed)
        yield Reading(sensor_id, channel, quantity, HOUR, start, *state)
    if not isinstance(speed := report.v85, UnsetType):
        cars = report.car * uptime if _counted(report.car) else 1.0
        flags = failed if not uptime or (speed is not None and speed < 0) else 0
        state = (speed, cars, covers) if speed is not None and cars and not flags else (None, 0.0, covers, flags)
        yield Reading(sensor_id, "", "vehicle_speed_v85", HOUR, start, *state)


def _channels(report: Report, directed: bool) -> Iterator[tuple[str, str, float | None]]:
    """Give channel, quantity and count; by direction but for a class of which the report has only the total of both."""
    for name, (quantity, kind) in COUNTED.items():
        total, *sides = _counts(report, name)
        parted = _any_number(sides) or (directed and None in sides and not _counted(total))
        for direction, count in zip(SIDES, sides, strict=True) if parted else [("", total)]:
            if not isinstance(count, UnsetType):
                yield f"{direction}{kind}", quantity, count


def _counts(report: Report, name: str) -> list[Count]:
    return [getattr(report, field) for field in (name, *(f"{name}_{side}" for side in SIDES))]


def _any_number(counts: list[Count]) -> bool:
    return any(isinstance(count, float) for count in counts)


def _counted(count: Count) -> TypeGuard[float]:
    return isinstance(count, float) and count >= 0
