"""The base map of a municipality: roads and water of any file, cut to it, as one small GeoJSON."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio  # type: ignore[import-untyped]
import pyproj
import pytest
import shapely

from aggregates.areas.maps import write_base_map
from aggregates.areas.statistics import BadDocument

TOWN = shapely.box(6.5, 53.2, 6.6, 53.25)
ROADS = {
    "secondary": [(6.49, 53.21), (6.55, 53.21), (6.7, 53.21)],
    "residential": [(6.52, 53.22), (6.53, 53.22)],
    "cycleway": [(6.52, 53.23), (6.53, 53.23)],
    "steps": [(6.52, 53.24), (6.53, 53.24)],
    "primary": [(6.8, 53.21), (6.9, 53.21)],
}


def written(path: Path) -> dict[str, Any]:
    """Read a base map: its attribution, and the shape of each kind."""
    found = json.loads(gzip.decompress(path.read_bytes()))
    shapes = {one["properties"]["kind"]: shapely.from_geojson(json.dumps(one["geometry"])) for one in found["features"]}
    return {"attribution": found["attribution"], **shapes}


def geojson(tmp_path: Path, features: list[dict[str, Any]]) -> Path:
    """Write features as a file."""
    path = tmp_path / "roads.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def road(kind: str) -> dict[str, Any]:
    """A road as OpenStreetMap has it."""
    geometry = {"type": "LineString", "coordinates": ROADS[kind]}
    return {"type": "Feature", "properties": {"highway": kind}, "geometry": geometry}


def test_roads_are_sorted_by_kind_and_cut_to_the_town(tmp_path: Path) -> None:
    """A road goes on a little beyond the border; what is no road for anybody, and what is far away, is left out."""
    out = tmp_path / "base.geojson.gz"
    write_base_map([geojson(tmp_path, [road(kind) for kind in ROADS])], TOWN, "roads: OSM, ODbL", out)
    found = written(out)
    assert found["attribution"] == "roads: OSM, ODbL"
    assert set(found) == {"attribution", "main", "street", "path"}
    west, _, east, _ = found["main"].bounds
    assert (west, east) == pytest.approx((6.497, 6.603), abs=1e-4)


def test_water_of_a_geopackage_in_metres(tmp_path: Path) -> None:
    """TOP10NL's polygons of water in RD metres become degrees; other polygons are no water."""
    move = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:28992", always_xy=True).transform
    ponds = [shapely.transform(shapely.box(6.52, 53.22, 6.53 + n / 100, 53.23), lambda at: np.array(move(*at.T)).T)
             for n in range(2)]  # fmt: skip
    path = tmp_path / "top10.gpkg"
    pyogrio.raw.write(
        path, shapely.to_wkb(ponds), [np.array(["waterloop", "akkerland"], dtype=object)], ["typewater"],
        layer="vlakken", geometry_type="Polygon", crs="EPSG:28992",
    )  # fmt: skip
    out = tmp_path / "base.geojson.gz"
    write_base_map([path], TOWN, "TOP10NL: Kadaster, CC BY 4.0", out)
    assert written(out)["water"].bounds == pytest.approx((6.52, 53.22, 6.53, 53.23), abs=1e-4)


def test_file_without_roads_here_is_refused(tmp_path: Path) -> None:
    """Nothing that is known within the town is an error that says where roads are looked for; so is no map at all."""
    out = tmp_path / "base.geojson.gz"
    with pytest.raises(BadDocument, match=r"no roads and no water here, expected one of .*highway"):
        write_base_map([geojson(tmp_path, [road("steps"), road("primary")])], TOWN, "", out)
    (tmp_path / "text.geojson").write_text("no map")
    with pytest.raises(BadDocument, match=r"text\.geojson"):
        write_base_map([tmp_path / "text.geojson"], TOWN, "", out)
    assert not out.exists()
