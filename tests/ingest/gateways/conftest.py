"""What the tests of gateways share: a made-up country, a broker, and the line between them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.brokers import Broker, built_in
from tests.support.country import Country, country
from tests.support.gatewayline import Line


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker."""
    made = built_in(tmp_path_factory.mktemp("broker")).start()
    yield made
    made.kill()


@pytest.fixture
def sources() -> Iterator[Country]:
    """The country's sources, all of them empty."""
    with country(Country) as made:
        yield made


@pytest.fixture
def line(sources: Country, broker: Broker, tmp_path: Path) -> Iterator[Line]:
    """A line of one's own."""
    made = Line(sources, broker, tmp_path)
    yield made
    made.end()
