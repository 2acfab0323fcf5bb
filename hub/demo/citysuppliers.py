"""
What the simulated sensors say in the payload formats of their suppliers: NDW, Luchtmeetnet, Telraam, Sensor.Community.

`hub.demo.cityforms` has what they share, and own JSON; `hub.demo.city` calls these with the slots that are due.
"""

from functools import cache
from typing import Any

import msgspec
import numpy as np

from hub.demo import cityworld as world
from hub.demo.cityforms import Sensor, World, middle, noise, small_air, speeds, stamps
from hub.demo.cityworld import Numbers, Times

CLASSES = np.array([0.02, 0.03, 0.80, 0.09, 0.06])  # shares of NDW's five length classes
NO_VEHICLE = -1


def ndw(place: World, sensor: Sensor, slots: Times, salt: int) -> list[bytes]:
    """Say each minute as a DATEX II site measurement: per lane five classes and any, first flows, then speeds."""
    lanes, rhythm = sensor.fact.lanes or 1, world.motor_rhythm(middle(sensor, slots), place.zone)
    speed = speeds(place, sensor, slots, salt, rhythm)
    columns = [part for lane in range(lanes) for part in _lane(place, sensor, slots, salt, lane, rhythm, speed)]
    text, rows = _template(sensor.supplier_id, lanes), np.concatenate(columns, axis=1).tolist()
    starts = stamps(slots * sensor.period)
    return [(text % (start, *row)).encode() for start, row in zip(starts, rows, strict=True)]


def _lane(
    place: World, sensor: Sensor, slots: Times, salt: int, lane: int, rhythm: Numbers, speed: Numbers
) -> tuple[Times, Times]:
    """Give a lane's six flows (vehicles per hour), and six pairs of vehicles and their speed."""
    classes = np.arange(5)[None, :] + 10 * lane
    draw = world.chance(place.seed, sensor.number, salt, classes, slots[:, None])
    count = world.poisson(sensor.size * rhythm[:, None] * CLASSES / (1 + lane), draw)
    each = np.rint(speed[:, None] + [6, 4, 0, -4, -7] - 5.0 * lane)
    total = count.sum(1)
    mean = np.rint((count * each).sum(1) / np.maximum(total, 1))
    seen = np.column_stack([count, total])
    said = np.where(seen > 0, np.column_stack([each, mean]), NO_VEHICLE).astype(np.int64)
    return 60 * seen, np.stack([seen, said], axis=2).reshape(len(slots), 12)


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


def luchtmeetnet(place: World, sensor: Sensor, slots: Times, salt: int) -> list[bytes]:
    """Say each hour as an answer of Luchtmeetnet's API, stamped with the END of the hour."""
    found = world.air(place.seed, middle(sensor, slots), place.zone)
    columns = []
    for at, (name, value) in enumerate(found.items()):
        size = 1.0 if name == "o3" else sensor.size
        columns.append(np.round(size * value + 1.5 * noise(place, sensor, slots, salt, at), 1).tolist())
    ends = stamps((slots + 1) * sensor.period, "+00:00")
    rows = zip(ends, *columns, strict=True)
    return [_answer(sensor.supplier_id, end, dict(zip(found, row, strict=True))) for end, *row in rows]


def _answer(station: str, end: str, values: dict[str, float]) -> bytes:
    return msgspec.json.encode({"data": [
        {"station_number": station, "formula": name.upper(), "value": value, "timestamp_measured": end}
        for name, value in values.items()
    ]})  # fmt: skip


def telraam(place: World, sensor: Sensor, slots: Times, salt: int) -> list[bytes]:
    """Say each hour as a Telraam report: counts already divided by the uptime, nothing seen in the dark."""
    times = middle(sensor, slots)
    hour, _ = world.clock(times, place.zone)
    light = np.round(0.7 + 0.3 * world.chance(place.seed, sensor.number, salt, 70, slots), 4)
    uptime = np.where((hour > 6) & (hour < 21), light, 0.0)
    motor, slow = world.motor_rhythm(times, place.zone), world.slow_rhythm(times, place.zone, place.seed)
    columns: dict[str, list[Any]] = {"uptime": uptime.tolist()}
    for name, mean in {"car": 60 * motor, "heavy": 4 * motor, "bike": 35 * slow, "pedestrian": 20 * slow}.items():
        columns |= _sides(place, sensor, slots, salt, name, mean, uptime)
    v85 = np.round(0.75 * speeds(place, sensor, slots, salt, motor), 1).tolist()
    columns["v85"] = [speed if cars else None for speed, cars in zip(v85, columns["car"], strict=True)]
    segment = {"instance_id": -1, "segment_id": int(sensor.supplier_id), "interval": "hourly"}
    shared = {**segment, "timezone": str(place.zone)}
    columns["date"] = stamps(slots * sensor.period, ".000Z")
    rows = zip(*columns.values(), strict=True)
    return [msgspec.json.encode({"report": [{**shared, **dict(zip(columns, row, strict=True))}]}) for row in rows]


def _sides(
    place: World, sensor: Sensor, slots: Times, salt: int, name: str, mean: Numbers, uptime: Numbers
) -> dict[str, list[Any]]:
    """Count each direction in what was seen, and scale it to the whole hour as Telraam does."""
    scaled = []
    for side in range(2):
        key = 80 + 2 * ("car", "heavy", "bike", "pedestrian").index(name) + side
        draw = world.chance(place.seed, sensor.number, salt, key, slots)
        counted = world.poisson(sensor.size * mean * uptime, draw)
        scaled.append(np.divide(counted, uptime, out=np.zeros(len(slots)), where=uptime > 0))
    left, right = scaled
    return {name: (left + right).tolist(), f"{name}_lft": left.tolist(), f"{name}_rgt": right.tolist()}


def airrohr(place: World, sensor: Sensor, slots: Times, salt: int) -> list[bytes]:
    """Say each push of a Sensor.Community device: strings without a stamp; 999.9 where its laser gave up."""
    columns = [values for _, _, _, values in small_air(place, sensor, slots, salt)]
    blind = (world.chance(place.seed, sensor.number, 90, slots) < 0.02).tolist()
    return [_push(sensor, failed, *row) for failed, *row in zip(blind, *columns, strict=True)]


def _push(sensor: Sensor, failed: bool, pm10: float, pm25: float, warm: float, damp: float) -> bytes:
    said = {
        "SDS_P1": "999.90" if failed else f"{pm10:.2f}",
        "SDS_P2": "999.90" if failed else f"{pm25:.2f}",
        "BME280_temperature": f"{warm:.2f}",
        "BME280_humidity": f"{damp:.2f}",
        "BME280_pressure": "101325.00",
        "samples": "3016882",
    }
    values = [{"value_type": kind, "value": value} for kind, value in said.items()]
    chip = int(sensor.supplier_id.rpartition("-")[2])
    return msgspec.json.encode({"esp8266id": chip, "software_version": "NRZ-2020-133", "sensordatavalues": values})
