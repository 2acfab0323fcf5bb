"""Every form that maps and statistics come in gives the same cells; wrong ones are refused; nulls say why."""

import io
import json
import math
import tomllib
import zipfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pyogrio  # type: ignore[import-untyped]
import pyproj
import pytest
import shapely

from aggregates.areas import inputs
from aggregates.areas.geometry import assign
from aggregates.areas.inputs import Document, Gathered, gather
from aggregates.areas.measures import MEASURES, TABLES, THEMES, plain
from aggregates.areas.statistics import About, BadDocument, Statistics, check_vintage, read_table
from tests.conftest import CASES

AREAS = CASES / "areas"
MADE_UP = ["GM9901"]
INHABITANTS = {
    "GM9901": 1203,
    "WK990100": 700,
    "WK9901TB": 500,
    "BU99010000": 600,
    "BU99010001": 100,
    "BU990101TB": 500,
}


def gathered(*names: str, vintage: int = 2024) -> Gathered:
    """Gather cases of `tests/cases/areas`."""
    return gather([Document.read(AREAS / name) for name in names], vintage, MADE_UP)


def values(found: Gathered, measure: str) -> dict[str, float]:
    """Give the numbers of a measure by area."""
    (statistics,) = found.statistics
    cells = statistics.cells[statistics.cells["measure"] == measure]
    return {code: value for code, value in zip(cells["code"], cells["value"], strict=True) if not math.isnan(value)}


def reason(found: Gathered, measure: str, code: str) -> str:
    """Give the attribute of a cell."""
    (statistics,) = found.statistics
    cells = statistics.cells
    return str(cells.loc[(cells["measure"] == measure) & (cells["code"] == code), "attribute"].iloc[0])


class TestForms:
    """The same table, made up, in every form."""

    @pytest.mark.parametrize(
        "names",
        [
            ("typed_v3.json",),
            ("untyped_v3.json", "TableInfos.json"),
            ("v4_Observations.json", "v4_Properties.json", "v4_MeasureCodes.json", "v4_WijkenEnBuurtenCodes.json"),
            ("statline.csv",),
        ],
    )
    def test_same_cells(self, names: tuple[str, ...]) -> None:
        """Padding, decimal commas and suffixes aside, the numbers are the file's; negative wealth is a figure."""
        found = gathered(*names)
        assert values(found, "inhabitants") == {**INHABITANTS, "BU99010101": 0}
        assert values(found, "wealth") == {"GM9901": -0.7, "WK990100": 2.5, "WK9901TB": -3.0, "BU99010000": -0.7}
        assert values(found, "cars_per_household")["BU990101TB"] == 0.9

    def test_municipal_json(self) -> None:
        """The municipality's own JSON: inhabitants null stay null, the wijk comes from the buurt's code."""
        found = gathered("municipal.json")
        assert values(found, "inhabitants") == INHABITANTS
        assert found.statistics[0].about.table_id == "85984NED"
        assert found.statistics[0].names["BU990101TB"] == "Veld"

    def test_parquet_is_like_json(self) -> None:
        """A parquet file of the rows, whose name says the table, gives what the JSON gives."""
        rows = pd.DataFrame(json.loads((AREAS / "typed_v3.json").read_bytes())["value"])
        sink = io.BytesIO()
        rows.to_parquet(sink)
        found = gather([Document("85984NED.parquet", sink.getvalue())], 2024, MADE_UP)
        assert values(found, "inhabitants") == values(gathered("typed_v3.json"), "inhabitants")

    def test_reasons(self) -> None:
        """Sentinel, dot, blank, threshold, attribute and a cell that v4 leaves out: each null says why."""
        assert "secret" in reason(gathered("typed_v3.json"), "wealth", "BU990101TB")
        assert (
            reason(gathered("typed_v3.json"), "cars_per_household", "BU99010001")
            == "withheld: fewer than 50 households"
        )
        untyped = gathered("untyped_v3.json", "TableInfos.json")
        assert reason(untyped, "households", "BU99010101") == "cannot occur"
        v4 = gathered("v4_Observations.json", "v4_Properties.json")
        assert reason(v4, "wealth", "BU99010001") == "Confidential"
        assert reason(v4, "wealth", "BU990101TB") == "not in the answer: empty at the source"
        assert reason(v4, "cars_per_household", "BU990101TB") == "Provisional"
        assert reason(gathered("statline.csv"), "cars_per_household", "BU990101TB") == "provisional"

    def test_columns_with_one_name_stay_apart(self) -> None:
        """Two columns Appartement, of electricity and gas, keep their keys."""
        found = gathered("typed_v3.json")
        assert values(found, "Appartement_56")["WK990100"] == 10 * values(found, "Appartement_48")["WK990100"]

    def test_pages_are_one_table(self) -> None:
        """Observations in two pages are as in one: what is empty is empty in both together."""
        whole = json.loads((AREAS / "v4_Observations.json").read_bytes())
        pages = [{**whole, "value": whole["value"][:9]}, {**whole, "value": whole["value"][9:]}]
        documents = [Document(f"page {at}", json.dumps(page).encode()) for at, page in enumerate(pages)]
        found = gather([*documents, Document.read(AREAS / "v4_Properties.json")], 2024, MADE_UP)
        pd.testing.assert_frame_equal(
            _sorted(found.statistics[0]), _sorted(gathered("v4_Observations.json", "v4_Properties.json").statistics[0])
        )


def _sorted(statistics: Statistics) -> pd.DataFrame:
    return statistics.cells.sort_values(["code", "measure"]).reset_index(drop=True)


class TestRefused:
    """What is of another year, or cannot be told, is refused with the name of the file."""

    def test_other_vintage(self) -> None:
        """The title decides, then the table id, for many a copy is mislabelled."""
        for names in (
            ("untyped_v3.json", "TableInfos.json"),
            ("typed_v3.json",),
            ("municipal.json",),
            ("statline.csv",),
        ):
            with pytest.raises(BadDocument, match=r"2023|2024"):
                gathered(*names, vintage=2023)
        with pytest.raises(BadDocument, match=r"map_2024.geojson: a map of \[2024\]"):
            gathered("map_2024.geojson", vintage=2023)

    def test_title_of_another_table(self) -> None:
        """A table about something else is not "Kerncijfers wijken en buurten", whatever its year."""
        with pytest.raises(BadDocument, match="Bevolking 2024"):
            check_vintage(About("Bevolking 2024", "12345NED"), 2024, "x")
        with pytest.raises(BadDocument, match="neither a title nor a table"):
            check_vintage(About(), 2024, "x")

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (b"{", "begins like JSON"),
            (b'{"a": 1}', "expected OData"),
            (b'{"bronnen": 3}', "expected OData"),
            (b"nothing", "neither JSON, CSV"),
            (b"a;b;c\n1;2;3\n", "none holds area codes"),
        ],
    )
    def test_unknown_document_is_refused(self, data: bytes, words: str) -> None:
        """Each says what it found and what was expected."""
        with pytest.raises(BadDocument, match=words):
            gather([Document("84799NED x", data)], 2020, MADE_UP)

    def test_map_that_unpacks_too_large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A small file that would fill the memory is refused before it does, as is one that is damaged."""
        monkeypatch.setattr(inputs, "LARGEST", 1000)
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            for part in range(2):
                archive.writestr(f"{part}.shp", b"0" * 600)
        with pytest.raises(BadDocument, match=r"map.zip: .* expected at most 1,000"):
            gather([Document("map.zip", made.getvalue())], 2024, MADE_UP)
        with pytest.raises(BadDocument, match=r"half: "):
            gather([Document("half", made.getvalue()[:60])], 2024, MADE_UP)

    def test_zip_without_a_map(self) -> None:
        """Tables in a zip are to be unpacked first."""
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as archive:
            archive.write(AREAS / "statline.csv", "statline.csv")
        with pytest.raises(BadDocument, match=r"table.zip: "):
            gather([Document("table.zip", made.getvalue())], 2024, MADE_UP)

    def test_area_twice(self) -> None:
        """An area that comes twice in one table is refused: nothing says which row is right."""
        frame = pd.DataFrame({"c": ["GM9901", "GM9901    "], "AantalInwoners_5": [1, 2]})
        with pytest.raises(BadDocument, match="GM9901 for a second time"):
            read_table(frame, About(), MADE_UP)


def to_rd(shape: shapely.Geometry) -> shapely.Geometry:
    """Move a shape to RD metres."""
    transformer = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:28992", always_xy=True)
    return shapely.transform(shape, lambda p: np.column_stack(transformer.transform(p[:, 0], p[:, 1])))


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str, str | None, bool], Path]:
    """Write the made-up map in another form: suffix, what it says of its coordinates, and whether they are RD."""

    def write(suffix: str, crs: str | None, rd: bool) -> Path:
        areas = [area for area in gathered("map_2024.geojson").areas if area.code.startswith("BU")]
        shapes = np.array([to_rd(area.shape) if rd else area.shape for area in areas], dtype=object)
        path = tmp_path / f"map{suffix}"
        pyogrio.raw.write(
            path, shapely.to_wkb(shapes), crs=crs, geometry_type="Polygon", fields=["BU_CODE", "BU_NAAM", "AANT_INW"],
            field_data=[np.array([a.code for a in areas], object), np.array([a.name for a in areas], object),
                        np.array([600, 100, -99997, -99999999][: len(areas)])],
        )  # fmt: skip
        return path

    return write


class TestMaps:
    """Boundaries in every form, in degrees or RD."""

    @pytest.mark.filterwarnings("ignore:.*crs.*was not provided:UserWarning")
    @pytest.mark.parametrize(
        ("suffix", "crs", "rd"),
        [(".gpkg", "EPSG:28992", True), (".gpkg", "EPSG:4326", False), (".shp", "EPSG:28992", True),
         (".shp", None, True), (".geojson", "EPSG:4326", True)],
    )  # fmt: skip
    def test_same_areas(self, written: Callable[..., Path], suffix: str, crs: str | None, rd: bool) -> None:
        """The areas lie where the GeoJSON has them, to 0.1 m, also where it says nothing or wrong of its metres."""
        found = gather([Document.read(written(suffix, crs, rd))], 2024, MADE_UP)
        expected = {area.code: area for area in gathered("map_2024.geojson").areas}
        assert len(found.areas) == 4 + 2 + 1
        for area in found.areas:
            assert area.shape.hausdorff_distance(expected[area.code].shape) < 1e-6

    def test_attributes_are_statistics(self, written: Callable[..., Path]) -> None:
        """A map's attributes count where no table is given, -99997 and -99999999 are null; a table goes before them."""
        map_file = Document.read(written(".gpkg", "EPSG:28992", True))
        found = gather([map_file], 2024, MADE_UP)
        assert values(found, "inhabitants") == {"BU99010000": 600, "BU99010001": 100}
        both = gather([map_file, Document.read(AREAS / "typed_v3.json")], 2024, MADE_UP)
        assert values(both, "inhabitants") == {**INHABITANTS, "BU99010101": 0}

    def test_latitude_first(self) -> None:
        """A WFS answer with latitude before longitude is turned."""
        said = json.loads((AREAS / "map_2024.geojson").read_bytes())
        for feature in said["features"]:
            feature["geometry"]["coordinates"] = [
                [pair[::-1] for pair in ring] for ring in feature["geometry"]["coordinates"]
            ]
        found = gather([Document("turned", json.dumps(said).encode())], 2024, MADE_UP)
        west, south, *_ = found.areas[0].shape.bounds
        assert (west, south) == (6.0, 53.0)

    def test_unions(self) -> None:
        """Wijk and gemeente without a boundary are the union of their buurten, a letter in the code or not."""
        areas = {area.code: area for area in gathered("map_2024.geojson").areas}
        assert areas["WK990101"].derived
        assert areas["GM9901"].shape.area == pytest.approx(4e-4)
        assert not areas["BU990101TB"].derived


class TestAssignment:
    """The documented answers of `aggregates.areas.geometry`."""

    def test_answers(self) -> None:
        """Inside, on a border and on an outer edge, in a corner of four, near by, and far away."""
        areas = gathered("map_2024.geojson").areas
        lon = np.array([6.005, 6.01, 6.0, 6.01, 6.021, 7.0])
        lat = np.array([53.005, 53.005, 53.005, 53.01, 53.005, 53.0])
        found = assign(areas, lon, lat)
        assert [(one.status, one.code) for one in found] == [
            ("inside", "BU99010000"), ("border", "BU99010000"), ("border", "BU99010000"), ("border", "BU99010000"),
            ("gap", None), ("outside", None),
        ]  # fmt: skip
        assert found[4].nearest == "BU99010001"
        assert found[4].distance == pytest.approx(67, abs=1)

    def test_overlap(self) -> None:
        """Where two areas overlap, a place belongs to the one it lies deeper in."""
        a, b, *rest = (area for area in gathered("map_2024.geojson").areas if area.code.startswith("BU9901"))
        wider = type(b)(b.code, b.name, shapely.box(6.008, 53.0, 6.02, 53.01))
        (found,) = assign([a, wider, *rest], np.array([6.0095]), np.array([53.005]))
        assert (found.status, found.code) == ("overlap", "BU99010001")


class TestRegistry:
    """The registry of measures."""

    def test_measures_are_whole(self) -> None:
        """Every theme of the centre is there, and every threshold names a measure that exists."""
        assert {one.theme for one in MEASURES.values()} <= {*THEMES, "general"}
        assert all(one.below.measure in MEASURES for one in MEASURES.values() if one.below)
        assert TABLES[2024] == "85984NED"

    def test_a_column_is_one_measure(self) -> None:
        """No two measures have a name, or a column in any form."""
        text = files("aggregates.areas").joinpath("measures.toml").read_text("utf-8")
        assert len(MEASURES) == len(tomllib.loads(text)["measure"])
        columns = [name for one in MEASURES.values() for name in {plain(column) for column in one.columns}]
        assert len(columns) == len(set(columns))


@pytest.mark.shared
class TestRecorded:
    """The recorded data beside the project."""

    def test_every_number_of_2020(self, shared_data: Path) -> None:
        """KWB 2020 with its 118 padded columns: every number of every municipality in it equals the file's."""
        path = shared_data / "cbs/kwb/84799NED_TypedDataSet_2020_subset.csv"
        rows = pd.read_csv(path, dtype=str).set_index("Codering_3")
        rows.index = rows.index.str.strip()
        municipalities = [code for code in rows.index if code.startswith("GM")]
        found = gather([Document.read(path)], 2020, municipalities).statistics[0].cells
        table = found.pivot(index="code", columns="key", values="value")
        assert len(table) == len(rows) - 1  # NL00 is no area
        checked = 0
        for key in table.columns:
            expected = pd.to_numeric(rows[key].str.strip().replace(".", None)).drop("NL00").sort_index()
            np.testing.assert_array_equal(table[key].sort_index().to_numpy(), expected.to_numpy())
            checked += int(expected.notna().sum())
        assert len(table.columns) == 118 - 6
        assert checked > 30_000

    def test_csv_and_parquet_agree(self, shared_data: Path) -> None:
        """Both forms of KWB 2020 give the same cells."""
        forms = [shared_data / f"cbs/kwb/84799NED_TypedDataSet_2020_subset.{form}" for form in ("csv", "parquet")]
        first, second = (gather([Document.read(path)], 2020, ["GM0014"]).statistics[0] for path in forms)
        pd.testing.assert_series_equal(_sorted(first)["value"], _sorted(second)["value"])

    @pytest.mark.parametrize(("code", "buurten"), [("GM0014", 151), ("GM0772", 116)])
    def test_every_buurt_of_2024_joins(self, shared_data: Path, code: str, buurten: int) -> None:
        """All buurten of the 2024 map have their statistics, and no statistic is without a boundary."""
        names = (f"cbs/geometry/buurt_2024_{code}_approx.geojson", f"cbs/kwb/kwb_2024_{code}.json")
        found = gather([Document.read(shared_data / name) for name in names], 2024, [code])
        drawn = {area.code for area in found.areas}
        assert drawn == set(found.statistics[0].cells["code"])
        assert sum(one.startswith("BU") for one in drawn) == buurten

    def test_station_in_a_gap(self, shared_data: Path) -> None:
        """NL10938 lies in a gap of the approximate map: said so with the nearest buurt, and not snapped."""
        path = shared_data / "cbs/geometry/buurt_2024_GM0014_approx.geojson"
        areas = gather([Document.read(path)], 2024, ["GM0014"]).areas
        gap, inside = assign(areas, np.array([6.608937, 6.5789]), np.array([53.246535, 53.2178]))
        assert (gap.status, gap.code) == ("gap", None)
        assert gap.distance is not None
        assert gap.distance < 10
        assert (inside.status, inside.code) == ("inside", "BU00140002")

    def test_codes_that_vanish(self, shared_data: Path) -> None:
        """Between 2020 and 2024 two buurten go and three come; each vintage keeps its own."""
        old = gather([Document.read(shared_data / "cbs/kwb/84799NED_TypedDataSet_2020_subset.csv")], 2020, ["GM0014"])
        new = gather([Document.read(shared_data / "cbs/kwb/kwb_2024_GM0014.json")], 2024, ["GM0014"])
        before, after = ({c for c in one.statistics[0].cells["code"] if c.startswith("BU")} for one in (old, new))
        assert before - after == {"BU00140807", "BU00140808"}
        assert after - before == {"BU00140110", "BU00140908", "BU00140909"}

    def test_shapefile_of_2017(self, shared_data: Path) -> None:
        """The zipped shapefile and its GeoJSON are one map; its sentinels are null with the reason."""
        forms = ("cbs/geometry/original_shp/buurt2017.zip", "cbs/geometry/groningen_buurt_2017.geojson")
        zipped, geojson = (gather([Document.read(shared_data / name)], 2017, ["GM0014"]) for name in forms)
        assert [area.code for area in zipped.areas] == [area.code for area in geojson.areas]
        assert values(zipped, "density") == values(geojson, "density")
        with pytest.raises(BadDocument, match="2017"):
            gather([Document.read(shared_data / forms[1])], 2024, ["GM0014"])
