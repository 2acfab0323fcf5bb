"""The OpenAPI document is valid, has every resource, and the API answers any request as documented."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.parameters import ParameterLocation
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import positive_data_acceptance

from hub.web.api.resources import RESOURCES
from tests.support.apis import filled, served, serving
from tests.support.databases import fresh_database
from tests.support.examples import up_to

TOKEN = {"Authorization": "Bearer s3cret"}
# Days that no calendar has, a range that ends before it begins, or a cursor made up: no schema can exclude these.
SANE = {"from": "2024-06-03", "to": "2024-06-05", "window": "1h", "baseTo": "2024-06-04", "area": "GM9901"}
LEFT_OUT: list[Any] = [positive_data_acceptance]


@pytest.fixture(scope="module")
def address(postgres: str) -> Iterator[str]:
    """The address of an API with a token, over a database with something of everything."""
    with (
        fresh_database(postgres) as url,
        filled(url),
        served(serving(url, api_token="s3cret")) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def document(address: str) -> BaseSchema:
    """The document, as schemathesis reads it."""
    return schemathesis.openapi.from_url(f"{address}/api/v1/openapi.json")


@pytest.mark.parametrize(
    ("path", "mode"),
    [(one.path, mode) for one in RESOURCES for mode in GenerationMode] + [("/health", GenerationMode.POSITIVE)],
)
def test_answers_as_documented(document: BaseSchema, path: str, mode: GenerationMode) -> None:
    """No server error; no status, header, form or field that the document does not know; right or wrong input."""

    # The same examples every time: what the tool takes for wrong is not always so, which is no news of the API.
    @settings(max_examples=up_to(15), derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=document[path]["GET"].as_strategy(generation_mode=mode), sane=st.booleans())
    def answers(case: schemathesis.Case[Any], sane: bool) -> None:
        assume(mode is GenerationMode.POSITIVE or _wrong_on_the_wire(case))
        if sane and mode is GenerationMode.POSITIVE and case.query:
            case.query.update({name: value for name, value in SANE.items() if name in case.query})
            case.query.pop("cursor", None)
        assert _as_documented(case)

    answers()


@pytest.mark.parametrize("path", [f"{one.path}/{{key}}" for one in RESOURCES if one.item is not None])
def test_one_answers_as_documented(document: BaseSchema, path: str) -> None:
    """The same of a row by its name: any text may stand there."""

    @settings(max_examples=up_to(15), derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=document[path]["GET"].as_strategy(generation_mode=GenerationMode.POSITIVE))
    def answers(case: schemathesis.Case[Any]) -> None:
        assert _as_documented(case)

    answers()


def _as_documented(case: schemathesis.Case[Any]) -> bool:
    """
    Whether the document has the status of the answer, and that is no error of the server.

    Schemathesis compares headers, form and fields, and raises for what differs.
    """
    answer = case.call_and_validate(headers=TOKEN, excluded_checks=LEFT_OUT, timeout=30)
    return answer.status_code < 500 and str(answer.status_code) in case.operation.definition.raw["responses"]


def _wrong_on_the_wire(case: schemathesis.Case[Any]) -> bool:
    """
    Whether the query is still wrong once it is sent.

    An unknown parameter that is an empty list leaves no trace there, and a word is no other than a list of one word.
    """
    url = requests.Request("GET", "http://hub", params=case.query).prepare().url or ""
    sent = parse_qs(urlsplit(url).query, keep_blank_values=True).keys()
    lists = {one.name for one in case.operation.query if "array" in str(one.definition.get("schema"))}
    single = any(not isinstance(value, list) for name, value in case.query.items() if name in lists)
    wrong = case.meta is not None and case.meta.is_negative_at(ParameterLocation.QUERY)
    return wrong and sent == case.query.keys() and not single
