"""Alerts in the API: lists for all, and what changes something for those with the token alone."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from aggregates.store.store import Store
from streams.alerts.rulebook import Rule
from streams.alerts.store import mirror_rules
from tests.support.alerting import NOON, RULE, cleared, raised, rule
from tests.support.apis import client_of, served, serving
from tests.support.databases import fresh_database

TOKEN = {"Authorization": "Bearer sesame"}


@pytest.fixture
def database_url(postgres: str) -> Iterator[str]:
    """A database with an open and a cleared alert."""
    with fresh_database(postgres) as url:
        rule(url)
        cleared(url, raised(url, "ndw/over"), NOON + timedelta(hours=1))
        raised(url, "ndw/open")
        yield url


@pytest.fixture
def client(database_url: str) -> Iterator[httpx.Client]:
    """A client of a hub that everyone may read, and whose token is sesame."""
    with client_of(serving(database_url, api_token="sesame", public=True)) as made:
        yield made


def items(client: httpx.Client, path: str, **asked: Any) -> list[dict[str, Any]]:
    """Ask for a list."""
    answer = client.get(path, params=asked)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def test_lists(client: httpx.Client) -> None:
    """Open alerts by default, all on demand, in pages from the newest on; the rules that are judged."""
    (only,) = items(client, "/alerts", open=True)
    assert (only["subject"], only["state"], only["rule"], only["value"]) == ("ndw/open", "raised", RULE, 412)
    first = client.get("/alerts", params={"limit": 1}).json()
    second = client.get("/alerts", params={"limit": 1, "cursor": first["next"]}).json()
    assert [one["items"][0]["subject"] for one in (first, second)] == ["ndw/open", "ndw/over"]
    assert [one["rule"] for one in items(client, "/alerts/rules")] == [RULE]
    assert client.get("/alerts", headers={"Accept": "text/csv"}).text.startswith("alert,rule,title")


def test_rules_that_are_gone(database_url: str, client: httpx.Client) -> None:
    """A rule whose file is gone is not listed, but its alerts keep their title; one that comes back is listed again."""
    many = Rule(name="many", title="Many", quantity="bicycle_count", level="1h", raise_at=20)
    back = Rule(name=RULE, title="Rule no2-alert, again", quantity="no2", level="1h", raise_at=400)
    with closing(Store(database_url)) as store:
        for rules, title in (([many], "Rule no2-alert"), ([], "Rule no2-alert"), ([many, back], back.title)):
            mirror_rules(store, {one.name: one for one in rules})
            assert [one["rule"] for one in items(client, "/alerts/rules")] == [one.name for one in rules]
            assert {one["title"] for one in items(client, "/alerts")} == {title}


def test_acknowledge(client: httpx.Client) -> None:
    """With the token somebody acknowledges; without it nobody; what is not open is 404."""
    (only,) = items(client, "/alerts", open=True)
    path = f"/alerts/{only['alert']}/ack"
    assert client.post(path, json={"by": "Anna"}).status_code == 401
    assert client.post(path, json={"by": "Anna"}, headers=TOKEN).status_code == 204
    assert client.post("/alerts/4711/ack", json={"by": "Anna"}, headers=TOKEN).status_code == 404
    assert client.post(path, json={"who": "Anna"}, headers=TOKEN).status_code == 400
    (seen,) = items(client, "/alerts", open=True)
    assert (seen["state"], seen["acknowledged_at"] is not None) == ("acknowledged", True)


def test_silence(client: httpx.Client) -> None:
    """A silence is made, listed and ended with the token; one that cannot be is 400."""
    later = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    said = {"subject": "ndw/*", "to": later, "by": "Anna", "reason": "works"}
    assert client.post("/alerts/silences", json=said).status_code == 401
    made = client.post("/alerts/silences", json=said, headers=TOKEN)
    assert (made.status_code, made.json()) == (201, {"silence": 1})
    (listed,) = items(client, "/alerts/silences")
    assert (listed["rule"], listed["subject"], listed["made_by"], listed["weekly"]) == ("*", "ndw/*", "Anna", [])
    assert [one["state"] for one in items(client, "/alerts")] == ["silenced", "cleared"]
    for wrong in ({"by": "x", "reason": "y"}, {**said, "weekly": ["nightly"]}, {**said, "weekly": ["mon 25:00-26:00"]},
                  {**said, "to": "2020-01-01T00:00:00Z"},
                  {**said, "to": "9999-12-31T23:59:59-10:00"}):  # fmt: skip
        assert client.post("/alerts/silences", json=wrong, headers=TOKEN).status_code == 400
    assert client.delete("/alerts/silences/1", headers=TOKEN).status_code == 204
    assert client.delete("/alerts/silences/1", headers=TOKEN).status_code == 404


def test_hub_without_a_token_lets_nobody_act(database_url: str) -> None:
    """A hub that has no token answers 403, and says which setting is missing."""
    with client_of(serving(database_url)) as client:
        answer = client.post("/alerts/2/ack", json={"by": "Anna"})
        assert (answer.status_code, "api_token" in answer.json()["detail"]) == (403, True)


@pytest.mark.parametrize(("role", "shown"), [("", "true"), ("&options=-crole%3Dstadspuls_reader", "false")])
def test_page_has_buttons_only_where_they_work(database_url: str, role: str, shown: str) -> None:
    """Where the server's role only reads (`serve` in Compose), the live page shows none that would fail."""
    with served(serving(database_url + role)) as address:
        assert f'"may_act":{shown}' in httpx.get(address, timeout=30).text


def test_reader_may_not_act(database_url: str) -> None:
    """Where the server's role only reads (`serve` in Compose), the page knows, and shows no button."""
    for url, expected in ((database_url, True), (f"{database_url}&options=-crole%3Dstadspuls_reader", False)):
        with closing(Store(url)) as store:
            assert store.rows("may_act") == [(expected,)]
