"""
What simulated sensors measure, and the payloads they make of it: own JSON, and the formats of suppliers.

A form of `city.toml` has a function of its name here, which gives columns: a value for each slot. `lab.demo.city` calls
`payloads` with the slots that are due: a slot is the number of a sensor's period since 1970. A `salt` other than 0
gives another value for the same slot, with a version: a correction.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.demo.world import DAY, FACTS, HOUR, WEEK, Numbers, Sensor, Times, World, poisson

Columns = Mapping[str, NDArray[Any] | Sequence[str]]

_CLASSES = np.array([0.02, 0.03, 0.80, 0.09, 0.06])  # shares of NDW's five length classes
_NO_VEHICLE = -1


@dataclass(frozen=True, slots=True)
class Slots:
    """Some slots of one sensor, by their numbers."""

    world: World
    sensor: Sensor
    numbers: Times
    salt: int = 0

    @property
    def starts(self) -> Times:
        """When each slot begins."""
        return self.numbers * self.sensor.kind.period

    @property
    def middle(self) -> Times:
        """The middle of each slot."""
        return self.starts + self.sensor.kind.period // 2

    @property
    def stamped(self) -> Times:
        """When the sensor says that each begins: a clock that drifts is ahead, more every day until Monday."""
        if self.sensor.entry.sensor_id != FACTS.drifting:
            return self.starts
        return self.starts + (self.starts % WEEK * 30 / DAY).astype(np.int64)

    def motor(self) -> Numbers:
        """Give the share of its busiest motor traffic that passes in each slot."""
        return self.world.motor_rhythm(self.middle) * self.world.unusual(self.sensor.number, self.middle)

    def slow(self) -> Numbers:
        """Give the share of its busiest cyclists or pedestrians."""
        return self.world.slow_rhythm(self.middle) * self.world.unusual(self.sensor.number, self.middle)

    def stuck(self) -> "Slots":
        """Give the slot whose value is sent for each: where a sensor is stuck, the first one of nine hours."""
        if self.sensor.entry.sensor_id not in FACTS.stuck:
            return self
        number, day = self.sensor.number, self.starts // DAY
        begins = day * DAY + self.world.chance(number, 31, day) * 14 * HOUR
        since = self.starts - begins
        stuck = (self.world.chance(number, 30, day) < 0.5) & (since >= 0) & (since < 9 * HOUR)
        return replace(self, numbers=np.where(stuck, begins.astype(np.int64) // self.sensor.kind.period, self.numbers))

    def chance(self, key: int | Times) -> Numbers:
        """Draw a number in [0, 1) for each slot."""
        return self.world.chance(self.sensor.number, self.salt, key, self.numbers)

    def noise(self, key: int) -> Numbers:
        """Draw a sensor's own noise, of standard deviation 1."""
        return self.world.normal(self.sensor.number, self.salt, 100 + key, self.numbers)


def payloads(slots: Slots, together: int = 1, fold: int = 1) -> list[bytes]:
    """Write messages of so many readings `together`; every `fold` slots make one reading."""
    sensor, form = slots.sensor, FACTS.forms[slots.sensor.kind.form]
    found = {name: getattr(sensor.entry, name) for name in ("name", "kind", "lon", "lat", "lanes", "interval")}
    about = {
        **{name: "null" if value is None else value for name, value in found.items()},
        "id": sensor.supplier_id, "chip": sensor.supplier_id.rpartition("-")[2], "zone": slots.world.zone,
        "period": 0 if sensor.kind.instants and fold == 1 else sensor.kind.period * fold,
    }  # fmt: skip
    measured = _folded(_MEASURES[sensor.kind.form](slots.stuck()), fold)
    starts = _stamps((slots.stamped if fold == 1 else slots.starts)[::fold])
    columns = {
        "start": starts,
        "version": [f'"{start}Z"' if slots.salt else "0" for start in starts],
        "end": _stamps(slots.starts[::fold] + sensor.kind.period * fold),
        **{name: _texts(column) for name, column in measured.items()},
    }
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    readings = [form.each % (about | row) for row in rows]
    parts = range(0, len(readings), together)
    texts = [form.between.join(readings[part : part + together]) for part in parts]
    return [(form.message % (about | {"readings": text})).encode() for text in texts]


def _folded(columns: Columns, fold: int) -> Columns:
    """Fold slots: counts are summed, speeds weighed by them, everything else is a mean."""
    if fold == 1:
        return columns
    rows = {name: np.asarray(column).reshape(-1, fold) for name, column in columns.items()}
    found = {name: row.sum(1) if name == "count" else np.round(row.mean(1), 2) for name, row in rows.items()}
    if "speed" in rows:
        counts = found["count"]
        total = np.nansum(rows["speed"] * rows["count"], axis=1)
        found["speed"] = np.where(counts > 0, np.round(total / np.maximum(counts, 1), 1), np.nan)
    return found


def _texts(column: NDArray[Any] | Sequence[str]) -> Sequence[object]:
    if not isinstance(column, np.ndarray):
        return column
    return ["null" if value != value else value for value in column.tolist()]


def _stamps(times: Times) -> list[str]:
    return [datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%S") for time in times.tolist()]


def _vehicles(slots: Slots) -> Columns:
    rhythm = slots.motor()
    counts = poisson(slots.sensor.size * rhythm, slots.chance(60))
    return {"count": counts, "speed": np.where(counts > 0, np.round(_speeds(slots, rhythm), 1), np.nan)}


def _passers(slots: Slots) -> Columns:
    return {"count": poisson(slots.sensor.size * slots.slow(), slots.chance(60))}


def _air(slots: Slots) -> Columns:
    """Measure the air as a small dust sensor does, which counts fog as dust."""
    found, damp = slots.world.air(slots.starts), slots.world.humidity(slots.starts)
    swollen = slots.sensor.size * (1 + np.clip(damp - 80, 0, 20) / 25)
    values = {
        "pm10": swollen * found["pm10"] * (1 + 0.08 * slots.noise(1)),
        "pm25": swollen * found["pm25"] * (1 + 0.08 * slots.noise(2)),
        "temperature": slots.world.temperature(slots.starts) + 0.3 * slots.noise(3),
        "humidity": np.clip(damp + slots.noise(4), 0, 100),
    }
    return {name: np.round(value, 2) for name, value in values.items()}


def _airrohr(slots: Slots) -> Columns:
    """Measure as a device of Sensor.Community, which says 999.9 where its laser failed."""
    failed = slots.world.chance(slots.sensor.number, 90, slots.numbers) < 0.02
    measured = dict(_air(slots))
    return measured | {name: np.where(failed, 999.9, measured[name]) for name in ("pm10", "pm25")}


def _station(slots: Slots) -> Columns:
    return {
        name: np.round((1 if name == "o3" else slots.sensor.size) * value + 1.5 * slots.noise(at), 1)
        for at, (name, value) in enumerate(slots.world.air(slots.middle).items())
    }


def _telraam(slots: Slots) -> Columns:
    """Count both directions while it is light; what was counted is divided by the uptime, as Telraam does."""
    hour, _ = slots.world.clock(slots.middle)
    uptime = np.where((hour > 6) & (hour < 21), np.round(0.7 + 0.3 * slots.chance(70), 4), 0.0)
    motor, slow = slots.motor(), slots.slow()
    columns: dict[str, NDArray[Any]] = {"uptime": uptime}
    means = {"car": 60 * motor, "heavy": 4 * motor, "bike": 35 * slow, "pedestrian": 20 * slow}
    for at, (name, mean) in enumerate(means.items()):
        counted = [poisson(slots.sensor.size * mean * uptime, slots.chance(80 + 2 * at + side)) for side in (0, 1)]
        left, right = (np.divide(one, uptime, out=np.zeros(len(uptime)), where=uptime > 0) for one in counted)
        columns |= {name: left + right, f"{name}_lft": left, f"{name}_rgt": right}
    return columns | {"v85": np.where(columns["car"] > 0, np.round(0.75 * _speeds(slots, motor), 1), np.nan)}


def _ndw(slots: Slots) -> Columns:
    """Write the flows and speeds of every lane: five length classes and any."""
    form, lanes = FACTS.forms["ndw"], slots.sensor.entry.lanes or 1
    parts = enumerate(([form.flow] * 6 + [form.speed] * 6) * lanes, 1)
    pattern = "".join(part.format(index) for index, part in parts)
    rows = np.concatenate([_lane(slots, lane) for lane in range(lanes)], axis=1).tolist()
    return {"values": [pattern % tuple(row) for row in rows]}


def _lane(slots: Slots, lane: int) -> Times:
    """Give a lane's six flows (vehicles per hour), and six pairs of vehicles and their speed (km/h)."""
    rhythm, classes = slots.motor(), np.arange(5)[None, :] + 10 * lane
    draw = slots.world.chance(slots.sensor.number, slots.salt, classes, slots.numbers[:, None])
    count = poisson(slots.sensor.size * rhythm[:, None] * _CLASSES / (1 + lane), draw)
    each = np.rint(_speeds(slots, rhythm)[:, None] + [6, 4, 0, -4, -7] - 5.0 * lane)
    total = count.sum(1)
    mean = np.rint((count * each).sum(1) / np.maximum(total, 1))
    counts = np.column_stack([count, total])
    speeds = np.where(counts > 0, np.column_stack([each, mean]), _NO_VEHICLE).astype(np.int64)
    pairs = np.stack([counts, speeds], axis=2).reshape(len(counts), 12)
    return np.concatenate([60 * counts, pairs], axis=1)


def _speeds(slots: Slots, rhythm: Numbers) -> Numbers:
    """Draw speeds in km/h, lower where the road is full."""
    free = 46 + 8 * float(slots.world.chance(slots.sensor.number, 61))
    congestion = 14 * np.clip(rhythm - 0.75, 0, 1) / 0.5
    return np.asarray(np.maximum(free - congestion + 3 * slots.noise(62), 8))


_MEASURES: Mapping[str, Callable[[Slots], Columns]] = {
    "vehicles": _vehicles, "passers": _passers, "air": _air, "airrohr": _airrohr, "station": _station,
    "telraam": _telraam, "ndw": _ndw,
}  # fmt: skip
