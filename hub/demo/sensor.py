"""
A simulated sensor, and what it measures in some of its slots, vectorised.

A slot is the number of a sensor's period since 1970. A `salt` other than 0 gives another value for the same slot: a
sensor that sends twice and does not agree with itself. `hub.demo.world` has what happens, `hub.demo.own_json` and
`hub.demo.suppliers` write it as payloads.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from hub.demo.world import DAY, HOUR, WEEK, Numbers, Times, World, poisson
from ingest.vocabulary.readings import SensorFact


@dataclass(frozen=True, slots=True)
class Sensor:
    """One sensor of the city; `size` scales what it measures, `drift` is the error of its clock, in seconds a day."""

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
class Slots:
    """Some slots of one sensor, by their numbers."""

    world: World
    sensor: Sensor
    numbers: Times
    salt: int = 0

    @property
    def starts(self) -> Times:
        """When each slot begins."""
        return self.numbers * self.sensor.period

    @property
    def middle(self) -> Times:
        """The middle of each slot."""
        return self.starts + self.sensor.period // 2

    @property
    def drift(self) -> Times:
        """Seconds the sensor's clock is ahead: more every day, corrected on Mondays."""
        return np.asarray(self.starts % WEEK * self.sensor.drift / DAY).astype(np.int64)

    def stuck(self) -> "Slots":
        """Give the slot whose value is sent for each: where a sensor is stuck, the first one of nine hours."""
        if not self.sensor.sticks:
            return self
        day = self.starts // DAY
        begins = day * DAY + self.world.chance(self.sensor.number, 31, day) * 14 * HOUR
        since = self.starts - begins
        stuck = (self.world.chance(self.sensor.number, 30, day) < 0.5) & (since >= 0) & (since < 9 * HOUR)
        return replace(self, numbers=np.where(stuck, begins.astype(np.int64) // self.sensor.period, self.numbers))

    def chance(self, key: int) -> Numbers:
        """Draw a number in [0, 1) for each slot."""
        return self.world.chance(self.sensor.number, self.salt, key, self.numbers)

    def noise(self, key: int) -> Numbers:
        """Draw a sensor's own noise, of standard deviation 1."""
        return self.world.normal(self.sensor.number, self.salt, 100 + key, self.numbers)

    def counts(self, mean: Numbers) -> Times:
        """Draw what is counted in each slot."""
        return poisson(mean, self.chance(60))

    def speeds(self, rhythm: Numbers) -> Numbers:
        """Draw speeds in km/h, lower where the road is full."""
        free = 46 + 8 * float(self.world.chance(self.sensor.number, 61))
        slow = 14 * np.clip(rhythm - 0.75, 0, 1) / 0.5  # congestion
        return np.asarray(np.maximum(free - slow + 3 * self.noise(62), 8))

    def small_air(self) -> dict[str, Numbers]:
        """Measure the air as a small dust sensor does: damp dust counts too much."""
        found, damp = self.world.air(self.starts), self.world.humidity(self.starts)
        swollen = 1 + np.clip(damp - 80, 0, 20) / 25  # a cheap sensor counts fog as dust
        values = {
            "pm10": self.sensor.size * found["pm10"] * swollen * (1 + 0.08 * self.noise(1)),
            "pm25": self.sensor.size * found["pm25"] * swollen * (1 + 0.08 * self.noise(2)),
            "temperature": self.world.temperature(self.starts) + 0.3 * self.noise(3),
            "humidity": np.clip(damp + self.noise(4), 0, 100),
        }
        return {name: np.round(value, 2) for name, value in values.items()}


def stamps(times: Times, ending: str = "Z") -> list[str]:
    """Write times as ISO 8601 in UTC."""
    return [datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%S") + ending for time in times.tolist()]
