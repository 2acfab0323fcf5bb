"""
The Dutch air-quality index (Luchtkwaliteitsindex, LKI) of one hour, of its hourly means.

`ingest.gateways.luchtmeetnet` holds it against the index that Luchtmeetnet gives of the same hour. Source of the
bounds: RIVM report 2014-0050, as public implementations have them; PM counts by its hourly mean.
"""

from bisect import bisect_left
from collections.abc import Mapping

# Upper bounds of index 1 to 9, ug/m3; above the last it is 10.
BOUNDS: Mapping[str, tuple[float, ...]] = {
    "o3": (15, 30, 40, 60, 80, 100, 140, 180, 200),
    "pm10": (10, 20, 30, 45, 60, 75, 100, 125, 150),
    "pm25": (10, 15, 20, 30, 40, 50, 70, 90, 100),
    "no2": (10, 20, 30, 45, 60, 75, 100, 125, 150),
}
HIGHEST = 11


def lki(means: Mapping[str, float | None]) -> int | None:
    """
    Give the index, 1 to 11, of hourly means in ug/m3 by quantity; None where none of the four was measured.

    The worst substance decides; where several were measured and all have the same index it is one higher.

    >>> lki({"no2": 31.0, "pm10": 12.0}), lki({"no2": 12.0, "o3": 20.0}), lki({"pm25": -1.0}), lki({"co": 1.0})
    (4, 3, 1, None)
    """
    found = [1 + bisect_left(bounds, mean) for name, bounds in BOUNDS.items() if (mean := means.get(name)) is not None]
    if not found:
        return None
    alike = len(found) > 1 and len(set(found)) == 1
    return min(HIGHEST, max(found) + alike)
