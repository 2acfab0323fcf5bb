"""
Areas and their figures as files, each with source, vintage and licence, and who may use what.

`stadspuls areas export` calls it, and `aggregates.export.export` for the areas of a whole hub. The suppliers of
everything in a file stand in its metadata and in `_SOURCES.json` beside it.
"""

import functools
import operator
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from aggregates.ask.indicators import Refused
from aggregates.ask.listings import areas
from aggregates.export import forms
from aggregates.export.objects import flattened
from aggregates.store.store import Store
from ingest.vocabulary.sources import SOURCES
from ingest.vocabulary.values import shipped_toml

LICENCES: dict[str, str] = shipped_toml(__file__, "licences.toml")
Origin = dict[str, Any]  # a supplier of something: source, title, licence, vintage, commercial_use


def origins(
    store: Store, vintage: int | None = None, quantity: str | None = None, sensors: Sequence[str] | None = None
) -> list[Origin]:
    """
    Name the suppliers of the areas and statistics of a vintage, and of a quantity measured in them.

    Without a vintage: of a quantity, by these sensors; for a group its members stand. Of nothing: of all in the hub.
    """
    everything, asked = not (vintage or quantity), {"quantity": quantity, "sensors": sensors}
    named = store.rows("list_sources", vintage=vintage, **asked) if quantity or everything else []
    loads = store.rows("list_area_loads", vintage=vintage) if vintage or everything else []
    return [supplier(name) for (name,) in named] + [
        _origin("cbs", title, licence, True, year)
        for year, title, licence in sorted({(row[0], row[3], row[5]) for row in loads})
    ]


def supplier(name: str) -> Origin:
    """Name the supplier of a source's readings; the licence of a source in no registry is unknown."""
    if source := SOURCES.get(name):
        return _origin(name, source.title, source.licence, source.commercial_use)
    return _origin(name, name, "unknown", False)


def _origin(source: str, title: str, licence: str, commercial_use: bool, vintage: int | None = None) -> Origin:
    return {"source": source, "title": title, "licence": licence, "vintage": vintage, "commercial_use": commercial_use}


def check_open(found: Iterable[Origin]) -> None:
    """Raise Refused where something may not be used commercially, and so is no open data."""
    closed = [f"{one['title']} ({one['licence']})" for one in found if not one["commercial_use"]]
    if closed:
        raise Refused(f"open data without restrictions cannot hold {'; '.join(closed)}")


def export_figures(figures: pa.Table, found: list[Origin], out: Path) -> int:
    """Write figures as Parquet below `out`/vintage=/quantity=/level=/; give the number of files."""
    note = write_sources(out, found)
    keys = ["vintage", "quantity", "level"]
    parts = figures.group_by(keys).aggregate([]).select(keys).to_pylist()
    for part in parts:
        chosen = figures.filter(functools.reduce(operator.and_, (pc.field(name) == part[name] for name in keys)))
        path = out.joinpath(*(f"{name}={part[name]}" for name in keys), "figures.parquet")
        forms.write_file(path, "parquet", [chosen.drop_columns(keys)], note)
    return len(parts)


def export_areas(store: Store, vintage: int, level: str | None, out: Path, form: str) -> tuple[Path, int]:
    """Write areas with statistics as `areas.geojson` or, GeoParquet, `areas.parquet`; give the path, and how many."""
    table = flattened(areas(store, vintage, level))
    form = "geojson" if form == "geojson" else "parquet"
    forms.write_file(out / f"areas.{form}", form, [table], write_sources(out, origins(store, vintage)))
    return out / f"areas.{form}", table.num_rows


def write_sources(out: Path, found: list[Origin]) -> forms.Beside:
    """Write `_SOURCES.json`, and return what stands beside the rows of a file."""
    with forms.replaced(out / "_SOURCES.json") as file:
        file.write(msgspec.json.encode(found))
    return lambda: {"sources": found}
