"""A SensorThings service over a database with something of everything, and a sensor that has moved."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psycopg
import pytest

from tests.support.apis import filled, served, serving
from tests.support.databases import fresh_database, timescale_url

Get = Callable[..., Any]
MOVED = "2024-06-04 00:00+00"  # when stadspuls/b did


@pytest.fixture(scope="module", params=["postgres", pytest.param("timescale", marks=pytest.mark.timescale)])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A filled database, on the embedded PostgreSQL and on a TimescaleDB where one is named."""
    server = request.getfixturevalue("postgres") if request.param == "postgres" else timescale_url()
    with fresh_database(server) as url, filled(url):
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE sensor SET lon = 6.1 WHERE sensor_id = 'stadspuls/b'")
            connection.execute("UPDATE sensor_place SET since = %s WHERE lon = 6.1", (MOVED,))
        yield url


@pytest.fixture(scope="module")
def address(database_url: str) -> Iterator[str]:
    """The address of the hub."""
    with served(serving(database_url)) as url:
        yield url


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[httpx.Client]:
    """A client of the service."""
    with httpx.Client(base_url=f"{address}/sta/v1.1", timeout=60) as made:
        yield made


@pytest.fixture(scope="module")
def get(client: httpx.Client) -> Get:
    """Ask, and give what is answered; `status` is what is expected."""

    def ask(path: str, status: int = 200, **options: object) -> Any:
        # A path may be an address that was answered.
        answer = client.get(path, params={f"${name}": str(value) for name, value in options.items()} or None)
        assert answer.status_code == status, answer.text
        return answer.json()

    return ask


@pytest.fixture(scope="module")
def stream(get: Get) -> Callable[..., str]:
    """The path of the Datastream of a sensor or an area at a level."""

    def find(of: str, level: str, channel: str = "", quantity: str = "no2") -> str:
        (found,) = get(
            "/Datastreams",
            filter=f"(properties/sensor_id eq '{of}' or Thing/properties/code eq '{of}')"
            f" and properties/level eq '{level}' and properties/channel eq '{channel}'"
            f" and ObservedProperty/name eq '{quantity}'",
        )["value"]
        return f"/Datastreams({found['@iot.id']})"

    return find
