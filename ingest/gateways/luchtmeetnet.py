"""
Luchtmeetnet: the hourly figures of every official station, and where the stations are.

Each turn asks for the hours since the last good one and some before, so that a figure that came late or was corrected
is found: a corrected one is published again with the moment of asking as its version, and so replaces the old.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from ingest.files.recordings import topic_of
from ingest.formats.coded.luchtmeetnet import luchtmeetnet
from ingest.gateways.registry import Measurement, Turn, gateway
from ingest.gateways.web import FormChanged, SourceUnreachable
from ingest.vocabulary.readings import BadPayload, Message, SensorFact
from ingest.vocabulary.values import stamp

SOURCE = "luchtmeetnet"
HOST = "https://api.luchtmeetnet.nl/open_api"
FIRST = timedelta(hours=26)  # asked for when nothing is known
AGAIN = timedelta(hours=6)  # hours that are asked for again in every turn,
DEEP = timedelta(hours=72)  # and so many every quarter of a day
DEEP_EVERY = timedelta(hours=6)
HISTORY = timedelta(days=28)  # how far back an outage is caught up; older months come as files
LONGEST = timedelta(days=6)  # of one request: the API refuses more than seven days
REFRESH = timedelta(days=7)  # of what is known about a station
PAGES = 2_000  # of one request; more is a faulty answer
ENVELOPE = (b'{"data":[', b"]}")  # around the measurements of a message, as in an answer of the API


class Pagination(msgspec.Struct):
    """Where an answer stands among its pages."""

    last_page: int


class Page(msgspec.Struct):
    """A page, its rows as they came."""

    pagination: Pagination
    data: list[msgspec.Raw]


class Figure(msgspec.Struct):
    """What the gateway needs of one figure."""

    station_number: str
    formula: str
    timestamp_measured: str
    value: float | None


Station = tuple[float, float, float]  # longitude and latitude in degrees, and when it was asked about (s since 1970)

_row = msgspec.json.Decoder(Figure)


@gateway(SOURCE, HOST, every=600, pace=(95, 300.0), keep=timedelta(days=4))
def hours(turn: Turn) -> None:
    """Publish the figures that are new or corrected, station by station, and ask about stations that are not known."""
    whole = True
    for begin, end in _windows(turn):
        for number, rows in _by_station(turn, begin, end).items():
            place = _station(turn, number)
            whole = whole and place is not None
            if turn.region is None or (place is not None and turn.region.contains(*place[:2])):
                turn.publish(f"{topic_of(SOURCE, number)}?version={turn.now:%Y-%m-%dT%H:%M:%SZ}", rows, *ENVELOPE)
    # Figures of a station whose place is not known yet are asked for again, as far back as a deep look goes.
    until = turn.memory.note("until", datetime, turn.now - FIRST)
    turn.memory.write("until", turn.now if whole else max(until, turn.now - DEEP))


def _windows(turn: Turn) -> Iterator[tuple[datetime, datetime]]:
    """Give the ranges to ask for, the oldest first."""
    until = turn.memory.note("until", datetime, None)
    deep = turn.memory.note("deep", datetime, None)
    back = AGAIN
    if deep is None or turn.now - deep >= DEEP_EVERY:
        back = DEEP
        turn.memory.write("deep", turn.now)
    begin = turn.now - FIRST if until is None else max(min(until, turn.now) - back, turn.now - HISTORY)
    while begin < turn.now:
        yield begin, min(begin + LONGEST, turn.now)
        begin += LONGEST


def _by_station(turn: Turn, begin: datetime, end: datetime) -> dict[str, list[Measurement]]:
    found: dict[str, list[Measurement]] = defaultdict(list)
    for station, measurement in turn.readable(_pages(turn, begin, end), _read):
        found[station].append(measurement)
    return found


def _read(raw: msgspec.Raw) -> tuple[str, Measurement]:
    row = _row.decode(raw)
    key = f"{row.station_number} {row.formula} {row.timestamp_measured}"
    when = stamp(row.timestamp_measured, "timestamp_measured")
    return row.station_number, Measurement(key, repr(row.value), when, bytes(raw))


def _pages(turn: Turn, begin: datetime, end: datetime) -> Iterator[msgspec.Raw]:
    page, last = 1, 1
    while page <= last:
        params: dict[str, str | int] = {
            "start": f"{begin:%Y-%m-%dT%H:%M:%SZ}", "end": f"{end:%Y-%m-%dT%H:%M:%SZ}", "page": page,
            "order_by": "timestamp_measured", "order_direction": "asc",
        }  # fmt: skip
        found = turn.web.json("measurements", Page, params)
        last = found.pagination.last_page
        if last > PAGES:
            raise FormChanged(f"measurements of {last} pages, expected at most {PAGES}")
        yield from found.data
        page += 1


def _station(turn: Turn, number: str) -> Station | None:
    """Give what is known about a station, asking where it is new or long ago; None where it cannot be had now."""
    known = turn.memory.note("stations", dict[str, Station], {})
    station = known.get(number)
    now = turn.now.timestamp()
    if station is not None and now - station[2] < REFRESH.total_seconds():
        return station
    try:
        answer = bytes(turn.web.json(f"stations/{number}", msgspec.Raw))
        fact = next(luchtmeetnet(Message(topic_of(SOURCE, number), answer, turn.now)))
        if not isinstance(fact, SensorFact) or fact.lon is None or fact.lat is None:
            raise BadPayload("no place, expected one")
    except (SourceUnreachable, BadPayload) as error:
        turn.unreadable(f"station {number}: {error}")
        return station
    place = (fact.lon, fact.lat, now)
    turn.memory.learn("stations", known | {number: place})
    if turn.region is None or turn.region.contains(*place[:2]):
        turn.send(topic_of(SOURCE, number), answer)
    return place
