"""
NDW Dexter's history: hourly intensity and speed by lane and vehicle class, one row each of a CSV export.

Intensity is the mean of the minutes used, in vehicles per hour: the reading is what those minutes counted, and covers
them. Stamps are local time without an offset; in the hour that autumn repeats, the first is meant, and none begins in
the one that spring skips. A row whose minutes were excluded for a technical reason has no figures: it failed. A speed
of -1 means that no vehicle passed.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ingest.formats.decode import payload_format
from ingest.vocabulary.readings import BadPayload, Flag, Message, Reading, SensorFact
from ingest.vocabulary.values import number, stamp

ZONE = ZoneInfo("Europe/Amsterdam")
NEEDED = frozenset({
    "id_meetlocatie", "start_meetperiode", "eind_meetperiode", "gebruikte_minuten_intensiteit", "gem_intensiteit",
    "gem_snelheid", "gewogen_gem_snelheid", "rijstrook_rijbaan", "voertuigcategorie",
})  # fmt: skip
Row = dict[str, str]


class Interval(NamedTuple):
    """What the readings of one row share; `period` in seconds."""

    sensor_id: str
    channel: str
    start: datetime
    period: int


@payload_format("dexter")
def dexter(message: Message) -> Iterator[Reading | SensorFact]:
    """Read rows of an export below its header; raises BadPayload, naming the row, for one that cannot be read."""
    lanes: dict[str, set[str]] = defaultdict(set)
    for at, row in enumerate(_rows(message.payload), 2):
        try:
            one = _interval(row)
            lanes[one.sensor_id].add(one.channel.partition("/")[0])
            yield from _readings(one, row)
        except ValueError as error:
            raise BadPayload(f"{error}, in line {at}") from error
    for sensor_id, names in lanes.items():
        yield SensorFact(sensor_id, lanes=len(names))


def _rows(payload: bytes) -> Iterator[Row]:
    try:
        rows = csv.DictReader(io.StringIO(payload.decode("utf-8-sig")))
        if missing := NEEDED - set(rows.fieldnames or ()):
            raise BadPayload(f"a header without {', '.join(sorted(missing))}, expected an hourly export of Dexter")
        for row in rows:
            if None in row.values():
                raise BadPayload(f"{sum(cell is not None for cell in row.values())} cells, expected {len(row)}")
            yield row
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadPayload(f"not a CSV export of Dexter: {error}") from error


def _interval(row: Row) -> Interval:
    start = stamp(row["start_meetperiode"], "start_meetperiode", ZONE)
    end = stamp(row["eind_meetperiode"], "eind_meetperiode", ZONE, end=True)
    period = int((end - start).total_seconds())
    if period <= 0:
        raise BadPayload(f"an hour of {period} s from {row['start_meetperiode']}, expected an end after its start")
    kind = row["voertuigcategorie"].strip()
    channel = f"{row['rijstrook_rijbaan'].strip().lower()}/{'any' if kind == 'anyVehicle' else kind}"
    return Interval(f"dexter/{row['id_meetlocatie']}", channel, start, period)


def _readings(one: Interval, row: Row) -> Iterator[Reading]:
    flow, minutes = _cell(row, "gem_intensiteit"), _cell(row, "gebruikte_minuten_intensiteit")
    counted = None if flow is None or not minutes else flow * minutes / 60
    covers = min((minutes or 0.0) * 60, one.period)
    failed = 0 if counted is not None else Flag.SOURCE_ERROR.value
    yield Reading(
        one.sensor_id, one.channel, "vehicle_count", one.period, one.start, counted, float(not failed), covers, failed
    )
    speeds = [_cell(row, name) for name in ("gewogen_gem_snelheid", "gem_snelheid")]
    speed = next((speed for speed in speeds if speed is not None and speed >= 0), None) if counted else None
    failed = Flag.SOURCE_ERROR.value if speed is None and counted != 0 else 0
    weight = counted if counted and speed is not None else 0.0
    yield Reading(one.sensor_id, one.channel, "vehicle_speed", one.period, one.start, speed, weight, covers, failed)


def _cell(row: Row, name: str) -> float | None:
    return number(row[name], name) if row[name] else None
