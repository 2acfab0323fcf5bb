"""
Filters of any form: no error of the server, no statement without a limit, nothing of a question in the text of one; and
what a filter finds is what the same expression finds in Python.
"""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregates.store.store import Transaction
from hub.web.sta.entities import SETS, EntitySet
from hub.web.sta.filters import FUNCTIONS
from tests.hub.web.sta.conftest import Get
from tests.support.examples import up_to

MARK = "zq9"  # in every text of a question
ODD = "\"'\\%;{}()$\x00\n☃"


def _names(of: EntitySet, depth: int = 2) -> Iterator[str]:
    """The properties of a set, their parts, and those that links lead to."""
    yield "id"
    for name, kind in of.property.items():
        yield from (f"{name}/{part}" for part in kind) if isinstance(kind, dict) else [name]
    for link in of.link if depth else ():
        yield from (f"{link}/{name}" for name in _names(of.linked(link) or of, depth - 1))


def _quoted(text: str) -> str:
    return "'" + MARK + text.replace("'", "''") + "'"


def expressions(of: EntitySet) -> st.SearchStrategy[str]:
    """What the grammar allows, whether it makes sense or not."""
    texts = st.text(alphabet=st.sampled_from(f"abc{ODD}"), max_size=8).map(_quoted)
    numbers = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)).map(str)
    stamps = st.datetimes().map(lambda at: f"{at:%Y-%m-%dT%H:%M:%S}Z")
    dates = st.dates().map(str)
    shapes = st.sampled_from(
        ["POINT(6 53)", "POLYGON((6 53,7 53,7 54,6 53))", "LINESTRING(6 53,7 54)", "POINT EMPTY", "X"]
    )
    leaves = st.one_of(
        st.sampled_from(sorted(set(_names(of)))), texts, numbers, stamps, dates,
        shapes.map(lambda one: f"geography'{one}'"),
        st.sampled_from(["null", "true", "false", "now()", "duration'PT1H'", "duration'P'", "12:00:00", "nothing"]),
    )  # fmt: skip
    operators = st.sampled_from([*OPERATORS, "add", "sub", "mul", "div", "mod", "and", "or", "in"])

    def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        calls = st.sampled_from(sorted(FUNCTIONS)).flatmap(
            lambda name: st.lists(inner, min_size=int(name[-1]), max_size=int(name[-1])).map(
                lambda given: f"{name[:-2]}({', '.join(given)})"
            )
        )
        pairs = st.tuples(inner, operators, inner).map(lambda one: f"({one[0]} {one[1]} {one[2]})")
        return st.one_of(pairs, calls, inner.map(lambda one: f"not ({one})"), inner.map(lambda one: f"-{one}"))

    return st.recursive(leaves, larger, max_leaves=6)


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that are run from now on."""
    found: list[str] = []
    select = Transaction.select

    def noting(tx: Transaction, text: str, given: dict[str, Any]) -> list[Any]:
        found.append(text)
        return select(tx, text, given)

    monkeypatch.setattr(Transaction, "select", noting)
    return found


class TestAnyFilter:
    """Whatever is asked."""

    @settings(max_examples=up_to(50), suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_is_answered_or_refused(self, client: httpx.Client, texts: list[str], data: st.DataObject) -> None:
        """200 or 400, never an error of the server; each statement has a limit and no text of the question."""
        name = data.draw(st.sampled_from(NAMES))
        texts.clear()
        option = data.draw(st.sampled_from(["$filter", "$orderby"]))
        answer = client.get(f"/{name}", params={option: data.draw(EXPRESSIONS[name]), "$top": 3, "$count": "true"})
        assert answer.status_code in (200, 400), answer.text
        assert all("LIMIT %(" in text or text.startswith("SELECT sum(n)") for text in texts)
        assert not any(MARK in text for text in texts)

    @settings(max_examples=up_to(60))
    @given(query=st.text(alphabet=st.sampled_from(f"$abcexpandfilterselecttop=&(),/;'1 {ODD}Things"), max_size=60))
    def test_any_query_is_answered_or_refused(self, client: httpx.Client, query: str) -> None:
        """Also what is no query at all."""
        for given_query in (query, f"$expand={query}", f"$select={query}", f"$expand=Datastreams({query})"):
            answer = client.get("/Things", params=httpx.QueryParams(given_query))
            assert answer.status_code in (200, 400), answer.text

    @settings(max_examples=up_to(40))
    @given(path=st.text(alphabet=st.sampled_from(f"Things()/$refvalueLocations0123456789{ODD}"), max_size=40))
    def test_any_path_is_found_or_not(self, client: httpx.Client, path: str) -> None:
        """Also what is no path at all."""
        answer = client.get(f"/Things{quote(path, safe='()$/')}")
        assert answer.status_code in (200, 204, 404), answer.text


OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "lt": lambda a, b: a < b, "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b,
}  # fmt: skip
BOUNDS = st.integers(5, 60).map(lambda number: number + 0.04)
COMPARED = st.tuples(st.sampled_from(sorted(OPERATORS)), BOUNDS)
NAMES = ("Things", "Datastreams", "Locations", "ObservedProperties")
EXPRESSIONS = {name: expressions(SETS[name]) for name in NAMES}  # made once: Hypothesis repeats what it drew of each


class TestWhatIsFound:
    """A filter means what it says."""

    @settings(max_examples=up_to(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(first=COMPARED, second=COMPARED, both=st.booleans(), negated=st.booleans())
    def test_as_in_python(
        self, get: Get, stream: Callable[..., str], first: tuple[str, float], second: tuple[str, float],
        both: bool, negated: bool,
    ) -> None:  # fmt: skip
        """Comparisons of results, joined and negated, find the Observations that Python does."""
        path = f"{stream('stadspuls/a', '1h')}/Observations"
        known = [one["result"] for one in get(path, filter="result ne null", select="result")["value"]]
        joined = f"result {first[0]} {first[1]} {'and' if both else 'or'} result {second[0]} {second[1]}"
        asked = f"result ne null and {'not ' * negated}({joined})"

        def holds(value: float) -> bool:
            sides = [OPERATORS[name](value, bound) for name, bound in (first, second)]
            return (all(sides) if both else any(sides)) != negated

        found = [one["result"] for one in get(path, filter=asked, select="result")["value"]]
        assert found == [value for value in known if holds(value)]
