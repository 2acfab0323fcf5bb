"""
Maps of areas from any file that GDAL reads: GeoJSON, GeoPackage, shapefile; in RD or degrees.

`aggregates.areas.inputs` calls `read_map` with bytes. It returns areas in degrees (WGS84), and their attributes for
`aggregates.areas.statistics`.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyogrio  # type: ignore[import-untyped]
import pyogrio.errors  # type: ignore[import-untyped]
import pyproj
import shapely
from numpy.typing import NDArray

from aggregates.areas.codes import is_code
from aggregates.areas.geometry import Area
from aggregates.areas.measures import plain
from aggregates.areas.statistics import BadDocument, code_column

_NAMES = ("buurtnaam", "bunaam", "wijknaam", "wknaam", "gemeentenaam", "gmnaam", "naam", "name", "statnaam")
_YEARS = ("jaar", "year")
_WATER = ("h2o", "water")  # columns that tell the water of an area, "JA", from its land, "NEE"
RD = "EPSG:28992"


class Map(NamedTuple):
    """
    Areas with the attributes of their features, and the years in its columns and layer names.

    The title says for how many areas land and water are drawn apart.
    """

    title: str
    areas: tuple[Area, ...]
    attributes: pd.DataFrame
    years: frozenset[int]


def read_map(data: bytes | str, name: str) -> list[Map]:
    """Read every layer that holds area codes; a shapefile that is not zipped goes by its path. Raises BadDocument."""
    try:
        layers = [str(layer) for layer, geometry in pyogrio.list_layers(data) if geometry is not None]
        found = [_layer(data, layer, name) for layer in layers]
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise BadDocument(f"{name}: {error}") from error
    maps = [one for one in found if one is not None]
    if not maps:
        raise BadDocument(f"{name}: layers {layers} without area codes, expected BU, WK or GM codes in a column")
    return maps


def _layer(data: bytes | str, layer: str, name: str) -> Map | None:
    meta, _, wkb, columns = pyogrio.raw.read(data, layer=layer, datetime_as_string=True)
    frame = pd.DataFrame(dict(zip(meta["fields"], columns, strict=True)))
    try:
        column = code_column(frame)
    except BadDocument:
        return None
    frame, wkb, water = _land_first(frame, column, wkb)
    shapes = in_degrees(shapely.from_wkb(wkb), meta["crs"], f"{name}, layer {layer}")
    columns_by_name = {plain(str(column)): str(column) for column in frame.columns}
    names = frame[next((columns_by_name[name] for name in _NAMES if name in columns_by_name), column)]
    years = {int(year) for key in _YEARS if key in columns_by_name for year in frame[columns_by_name[key]].unique()}
    parts = [
        Area(str(code).strip(), "" if pd.isna(label) else str(label).strip(), shape)
        for code, label, shape in zip(frame[column], names, shapes, strict=True)
        if is_code(str(code).strip()) and shape is not None and not shape.is_empty
    ]
    years |= {int(year) for year in re.findall(r"20\d\d", layer)}
    title = f"{layer} (land and water merged in {water.sum()}, figures of the land)" if water.any() else layer
    return Map(title, _merged(parts), frame[~water].drop_duplicates(), frozenset(years))


def _land_first(frame: pd.DataFrame, column: str, shapes: NDArray[Any]) -> tuple[pd.DataFrame, NDArray[Any], pd.Series]:
    """
    Sort features so that land stands before water, and tell which are the water of an area that has land too.

    CBS draws the land and the water of a gemeente as two features of one code, and gives its figures to the land
    (Toelichting Wijk- en Buurtkaart: WATER is JA, NEE or B). Water of an area of its own stays such an area.
    """
    names = [name for name in frame.columns if plain(str(name)) in _WATER]
    is_water = (frame[names] == "JA").any(axis=1)
    order = np.argsort(is_water, kind="stable")
    frame, is_water = frame.iloc[order], is_water.iloc[order]
    return frame, shapes[order], is_water & frame[column].isin(frame[column][~is_water])


def _merged(parts: Iterable[Area]) -> tuple[Area, ...]:
    """Make one area of the features with one code, under the first one's name."""
    found: dict[str, Area] = {}
    for part in parts:
        shape = shapely.make_valid(part.shape)
        known = found.get(part.code)
        found[part.code] = replace(known or part, shape=shapely.union(known.shape, shape) if known else shape)
    return tuple(found.values())


def in_degrees(shapes: NDArray[Any], crs: str | None, where: str) -> NDArray[Any]:
    """
    Return shapes in degrees lon, lat.

    The range of the coordinates decides before the CRS in the file, because files are wrong about it: metres of RD
    in a GeoJSON, no .prj at all, lat before lon. Raises BadDocument for coordinates that are neither.
    """
    west, south, east, north = shapely.total_bounds(shapes)
    if -180 <= west <= east <= 180 and -90 <= south <= north <= 90:
        if 50 <= west <= east <= 54 and 3 <= south <= north <= 8:
            return np.asarray(shapely.transform(shapes, lambda points: points[:, ::-1]))
        return shapes
    if crs in (None, "EPSG:4326", RD) and -7000 <= west <= east <= 300_000 and 289_000 <= south <= north <= 629_000:
        crs = RD
    if crs is None:
        found = f"coordinates {west:g}..{east:g}, {south:g}..{north:g}"
        raise BadDocument(f"{where}: {found}, expected degrees or RD metres")
    transformer = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    move = transformer.transform
    return np.asarray(shapely.transform(shapes, lambda points: np.column_stack(move(points[:, 0], points[:, 1]))))
