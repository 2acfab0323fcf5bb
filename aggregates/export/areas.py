"""
Areas and their figures as files, each with source, vintage and licence, and who may use what.

`stadspuls areas export` calls it, and `aggregates.export.export` for the areas of a whole hub. The suppliers of
everything in a file stand in its metadata and in `_SOURCES.json` beside it.
"""

from collections.abc import Iterable
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

Origin = dict[str, Any]  # a supplier of something: source, title, licence, vintage, commercial_use


def origins(store: Store, vintage: int | None = None, quantity: str | None = None) -> list[Origin]:
    """
    Name the suppliers of the areas and statistics of a vintage, and of a quantity measured in them.

    Without a vintage: of everything in the hub.
    """
    named = store.rows("list_sources", vintage=vintage, quantity=quantity) if quantity or vintage is None else []
    loads = {(row[0], row[3], row[5]) for row in store.rows("list_area_loads", vintage=vintage)}
    return [supplier(name) for (name,) in named] + [
        _origin("cbs", title, licence, True, year) for year, title, licence in sorted(loads)
    ]


def supplier(name: str) -> Origin:
    """Name the supplier of a source's readings; the licence of a source in no registry is unknown."""
    if source := SOURCES.get(name):
        return _origin(name, source.title, source.licence, source.commercial_use)
    return _origin(name, name, "unknown", False)


def _origin(source: str, title: str, licence: str, commercial_use: bool, vintage: int | None = None) -> Origin:
    return {
        "source": source, "title": title, "licence": licence, "vintage": vintage, "commercial_use": commercial_use,
    }  # fmt: skip


def check_open(found: Iterable[Origin]) -> None:
    """Raise Refused where something may not be used commercially, and so is no open data."""
    closed = [f"{one['title']} ({one['licence']})" for one in found if not one["commercial_use"]]
    if closed:
        raise Refused(f"open data without restrictions cannot hold {'; '.join(closed)}")


def export_figures(figures: pd.DataFrame, found: list[Origin], out: Path) -> int:
    """Write figures as Parquet below `out`/vintage=/quantity=/level=/; give the number of files."""
    note = write_sources(out, found)
    keys = ["vintage", "quantity", "level"]
    parts = list(figures.groupby(keys, observed=True))
    for (vintage, quantity, level), part in parts:
        path = out / f"vintage={vintage}" / f"quantity={quantity}" / f"level={level}" / "figures.parquet"
        forms.write_file(path, "parquet", [forms.table_of(part.drop(columns=keys))], note)
    return len(parts)


def export_areas(areas: list[dict[str, Any]], found: list[Origin], out: Path, form: str) -> Path:
    """Write areas with their statistics as `areas.geojson` or, GeoParquet, `areas.parquet`; give the path."""
    rows = [{name: one[name] for name in _AREA} | (one["statistics"] or {}) for one in areas]
    wkb = [None if one["geometry"] is None else shapely.to_wkb(one["geometry"]) for one in areas]
    table = forms.table_of(pd.DataFrame(rows)).append_column("geometry", pa.array(wkb, pa.binary()))
    form = "geojson" if form == "geojson" else "parquet"
    forms.write_file(out / f"areas.{form}", form, [table], write_sources(out, found))
    return out / f"areas.{form}"


_AREA = ("vintage", "code", "level", "name", "municipality", "derived", "sensors")


def write_sources(out: Path, found: list[Origin]) -> forms.Beside:
    """Write `_SOURCES.json`, and return what stands beside the rows of a file."""
    with forms.replaced(out / "_SOURCES.json") as file:
        file.write(msgspec.json.encode(found))
    return lambda: {"sources": found}
