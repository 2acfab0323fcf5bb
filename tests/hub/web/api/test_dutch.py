"""Errors in the language of whoever asks: Dutch where the request prefers it, else English."""

import re
from collections.abc import Iterator

import httpx
import pytest

from hub.web.api.problems import MEDIA, in_dutch
from ingest.vocabulary.values import shipped_toml
from tests.conftest import ROOT
from tests.support.apis import filled, served, serving
from tests.support.databases import fresh_database

DUTCH = shipped_toml(str(ROOT / "hub/web/api/problems.py"), "dutch.toml")
DAY = "window=1h&from=2024-06-03&to=2024-06-04"
# Each path with its status, and what the problem says in Dutch.
KINDS = [
    ("/api/v1/nothing", 404, "niets op /api/v1/nothing, zie openapi.json daarnaast voor wat er is"),
    ("/api/v1/sensors?colour=red", 400, "colour: zo'n parameter is er hier niet"),
    ("/api/v1/aggregates?window=1h&from=2024-06-03", 400, "to: deze parameter is verplicht"),
    ("/api/v1/sensors?limit=many", 400, "limit: verwacht een geheel getal"),
    ("/api/v1/sensors?limit=0", 400, "limit: verwacht minstens 1"),
    ("/api/v1/sensors?limit=99999999", 400, "limit: 99999999, verwacht hoogstens 10000 in deze vorm"),
    (f"/api/v1/aggregates?{DAY}&asOf=2001-01-01", 400, "asOf: naar de stand van 2000-12-31T23:00:00+00:00, "),
    ("/api/v1/sensors?count=perhaps", 400, "count: verwacht true of false"),
    ("/api/v1/sensors?format=pdf", 400, "format: verwacht 'json', 'geojson'"),
    ("/api/v1/sensors?format=arrow&cursor=x", 400, "cursor: verwacht `next` van de vorige bladzijde, van deze lijst"),
    ("/api/v1/sensors?cursor=%20", 400, "cursor: verwacht een tekst volgens het patroon"),
    ("/api/v1/sensors?source=", 400, "source: verwacht minstens 1 teken"),
    ("/api/v1/sensors?bbox=1,2,3", 400, "bbox: verwacht west,zuid,oost,noord, van elk paar de kleinste eerst"),
    ("/api/v1/sensors/stadspuls%2Fnone", 404, "/sensors: niets met sensor_id 'stadspuls/none'"),
    (f"/api/v1/aggregates?quantity=colour&{DAY}", 400, "quantity: 'colour' gevonden, verwacht een van"),
    (f"/api/v1/area-aggregates?quantity=no2&area=x&{DAY}", 400, "area: 'x' gevonden, verwacht een code als GM0014"),
    ("/api/v1/aggregates?window=1h&from=soon&to=2024-06-04", 400, "from: verwacht een datum of tijdstip in de jaren"),
    ("/api/v1/aggregates?window=1h&from=2024-06-04&to=2024-06-03", 400, " is na to, "),
    ("/api/v1/aggregates?window=1h&from=2020-06-03&to=2024-06-03", 400, "dagen voor to, verwacht hoogstens 400 dagen"),
    ("/api/v1/limits?quantity=noise&year=2024", 400, "quantity: grenswaarden van 'noise', verwacht een van"),
    ("/api/v1/dead-letters", 403, "dit vraagt een token, en de hub heeft er geen: stel api_token in"),
    ("/ogc/collections/none", 404, "geen verzameling 'none', zie collections voor welke er zijn"),
    ("/ogc/collections/sensors/items/none", 404, "geen object 'none' in sensors"),
    ("/ogc/collections/sensors/items?window=1h", 400, "window: deze verzameling heeft zo'n parameter niet"),
    ("/sta/v1.1/Nothing", 404, "niets op Nothing, verwacht een van Things"),
    ("/sta/v1.1/Things(99)", 404, "zo'n Thing is er niet"),
    ("/sta/v1.1/Things?$select=colour", 400, "$select: 'colour', verwacht een van"),
    ("/sta/v1.1/Things?$filter=colour%20eq%201", 400, "$filter: 'colour/', verwacht een van"),
    ("/sta/v1.1/Things?$top=99999", 400, "$top: verwacht hoogstens 10000"),
    ("/sta/v1.1/Things?$filter=paint(name)%20eq%201", 400, "$filter: paint van 1, verwacht een van"),
]  # fmt: skip


@pytest.fixture(scope="module")
def client(postgres: str) -> Iterator[httpx.Client]:
    """Give a client of a whole hub, whose browser prefers Dutch."""
    headers = {"Accept-Language": "nl-NL, en;q=0.5"}
    with (
        fresh_database(postgres) as database, filled(database), served(serving(database)) as url,
        httpx.Client(base_url=url, timeout=60, headers=headers) as made,
    ):  # fmt: skip
        yield made


@pytest.mark.parametrize(("path", "status", "said"), KINDS)
def test_each_kind_is_told_in_dutch(client: httpx.Client, path: str, status: int, said: str) -> None:
    """Title, detail and each of the errors are Dutch, and the answer says so."""
    answer = client.get(path)
    found = answer.json()
    assert (answer.status_code, answer.headers["content-type"], answer.headers["content-language"]) == (
        status, MEDIA, "nl",
    )  # fmt: skip
    assert found["title"] == DUTCH["title"][str(status)]
    assert said in found["detail"]
    assert all(f"{one['name']}: {one['detail']}" in found["detail"] for one in found.get("errors", []))
    assert "Accept-Language" in answer.headers["vary"]


@pytest.mark.parametrize("header", ["en", "de, en;q=0.5, nl;q=0.1", "fr", ""])
def test_english_is_what_others_get(client: httpx.Client, header: str) -> None:
    """English where the request does not prefer Dutch to it."""
    answer = client.get("/api/v1/sensors?colour=red", headers={"Accept-Language": header})
    found = answer.json()
    assert (found["title"], found["detail"]) == ("Bad Request", "colour: no such parameter here")
    assert answer.headers["content-language"] == "en"


def test_token_is_asked_for_in_dutch(postgres: str) -> None:
    """Who may not read hears it in Dutch too, before anything else is looked at."""
    with served(serving(postgres, api_token="a-secret-of-this-hub")) as url:
        answer = httpx.get(f"{url}/ogc/", headers={"Accept-Language": "nl"})
    assert (answer.status_code, answer.json()["title"]) == (401, "Niet aangemeld")
    assert answer.json()["detail"] == "verwacht Authorization: Bearer met het token van deze hub"


def test_what_has_no_translation_stays_english() -> None:
    """A text that the table does not have is left as it is, braces too."""
    assert in_dutch("an {odd} text") == "an {odd} text"
    assert in_dutch("no collection '{x}', see collections for those there are").startswith("geen verzameling '{x}', ")
    long = f"no collection '{'x' * 3_000}', see collections for those there are"
    assert in_dutch(long) == long  # to look for its parts would take long


def test_every_translation_is_of_a_text_that_is_said() -> None:
    """The longest part of each English text stands in the code, or is pydantic's and asked for above."""
    paths = [*(ROOT / "hub/web").rglob("*.py"), *(ROOT / "aggregates/ask").glob("*.py")]
    said = "\n".join(one.read_text("utf-8") for one in [*paths, ROOT / "hub/web/sta/entities.toml"])
    pydantic = re.compile("input should|field required|string should")
    for text in DUTCH["detail"]:
        part = max(re.split(r"\{\w+\}|(?=: )", text), key=len)
        assert pydantic.match(text) or part in said, f"nothing says {text!r}"
