"""
The measurements of simulated sensors as own JSON: a message for each slot, or one for all.

`hub.demo.suppliers` writes the formats of suppliers, `hub.demo.city` decides which slots are sent when.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from hub.demo.sensor import Sensor, Slots, stamps

Columns = list[tuple[str, str, int, list[Any]]]  # quantity, channel, period, a value for each slot


def own(slots: Slots) -> list[bytes]:
    """Write each slot as one message of own JSON, with the facts about its sensor."""
    return [_document(slots.sensor, readings) for readings in _readings(slots)]


def own_block(slots: Slots) -> list[bytes]:
    """Write all slots as one message of own JSON."""
    return [_document(slots.sensor, [one for readings in _readings(slots) for one in readings])]


def _document(sensor: Sensor, readings: Sequence[dict[str, Any]]) -> bytes:
    fact = sensor.fact
    facts = {"name": fact.name, "lon": fact.lon, "lat": fact.lat, "lanes": fact.lanes, "interval": fact.interval}
    return msgspec.json.encode({"sensor_id": sensor.supplier_id, **facts, "readings": readings})


def _readings(slots: Slots) -> list[list[dict[str, Any]]]:
    """Give the readings of each slot."""
    starts = stamps(slots.starts + slots.drift)
    found: list[list[dict[str, Any]]] = [[] for _ in starts]
    for quantity, channel, period, values in _columns(slots.stuck()):
        for one, start, value in zip(found, starts, values, strict=True):
            one.append({"quantity": quantity, "channel": channel, "start": start, "period": period, "value": value})
    for one in found:
        if one[-1]["quantity"] == "vehicle_speed":  # the mean of the vehicles just counted
            one[-1]["weight"] = one[0]["value"]
    return found


def _columns(slots: Slots) -> Columns:
    sensor = slots.sensor
    if sensor.fact.kind == "air":
        return [(name, "", 0, values.tolist()) for name, values in slots.small_air().items()]
    if sensor.fact.kind != "traffic":
        mean = sensor.size * slots.world.slow_rhythm(slots.middle)
        return [(f"{sensor.fact.kind}_count", "", sensor.period, slots.counts(mean).tolist())]
    rhythm = slots.world.motor_rhythm(slots.middle)
    counts = slots.counts(sensor.size * rhythm).tolist()
    speeds = np.round(slots.speeds(rhythm), 1).tolist()
    measured = [speed if count else None for speed, count in zip(speeds, counts, strict=True)]
    lane = "lane1/any"
    return [("vehicle_count", lane, sensor.period, counts), ("vehicle_speed", lane, sensor.period, measured)]
