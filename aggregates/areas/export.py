"""
Exports of areas: Parquet partitioned the hive way, GeoParquet or GeoJSON, each with source, vintage and licence.

Every row says the vintage; the sources and licences of everything in a file stand in its metadata and in
`_SOURCES.json` beside it. An open-data export refuses sources that may not be used commercially. `stadspuls areas
export` calls it.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from aggregates.areas.indicators import Refused
from aggregates.store.store import Store
from ingest.vocabulary.sources import SOURCES


@dataclass(frozen=True, slots=True)
class Origin:
    """One supplier of something in an export."""

    source: str
    title: str
    licence: str
    vintage: int | None = None
    commercial_use: bool = True


def origins(store: Store, vintage: int, quantity: str | None = None) -> list[Origin]:
    """Name the suppliers of the areas and statistics of a vintage, and of a quantity measured in them."""
    named = [name for (name,) in store.rows("list_area_sources", vintage=vintage, quantity=quantity)]
    found = [supplier(name) for name in named]
    loads = {(row[3], row[5]) for row in store.rows("list_area_loads", vintage=vintage)}
    return found + [Origin("cbs", title, licence, vintage) for title, licence in sorted(loads)]


def supplier(name: str) -> Origin:
    """Name the supplier of a source's readings; one that is in no registry has told no licence."""
    source = SOURCES.get(name)
    if source is None:
        return Origin(name, name, "unknown", None, False)
    return Origin(name, source.title, source.licence, None, source.commercial_use)


def check_open(found: Iterable[Origin]) -> None:
    """Raise Refused where something may not be used commercially, and so is no open data."""
    closed = [f"{one.title} ({one.licence})" for one in found if not one.commercial_use]
    if closed:
        raise Refused(f"open data without restrictions cannot hold {'; '.join(closed)}")


def export_figures(figures: pd.DataFrame, found: Iterable[Origin], out: Path) -> int:
    """Write figures as Parquet below `out`/vintage=/quantity=/level=/; give the number of files."""
    note = note_of(found)
    count = 0
    for (vintage, quantity, level), part in figures.groupby(["vintage", "quantity", "level"], observed=True):
        folder = out / f"vintage={vintage}" / f"quantity={quantity}" / f"level={level}"
        folder.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pandas(part.drop(columns=["vintage", "quantity", "level"]), preserve_index=False)
        pq.write_table(_noted(table, note), folder / "figures.parquet")
        count += 1
    (out / "_SOURCES.json").write_text(note, encoding="utf-8")
    return count


def export_areas(areas: list[dict[str, Any]], found: Iterable[Origin], out: Path, form: str) -> Path:
    """Write areas with their statistics as `areas.geojson` or, GeoParquet, `areas.parquet`; give the path."""
    out.mkdir(parents=True, exist_ok=True)
    note = note_of(found)
    rows = [{name: one[name] for name in _AREA} | (one["statistics"] or {}) for one in areas]
    shapes = [one["geometry"] for one in areas]
    (out / "_SOURCES.json").write_text(note, encoding="utf-8")
    if form == "geojson":
        path = out / "areas.geojson"
        features = [_feature(row, shape) for row, shape in zip(rows, shapes, strict=True)]
        whole = {"type": "FeatureCollection", "sources": json.loads(note), "features": features}
        path.write_text(json.dumps(whole), encoding="utf-8")
        return path
    path = out / "areas.parquet"
    table = pa.Table.from_pandas(pd.DataFrame(rows), preserve_index=False)
    wkb = [None if shape is None else shapely.to_wkb(shape) for shape in shapes]
    table = table.append_column("geometry", pa.array(wkb, pa.binary()))
    kinds = sorted({shape.geom_type for shape in shapes if shape is not None})
    column = {"encoding": "WKB", "geometry_types": kinds}
    geo = {"version": "1.0.0", "primary_column": "geometry", "columns": {"geometry": column}}
    pq.write_table(_noted(table, note, geo=json.dumps(geo)), path)
    return path


_AREA = ("vintage", "code", "level", "name", "municipality", "derived", "sensors")


def note_of(found: Iterable[Origin]) -> str:
    """Write suppliers as JSON."""
    return json.dumps([{name: getattr(one, name) for name in Origin.__slots__} for one in found], ensure_ascii=False)


def _noted(table: pa.Table, note: str, **more: str) -> pa.Table:
    known: dict[bytes, bytes] = table.schema.metadata or {}
    added = {name.encode(): text.encode() for name, text in {"sources": note, **more}.items()}
    return table.replace_schema_metadata({**known, **added})


def _feature(row: dict[str, Any], shape: Any) -> dict[str, Any]:
    geometry = None if shape is None else json.loads(shapely.to_geojson(shape))
    return {"type": "Feature", "geometry": geometry, "properties": row}
