"""
The simulated city: chance, rhythm and weather as pure functions of seed, sensor and time; sensors from `city.toml`.

Chance is a hash, not a stream: the value of a sensor in a minute does not depend on what was asked before.
`lab.demo.payloads` measures it. Times are arrays of seconds since 1970.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import takewhile
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ingest.files.catalogue import Entry
from ingest.vocabulary.sources import OWN

Numbers = NDArray[np.float64]
Times = NDArray[np.int64]

MARK = "(simulated)"  # at the end of every sensor's name, so that no figure is taken for a measured one
HOUR, DAY, WEEK = 3600, 86_400, 604_800
_MONDAY = 4 * DAY  # 5 January 1970


def _mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        bits = bits + np.uint64(0x9E3779B97F4A7C15)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return bits ^ (bits >> np.uint64(31))


@cache
def _mixed(seed: int, *keys: int) -> NDArray[np.uint64]:
    """Mix the keys that are alike for all times, of which a city has some hundreds."""
    mixed = _mix(np.asarray(seed, dtype=np.int64).astype(np.uint64))
    for key in keys:
        mixed = _mix(mixed ^ _mix(np.asarray(key, dtype=np.int64).astype(np.uint64)))
    return mixed


def poisson(mean: Numbers, draw: Numbers) -> Times:
    """Give the count that a draw in [0, 1) means, by the inverse of the distribution."""
    mean, draw = np.broadcast_arrays(mean, draw)
    part = np.exp(-mean)
    reached, count = part.copy(), np.zeros(mean.shape, dtype=np.int64)
    for n in range(1, 20 + int(mean.max(initial=0) * 1.5 + 10 * np.sqrt(mean.max(initial=0)))):
        above = draw > reached
        if not above.any():
            break
        count += above
        part = part * mean / n
        reached = reached + part
    return count


def _bump(hour: Numbers, at: float, width: float) -> Numbers:
    return np.asarray(np.exp(-(((hour - at) / width) ** 2) / 2))


@dataclass(frozen=True, slots=True)
class World:
    """What decides everything that happens: a seed, and the zone of the city's clocks."""

    seed: int
    zone: ZoneInfo

    def chance(self, *keys: int | Times) -> Numbers:
        """
        Give numbers in [0, 1) that only the seed and the keys decide (splitmix64).

        >>> world = World(7, ZoneInfo("UTC"))
        >>> bool((world.chance(1, np.arange(3)) == world.chance(1, np.arange(3))).all())
        True
        """
        numbers = [key for key in takewhile(lambda key: isinstance(key, int), keys) if isinstance(key, int)]
        mixed = _mixed(self.seed, *numbers)
        for key in keys[len(numbers) :]:
            mixed = _mix(mixed ^ _mix(np.asarray(key, dtype=np.int64).astype(np.uint64)))
        return np.asarray((mixed >> np.uint64(11)) * 2.0**-53, dtype=np.float64)

    def normal(self, *keys: int | Times) -> Numbers:
        """Give numbers of the standard normal distribution (Box-Muller)."""
        radius = np.sqrt(-2 * np.log(1 - self.chance(*keys, 1)))
        return np.asarray(radius * np.cos(2 * np.pi * self.chance(*keys, 2)))

    def smooth(self, key: int, times: Times, length: int) -> Numbers:
        """Give slow noise of about -1 to 1: a draw every `length` seconds, a soft line between them."""
        node = times // length
        share = (times - node * length) / length
        share = share * share * (3 - 2 * share)
        before, after = self.chance(key, node), self.chance(key, node + 1)
        return np.asarray(2 * (before + (after - before) * share) - 1)

    def clock(self, times: Times) -> tuple[Numbers, Times]:
        """Give the hour of the local day, with its fraction, and the day of the week (Monday is 0)."""
        local = pd.to_datetime(times, unit="s", utc=True).tz_convert(self.zone).tz_localize(None).as_unit("s").asi8
        return np.asarray(local % DAY / HOUR), (local - _MONDAY) // DAY % 7

    def motor_rhythm(self, times: Times) -> Numbers:
        """Give the share of a road's busiest traffic: two rush hours on working days, an afternoon at the weekend."""
        hour, day = self.clock(times)
        working = 0.03 + _bump(hour, 8.1, 0.9) + 0.95 * _bump(hour, 17.2, 1.2) + 0.5 * _bump(hour, 13, 3.5)
        free = 0.04 + 0.6 * _bump(hour, 14.5, 3.5) + 0.15 * _bump(hour, 0.5, 1.5)
        return np.asarray(np.where(day < 5, working, free) * (1 + 0.1 * self.smooth(-5, times, 7 * HOUR)))

    def unusual(self, number: int, times: Times) -> Numbers:
        """Give what a sensor's street has more or less than usual: on some days works keep traffic out, or draw it."""
        day = times // DAY
        draw = self.chance(number, 40, day)
        there = (times - day * DAY >= 6 * HOUR) & (times - day * DAY < 21 * HOUR)
        return np.asarray(np.where(there & (draw < 0.04), 0.4, np.where(there & (draw > 0.96), 1.7, 1.0)))

    def slow_rhythm(self, times: Times) -> Numbers:
        """Give the share of cyclists and pedestrians: fewer in rain, shopping on Saturday."""
        hour, day = self.clock(times)
        working = 0.02 + _bump(hour, 8.3, 0.7) + 0.8 * _bump(hour, 17, 1.4) + 0.4 * _bump(hour, 13, 3)
        free = 0.02 + np.where(day == 5, 0.9, 0.5) * _bump(hour, 14.5, 3)
        return np.asarray(np.where(day < 5, working, free) * (1 - 0.5 * self.rain(times)))

    def rain(self, times: Times) -> Numbers:
        """Give 0 when dry up to 1 in a shower."""
        return np.asarray(np.clip(3 * self.smooth(-1, times, 2 * HOUR) - 1.2, 0, 1))

    def temperature(self, times: Times) -> Numbers:
        """Give degrees Celsius: season, day and weather."""
        season = -np.cos(2 * np.pi * (times / DAY % 365.25 - 20) / 365.25)
        hour, _ = self.clock(times)
        daily = -np.cos(2 * np.pi * (hour - 3.5) / 24)
        return np.asarray(10.5 + 7.5 * season + 3.5 * daily + 3 * self.smooth(-3, times, 15 * HOUR))

    def humidity(self, times: Times) -> Numbers:
        """Give per cent: damp nights and showers."""
        hour, _ = self.clock(times)
        return np.asarray(np.clip(74 + 12 * np.cos(2 * np.pi * (hour - 4) / 24) + 15 * self.rain(times), 20, 100))

    def air(self, times: Times) -> dict[str, Numbers]:
        """Give the city's background in ug/m3: traffic and stillness make NO2 and dust, sun makes ozone of it."""
        wind = 4.5 + 3.5 * self.smooth(-2, times, 9 * HOUR)  # m/s
        still = 5 / np.maximum(wind, 0.8)
        traffic = self.motor_rhythm(times)
        no2 = (6 + 16 * traffic) * still
        pm10 = (9 + 5 * traffic) * still * (1 - 0.4 * self.rain(times)) + 4 + 3 * self.smooth(-4, times, 20 * HOUR)
        warm = np.clip(self.temperature(times), 0, 30)
        return {"no2": no2, "pm10": pm10, "pm25": 0.6 * pm10, "o3": np.maximum(2, 45 + 1.4 * warm - 0.9 * no2)}


class Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How readings are written; own JSON where it is not said."""

    each: str
    message: str = (
        '{"sensor_id":"%(id)s","name":"%(name)s","lon":%(lon)s,"lat":%(lat)s,"lanes":%(lanes)s,"interval":%(interval)s,'
        '"readings":[%(readings)s]}'
    )
    between: str = ","
    together: int = 360
    flow: str = ""
    speed: str = ""


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sensors of one kind, one at each place (street, lon, lat); `period` and `delay` are seconds."""

    source: str
    name: str
    kind: str
    form: str
    period: int
    delay: float
    size: tuple[float, float]
    places: tuple[tuple[str, float, float], ...]
    lanes: tuple[int | None, ...] = (None,)
    instants: bool = False
    live_only: bool = False


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything in `city.toml`."""

    dead: str
    drifting: str
    stuck: frozenset[str]
    kinds: tuple[Kind, ...]
    forms: dict[str, Form]


FACTS = msgspec.convert(tomllib.loads(files("lab.demo").joinpath("city.toml").read_text("utf-8")), Facts)


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
    """Put the city's sensors into the streets of Groningen."""
    return [
        _sensor(world, 100 * at + n, kind, n) for at, kind in enumerate(FACTS.kinds) for n in range(len(kind.places))
    ]


def _sensor(world: World, number: int, kind: Kind, n: int) -> Sensor:
    street, lon, lat = kind.places[n]
    entry = Entry(
        f"{kind.source}/{kind.name.format(n + 1)}", f"{street} {MARK}", kind.kind, lon, lat,
        kind.lanes[n % len(kind.lanes)], float(kind.period) if kind.instants else None,
    )  # fmt: skip
    least, most = kind.size
    return Sensor(number, kind, entry, least + (most - least) * float(world.chance(number, 55)))
