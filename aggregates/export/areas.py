"""
Areas and their figures as files, each with source, vintage and licence, and who may use what.

`stadspuls areas export` calls it, and `aggregates.export.export` for the areas of a whole hub. The suppliers of
everything in a file stand in its metadata and in `_SOURCES.json` beside it.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import shapely

from aggregates.ask.indicators import Refused
from aggregates.export import forms
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
    """Name the supplier of a source's readings; the licence of a source in no registry is unknown."""
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
        table = forms.table_of(part.drop(columns=["vintage", "quantity", "level"]))
        _write("parquet", table, folder / "figures.parquet", note)
        count += 1
    write_sources(out, note)
    return count


def export_areas(areas: list[dict[str, Any]], found: Iterable[Origin], out: Path, form: str) -> Path:
    """Write areas with their statistics as `areas.geojson` or, GeoParquet, `areas.parquet`; give the path."""
    note = note_of(found)
    rows = [{name: one[name] for name in _AREA} | (one["statistics"] or {}) for one in areas]
    wkb = [None if one["geometry"] is None else shapely.to_wkb(one["geometry"]) for one in areas]
    table = forms.table_of(pd.DataFrame(rows)).append_column("geometry", pa.array(wkb, pa.binary()))
    path = out / ("areas.geojson" if form == "geojson" else "areas.parquet")
    _write("geojson" if form == "geojson" else "parquet", table, path, note)
    write_sources(out, note)
    return path


_AREA = ("vintage", "code", "level", "name", "municipality", "derived", "sensors")
Note = list[dict[str, Any]]


def note_of(found: Iterable[Origin]) -> Note:
    """Give suppliers as they stand in a file."""
    return [asdict(one) for one in found]


def write_sources(out: Path, note: Note) -> None:
    """Write `_SOURCES.json`."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "_SOURCES.json").write_bytes(msgspec.json.encode(note))


def _write(form: str, table: pa.Table, path: Path, note: Note) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        forms.write(form, [table], file, beside=lambda: {"sources": note})
