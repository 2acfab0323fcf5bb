"""
NDW's measurement-site table: what every index of every site measures, where the site is, and what it is called.

The table is one XML file of some 340 MB, read record by record. The collector keeps what it needs of it in a small
Parquet file in its data directory, and hands it to `ingest.formats.coded.ndw` with every message as `Message.sites`.
"""

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from lxml import etree

from ingest.formats.xml import local, opened, records
from ingest.vocabulary.readings import BadPayload, Site

SITES_FILE = "ndw_sites.parquet"
QUANTITY = {"trafficFlow": "vehicle_count", "trafficSpeed": "vehicle_speed"}
MINUTE = 60
_SIGNS = {
    "lessThan": "<", "lessThanOrEqualTo": "<=", "greaterThan": ">", "greaterThanOrEqualTo": ">=", "equalTo": "=",
}  # fmt: skip
_FIELDS: list["pa.Field[Any]"] = [
    pa.field("id", pa.string(), nullable=False),
    pa.field("version", pa.string(), nullable=False),
    pa.field("name", pa.string()),
    pa.field("lon", pa.float64()),
    pa.field("lat", pa.float64()),
    pa.field("lanes", pa.int32()),
    pa.field("layout", pa.dictionary(pa.int32(), pa.string()), nullable=False),  # JSON: index: [channel, ...]
]
_SCHEMA = pa.schema(_FIELDS)


class SiteIndex(NamedTuple):
    """What one index measures, and over how many seconds."""

    channel: str
    quantity: str
    period: int


def import_table(source: Path, target: Path) -> int:
    """
    Read NDW's table, plain or gzipped, and put its sites in the collector's file; gives how many.

    Raises BadPayload for a file without a site, and leaves the old file as it was.
    """
    with opened(source) as stream:
        try:
            return write(target, parse(stream))
        except BadPayload as error:
            raise BadPayload(f"{source.name}: {error}") from error


def parse(stream: BinaryIO) -> Iterator[tuple[str, Site]]:
    """Give the id and the facts of every site in NDW's table (DATEX II v2.3, and v3 as far as it is documented)."""
    for record in records(stream, "measurementSiteRecord", "measurementSite"):
        site_id = record.get("id")
        if not site_id:
            continue
        try:
            yield site_id, _site(record)
        except ValueError as error:
            raise BadPayload(f"site {site_id!r}: {error}") from error


def _site(record: etree._Element) -> Site:
    texts: dict[str, str] = {}
    indexes: dict[str, SiteIndex] = {}
    for part in record:
        name, index = local(part), part.get("index")
        if name == "measurementSpecificCharacteristics" and index is not None:
            measured = _index(part)
            if measured is not None:
                indexes[index] = measured
        else:
            texts |= dict(reversed(list(_leaves(part, name))))
    layout, periods = _layout(indexes)
    lanes = texts.get("measurementSiteNumberOfLanes")
    seen = len({channel.partition("/")[0] for channel, _ in layout.values()})
    lon, lat = _place(texts, "longitude"), _place(texts, "latitude")
    version = record.get("version") or ""
    return Site(
        version, texts.get("measurementSiteName"), lon, lat, int(lanes) if lanes else seen or None, layout, periods
    )


def _leaves(part: etree._Element, name: str) -> Iterator[tuple[str, str]]:
    """Texts below one part of a record: a name by the part it stands in, anything else by its own element."""
    for leaf in part.iter():
        if leaf.text and (text := leaf.text.strip()):
            yield (name if name == "measurementSiteName" else local(leaf)), text


def _place(texts: Mapping[str, str], name: str) -> float | None:
    # The first coordinates of a record are those for display; the ones of its OpenLR reference come later.
    return float(texts[name]) if name in texts else None


def _index(part: etree._Element) -> SiteIndex | None:
    texts: dict[str, str] = {}
    bounds = []
    for leaf in part.iter():
        text = (leaf.text or "").strip()
        texts[local(leaf)] = text
        if local(leaf) == "vehicleLength":
            bounds.append((_SIGNS.get(texts.get("comparisonOperator", ""), "?"), text))
    quantity = QUANTITY.get(texts.get("specificMeasurementValueType", ""))
    if quantity is None:
        return None
    period = int(float(texts.get("period") or MINUTE))
    return SiteIndex(f"{texts.get('specificLane', '')}/{_class(texts.get('vehicleType'), bounds)}", quantity, period)


def _class(kind: str | None, bounds: list[tuple[str, str]]) -> str:
    """
    Name a vehicle class by its lengths in metres.

    >>> _class(None, [("<", "5.6")]), _class(None, [(">=", "5.6"), ("<=", "12.2")]), _class("anyVehicle", [])
    ('<5.6', '5.6-12.2', 'any')
    """
    if len(bounds) == 2:
        return "-".join(length for _, length in sorted(bounds, key=lambda bound: float(bound[1])))
    if bounds:
        return "".join(bounds[0])
    return "any" if kind in (None, "anyVehicle") else str(kind)


def _layout(indexes: Mapping[str, SiteIndex]) -> tuple[dict[str, tuple[str, str]], dict[str, int]]:
    layout = {index: (one.channel, one.quantity) for index, one in indexes.items()}
    return layout, {index: one.period for index, one in indexes.items() if one.period != MINUTE}


def write(target: Path, sites: Iterable[tuple[str, Site]]) -> int:
    """
    Put sites in a file that is either the old one or the whole new one, also after a power cut; gives how many.

    Raises BadPayload for none.
    """
    rows = [(site_id, *_row(site)) for site_id, site in sites]
    if not rows:
        raise BadPayload("no site, expected a MeasurementSiteTable")
    columns = [pa.array(column, pa.string() if field.name == "layout" else field.type)
               for column, field in zip(zip(*rows, strict=True), _SCHEMA, strict=True)]  # fmt: skip
    columns[-1] = columns[-1].dictionary_encode()
    table = pa.Table.from_arrays(columns, schema=_SCHEMA)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, suffix=".part", delete=False) as file:
        pq.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    os.replace(file.name, target)
    return len(rows)


def _row(site: Site) -> tuple[object, ...]:
    indexes = {index: SiteIndex(*place, site.periods.get(index, MINUTE)) for index, place in site.layout.items()}
    layout = sys.intern(msgspec.json.encode(indexes).decode())  # some hundred layouts for tens of thousands of sites
    return site.version, site.name, site.lon, site.lat, site.lanes, layout


def read(path: Path) -> dict[str, Site]:
    """Read what `write` wrote; sites with the same layout share it."""
    table = pq.read_table(path, schema=_SCHEMA)
    rows = table.to_pylist()
    layouts = {
        text: _layout(msgspec.json.decode(text, type=dict[str, SiteIndex])) for text in {r["layout"] for r in rows}
    }
    return {
        row["id"]: Site(row["version"], row["name"], row["lon"], row["lat"], row["lanes"], *layouts[row["layout"]])
        for row in rows
    }


def places(path: Path) -> Iterator[tuple[str, float | None, float | None]]:
    """Give id, longitude and latitude of every site in what `write` wrote."""
    table = pq.read_table(path, columns=["id", "lon", "lat"])
    yield from zip(*(table[name].to_pylist() for name in ("id", "lon", "lat")), strict=True)


class SiteTable:
    """The sites in a file, read again when the file changes; a missing file has none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._sites: Mapping[str, Site] = MappingProxyType({})

    def current(self) -> Mapping[str, Site]:
        """Give the sites by their id, as they are in the file now."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._seen, self._sites = None, MappingProxyType({})
            return self._sites
        seen = (status.st_mtime_ns, status.st_ino)
        if seen != self._seen:
            self._sites, self._seen = MappingProxyType(read(self._path)), seen
        return self._sites
