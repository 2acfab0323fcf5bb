"""
The rows of tables as objects of JSON and features of GeoJSON, in degrees or in RD, and their columns as text.

`aggregates.export.forms` calls it, as two of its forms; `hub.web.api` and `hub.web.features` say in which system.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyproj
import shapely

UTC_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
CRS84, RD = "http://www.opengis.net/def/crs/OGC/1.3/CRS84", "http://www.opengis.net/def/crs/EPSG/0/28992"


def objects(table: pa.Table, form: str, crs: str = CRS84, key: Sequence[str] = ()) -> list[dict[str, Any]]:
    """
    Give the rows of a table as objects of JSON, or as features of GeoJSON: boundaries (WKB), or points of lon and lat.

    A feature has an id where all columns of the key are there.
    """
    rows = without_geometry(table).to_pylist()
    if form != "geojson":
        return rows
    named = bool(key) and set(key) <= set(table.column_names)
    ids = [{"id": _id([row[name] for name in key])} if named else {} for row in rows]
    return [
        {"type": "Feature", **own, "geometry": geometry, "properties": row}
        for own, geometry, row in zip(ids, _geometries(table, crs), rows, strict=True)
    ]


def _id(key: Sequence[Any]) -> str:
    """
    Write the key of a row as the id of its feature.

    >>> _id(["BU00140002", "no2", datetime(2024, 6, 3, 12)])
    'BU00140002|no2|2024-06-03T12:00:00Z'
    """
    return "|".join(f"{part:{UTC_FORMAT}}" if isinstance(part, datetime) else str(part) for part in key)


def degrees(box: Sequence[float], crs: str) -> list[float]:
    """Give the sides of a box, west, south, east and north, in degrees."""
    west, south, east, north = box
    return [*(_transformer(28992, 4326).transform_bounds(west, south, east, north) if crs == RD else box)]


@cache
def _transformer(given: int, wanted: int) -> "pyproj.Transformer":
    """Give what makes coordinates of one system (EPSG) those of another."""
    return pyproj.Transformer.from_crs(given, wanted, always_xy=True)


def _geometries(table: pa.Table, crs: str) -> list[Any]:
    if "geometry" in table.column_names:
        shapes = shapely.from_wkb(np.array(table["geometry"].to_pylist(), dtype=object))
    else:
        lon, lat = (table[name].to_numpy() for name in ("lon", "lat"))
        shapes = np.array(shapely.points(lon, lat), dtype=object)
        shapes[np.isnan(lon + lat)] = None
    if crs == RD:
        to_rd = _transformer(4326, 28992)
        shapes = shapely.transform(shapes, lambda at: np.column_stack(to_rd.transform(*at.T)))
    return [None if text is None else msgspec.Raw(text.encode()) for text in shapely.to_geojson(shapes)]


def text_of(column: Any) -> Any:
    """Write the values of a column as text; a list is its words with blanks between them, bytes are base64."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return text_of(column.cast(kind.value_type))
    if pa.types.is_timestamp(kind):
        return pc.replace_substring_regex(pc.strftime(column, UTC_FORMAT), r"\.0+Z$", "Z")
    if pa.types.is_list(kind):
        return pc.binary_join(column.cast(pa.list_(pa.string())), " ")
    if pa.types.is_binary(kind):
        encoded = [data and msgspec.json.encode(data)[1:-1].decode() for data in column.to_pylist()]
        return pa.array(encoded, pa.string())
    return column.cast(pa.string())


def flattened(table: pa.Table) -> pa.Table:
    """Give the members of objects as columns, statistics by their own names."""
    found = table.flatten()
    return found.rename_columns([name.removeprefix("statistics.") for name in found.column_names])


def without_geometry(table: pa.Table) -> pa.Table:
    """Give a table without its shapes."""
    return table.drop_columns("geometry") if "geometry" in table.column_names else table
