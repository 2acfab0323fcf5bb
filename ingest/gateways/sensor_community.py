"""
Sensor.Community: what every sensor of the world measured in the last five minutes, cut to the region or the country.

The snapshots overlap, so a measurement is remembered by sensor and stamp. There is no history: an outage of more than
five minutes is a gap in the readings, as when the sensors themselves are away.
"""

import zlib
from datetime import UTC, timedelta

import msgspec

from ingest.files.recordings import topic_of
from ingest.gateways.region import Region
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

    def lies_in(self, region: Region | None) -> bool:
        """Tell whether it is in the region, or else in the country."""
        return (
            self.country == COUNTRY if region is None else region.contains(float(self.longitude), float(self.latitude))
        )


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
    """Publish the measurements of the snapshot that lie in the region and were not published yet."""
    for record, measurement in turn.readable(turn.web.news(SNAPSHOT, list[msgspec.Raw]) or (), _read):
        if record.location.lies_in(turn.region):
            turn.publish(topic_of(SOURCE, str(record.sensor.id)), [measurement])


def _read(raw: msgspec.Raw) -> tuple[SensorRecord, Measurement]:
    record = _record.decode(raw)
    when = stamp(record.timestamp, "timestamp", UTC)
    for name in ("longitude", "latitude"):
        number(getattr(record.location, name), name)
    text = bytes(raw)
    return record, Measurement(f"{record.sensor.id} {when:%Y-%m-%d %H:%M:%S}", f"{zlib.crc32(text):x}", when, text)
