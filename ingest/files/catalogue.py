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
from typing import Annotated, Any

import msgspec

from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.sources import SOURCES, SourceClass, rounded, source_of_sensor


class BadCatalogue(ValueError):  # noqa: N818 - the reaction is the name: the user mends the file
    """A catalogue that cannot be read: the text names the line, what was found and what was expected."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    One sensor of the catalogue; None where the catalogue gives nothing.

    `lon` and `lat` are degrees (WGS84), `lanes` the lanes or directions expected, `interval` the seconds between two
    instants. `overrides` gives, per quantity, the sensor's own `low`, `high`, `spike` or `stuck`.
    """

    sensor_id: str
    name: str | None = None
    kind: str | None = None
    lon: float | None = None
    lat: float | None = None
    lanes: int | None = None
    interval: float | None = None
    overrides: dict[str, dict[str, float]] | None = None

    def __post_init__(self) -> None:
        source, _, own = self.sensor_id.partition("/")
        if source not in SOURCES or not own:
            raise ValueError(f"sensor_id {self.sensor_id!r}, expected <source>/<id> of a known source")
        if (self.lon is None) != (self.lat is None):
            raise ValueError(f"sensor {self.sensor_id!r} with only one of lon and lat")
        if self.lon is not None and self.lat is not None and not (abs(self.lon) <= 180 and abs(self.lat) <= 90):
            raise ValueError(f"place ({self.lon}, {self.lat}) of {self.sensor_id!r}, expected degrees lon, lat")
        if (self.lanes is not None and self.lanes < 1) or not 0 < (self.interval or 1) < inf or self.interval == 0:
            raise ValueError(f"lanes {self.lanes} and interval {self.interval} of {self.sensor_id!r}, expected above 0")
        for quantity, own_limits in (self.overrides or {}).items():
            _check_overrides(self.sensor_id, quantity, own_limits)


def read_catalogue(path: Path) -> list[Entry]:
    """
    Read a catalogue; places of citizen sensors are rounded to 3 decimals, about 100 m.

    Raises BadCatalogue for a file that is neither CSV nor GeoJSON, or the first line in it that is wrong.
    """
    text = path.read_bytes()
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadCatalogue(f"{path}: not UTF-8 ({error})") from None
    rows = _geojson(path, text) if decoded.lstrip().startswith("{") else _csv(path, decoded)
    entries: dict[str, Entry] = {}
    for where, row in rows:
        entry = _entry(where, row)
        if entry.sensor_id in entries:
            raise BadCatalogue(f"{where}: sensor {entry.sensor_id!r} for a second time")
        entries[entry.sensor_id] = entry
    return list(entries.values())


_AT = re.compile(r"at `\$\.(\w+)")  # where in a row msgspec found a mistake


def _entry(where: str, row: Mapping[str, Any]) -> Entry:
    try:
        return _rounded(msgspec.convert(row, Entry, strict=False))
    except (msgspec.ValidationError, ValueError) as error:
        at = _AT.search(str(error))
        found = f", found {row[at[1]]!r}" if at and at[1] in row else ""
        raise BadCatalogue(f"{where}: {error}{found}") from error


def _rounded(entry: Entry) -> Entry:
    # Citizen sensors stand at home addresses.
    if SOURCES[source_of_sensor(entry.sensor_id)].source_class is not SourceClass.CITIZEN:
        return entry
    lon, lat = rounded(entry.lon, entry.lat)
    return msgspec.structs.replace(entry, lon=lon, lat=lat)


def _csv(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    first = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=";" if first.count(";") > first.count(",") else ",")
    if "sensor_id" not in (reader.fieldnames or ()):
        raise BadCatalogue(f"{path} line 1: columns {reader.fieldnames}, expected sensor_id among them")
    for where, row in _rows(path, reader):
        columns = len(reader.fieldnames or ())
        found = columns - list(row.values()).count(None) + len(row.get(None, ()))
        if found != columns:
            raise BadCatalogue(f"{where}: found {found} columns, expected {columns} columns")
        kept = {key.strip(): value.strip() for key, value in row.items() if value.strip()}
        if "overrides" in kept:
            yield where, {**kept, "overrides": _json(where, kept["overrides"])}
        else:
            yield where, kept


def _rows(path: Path, reader: "csv.DictReader[str]") -> Iterator[tuple[str, dict[Any, Any]]]:
    try:
        for row in reader:
            yield f"{path} line {reader.line_num}", row
    except csv.Error as error:
        raise BadCatalogue(f"{path} line {reader.reader.line_num}: {error}") from error


def _geojson(path: Path, text: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    document = _json(str(path), text)
    if document.get("type") != "FeatureCollection" or not isinstance(document.get("features"), list):
        raise BadCatalogue(f"{path}: type {document.get('type')!r}, expected a GeoJSON FeatureCollection")
    for number, feature in enumerate(document["features"], 1):
        where = f"{path} feature {number}"
        try:
            found = msgspec.convert(feature, _Feature)
        except msgspec.ValidationError as error:
            raise BadCatalogue(f"{where}: {error}, expected a Feature with a Point or null") from error
        lon, lat = found.geometry.coordinates[:2] if found.geometry else (None, None)
        yield where, {**(found.properties or {}), "lon": lon, "lat": lat}


class _Point(msgspec.Struct, tag_field="type", tag="Point"):
    coordinates: Annotated[list[float], msgspec.Meta(min_length=2)]


class _Feature(msgspec.Struct):
    properties: dict[str, Any] | None = None
    geometry: _Point | None = None


def _json(where: str, text: str | bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise BadCatalogue(f"{where}: {error}") from error


def _check_overrides(sensor_id: str, quantity: str, limits: Mapping[str, float]) -> None:
    if quantity not in QUANTITIES:
        raise ValueError(f"overrides of {sensor_id!r} name quantity {quantity!r}, which is not in the registry")
    if unknown := limits.keys() - {"low", "high", "spike", "stuck"}:
        raise ValueError(f"overrides of {sensor_id!r} name {sorted(unknown)}, expected low, high, spike or stuck")
    for name, value in limits.items():
        least = 0 if name in ("spike", "stuck") else -inf
        if not least < value < inf:
            raise ValueError(f"{name} {value} of {quantity!r} of {sensor_id!r}, expected a number above {least}")
    low, high = (limits.get(name, getattr(QUANTITIES[quantity], name)) for name in ("low", "high"))
    if low > high:
        raise ValueError(f"low {low} above high {high} of {quantity!r} of {sensor_id!r}, expected at most that")
    if "spike" in limits and not QUANTITIES[quantity].memory:
        raise ValueError(f"overrides of {sensor_id!r} name a spike of {quantity!r}, whose neighbours no rule looks at")
    known = QUANTITIES[quantity].stuck
    if limits.get("stuck", 0) > (known or 0):
        raise ValueError(f"stuck {limits['stuck']} s of {sensor_id!r}, expected at most the registry's {known} s")
