"""The catalogue: both forms say the same, datasets have what DCAT-AP-NL demands; and publiccode.yml is whole."""

from collections.abc import Iterator

import httpx
import psycopg
import pyshacl
import pytest
import yaml
from rdflib import DCAT, DCTERMS, RDF, Graph
from rdflib.compare import isomorphic

from tests.conftest import ROOT
from tests.support.apis import client_of, filled, serving
from tests.support.databases import fresh_database

RELEASE = (
    '{"title": "Bicycles", "from": "2024-06-01", "to": "2024-07-01", "licence": "CC BY 4.0, by Zeestad",'
    ' "files": [], "citation": "Zeestad (2024). Bicycles.", "validity": {"quantities": {"no2": {}}}}'
)
SHAPES = ROOT / "tests" / "cases" / "dcat" / "shapes.ttl"


@pytest.fixture(scope="module")
def client(postgres: str) -> Iterator[httpx.Client]:
    """A client of an API over something of everything."""
    with fresh_database(postgres) as url, filled(url), client_of(serving(url)) as made:
        with psycopg.connect(url) as connection:
            connection.execute("INSERT INTO release (name, as_of, manifest) VALUES ('june', now(), %s)", [RELEASE])
        yield made


@pytest.fixture(scope="module")
def graph(client: httpx.Client) -> Graph:
    """The catalogue, read from its Turtle."""
    answer = client.get("/catalog", headers={"Accept": "text/turtle"})
    assert answer.headers["content-type"].startswith("text/turtle")
    return Graph().parse(data=answer.text, format="turtle")


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated")  # which rdflib's own reader of JSON-LD uses
def test_both_forms_say_the_same(client: httpx.Client, graph: Graph) -> None:
    """JSON-LD, which is the default, and Turtle are one graph."""
    answer = client.get("/catalog")
    assert answer.headers["content-type"].startswith("application/ld+json")
    assert isomorphic(Graph().parse(data=answer.text, format="json-ld"), graph)


def test_datasets(graph: Graph) -> None:
    """There is one of each source, vintage and release, with its licence and the time that it covers."""
    found = {str(graph.value(one, DCTERMS.identifier)): one for one in graph.subjects(RDF.type, DCAT.Dataset)}
    assert set(found) == {"stadspuls", "cbs-2024", "release-june", "release-2024", "release-2025"}
    assert str(graph.value(found["release-june"], DCTERMS.description)) == "Zeestad (2024). Bicycles."
    theme = graph.value(found["release-june"], DCAT.theme)
    assert str(theme) == "http://publications.europa.eu/resource/authority/data-theme/ENVI"
    terms = graph.value(graph.value(found["release-june"], DCAT.distribution), DCTERMS.license)
    assert str(terms) == "https://creativecommons.org/licenses/by/4.0/"
    period = graph.value(found["stadspuls"], DCTERMS.temporal)
    assert str(graph.value(period, DCAT.startDate)) == "2024-06-03T00:00:00+00:00"
    assert str(graph.value(period, DCAT.endDate)) == "2024-06-05T00:00:00+00:00"
    distribution = graph.value(found["cbs-2024"], DCAT.distribution)
    assert str(graph.value(distribution, DCTERMS.license)) == "https://creativecommons.org/licenses/by/4.0/"


def test_every_distribution_can_be_had(client: httpx.Client, graph: Graph) -> None:
    """Its address answers in its form, of a source with figures of the newest day."""
    distributions = list(graph.subjects(RDF.type, DCAT.Distribution))
    assert len(distributions) > 2
    for one in distributions:
        answer = client.get(str(graph.value(one, DCAT.accessURL)))
        assert answer.status_code == 200, answer.text
        assert str(graph.value(one, DCAT.mediaType)).endswith("/" + answer.headers["content-type"].split(";")[0])
        assert "source=" not in str(answer.url) or len(answer.content) > 200


def test_has_what_dcat_ap_nl_demands(graph: Graph) -> None:
    """The shapes of the mandatory properties hold; without one of them they do not."""
    shapes = Graph().parse(SHAPES)
    conforms, _, text = pyshacl.validate(graph, shacl_graph=shapes)
    assert conforms, text
    lacking = Graph() + graph
    lacking.remove((None, DCTERMS.title, None))
    assert not pyshacl.validate(lacking, shacl_graph=shapes)[0]


def test_publiccode_is_whole() -> None:
    """The file that describes the software has the keys that its standard demands."""
    said = yaml.safe_load((ROOT / "publiccode.yml").read_text("utf-8"))
    needed = "publiccodeYmlVersion name url platforms developmentStatus softwareType description legal maintenance"
    assert {*needed.split(), "localisation"} <= said.keys()
    assert said["legal"]["license"] == "Apache-2.0"
    for language in said["localisation"]["availableLanguages"]:
        about = said["description"][language]
        assert len(about["shortDescription"]) <= 150
        assert 150 <= len(about["longDescription"]) <= 10_000
