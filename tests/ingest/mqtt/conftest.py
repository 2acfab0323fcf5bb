"""A Mosquitto for the tests of what only it does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.brokers import Broker, mosquitto


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[Broker]:
    """A Mosquitto with persistence, running."""
    made = mosquitto(tmp_path).start()
    yield made
    made.stop()
