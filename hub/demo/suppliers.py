"""
The measurements of simulated sensors in the formats of suppliers: NDW, Luchtmeetnet, Telraam, Sensor.Community.

`hub.demo.own_json` writes own JSON; `hub.demo.city` calls these with the slots that are due.
"""

from functools import cache
from typing import Any

import msgspec
import numpy as np

from hub.demo.sensor import Sensor, Slots, stamps
from hub.demo.world import Numbers, Times, poisson

CLASSES = np.array([0.02, 0.03, 0.80, 0.09, 0.06])  # shares of NDW's five length classes
NO_VEHICLE = -1


def ndw(slots: Slots) -> list[bytes]:
    """Write each minute as a DATEX II site measurement: per lane five classes and any, first flows, then speeds."""
    lanes, rhythm = slots.sensor.fact.lanes or 1, slots.world.motor_rhythm(slots.middle)
    speed = slots.speeds(rhythm)
    columns = [part for lane in range(lanes) for part in _lane(slots, lane, rhythm, speed)]
    text, rows = _template(slots.sensor.supplier_id, lanes), np.concatenate(columns, axis=1).tolist()
    return [(text % (start, *row)).encode() for start, row in zip(stamps(slots.starts), rows, strict=True)]


def _lane(slots: Slots, lane: int, rhythm: Numbers, speed: Numbers) -> tuple[Times, Times]:
    """Give a lane's six flows (vehicles per hour), and six pairs of vehicles and their speed."""
    classes = np.arange(5)[None, :] + 10 * lane
    draw = slots.world.chance(slots.sensor.number, slots.salt, classes, slots.numbers[:, None])
    count = poisson(slots.sensor.size * rhythm[:, None] * CLASSES / (1 + lane), draw)
    each = np.rint(speed[:, None] + [6, 4, 0, -4, -7] - 5.0 * lane)
    total = count.sum(1)
    mean = np.rint((count * each).sum(1) / np.maximum(total, 1))
    counts = np.column_stack([count, total])
    speeds = np.where(counts > 0, np.column_stack([each, mean]), NO_VEHICLE).astype(np.int64)
    return 60 * counts, np.stack([counts, speeds], axis=2).reshape(len(counts), 12)


@cache
def _template(site: str, lanes: int) -> str:
    parts = [
        '<siteMeasurements xmlns="http://datex2.eu/schema/2/2_0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f'<measurementSiteReference id="{site}" version="1" targetClass="MeasurementSiteRecord"/>'
        "<measurementTimeDefault>%s</measurementTimeDefault>"
    ]
    flow = (
        '<basicData xsi:type="TrafficFlow"><vehicleFlow><vehicleFlowRate>%d</vehicleFlowRate></vehicleFlow></basicData>'
    )
    speed = (
        '<basicData xsi:type="TrafficSpeed"><averageVehicleSpeed numberOfInputValuesUsed="%d">'
        "<speed>%d</speed></averageVehicleSpeed></basicData>"
    )
    for index, basic in enumerate(([flow] * 6 + [speed] * 6) * lanes, 1):
        parts.append(f'<measuredValue index="{index}"><measuredValue>{basic}</measuredValue></measuredValue>')
    return "".join([*parts, "</siteMeasurements>"])


def luchtmeetnet(slots: Slots) -> list[bytes]:
    """Write each hour as an answer of Luchtmeetnet's API, stamped with the END of the hour."""
    found = slots.world.air(slots.middle)
    columns = []
    for at, (name, value) in enumerate(found.items()):
        size = 1.0 if name == "o3" else slots.sensor.size
        columns.append(np.round(size * value + 1.5 * slots.noise(at), 1).tolist())
    rows = zip(stamps(slots.starts + slots.sensor.period, "+00:00"), *columns, strict=True)
    return [_answer(slots.sensor.supplier_id, end, dict(zip(found, row, strict=True))) for end, *row in rows]


def _answer(station: str, end: str, values: dict[str, float]) -> bytes:
    return msgspec.json.encode({"data": [
        {"station_number": station, "formula": name.upper(), "value": value, "timestamp_measured": end}
        for name, value in values.items()
    ]})  # fmt: skip


def telraam(slots: Slots) -> list[bytes]:
    """Write each hour as a Telraam report: counts already divided by the uptime, nothing counted in the dark."""
    hour, _ = slots.world.clock(slots.middle)
    light = np.round(0.7 + 0.3 * slots.chance(70), 4)
    uptime = np.where((hour > 6) & (hour < 21), light, 0.0)
    motor, slow = slots.world.motor_rhythm(slots.middle), slots.world.slow_rhythm(slots.middle)
    columns: dict[str, list[Any]] = {"uptime": uptime.tolist()}
    means = {"car": 60 * motor, "heavy": 4 * motor, "bike": 35 * slow, "pedestrian": 20 * slow}
    for at, (name, mean) in enumerate(means.items()):
        left, right = (_direction(slots, 80 + 2 * at + side, mean, uptime) for side in (0, 1))
        columns |= {name: (left + right).tolist(), f"{name}_lft": left.tolist(), f"{name}_rgt": right.tolist()}
    v85 = np.round(0.75 * slots.speeds(motor), 1).tolist()
    columns["v85"] = [speed if cars else None for speed, cars in zip(v85, columns["car"], strict=True)]
    segment = {"instance_id": -1, "segment_id": int(slots.sensor.supplier_id), "interval": "hourly"}
    shared = {**segment, "timezone": str(slots.world.zone)}
    columns["date"] = stamps(slots.starts, ".000Z")
    rows = zip(*columns.values(), strict=True)
    return [msgspec.json.encode({"report": [{**shared, **dict(zip(columns, row, strict=True))}]}) for row in rows]


def _direction(slots: Slots, key: int, mean: Numbers, uptime: Numbers) -> Numbers:
    """Count one direction during the uptime, and scale it to the whole hour as Telraam does."""
    counted = poisson(slots.sensor.size * mean * uptime, slots.chance(key))
    return np.divide(counted, uptime, out=np.zeros(len(uptime)), where=uptime > 0)


def airrohr(slots: Slots) -> list[bytes]:
    """Write each push of a Sensor.Community device: strings without a stamp; 999.9 where its laser failed."""
    columns = [values.tolist() for values in slots.small_air().values()]
    failed = (slots.world.chance(slots.sensor.number, 90, slots.numbers) < 0.02).tolist()
    return [_push(slots.sensor, blind, *row) for blind, *row in zip(failed, *columns, strict=True)]


def _push(sensor: Sensor, failed: bool, pm10: float, pm25: float, warm: float, damp: float) -> bytes:
    values = {
        "SDS_P1": "999.90" if failed else f"{pm10:.2f}",
        "SDS_P2": "999.90" if failed else f"{pm25:.2f}",
        "BME280_temperature": f"{warm:.2f}",
        "BME280_humidity": f"{damp:.2f}",
        "BME280_pressure": "101325.00",
        "samples": "3016882",
    }
    listed = [{"value_type": kind, "value": value} for kind, value in values.items()]
    chip = int(sensor.supplier_id.rpartition("-")[2])
    return msgspec.json.encode({"esp8266id": chip, "software_version": "NRZ-2020-133", "sensordatavalues": listed})
