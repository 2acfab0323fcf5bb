"""
Samen Meten: the hourly figures of citizens' sensors from RIVM's SensorThings API, raw and calibrated.

Observations become rows as in RIVM's exports, which `ingest/formats/mappings/samenmeten.toml` reads. A calibrated
value has the moment of asking as its version: it corrects the raw one, and an earlier calibration.

The service is slow and particular. An hour is asked for once it should be complete, and again later, for calibrations
that came after. The page behind the last one, and an hour without values, are answered with 504 after half a minute, so
such an answer ends the hour, and the later looks make up for a page that was lost that way. An hour without values is
asked for again and again, behind the others, so that a day without any keeps none waiting.
"""

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
CALIBRATED = "_kal"
PARAMETERS = ("pm1", "pm10", "pm25", "no2", "o3", "nh3", "temp", "rh", "pres")  # of the mapping file


class Entities(msgspec.Struct):
    """A page of Things or Observations, each as it came."""

    value: list[msgspec.Raw]


class Coordinates(msgspec.Struct):
    """A GeoJSON point: longitude and latitude in degrees."""

    coordinates: list[float]


class Location(msgspec.Struct):
    """Where a Thing is."""

    location: Coordinates


class Thing(msgspec.Struct, rename={"locations": "Locations"}):
    """What the gateway needs of a device."""

    name: str
    locations: list[Location]


class Stream(msgspec.Struct):
    """The Datastream of an Observation, `<thing>-<number>-<parameter>`."""

    name: str


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
    looked, empty = (turn.memory.note(name, dict[str, int], {}) for name in ("looked", "empty"))
    due = sorted(_due(turn, looked), key=lambda one: empty.get(_text(one[0]), 0))
    for hour, looks in due[:HOURS_A_TURN]:
        if _sweep(turn, hour):
            looked[_text(hour)] = looks
        else:
            empty[_text(hour)] = empty.get(_text(hour), 0) + 1
    oldest = _text(turn.now - HISTORY)
    for name, hours in (("looked", looked), ("empty", empty)):
        turn.memory.write(name, {hour: times for hour, times in hours.items() if hour >= oldest})


def _due(turn: Turn, looked: dict[str, int]) -> Iterator[tuple[datetime, int]]:
    """Give the hours that are due for a look, the newest first, with how many looks they will have had."""
    since = turn.memory.note("since", datetime, None)
    if since is None:
        since = turn.now - FIRST
        turn.memory.learn("since", since)
    hour = turn.now.replace(minute=0, second=0, microsecond=0)
    while hour >= max(since, turn.now - HISTORY):
        looks = sum(turn.now - hour >= look for look in LOOKS)
        if looked.get(_text(hour), 0) < looks:
            yield hour, looks
        hour -= HOUR


def _text(hour: datetime) -> str:
    return f"{hour:%Y-%m-%dT%H:%M:%S.000Z}"


def _sweep(turn: Turn, hour: datetime) -> bool:
    """Publish an hour; False where the service has none of it yet."""
    places = turn.memory.note("things", dict[str, tuple[float, float]], {})
    things: dict[str, list[Observation]] = {}
    whole = list(turn.readable(_observations(turn, hour), _read))
    for thing, row in whole:
        if turn.region is None or thing in places:
            things.setdefault(thing, []).append(row)
    for thing, rows in things.items():
        _publish(turn, thing, rows, places.get(thing))
    return bool(whole)


def _read(raw: msgspec.Raw) -> tuple[str, Observation]:
    row = _row.decode(raw)
    stamp(row.time, "phenomenonTime")
    return parts(row.stream.name)[0], row


def parts(name: str) -> tuple[str, str]:
    """
    Part the name of a Datastream in its Thing's and what it measures; raises BadPayload.

    >>> parts("LTD_68263-6-pm25_kal")
    ('LTD_68263', 'pm25_kal')
    """
    thing, number, what = ["", "", *name.rsplit("-", 2)][-3:]
    if not thing or not number.isdigit():
        raise BadPayload(f"Datastream {name[:50]!r}, expected <thing>-<number>-<parameter>")
    return thing, what


def _publish(turn: Turn, thing: str, rows: list[Observation], place: tuple[float, float] | None) -> None:
    """Publish what is new: raw and calibrated values apart, and each new parameter alone, for it may be refused."""
    groups: dict[str, list[Measurement]] = {}
    for row in rows:
        _, parameter = parts(row.stream.name)
        calibrated = parameter.endswith(CALIBRATED)
        if calibrated and row.result is None:
            continue  # a calibration without a result takes nothing away from the raw value
        known = parameter.removesuffix(CALIBRATED) in PARAMETERS
        group = parameter if not known else CALIBRATED if calibrated else ""
        groups.setdefault(group, []).append(_measurement(thing, parameter, row, place))
    for group, found in groups.items():
        version = f"?version={turn.now:%Y-%m-%dT%H:%M:%SZ}" if group == CALIBRATED else ""
        new = turn.publish(topic_of(SOURCE, thing) + version, found, b"[", b"]")
        if new and group not in ("", CALIBRATED):
            turn.form_changed(f"{found[0].key} measures {group!r}, expected one of {', '.join(PARAMETERS)}")


def _measurement(thing: str, parameter: str, row: Observation, place: tuple[float, float] | None) -> Measurement:
    """Write a row as in an export."""
    columns: dict[str, object] = {"station": thing, "parameter": parameter, "value": row.result, "timestamp": row.time}
    if place is not None:
        columns |= {"lat": place[1], "lon": place[0]}
    when = stamp(row.time, "phenomenonTime")
    return Measurement(f"{row.stream.name} {row.time}", repr(row.result), when, msgspec.json.encode(columns))


def _observations(turn: Turn, hour: datetime) -> Iterator[msgspec.Raw]:
    params = {
        "$filter": f"phenomenonTime eq {_text(hour)}", "$expand": "Datastream($select=id,name)",
        "$select": "phenomenonTime,result",
    }  # fmt: skip
    yield from _pages(turn, "Observations", params, may_be_empty=True)


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
    for name, place in turn.readable(_pages(turn, "Things", {"$orderby": "id", "$expand": "Locations"}), _placed):
        if place is not None and (turn.region is None or turn.region.contains(*place)):
            places[name] = place
    turn.memory.learn("things", places)
    turn.memory.learn("listed", turn.now.timestamp())


def _placed(raw: msgspec.Raw) -> tuple[str, tuple[float, float] | None]:
    thing = _thing.decode(raw)
    degrees = thing.locations[0].location.coordinates[:2] if thing.locations else []
    return thing.name, (degrees[0], degrees[1]) if len(degrees) == 2 else None  # some belong to no region
