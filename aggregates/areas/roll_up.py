"""
Sensors into areas, and the windows of areas out of those of their sensors.

The upkeep of the hub and `stadspuls areas` call it. The roll-up of `streams.rollup` appends the hours it wrote to
`area_mark` in its own transaction; `roll_areas` deletes the marks it sees, *then* reads, so that what is written
meanwhile is made anew the next time.
"""

from collections.abc import Callable
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import shapely

from aggregates.areas.geometry import Area, Placed, assign
from aggregates.store.statements import statement_text
from aggregates.store.store import Store, Transaction, unnested

Rolled = Callable[[Transaction, str, str, datetime, datetime], object]


def place_sensors(store: Store) -> int:
    """Find the areas of every place that is new or moved, in every vintage; return how many places there were."""
    if not store.rows("find_unplaced"):
        return 0
    with store.transaction() as tx:
        tx.rows("lock_areas")
        tx.rows("take_unplaced")
        found = tx.rows("list_unplaced")
        for vintage, group in groupby(found, itemgetter(0)):
            _place(tx, vintage, list(group))
        tx.rows("note_placed", vintage=[row[0] for row in found], sensor_id=[row[1] for row in found])
    return len(found)


def _place(tx: Transaction, vintage: int, places: list[tuple[Any, ...]]) -> None:
    areas = [
        Area(code, name, shapely.from_wkb(wkb)) for code, name, wkb in tx.rows("list_area_shapes", vintage=vintage)
    ]
    lon, lat = (np.array([row[at] for row in places], dtype=np.float64) for at in (3, 4))
    placed = assign(areas, lon, lat)
    sensors = [row[1] for row in places]
    tx.rows(
        "upsert_placements", vintage=vintage, sensor_id=sensors, since=[row[2] for row in places],
        lon=lon.tolist(), lat=lat.tolist(), **unnested(placed, Placed._fields),
    )  # fmt: skip
    tx.rows("close_placements", vintage=vintage, sensor_id=sensors)


def roll_areas(store: Store, most: int | None = None, rolled: Rolled | None = None) -> int:
    """
    Compute the area figures of every marked hour again, at most `most` days of a quantity; return how many days.

    `rolled` is called in the transaction with what was computed: level, quantity, and the first and last start.
    Raises `aggregates.store.errors.StoreError`; what was committed by then stays.
    """
    place_sensors(store)
    store.rows("mark_changed_validity")
    done = 0
    while (most is None or done < most) and _roll_some(store, rolled):
        done += 1
    return done


def _roll_some(store: Store, rolled: Rolled | None) -> bool:
    with store.transaction() as tx:
        tx.rows("lock_areas")
        tx.rows("plan_for_areas")
        for quantity, vintage, first, last, first_day, last_day in tx.rows("take_area_marks"):
            for level, begin, end in (("1h", first, last), ("1d", first_day, last_day)):
                made = statement_text("roll_areas").replace("<level>", level)
                tx.script(made, quantity=quantity, vintage=vintage, first=begin, last=end)
                if rolled is not None:
                    rolled(tx, level, quantity, begin, end)
            return True
        return False
