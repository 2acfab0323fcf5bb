"""
A national NDW minute as MQTT messages: out of a recorded file, else made up in the same shape.

The made-up one has the sites, the layouts and the emptiness of a real Friday night: 19,587 sites, 190,000 flows and
speeds, most of them without a vehicle. `lab.bench.national` publishes it again and again, a minute later each time.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import NamedTuple

from ingest.files.recordings import messages
from ingest.files.sections import topic_of
from ingest.formats.decode import decode
from ingest.vocabulary.readings import Message

SITES = 19_587
_STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_FORM = "%Y-%m-%dT%H:%M:%SZ"

# Supplier, flows and speeds of a lane, lanes, and how many sites in a thousand: counted in the minute of
# 15 August 2025, 21:48 UTC.
_SHAPES = (
    ("RWS01", "FFFFSSSS", 1, 238), ("PZH01", "FFFFFFSSSSSS", 1, 198), ("RWS01", "FS", 2, 167), ("RWS01", "FS", 3, 134),
    ("GEO0C", "FFFFFFSSSSSS", 2, 82), ("RWS01", "FS", 1, 62), ("RWS01", "FS", 4, 48), ("RWS01", "FFFFSSSS", 2, 29),
    ("RWS01", "FS", 5, 16), ("PNH02", "FFFFFFSSSSSS", 3, 15), ("RWS01", "FFFFSSSS", 3, 7), ("RWS01", "FS", 6, 3),
    ("PNH02", "FFFFFFSSSSSS", 4, 1),
)  # fmt: skip
_SITE = (
    '<siteMeasurements xmlns="http://datex2.eu/schema/2/2_0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
    '<measurementSiteReference id="{site}" version="1" targetClass="MeasurementSiteRecord"/>'
    "<measurementTimeDefault>2025-08-15T21:48:00Z</measurementTimeDefault>{values}</siteMeasurements>"
)
_VALUE = (
    '<measuredValue index="{index}"><measuredValue><basicData xsi:type="Traffic{kind}">{value}</basicData>'
    "</measuredValue></measuredValue>"
)
_FLOW = "<vehicleFlow><vehicleFlowRate>{flow}</vehicleFlowRate></vehicleFlow>"
_SPEED = '<averageVehicleSpeed numberOfInputValuesUsed="{used}"{deviation}><speed>{speed}</speed></averageVehicleSpeed>'


class Minute(NamedTuple):
    """The messages of a minute: topics and payloads in the order they are sent."""

    messages: Sequence[tuple[str, bytes]]

    def shifted(self, first: datetime) -> "Minute":
        """Give the same minute later or earlier, so that its newest stamp is `first`."""
        stamps = [found[0] for _, payload in self.messages if (found := _STAMP.findall(payload))]
        newest = datetime.strptime(max(stamps).decode(), _FORM).replace(tzinfo=first.tzinfo)
        shift = first - newest
        known = {stamp: _moved(stamp, shift) for stamp in set(stamps)}
        return Minute([(topic, _STAMP.sub(lambda m: known.get(m[0], m[0]), text)) for topic, text in self.messages])

    def readings(self, received_at: datetime) -> tuple[int, int]:
        """Count what the decoder makes of it: readings, and messages that it refuses."""
        good = bad = 0
        for at in range(0, len(self.messages), 1_000):
            batch = decode([Message(*message, received_at) for message in self.messages[at : at + 1_000]])
            good, bad = good + len(batch), bad + len(batch.dead_letters)
        return good, bad


def recorded(path: Path) -> Minute:
    """Take a recorded national file apart; raises `ingest.vocabulary.readings.BadPayload`."""
    return Minute([(message.topic, message.payload) for message in messages(path, "ndw")])


def made_up(sites: int = SITES) -> Minute:
    """Make a minute of so many sites, the same each time."""
    random = Random(2149)
    shapes = random.choices(_SHAPES, [shape[3] for shape in _SHAPES], k=sites)
    named = [(f"{shape[0]}_BENCH_{number:05d}", shape) for number, shape in enumerate(shapes)]
    return Minute([(topic_of("ndw", site), _site(site, shape, random)) for site, shape in named])


def _site(site: str, shape: tuple[str, str, int, int], random: Random) -> bytes:
    _, lane, lanes, _ = shape
    values = "".join(_lane(lane, number * len(lane), random) for number in range(lanes))
    return _SITE.format(site=site, values=values).encode()


def _lane(lane: str, before: int, random: Random) -> str:
    """Write the values of a lane: of each class a flow, and a speed where vehicles passed."""
    classes = len(lane) // 2
    counts = [random.choice((0, 0, 0, 1, 2, 6)) for _ in range(classes - 1)]
    counts.append(sum(counts) if counts else random.choice((0, 3, 9, 14)))
    return "".join(
        _VALUE.format(index=before + at + 1, kind="Flow", value=_FLOW.format(flow=counts[at % classes] * 60))
        if kind == "F"
        else _VALUE.format(index=before + at + 1, kind="Speed", value=_speed(counts[at % classes], random))
        for at, kind in enumerate(lane)
    )


def _speed(vehicles: int, random: Random) -> str:
    if not vehicles:
        return _SPEED.format(used=0, deviation="", speed=-1)
    return _SPEED.format(used=vehicles, deviation=' standardDeviation="10.5"', speed=random.randint(45, 118))


def _moved(stamp: bytes, shift: timedelta) -> bytes:
    return (datetime.strptime(stamp.decode(), f"{_FORM[:-1]}%z") + shift).strftime(_FORM).encode()


def following(minute: Minute, first: datetime, count: int) -> Iterator[Minute]:
    """Give a minute and those that follow, of the same values."""
    return (minute.shifted(first + timedelta(minutes=number)) for number in range(count))
