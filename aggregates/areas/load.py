"""
Boundaries and statistics of a vintage into the store, by municipality, in one transaction.

`stadspuls areas load` and `hub.run.open_data` load what `aggregates.areas.inputs` read; `aggregates.areas.roll_up`
places the sensors in it.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import shapely

from aggregates.areas.codes import level_of, municipality_of
from aggregates.areas.geometry import Area
from aggregates.areas.measures import MEASURES
from aggregates.areas.statistics import Statistics
from aggregates.store.store import Store, Transaction

LICENCE = "CC BY 4.0, Centraal Bureau voor de Statistiek (CBS)"
_CELLS = ("code", "measure", "value", "content", "attribute", "unit", "key")


@dataclass(frozen=True, slots=True)
class Part:
    """Boundaries or statistics of one municipality, as they are to stand in the store from now on."""

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
        """A hash of the content; what a part is called and came from does not count."""
        found = hashlib.sha256()
        for area in sorted(self.areas, key=lambda area: area.code):
            found.update(f"{area.code}\0{area.name}\0{area.derived}\0".encode() + shapely.to_wkb(area.shape))
        if self.statistics is not None:
            cells = self.statistics.cells.sort_values(["code", "measure"])
            about = (
                self.statistics.about,
                sorted(self.statistics.names.items()),
                sorted(self.statistics.changes.items()),
            )
            found.update(repr(about).encode() + cells.to_csv(index=False).encode())
        return found.hexdigest()


def parts(
    municipalities: Iterable[str], areas: Sequence[Area], statistics: Sequence[Statistics], title: str,
    map_origin: str, table_origin: str,
) -> list[Part]:  # fmt: skip
    """Cut what was gathered into parts; a municipality without areas or cells has none."""
    found = []
    for code in municipalities:
        own = tuple(area for area in areas if municipality_of(area.code) == code)
        if own:
            found.append(Part(code, title, map_origin, own))
        if cells := _of_municipality(statistics, code):
            found.append(Part(code, cells.about.title or f"table {cells.about.table_id}", table_origin, (), cells))
    return found


def _of_municipality(statistics: Sequence[Statistics], municipality: str) -> Statistics | None:
    """Put the cells of one municipality together; of a cell that several tables have, the first stands."""
    if not statistics:
        return None
    cells = pd.concat([one.cells for one in statistics], ignore_index=True)
    cells = cells[cells["code"].map(municipality_of) == municipality].drop_duplicates(["code", "measure"])
    names = {code: name for one in reversed(statistics) for code, name in one.names.items()}
    changes = {code: change for one in reversed(statistics) for code, change in one.changes.items()}
    own = set(cells["code"])
    kept = ({code: text for code, text in known.items() if code in own} for known in (names, changes))
    return Statistics(statistics[0].about, cells, *kept) if len(cells) else None


def load(store: Store, vintage: int, found: Sequence[Part]) -> list[Part]:
    """
    Put the parts in place of what the vintage had, all or none; give those that changed something.

    Raises `aggregates.store.store.StoreError`, and then the old vintage stands as it was.
    """
    with store.transaction() as tx:
        tx.rows("lock_areas")
        known = {(row[1], row[2]): row[8] for row in tx.rows("list_area_loads", vintage=vintage)}
        changed = [part for part in found if known.get((part.municipality, part.name)) != part.digest]
        for part in changed:
            (_load_boundaries if part.statistics is None else _load_statistics)(tx, vintage, part)
            about = part.statistics.about if part.statistics else None
            tx.rows(
                "note_area_load", vintage=vintage, municipality=part.municipality, part=part.name, title=part.title,
                origin=part.origin, licence=LICENCE, digest=part.digest,
                table_id=about and about.table_id, modified=about and about.modified,
            )  # fmt: skip
        if any(part.statistics is None for part in changed):
            tx.rows("delete_area_results", vintage=vintage)
        _mirror(tx)
    return changed


@dataclass
class _Row:
    code: str
    name: str
    change: str | None = None
    derived: bool = False
    geometry: bytes | None = None

    @property
    def level(self) -> str:
        return level_of(self.code)


def _load_boundaries(tx: Transaction, vintage: int, part: Part) -> None:
    """What has statistics stays an area, with or without a boundary."""
    rows = _known(tx, vintage, part.municipality)
    with_figures = {
        code for (code,) in tx.rows("list_codes_with_statistics", vintage=vintage, municipality=part.municipality)
    }
    rows = {code: _Row(code, row.name, row.change) for code, row in rows.items() if code in with_figures}
    for area in part.areas:
        old = rows.get(area.code)
        name = old.name if old and area.name == area.code else area.name
        change = old.change if old else None
        rows[area.code] = _Row(area.code, name, change, area.derived, shapely.to_wkb(area.shape))
    _write(tx, vintage, part.municipality, rows)


def _load_statistics(tx: Transaction, vintage: int, part: Part) -> None:
    """What has a boundary stays an area, with or without figures."""
    assert part.statistics is not None
    said = part.statistics
    rows = {c: row for c, row in _known(tx, vintage, part.municipality).items() if row.geometry is not None}
    for code in said.cells["code"].unique():
        row = rows.setdefault(code, _Row(code, code))
        row.name = said.names.get(code, row.name) if row.name == code else row.name
        row.change = said.changes.get(code)
    _write(tx, vintage, part.municipality, rows)
    cells = said.cells.astype(object).where(said.cells.notna(), None)
    columns = {name: cells[name].tolist() for name in _CELLS}
    periods = [MEASURES[name].about(vintage) if name in MEASURES else None for name in columns["measure"]]
    tx.rows("delete_area_statistics", vintage=vintage, municipality=part.municipality)
    tx.rows(
        "insert_area_statistics", vintage=vintage, table_id=said.about.table_id, modified=said.about.modified,
        period=periods, **columns,
    )  # fmt: skip


def _known(tx: Transaction, vintage: int, municipality: str) -> dict[str, _Row]:
    return {
        row[0]: _Row(*row) for row in tx.rows("list_municipality_areas", vintage=vintage, municipality=municipality)
    }


def _write(tx: Transaction, vintage: int, municipality: str, rows: Mapping[str, _Row]) -> None:
    names = ("code", "level", "name", "change", "derived", "geometry")
    tx.rows("delete_areas", vintage=vintage, municipality=municipality)
    columns = {name: [getattr(row, name) for row in rows.values()] for name in names}
    tx.rows("insert_areas", vintage=vintage, municipality=municipality, **columns)


def _mirror(tx: Transaction) -> None:
    for measure in MEASURES.values():
        rule = measure.below
        withheld = f"below {rule.least:g} {rule.measure} ({rule.source})" if rule else None
        tx.rows(
            "upsert_measure", measure=measure.name, code=measure.code, title=measure.title, unit=measure.unit,
            theme=measure.theme, withheld=withheld,
        )  # fmt: skip


def boundary(store: Store, code: str) -> Area | None:
    """Give an area with its boundary, of the newest vintage that has one; None where there is none."""
    rows = store.rows("read_area_boundary", code=code)
    return Area(rows[0][0], rows[0][1], shapely.from_wkb(rows[0][2]), rows[0][3]) if rows else None
