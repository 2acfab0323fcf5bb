"""
What the simulated sensors measure and how they say it in own JSON, vectorised over the slots of one sensor.

A slot is the number of a sensor's period since 1970. `salt` other than 0 is another value for the same slot: a sensor
that sends twice and does not agree with itself. `hub.demo.cityworld` knows what happens, `hub.demo.citysuppliers`
says it in the formats of suppliers, `hub.demo.city` knows when it is sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from hub.demo import cityworld as world
from hub.demo.cityworld import Times
from ingest.vocabulary.readings import SensorFact

Said = list[list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Sensor:
    """One sensor of the city; `size` scales what it sees, `drift` is how wrong its clock runs, in seconds a day."""

    number: int
    fact: SensorFact
    period: int
    size: float
    drift: float = 0.0
    sticks: bool = False

    @property
    def supplier_id(self) -> str:
        """The id without the source."""
        return self.fact.sensor_id.partition("/")[2]


@dataclass(frozen=True, slots=True)
class World:
    """What decides everything that happens."""

    seed: int
    zone: ZoneInfo


def own_readings(place: World, sensor: Sensor, slots: Times, salt: int) -> Said:
    """Say each slot as readings of own JSON."""
    starts = stamps(slots * sensor.period + _drift(sensor, slots))
    said: Said = [[] for _ in slots]
    columns = _own_columns(place, sensor, _seen(place, sensor, slots), salt)
    for quantity, channel, period, values in columns:
        for one, start, value in zip(said, starts, values, strict=True):
            one.append({"quantity": quantity, "channel": channel, "start": start, "period": period, "value": value})
    for one in said:
        if one[-1]["quantity"] == "vehicle_speed":  # the mean of the vehicles just counted
            one[-1]["weight"] = one[0]["value"]
    return said


def own(place: World, sensor: Sensor, slots: Times, salt: int) -> list[bytes]:
    """Say each slot as one message of own JSON, with the facts about its sensor."""
    return [document(sensor, readings) for readings in own_readings(place, sensor, slots, salt)]


def own_block(place: World, sensor: Sensor, slots: Times, salt: int) -> list[bytes]:
    """Say all slots in one message of own JSON."""
    return [document(sensor, [one for said in own_readings(place, sensor, slots, salt) for one in said])]


def document(sensor: Sensor, readings: Sequence[dict[str, Any]]) -> bytes:
    """Write readings of one sensor as one message."""
    fact = sensor.fact
    facts = {"name": fact.name, "lon": fact.lon, "lat": fact.lat, "lanes": fact.lanes, "interval": fact.interval}
    return msgspec.json.encode({"sensor_id": sensor.supplier_id, **facts, "readings": readings})


_Columns = list[tuple[str, str, int, list[Any]]]


def _own_columns(place: World, sensor: Sensor, slots: Times, salt: int) -> _Columns:
    if sensor.fact.kind == "air":
        return small_air(place, sensor, slots, salt)
    if sensor.fact.kind != "traffic":
        mean = sensor.size * world.slow_rhythm(middle(sensor, slots), place.zone, place.seed)
        return [(f"{sensor.fact.kind}_count", "", sensor.period, counts(place, sensor, slots, salt, mean).tolist())]
    rhythm = world.motor_rhythm(middle(sensor, slots), place.zone)
    count = counts(place, sensor, slots, salt, sensor.size * rhythm)
    speed = np.round(speeds(place, sensor, slots, salt, rhythm), 1)
    seen = [value if number else None for value, number in zip(speed.tolist(), count.tolist(), strict=True)]
    columns: _Columns = [("vehicle_count", "lane1/any", sensor.period, count.tolist())]
    return [*columns, ("vehicle_speed", "lane1/any", sensor.period, seen)]


def small_air(place: World, sensor: Sensor, slots: Times, salt: int) -> _Columns:
    """Say what a small dust sensor makes of the air: damp dust counts too much."""
    times = slots * sensor.period
    found = world.air(place.seed, times, place.zone)
    damp = world.humidity(place.seed, times, place.zone)
    swollen = 1 + np.clip(damp - 80, 0, 20) / 25  # a cheap sensor counts fog as dust
    values = {
        "pm10": sensor.size * found["pm10"] * swollen * (1 + 0.08 * noise(place, sensor, slots, salt, 1)),
        "pm25": sensor.size * found["pm25"] * swollen * (1 + 0.08 * noise(place, sensor, slots, salt, 2)),
        "temperature": world.temperature(place.seed, times, place.zone) + 0.3 * noise(place, sensor, slots, salt, 3),
        "humidity": np.clip(damp + noise(place, sensor, slots, salt, 4), 0, 100),
    }
    return [(name, "", 0, np.round(value, 2).tolist()) for name, value in values.items()]


def counts(place: World, sensor: Sensor, slots: Times, salt: int, mean: world.Numbers) -> Times:
    """Draw what is counted in each slot."""
    return world.poisson(mean, world.chance(place.seed, sensor.number, salt, 60, slots))


def speeds(place: World, sensor: Sensor, slots: Times, salt: int, rhythm: world.Numbers) -> world.Numbers:
    """Draw speeds in km/h, lower where the road is full."""
    free = 46 + 8 * float(world.chance(place.seed, sensor.number, 61))
    slow = 14 * np.clip(rhythm - 0.75, 0, 1) / 0.5  # congestion
    return np.asarray(np.maximum(free - slow + 3 * noise(place, sensor, slots, salt, 62), 8))


def noise(place: World, sensor: Sensor, slots: Times, salt: int, key: int) -> world.Numbers:
    """Draw a sensor's own noise, of standard deviation 1."""
    return world.normal(place.seed, sensor.number, salt, 100 + key, slots)


def middle(sensor: Sensor, slots: Times) -> Times:
    """Give the middle of each slot."""
    return slots * sensor.period + sensor.period // 2


def _seen(place: World, sensor: Sensor, slots: Times) -> Times:
    """Give the slot whose value is said for each: where a sensor is stuck, that of nine hours' beginning."""
    if not sensor.sticks:
        return slots
    day = slots * sensor.period // world.DAY
    begins = day * world.DAY + world.chance(place.seed, sensor.number, 31, day) * 14 * world.HOUR
    since = slots * sensor.period - begins
    stuck = (world.chance(place.seed, sensor.number, 30, day) < 0.5) & (since >= 0) & (since < 9 * world.HOUR)
    return np.where(stuck, begins.astype(np.int64) // sensor.period, slots)


def _drift(sensor: Sensor, slots: Times) -> Times:
    """Seconds a clock is ahead: more every day, set right on Mondays."""
    return np.asarray(slots * sensor.period % world.WEEK * sensor.drift / world.DAY).astype(np.int64)


def stamps(times: Times, ending: str = "Z") -> list[str]:
    """Write times as ISO 8601 in UTC."""
    return [datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%S") + ending for time in times.tolist()]
