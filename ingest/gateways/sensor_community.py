"""
Sensor.Community: what every sensor of the world said in the last five minutes, cut to the area or else to the country.

The snapshots overlap, so a measurement is remembered by sensor and stamp. There is no history: an outage of more than
five minutes is a gap in the readings, as when the sensors themselves are away.
"""

import zlib
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from ingest.files.recordings import topic_of
from ingest.gateways.registry import Turn, gateway
from ingest.vocabulary.values import number, stamp

SOURCE = "sensor_community"
HOST = "https://data.sensor.community"
SNAPSHOT = "static/v1/data.json"
COUNTRY = "NL"


class Place(msgspec.Struct):
    """Where a sensor is: degrees, as texts."""

    latitude: str
    longitude: str
    country: str = ""


class Sensor(msgspec.Struct):
    """Which sensor it is."""

    id: int


class Record(msgspec.Struct):
    """What the gateway needs of one measurement; the payload format reads the rest."""

    timestamp: str
    location: Place
    sensor: Sensor


class Said(NamedTuple):
    """What is known of a measurement before it is published."""

    sensor: int
    when: datetime
    country: str
    lon: float
    lat: float
    payload: bytes


_record = msgspec.json.Decoder(Record)


@gateway(SOURCE, HOST, every=120, pace=(10, 300.0), keep=timedelta(hours=1))
def snapshot(turn: Turn) -> None:
    """Publish the measurements of the snapshot that lie in the area and were not published yet."""
    for said in turn.readable(turn.web.news(SNAPSHOT, list[msgspec.Raw]) or (), _said):
        if said.country == COUNTRY if turn.area is None else turn.area.contains(said.lon, said.lat):
            _publish(turn, said)


def _said(raw: msgspec.Raw) -> Said:
    record = _record.decode(raw)
    place = record.location
    lon, lat = number(place.longitude, "longitude"), number(place.latitude, "latitude")
    return Said(record.sensor.id, stamp(record.timestamp, "timestamp", UTC), place.country, lon, lat, bytes(raw))


def _publish(turn: Turn, said: Said) -> None:
    key, mark = f"{said.sensor} {said.when:%Y-%m-%d %H:%M:%S}", f"{zlib.crc32(said.payload):x}"
    if turn.is_new(key, mark):
        turn.send(topic_of(SOURCE, str(said.sensor)), said.payload, {key: mark}, said.when)
