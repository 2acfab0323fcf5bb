"""
Sensor.Community: what every sensor of the world said in the last five minutes, cut to the area or else to the country.

The snapshots overlap, so a measurement is remembered by sensor and stamp. There is no history: an outage of more than
five minutes is a gap in the readings, as when the sensors themselves are away.
"""

import zlib
from datetime import timedelta

import msgspec

from ingest.gateways.registry import Turn, gateway
from ingest.gateways.web import FormChanged
from ingest.readings import BadPayload
from ingest.recordings import topic_of
from ingest.values import number

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


_record = msgspec.json.Decoder(Record)


@gateway(SOURCE, HOST, every=120, pace=(10, 300.0), keep=timedelta(hours=1))
def snapshot(turn: Turn) -> None:
    """Publish the measurements of the snapshot that lie in the area and were not published yet."""
    found = turn.web.news(SNAPSHOT, list[msgspec.Raw])
    unread = 0
    for raw in found or ():
        try:
            record = _record.decode(raw)
            wanted = _is_wanted(turn, record.location)
        except (msgspec.ValidationError, BadPayload) as error:
            unread += 1
            last = error
            continue
        if wanted:
            _publish(turn, record, bytes(raw))
    if unread:
        turn.odd(f"{unread} of {len(found or ())} records: {last}")
    if found and unread == len(found):
        raise FormChanged(f"none of {unread} records can be read: {last}")


def _is_wanted(turn: Turn, place: Place) -> bool:
    if turn.area is None:
        return place.country == COUNTRY
    return turn.area.contains(number(place.longitude, "longitude"), number(place.latitude, "latitude"))


def _publish(turn: Turn, record: Record, payload: bytes) -> None:
    key, mark = f"{record.sensor.id} {record.timestamp}", f"{zlib.crc32(payload):x}"
    if turn.is_new(key, mark):
        turn.send(topic_of(SOURCE, str(record.sensor.id)), payload, {key: mark})
