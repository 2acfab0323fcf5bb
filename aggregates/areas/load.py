"""
Boundaries and statistics of a vintage into the store, by municipality, in one transaction.

`stadspuls areas load` and `hub.run.open_data` load what `aggregates.areas.inputs` read; `aggregates.areas.roll_up`
places the sensors in it.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
import shapely

from aggregates.areas.codes import level_of, municipality_of
from aggregates.areas.geometry import Area
from aggregates.areas.measures import MEASURES
from aggregates.areas.statistics import Statistics
from aggregates.store.store import Store, Transaction, unnested

LICENCE = "CC BY 4.0, Centraal Bureau voor de Statistiek (CBS)"
_CELLS = ("code", "measure", "value", "content", "attribute", "unit", "key")


@dataclass(frozen=True, slots=True)
class Part:
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
        found = hashlib.sha256()
        for area in sorted(self.areas, key=lambda area: area.code):
            found.update(f"{area.code}\0{area.name}\0{area.derived}\0".encode() + shapely.to_wkb(area.shape))
        if self.statistics is not None:
            cells = self.statistics.cells.sort_values(["code", "measure"])
            names, changes = (sorted(known.items()) for known in (self.statistics.names, self.statistics.changes))
            found.update(repr((self.statistics.about, names, changes)).encode() + cells.to_csv(index=False).encode())
        return found.hexdigest()


def parts(
    municipalities: Iterable[str], areas: Sequence[Area], statistics: Sequence[Statistics], title: str,
    map_origin: str, table_origin: str,
) -> list[Part]:  # fmt: skip
    """Make the parts of each municipality; one without areas or cells has none."""
    found = []
    for code in municipalities:
        own = tuple(area for area in areas if municipality_of(area.code) == code)
        if own:
            found.append(Part(code, title, map_origin, own))
        if cells := _of_municipality(statistics, code):
            found.append(Part(code, cells.about.title or f"table {cells.about.table_id}", table_origin, (), cells))
    return found


def _of_municipality(statistics: Sequence[Statistics], municipality: str) -> Statistics | None:
    """Put the cells of one municipality together; of a cell that several tables have, the first counts."""
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
    Replace what the vintage had by these parts, all or none; return those that changed something.

    Raises `aggregates.store.store.StoreError`, and then the vintage is as it was.
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
        _write_registry(tx)
    return changed


def _load_boundaries(tx: Transaction, vintage: int, part: Part) -> None:
    """Write the areas of a map; of the others those stay that have statistics, without a boundary."""
    own = {"vintage": vintage, "municipality": part.municipality}
    tx.rows("clear_boundaries", **own)
    tx.rows(
        "upsert_boundaries", **own, **unnested(part.areas, ("code", "name", "derived")),
        level=[level_of(area.code) for area in part.areas],
        geometry=[shapely.to_wkb(area.shape) for area in part.areas],
    )  # fmt: skip
    tx.rows("delete_areas_without_content", **own)


def _load_statistics(tx: Transaction, vintage: int, part: Part) -> None:
    """Write the areas of a table and their figures; of the others those stay that have a boundary, without figures."""
    assert part.statistics is not None
    about, cells = part.statistics.about, part.statistics.cells
    own = {"vintage": vintage, "municipality": part.municipality}
    columns = {name: cells[name].astype(object).where(cells[name].notna(), None).tolist() for name in _CELLS}
    periods = [MEASURES[name].about(vintage) if name in MEASURES else None for name in columns["measure"]]
    tx.rows("delete_area_statistics", **own)
    tx.rows(
        "insert_area_statistics", vintage=vintage, table_id=about.table_id, modified=about.modified, period=periods,
        **columns,
    )  # fmt: skip
    codes = [str(code) for code in cells["code"].unique()]
    tx.rows(
        "upsert_areas_with_statistics", **own, code=codes, level=[level_of(code) for code in codes],
        name=[part.statistics.names.get(code, code) for code in codes],
        change=[part.statistics.changes.get(code) for code in codes],
    )  # fmt: skip
    tx.rows("delete_areas_without_content", **own)


def _write_registry(tx: Transaction) -> None:
    for measure in MEASURES.values():
        rule = measure.below
        withheld = f"below {rule.least:g} {rule.measure} ({rule.source})" if rule else None
        tx.rows(
            "upsert_measure", measure=measure.name, code=measure.code, title=measure.title, unit=measure.unit,
            theme=measure.theme, withheld=withheld,
        )  # fmt: skip


def boundary(store: Store, code: str) -> Area | None:
    """Return an area with its boundary, of the newest vintage that has one; None where there is none."""
    rows = store.rows("read_area_boundary", code=code)
    return Area(rows[0][0], rows[0][1], shapely.from_wkb(rows[0][2]), rows[0][3]) if rows else None
