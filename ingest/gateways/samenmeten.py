"""
Samen Meten: the hourly figures of citizens' sensors from RIVM's SensorThings API, raw and calibrated.

Observations become rows as in RIVM's exports, which `ingest/formats/mappings/samenmeten.toml` reads. A calibrated
value has the moment of asking as its version: it corrects the raw one, and an earlier calibration.

The service is slow and particular. An hour is asked for once it should be complete, and again later, for calibrations
that came after. The page behind the last one, and an hour without values, are answered with 504 after half a minute, so
such an answer ends the hour, and the later looks make up for a page that was lost that way. An hour without values is
asked for again and again, behind the others, so that a day without any keeps none waiting.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import msgspec

from ingest.files.recordings import topic_of
from ingest.gateways.registry import Measurement, Turn, gateway
from ingest.gateways.web import SourceUnreachable
from ingest.vocabulary.readings import BadPayload
from ingest.vocabulary.values import stamp

SOURCE = "samenmeten"
HOST = "https://api-samenmeten.rivm.nl/v1.0"
PAGE = 200  # the service gives no more at once
HOUR = timedelta(hours=1)
LOOKS = (timedelta(minutes=80), timedelta(hours=5), timedelta(hours=26))  # after the stamp of an hour
FIRST = timedelta(hours=6)  # asked for when nothing is known
HISTORY = timedelta(days=7)  # how far back an outage is caught up
HOURS_A_TURN = 6
REFRESH = timedelta(days=1)  # of the list of Things
GONE = 504
_NAME = re.compile(r"(.+)-\d+-([^-]+)")  # of a Datastream: thing and parameter
CALIBRATED = "_kal"  # the end of the parameter of a calibrated value


class Entities(msgspec.Struct):
    """A page of Things or Observations, each as it came."""

    value: list[msgspec.Raw]


class Point(msgspec.Struct):
    """A GeoJSON point: longitude and latitude in degrees."""

    coordinates: list[float]


class Location(msgspec.Struct):
    """Where a Thing is."""

    location: Point


class Thing(msgspec.Struct, rename={"locations": "Locations"}):
    """What the gateway needs of a device."""

    name: str
    locations: list[Location]


class Unit(msgspec.Struct, frozen=True):
    """What the results of a Datastream are in, `ug/m3`."""

    symbol: str = ""


class Stream(msgspec.Struct, rename={"unit": "unitOfMeasurement"}):
    """The Datastream of an Observation, `<thing>-<number>-<parameter>`."""

    name: str
    unit: Unit = Unit()


class Observation(msgspec.Struct, rename={"time": "phenomenonTime", "stream": "Datastream"}):
    """What the gateway needs of one Observation."""

    time: str
    result: float | None
    stream: Stream


_row = msgspec.json.Decoder(Observation)
_thing = msgspec.json.Decoder(Thing)


@gateway(SOURCE, HOST, every=300, pace=(100, 60.0), keep=timedelta(days=4))
def hours(turn: Turn) -> None:
    """Publish the hours that are due of the sensors in the region, and where new sensors are."""
    if turn.now.timestamp() - turn.memory.note("listed", float, 0.0) >= REFRESH.total_seconds():
        _list(turn)
    known = turn.memory.note("hours", dict[str, tuple[int, int]], {})  # looks that had values, and looks that had none
    due = sorted(_due(turn, known), key=lambda one: known.get(_text(one[0]), (0, 0))[1])
    for hour, looks in due[:HOURS_A_TURN]:
        had, had_none = known.get(_text(hour), (0, 0))
        known[_text(hour)] = (looks, had_none) if _sweep(turn, hour) else (had, had_none + 1)
    turn.memory.write("hours", {hour: times for hour, times in known.items() if hour >= _text(turn.now - HISTORY)})


def _due(turn: Turn, known: dict[str, tuple[int, int]]) -> Iterator[tuple[datetime, int]]:
    """Give the hours that are due for a look, the newest first, with how many looks they will have had."""
    since = turn.memory.note("since", datetime, turn.now - FIRST)
    turn.memory.learn("since", since)
    hour = turn.now.replace(minute=0, second=0, microsecond=0)
    while hour >= max(since, turn.now - HISTORY):
        looks = sum(turn.now - hour >= look for look in LOOKS)
        if known.get(_text(hour), (0, 0))[0] < looks:
            yield hour, looks
        hour -= HOUR


def _text(hour: datetime) -> str:
    return f"{hour:%Y-%m-%dT%H:%M:%S.000Z}"


def _sweep(turn: Turn, hour: datetime) -> bool:
    """Publish an hour; False where the service has none of it yet."""
    places = turn.memory.note("things", dict[str, tuple[float, float]], {})
    groups: dict[tuple[str, bool], list[Measurement]] = defaultdict(list)
    params = {
        "$filter": f"phenomenonTime eq {_text(hour)}", "$expand": "Datastream($select=id,name,unitOfMeasurement)",
        "$select": "phenomenonTime,result",
    }  # fmt: skip
    rows = list(turn.readable(_pages(turn, "Observations", params, may_be_empty=True), _read))
    for thing, parameter, sent in rows:
        is_calibrated = parameter.endswith(CALIBRATED)
        # A calibration without a result takes nothing away from the raw value.
        is_wanted = sent.result is not None or not is_calibrated
        if is_wanted and (turn.region is None or thing in places):
            groups[thing, is_calibrated].append(_measurement(thing, parameter, sent, places.get(thing)))
    for (thing, is_calibrated), found in groups.items():
        version = f"?version={turn.now:%Y-%m-%dT%H:%M:%SZ}" if is_calibrated else ""
        turn.publish(topic_of(SOURCE, thing) + version, found, b"[", b"]")
    return bool(rows)


def _read(raw: msgspec.Raw) -> tuple[str, str, Observation]:
    sent = _row.decode(raw)
    name = _NAME.fullmatch(sent.stream.name)
    if name is None:
        raise BadPayload(f"Datastream {sent.stream.name[:50]!r}, expected <thing>-<number>-<parameter>")
    stamp(sent.time, "phenomenonTime")
    return name[1], name[2], sent


def _measurement(thing: str, parameter: str, sent: Observation, place: tuple[float, float] | None) -> Measurement:
    """Write a row as in an export."""
    columns = {"station": thing, "parameter": parameter, "value": sent.result, "unit": sent.stream.unit.symbol,
               "timestamp": sent.time}  # fmt: skip
    placed = columns | ({"lat": place[1], "lon": place[0]} if place else {})
    when = stamp(sent.time, "phenomenonTime")
    return Measurement(f"{sent.stream.name} {sent.time}", repr(sent.result), when, msgspec.json.encode(placed))


def _pages(
    turn: Turn, path: str, params: Mapping[str, str | int], *, may_be_empty: bool = False
) -> Iterator[msgspec.Raw]:
    """Page by number, for the links of the service leave out what was selected; an empty page comes as an error."""
    skip = 0
    while True:
        try:
            found = turn.web.json(path, Entities, {**params, "$top": PAGE, "$skip": skip}, tries=2).value
        except SourceUnreachable as error:
            if error.status == GONE and (skip or may_be_empty):
                return
            raise
        yield from found
        if len(found) < PAGE:
            return
        skip += PAGE


def _list(turn: Turn) -> None:
    """Learn where the Things are, or those of the region."""
    # On top of what is known: a list that an error cut short takes nothing away.
    places = turn.memory.note("things", dict[str, tuple[float, float]], {})
    for thing in turn.readable(_pages(turn, "Things", {"$orderby": "id", "$expand": "Locations"}), _thing.decode):
        degrees = thing.locations[0].location.coordinates if thing.locations else []  # some belong to no region
        if len(degrees) >= 2 and (turn.region is None or turn.region.contains(*degrees[:2])):
            places[thing.name] = (degrees[0], degrees[1])
    turn.memory.learn("things", places)
    turn.memory.learn("listed", turn.now.timestamp())
