"""`/api/v1`: every list in every form, pages, filters, errors, who may read, and no parameter that is not parsed."""

import csv
import io
import itertools
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx
import numpy as np
import pandas as pd
import polars as pl
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio  # type: ignore[import-untyped]
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from aggregates.export.forms import write
from aggregates.store.store import Store
from hub.web.api.paging import SMALL, Body, PageRows, decoded, encoded
from hub.web.api.problems import MEDIA, Problem
from hub.web.api.resources import FORMS, RESOURCES
from tests.support.apis import HOURS, TRAFFIC, client_of, filled, serving
from tests.support.databases import fresh_database, timescale_url
from tests.support.examples import up_to

RANGE = {"from": "2024-06-03T00:00Z", "to": "2024-06-05T00:00Z"}
NEEDED: dict[str, dict[str, Any]] = {
    "/readings": RANGE,
    "/aggregates": {**RANGE, "window": "1h"},
    "/history": RANGE,
    "/latest": {"quantity": "no2"},
    "/usual": {"quantity": "no2", "at": "2024-06-04T08:00Z"},
    "/averages": {**RANGE, "quantity": "vehicle_count", "window": "whole", "profile": "hour"},
    "/percentiles": {**RANGE, "quantity": "vehicle_count", "window": "whole", "profile": "hour", "percentile": 85},
    "/limits": {"quantity": "no2", "year": 2024},
    "/area-aggregates": {**RANGE, "window": "1h"},
    "/area-averages": {**RANGE, "quantity": "no2", "window": "whole", "profile": "hour"},
    "/indicators/heavy-share": {**RANGE, "quantity": "vehicle_count", "area": "GM9901"},
    "/indicators/hours-above": {**RANGE, "quantity": "no2", "area": "GM9901", "threshold": 25},
    "/indicators/panel-index": {
        **RANGE,
        "to": "2024-06-10T00:00Z",
        "quantity": "no2",
        "area": "GM9901",
        "baseTo": "2024-06-04T00:00Z",
    },
    "/indicators/week-profile": {**RANGE, "quantity": "no2", "area": "GM9901"},
}
LISTS = [one for one in RESOURCES if not one.secret and one.path != "/indicators/panel-index"]
PATHS = [one.path for one in LISTS]


@pytest.fixture(scope="module", params=["postgres", pytest.param("timescale", marks=pytest.mark.timescale)])
def full(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database with something of everything, on the embedded PostgreSQL and on a TimescaleDB where one is named."""
    server = request.getfixturevalue("postgres") if request.param == "postgres" else timescale_url()
    with fresh_database(server) as url, filled(url):
        yield url


@pytest.fixture(scope="module")
def client(full: str) -> Iterator[httpx.Client]:
    """A client of the API over that database."""
    with client_of(serving(full)) as made:
        yield made


@pytest.fixture(scope="module")
def small(postgres: str) -> Iterator[str]:
    """The same database on the embedded PostgreSQL alone."""
    with fresh_database(postgres) as url, filled(url):
        yield url


def get(client: httpx.Client, path: str, form: str = "json", **asked: Any) -> httpx.Response:
    """Ask for a list in a form by `Accept`, with what it needs."""
    media = FORMS[form]
    return client.get(path, params=NEEDED.get(path, {}) | asked, headers={"Accept": media})


def items(client: httpx.Client, path: str, **asked: Any) -> list[dict[str, Any]]:
    """Ask for a list in JSON, and give its rows."""
    answer = get(client, path, **asked)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def _admin(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(url, autocommit=True)


def follow(client: httpx.Client, page: httpx.Response) -> httpx.Response:
    """Ask for the next page in the same form."""
    url = page.links["next"]["url"].removeprefix("/api/v1")
    return client.get(url, headers={"Accept": page.headers["content-type"].partition(";")[0]})


class TestComfort:
    """What spares a client work: one row by its name, a count, local time, ranges before now, a page to browse."""

    @pytest.mark.parametrize(
        ("path", "key"),
        [("/sensors", TRAFFIC), ("/areas", "WK990100"), ("/quantities", "no2"), ("/sources", "ndw"),
         ("/alerts/rules", "")],
    )  # fmt: skip
    def test_each_row_has_its_own_path(self, client: httpx.Client, path: str, key: str) -> None:
        """It is the row of the list, also with the slash of an id encoded, in both forms, and kept by its ETag."""
        rows = items(client, path)
        row = next(one for one in rows if not key or key in (one.get("sensor_id"), *list(one.values())[:2]))
        key = key or row["rule"]
        for name in {key, key.replace("/", "%2F")}:
            found = client.get(f"{path}/{name}", headers={"Accept": "application/json"})
            assert (found.status_code, found.json()) == (200, row)
        again = client.get(f"{path}/{key}", headers={"If-None-Match": found.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert client.head(f"{path}/{key}").headers["content-length"] == found.headers["content-length"]
        if path == "/sensors":
            feature = client.get(f"{path}/{key}", params={"format": "geojson"}).json()
            assert (feature["type"], feature["properties"], len(feature["geometry"]["coordinates"])) == (
                "Feature", row, 2,
            )  # fmt: skip

    def test_no_row_of_a_name_is_404(self, client: httpx.Client) -> None:
        """A problem that says what was looked for; and a form that holds no object is 406."""
        for path in ("/sensors/ndw/none", "/areas/GM0001", "/quantities/love"):
            found = client.get(path)
            assert (found.status_code, found.headers["content-type"]) == (404, MEDIA)
            assert path.rpartition("/")[2] in found.json()["detail"]
        assert client.get(f"/sensors/{TRAFFIC}", params={"format": "csv"}).status_code == 406

    def test_count_is_of_all_pages(self, client: httpx.Client) -> None:
        """It is the number of rows that following the pages gives, and a header in every form."""
        everything = items(client, "/aggregates", limit=1000)
        first = get(client, "/aggregates", limit=1, count="true")
        assert first.json()["count"] == len(everything) > 1
        assert get(client, "/sensors", "csv", count="true").headers["total-count"] == "6"
        assert "count" not in get(client, "/sensors").json()

    @pytest.mark.parametrize("form", ["json", "csv", "parquet"])
    def test_local_time_is_the_same_moment(self, client: httpx.Client, form: str) -> None:
        """With `local=true` every stamp is written in the hub's zone, with its offset, in every form."""
        said = get(client, "/aggregates", form, local="true", limit=5)
        if form == "json":
            starts = [row["start"] for row in said.json()["items"]]
        elif form == "csv":
            starts = [row["start"] for row in csv.DictReader(io.StringIO(said.text))]
        else:
            starts = pq.read_table(io.BytesIO(said.content))["start"].to_pylist()
        utc = [row["start"] for row in items(client, "/aggregates", limit=5)]
        assert starts[0] == "2024-06-03T02:00:00+02:00"
        assert [pd.Timestamp(one) for one in starts] == [pd.Timestamp(one) for one in utc]

    def test_range_before_now(self, client: httpx.Client) -> None:
        """`from=-24h` is a day ago: what is written in the meantime begins later."""
        assert client.get("/aggregates", params={"window": "1h", "from": "-24h", "to": "-0.5h"}).status_code == 400
        found = client.get("/aggregates", params={"window": "1h", "from": "-24h", "to": "-1h"})
        assert (found.status_code, found.json()["items"]) == (200, [])
        wrong = client.get("/aggregates", params={"window": "1h", "from": "-1h", "to": "-24h"})
        assert (wrong.status_code, wrong.json()["errors"][0]["name"]) == (400, "from")

    def test_series_say_when_they_were_seen(self, client: httpx.Client) -> None:
        """The first and the newest window with a reading, as asking for all windows finds them."""
        found = next(one for one in items(client, "/series") if one["sensor_id"] == "stadspuls/a")
        starts = [row["start"] for row in items(client, "/aggregates", sensor="stadspuls/a", limit=1000)]
        assert found["first_seen"] <= starts[0]
        assert found["first_seen"] < found["last_seen"]

    def test_reference_needs_no_internet(self, client: httpx.Client) -> None:
        """`/docs` and `/api` show a page whose scripts and styles are all files of the hub."""
        root = str(client.base_url).removesuffix("/api/v1/")
        for path in ("/docs", "/api"):
            page = httpx.get(f"{root}{path}")
            assert page.status_code == 200
            named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
            assert len(named) == 3
            assert all(httpx.get(f"{root}{name}").status_code == 200 for name in named)
            assert "openapi.json" in page.text
            assert "//cdn" not in page.text


class TestLists:
    """The content of the lists."""

    def test_sensors(self, client: httpx.Client) -> None:
        """Sensors by id, those without a place included, with what they measure."""
        found = {item["sensor_id"]: item for item in items(client, "/sensors")}
        assert list(found) == ["group/north", "group/south", "ndw/nothing", "stadspuls/a", "stadspuls/b", TRAFFIC]
        assert (found["ndw/nothing"]["lon"], found["ndw/nothing"]["quantities"]) == (None, [])
        assert found["stadspuls/a"]["quantities"] == ["no2"]
        assert found[TRAFFIC]["series"] == 2

    def test_areas(self, client: httpx.Client) -> None:
        """Areas of the newest vintage with statistics and a place; null where no boundary is known."""
        found = {item["code"]: item for item in items(client, "/areas")}
        assert found["BU99010000"]["statistics"]["inhabitants"] == 600
        assert found["WK9901TB"]["lon"] is None
        assert "geometry" not in found["BU99010000"]
        assert len(items(client, "/areas", level="buurt", vintage=2024)) == 4
        assert get(client, "/areas", vintage=1999).json() == {"items": [], "next": None}
        inside = {item["code"] for item in items(client, "/areas", area="WK990100")}
        assert inside == {code for code in found if code == "WK990100" or code.startswith("BU990100")}

    def test_aggregates_have_the_fields_of_query(self, client: httpx.Client) -> None:
        """Every promised field; a failed hour has a null, and stamps have a Z."""
        rows = items(client, "/aggregates", sensor="stadspuls/a")
        promised = {"sensor_id", "channel", "quantity", "unit", "start", "end", "value", "estimate", "minimum",
                    "maximum", "readings", "flagged", "coverage", "valid", "revision"}  # fmt: skip
        assert promised <= rows[0].keys()
        assert [row["value"] for row in rows[4:7]] == [14.04, None, 16.04]
        assert (rows[5]["failed"], rows[5]["valid"], rows[5]["readings"]) == (1, False, 0)
        assert (rows[0]["start"], rows[0]["end"]) == ("2024-06-03T00:00:00Z", "2024-06-03T01:00:00Z")

    def test_classes_and_their_sum(self, client: httpx.Client) -> None:
        """A sensor's own figure is the sum of its classes; with `channels` each class is given."""
        assert {row["value"] for row in items(client, "/aggregates", sensor=TRAFFIC)} == {100.0}
        channels = items(client, "/aggregates", sensor=TRAFFIC, channels=True)
        assert {row["channel"]: row["value"] for row in channels} == {"lane1/light": 90.0, "lane1/heavy": 10.0}

    def test_readings(self, client: httpx.Client) -> None:
        """As stored, with flags and status by name, and the supplier's stamp."""
        row = items(client, "/readings", sensor="stadspuls/a")[5]
        assert (row["value"], row["flags"], row["status"]) == (None, ["source_error"], "provisional")
        assert row["version"] == "2024-07-03T09:46:40Z"

    def test_measures_beside_area_aggregates(self, client: httpx.Client) -> None:
        """Measures that are asked for are columns, with the reason where there is no figure; others are none."""
        asked: dict[str, Any] = {"measure": ["density", "inhabitants"], "quantity": "no2", "level": "buurt"}
        (row, *_) = items(client, "/area-aggregates", **asked)
        assert list(row)[-4:] == ["inhabitants", "inhabitants_reason", "density", "density_reason"]
        assert (row["code"], row["inhabitants"], row["inhabitants_reason"]) == ("BU99010000", 600, None)
        assert row["density"] is not None or row["density_reason"]
        assert not {"density", "geometry"} & items(client, "/area-aggregates")[0].keys()
        assert get(client, "/area-aggregates", measure="nothing").status_code == 400

    def test_area_aggregates(self, client: httpx.Client) -> None:
        """What an area's sensors say together names them."""
        rows = items(client, "/area-aggregates", quantity="no2", area="GM9901")
        assert (rows[0]["value"], rows[0]["members"]) == (pytest.approx(15.04), ["stadspuls/a", "stadspuls/b"])
        assert (rows[5]["value"], rows[5]["valid_sensors"], rows[5]["valid"]) == (None, 0, False)

    def test_indicators(self, client: httpx.Client) -> None:
        """Each is listed, and computed; what cannot be defended is 422 with the reason."""
        assert {row["name"] for row in items(client, "/indicators")} == {
            path.rpartition("/")[2] for path in NEEDED if path.startswith("/indicators/")
        }
        assert items(client, "/indicators/heavy-share")[0]["share"] == pytest.approx(0.1)
        assert items(client, "/indicators/hours-above")[0]["hours"] == HOURS
        answer = get(client, "/indicators/panel-index")
        assert (answer.status_code, answer.headers["content-type"]) == (422, MEDIA)
        assert "a panel needs one" in answer.json()["detail"]
        assert "a share needs some" in get(client, "/indicators/heavy-share", area="GM0014").json()["detail"]

    def test_alerts(self, client: httpx.Client) -> None:
        """The newest first, with what their rule is called; open ones have no end."""
        assert [row["subject"] for row in items(client, "/alerts")] == ["stadspuls/b", "stadspuls/a"]
        (still,) = items(client, "/alerts", open=True)
        assert (still["title"], still["subject"], still["cleared_at"]) == ("Much", "stadspuls/a", None)
        assert (still["since"], still["local_since"]) == ("2024-06-03T00:00:00Z", "2024-06-03T02:00:00+02:00")
        assert items(client, "/alerts", subject="stadspuls/b", open=True) == []

    def test_health(self, client: httpx.Client) -> None:
        """How the hub is, in numbers."""
        said = client.get("/health").json()
        assert (said["ready"], said["sensors"], said["sensors_without_place"], said["dead_letters"]) == (True, 4, 1, 3)

    def test_registries(self, client: httpx.Client) -> None:
        """Quantities with their unit, sources with their licence."""
        assert {row["quantity"]: row["unit"] for row in items(client, "/quantities")}["no2"] == "ug/m3"
        assert {row["source"]: row["commercial_use"] for row in items(client, "/sources")}["telraam"] is False


class TestFilters:
    """Each filter leaves out what it should."""

    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            ({"source": "ndw"}, ["ndw/nothing"]),
            ({"quantity": "no2"}, ["stadspuls/a", "stadspuls/b"]),
            ({"quantity": ["no2", "vehicle_count"], "sensor": ["stadspuls/a", TRAFFIC]}, ["stadspuls/a", TRAFFIC]),
            ({"bbox": "6.003,53,6.0041,53.01"}, ["stadspuls/b"]),
            ({"area": "BU99010000"}, ["stadspuls/a", "stadspuls/b"]),
            ({"area": "BU99010000", "vintage": 2023}, []),
            ({"area": "GM0014"}, []),
            ({"sensor": "nobody/knows"}, []),
        ],
    )
    def test_sensors(self, client: httpx.Client, asked: dict[str, Any], found: list[str]) -> None:
        """By source, quantity, id, box and area; what is unknown is an empty list."""
        assert [item["sensor_id"] for item in items(client, "/sensors", **asked)] == found

    @pytest.mark.parametrize("path", ["/aggregates", "/readings"])
    def test_of_windows_and_readings(self, client: httpx.Client, path: str) -> None:
        """The same filters choose the sensors of windows and readings."""
        for asked, found in (
            ({"bbox": "6.003,53,6.0041,53.01"}, {"stadspuls/b"}),
            ({"area": "BU99010000"}, {"stadspuls/a", "stadspuls/b"}),
            ({"quantity": "vehicle_count"}, {TRAFFIC}),
            ({"sensor": "ndw/nothing"}, set[str]()),
        ):
            assert {row["sensor_id"] for row in items(client, path, **asked)} == found

    def test_by_evidence(self, client: httpx.Client) -> None:
        """Minimum coverage, and valid or not."""
        sensor = {"sensor": "stadspuls/a"}
        assert len(items(client, "/aggregates", coverage=0.5, **sensor)) == HOURS - 1
        assert len(items(client, "/aggregates", valid=False, **sensor)) == 1
        assert len(items(client, "/area-aggregates", area="BU99010000", valid=False, quantity="no2")) == 1

    def test_range_is_half_open(self, client: httpx.Client) -> None:
        """From is inclusive, to is exclusive, a zone counts, and nothing between is an empty list."""
        asked = {"sensor": "stadspuls/a", "from": "2024-06-03T02:00+02:00", "to": "2024-06-03T02:00Z"}
        assert [row["value"] for row in items(client, "/aggregates", **asked)] == [10.04, 11.04]
        assert items(client, "/aggregates", **{**asked, "to": "2024-06-03T00:00Z"}) == []


class TestPages:
    """A list comes in pages, each row once."""

    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize("form", ["json", "csv"])
    def test_every_row_once(self, client: httpx.Client, path: str, form: str) -> None:
        """Following `Link: next` gives the same rows as one answer, in the same order."""
        whole = get(client, path, form, limit=10_000)
        assert "link" not in whole.headers
        size = max(1, len(whole.text.splitlines()) // 7 if form == "csv" else len(whole.json()["items"]) // 7)
        answer = get(client, path, form, limit=size)
        pages = [answer]
        while "next" in pages[-1].links and len(pages) < 100:
            pages.append(follow(client, pages[-1]))
        assert len(pages) > 1 or path == "/indicators/heavy-share"  # only one sensor counts by class
        if form == "csv":
            assert [line for page in pages for line in page.text.splitlines()[1:]] == whole.text.splitlines()[1:]
        else:
            assert [item for page in pages for item in page.json()["items"]] == whole.json()["items"]
            assert [bool(page.json()["next"]) for page in pages] == [True] * (len(pages) - 1) + [False]

    def test_a_page_leaves_no_transaction_behind(self, small: str) -> None:
        """A page that ends before its rows do ends its transaction too: the connection is lent again."""
        with client_of(serving(small, api_connections=1)) as client, _admin(small) as admin:
            assert get(client, "/readings", limit=1).json()["next"]
            assert get(client, "/indicators/panel-index").status_code == 422
            assert get(client, "/aggregates", limit=1).json()["next"]
            states = admin.execute(
                "SELECT state FROM pg_stat_activity WHERE application_name = 'stadspuls api'"
            ).fetchall()
        assert set(states) == {("idle",)}

    def test_default_and_most(self, client: httpx.Client) -> None:
        """A hundred sensors by default and ten thousand at most, as the contract says."""
        listed = {one.path: one for one in LISTS}
        assert [(listed[path].page, listed[path].most) for path in ("/sensors", "/areas")] == [(100, 10_000)] * 2
        for asked, status in ((10_000, 200), (10_001, 400), (0, 400)):
            assert get(client, "/sensors", limit=asked).status_code == status

    def test_more_than_one_answer_holds_is_refused(
        self, client: httpx.Client, full: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file is whole or it is refused: cut off, nobody would notice."""
        windows = next(one for one in LISTS if one.path == "/aggregates")
        assert windows.bulk > len(items(client, "/aggregates"))
        monkeypatch.setattr("hub.web.api.resources.RESOURCES", [windows._replace(bulk=10)])
        with client_of(serving(full)) as narrow:
            answer = get(narrow, "/aggregates", "csv")
        assert answer.status_code == 400
        assert "more than 10 rows" in answer.json()["detail"]

    @given(st.lists(st.text() | st.integers() | st.floats() | st.none() | st.booleans(), max_size=5))
    def test_a_cursor_is_checked(self, parts: list[Any]) -> None:
        """Whatever is made up is refused, or is a key of the right types."""
        kinds: list[pa.DataType] = [pa.string(), pa.int64(), pa.timestamp("us", "UTC")]
        try:
            cursor = encoded(parts)
        except (UnicodeEncodeError, ValueError):
            return
        with suppress(Problem):
            text, number, stamp = decoded(cursor, kinds)
            assert (type(text), type(number), stamp.tzinfo is None) == (str, int, False)


class TestForms:
    """The same rows in each form, read by the tools that people have."""

    @pytest.mark.parametrize("path", PATHS)
    def test_same_rows(self, client: httpx.Client, path: str) -> None:
        """JSON, CSV, Parquet and Arrow have as many rows and the same columns."""
        rows = items(client, path, limit=10_000)
        columns = [name for name in rows[0] if not isinstance(rows[0][name], dict)]
        read = {
            "csv": pd.read_csv(io.StringIO(get(client, path, "csv", limit=10_000).text)),
            "parquet": pd.read_parquet(io.BytesIO(get(client, path, "parquet", limit=10_000).content)),
            "arrow": pa.ipc.open_stream(get(client, path, "arrow", limit=10_000).content).read_pandas(),
        }
        for form, frame in read.items():
            assert len(frame) == len(rows), form
            assert set(columns) <= set(frame.columns), form
        for name in columns:
            first = rows[0][name]
            if isinstance(first, (int, float)):
                assert [frame[name].iloc[0] for frame in read.values()] == [first] * 3
        assert [frame.shape[1] for frame in read.values()][1:] == [read["parquet"].shape[1]] * 2

    def test_types_for_machines(self, client: httpx.Client) -> None:
        """Parquet and Arrow are typed: stamps are UTC, null is null."""
        table = pq.read_table(io.BytesIO(get(client, "/aggregates", "parquet").content))
        assert table.schema.field("start").type == pa.timestamp("us", "UTC")
        assert table.column("value").null_count == 2
        assert pa.ipc.open_stream(get(client, "/aggregates", "arrow").content).schema.equals(table.schema)

    def test_join_for_every_tool(self, client: httpx.Client, tmp_path: Path) -> None:
        """The joined table is the same in pandas, polars, DuckDB, GDAL, Excel and a Dutch CSV, with its boundaries."""
        asked: dict[str, Any] = {"measure": "inhabitants", "quantity": "no2", "level": "buurt"}
        rows = items(client, "/area-aggregates", **asked, limit=10_000)
        path = tmp_path / "join.parquet"
        path.write_bytes(get(client, "/area-aggregates", "parquet", **asked, shapes=True).content)
        known = [row["inhabitants"] for row in rows]
        assert pl.read_parquet(path)["inhabitants"].to_list() == known
        assert duckdb.execute(f"SELECT sum(inhabitants) FROM '{path}'").fetchall() == [(sum(known),)]
        assert shapely.from_wkb(pd.read_parquet(path)["geometry"].iloc[0]).geom_type == "Polygon"
        shown = get(client, "/area-aggregates", "geojson", **asked, limit=10_000).content
        about, _, shapes, fields = pyogrio.raw.read(shown)
        assert list(fields[list(about["fields"]).index("inhabitants")]) == known
        assert shapely.from_wkb(shapes[0]).geom_type == "Polygon"
        answer = client.get("/area-aggregates", params={**RANGE, "window": "1h", **asked, "format": "xlsx"})
        assert answer.headers["content-disposition"].endswith('_1h_inhabitants_no2_buurt.xlsx"')
        header, *cells = load_workbook(io.BytesIO(answer.content))["data"].iter_rows(values_only=True)
        assert [row[header.index("inhabitants (1)")] for row in cells] == known
        dutch = client.get("/area-aggregates", params={**RANGE, "window": "1h", **asked, "format": "csv-nl"})
        sheet = pd.read_csv(io.BytesIO(dutch.content), sep=";", decimal=",", encoding="utf-8-sig")
        assert (sheet["inhabitants"].to_list(), set(sheet["valid"])) == (known, {"ja", "nee"})

    def test_csv(self, client: httpx.Client) -> None:
        """Numbers as they are, stamps with Z, null empty, a column a statistic, ids with quotes whole."""
        rows = list(csv.DictReader(io.StringIO(get(client, "/aggregates", "csv").text)))
        assert (rows[0]["value"], rows[5]["value"], rows[0]["start"]) == ("10.04", "", "2024-06-03T00:00:00Z")
        assert rows[-1]["sensor_id"] == TRAFFIC
        assert "statistics.inhabitants" in get(client, "/areas", "csv").text.splitlines()[0]

    def test_geojson(self, client: httpx.Client) -> None:
        """Boundaries of areas, points of sensors, null where there is no place; the reference system is in a header."""
        answer = get(client, "/areas", "geojson", limit=2)
        collection = answer.json()
        assert [feature["geometry"]["type"] for feature in collection["features"]] == ["Polygon", "Polygon"]
        assert collection["next"]
        assert answer.headers["content-crs"] == "<http://www.opengis.net/def/crs/OGC/1.3/CRS84>"
        places = [feature["geometry"] for feature in get(client, "/sensors", "geojson").json()["features"]]
        assert places[2:4] == [None, {"type": "Point", "coordinates": [6.002, 53.002]}]
        assert get(client, "/aggregates", "geojson").json()["features"][0]["properties"]["value"] == 10.04

    def test_geoparquet(self, client: httpx.Client) -> None:
        """Areas as Parquet are GeoParquet, which geopandas and QGIS open."""
        table = pq.read_table(io.BytesIO(get(client, "/areas", "parquet").content))
        geo = json.loads((table.schema.metadata or {})[b"geo"])
        assert geo["columns"][geo["primary_column"]]["encoding"] == "WKB"
        assert table.column("geometry")[0].as_py()[:1] == b"\x01"

    @pytest.mark.parametrize(
        ("accept", "media"),
        [
            ("", "application/json"),
            ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
            ("application/json;q=0.5, text/csv", "text/csv; charset=utf-8"),
            ("application/*;q=0.2, application/json;q=0, application/geo+json;q=0.1", "application/vnd.apache.parquet"),
            ("image/png", None),
            ("application/json;q=0", None),
        ],
    )
    def test_what_is_accepted(self, client: httpx.Client, accept: str, media: str | None) -> None:
        """The header decides by quality and precision; nothing that fits is 406."""
        answer = client.get("/sensors", headers={"Accept": accept})
        assert answer.headers["content-type"] == (media or MEDIA)
        assert answer.status_code == (200 if media else 406)

    def test_format_goes_before_the_header(self, client: httpx.Client) -> None:
        """For a browser or a spreadsheet, which cannot set a header."""
        assert client.get("/sensors?format=csv").headers["content-type"].startswith("text/csv")
        assert client.get("/quantities?format=geojson").status_code == 400

    def test_other_reference_system(self, client: httpx.Client) -> None:
        """Places are given in CRS84 and in RD, by header or parameter; another wish is refused."""
        system = "http://www.opengis.net/def/crs/EPSG/0/28992"
        for headers, wish in (({"Accept-Crs": system}, {}), ({}, {"crs": system})):
            asked = {"format": "geojson", "sensor": "stadspuls/a", **wish}
            answer = client.get("/sensors", params=asked, headers=headers)
            assert answer.headers["content-crs"] == f"<{system}>"
            assert answer.json()["features"][0]["geometry"]["coordinates"] == pytest.approx([196_272, 557_403], abs=1)
        headers = {"Accept": "application/geo+json", "Accept-Crs": "http://www.opengis.net/def/crs/EPSG/0/3857"}
        assert client.get("/sensors", headers=headers).status_code == 406


class TestEtag:
    """What a client has already is not sent again."""

    def test_not_modified(self, client: httpx.Client) -> None:
        """The same content has the same tag in each form; with it the answer is 304 and empty."""
        for form in ("json", "csv", "parquet", "arrow"):
            tag = get(client, "/aggregates", form).headers["etag"]
            media = FORMS[form]
            again = client.get(
                "/aggregates", params=NEEDED["/aggregates"], headers={"Accept": media, "If-None-Match": f'"x", W/{tag}'}
            )
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)

    def test_other_content_other_tag(self, client: httpx.Client) -> None:
        """Another page or form has another tag."""
        tags = {
            get(client, "/sensors", form, limit=limit).headers["etag"] for form in ("json", "csv") for limit in (1, 2)
        }
        assert len(tags) == 4


class TestErrors:
    """What cannot be answered is a problem with its reason (RFC 9457)."""

    @pytest.mark.parametrize(
        ("path", "status", "said"),
        [
            ("/areas?limit=0", 400, "limit"),
            ("/areas?level=province", 400, "level"),
            ("/areas?vintage=x", 400, "vintage"),
            ("/sensors?limt=5", 400, "no such parameter"),
            ("/sensors?bbox=1,2,3", 400, "bbox: expected west,south,east,north"),
            ("/sensors?bbox=7,53,6,54", 400, "the lesser of each pair first"),
            ("/sensors?cursor=x", 400, "cursor"),
            ("/sensors?sensor=%00", 400, "sensor"),
            ("/series?quantity=no2&quantity=noo2", 400, "quantity: found 'noo2', expected one of"),
            ("/aggregates?window=1h&from=2024-06-05&to=2024-06-03", 400, "is after to"),
            ("/aggregates?window=1h&from=2020-06-05&to=2024-06-03", 400, "at most 400 days"),
            ("/aggregates?window=1h", 400, "from"),
            ("/readings?from=99999-01-01&to=0000-01-01", 400, "expected a date or stamp"),
            ("/readings?from=2024-02-30&to=2024-03-01", 400, "from"),
            (
                "/indicators/hours-above?quantity=no2&area=GM9901&from=2024-06-03&to=2024-06-04&threshold=nan",
                400,
                "threshold",
            ),
            ("/indicators/exposure", 404, "nothing at"),
            ("/sensors/", 404, "nothing with the sensor_id ''"),
            ("/dead-letters", 403, "api_token"),
        ],
    )
    def test_each(self, client: httpx.Client, path: str, status: int, said: str) -> None:
        """Status, sentence and media type."""
        answer = client.get(path)
        body = answer.json()
        assert (answer.status_code, answer.headers["content-type"], body["status"]) == (status, MEDIA, status)
        assert said in body["detail"]
        assert {"title", "detail", "status"} <= body.keys()

    def test_all_at_once(self, client: httpx.Client) -> None:
        """Every parameter that is wrong is named."""
        errors = client.get("/aggregates?window=2h&limit=-1&bbox=x").json()["errors"]
        assert {error["name"] for error in errors} == {"window", "limit", "bbox", "from", "to"}

    def test_read_only(self, client: httpx.Client) -> None:
        """Nothing can be written; HEAD is GET without a body."""
        answer = client.post("/sensors")
        assert (answer.status_code, answer.headers["content-type"]) == (405, MEDIA)
        head = client.head("/sensors")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["etag"] == client.get("/sensors").headers["etag"]

    def test_database_away(self) -> None:
        """A database that does not answer is 503, and the answer does not have its address."""
        with client_of(serving("postgresql://nobody@127.0.0.1:1/none")) as client:
            for path in ("/sensors", "/health"):
                answer = client.get(path)
                assert (answer.status_code, answer.headers["content-type"]) == (503, MEDIA)
                assert "127.0.0.1" not in answer.text

    def test_database_restarted(self, small: str) -> None:
        """Connections kept from before do not fail an answer."""
        with client_of(serving(small)) as client:
            assert client.get("/sensors").status_code == 200
            with _admin(small) as admin:
                admin.execute(
                    "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
                    "WHERE application_name = 'stadspuls api' AND datname = current_database()"
                )
            assert client.get("/sensors").status_code == 200

    def test_slow_statement(self, small: str) -> None:
        """A statement that takes too long ends, and the answer names what helps."""
        with client_of(serving(small)) as client, _admin(small) as admin:
            client.get("/sensors")
            admin.execute("ALTER TABLE sensor RENAME TO sensor_gone")
            admin.execute("CREATE VIEW sensor AS SELECT s.* FROM sensor_gone s, pg_sleep(60)")
            admin.execute("GRANT SELECT ON sensor TO stadspuls_reader")
            try:
                with client_of(serving(small, api_patience="0.2s")) as hasty:
                    answer = hasty.get("/sensors")
            finally:
                admin.execute("DROP VIEW sensor; ALTER TABLE sensor_gone RENAME TO sensor")
            assert (answer.status_code, "too long" in answer.json()["detail"]) == (503, True)


class TestHeaders:
    """What every answer carries (API Design Rules)."""

    @pytest.mark.parametrize("path", ["/sensors", "/openapi.json", "/nothing", "/sensors?x=1", "/health"])
    def test_each_answer(self, client: httpx.Client, path: str) -> None:
        """The version, and what keeps browsers safe."""
        answer = client.get(path)
        assert answer.headers["api-version"] == client.get("/openapi.json").json()["info"]["version"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "frame-ancestors 'none'"

    def test_pages_of_other_sites(self, small: str) -> None:
        """They read what everyone may read, and ask beforehand; not what is meant for this machine alone."""
        origin = {"Origin": "https://example.org"}
        with client_of(serving(small, public=True)) as client:
            assert client.get("/sensors", headers=origin).headers["access-control-allow-origin"] == "*"
            beforehand = client.options("/sensors", headers={**origin, "Access-Control-Request-Method": "GET"})
            assert beforehand.status_code == 200
        with client_of(serving(small)) as client:
            assert "access-control-allow-origin" not in client.get("/sensors", headers=origin).headers


class TestAccess:
    """Who may read."""

    def test_token(self, small: str) -> None:
        """With a token nobody reads without it, but for the document and the two probes; Basic is for browsers."""
        with client_of(serving(small, api_token="s3cret")) as client:
            for path in ("/sensors", "/health", "/dead-letters", "/nothing"):
                answer = client.get(path)
                assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
                assert answer.headers["content-type"] == MEDIA
            assert client.get("/sensors", headers={"Authorization": "Bearer wrong"}).status_code == 401
            assert client.get("/sensors", headers={"Authorization": "Bearer s3cret"}).status_code == 200
            assert client.get("/sensors", auth=("anyone", "s3cret")).status_code == 200
            assert client.get("/openapi.json").status_code == 200
            for path, status in (("/healthz", 200), ("/readyz", 200), ("/metrics", 401)):
                assert httpx.get(client.base_url.copy_with(path=path)).status_code == status

    def test_public(self, small: str) -> None:
        """A public hub is read by everyone, its dead letters by those with the token."""
        with client_of(serving(small, api_token="s3cret", public=True)) as client:
            assert client.get("/sensors").status_code == 200
            assert client.get("/dead-letters").status_code == 401
            found = client.get("/dead-letters?limit=2", headers={"Authorization": "Bearer s3cret"}).json()
            assert [item["reason"] for item in found["items"]] == ["unknown unit 2", "unknown unit 1"] or found["next"]
            assert found["items"][0]["topic"] == "v3/x"

    def test_reader_is_kept_from_dead_letters(self, small: str) -> None:
        """Where the database's role may not read them either, not even the token helps; all else it may read."""
        reader = f"{small}&options=-crole%3Dstadspuls_reader"
        token = {"Authorization": "Bearer s3cret"}
        with client_of(serving(reader, api_token="s3cret"), headers=token) as client:
            answer = client.get("/dead-letters")
            assert (answer.status_code, answer.headers["content-type"]) == (403, MEDIA)
            for path in (*PATHS, "/health"):
                assert get(client, path).status_code == 200, path

    def test_session_reads_only(self, small: str) -> None:
        """The API's sessions have the reader's role and cannot write, whatever they are asked."""
        store = Store(small, patience=timedelta(seconds=1), role="stadspuls_reader")
        with store.transaction() as tx, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            tx.script("CREATE TABLE x ()")
        store.close()


class TestMemory:
    """A big answer is never whole in memory."""

    def test_chunks(self) -> None:
        """Twenty million bytes go through in pieces of a batch, wait on disk, and leave in pieces of 64 kB."""
        fields: list[tuple[str, pa.DataType]] = [("number", pa.int64()), ("text", pa.string())]
        columns = pa.schema(fields)
        made = (
            pa.record_batch([pa.array(np.arange(5_000) + at), pa.array(["x" * 30] * 5_000)], schema=columns)
            for at in itertools.count()
        )
        for form in FORMS:
            if form == "geojson":
                continue
            body = _Watched()
            rows = 20_000 if form == "xlsx" else 400_000  # a sheet is made cell by cell
            write(form, PageRows(made, columns, ("number",), rows), body)
            assert body.largest < 4 << 20, form
            assert body.on_disk or body.tell() < SMALL
            assert max(len(chunk) for chunk in body.chunks()) <= 1 << 16


class _Watched(Body):
    largest = 0

    def write(self, data: Any) -> int:
        """Note how much comes at once."""
        self.largest = max(self.largest, len(data))
        return super().write(data)

    @property
    def on_disk(self) -> bool:
        """Whether it left memory."""
        return bool(self._rolled)  # type: ignore[attr-defined]


ODD = st.sampled_from([
    "'", '"', "';DROP TABLE sensor;--", "%", "%s", "%(source)s", "\\", "\x00", "\ufffd", "0", "-1", "1e999", "9" * 40,
    "nan", "0000-01-01", "99999-12-31", "2024-02-30", "2024-06-03T00:00:00+99:99", "null", "true", "{}", "[]",
    "GM0014'", "٣", "",
])  # fmt: skip
NAMES = ["source", "sensor", "quantity", "bbox", "area", "vintage", "from", "to", "window", "channels", "coverage",
         "valid", "level", "limit", "cursor", "format", "reason", "open", "rule", "subject",
         "threshold", "baseTo"]  # fmt: skip


class TestFuzz:
    """No parameter reaches a statement unparsed."""

    @settings(max_examples=up_to(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.sampled_from([*PATHS, "/indicators/panel-index", "/dead-letters"]),
        st.dictionaries(st.sampled_from(NAMES), ODD | st.text(max_size=20), max_size=4),
        st.booleans(),
    )
    def test_anything(self, small_client: httpx.Client, path: str, asked: dict[str, str], needed: bool) -> None:
        """Whatever is asked is answered with a list or refused as wrong, and never an error of the server."""
        known = NEEDED.get(path, {}) if needed else {}
        sent = {**known, **{name: text.encode("utf-8", "replace") for name, text in asked.items()}}
        headers = {"Authorization": "Bearer s3cret"}
        answer = small_client.get(path, params=sent, headers=headers)
        assert answer.status_code in (200, 400, 422), (path, asked, answer.text)

    @settings(max_examples=up_to(50), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.binary(max_size=30))
    def test_any_bytes(self, small_client: httpx.Client, raw: bytes) -> None:
        """Also bytes that are no text, halves of surrogates and lone % signs."""
        for text in (raw.hex("%"), raw.decode("latin-1").encode("ascii", "ignore").decode()):
            quoted = "".join(letter if letter.isalnum() or letter == "%" else f"%{ord(letter):02X}" for letter in text)
            url = httpx.URL(str(small_client.base_url) + "sensors").copy_with(query=f"sensor={quoted}".encode())
            answer = small_client.get(url, headers={"Authorization": "Bearer s3cret"})
            assert answer.status_code in (200, 400), (quoted, answer.text)


@pytest.fixture(scope="module")
def small_client(small: str) -> Iterator[httpx.Client]:
    """A client with a token, of the API over the embedded PostgreSQL."""
    with client_of(serving(small, api_token="s3cret")) as made:
        yield made


class TestAverages:
    """Averages over days of a kind."""

    def test_days_left_out_are_named(self, client: httpx.Client) -> None:
        """A month of which two working days were measured: the others are counted and named, and it is not valid."""
        asked = {"from": "2024-06-01", "to": "2024-07-01", "window": "1mo", "period": "working_days"}
        (row,) = client.get("/averages", params={**asked, "quantity": "no2", "sensor": "stadspuls/a"}).json()["items"]
        assert (row["day_kind"], row["date"], row["days"], row["valid"]) == ("werkdag", "2024-06-01", 20, False)
        assert row["left_out"].endswith("to 2024-06-28 not measured")

    def test_unknown_period_is_refused(self, client: httpx.Client) -> None:
        """A word that no period has is the parameter's fault, and named with the words that there are."""
        answer = get(client, "/averages", period="werkda")
        assert answer.status_code == 400
        assert "expected one of weekdag, werkdag" in answer.text
