"""
SensorThings 1.1: entities and their links both ways, what an Observation is, options, pages, errors, who may read.

Figures are compared with those that `/api/v1` gives.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest

from aggregates.store.migrate import migrate
from aggregates.store.store import Store, Transaction
from hub.web.api.problems import MEDIA
from hub.web.sta.entities import SETS
from tests.hub.web.sta.conftest import Get
from tests.support.apis import HOURS, TRAFFIC, served, serving

Stream = Callable[..., str]
RANGE = {"from": "2024-06-03T00:00Z", "to": "2024-06-05T00:00Z"}
RELATED = "st_relate(Locations/location, geography'POLYGON((6 53,6.003 53,6.003 53.004,6 53.004,6 53))', '{}')"
MANDATORY = {
    "Things": {"name", "description"},
    "Locations": {"name", "description", "encodingType", "location"},
    "HistoricalLocations": {"time"},
    "Datastreams": {"name", "description", "unitOfMeasurement", "observationType"},
    "Sensors": {"name", "description", "encodingType", "metadata"},
    "ObservedProperties": {"name", "definition", "description"},
    "Observations": {"phenomenonTime", "result", "resultTime"},
    "FeaturesOfInterest": {"name", "description", "encodingType", "feature"},
}


def pages(get: Get, path: str, **options: object) -> Iterator[Any]:
    """Follow the pages of a list."""
    page = get(path, **options)
    yield page
    while "@iot.nextLink" in page:
        page = get(page["@iot.nextLink"])
        yield page


def api(address: str, path: str, **asked: Any) -> list[dict[str, Any]]:
    """Ask the hub's own API."""
    answer = httpx.get(f"{address}/api/v1{path}", params={**RANGE, "limit": 1000, **asked}, timeout=60)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


class TestEntities:
    """What there is, and how it hangs together."""

    def test_the_root_names_the_sets_and_what_it_conforms_to(self, get: Get, address: str) -> None:
        """Every set with its address, and the conformance classes."""
        root = get("")
        assert {one["name"]: one["url"] for one in root["value"]} == {
            name: f"{address}/sta/v1.1/{name}" for name in MANDATORY
        }
        assert all("iot_sensing/1.1" in one for one in root["serverSettings"]["conformance"])

    @pytest.mark.parametrize("name", MANDATORY)
    def test_every_entity_has_what_the_standard_demands(self, get: Get, name: str) -> None:
        """Control information, mandatory properties, a link to each related set; and it is found by its own address."""
        found = get(f"/{name}", top=5)["value"]
        assert found
        for one in found:
            assert MANDATORY[name] <= one.keys()
            assert all(f"{link}@iot.navigationLink" in one for link in SETS[name].link)
            assert get(one["@iot.selfLink"]) == one

    @pytest.mark.parametrize("name", MANDATORY)
    def test_every_link_leads_back(self, get: Get, name: str) -> None:
        """What a link leads to has a link that leads to where it came from."""
        own = SETS[name]
        one = get(f"/{name}", top=1, filter=_with_figures(name))["value"][0]
        for link in own.link:
            other = own.linked(link) or own
            back = next(known for known in other.link if other.linked(known) is own)
            led = get(one[f"{link}@iot.navigationLink"])
            reached = led.get("value", [led])[0]
            returned = get(reached[f"{back}@iot.navigationLink"], **({"top": 10_000} if back in SETS else {}))
            assert one["@iot.id"] in [found["@iot.id"] for found in returned.get("value", [returned])]

    def test_sensors_and_areas_are_things(self, get: Get) -> None:
        """A sensor by its id and an area by its code and vintage, told apart by their kind."""
        (sensor,) = get("/Things", filter=f"properties/sensor_id eq '{TRAFFIC.replace(chr(39), chr(39) * 2)}'")["value"]
        (area,) = get("/Things", filter="properties/code eq 'BU99010000'")["value"]
        assert (sensor["properties"]["kind"], area["properties"]["kind"]) == ("sensor", "area")
        assert area["properties"]["vintage"] == 2024
        (place,) = get(f"/Things({area['@iot.id']})/Locations")["value"]
        assert place["location"]["type"] in ("Polygon", "MultiPolygon")

    def test_a_move_is_a_historical_location(self, get: Get, stream: Stream) -> None:
        """A sensor is where it is now, was where it was, and what it said then is of there."""
        (thing,) = get(
            "/Things", filter="properties/sensor_id eq 'stadspuls/b'", expand="Locations,HistoricalLocations"
        )["value"]
        assert [one["location"]["coordinates"] for one in thing["Locations"]] == [[6.1, 53.004]]
        assert len(thing["HistoricalLocations"]) == 2
        found = get(
            f"{stream('stadspuls/b', '1h')}/Observations", expand="FeatureOfInterest", orderby="phenomenonTime"
        )["value"]
        where = [one["FeatureOfInterest"]["feature"]["coordinates"][0] for one in found]
        assert where == [6.004] * 24 + [6.1] * 24

    def test_datastreams_are_levels(self, get: Get) -> None:
        """Of readings of an hour: raw, hours and days; of a sensor with channels these too, by name."""
        found = get("/Datastreams", filter="properties/sensor_id eq 'stadspuls/a'")["value"]
        assert [one["properties"]["level"] for one in found] == ["raw", "1h", "1d"]
        unit = {"name": "microgram per cubic metre", "symbol": "ug/m3"}
        assert all(unit.items() <= one["unitOfMeasurement"].items() for one in found)
        assert found[1]["phenomenonTime"] == "2024-06-03T00:00:00Z/2024-06-05T00:00:00Z"
        traffic = get(
            "/Datastreams",
            filter="ObservedProperty/name eq 'vehicle_count' and properties/level eq '1h' and Sensor/id ne 0",
        )["value"]
        assert sorted(one["properties"]["channel"] for one in traffic) == ["", "lane1/heavy", "lane1/light"]

    def test_definitions_are_of_public_vocabularies(self, get: Get) -> None:
        """Pollutants by the EEA's, what else by QUDT's."""
        found = {one["name"]: one["definition"] for one in get("/ObservedProperties")["value"]}
        assert found == {
            "no2": "http://dd.eionet.europa.eu/vocabulary/aq/pollutant/8",
            "vehicle_count": "http://qudt.org/vocab/quantitykind/Count",
        }

    def test_ids_stay(self, get: Get, database_url: str) -> None:
        """Another migration and new sensors change no id."""
        before = [one["@iot.id"] for one in get("/Datastreams", top=1000)["value"]]
        with closing(Store(database_url)) as store:
            migrate(store, "Europe/Amsterdam")
        with psycopg.connect(database_url) as connection:
            connection.execute("INSERT INTO sensor (sensor_id, source) VALUES ('stadspuls/0', 'stadspuls')")
        assert [one["@iot.id"] for one in get("/Datastreams", top=1000)["value"]] == before


def _with_figures(name: str) -> str:
    """Leave out Things and places of which nothing is measured."""
    return {"Things": "properties/source eq 'stadspuls' and properties/sensor_id ne 'stadspuls/0'"}.get(name, "true")


class TestObservations:
    """An Observation is a window with its evidence, or a reading."""

    def test_hours_of_a_sensor(self, get: Get, stream: Stream, address: str) -> None:
        """What `/aggregates` says: interval, value, evidence; a failed hour has the result null."""
        found = get(f"{stream('stadspuls/a', '1h')}/Observations")["value"]
        rows = api(address, "/aggregates", window="1h", sensor="stadspuls/a")
        assert len(found) == len(rows) == HOURS
        for one, row in zip(found, rows, strict=True):
            assert one["phenomenonTime"] == f"{row['start']}/{row['end']}"
            assert one["result"] == row["value"]
            said = {name: value for name, value in one["resultQuality"].items() if name != "flags"} | one["parameters"]
            assert said == {name: row[name] for name in said}
            assert {"coverage", "valid", "readings", "flagged", "estimate", "revision"} <= said.keys()
        assert found[5]["result"] is None

    def test_a_sensor_and_its_channels(self, get: Get, stream: Stream) -> None:
        """A sensor's own figure is the sum of its classes, each of which has its Datastream."""
        quoted = TRAFFIC.replace("'", "''")
        own, light = (
            get(f"{stream(quoted, '1h', channel, 'vehicle_count')}/Observations", top=1)["value"][0]
            for channel in ("", "lane1/light")
        )
        assert (own["result"], light["result"]) == (100.0, 90.0)

    def test_days_and_areas(self, get: Get, stream: Stream, address: str) -> None:
        """Days of an area are those of `/area-aggregates`."""
        found = get(f"{stream('GM9901', '1h')}/Observations")["value"]
        rows = api(address, "/area-aggregates", window="1h", quantity="no2", area="GM9901")
        assert [(one["result"], one["resultQuality"]["coverage"]) for one in found] == [
            (row["value"], row["coverage"]) for row in rows
        ]
        assert get(f"{stream('GM9901', '1d')}/Observations", count="true")["@iot.count"] == 3

    def test_readings(self, get: Get, stream: Stream) -> None:
        """As they are stored, with their flags by name, received when they were."""
        found = get(f"{stream('stadspuls/a', 'raw')}/Observations")["value"]
        assert [one["result"] for one in found[4:7]] == [14.04, None, 16.04]
        assert found[5]["resultQuality"]["flags"] == ["source_error"]
        assert found[0]["resultTime"] == "2024-09-01T00:00:00Z"

    def test_readings_within_a_second_have_ids_of_their_own(self, get: Get, stream: Stream, database_url: str) -> None:
        """Each is found by its id, also from its links, and pages go on behind it."""
        path = f"{stream('stadspuls/b', 'raw')}/Observations"
        before = [one["@iot.id"] for one in get(path)["value"]]
        with psycopg.connect(database_url) as connection:
            for part in (0.25, 0.75):
                connection.execute(
                    "INSERT INTO reading SELECT (jsonb_populate_record(r, jsonb_build_object('start', r.start + "
                    " %s * interval '1 second'))).* FROM reading r JOIN series s USING (series)"
                    " WHERE s.sensor_id = 'stadspuls/b' ORDER BY r.start LIMIT 1", (part,)
                )  # fmt: skip
        found = get(path)["value"]
        first = before[0]
        assert [one["@iot.id"] for one in found] == [first, f"{first}.25", f"{first}.75", *before[1:]]
        for one in found[:4]:
            assert get(one["@iot.selfLink"]) == one
            assert get(one["Datastream@iot.navigationLink"])["@iot.selfLink"].endswith(path.split("/")[1])
        paged = [one["@iot.id"] for page in pages(get, path, top=2) for one in page["value"]]
        assert paged == [one["@iot.id"] for one in found]
        (group,) = get(path, resultFormat="dataArray")["value"]
        assert [row[0] for row in group["dataArray"]] == paged

    def test_arrays_hold_what_entities_do(self, get: Get, stream: Stream) -> None:
        """`dataArray` has the same values, under the names of their components."""
        path = f"{stream('stadspuls/a', '1h')}/Observations"
        (group,) = get(path, resultFormat="dataArray")["value"]
        assert group["Datastream@iot.navigationLink"].endswith(path.partition("/Observations")[0])
        assert group["dataArray@iot.count"] == len(group["dataArray"]) == HOURS
        rows = [dict(zip(group["components"], row, strict=True)) for row in group["dataArray"]]
        names = group["components"][1:]
        assert [{name: row[name] for name in names} for row in rows] == [
            {name: one[name] for name in names} for one in get(path)["value"]
        ]


class TestPaths:
    """Addresses of entities, properties and references."""

    def test_property_and_value(self, client: httpx.Client, stream: Stream) -> None:
        """A property as JSON, and alone as text or JSON."""
        path = stream("stadspuls/a", "1h")
        assert client.get(f"{path}/name").json() == {"name": "no2 1h of stadspuls/a"}
        assert client.get(f"{path}/name/$value").text == "no2 1h of stadspuls/a"
        assert client.get(f"{path}/unitOfMeasurement/$value").json()["symbol"] == "ug/m3"

    def test_a_property_without_a_value_has_no_content(self, client: httpx.Client, get: Get, stream: Stream) -> None:
        """204, as OData has it."""
        (failed,) = get(f"{stream('stadspuls/a', '1h')}/Observations", filter="result eq null")["value"]
        assert client.get(f"{failed['@iot.selfLink']}/result").status_code == 204

    def test_references(self, get: Get, stream: Stream) -> None:
        """`$ref` gives addresses alone, of many and of one."""
        path = stream("stadspuls/a", "1h")
        many = get(f"{path}/Observations/$ref", top=2)
        assert [list(one) for one in many["value"]] == [["@iot.selfLink"]] * 2
        assert list(get(f"{path}/Thing/$ref")) == ["@iot.selfLink"]

    def test_a_path_through_links(self, get: Get, stream: Stream) -> None:
        """A path may be long, and an id in it must be of those that the link leads to."""
        path = stream("stadspuls/a", "1h")
        number = path.partition("(")[2].rstrip(")")
        assert get(f"{path}/Thing/Datastreams({number})/ObservedProperty")["name"] == "no2"
        other = stream("stadspuls/b", "1h").partition("(")[2].rstrip(")")
        get(f"{path}/Thing/Datastreams({other})", status=404)

    @pytest.mark.parametrize("path", [
        *(f"/{name}({number})" for name in MANDATORY for number in (2**63 - 1, 2**63, 999_999_999_999)),
        "/Nothing", "/Things(1)/Nothing", "/Things/name", "/Things(1)(2)", "/Things('x')", "/Things(-1)", "//",
        "/Things(4)/Locations/Things", "/Datastreams(22)/Thing(4)", "/Datastreams(22)/$value", "/$ref",
    ])  # fmt: skip
    def test_what_is_not_there_is_404(self, client: httpx.Client, path: str) -> None:
        """With a problem document, never an error of the server."""
        answer = client.get(path)
        assert path == "//" or (answer.status_code, answer.headers["content-type"]) == (404, MEDIA), answer.text


class TestOptions:
    """`$select`, `$expand`, `$filter`, `$orderby`, `$top`, `$skip`, `$count`."""

    @pytest.mark.parametrize(("filtered", "count"), [
        ("result gt 20", 38), ("result ge 20.04 and result le 22.04", 3), ("result eq null", 1), ("result ne null", 47),
        ("not (result gt 20)", 9), ("result gt '55'", 3), ("result mul 2 sub 4 lt 20.1", 3), ("result mod 2 lt 1", 24),
        ("phenomenonTime ge 2024-06-03T22:00:00Z and phenomenonTime lt 2024-06-04T00:00:00+02:00", 0),
        ("phenomenonTime lt 2024-06-03T12:00:00", 10), ("phenomenonTime ge 2024-06-04", 26),
        ("hour(phenomenonTime) eq 5", 2), ("date(phenomenonTime) eq 2024-06-04", 24), ("month(phenomenonTime) ne 6", 0),
        ("phenomenonTime add duration'PT1H' gt 2024-06-04T23:30:00Z", 1), ("resultTime gt now()", 0),
        ("resultQuality/valid", 47), ("not resultQuality/valid", 1), ("resultQuality/coverage ge 0.9", 47),
        ("parameters/revision ge 1 and resultQuality/status eq 'provisional'", 48), ("floor(result) eq 12", 1),
        ("round(result) eq 12 or ceiling(result) eq 14", 2), ("Datastream/ObservedProperty/name eq 'no2'", 48),
        ("Datastream/Thing/properties/sensor_id eq 'stadspuls/b'", 0), ("true", 48), ("false or result lt 11", 1),
    ])  # fmt: skip
    def test_filters_of_observations(self, get: Get, stream: Stream, filtered: str, count: int) -> None:
        """Comparison, logic, arithmetic, dates, parts of properties and links."""
        found = get(f"{stream('stadspuls/a', '1h')}/Observations", filter=filtered, count="true", top=100)
        assert (found["@iot.count"], len(found["value"])) == (count, count)

    @pytest.mark.parametrize(("filtered", "names"), [
        ("substringof('stadspuls/', name)", ["stadspuls/a", "stadspuls/b", TRAFFIC]),
        ("startswith(name, 'ndw')", ["ndw/nothing"]), ("endswith(tolower(name), '/A')", []),
        ("indexof(name, '/') eq 3", ["ndw/nothing"]), ("substring(toupper(name), 10, 2) eq 'A'", ["stadspuls/a"]),
        ("length(name) eq 11", ["ndw/nothing", "stadspuls/a", "stadspuls/b"]),
        ("concat(trim(' x '), name) eq 'xndw/nothing'", ["ndw/nothing"]),
        ("Datastreams/ObservedProperty/name eq 'no2'", ["stadspuls/a", "stadspuls/b"]),
        ("geo.distance(Locations/location, geography'POINT(6.002 53.002)') lt 0.001", ["stadspuls/a"]),
        ("st_within(Locations/location, geography'POLYGON((6 53,6.003 53,6.003 53.003,6 53))')", ["stadspuls/a"]),
        ("st_equals(Locations/location, geography'POINT(6.1 53.004)')", ["stadspuls/b"]),
        ("st_touches(Locations/location, geography'POLYGON((6.002 53.002,7 53.002,7 54,6.002 53.002))')",
         ["stadspuls/a"]),
        ("st_crosses(Locations/location, geography'LINESTRING(6 53,6.1 53.004,7 54)')", []),
        ("st_overlaps(Locations/location, geography'POLYGON((6 53,7 53,7 54,6 53))')", []),
        (RELATED.format("T*F**F***"), ["stadspuls/a"]), (RELATED.format("0FFFFF212"), ["stadspuls/a"]),
        (RELATED.format("FF0FFF212"), ["stadspuls/b", TRAFFIC]), (RELATED.format("FT*******"), []),
        ("st_relate(Locations/location, geography'POLYGON((6.002 53.002,7 53.002,7 54,6.002 53.002))', 'F0*******')",
         ["stadspuls/a"]),
        ("@iot.id lt 0 or name eq '@iot.id'", []), ("name eq 'it''s'", []), ("'ndw/nothing' eq name", ["ndw/nothing"]),
    ])  # fmt: skip
    def test_filters_of_things(self, get: Get, filtered: str, names: list[str]) -> None:
        """Text, links to many, and places."""
        both = f"({filtered}) and properties/kind eq 'sensor' and name ne 'stadspuls/0'"
        assert sorted(one["name"] for one in get("/Things", filter=both)["value"]) == sorted(names)

    @pytest.mark.parametrize(("options", "says"), [
        ({"filter": "foo eq 3"}, "expected one of id, phenomenonTime"), ({"filter": "result eq 'x'"}, "invalid input"),
        ({"filter": "result gt"}, "$filter"), ({"filter": "result div 0 eq 1"}, "division by zero"),
        ({"filter": "result"}, "must be type boolean"), ({"filter": "explode(result)"}, "expected one of"),
        ({"filter": "not " * 900 + "(result gt 3)"}, "$filter"),
        ({"filter": "result gt 3; DROP TABLE thing"}, "$filter"), ({"filter": "x" * 5000}, "4000"),
        ({"filter": "phenomenonTime gt 2024-13-45"}, "$filter"), ({"filter": "st_relate(result, result)"}, "expected"),
        ({"filter": RELATED.replace("Locations/", "FeatureOfInterest/").replace("location,", "feature,").format("T")},
         "T, expected nine of T, F, *, 0, 1, 2"),
        ({"filter": "Datastream/Thing/Datastreams/Thing/Datastreams/Thing/name eq 'x'"}, "expected"),
        ({"orderby": "nothing"}, "$orderby"), ({"orderby": "result sideways"}, "$orderby"), ({"top": -1}, "$top"),
        ({"top": 10_001}, "$top"), ({"skip": "x"}, "$skip"), ({"count": "perhaps"}, "$count"),
        ({"select": "x"}, "expected"),
        ({"expand": "Nothing"}, "expected one of Datastream"), ({"expand": "Datastream($top=x)"}, "$top"),
        ({"expand": "Datastream" + "/Thing/Datastreams" * 30}, "deeper"), ({"odd": 1}, "no such"),
        ({"resultFormat": "csv"}, "dataArray"), ({"skiptoken": "x"}, "$skiptoken"),
        ({"skiptoken": "1e-2000000000"}, "pattern"), ({"skiptoken": "9" * 20}, "pattern"),  # 2 GB, written out
    ])  # fmt: skip
    def test_what_cannot_be_right_is_refused(self, client: httpx.Client, options: dict[str, Any], says: str) -> None:
        """400, a problem document that says what was expected."""
        answer = client.get("/Observations", params={f"${name}": value for name, value in options.items()})
        assert (answer.status_code, answer.headers["content-type"]) == (400, MEDIA), answer.text
        assert says in answer.json()["detail"]

    def test_select(self, get: Get, stream: Stream) -> None:
        """Only what is selected, with the control information."""
        (one,) = get(f"{stream('stadspuls/a', '1h')}/Observations", select="result, Datastream", top=1)["value"]
        assert set(one) == {"@iot.id", "@iot.selfLink", "result", "Datastream@iot.navigationLink"}

    def test_order(self, get: Get, stream: Stream) -> None:
        """By several expressions, down and up."""
        path = f"{stream('stadspuls/a', '1h')}/Observations"
        found = get(path, orderby="hour(phenomenonTime) desc, result", filter="result ne null", select="result")[
            "value"
        ]
        assert [one["result"] for one in found[:4]] == [33.04, 57.04, 32.04, 56.04]
        things = get("/Datastreams", orderby="Thing/name desc,id asc")["value"]
        names = [get(one["Thing@iot.navigationLink"])["name"] for one in things]
        assert names == sorted(names, reverse=True)

    @pytest.mark.parametrize("options", [{}, {"orderby": "result desc"}, {"filter": "result gt 12", "count": "true"}])
    def test_pages_hold_everything_once(self, get: Get, stream: Stream, options: dict[str, Any]) -> None:
        """By `@iot.nextLink`, in the order of one page, whatever the order is."""
        path = f"{stream('stadspuls/a', '1h')}/Observations"
        whole = [one["@iot.id"] for one in get(path, **options)["value"]]
        assert [one["@iot.id"] for page in pages(get, path, top=7, **options) for one in page["value"]] == whole
        assert [
            one["@iot.id"] for page in pages(get, path, top=7, skip=10, **options) for one in page["value"]
        ] == whole[10:]

    @pytest.mark.parametrize("name", MANDATORY)
    def test_every_set_pages(self, get: Get, name: str) -> None:
        """Each entity of a set comes once."""
        found = [
            one["@iot.id"]
            for page in pages(get, f"/{name}", top=150 if name == "Observations" else 9, select="id")
            for one in page["value"]
        ]
        assert len(set(found)) == len(found) == get(f"/{name}", top=0, count="true")["@iot.count"]

    def test_expand_gives_what_links_do(self, get: Get) -> None:
        """With options of their own, and links to the rest."""
        nested = "Datastreams($top=1;$count=true;$expand=Observations($top=2;$orderby=phenomenonTime desc),Sensor)"
        things = get("/Things", expand=f"{nested},Locations", filter="Datastreams/id gt 0")["value"]
        assert len(things) > 1
        for thing in things:
            assert thing["Locations"] == get(f"{thing['@iot.selfLink']}/Locations")["value"]
            (stream,) = thing["Datastreams"]
            assert stream["Sensor"] == get(f"{stream['@iot.selfLink']}/Sensor")
            assert (
                stream["Observations"]
                == get(f"{stream['@iot.selfLink']}/Observations", top=2, orderby="phenomenonTime desc")["value"]
            )
            assert (
                thing["Datastreams@iot.count"]
                == get(f"{thing['@iot.selfLink']}/Datastreams", count="true")["@iot.count"]
            )
            rest = get(thing["Datastreams@iot.nextLink"])["value"]
            assert all(one["@iot.id"] != stream["@iot.id"] for one in rest)

    def test_things_with_what_they_expand_to_take_three_statements(
        self, get: Get, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One for the Things, one for each link, however many Things there are; each has a limit."""
        texts: list[str] = []
        select = Transaction.select

        def noting(tx: Transaction, text: str, given: dict[str, Any]) -> list[Any]:
            texts.append(text)
            return select(tx, text, given)

        monkeypatch.setattr(Transaction, "select", noting)
        assert len(get("/Things", expand="Datastreams,Locations", top=1000)["value"]) > 10
        assert len(texts) == 3
        assert all("LIMIT %(" in text for text in texts)


class TestLimits:
    """What takes too long or is not for everyone."""

    def test_what_takes_too_long_is_refused_with_what_to_add(self, database_url: str) -> None:
        """503, a problem that says what makes it shorter."""
        settings = serving(database_url, api_patience=timedelta(milliseconds=5))
        with served(settings) as url:
            answer = httpx.get(f"{url}/sta/v1.1/Observations", params={"$filter": "Datastream/Thing/name eq 'x'"})
        assert answer.status_code == 503
        assert "Datastreams(1)/Observations" in answer.json()["detail"]
        assert "phenomenonTime" in answer.json()["detail"]

    def test_a_token_is_needed_where_the_hub_has_one(self, database_url: str) -> None:
        """As for the API; with it everything is there, also HEAD."""
        with served(serving(database_url, api_token="secret", http_host="127.0.0.1")) as url:
            answer = httpx.get(f"{url}/sta/v1.1/Things")
            assert (answer.status_code, answer.headers["content-type"]) == (401, MEDIA)
            known = {"Authorization": "Bearer secret"}
            assert httpx.get(f"{url}/sta/v1.1/Things", headers=known).status_code == 200
            assert httpx.head(f"{url}/sta/v1.1", headers=known).status_code == 200

    def test_what_a_client_has_is_not_sent_again(self, client: httpx.Client) -> None:
        """304 while the ETag is the same, of entities, properties and the root."""
        for path in ("", "/Things", "/ObservedProperties(1)", "/Observations?$top=3&$resultFormat=dataArray"):
            first = client.get(path)
            again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
            assert (again.status_code, again.content) == (304, b""), path
            assert client.get(path, headers={"If-None-Match": '"other"'}).content == first.content

    def test_nothing_can_be_changed(self, client: httpx.Client) -> None:
        """Other methods are refused."""
        for method in ("POST", "PATCH", "PUT", "DELETE"):
            assert client.request(method, "/Things(1)").status_code == 405
