"""
Maps from any file that GDAL reads, as GeoJSON, GeoPackage or shapefile, in RD or degrees: of areas, and of a model.

`aggregates.areas.inputs` calls `read_map` with bytes. It returns areas in degrees (WGS84), and their attributes for
`aggregates.areas.statistics`. `stadspuls areas base-map` makes the map of roads and water that `hub.web.live` draws
beneath areas and sensors: GeoJSON, gzipped, with all lines or polygons of a kind of `base_map.toml` in one feature.
"""

import gzip
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
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
from ingest.vocabulary.values import raised_as, shipped_toml

_NAMES = ("buurtnaam", "bunaam", "wijknaam", "wknaam", "gemeentenaam", "gmnaam", "naam", "name", "statnaam")
_YEARS = ("jaar", "year")
_UNREADABLE = (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError)
_WATER = ("h2o", "water")  # columns that tell the water of an area, "JA", from its land, "NEE"
RD = "EPSG:28992"
_MARGIN = 0.003  # degrees around the area, some 300 m: a road goes on beyond the border
_GRID = 1e-5  # degrees, about a metre: what is drawn is rounded to
_RULES = shipped_toml(__file__, "base_map.toml")
_KIND_OF = {word: kind for kind, words in _RULES["kinds"].items() for word in words}


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
    with raised_as(BadDocument, *_UNREADABLE, at=name):
        layers = [str(layer) for layer, geometry in pyogrio.list_layers(data) if geometry is not None]
        found = [_layer(data, layer, name) for layer in layers]
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
    dated = [columns_by_name[name] for name in _YEARS if name in columns_by_name]
    years = {int(year) for name in dated for year in frame[name].dropna().unique()}
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
        found[part.code] = (known or part)._replace(shape=shapely.union(known.shape, shape) if known else shape)
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
    return np.asarray(shapely.transform(shapes, lambda at: np.column_stack(transformer.transform(*at.T))))


def read_layer(path: Path, column: str) -> list[tuple[Any, float]]:
    """Read a modelled map: polygons or grid cells with a value each; raises BadDocument."""
    with raised_as(BadDocument, *_UNREADABLE, at=path.name):
        meta, _, wkb, fields = pyogrio.raw.read(path)
    if column not in meta["fields"]:
        columns = ", ".join(meta["fields"])
        raise BadDocument(f"{path.name}: columns {columns}, expected {column} with the modelled values")
    shapes = in_degrees(shapely.from_wkb(wkb), meta["crs"], path.name)
    values = fields[list(meta["fields"]).index(column)]
    return [(shape, float(value)) for shape, value in zip(shapes, values, strict=True) if value == value]


def write_base_map(sources: Sequence[Path], within: Any, attribution: str, out: Path) -> None:
    """
    Write the roads and water of files that GDAL reads, in and just around `within` (degrees).

    Raises BadDocument for a file that GDAL cannot read, and where nothing that is known lies within.
    """
    around = within.buffer(_MARGIN)
    pieces = [piece for path in sources for piece in _pieces(path, around)]
    features = []
    for kind in _RULES["kinds"]:
        shape = _together([shape for own, shape in pieces if own == kind], around)
        if not shape.is_empty:
            geometry = msgspec.Raw(shapely.to_geojson(shape).encode())
            features.append({"type": "Feature", "properties": {"kind": kind}, "geometry": geometry})
    if not features:
        names = ", ".join(path.name for path in sources)
        raise BadDocument(f"{names}: no roads and no water here, expected one of {_RULES['attributes']}")
    written = msgspec.json.encode({"type": "FeatureCollection", "attribution": attribution, "features": features})
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(gzip.compress(written, mtime=0))


def _pieces(path: Path, within: Any) -> Iterator[tuple[str, Any]]:
    """Yield the shapes of a file that touch the box of `within`, each with its kind."""
    with raised_as(BadDocument, *_UNREADABLE, at=path.name):
        for layer, geometry in pyogrio.list_layers(path):
            if geometry is not None:
                yield from _of_layer(path, str(layer), within)


def _of_layer(path: Path, layer: str, within: Any) -> Iterator[tuple[str, Any]]:
    crs = pyogrio.read_info(path, layer=layer)["crs"] or "EPSG:4326"
    box = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform_bounds(*within.bounds)
    meta, _, wkb, columns = pyogrio.raw.read(path, layer=layer, bbox=box, force_2d=True, datetime_as_string=True)
    if not len(wkb):
        return
    shapes = in_degrees(shapely.from_wkb(wkb), meta["crs"], f"{path.name}, layer {layer}")
    frame = pd.DataFrame(dict(zip(map(str.lower, meta["fields"]), columns, strict=True)), index=range(len(shapes)))
    words = frame.astype(str).apply(lambda column: column.str.lower())
    kinds = pd.Series("water" if "water" in layer.lower() else None, index=words.index, dtype=object)
    for name in words.columns.intersection(_RULES["attributes"]):
        kinds = kinds.fillna(words[name].map(_KIND_OF))
    fits = kinds.notna() & ((kinds == "water") == (shapely.get_dimensions(shapes) == 2))
    yield from zip(kinds[fits], shapes[fits], strict=True)


def _together(shapes: Sequence[Any], within: Any) -> Any:
    """Give the shapes of one kind as one, cut to the area, simplified and rounded to what a screen can show."""
    parts = shapely.get_parts(shapes)
    if not len(parts):
        return shapely.GeometryCollection()
    dimension = shapely.get_dimensions(parts[0])
    whole = shapely.line_merge(shapely.multilinestrings(parts)) if dimension == 1 else shapely.union_all(parts)
    cut = shapely.get_parts(shapely.simplify(shapely.intersection(whole, within), _RULES["tolerance"]))
    kept = shapely.set_precision(cut[shapely.get_dimensions(cut) == dimension], _GRID, mode="pointwise")
    return shapely.multilinestrings(kept) if dimension == 1 else shapely.multipolygons(kept)
