"""
NDW's measurement-site table: what every index of every site measures, where the site is, and what it is called.

The table is one XML file of some 340 MB, read record by record. The collector keeps what it needs of it in a small
Parquet file in its data directory, and hands it to `ingest.formats.coded.ndw` with every message as `Message.sites`.
"""

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import structlog
from lxml import etree
from msgspec.structs import asdict

from ingest.formats.xml import opened, records
from ingest.vocabulary.readings import BadPayload, Site, SiteIndex
from ingest.vocabulary.values import raised_as

SITES_FILE = "ndw_sites.parquet"
QUANTITY = {"trafficFlow": "vehicle_count", "trafficSpeed": "vehicle_speed"}
MINUTE = 60
_SIGNS = {
    "lessThan": "<", "lessThanOrEqualTo": "<=", "greaterThan": ">", "greaterThanOrEqualTo": ">=", "equalTo": "=",
}  # fmt: skip

log = structlog.get_logger("ingest.files")


def import_table(source: Path, target: Path) -> int:
    """
    Read NDW's table, plain or gzipped, and put its sites in the collector's file; gives how many.

    Raises BadPayload for a file without a site, and leaves the old file as it was.
    """
    with opened(source) as stream, raised_as(BadPayload, BadPayload, at=source.name):
        return write(target, parse(stream))


def parse(stream: BinaryIO) -> Iterator[tuple[str, Site]]:
    """Give the id and the facts of every site in NDW's table (DATEX II v2.3, and v3 as far as it is documented)."""
    for record in records(stream, "measurementSiteRecord", "measurementSite"):
        site_id = record.get("id")
        if not site_id:
            continue
        with raised_as(BadPayload, ValueError, at=f"site {site_id!r}"):
            yield site_id, _site(record)


def _site(record: etree._Element) -> Site:
    parts = record.iterfind("{*}measurementSpecificCharacteristics[@index]")
    layout = {part.get("index", ""): measured for part in parts if (measured := _index(part))}
    counted = {one.channel.partition("/")[0] for one in layout.values()}
    lanes = _text(record, "measurementSiteNumberOfLanes") or len(counted)
    # The first coordinates of a record are those for display; the ones of its OpenLR reference come later.
    lon, lat = (float(text) if (text := _text(record, name)) else None for name in ("longitude", "latitude"))
    name = next((_text(part, "value") for part in record.iterfind("{*}measurementSiteName")), None)
    return Site(record.get("version") or "", name, lon, lat, int(lanes) or None, layout)


def _text(element: etree._Element, name: str) -> str | None:
    """Give the first text with a name below an element."""
    return next((text for leaf in element.iter(f"{{*}}{name}") if (text := (leaf.text or "").strip())), None)


def _index(part: etree._Element) -> SiteIndex | None:
    quantity = QUANTITY.get(_text(part, "specificMeasurementValueType") or "")
    if quantity is None:
        return None
    bounds = [
        (_SIGNS.get(_text(one, "comparisonOperator") or "", "?"), _text(one, "vehicleLength") or "")
        for one in part.iter("{*}lengthCharacteristic")
    ]
    channel = f"{_text(part, 'specificLane') or ''}/{_class(_text(part, 'vehicleType'), bounds)}"
    return SiteIndex(channel, quantity, int(float(_text(part, "period") or MINUTE)))


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


def write(target: Path, sites: Iterable[tuple[str, Site]]) -> int:
    """
    Put sites in a file that is either the old one or the whole new one, also after a power cut; gives how many.

    Raises BadPayload for none.
    """
    rows = [{"id": site_id, **asdict(site), "layout": _layout(site)} for site_id, site in sites]
    if not rows:
        raise BadPayload("no site, expected a MeasurementSiteTable")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, suffix=".part", delete=False) as file:
        pq.write_table(pa.Table.from_pylist(rows), file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    os.replace(file.name, target)
    return len(rows)


def _layout(site: Site) -> str:
    return sys.intern(msgspec.json.encode(site.layout).decode())  # some hundred layouts for tens of thousands of sites


def read(path: Path) -> dict[str, Site]:
    """Read what `write` wrote; sites with the same layout share it."""
    layout = cache(msgspec.json.Decoder(dict[str, SiteIndex]).decode)
    rows = pq.read_table(path).to_pylist()
    return {row.pop("id"): Site(**row | {"layout": layout(row["layout"])}) for row in rows}


def sound(path: Path) -> dict[str, Site]:
    """Read a file that may be damaged: then it is put aside, so that it is made anew, and there are no sites."""
    try:
        return read(path)
    except (OSError, ValueError, KeyError, TypeError, msgspec.MsgspecError, pa.ArrowException) as error:
        aside = path.with_name(f"{path.name}.damaged")
        log.error("the site table cannot be read and is put aside, import it again", aside=str(aside), error=str(error))
        with suppress(OSError):
            path.replace(aside)
        return {}


def current(path: Path) -> Mapping[str, Site]:
    """Give the sites by their id, as they are in a file now: read again when it changes; a missing file has none."""
    with suppress(FileNotFoundError):
        status = path.stat()
        return _as_of(path, status.st_mtime_ns, status.st_ino)
    return {}


@lru_cache(maxsize=1)
def _as_of(path: Path, _modified: int, _inode: int) -> Mapping[str, Site]:
    return sound(path)
