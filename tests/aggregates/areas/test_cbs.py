"""The HTTP door to CBS and PDOK against a server of our own with recorded answers: paging, retries, cache."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from aggregates.areas.cbs_door import PAGE, Cbs, Unreachable
from aggregates.areas.inputs import gather
from tests.conftest import CASES

AREAS = CASES / "areas"
GM = ["GM9901"]


class Offices:
    """CBS and PDOK on one port: answers from `tests/cases/areas`, in pages; `broken` ones come first, by path."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.broken: dict[str, list[tuple[int, bytes]]] = {}
        self.closed = ""  # paths that contain this are answered with 404
        office = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = office.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, path: str) -> tuple[int, bytes]:
        """Answer one request."""
        self.asked.append(unquote(path))
        parts = urlsplit(path)
        name = parts.path.rpartition("/")[2]
        if self.broken.get(name):
            return self.broken[name].pop(0)
        if self.closed and self.closed in path:
            return 404, b"{}"
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        return 200, json.dumps(self._observed(path, query) if "/v4/" in path else self._drawn(query)).encode() if (
            name in ("Observations", "v1_0")
        ) else (AREAS / f"v4_{name}.json").read_bytes()

    def _observed(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        whole = json.loads((AREAS / "v4_Observations.json").read_bytes())
        at = int(query.get("skip", 0))
        page = {**whole, "value": whole["value"][at : at + 10]}
        if at + 10 < len(whole["value"]):
            page["@odata.nextLink"] = f"{self.url}{path.partition('?')[0]}?skip={at + 10}"
        return page

    def _drawn(self, query: dict[str, str]) -> dict[str, Any]:
        """PDOK's way: a filter passed over, 1,000 features a page, of the whole country."""
        whole = json.loads((AREAS / "map_2024.geojson").read_bytes())
        if query["typeNames"] != "wijkenbuurten:buurten":
            return {**whole, "features": []}
        elsewhere = json.loads(json.dumps(whole["features"][0]))
        elsewhere["properties"] |= {"buurtcode": "BU99020000", "gemeentecode": "GM9902"}
        country = [elsewhere] * PAGE + whole["features"]
        at = int(query["startIndex"])
        return {**whole, "features": country[at : at + int(query["count"])]}


@pytest.fixture
def offices() -> Iterator[Offices]:
    """The server, as long as the test."""
    made = Offices()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join(10)


def door(offices: Offices, cache: Path, **more: Any) -> Cbs:
    """A session with the server."""
    url = offices.url
    return Cbs(cache, tries=3, cbs=f"{url}/v4", pdok=f"{url}/pdok", **more)


def inhabitants(documents: list[Any]) -> dict[str, float]:
    """Give the inhabitants that were fetched, by area."""
    (statistics,) = gather(documents, 2024, GM).statistics
    cells = statistics.cells[statistics.cells["measure"] == "inhabitants"]
    return dict(zip(cells["code"], cells["value"], strict=True))


class TestStatistics:
    """The table of a vintage, by OData 4."""

    def test_pages_with_metadata(self, offices: Offices, tmp_path: Path) -> None:
        """Every page is followed, names and units come along, only the municipality is asked for."""
        cbs = door(offices, tmp_path)
        documents = cbs.statistics(2024, GM)
        assert inhabitants(documents)["GM9901"] == 1203
        assert len(inhabitants(documents)) == 7
        (statistics,) = gather(documents, 2024, GM).statistics
        assert (statistics.names["BU99010001"], statistics.about.table_id) == ("Werf", "85984NED")
        assert any("startswith(WijkenEnBuurten,'BU9901')" in path for path in offices.asked)

    def test_retries(self, offices: Offices, tmp_path: Path) -> None:
        """Too busy, broken, cut off: each is asked again."""
        offices.broken = {"Observations": [(503, b""), (200, b'{"value": [')], "Properties": [(429, b"")]}
        cbs = door(offices, tmp_path)
        assert len(inhabitants(cbs.statistics(2024, GM))) == 7

    def test_cache(self, offices: Offices, tmp_path: Path) -> None:
        """What was fetched once is not fetched again, unless asked anew; what was cut off is not kept."""
        offices.broken = {"Observations": [(200, b"{")]}
        pages = []
        cbs = door(offices, tmp_path)
        first = cbs.statistics(2024, GM)
        offices.asked.clear()
        cbs = door(offices, tmp_path)
        cbs.on_page = lambda: pages.append(1)
        assert cbs.statistics(2024, GM) == first
        assert offices.asked == []
        assert len(pages) > 3
        cbs = door(offices, tmp_path, refresh=True)
        assert cbs.statistics(2024, GM) == first
        assert offices.asked

    def test_unreachable(self, offices: Offices, tmp_path: Path) -> None:
        """What does not answer is named with its address and what it said."""
        offices.closed = "/"
        cbs = door(offices, tmp_path)
        with pytest.raises(Unreachable, match=r"v4/85984NED.*404"):
            cbs.statistics(2024, GM)
        cbs = door(offices, tmp_path)
        with pytest.raises(Unreachable, match="vintage 1999"):
            cbs.statistics(1999, GM)


class TestBoundaries:
    """PDOK, whose filters are not to be trusted."""

    def test_pages_of_the_country(self, offices: Offices, tmp_path: Path) -> None:
        """A filter that is passed over costs pages and gives no area of another municipality."""
        cbs = door(offices, tmp_path)
        found = gather(cbs.boundaries(2024, GM), 2024, GM)
        assert {area.code for area in found.areas if area.code.startswith("BU")} == {
            "BU99010000", "BU99010001", "BU990101TB", "BU99010101",
        }  # fmt: skip
        assert {area.code for area in found.areas} >= {"GM9901", "WK990100"}
        assert not any(area.code.startswith("BU9902") for area in found.areas)
