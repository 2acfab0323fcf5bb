"""OGC API Features: what the standard asks for, and what GDAL, as QGIS has it, reads of it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from shutil import which
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest
import schemathesis
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregates.areas.inputs import Document, gather
from aggregates.areas.load import load
from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store
from ingest.files.catalogue import Entry
from tests.support.apis import TRAFFIC, filled, served, serving
from tests.support.databases import fresh_database
from tests.support.examples import up_to

CRS84, RD = "http://www.opengis.net/def/crs/OGC/1.3/CRS84", "http://www.opengis.net/def/crs/EPSG/0/28992"


@pytest.fixture(scope="module")
def hub(postgres: str) -> Iterator[str]:
    """The address of a hub with something of everything."""
    with fresh_database(postgres) as url, filled(url), served(serving(url)) as address:
        yield address


@pytest.fixture(scope="module")
def client(hub: str) -> Iterator[httpx.Client]:
    """A client of its features."""
    with httpx.Client(base_url=f"{hub}/ogc", timeout=60, follow_redirects=True) as made:
        yield made


def items(client: httpx.Client, collection: str, **asked: Any) -> dict[str, Any]:
    """Ask for a page of features."""
    answer = client.get(f"/collections/{collection}/items", params=asked)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/geo+json"
    found: dict[str, Any] = answer.json()
    return found


def names(page: dict[str, Any]) -> list[str]:
    """Give the ids of a page."""
    return [feature["id"] for feature in page["features"]]


class TestStandard:
    """The classes of conformance that are claimed."""

    def test_every_link_leads_somewhere(self, client: httpx.Client) -> None:
        """From the landing page every link of the service is answered with what its type says."""
        seen: dict[str, str] = {}
        todo = [("", "application/json")]
        while todo:
            path, media = todo.pop()
            if path in seen:
                continue
            answer = client.get(path)
            seen[path] = media
            assert answer.status_code == 200, path
            assert answer.headers["content-type"].partition(";")[0] in (media, "application/json")
            said = answer.json()
            links = said.get("links", []) + [link for one in said.get("collections", []) for link in one["links"]]
            todo += [(link["href"], link["type"].partition(";")[0]) for link in links]
        assert len(seen) > 10
        assert client.get("/conformance").json()["conformsTo"][-1].endswith("conf/crs")

    def test_document(self, client: httpx.Client) -> None:
        """The document is valid OpenAPI 3.1, as the link to it says; OpenAPI 3.0 is not claimed."""
        answer = client.get("/api")
        assert answer.json()["openapi"].startswith("3.1.")
        (link,) = [one for one in client.get("/").json()["links"] if one["rel"] == "service-desc"]
        assert link["type"].endswith("version=3.1")
        assert not any(one.endswith("oas30") for one in client.get("/conformance").json()["conformsTo"])
        assert schemathesis.openapi.from_dict(answer.json()).validate() is None

    def test_pages_of_other_sites(self, postgres: str) -> None:
        """They read what everyone may read, and ask beforehand, also with a token; HEAD is as GET."""
        origin = {"Origin": "https://example.org"}
        with fresh_database(postgres) as url, filled(url):
            with served(serving(url, public=True)) as hub:
                for answer in (httpx.get(f"{hub}/ogc/collections", headers=origin),
                               httpx.head(f"{hub}/ogc/collections", headers=origin)):  # fmt: skip
                    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")
            with served(serving(url, api_token="s3cret")) as hub:
                asked = {**origin, "Access-Control-Request-Method": "GET",
                         "Access-Control-Request-Headers": "authorization"}  # fmt: skip
                assert httpx.options(f"{hub}/ogc/collections", headers=asked).status_code == 200
                refused = httpx.get(f"{hub}/ogc/collections")
                assert (refused.status_code, refused.headers["www-authenticate"][:5]) == (401, "Basic")

    def test_collections(self, client: httpx.Client) -> None:
        """There is one of each vintage and quantity; each says in which systems it can be had."""
        found = {one["id"]: one for one in client.get("/collections").json()["collections"]}
        assert set(found) == {"sensors", "areas-2024", "latest-no2", "latest-vehicle_count", "area-figures"}
        assert all(one["crs"] == [CRS84, RD] and one["storageCrs"] == CRS84 for one in found.values())
        assert client.get("/collections/areas-2024").json()["title"] == "Areas of 2024"

    @pytest.mark.parametrize("collection", ["sensors", "areas-2024", "latest-no2", "area-figures"])
    def test_pages_and_single_features(self, client: httpx.Client, collection: str) -> None:
        """Links `next` lead through every feature once; each is given by its id, as it is in the page."""
        page = items(client, collection, limit=40 if collection == "area-figures" else 3)
        pages = [page]
        while following := [link["href"] for link in page["links"] if link["rel"] == "next"]:
            page = client.get(following[0]).json()
            pages.append(page)
        found = [feature for page in pages for feature in page["features"]]
        assert len({feature["id"] for feature in found}) == len(found) > 1
        assert [page["numberReturned"] for page in pages] == [len(page["features"]) for page in pages]
        for feature in found[:4]:
            one = client.get(f"/collections/{collection}/items/{quote(feature['id'], safe='')}").json()
            assert {name: one[name] for name in feature} == feature

    def test_newest_hour(self, client: httpx.Client) -> None:
        """Each sensor's newest hour is a point with flat properties."""
        page = items(client, "latest-no2")
        assert names(page) == ["stadspuls/a", "stadspuls/b"]
        shown = page["features"][0]
        assert shown["geometry"] == {"type": "Point", "coordinates": [6.002, 53.002]}
        assert (shown["properties"]["start"], shown["properties"]["value"]) == ("2024-06-04T23:00:00Z", 57.04)
        assert names(items(client, "latest-vehicle_count")) == [TRAFFIC]

    def test_box(self, client: httpx.Client) -> None:
        """A box in degrees and the same in RD give the features that it meets: points, areas and their figures."""
        degrees = "6.001,53.001,6.003,53.003"
        metres = ",".join(map(str, shapely.transform(shapely.box(6.001, 53.001, 6.003, 53.003), _to_rd).bounds))
        for asked in ({"bbox": degrees}, {"bbox": metres, "bbox-crs": RD}):
            assert names(items(client, "sensors", **asked)) == ["stadspuls/a"]
            assert names(items(client, "areas-2024", level="buurt", **asked)) == ["BU99010000"]
            figures = items(client, "area-figures", level="buurt", limit=100, **asked)["features"]
            assert {one["properties"]["code"] for one in figures} == {"BU99010000"}
        assert items(client, "areas-2024", bbox="5,52,5.1,52.1")["features"] == []

    def test_id_with_a_bar(self, postgres: str) -> None:
        """The ids of suppliers may hold what stands between the parts of other ids."""
        with fresh_database(postgres) as url, closing(Store(url)) as store, served(serving(url)) as address:
            import_sensors(store, [Entry("stadspuls/a|b")])
            (feature,) = httpx.get(f"{address}/ogc/collections/sensors/items").json()["features"]
            own = f"{address}/ogc/collections/sensors/items/{quote(feature['id'], safe='')}"
            assert httpx.get(own).json()["id"] == feature["id"] == "stadspuls/a|b"

    def test_rd(self, client: httpx.Client) -> None:
        """Coordinates in RD lie where the degrees do, and the header says in which system they are."""
        answer = client.get("/collections/areas-2024/items", params={"crs": RD, "level": "buurt"})
        assert answer.headers["content-crs"] == f"<{RD}>"
        plain = items(client, "areas-2024", level="buurt")["features"]
        for one, same in zip(answer.json()["features"], plain, strict=True):
            shape = shapely.transform(shapely.geometry.shape(same["geometry"]), _to_rd)
            assert shapely.geometry.shape(one["geometry"]).equals_exact(shape, 0.01)

    def test_moments(self, client: httpx.Client) -> None:
        """An instant, closed and open intervals choose area figures by their start."""

        def hours(asked: str) -> list[str]:
            found = items(client, "area-figures", code="BU99010000", quantity="no2", datetime=asked, limit=100)
            return [feature["properties"]["start"][8:13] for feature in found["features"]]

        assert hours("2024-06-03T02:00:00Z") == ["03T02"]
        assert hours("2024-06-03T02:00:00Z/2024-06-03T04:00:00Z") == ["03T02", "03T03", "03T04"]
        assert hours("../2024-06-03T01:00:00Z") == ["03T00", "03T01"]
        assert hours("2024-06-04T22:00:00Z/..") == hours("2024-06-04T22:00:00Z/") == ["04T22", "04T23"]
        assert hours("/2024-06-03T01:00:00Z") == ["03T00", "03T01"]
        assert len(hours("..")) == 48

    def test_measures_are_properties(self, client: httpx.Client) -> None:
        """Areas have their statistics flat; figures those that were asked for, with the reason of a null."""
        area = items(client, "areas-2024", code="BU99010000")["features"][0]["properties"]
        assert (area["inhabitants"], "statistics" in area) == (600.0, False)
        figure = items(client, "area-figures", code="BU99010000", measure="gas")["features"][0]["properties"]
        assert (figure["gas"], figure["gas_reason"]) == (None, "not in the table of this vintage")
        assert "density" not in figure

    def test_pages_for_people(self, client: httpx.Client) -> None:
        """A browser gets HTML of every path."""
        for path in ("/", "/conformance", "/collections", "/collections/sensors", "/collections/sensors/items",
                     "/collections/areas-2024/items/BU99010000"):  # fmt: skip
            for answer in (client.get(path, headers={"Accept": "text/html"}), client.get(path, params={"f": "html"})):
                assert answer.headers["content-type"] == "text/html; charset=utf-8", path
                assert answer.text.startswith("<!doctype html>")
        assert "Areas of 2024" in client.get("/collections", params={"f": "html"}).text

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/collections/nothing", 404), ("/collections/nothing/items", 404), ("/collections/sensors/items/x", 404),
            ("/collections/area-figures/items/BU99010000", 404), ("/collections/sensors/items?level=buurt", 400),
            ("/collections/sensors/items?unknown=1", 400), ("/collections/sensors/items?crs=EPSG:3857", 400),
            ("/collections/area-figures/items?datetime=yesterday", 400), ("/?f=xml", 400),
            ("/collections/sensors/items?bbox=233000,581000,234000,582000", 400),
            ("/collections/sensors/items?limit=1000000", 200), ("/collections/sensors/items/%00", 404),
        ],
    )  # fmt: skip
    def test_errors(self, client: httpx.Client, path: str, status: int) -> None:
        """What is not there is 404 and what cannot be asked 400; a limit that is too high becomes the highest."""
        assert client.get(path).status_code == status

    @settings(max_examples=up_to(60), derandomize=True, suppress_health_check=list(HealthCheck))
    @given(
        asked=st.dictionaries(
            st.sampled_from(["datetime", "bbox", "bbox-crs", "crs", "code", "level", "limit", "cursor", "f", "window"]),
            st.one_of(
                st.text(max_size=30), st.sampled_from([RD, "6,53,7,54", "../..", "buurt", "1d", "/", "2024/2023"])
            ),
            max_size=4,
        )
    )
    def test_anything(self, client: httpx.Client, asked: dict[str, str]) -> None:
        """Whatever is asked is answered or refused; nothing is an error of the server."""
        assert client.get("/collections/area-figures/items", params={"limit": "3"} | asked).status_code in (200, 400)


def _to_rd(at: Any) -> Any:
    """Move degrees to RD by PROJ's own program of the system, not by the hub."""
    from pyproj import Transformer

    return np.column_stack(
        Transformer.from_crs("OGC:CRS84", "EPSG:28992", always_xy=True).transform(at[:, 0], at[:, 1])
    )


# In a process of its own: GDAL waits for the hub, and no other thread of its process runs meanwhile.
READ = """
import json, sys, pyogrio, shapely
address, layer, where, options = sys.argv[1], sys.argv[2] or None, sys.argv[3] or None, json.loads(sys.argv[4])
layers = pyogrio.list_layers(address)[:, 0].tolist()
about, _, shapes, fields = pyogrio.raw.read(address, layer=layer, where=where, **options)
columns = dict(zip(about["fields"].tolist(), (field.tolist() for field in fields)))
bounds = shapely.total_bounds(shapely.from_wkb(shapes)).tolist()
print(json.dumps({"layers": layers, "columns": columns, "bounds": bounds, "count": len(shapes)}, default=str))
"""


def read_by_gdal(address: str, layer: str = "", where: str = "", **options: str) -> dict[str, Any]:
    """Read a layer with GDAL's driver."""
    asked = [sys.executable, "-c", READ, address, layer, where, json.dumps(options)]
    found: dict[str, Any] = json.loads(subprocess.run(asked, capture_output=True, check=True, timeout=200).stdout)
    return found


class TestGdal:
    """GDAL's own driver, which is what QGIS opens it with."""

    def test_layers(self, hub: str) -> None:
        """It lists the collections and reads every feature, page after page."""
        found = read_by_gdal(f"OAPIF:{hub}/ogc", "area-figures", "quantity = 'no2'", PAGE_SIZE="50")
        assert "areas-2024" in found["layers"]
        assert found["count"] == 3 * 48
        assert {"inhabitants", "density", "value", "coverage"} <= found["columns"].keys()

    @pytest.mark.shared
    def test_all_buurten_of_a_city(self, postgres: str, shared_data: Path) -> None:
        """It reads Groningen's 151 buurten, not the 100 of a page, in degrees and in RD."""
        documents = ("cbs/geometry/buurt_2024_GM0014_approx.geojson", "cbs/kwb/kwb_2024_GM0014.json")
        found = gather([Document.read(shared_data / name) for name in documents], 2024, ["GM0014"])
        with fresh_database(postgres) as url, closing(Store(url)) as store:
            load(store, 2024, ["GM0014"], found)
            with served(serving(url)) as hub:
                address, buurten = f"OAPIF:{hub}/ogc/collections/areas-2024", "level = 'buurt'"
                said = read_by_gdal(address, where=buurten)
                assert said["count"] == 151
                assert np.nansum(said["columns"]["inhabitants"]) > 200_000
                west, south, east, north = read_by_gdal(address, where=buurten, CRS="EPSG:28992")["bounds"]
                assert 220_000 < west < east < 250_000
                assert 565_000 < south < north < 600_000
                if program := which("ogrinfo"):
                    asked = [program, "-ro", "-so", "-al", "-where", buurten, address]
                    said_by_ogrinfo = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
                    assert "Feature Count: 151" in said_by_ogrinfo
