"""
A simulated city for `stadspuls up --demo`: some sixty sensors with the rhythm, and the faults, of the real world.

Pure and deterministic: a message depends on the seed, the sensor and the minute alone, so any span of time can be asked
for. `lab.demo.payloads` writes payloads; here is when they are sent, and what goes wrong: drop-outs, stuck values,
duplicates, corrections, hours sent late in one burst, a clock that drifts, a sensor that is dead.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from ingest.files.catalogue import Entry
from ingest.vocabulary.readings import Message, microseconds
from ingest.vocabulary.sources import OWN
from lab.demo.payloads import Slots, payloads
from lab.demo.world import FACTS, HOUR, Sensor, Times, World, sensors

_SECOND = 1_000_000  # us
_OUTAGE = 6 * HOUR  # at most one late burst in each
_LATEST = 4 * HOUR  # nothing is sent later than this after its slot, and without bursts within one
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class City:
    """A city whose clocks have a zone."""

    def __init__(self, seed: int = 1, zone: str = "Europe/Amsterdam") -> None:
        self._world = World(seed, ZoneInfo(zone))
        self._sensors = sensors(self._world)

    def catalogue(self) -> list[Entry]:
        """Give what is known about every sensor, also about those whose messages do not contain it."""
        return [sensor.entry for sensor in self._sensors]

    def messages(self, start: datetime, end: datetime, live: bool = True) -> Iterator[Message]:
        """
        Give what is sent from `start` to just before `end`, in order of sending, as if it were received at once.

        What is not `live` is as a backlog: many readings in a message, each once, and nothing of sensors whose messages
        are stamped only when received.
        """
        first, last = microseconds(start), microseconds(end)
        asked = [sensor for sensor in self._sensors if live or not sensor.kind.live_only]
        found = [message for sensor in asked for message in self._sent(sensor, first, last, live)]
        yield from sorted(found, key=lambda one: (one.received_at, one.topic, one.payload))

    def history(self, start: datetime, end: datetime) -> Iterator[Message]:
        """
        Give the hours from `start` to just before `end`, one message a sensor, as if all were received at the end.

        An hour is the sum, or the mean, of what was measured in it. Sensors whose format has no hours have none.
        """
        for sensor in self._sensors:
            kind = sensor.kind
            dead = sensor.entry.sensor_id == FACTS.dead
            if dead or kind.live_only or (kind.source != OWN and kind.period != HOUR):
                continue
            first, last = (int(one.timestamp()) // HOUR * HOUR // kind.period for one in (start, end))
            slots = Slots(self._world, sensor, np.arange(first, last))
            for payload in payloads(slots, FACTS.forms[kind.form].together, HOUR // kind.period):
                yield Message(sensor.topic, payload, end)

    def _sent(self, sensor: Sensor, first: int, last: int, live: bool) -> Iterator[Message]:
        latest, period = _LATEST if sensor.kind.source == OWN else HOUR, sensor.kind.period
        slots = np.arange((first // _SECOND - latest) // period - 1, last // _SECOND // period + 1)
        times = self._sending(sensor, slots)
        for sent, salt, extra in self._repeats(sensor, slots, live):
            due = sent & (times + extra >= first) & (times + extra < last)
            if due.any():
                together = 1 if live else FACTS.forms[sensor.kind.form].together
                when = (times + extra)[due]
                written = payloads(Slots(self._world, sensor, slots[due], salt), together)
                sent_at = np.maximum.reduceat(when, range(0, len(when), together)).tolist()
                for payload, time in zip(written, sent_at, strict=True):
                    yield Message(sensor.topic, payload, _EPOCH + timedelta(microseconds=time))

    def _sending(self, sensor: Sensor, slots: Times) -> Times:
        """When each slot is sent, in us: soon after its end, or when its sensor is back from an outage."""
        world, kind = self._world, sensor.kind
        ends = (slots + (0 if kind.instants else 1)) * kind.period
        times = ends + kind.delay
        if kind.source == OWN:
            block = ends // _OUTAGE
            begins = 2 * HOUR * world.chance(sensor.number, 21, block)
            back = begins + HOUR + 2 * HOUR * world.chance(sensor.number, 22, block)
            at = ends - block * _OUTAGE
            away = (world.chance(sensor.number, 20, block) < 0.06) & (at >= begins) & (at < back)
            times = np.where(away, block * _OUTAGE + back, times)
        return np.asarray((times + 5 * world.chance(sensor.number, 14, slots)) * _SECOND).astype(np.int64)

    def _repeats(self, sensor: Sensor, slots: Times, live: bool) -> Iterator[tuple[NDArray[np.bool_], int, int]]:
        """Give which slots are sent: once, and of what is live some again, and again corrected, so much later (us)."""
        if sensor.entry.sensor_id == FACTS.dead:
            return
        chance, number = self._world.chance, sensor.number
        hour = slots * sensor.kind.period // HOUR
        sent = (chance(number, 10, slots) >= 0.004) & (chance(number, 11, hour) >= 0.004)
        yield sent, 0, 0
        if not live:
            return
        yield sent & (chance(number, 12, slots) < 0.01), 0, 20 * _SECOND
        if sensor.kind.source == OWN:  # no other source can say that a message corrects another
            yield sent & (chance(number, 13, slots) < 0.001), 1, 45 * _SECOND
