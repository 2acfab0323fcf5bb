"""The distributed hub from end to end: Mosquitto, a real Kafka, Faust workers, killed and started again."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ingest.address import Address
from ingest.sender import Sender
from tests.distributed import DistributedHub, distributed_hub
from tests.test_hub import counts

pytestmark = pytest.mark.kafka


@pytest.fixture
def hub(tmp_path: Path, database: str) -> Iterator[DistributedHub]:
    """A distributed hub that is ready."""
    with distributed_hub(tmp_path, database) as made:
        yield made


def fetched(url: str, query: str) -> list[tuple[object, ...]]:
    """Ask the database."""
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def sender(hub: DistributedHub) -> Sender:
    """Publish to the hub's broker."""
    return Sender(Address.parse(f"mqtt://127.0.0.1:{hub.mqtt_port}"))


class TestLine:
    """From an MQTT message to a row."""

    def test_message_becomes_an_hourly_figure(self, hub: DistributedHub) -> None:
        """Sixty messages of a minute become one valid hour, one sent again counts once, nonsense is a dead letter."""
        with sender(hub) as out:
            for minute in [*range(60), 59]:
                out.publish("stadspuls/stadspuls/bridge", counts(minute, minute))
            out.publish("stadspuls/stadspuls/bridge", b"nonsense")
            out.flush(30)
        hub.settle()
        (hour,) = hub.query("bicycle_count", "2026-03-02", "2026-03-03", "1h", "--sensor=stadspuls/bridge")
        assert (hour["start"], hour["value"], hour["readings"]) == ("2026-03-02T08:00:00Z", sum(range(60)), 60)
        assert hub.metric('stadspuls_readings_total{outcome="duplicate",source="stadspuls"}') == 1
        assert fetched(hub.database, "SELECT payload FROM dead_letter") == [(b"nonsense",)]
        (worker,) = hub.workers
        assert worker.metric("stadspuls_work_readings_total") == 61
        assert worker.metric("stadspuls_work_lag") == 0
