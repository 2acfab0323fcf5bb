"""
The catalogue of sensors from a file: CSV or GeoJSON, told apart by its content.

`aggregates.store.catalogue` stores what `read_catalogue` gives; NDW's own site table is read by
`ingest.files.site_table`.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.sources import SOURCES, doubtful, rounded, source_of_sensor
from ingest.vocabulary.values import BadFile, raised_as

Limit = Literal["low", "high", "tolerance", "spike", "stuck", "flat", "dead"]
RULES = ("spike", "stuck", "dead")  # null: not applied to this sensor
Text = Annotated[str, Meta(max_length=500, pattern=r"^[^\0]*\Z")]  # that a database takes
LONGEST_STUCK = 7 * 86_400  # s: so much of a series, and half of it on either side, is read for every hour of it


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One sensor of the catalogue, as docs/operations.md explains it; None where the catalogue gives nothing."""

    sensor_id: Text
    name: Text | None = None
    kind: Text | None = None
    lon: Annotated[float, Meta(ge=-180, le=180)] | None = None
    lat: Annotated[float, Meta(ge=-90, le=90)] | None = None
    lanes: Annotated[int, Meta(ge=1, le=100)] | None = None
    interval: Annotated[float, Meta(gt=0, le=1e8)] | None = None
    overrides: Mapping[str, Mapping[Limit, float | None]] | None = None
    channels: Annotated[str, Meta(pattern=r"^[^\s\0]+( [^\s\0]+)*$")] | None = None
    indoor: bool | None = None

    def __post_init__(self) -> None:
        source, _, own = self.sensor_id.partition("/")
        if source not in SOURCES or not own:
            raise ValueError(f"sensor_id {self.sensor_id!r}, expected <source>/<id> of a known source")
        if (self.lon is None) != (self.lat is None):
            raise ValueError(f"sensor {self.sensor_id!r} with only one of lon and lat")
        for quantity, limits in (self.overrides or {}).items():
            _check_overrides(quantity, limits)


def read_catalogue(path: Path) -> list[Entry]:
    """
    Read a catalogue; places of citizen sensors are rounded to 3 decimals, about 100 m.

    Raises BadFile for a file that is neither CSV nor GeoJSON, or the first line in it that is wrong.
    """
    text = path.read_bytes()
    with raised_as(BadFile, UnicodeDecodeError, at=f"{path}: not UTF-8"):
        decoded = text.decode("utf-8-sig")
    rows = _geojson(path, text) if decoded.lstrip().startswith("{") else _csv(path, decoded)
    entries: dict[str, Entry] = {}
    for where, row in rows:
        entry = _entry(where, row)
        if wrong := doubtful(entry.lon, entry.lat):
            raise BadFile(f"{where}: place ({entry.lon}, {entry.lat}) of {entry.sensor_id!r}: {wrong}")
        if entries.setdefault(entry.sensor_id, entry) is not entry:
            raise BadFile(f"{where}: sensor {entry.sensor_id!r} for a second time")
    return list(entries.values())


_AT = re.compile(r"at `\$\.(\w+)")  # where in a row msgspec found a mistake


def _entry(where: str, row: Mapping[str, Any]) -> Entry:
    try:
        entry = msgspec.convert(row, Entry, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        at = _AT.search(str(error))
        found = f", found {row[at[1]]!r}" if at and at[1] in row else ""
        raise BadFile(f"{where}: {error}{found}") from error
    lon, lat = rounded(source_of_sensor(entry.sensor_id), entry.lon, entry.lat)
    return msgspec.structs.replace(entry, lon=lon, lat=lat)


def _csv(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text), delimiter=";" if first.count(";") > first.count(",") else ",")
    try:
        names = [name.strip() for name in next(reader, [])]
        if "sensor_id" not in names:
            raise BadFile(f"{path} line 1: columns {names}, expected sensor_id among them")
        for cells in filter(None, reader):
            where = f"{path} line {reader.line_num}"
            if len(cells) != len(names):
                raise BadFile(f"{where}: found {len(cells)} columns, expected {len(names)} columns")
            row: dict[str, Any] = {name: cell.strip() for name, cell in zip(names, cells, strict=True) if cell.strip()}
            yield where, row | ({"overrides": _json(where, row["overrides"])} if "overrides" in row else {})
    except csv.Error as error:
        raise BadFile(f"{path} line {reader.line_num}: {error}") from error


def _geojson(path: Path, text: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    document = _json(str(path), text)
    if document.get("type") != "FeatureCollection" or not isinstance(document.get("features"), list):
        raise BadFile(f"{path}: type {document.get('type')!r}, expected a GeoJSON FeatureCollection")
    for number, feature in enumerate(document["features"], 1):
        where = f"{path} feature {number}"
        try:
            found = msgspec.convert(feature, _Feature)
        except msgspec.ValidationError as error:
            raise BadFile(f"{where}: {error}, expected a Feature with a Point or null") from error
        lon, lat = found.geometry.coordinates[:2] if found.geometry else (None, None)
        yield where, {**(found.properties or {}), "lon": lon, "lat": lat}


class _Point(msgspec.Struct, tag_field="type", tag="Point"):
    coordinates: Annotated[list[float], msgspec.Meta(min_length=2)]


class _Feature(msgspec.Struct):
    properties: dict[str, Any] | None = None
    geometry: _Point | None = None


def _json(where: str, text: str | bytes) -> Any:
    with raised_as(BadFile, msgspec.DecodeError, at=where):
        return msgspec.json.decode(text)


def _check_overrides(name: str, own: Mapping[Limit, float | None]) -> None:
    quantity = QUANTITIES.get(name)
    if quantity is None:
        raise ValueError(f"overrides name quantity {name!r}, which is not in the registry")
    for limit, value in own.items():
        if value is None and limit not in RULES:
            raise ValueError(f"{limit} null of {name!r}, expected a number: only {', '.join(RULES)} can be left out")
        least = 0 if limit in RULES else -inf
        if value is not None and not least < value < inf:
            raise ValueError(f"{limit} {value} of {name!r}, expected a number above {least}")
    limits = msgspec.structs.replace(quantity, **{str(limit): value for limit, value in own.items()})
    if limits.low > limits.high:
        raise ValueError(f"low {limits.low} above high {limits.high} of {name!r}, expected at most that")
    if (limits.stuck or 0) > LONGEST_STUCK:
        raise ValueError(f"stuck {limits.stuck} s of {name!r}, expected at most {LONGEST_STUCK} s, or null for never")
