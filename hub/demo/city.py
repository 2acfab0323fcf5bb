"""
A simulated city for `stadspuls up --demo`: some sixty sensors with the rhythm, and the faults, of the real world.

Pure and deterministic: a message depends on the seed, the sensor and the minute alone, so any span of time can be asked
for. `hub.demo.sensor` measures, `hub.demo.own_json` and `hub.demo.suppliers` write payloads; here is the list of
sensors, when they send, and what goes wrong: drop-outs, stuck values, duplicates that agree and that do not, hours sent
late in one burst, a clock that drifts, a sensor that is dead.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from hub.demo import suppliers
from hub.demo.own_json import own, own_block
from hub.demo.sensor import Sensor, Slots
from hub.demo.world import HOUR, Times, World
from ingest.vocabulary.readings import SensorFact, microseconds
from ingest.vocabulary.sources import OWN

_SECOND = 1_000_000  # us
_OUTAGE = 6 * HOUR  # at most one late burst in each
_LATEST = 4 * HOUR  # nothing is sent later than this after its slot, and without bursts within one
_STREETS = ("Havenkade", "Molenweg", "Ringbaan", "Stationslaan", "Parkweg", "Westersingel", "Oosterstraat", "Dijk",
            "Marktplein", "Kanaalweg", "Lindelaan", "Sluisweg", "Brugstraat", "Zuiderweg", "Noorderhaven")  # fmt: skip

Form = Callable[[Slots], list[bytes]]


class SimMessage(NamedTuple):
    """An MQTT message and when its sensor sends it."""

    topic: str
    payload: bytes
    send_at: datetime


@dataclass(frozen=True, slots=True)
class Kind:
    """Sensors of one kind: how many, how often (s), how long after a slot's end they send (s), their sizes."""

    count: int
    source: str
    name: str
    kind: str
    form: Form
    period: int
    delay: float
    size: tuple[float, float]
    lanes: tuple[int, ...] = ()

    @property
    def block(self) -> Form:
        """Writes several slots at once, where the format can."""
        return own_block if self.form is own else self.form


_KINDS = (
    Kind(6, "ndw", "GEO0B_SIM_{:02}", "traffic", suppliers.ndw, 60, 35, (8, 22), (1, 1, 2, 1, 2, 1)),
    Kind(10, OWN, "counter-{:02}", "traffic", own, 60, 2, (4, 15), (1,)),
    Kind(8, OWN, "bicycles-{:02}", "bicycle", own, 300, 3, (10, 60)),
    Kind(4, OWN, "walkers-{:02}", "pedestrian", own, 300, 3, (15, 90)),
    Kind(14, OWN, "air-{:02}", "air", own, 300, 1, (0.8, 1.3)),
    Kind(6, "luchtmeetnet", "SIM{:02}", "air", suppliers.luchtmeetnet, HOUR, 900, (0.8, 1.4)),
    Kind(8, "telraam", "90000990{:02}", "traffic", suppliers.telraam, HOUR, 420, (0.7, 4)),
    Kind(6, "sensor_community", "esp8266-99000{:02}", "air", suppliers.airrohr, 145, 1, (0.8, 1.3)),
)
_LIVE_ONLY = "sensor_community"  # stamped only when it is received
_DEAD, _DRIFTING = "stadspuls/counter-10", "stadspuls/counter-09"
_STUCK = {"stadspuls/air-03", "stadspuls/air-11", "stadspuls/bicycles-05"}


class City:
    """
    A city around `centre` (lon, lat).

    One sensor is dead: it sends nothing from `dead_from` on, or never did where that is None.
    """

    def __init__(
        self,
        seed: int = 1,
        centre: tuple[float, float] = (6.57, 53.22),
        zone: str = "Europe/Amsterdam",
        dead_from: datetime | None = None,
    ) -> None:
        self._world = World(seed, ZoneInfo(zone))
        self._dead = microseconds(dead_from) if dead_from else -(1 << 62)
        self._sensors = [
            self._sensor(100 * at + n, kind, n, centre) for at, kind in enumerate(_KINDS) for n in range(kind.count)
        ]

    def catalogue(self) -> list[SensorFact]:
        """Give what is known about every sensor, also about those whose messages do not contain it."""
        return [sensor.fact for sensor in self._sensors]

    def messages(self, start: datetime, end: datetime) -> Iterator[SimMessage]:
        """Give what is sent from `start` to just before `end`, in order of sending."""
        first, last = microseconds(start), microseconds(end)
        found = [message for sensor in self._sensors for message in self._sent(sensor, first, last)]
        yield from sorted(found, key=lambda one: (one.send_at, one.topic, one.payload))

    def history(self, start: datetime, end: datetime) -> Iterator[SimMessage]:
        """
        Give what was measured from the hour of `start` to before the hour of `end`, as if all of it had arrived.

        The readings are those of `messages`, own JSON in blocks of an hour, and `send_at` is when each was complete.
        Sensors that are stamped only when received are left out.
        """
        for hour in range(microseconds(start) // _SECOND // HOUR, microseconds(end) // _SECOND // HOUR):
            for sensor in self._sensors:
                yield from self._hour(sensor, hour)

    def _sensor(self, number: int, kind: Kind, n: int, centre: tuple[float, float]) -> Sensor:
        (least, most), world = kind.size, self._world
        name = f"{kind.source}/{kind.name.format(n + 1)}"
        lon, lat = (float(world.normal(number, key)) for key in (51, 52))
        street = _STREETS[int(world.chance(number, 53) * len(_STREETS))]
        fact = SensorFact(
            name,
            f"{street} {1 + int(world.chance(number, 54) * 200)}",
            round(centre[0] + 0.025 * lon, 5),
            round(centre[1] + 0.015 * lat, 5),
            kind.lanes[n % len(kind.lanes)] if kind.lanes else None,
            kind=kind.kind,
            interval=float(kind.period) if kind.kind == "air" and kind.source in (OWN, _LIVE_ONLY) else None,
        )
        size = least + (most - least) * float(world.chance(number, 55))
        return Sensor(number, fact, kind.period, size, 30.0 if name == _DRIFTING else 0.0, name in _STUCK)

    def _sent(self, sensor: Sensor, first: int, last: int) -> Iterator[SimMessage]:
        latest = _LATEST if self._kind(sensor).source == OWN else HOUR
        slots = np.arange((first // _SECOND - latest) // sensor.period - 1, last // _SECOND // sensor.period + 1)
        times = self._sending(sensor, slots)
        for sent, salt, extra in self._repeats(sensor, slots):
            due = sent & (times + extra >= first) & (times + extra < last)
            if due.any():
                payloads = self._kind(sensor).form(Slots(self._world, sensor, slots[due], salt))
                for payload, time in zip(payloads, (times + extra)[due].tolist(), strict=True):
                    yield SimMessage(_topic(sensor), payload, _moment(time))

    def _hour(self, sensor: Sensor, hour: int) -> Iterator[SimMessage]:
        kind = self._kind(sensor)
        if kind.source == _LIVE_ONLY:
            return
        slots = np.arange(-(-hour * HOUR // sensor.period), -(-(hour + 1) * HOUR // sensor.period))
        complete = _moment((hour + 1) * HOUR * _SECOND)
        for sent, salt, _ in self._repeats(sensor, slots):
            if sent.any():
                for payload in kind.block(Slots(self._world, sensor, slots[sent], salt)):
                    yield SimMessage(_topic(sensor), payload, complete)

    def _kind(self, sensor: Sensor) -> Kind:
        return _KINDS[sensor.number // 100]

    def _sending(self, sensor: Sensor, slots: Times) -> Times:
        """When each slot is sent, in us: soon after its end, or when its sensor is back from an outage."""
        world, kind = self._world, self._kind(sensor)
        ends = (slots + (0 if sensor.fact.interval else 1)) * sensor.period
        jitter = 5 * world.chance(sensor.number, 14, slots)
        if kind.source != OWN:
            return np.asarray((ends + kind.delay + jitter) * _SECOND).astype(np.int64)
        block = ends // _OUTAGE
        begins = 2 * HOUR * world.chance(sensor.number, 21, block)
        back = begins + HOUR + 2 * HOUR * world.chance(sensor.number, 22, block)
        at = ends - block * _OUTAGE
        away = (world.chance(sensor.number, 20, block) < 0.06) & (at >= begins) & (at < back)
        times = np.where(away, block * _OUTAGE + back, ends + kind.delay) + jitter
        return np.asarray(times * _SECOND).astype(np.int64)

    def _repeats(self, sensor: Sensor, slots: Times) -> Iterator[tuple[NDArray[np.bool_], int, int]]:
        """Give which slots are sent: once, again with the same value, again with another; and how much later (us)."""
        chance, number = self._world.chance, sensor.number
        hour = slots * sensor.period // HOUR
        sent = (chance(number, 10, slots) >= 0.004) & (chance(number, 11, hour) >= 0.004)
        if sensor.fact.sensor_id == _DEAD:
            sent &= slots * sensor.period * _SECOND < self._dead
        yield sent, 0, 0
        yield sent & (chance(number, 12, slots) < 0.01), 0, 20 * _SECOND
        yield sent & (chance(number, 13, slots) < 0.001), 1, 45 * _SECOND


def _topic(sensor: Sensor) -> str:
    return f"{OWN}/{sensor.fact.sensor_id}"


def _moment(time: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
