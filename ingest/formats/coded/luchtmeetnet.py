"""
Luchtmeetnet's hourly air figures: the answers of its API (`luchtmeetnet.toml`), and monthly and yearly CSV files.

The gateway sends the API's measurements, and its answer about each station on that station's topic.

The API stamps the *end* of the hour, the files give both ends: here every reading has its start, and a station has the
same id by both roads. Negative concentrations near zero are real and stay. An empty cell is missing: no reading at all.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import count
from math import nan
from pathlib import Path

import numpy as np
import pyarrow as pa

from ingest.formats.decode import FORMATS, Item
from ingest.formats.mapping_reader import MappedFormat
from ingest.formats.mapping_schema import load
from ingest.vocabulary.batch import Table
from ingest.vocabulary.quantities import QUANTITIES, convert
from ingest.vocabulary.readings import BadPayload, Message, SensorFact, Status, Unreadable, microseconds
from ingest.vocabulary.values import number, stamp

CET = timezone(timedelta(hours=1))  # the files never use summer time
PREAMBLE = 10  # lines before the first row of values, the last of them the header
BEFORE_STATIONS = 5  # columns before the first station

API = load(Path(__file__).with_suffix(".toml"))
_read = MappedFormat("luchtmeetnet", API)
Line = list[str]
HourRow = tuple[str, int, int, list[float]]  # quantity, period in s, start in us since 1970; NaN for an empty cell


def luchtmeetnet(message: Message) -> Iterator[Item]:
    """Read an API answer, one measurement, a station, or a piece of a CSV file; raises BadPayload for anything else."""
    if message.payload.removeprefix(b"\xef\xbb\xbf").startswith(b"Export;"):
        return _file(message.payload)
    return _read(message)


FORMATS["luchtmeetnet"] = luchtmeetnet


def _file(payload: bytes) -> Iterator[Table | SensorFact | Unreadable]:
    texts = filter(str.strip, payload.decode("latin-1").split("\n"))
    lines = [[cell.strip() for cell in text.split(";")] for text in texts]
    if len(lines) < PREAMBLE or lines[PREAMBLE - 1][0] != "Component":
        raise BadPayload(f"a CSV file of {len(lines)} lines without its header, expected Component on line {PREAMBLE}")
    columns = _columns(lines[PREAMBLE - 1][BEFORE_STATIONS:])
    status, version = _status(_cell(lines[1], 1)), _cell(lines[0], 1).partition("(")[2].rstrip(")")
    published = microseconds(file_time(version))
    rows: list[HourRow] = []
    for row in lines[PREAMBLE:]:
        wrong: list[str] = []
        try:
            rows.append(_row(row, len(columns), wrong))
        except BadPayload as error:
            wrong = [str(error)]
        if wrong:
            alone = "\n".join(";".join(cells) for cells in [*lines[:PREAMBLE], row])
            yield Unreadable(alone.encode("latin-1"), "; ".join(dict.fromkeys(wrong)))
    if rows and columns:
        yield from _facts(columns, lines)
        yield _table(rows, columns)._replace(status=status, version=published)


def _table(rows: list[HourRow], columns: list[tuple[str, str]]) -> Table:
    quantity, period, start, values = zip(*rows, strict=True)
    value = np.array(values)
    hour, column = np.nonzero(~np.isnan(value))
    sensor_id, channel = (pa.array(texts).dictionary_encode() for texts in zip(*columns, strict=True))
    return Table(
        sensor_id.take(pa.array(column)), channel.take(pa.array(column)),
        pa.array(quantity).dictionary_encode().take(pa.array(hour)),
        np.array(period)[hour], np.array(start)[hour], value[hour, column],
    )  # fmt: skip


def _cell(row: Line, at: int) -> str:
    return row[at] if at < len(row) else ""


def _columns(stations: Line) -> list[tuple[str, str]]:
    """Give sensor and channel of each column; the second of a station (a second instrument) has channel "2"."""
    while stations and not stations[-1]:  # a semicolon at the end of the line
        stations.pop()
    times = defaultdict[str, Iterator[int]](lambda: count(1))
    return [(f"luchtmeetnet/{one}", "" if (at := next(times[one])) == 1 else str(at)) for one in stations]


def _facts(columns: list[tuple[str, str]], lines: list[Line]) -> Iterator[SensorFact]:
    named = {row[BEFORE_STATIONS - 1]: row for row in lines[: PREAMBLE - 1] if len(row) >= BEFORE_STATIONS}
    names, places = named.get("StationsNaam", []), named.get("Latitude,Longitude", [])
    for at, (sensor_id, channel) in enumerate(columns, BEFORE_STATIONS):
        lat, _, lon = _cell(places, at).strip("()").partition(",")
        if not channel:
            place = (number(lon.strip(), "longitude"), number(lat.strip(), "latitude")) if lon else (None, None)
            yield SensorFact(sensor_id, _cell(names, at) or None, *place)


def _status(period: str) -> Status:
    """Whole years are published when they are validated, months before."""
    first, dash, last = period.partition(" - ")
    if not dash:
        raise BadPayload(f"Periode {period!r}, expected two stamps with a dash")
    begin, end = file_time(first), file_time(last)
    is_year = begin == begin.replace(month=1, day=1, hour=0, minute=0) and end == begin.replace(year=begin.year + 1)
    return Status.VALIDATED if is_year else Status.PROVISIONAL


def file_time(text: str) -> datetime:
    """
    Read a time of a file, in CET without summer time whatever its shape.

    >>> file_time("20190101 00:00").isoformat(), file_time("2024-06-01T00:00:00+01:00").isoformat()
    ('2019-01-01T00:00:00+01:00', '2024-06-01T00:00:00+01:00')
    """
    return stamp(text, "time", CET).astimezone(CET)


def _row(row: Line, columns: int, wrong: list[str]) -> HourRow:
    """Read a row; a cell that cannot be read is as an empty one, and its reason goes to `wrong`."""
    if len(row) < BEFORE_STATIONS + columns:
        raise BadPayload(f"{len(row)} cells, expected {BEFORE_STATIONS + columns}")
    component, _, unit, begin, end, *cells = row
    quantity = QUANTITIES.get(API.entry(component).quantity)
    if quantity is None:
        raise BadPayload(f"component {component!r}, which the hub has no quantity for")
    start = file_time(begin)
    period = int((file_time(end) - start).total_seconds())
    if period <= 0:
        raise BadPayload(f"an hour from {begin} to {end}, expected an end after its start")
    values = [nan] * columns
    for at, cell in enumerate(cells[:columns]):
        try:
            values[at] = convert(number(cell, "value"), unit, quantity) if cell else nan
        except ValueError as error:
            wrong.append(str(error))
    return quantity.name, period, microseconds(start), values
