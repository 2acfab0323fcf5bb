"""
The geometry of areas: which sensor lies in which, and wijken and gemeenten as unions of their buurten; no I/O.

`aggregates.areas.maps` reads areas, `aggregates.areas.roll_up` assigns sensors to them. The answer for each place:

    inside    one area of the finest level contains it
    border    it lies on a border: of the areas that share it, the first by code
    overlap   several contain it: the one in which it lies deepest, for simplified maps overlap at their edges
    gap       none contains it, the nearest is at most 250 m away: in no area, the nearest is named, nothing is snapped
    outside   none contains it, and none is near
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from aggregates.areas.codes import level_of, municipality_of, wijk_of

NEAR = 250.0  # m; simplified maps leave gaps of a few pixels of 34 m
METRES = 111_195.0  # of a degree of latitude
EXACT = 9  # digits of a degree, 0.1 mm: what lies so near to a border is on it


class Area(NamedTuple):
    """An area with its shape in degrees; `derived` where it is the union of its buurten."""

    code: str
    name: str
    shape: Any = None
    derived: bool = False


class Placed(NamedTuple):
    """Where a place lies; `nearest` and `distance` (m) only where it lies in no area."""

    status: str
    code: str | None = None
    nearest: str | None = None
    distance: float | None = None


def completed(areas: Iterable[Area]) -> list[Area]:
    """Add the wijken and gemeenten that have no shape of their own, as unions of their buurten or else wijken."""
    found = {area.code: area for area in areas}
    for parent_of, child in ((wijk_of, "buurt"), (municipality_of, "buurt"), (municipality_of, "wijk")):
        children = [area for area in found.values() if level_of(area.code) == child and area.shape is not None]
        for parent in sorted({parent_of(area.code) for area in children}):
            known = found.get(parent)
            if known is None or known.shape is None:
                union = shapely.union_all([area.shape for area in children if parent_of(area.code) == parent])
                found[parent] = Area(parent, known.name if known else parent, union, derived=True)
    return sorted(found.values(), key=attrgetter("code"))


def assign(areas: Sequence[Area], lon: NDArray[np.float64], lat: NDArray[np.float64]) -> list[Placed]:
    """
    Find the area of each place (degrees), by the rules above.

    `areas` are of one vintage; only the finest level of each municipality is looked at, the others follow by code.
    """
    drawn = sorted((area for area in areas if area.shape is not None), key=attrgetter("code"))
    # The finer an area the longer its code.
    longest = {municipality_of(code): len(code) for code in sorted((area.code for area in drawn), key=len)}
    leaves = [area for area in drawn if len(area.code) == longest[municipality_of(area.code)]]
    points: NDArray[Any] = np.atleast_1d(np.asarray(shapely.points(lon, lat)))
    placed = [Placed("outside")] * len(points)
    if not leaves:
        return placed
    shapes = np.array([area.shape for area in leaves], dtype=object)
    tree = shapely.STRtree(shapes)
    at, leaf = tree.query(points, predicate="intersects")
    depth = shapely.distance(points[at], shapely.boundary(shapes)[leaf]).round(EXACT)
    order = np.lexsort((leaf, -depth, at))
    hit, first = np.unique(at[order], return_index=True)
    inside = np.bincount(at[depth > 0], minlength=len(points))
    for place, found in zip(hit, leaf[order][first], strict=True):
        placed[place] = Placed(("border", "inside", "overlap")[min(inside[place], 2)], leaves[found].code)
    lost = np.array([one.code is None for one in placed])
    for place, one in zip(np.flatnonzero(lost), _nearest(tree, leaves, points[lost]), strict=True):
        placed[place] = one
    return placed


def _nearest(tree: "shapely.STRtree", leaves: Sequence[Area], points: NDArray[Any]) -> list[Placed]:
    """Find the area nearest to each point; metres out of degrees are good enough near by, where they decide."""
    nearest = tree.nearest(points)
    lines = shapely.shortest_line(points, np.array([leaves[leaf].shape for leaf in nearest], dtype=object))
    east, north = (np.diff(shapely.get_coordinates(lines).reshape(-1, 2, 2), axis=1)[:, 0] * METRES).T
    metres = np.hypot(east * np.cos(np.radians(shapely.get_y(points))), north).tolist()
    return [
        Placed("gap" if far <= NEAR else "outside", None, leaves[leaf].code, round(far, 1))
        for leaf, far in zip(nearest, metres, strict=True)
    ]
