"""
NDW Dexter's history: hourly intensity and speed by lane and vehicle class, one row each of a CSV export.

Intensity is the mean of the minutes used, in vehicles per hour: the reading is what those minutes counted, and covers
them. Stamps are local time without an offset (`ingest.formats.local_time`). A row whose minutes were excluded for a
technical reason has no figures: it failed. A speed of -1 means that no vehicle passed.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from ingest.formats.decode import payload_format
from ingest.formats.documents import decoded
from ingest.formats.local_time import in_order, interval
from ingest.vocabulary.readings import BadPayload, Flag, Message, Reading, SensorFact, Unreadable
from ingest.vocabulary.values import number

ZONE = ZoneInfo("Europe/Amsterdam")
NEEDED = frozenset({
    "id_meetlocatie", "start_meetperiode", "eind_meetperiode", "gebruikte_minuten_intensiteit", "gem_intensiteit",
    "gem_snelheid", "gewogen_gem_snelheid", "rijstrook_rijbaan", "voertuigcategorie",
})  # fmt: skip
Row = dict[str, str]


@payload_format("dexter")
def dexter(message: Message) -> Iterator[Reading | SensorFact | Unreadable]:
    """Read rows of an export below its header, each by itself; raises BadPayload for what is no such export."""
    return in_order(_read(message.payload), message.received_at)


def _read(payload: bytes) -> Iterator[Reading | SensorFact | Unreadable]:
    lanes: dict[str, set[str]] = defaultdict(set)
    header, *lines = _lines(payload)
    for cells in lines:
        try:
            if len(cells) != len(header):
                raise BadPayload(f"{len(cells)} cells, expected {len(header)}")
            row = dict(zip(header, cells, strict=True))
            one = _hour(row)
            for reading in _readings(one, row):
                lanes[one.sensor_id].add(one.channel.partition("/")[0])
                yield reading
        except BadPayload as error:
            yield Unreadable(_written(header, cells), str(error))
    for sensor_id, names in lanes.items():
        yield SensorFact(sensor_id, lanes=len(names))


def _lines(payload: bytes) -> list[list[str]]:
    try:
        lines = [cells for cells in csv.reader(io.StringIO(decoded(payload), newline="")) if cells]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadPayload(f"not a CSV export of Dexter: {error}") from error
    if missing := NEEDED - set(lines[0] if lines else ()):
        raise BadPayload(f"a header without {', '.join(sorted(missing))}, expected an hourly export of Dexter")
    return lines


def _written(*lines: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue().encode()


def _hour(row: Row) -> Reading:
    """Give what the readings of one row share."""
    names = ("start_meetperiode", "eind_meetperiode")
    when = interval(row[names[0]], row[names[1]], ZONE, names)
    if when.period <= 0:
        raise BadPayload(f"an hour of {when.period} s from {row[names[0]]}, expected an end after its start")
    kind = row["voertuigcategorie"].strip()
    channel = f"{row['rijstrook_rijbaan'].strip().lower()}/{'any' if kind == 'anyVehicle' else kind}"
    return Reading(f"dexter/{row['id_meetlocatie']}", channel, "", when.period, when.start, None, flags=when.flags)


def _readings(one: Reading, row: Row) -> Iterator[Reading]:
    flow, minutes = _cell(row, "gem_intensiteit"), _cell(row, "gebruikte_minuten_intensiteit")
    counted = None if flow is None or not minutes else flow * minutes / 60
    covers = min((minutes or 0.0) * 60, one.period)
    yield _reading(one, "vehicle_count", counted, float(counted is not None), covers, is_failed=counted is None)
    speeds = [_cell(row, name) for name in ("gewogen_gem_snelheid", "gem_snelheid")]
    speed = next((speed for speed in speeds if speed is not None and speed >= 0), None) if counted else None
    weight = counted if counted and speed is not None else 0.0
    yield _reading(one, "vehicle_speed", speed, weight, covers, is_failed=speed is None and counted != 0)


def _reading(
    one: Reading, quantity: str, value: float | None, weight: float, covers: float, *, is_failed: bool
) -> Reading:
    flags = one.flags | (Flag.SOURCE_ERROR.value if is_failed else 0)
    return one._replace(quantity=quantity, value=value, weight=weight, covers=covers, flags=flags)


def _cell(row: Row, name: str) -> float | None:
    return number(row[name], name) if row[name] else None
