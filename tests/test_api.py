"""`/api/v1/sensors` and `/api/v1/areas`: pages, forms by `Accept`, bounds, and what has no place."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from aggregates.areastore import load, parts
from aggregates.catalogue import import_sensors
from aggregates.inputs import Document, gather
from aggregates.store import Store
from hub.api import api
from hub.http import HttpServer
from ingest.catalogue import Entry

CASES = Path(__file__).parent / "areas"


@contextmanager
def served(database: str) -> Iterator[httpx.Client]:
    """Serve the API over a database, and give a client of it."""
    app = FastAPI()
    app.include_router(api(lambda: Store(database)))
    server = HttpServer(app, "127.0.0.1", 0)
    server.start()
    with httpx.Client(base_url=server.url) as made:
        yield made
    server.stop(5)


@pytest.fixture
def client(store: Store) -> Iterator[httpx.Client]:
    """A client of the API over a store with three sensors, and areas of which one has no boundary."""
    import_sensors(store, [Entry("stadspuls/a", lon=6.0, lat=53.0), Entry("stadspuls/b"), Entry("ndw/c")])
    files = [Document.read(CASES / name) for name in ("map_2024.geojson", "typed_v3.json")]
    found = gather(files, 2024, ["GM9901"])
    load(store, 2024, parts(["GM9901"], found.areas, found.statistics, found.map_title, "a", "b"))
    with served(store.conninfo) as made:
        yield made


def test_pages(client: httpx.Client) -> None:
    """A page ends with a cursor, the last one with null; those without a place are included."""
    first = client.get("/api/v1/sensors", params={"limit": 2}).json()
    assert [item["sensor_id"] for item in first["items"]] == ["ndw/c", "stadspuls/a"]
    second = client.get("/api/v1/sensors", params={"limit": 2, "cursor": first["next"]}).json()
    assert [item["sensor_id"] for item in second["items"]] == ["stadspuls/b"]
    assert second["next"] is None
    assert second["items"][0]["lon"] is None
    assert len(client.get("/api/v1/sensors", params={"source": "ndw"}).json()["items"]) == 1


def test_areas(client: httpx.Client) -> None:
    """Areas of the newest vintage with statistics and a place; null where no boundary is known."""
    answer = client.get("/api/v1/areas")
    items = {item["code"]: item for item in answer.json()["items"]}
    assert items["BU99010000"]["statistics"]["inhabitants"] == 600
    assert items["WK9901TB"]["lon"] is None
    assert "geometry" not in items["BU99010000"]
    assert "CC BY 4.0" in answer.headers["X-Licence"]
    assert len(client.get("/api/v1/areas", params={"level": "buurt", "vintage": 2024}).json()["items"]) == 4
    assert client.get("/api/v1/areas", params={"vintage": 1999}).json() == {"items": [], "next": None}


def test_forms(client: httpx.Client) -> None:
    """GeoJSON has the boundaries, CSV a column a statistic."""
    collection = client.get("/api/v1/areas?limit=2", headers={"Accept": "application/geo+json"}).json()
    assert [feature["geometry"]["type"] for feature in collection["features"]] == ["Polygon", "Polygon"]
    assert collection["next"] == "BU99010001"
    places = client.get("/api/v1/sensors", headers={"Accept": "application/geo+json"}).json()["features"]
    assert [feature["geometry"] for feature in places][:2] == [None, {"type": "Point", "coordinates": [6.0, 53.0]}]
    assert "statistics.inhabitants" in client.get("/api/v1/areas", headers={"Accept": "text/csv"}).text


@pytest.mark.parametrize("query", ["limit=0", "limit=10001", "level=province", "vintage=x"])
def test_bounds(client: httpx.Client, query: str) -> None:
    """What is out of bounds is refused with 422."""
    assert client.get(f"/api/v1/areas?{query}").status_code == 422


def test_database_away() -> None:
    """A database that does not answer is 503, not a trace."""
    with served("postgresql://nobody@127.0.0.1:1/none") as client:
        assert client.get("/api/v1/sensors").status_code == 503
