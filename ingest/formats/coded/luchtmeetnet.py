"""
Luchtmeetnet's hourly air figures: the answers of its API, and the monthly and yearly CSV files.

`ingest.gateways.luchtmeetnet` sends the API's measurements, and its answer about each station on that station's topic.

The API stamps the *end* of the hour, the files give both ends: here every reading has its start, and a station has the
same id by both roads. Negative concentrations near zero are real and stay. An empty cell is missing: no reading at all.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from math import nan
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from ingest.formats.decode import payload_format
from ingest.vocabulary.batch import Table
from ingest.vocabulary.quantities import QUANTITIES, convert
from ingest.vocabulary.readings import BadPayload, Flag, Message, Reading, SensorFact, Status, microseconds
from ingest.vocabulary.values import number, stamp

HOUR = timedelta(hours=1)
CET = timezone(HOUR)  # the files never use summer time
PREAMBLE = 10  # lines before the first row of values, the last of them the header
BEFORE_STATIONS = 5  # columns before the first station

QUANTITY = {
    "NO": "no", "NO2": "no2", "NOX": "nox", "O3": "o3", "SO2": "so2", "CO": "co", "NH3": "nh3", "C6H6": "c6h6",
    "PM1": "pm1", "PM10": "pm10", "PM25": "pm25", "PM2.5": "pm25", "BC": "bc", "FN": "bc", "PS": "ufp",
}  # fmt: skip
# Components of the API that the hub has no quantity for: left out, so that they do not cost the others of their page.
UNUSED = {"BCWB", "C7H8", "C8H10", "C10H8", "H2S"}


class ApiMeasurement(msgspec.Struct):
    """One measurement of the API; answers about one station leave out its number."""

    formula: str
    value: float | None
    timestamp_measured: str
    station_number: str | None = None


class ApiAnswer(msgspec.Struct):
    """A page of the API."""

    data: list[ApiMeasurement]


class Point(msgspec.Struct):
    """A GeoJSON point: longitude and latitude in degrees."""

    coordinates: tuple[float, float]


class Station(msgspec.Struct):
    """What the API gives about one station."""

    location: str
    geometry: Point


class About(msgspec.Struct):
    """The API's answer about one station; the number is only in the question."""

    data: Station


_answer = msgspec.json.Decoder(ApiAnswer)
_about = msgspec.json.Decoder(About)
_measured = msgspec.json.Decoder(ApiMeasurement)


@payload_format("luchtmeetnet")
def luchtmeetnet(message: Message) -> Iterator[Reading | Table | SensorFact]:
    """Read an API answer, one measurement, a station, or a piece of a CSV file; raises BadPayload for anything else."""
    if message.payload.removeprefix(b"\xef\xbb\xbf").startswith(b"Export;"):
        yield from _file(message.payload)
        return
    if b'"geometry"' in message.payload:
        yield _station_fact(message)
        return
    for one in _measurements(message.payload):
        if one.formula.upper() not in UNUSED:
            yield _reading(one, message.topic)


def _station_fact(message: Message) -> SensorFact:
    try:
        station = _about.decode(message.payload).data
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadPayload(f"no answer of Luchtmeetnet about a station: {error}") from error
    lon, lat = station.geometry.coordinates
    return SensorFact(f"luchtmeetnet/{_station(message.topic)}", station.location, lon, lat, kind="air")


def _measurements(payload: bytes) -> list[ApiMeasurement]:
    try:
        return _answer.decode(payload).data if b'"data"' in payload else [_measured.decode(payload)]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadPayload(f"no measurements of Luchtmeetnet, neither API answer nor CSV file: {error}") from error


def _reading(one: ApiMeasurement, topic: str) -> Reading:
    quantity = _quantity(one.formula)
    start = stamp(one.timestamp_measured, "timestamp_measured") - HOUR
    sensor_id = f"luchtmeetnet/{one.station_number or _station(topic)}"
    if one.value is None:
        return Reading(sensor_id, "", quantity, 3600, start, None, 0.0, flags=Flag.SOURCE_ERROR.value)
    unit = "1/cm3" if quantity == "ufp" else "ug/m3"
    return Reading(sensor_id, "", quantity, 3600, start, convert(one.value, unit, QUANTITIES[quantity]))


def _station(topic: str) -> str:
    levels = topic.partition("?")[0].split("/")
    if len(levels) < 3 or not levels[2]:
        raise BadPayload("no station_number, expected one in the measurement or as the third level of the topic")
    return levels[2]


def _quantity(formula: str) -> str:
    if formula.upper() == "LKI":
        raise BadPayload("an LKI answer: the index is not measured but made of measurements, expected those")
    try:
        return QUANTITY[formula.upper()]
    except KeyError:
        raise BadPayload(f"component {formula[:50]!r}, expected one of {', '.join(QUANTITY)}") from None


class Column(NamedTuple):
    """One station's column; the second column of a station (a second instrument) has channel "2"."""

    sensor_id: str
    channel: str


class HourRow(NamedTuple):
    """One component's hour: period in s, start in us since 1970, and a value for each column, NaN where it is empty."""

    quantity: str
    period: int
    start: int
    values: list[float]


def _file(payload: bytes) -> Iterator[Table | SensorFact]:
    lines = [line.split(";") for line in payload.decode("latin-1").split("\n") if line.strip()]
    if len(lines) < PREAMBLE or lines[PREAMBLE - 1][0].strip() != "Component":
        raise BadPayload(f"a CSV file of {len(lines)} lines without its header, expected Component on line {PREAMBLE}")
    columns = _columns([cell.strip() for cell in lines[PREAMBLE - 1][BEFORE_STATIONS:]])
    yield from _facts(columns, lines)
    status, version = _status(_cell(lines[1], 1)), microseconds(_exported(_cell(lines[0], 1)))
    rows = [_row(row, at, len(columns)) for at, row in enumerate(lines[PREAMBLE:], PREAMBLE + 1)]
    if rows and columns:
        yield _table(rows, columns)._replace(status=status, version=version)


def _table(rows: list[HourRow], columns: list[Column]) -> Table:
    quantity, period, start, values = zip(*rows, strict=True)
    value = np.array(values)
    hour, column = np.nonzero(~np.isnan(value))
    sensor_id, channel = (pa.array(texts).dictionary_encode() for texts in zip(*columns, strict=True))
    return Table(
        sensor_id.take(pa.array(column)), channel.take(pa.array(column)),
        pa.array(quantity).dictionary_encode().take(pa.array(hour)),
        np.array(period)[hour], np.array(start)[hour], value[hour, column],
    )  # fmt: skip


def _cell(row: list[str], at: int) -> str:
    return row[at].strip() if at < len(row) else ""


def _columns(stations: list[str]) -> list[Column]:
    while stations and not stations[-1]:  # a semicolon at the end of the line
        stations.pop()
    seen: Counter[str] = Counter()
    columns = []
    for station in stations:
        seen[station] += 1
        columns.append(Column(f"luchtmeetnet/{station}", str(seen[station]) if seen[station] > 1 else ""))
    return columns


def _facts(columns: list[Column], lines: list[list[str]]) -> Iterator[SensorFact]:
    named = {row[BEFORE_STATIONS - 1]: row for row in lines[: PREAMBLE - 1] if len(row) >= BEFORE_STATIONS}
    names, places = named.get("StationsNaam", []), named.get("Latitude,Longitude", [])
    for at, column in enumerate(columns, BEFORE_STATIONS):
        lat, _, lon = _cell(places, at).strip("()").partition(",")
        if not column.channel:
            place = (number(lon.strip(), "longitude"), number(lat.strip(), "latitude")) if lon else (None, None)
            yield SensorFact(column.sensor_id, _cell(names, at) or None, *place)


def _status(period: str) -> Status:
    """Whole years are published when they are validated, months before."""
    first, last = (file_time(text) for text in _halves(period))
    begins = all((day.month, day.day, day.hour, day.minute) == (1, 1, 0, 0) for day in (first, last))
    return Status.VALIDATED if begins and last.year == first.year + 1 else Status.PROVISIONAL


def _halves(period: str) -> tuple[str, str]:
    first, dash, last = period.partition(" - ")
    if not dash:
        raise BadPayload(f"Periode {period!r}, expected two stamps with a dash")
    return first, last


def _exported(text: str) -> datetime:
    return file_time(text.partition("(")[2].rstrip(")"))


def file_time(text: str) -> datetime:
    """
    Read a time of a file, in CET without summer time whatever its shape.

    >>> file_time("20190101 00:00").isoformat(), file_time("2024-06-01T00:00:00+01:00").isoformat()
    ('2019-01-01T00:00:00+01:00', '2024-06-01T00:00:00+01:00')
    """
    return stamp(text.strip(), "time", CET).astimezone(CET)


def _row(row: list[str], at: int, columns: int) -> HourRow:
    if len(row) < BEFORE_STATIONS + columns:
        raise BadPayload(f"{len(row)} cells in line {at}, expected {BEFORE_STATIONS + columns}")
    try:
        quantity = QUANTITIES[_quantity(row[0].strip())]
        start, unit = file_time(row[3]), row[2].strip()
        period = int((file_time(row[4]) - start).total_seconds())
        if period <= 0:
            raise BadPayload(f"an hour from {row[3]} to {row[4]}, expected an end after its start")
        cells = [cell.strip() for cell in row[BEFORE_STATIONS : BEFORE_STATIONS + columns]]
        values = [convert(number(cell, "value"), unit, quantity) if cell else nan for cell in cells]
    except ValueError as error:
        raise BadPayload(f"{error}, in line {at}") from error
    return HourRow(quantity.name, period, microseconds(start), values)
