"""
Areas in the store: loading a vintage, placing sensors in it, and area figures out of sensor figures.

`stadspuls areas load` and `areas join` call it, and the upkeep of the hub after each roll-up. The roll-up appends the
hours it wrote to `area_mark` in its own transaction; `roll_areas` deletes the marks it sees, *then* reads, so that what
is written meanwhile is made anew the next time.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd
import shapely

from aggregates.areas.codes import level_of, municipality_of
from aggregates.areas.geometry import Area, assign
from aggregates.areas.kwb import Statistics
from aggregates.areas.measures import MEASURES
from aggregates.store.statements import statement_text
from aggregates.store.store import Store, Transaction

Rolled = Callable[[Transaction, str, str, datetime, datetime], object]

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


def place_sensors(store: Store) -> int:
    """Hold every place that is new or moved against the boundaries of every vintage; give how many there were."""
    if not store.rows("list_unplaced"):
        return 0
    with store.transaction() as tx:
        tx.rows("lock_areas")
        found = tx.rows("list_unplaced")
        for vintage, group in groupby(found, itemgetter(0)):
            _place(tx, vintage, list(group))
        tx.rows("mark_sensor_hours", sensor_id=sorted({row[1] for row in found}))
    return len(found)


def _place(tx: Transaction, vintage: int, places: list[tuple[Any, ...]]) -> None:
    areas = [
        Area(code, name, shapely.from_wkb(wkb)) for code, name, wkb in tx.rows("list_area_shapes", vintage=vintage)
    ]
    lon, lat = (np.array([row[at] for row in places], dtype=np.float64) for at in (3, 4))
    placed = assign(areas, lon, lat)
    tx.rows(
        "upsert_placements", vintage=vintage, sensor_id=[row[1] for row in places], since=[row[2] for row in places],
        lon=lon.tolist(), lat=lat.tolist(), status=[one.status for one in placed], code=[one.code for one in placed],
        nearest=[one.nearest for one in placed], distance=[one.distance for one in placed],
    )  # fmt: skip


def roll_areas(store: Store, most: int | None = None, rolled: Rolled | None = None) -> int:
    """
    Make the area figures of every marked hour anew, at most `most` days of a quantity; give how many there were.

    `rolled` is told, in the transaction, what was made: level, quantity, and the first and last start.
    Raises `aggregates.store.store.StoreError`; whatever was committed by then stays.
    """
    place_sensors(store)
    done = 0
    while (most is None or done < most) and _roll_some(store, rolled):
        done += 1
    return done


def mark_all(store: Store) -> None:
    """Have every hour made anew by the next `roll_areas`."""
    store.rows("mark_sensor_hours", sensor_id=None)


def _roll_some(store: Store, rolled: Rolled | None) -> bool:
    with store.transaction() as tx:
        tx.rows("lock_areas")
        tx.rows("plan_for_areas")
        for quantity, first, last, first_day, last_day in tx.rows("take_area_marks"):
            for level, begin, end in (("1h", first, last), ("1d", first_day, last_day)):
                made = statement_text("roll_areas").replace("<level>", level)
                tx.script(made, quantity=quantity, first=begin, last=end)
                if rolled is not None:
                    rolled(tx, level, quantity, begin, end)
            return True
        return False
