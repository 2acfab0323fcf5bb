"""
The part of the country that a gateway is cut to: a municipality or a box.

The whole country is no Region at all (None). Gateways ask `contains` for each sensor's place.
"""

import shapely


class Region:
    """A named shape in degrees (WGS84)."""

    def __init__(self, name: str, shape: shapely.Geometry) -> None:
        self.name = name
        self._shape = shape
        shapely.prepare(shape)

    @classmethod
    def box(cls, text: str) -> "Region":
        """
        Read "west,south,east,north" in degrees; raises ValueError for anything else.

        >>> Region.box("6.4,53.1,6.7,53.3").contains(6.57, 53.22)
        True
        """
        try:
            west, south, east, north = (float(part) for part in text.split(","))
        except ValueError:
            raise ValueError(f"{text!r}, expected west,south,east,north in degrees") from None
        if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
            raise ValueError(f"{text!r}, expected west below east and south below north, in degrees")
        return cls(text, shapely.box(west, south, east, north))

    def contains(self, lon: float | None, lat: float | None) -> bool:
        """Tell whether a place lies in the region; a place that is not known does not."""
        return lon is not None and lat is not None and bool(shapely.intersects_xy(self._shape, lon, lat))
