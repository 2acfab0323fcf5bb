"""
Boundaries and statistics of a vintage into the store, by municipality, in one transaction.

`stadspuls areas load` and `hub.run.gateways` load what `aggregates.areas.inputs` read; `aggregates.areas.roll_up`
places the sensors in it.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pandas as pd
import shapely

from aggregates.areas.codes import level_of, municipality_of
from aggregates.areas.geometry import Area
from aggregates.areas.inputs import Gathered
from aggregates.areas.measures import MEASURES
from aggregates.areas.statistics import COLUMNS, Statistics
from aggregates.store.store import Store, Transaction, unnested

LICENCE = "CC BY 4.0, Centraal Bureau voor de Statistiek (CBS)"


class Part(NamedTuple):
    """Boundaries or statistics of one municipality, which replace those in the store."""

    municipality: str
    title: str
    origin: str
    areas: tuple[Area, ...] = ()
    statistics: Statistics | None = None

    @property
    def name(self) -> str:
        """The part's name in the table `area_load`."""
        return "boundaries" if self.statistics is None else "statistics"

    @property
    def digest(self) -> str:
        """A hash of the content, without title and origin."""
        shapes = [(area.code, area.name, area.derived, shapely.to_wkb(area.shape)) for area in self.areas]
        cells: object = None
        if found := self.statistics:
            rows = found.cells.sort_values(["code", "measure"]).to_csv(index=False)
            cells = found.about, sorted(found.names.items()), rows
        return hashlib.sha256(repr((shapes, cells)).encode()).hexdigest()


def load(store: Store, vintage: int, municipalities: Sequence[str], found: Gathered) -> list[Part]:
    """
    Replace what the vintage had of these municipalities by what was found, all or none; return what changed.

    Raises `aggregates.store.errors.StoreError`, and then the vintage is as it was.
    """
    with store.transaction() as tx:
        tx.rows("lock_areas")
        known = {(row[1], row[2]): row[8] for row in tx.rows("list_area_loads", vintage=vintage)}
        parts = [part for code in municipalities for part in _parts(code, found)]
        changed = [part for part in parts if known.get((part.municipality, part.name)) != part.digest]
        for part in changed:
            _load_part(tx, vintage, part)
        if any(part.statistics is None for part in changed):
            tx.rows("delete_area_results", vintage=vintage)
        _write_registry(tx)
    return changed


def _parts(code: str, found: Gathered) -> Iterator[Part]:
    """Yield the parts of a municipality; one without areas or cells has none."""
    if own := tuple(area for area in found.areas if municipality_of(area.code) == code):
        yield Part(code, found.map_title, ", ".join(found.map_names), own)
    if cells := _of_municipality(found.statistics, code):
        title = cells.about.title or f"table {cells.about.table_id}"
        yield Part(code, title, ", ".join(found.table_names), (), cells)


def _of_municipality(statistics: Sequence[Statistics], municipality: str) -> Statistics | None:
    """Put the cells of one municipality together; of a cell that several tables have, the first counts."""
    if not statistics:
        return None
    cells = pd.concat([one.cells for one in statistics], ignore_index=True)
    cells = cells[cells["code"].map(municipality_of) == municipality].drop_duplicates(["code", "measure"])
    own = set(cells["code"])
    names = {code: name for one in reversed(statistics) for code, name in one.names.items() if code in own}
    return Statistics(statistics[0].about, cells, names) if len(cells) else None


def _load_part(tx: Transaction, vintage: int, part: Part) -> None:
    """Write one part; of the areas that it does not have those stay that have the other part."""
    own: dict[str, Any] = {"vintage": vintage, "municipality": part.municipality}
    if part.statistics is None:
        _load_boundaries(tx, own, part.areas)
    else:
        _load_statistics(tx, own, part.statistics)
    tx.rows("delete_areas_without_content", **own)
    about = part.statistics and part.statistics.about
    tx.rows(
        "note_area_load", **own, part=part.name, title=part.title, origin=part.origin, licence=LICENCE,
        digest=part.digest, table_id=about and about.table_id, modified=about and about.modified,
    )  # fmt: skip


def _load_boundaries(tx: Transaction, own: dict[str, Any], areas: Sequence[Area]) -> None:
    tx.rows("clear_boundaries", **own)
    tx.rows(
        "upsert_boundaries", **own, **unnested(areas, ("code", "name", "derived")),
        level=[level_of(area.code) for area in areas], geometry=[shapely.to_wkb(area.shape) for area in areas],
    )  # fmt: skip


def _load_statistics(tx: Transaction, own: dict[str, Any], statistics: Statistics) -> None:
    cells = statistics.cells.astype(object).where(statistics.cells.notna(), None)
    codes = [str(code) for code in cells["code"].unique()]
    tx.rows("delete_area_statistics", **own)
    tx.rows(
        "insert_area_statistics", vintage=own["vintage"], table_id=statistics.about.table_id,
        modified=statistics.about.modified, **{name: cells[name].tolist() for name in COLUMNS},
        period=[MEASURES[name].about(own["vintage"]) if name in MEASURES else None for name in cells["measure"]],
    )  # fmt: skip
    tx.rows(
        "upsert_areas_with_statistics", **own, code=codes, level=[level_of(code) for code in codes],
        name=[statistics.names.get(code, code) for code in codes],
    )  # fmt: skip


def _write_registry(tx: Transaction) -> None:
    measures = list(MEASURES.values())
    withheld = [
        f"below {one.below.least:g} {one.below.measure} ({one.below.source})" if one.below else None for one in measures
    ]
    columns = unnested(measures, ("name", "code", "title", "unit", "theme"))
    tx.rows("upsert_measures", **columns, withheld=withheld)


def boundary(store: Store, code: str) -> Area | None:
    """Return an area with its boundary, of the newest vintage that has one; None where there is none."""
    rows = store.rows("read_area_boundary", code=code)
    return Area(rows[0][0], rows[0][1], shapely.from_wkb(rows[0][2]), rows[0][3]) if rows else None
