"""
Sensor.Community: what every sensor of the world measured in the last five minutes, cut to the region or the country.

The snapshots overlap, so a measurement is remembered by sensor and stamp. There is no history: an outage of more than
five minutes is a gap in the readings, as when the sensors themselves are away.
"""

import zlib
from datetime import UTC, timedelta

import msgspec

from ingest.files.recordings import topic_of
from ingest.gateways.registry import Measurement, Turn, gateway
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


class SensorRecord(msgspec.Struct):
    """What the gateway needs of one measurement; the payload format reads the rest."""

    timestamp: str
    location: Place
    sensor: Sensor


_record = msgspec.json.Decoder(SensorRecord)


@gateway(SOURCE, HOST, every=120, pace=(10, 300.0), keep=timedelta(hours=1))
def snapshot(turn: Turn) -> None:
    """Publish the measurements of the snapshot that lie in the region, or else the country, and are new."""
    for raw, record, lon, lat in turn.readable(turn.web.news(SNAPSHOT, list[msgspec.Raw]) or (), _read):
        if record.location.country == COUNTRY if turn.region is None else turn.region.contains(lon, lat):
            sensor, when = record.sensor.id, stamp(record.timestamp, "timestamp", UTC)
            key = f"{sensor} {when:%Y-%m-%d %H:%M:%S}"
            turn.publish(topic_of(SOURCE, str(sensor)), [Measurement(key, f"{zlib.crc32(raw):x}", when, raw)])


def _read(raw: msgspec.Raw) -> tuple[bytes, SensorRecord, float, float]:
    record = _record.decode(raw)
    stamp(record.timestamp, "timestamp", UTC)
    lon, lat = number(record.location.longitude, "longitude"), number(record.location.latitude, "latitude")
    return bytes(raw), record, lon, lat
