"""Maps as CBS draws them: land and water of one code, water that is an area of its own, figures that are no figures."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import shapely
from typer.testing import CliRunner

from aggregates.areas.inputs import Document, Gathered, gather
from aggregates.ask.listings import areas
from aggregates.store.store import Store
from tests.aggregates.areas.test_areas import GM, fetched
from tests.support.commands import app

MISSING = -99999999


def feature(west: float, **properties: Any) -> dict[str, Any]:
    """Make a square of a hundredth of a degree."""
    box = shapely.box(west, 53.2, west + 0.01, 53.21)
    return {"type": "Feature", "properties": properties, "geometry": shapely.geometry.mapping(box)}


def gathered(name: str, *features: dict[str, Any]) -> Gathered:
    """Read a map of these features."""
    made = {"type": "FeatureCollection", "name": name, "features": features}
    return gather([Document(f"{name}.geojson", json.dumps(made).encode())], 2020, [GM])


def figures(found: Gathered) -> dict[str, float | None]:
    """Give the inhabitants of each area, None where nothing is said."""
    cells = found.statistics[0].cells
    own = cells[cells["measure"] == "inhabitants"]
    return {code: None if value != value else value for code, value in zip(own["code"], own["value"], strict=True)}


LAND = feature(6.50, GM_CODE=GM, GM_NAAM="Voorbeeld", H2O="NEE", AANT_INW=1250)
WATER = feature(6.51, GM_CODE=GM, GM_NAAM="", H2O="JA", AANT_INW=MISSING)


def test_land_gives_the_figures_and_both_the_boundary() -> None:
    """In whatever order CBS draws them: name and inhabitants are the land's, and the map's title says so."""
    for features in ((LAND, WATER), (WATER, LAND)):
        found = gathered("gemeente_2020", *features)
        assert figures(found) == {GM: 1250}
        (area,) = found.areas
        assert area.name == "Voorbeeld"
        assert area.shape.bounds == (6.5, 53.2, 6.52, 53.21)
        assert found.map_title == "gemeente_2020 (land and water merged in 1, figures of the land)"


def test_water_alone_is_an_area() -> None:
    """A buurt that is only water stays, without a name; -99999999 is no figure, and 0 inhabitants are 0."""
    found = gathered(
        "buurt_2020",
        feature(6.50, BU_CODE="BU99010000", BU_NAAM="Voorbeeld", H2O="NEE", AANT_INW=1250),
        feature(6.51, BU_CODE="BU99010001", BU_NAAM="Voorbeeld", H2O="NEE", AANT_INW=MISSING),
        feature(6.52, BU_CODE="BU99010002", BU_NAAM="Voorbeeld", H2O="NEE", AANT_INW=0),
        feature(6.53, BU_CODE="BU99019997", BU_NAAM=None, H2O="JA", AANT_INW=MISSING),
    )
    assert figures(found) == {"BU99010000": 1250, "BU99010001": None, "BU99010002": 0, "BU99019997": None}
    assert {area.code: area.name for area in found.areas}["BU99019997"] == ""
    assert found.map_title == "buurt_2020"


def test_a_feature_without_a_year() -> None:
    """The others say of which year the map is."""
    known, unknown = (feature(west, GM_CODE=GM, GM_NAAM="V", JAAR=year) for west, year in ((6.50, 2020), (6.52, None)))
    assert [area.code for area in gathered("map", known, unknown).areas] == [GM]


def test_parts_of_one_land_are_one_area() -> None:
    """Islands that are drawn apart, with the same figures, are one area with these figures once."""
    found = gathered("gemeente_2020", LAND, feature(6.53, **LAND["properties"]), WATER)
    assert figures(found) == {GM: 1250}
    assert found.areas[0].shape.bounds == (6.5, 53.2, 6.54, 53.21)


def test_field_cases(database: str, shared_cases: Path) -> None:
    """The maps of the field cases, loaded by the command line."""
    own = ["--vintage=2020", f"--municipality={GM}", "--offline", f"--database={database}"]
    for case, code, inhabitants in (
        ("land-and-water", GM, 1250), ("sentinel-of-eight-nines", "BU99010000", 1250),
        ("sentinel-of-eight-nines", "BU99010001", None), ("sentinel-of-eight-nines", "BU99010002", 0),
    ):  # fmt: skip
        (file,) = (shared_cases / case).glob("*.geojson")
        result = CliRunner().invoke(app, ["areas", "load", f"--from-file={file}", *own])
        assert result.exit_code == 0, result.stderr
        with closing(Store(database)) as store:
            question = "SELECT value FROM area_statistic WHERE code = '{}' AND measure = 'inhabitants'"
            assert fetched(store, question.format(code)) == [(inhabitants,)]
            assert code in areas(store, 2020)["code"].to_pylist()
