"""
Samen Meten's hourly figures of citizens' sensors: Observations and Things of RIVM's SensorThings API.

`ingest.gateways.samenmeten` sends these entities as they come, each Observation with the name of its Datastream,
`<thing>-<number>-<what>`. A raw value and its calibrated twin (`pm25`, `pm25_kal`) are one series: the twin is a
correction, whichever comes first. The stamp is the end of the hour (see docs/open-data.md).
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from ingest.decoding import payload_format
from ingest.quantities import QUANTITIES, convert
from ingest.readings import BadPayload, Flag, Message, Reading, SensorFact
from ingest.sources import SOURCES, Stamp, rounded
from ingest.values import stamp

SOURCE = "samenmeten"
HOUR = timedelta(hours=1)
CALIBRATED = "_kal"
# What the end of a Datastream's name measures, and in which unit.
QUANTITY = {
    "pm1": ("pm1", "ug/m3"), "pm10": ("pm10", "ug/m3"), "pm25": ("pm25", "ug/m3"), "no2": ("no2", "ug/m3"),
    "nh3": ("nh3", "ug/m3"), "o3": ("o3", "ug/m3"), "temp": ("temperature", "degC"), "rh": ("humidity", "%"),
    "pres": ("pressure", "hPa"),
}  # fmt: skip
FAILED = {-999.0, -99.9}  # "no value", measured in a recorded week: -999 for NO2, -99.9 for humidity


class Datastream(msgspec.Struct):
    """The Datastream of an Observation, as far as it is expanded."""

    name: str


class Observation(msgspec.Struct, rename={"time": "phenomenonTime", "stream": "Datastream"}):
    """One value of one Datastream for the hour that ends at `time`."""

    time: str
    result: float | None
    stream: Datastream


class Point(msgspec.Struct):
    """A GeoJSON point: longitude and latitude in degrees."""

    coordinates: list[float]


class Location(msgspec.Struct):
    """Where a Thing is."""

    location: Point


class Thing(msgspec.Struct, rename={"locations": "Locations"}):
    """A device, with its places."""

    name: str
    locations: list[Location]


class Observations(msgspec.Struct):
    """A page of the API."""

    value: list[Observation]


_page = msgspec.json.Decoder(Observations)
_thing = msgspec.json.Decoder(Thing)


@payload_format(SOURCE)
def samenmeten(message: Message) -> Iterator[Reading | SensorFact]:
    """Read a page of Observations, or a Thing with its Locations; raises BadPayload for anything else."""
    try:
        if b'"Locations"' in message.payload:
            yield _fact(_thing.decode(message.payload))
        else:
            for one in _page.decode(message.payload).value:
                yield from _readings(one)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadPayload(f"neither Observations nor a Thing of Samen Meten: {error}") from error


def _fact(thing: Thing) -> SensorFact:
    places = [one.location.coordinates for one in thing.locations if len(one.location.coordinates) >= 2]
    lon, lat = rounded(*places[0][:2]) if places else (None, None)
    return SensorFact(f"{SOURCE}/{thing.name}", thing.name, lon, lat, kind="air")


def _readings(one: Observation) -> Iterator[Reading]:
    thing, what = parts(one.stream.name)
    yield from readings(thing, what, stamp(one.time, "phenomenonTime"), one.result)


def parts(name: str) -> tuple[str, str]:
    """
    Part the name of a Datastream in the Thing's and what it measures.

    >>> parts("LTD_68263-6-pm25_kal")
    ('LTD_68263', 'pm25_kal')
    """
    thing, number, what = ["", "", *name.rsplit("-", 2)][-3:]
    if not thing or not number.isdigit():
        raise BadPayload(f"Datastream {name[:50]!r}, expected <thing>-<number>-<what>")
    return thing, what


def readings(thing: str, what: str, stamped: datetime, value: float | None) -> Iterator[Reading]:
    """
    Give the reading of a stamped hour; a calibrated value has version 1, where its message says no other.

    A calibration that failed gives none: it takes nothing away from the raw value. Raises BadPayload for what the hub
    has no quantity for.
    """
    base = what.removesuffix(CALIBRATED)
    if base not in QUANTITY:
        raise BadPayload(f"{what[:50]!r} of {thing[:50]!r}, expected one of {', '.join(QUANTITY)}, {CALIBRATED} or not")
    quantity, unit = QUANTITY[base]
    start = stamped - HOUR if SOURCES[SOURCE].stamp is Stamp.END else stamped
    hour = Reading(f"{SOURCE}/{thing}", "", quantity, 3600, start, None, 0.0, None, Flag.SOURCE_ERROR.value)
    if value is not None and value not in FAILED:
        value = convert(value, unit, QUANTITIES[quantity])
        yield hour._replace(value=value, weight=1.0, flags=0, version=int(what != base))
    elif what == base:
        yield hour
