"""
Luchtmeetnet: the hourly figures of every official station, and where the stations are.

Each turn asks for the hours since the last good one and some before, so that a figure that came late or was mended is
found: a mended one is published again with the moment of asking as its version, and so replaces the old. The index
that Luchtmeetnet gives (LKI) is held against the one made of the same figures (`ingest.vocabulary.air_index`); it is
not stored.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from ingest.files.recordings import topic_of
from ingest.formats.coded.luchtmeetnet import QUANTITY, UNUSED
from ingest.gateways.registry import Turn, gateway
from ingest.gateways.web import FormChanged, Unreachable
from ingest.vocabulary.air_index import index_of_hour
from ingest.vocabulary.values import stamp

SOURCE = "luchtmeetnet"
HOST = "https://api.luchtmeetnet.nl/open_api"
FIRST = timedelta(hours=26)  # asked for when nothing is known
AGAIN = timedelta(hours=6)  # hours that are asked for again in every turn,
DEEP = timedelta(hours=72)  # and so many every quarter of a day
DEEP_EVERY = timedelta(hours=6)
HISTORY = timedelta(days=28)  # how far back an outage is caught up; older months come as files
LONGEST = timedelta(days=6)  # of one question: the API refuses more than seven days
REFRESH = timedelta(days=7)  # of what is known about a station
PAGES = 2_000  # of one question; more is an answer gone mad


class Pagination(msgspec.Struct):
    """Where an answer stands among its pages."""

    last_page: int


class Page(msgspec.Struct):
    """A page, its rows as they came."""

    pagination: Pagination
    data: list[msgspec.Raw]


class Row(msgspec.Struct):
    """What the gateway needs of one figure."""

    station_number: str
    formula: str
    timestamp_measured: str
    value: float | None


class Place(msgspec.Struct):
    """A GeoJSON point."""

    coordinates: tuple[float, float]


class Details(msgspec.Struct):
    """What the gateway needs to know about a station."""

    geometry: Place


class About(msgspec.Struct):
    """The answer about one station."""

    data: Details


class Station(msgspec.Struct):
    """A station as it is remembered: degrees, and when it was asked about (s since 1970)."""

    lon: float
    lat: float
    asked: float


_row = msgspec.json.Decoder(Row)
_about = msgspec.json.Decoder(About)


@gateway(SOURCE, HOST, every=600, pace=(95, 300.0), keep=timedelta(days=4))
def hours(turn: Turn) -> None:
    """Publish the figures that are new or mended, station by station, and ask about stations that are not known."""
    whole = True
    for begin, end in _windows(turn):
        means: dict[tuple[str, str], dict[str, float | None]] = {}
        for number, rows in _by_station(turn, begin, end).items():
            place = _station(turn, number)
            whole = whole and place is not None
            if turn.area is None or (place is not None and turn.area.contains(place.lon, place.lat)):
                _publish(turn, number, rows)
                means |= {(number, end): _means(hour) for end, hour in _by_hour(rows).items()}
        _compare(turn, begin, end, means)
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
        end = min(begin + LONGEST, turn.now)
        yield begin, end
        begin = end


def _by_station(turn: Turn, begin: datetime, end: datetime) -> dict[str, list[tuple[Row, bytes]]]:
    found: dict[str, list[tuple[Row, bytes]]] = {}
    for row, raw in turn.readable(_pages(turn, "measurements", begin, end), _read):
        found.setdefault(row.station_number, []).append((row, raw))
    return found


def _read(raw: msgspec.Raw) -> tuple[Row, bytes]:
    row = _row.decode(raw)
    stamp(row.timestamp_measured, "timestamp_measured")
    return row, bytes(raw)


def _pages(turn: Turn, path: str, begin: datetime, end: datetime) -> Iterator[msgspec.Raw]:
    page, last = 1, 1
    while page <= last:
        params: dict[str, str | int] = {
            "start": f"{begin:%Y-%m-%dT%H:%M:%SZ}", "end": f"{end:%Y-%m-%dT%H:%M:%SZ}", "page": page,
            "order_by": "timestamp_measured", "order_direction": "asc",
        }  # fmt: skip
        found = turn.web.json(path, Page, params)
        last = found.pagination.last_page
        if last > PAGES:
            raise FormChanged(f"{path} of {last} pages, expected at most {PAGES}")
        yield from found.data
        page += 1


def _publish(turn: Turn, number: str, rows: list[tuple[Row, bytes]]) -> None:
    """Publish what is new of one station; a component that the hub does not know goes alone, to the dead letters."""
    new = [(row, raw) for row, raw in rows if turn.is_new(_key(row), repr(row.value))]
    known = [(row, raw) for row, raw in new if row.formula.upper() in QUANTITY or row.formula.upper() in UNUSED]
    strange = [(row, raw) for row, raw in new if (row, raw) not in known]
    if strange:
        turn.changed(f"station {number} has components {sorted({row.formula for row, _ in strange})}")
    for part in (known, strange):
        if part:
            topic = f"{topic_of(SOURCE, number)}?version={turn.now:%Y-%m-%dT%H:%M:%SZ}"
            payload = b'{"data":[' + b",".join(raw for _, raw in part) + b"]}"
            newest = max(stamp(row.timestamp_measured, "timestamp_measured") for row, _ in part)
            turn.send(topic, payload, {_key(row): repr(row.value) for row, _ in part}, newest)


def _by_hour(rows: list[tuple[Row, bytes]]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row, _ in rows:
        found.setdefault(row.timestamp_measured, []).append(row)
    return found


def _means(rows: list[Row]) -> dict[str, float | None]:
    return {QUANTITY[row.formula.upper()]: row.value for row in rows if row.formula.upper() in QUANTITY}


def _compare(turn: Turn, begin: datetime, end: datetime, means: dict[tuple[str, str], dict[str, float | None]]) -> None:
    """Hold the index that Luchtmeetnet gives against ours, once for each station and hour; it only counts."""
    try:
        for raw in _pages(turn, "lki", begin, end) if means else ():
            row = _row.decode(raw)
            ours = index_of_hour("lki", means.get((row.station_number, row.timestamp_measured), {}))
            if ours is not None and turn.memory.is_new(_key(row), repr(row.value), int(turn.now.timestamp())):
                turn.memory.publish({_key(row): repr(row.value)}, int(turn.now.timestamp()))
                turn.counts.add("index_compared", "same" if row.value == ours else "differs")
    except (Unreachable, FormChanged, msgspec.ValidationError) as error:
        turn.odd(f"lki: {error}")


def _key(row: Row) -> str:
    return f"{row.station_number} {row.formula} {row.timestamp_measured}"


def _station(turn: Turn, number: str) -> Station | None:
    """Give what is known about a station, asking where it is new or long ago; None where it cannot be had now."""
    known = turn.memory.note("stations", dict[str, Station], {})
    station = known.get(number)
    now = turn.now.timestamp()
    if station is not None and now - station.asked < REFRESH.total_seconds():
        return station
    try:
        raw = turn.web.json(f"stations/{number}", msgspec.Raw)
        lon, lat = _about.decode(raw).data.geometry.coordinates
    except (Unreachable, msgspec.ValidationError) as error:
        turn.odd(f"station {number}: {error}")
        return station
    turn.memory.learn("stations", known | {number: Station(lon, lat, now)})
    if turn.area is None or turn.area.contains(lon, lat):
        turn.send(topic_of(SOURCE, number), bytes(raw), {})
    return Station(lon, lat, now)
