"""
The sensors of the simulated city, as `city.toml` has them, and some of the slots of one.

A slot is the number of a sensor's period since 1970. A `salt` other than 0 gives another value for the same slot: a
sensor that sends twice and does not agree with itself.
"""

import tomllib
from dataclasses import dataclass, replace
from importlib.resources import files

import msgspec
import numpy as np

from hub.demo.world import DAY, HOUR, WEEK, Numbers, Times, World
from ingest.files.catalogue import Entry
from ingest.vocabulary.sources import OWN


class Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How readings are written; own JSON where it is not said."""

    each: str
    message: str = (
        '{"sensor_id":"%(id)s","name":"%(name)s","lon":%(lon)s,"lat":%(lat)s,"lanes":%(lanes)s,"interval":%(interval)s,'
        '"readings":[%(readings)s]}'
    )
    flow: str = ""
    speed: str = ""


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sensors of one kind; `period` and `delay` are seconds."""

    count: int
    source: str
    name: str
    kind: str
    form: str
    period: int
    delay: float
    size: tuple[float, float]
    lanes: tuple[int | None, ...] = (None,)
    instants: bool = False
    live_only: bool = False


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything in `city.toml`."""

    streets: tuple[str, ...]
    dead: str
    drifting: str
    stuck: frozenset[str]
    kinds: tuple[Kind, ...]
    forms: dict[str, Form]


FACTS = msgspec.convert(tomllib.loads(files("hub.demo").joinpath("city.toml").read_text("utf-8")), Facts)


class Sensor(msgspec.Struct, frozen=True):
    """One sensor of the city; `size` scales what it measures."""

    number: int
    kind: Kind
    entry: Entry
    size: float

    @property
    def supplier_id(self) -> str:
        """The id without the source."""
        return self.entry.sensor_id.partition("/")[2]

    @property
    def topic(self) -> str:
        """What it publishes under."""
        return f"{OWN}/{self.entry.sensor_id}"


def sensors(world: World) -> list[Sensor]:
    """Put the city's sensors around the middle of Groningen."""
    return [_sensor(world, 100 * at + n, kind, n) for at, kind in enumerate(FACTS.kinds) for n in range(kind.count)]


def _sensor(world: World, number: int, kind: Kind, n: int) -> Sensor:
    lon, lat = (float(world.normal(number, key)) for key in (51, 52))
    street, house, size = (float(world.chance(number, key)) for key in (53, 54, 55))
    entry = Entry(
        f"{kind.source}/{kind.name.format(n + 1)}",
        f"{FACTS.streets[int(street * len(FACTS.streets))]} {1 + int(house * 200)}",
        kind.kind,
        round(6.57 + 0.025 * lon, 5),
        round(53.22 + 0.015 * lat, 5),
        kind.lanes[n % len(kind.lanes)],
        float(kind.period) if kind.instants else None,
    )
    least, most = kind.size
    return Sensor(number, kind, entry, least + (most - least) * size)


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
