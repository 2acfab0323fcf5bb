"""The distributed hub from end to end: Mosquitto, a real Kafka, Faust workers, killed and started again."""

import os
import random
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from aggregates.store.store import Store
from ingest.formats.decode import decode
from ingest.mqtt.address import Address
from ingest.mqtt.sender import Sender
from ingest.mqtt.slots import lost_slots
from ingest.vocabulary.readings import Message
from lab.load.balances import balances
from lab.rig.chain import supervised
from lab.rig.database import DatabaseServer
from lab.rig.kafka import KafkaServer
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up
from tests.hub.run.test_hub import TestAlerts as EmbeddedAlerts
from tests.hub.run.test_hub import TestRealInput as EmbeddedRealInput
from tests.hub.run.test_hub import TestScenarios as EmbeddedScenarios
from tests.hub.run.test_hub import counts
from tests.support.databases import TIMESCALE, differences, fresh_database
from tests.support.distributed import DistributedHub, distributed_hub
from tests.support.hubs import Asked
from tests.support.lines import until
from tests.support.receivers import Hook

pytestmark = pytest.mark.kafka


@pytest.fixture
def database(postgres: str) -> Iterator[str]:
    """The URL of an empty database: on TimescaleDB, as a distributed hub has it, else on the embedded PostgreSQL."""
    with fresh_database(os.environ.get(TIMESCALE) or postgres) as url:
        yield url


@pytest.fixture
def hub(tmp_path: Path, database: str, kafka: KafkaServer) -> Iterator[DistributedHub]:
    """A distributed hub that is ready."""
    with distributed_hub(tmp_path, database, kafka) as made:
        yield made


def fetched(url: str, query: str) -> list[tuple[object, ...]]:
    """Ask the database."""
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def change(url: str, statement: str) -> None:
    """Change the database under a hub that runs."""
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode())


def outcome(hub: DistributedHub) -> tuple[int, int, int, int]:
    """Give what was received, stored, duplicate and rejected, which must balance."""
    with closing(Store(hub.database)) as store:
        (balance,) = balances(store)
    assert balance.holds
    return balance.received, balance.stored, balance.duplicate, balance.rejected


def sender(hub: DistributedHub) -> Sender:
    """Publish to the hub's broker."""
    return Sender(Address.parse(f"mqtt://127.0.0.1:{hub.mqtt_port}"))


class TestScenarios(EmbeddedScenarios):
    """The scenarios of the embedded hub."""

    def test_message_becomes_an_hourly_figure(self, hub: Asked) -> None:
        """As there; and the worker counts what it stored."""
        super().test_message_becomes_an_hourly_figure(hub)
        assert isinstance(hub, DistributedHub)
        (worker,) = hub.workers
        until(lambda: worker.metric("stadspuls_work_readings_total") == 61)
        until(lambda: worker.metric("stadspuls_work_lag") == 0)


class TestDoctor:
    """What the doctor sees of the chain between broker and database."""

    def test_what_waits_and_what_is_lost(self, hub: DistributedHub) -> None:
        """Well: exit 0. Records that wait, no worker, a killed collector and a log that is not the one are told."""
        well = hub.command("doctor")
        assert well.returncode == 0, well.stdout
        assert "0 records wait" in well.stdout
        assert "1, no slot lost" in well.stdout
        hub.workers[0].kill()
        with sender(hub) as out:
            out.publish("stadspuls/stadspuls/bridge", counts(0, 7))
            out.flush()
        until(lambda: "1 records wait" in hub.command("doctor").stdout)
        hub.collectors[0].kill()
        change(hub.database, f"INSERT INTO log_position VALUES ('{hub.topics.readings}', 0, 1000000) "
                             "ON CONFLICT (topic, partition) DO UPDATE SET position = 1000000")  # fmt: skip
        until(lambda: "none: what waits is not stored" in hub.command("doctor").stdout)  # Kafka waits 10 s for it
        ill = hub.command("doctor")
        assert ill.returncode == 1
        bad = [line for line in ill.stdout.splitlines() if "BAD" in line]
        assert any("collect --drain 0" in line for line in bad), ill.stdout
        assert any("what waits is not stored" in line for line in bad), ill.stdout
        assert any("1 records wait" in line for line in bad), ill.stdout
        assert any("readings/0" in line for line in bad), ill.stdout


class TestReady:
    """What a service says of itself while another is away (promise 6)."""

    def test_who_waits_for_kafka_or_the_broker_names_it(self, hub: DistributedHub) -> None:
        """Within a minute collector and worker are not ready, for a reason; once it is back they are ready again."""
        (collector,), (worker,) = hub.collectors, hub.workers
        hub.kafka.kill()
        with sender(hub) as out:
            out.publish("stadspuls/stadspuls/bridge", counts(0, 7))
            out.flush(30)
        for service in (collector, worker):
            until(lambda service=service: any("kafka: " in text for text in service.health()["trouble"]))  # type: ignore[misc]
            assert not service.ready
        hub.kafka.start()
        until(lambda: collector.ready and worker.ready)
        hub.settle()
        assert fetched(hub.database, "SELECT count(*) FROM reading") == [(1,)]
        hub.broker.kill()
        until(lambda: not collector.ready)
        assert collector.health()["trouble"] == [f"broker: mqtt://127.0.0.1:{hub.mqtt_port} does not answer"]


class TestPoison:
    """Promise 6, where it is the database that will not take a reading."""

    def test_refused_readings_become_dead_letters(self, hub: DistributedHub) -> None:
        """
        Readings that the database will never take become dead letters, the rest of their record and the line go on.

        Once it takes them a replay brings them back.
        """
        readings = [counts(minute, minute % 29) for minute in range(600)]
        unlucky = sum(minute % 29 == 13 for minute in range(600))
        change(hub.database, "ALTER TABLE reading ADD CONSTRAINT unlucky CHECK (value <> 13)")
        with sender(hub) as out:
            out.publish("stadspuls/stadspuls/bridge", b"[%s]" % b",".join(readings[:580]))
            out.flush(30)
            hub.settle()
            publish(out, [("stadspuls/stadspuls/bridge", one) for one in readings[580:]])
        hub.settle()
        assert outcome(hub) == (600, 600 - unlucky, 0, unlucky)
        letters = "SELECT count(*) FROM dead_letter WHERE strpos(encode(payload, 'escape'), '\"value\":13.0') > 0"
        assert fetched(hub.database, f"{letters} AND reason LIKE '%unlucky%'") == [(unlucky,)]
        assert all(worker.metric("stadspuls_work_lag") == 0 for worker in hub.workers)
        change(hub.database, "ALTER TABLE reading DROP CONSTRAINT unlucky")
        hub.run("dead-letters", "replay")
        hub.settle()
        assert fetched(hub.database, "SELECT count(*) FROM reading") == [(600,)]
        assert hub.reconcile("2026-03-01", "2026-03-08") > 0


class TestKilled:
    """Promises 1, 2 and 5 under kill -9 of everything."""

    @pytest.mark.long
    def test_everything_killed(self, tmp_path: Path, killable: DatabaseServer, postgres: str) -> None:
        """
        Numbered readings while collector, worker, Kafka and database are killed in turn.

        Every one is stored once, the windows are those of one quiet run, and reconcile finds nothing.
        """
        said = [("stadspuls/stadspuls/bridge", counts(minute, minute % 11)) for minute in range(4000)]
        said += [
            ("stadspuls/stadspuls/gate", counts(minute, minute % 7).replace(b"bridge", b"gate"))
            for minute in range(2000)
        ]
        with (
            fresh_database(killable.conninfo) as database,
            distributed_hub(tmp_path, database, collectors=2, workers=2) as hub,
            supervised(hub) as restarted,
        ):
            self.publish_and_kill(hub, killable, said)
            hub.settle()
            check(hub, postgres, said)
            assert len(restarted) >= 4

    def publish_and_kill(self, hub: DistributedHub, server: DatabaseServer, said: list[tuple[str, bytes]]) -> None:
        """Publish in parts, and kill one thing after each."""
        kills = [
            hub.workers[0].kill, hub.collectors[0].kill, hub.kafka.kill, server.kill, hub.collectors[1].kill,
            hub.workers[1].kill,
        ]  # fmt: skip
        random.Random(5).shuffle(kills)
        part = len(said) // len(kills)
        with sender(hub) as out:
            for number, end in enumerate(kills):
                for topic, payload in said[number * part : (number + 1) * part]:
                    out.publish(topic, payload)
                time.sleep(0.5)
                end()
                time.sleep(1.0)
                if hub.kafka.pid is None:
                    hub.kafka.start()
                server.start()
            out.flush(60)


def check(hub: DistributedHub, postgres: str, said: list[tuple[str, bytes]]) -> None:
    """Compare with one quiet run."""
    with fresh_database(postgres) as quiet, closing(Store(quiet)) as store:
        now = datetime.now(UTC)
        Pipeline(store).store(decode([Message(topic, payload, now) for topic, payload in said]))
        roll_up(store, now)
        assert differences(hub.database, quiet) == []
    with closing(Store(hub.database)) as store:
        (balance,) = balances(store)
    assert balance.stored == len(said)
    assert balance.holds
    assert hub.reconcile("2026-03-01", "2026-03-08") > 0


class TestScaling:
    """Services come and go while data flow."""

    def test_workers_and_collectors_come_and_go(
        self, tmp_path: Path, database: str, postgres: str, kafka: KafkaServer
    ) -> None:
        """Workers join and leave, one of two collectors stops for good, a lost slot is drained: no figure changes."""
        said = numbered(6000)
        with distributed_hub(tmp_path, database, kafka, collectors=2) as hub:
            with sender(hub) as out:
                publish(out, said[:1500])
                joining = hub.service("work").start().wait_ready()
                publish(out, said[1500:3000])
                assert hub.collectors[1].stop() == 0
                assert lost_slots(tmp_path / "slots") == []
                publish(out, said[3000:4500])
                assert joining.stop() == 0
                again = hub.service("collect").start().wait_ready()
                slot = again.health()["slot"]
                again.kill()
                publish(out, said[4500:])
                assert lost_slots(tmp_path / "slots") == [slot]
                hub.run("collect", f"--drain={slot}")
                assert lost_slots(tmp_path / "slots") == []
            hub.settle()
            check(hub, postgres, said)

    def test_last_collector_keeps_its_session(
        self, tmp_path: Path, database: str, postgres: str, kafka: KafkaServer
    ) -> None:
        """What is published while the only collector is restarted waits for it; draining it is refused."""
        said = numbered(600)
        with distributed_hub(tmp_path, database, kafka) as hub, sender(hub) as out:
            (collector,) = hub.collectors
            assert collector.stop() == 0
            publish(out, said)
            hub.run("collect", "--drain=0", code=3)
            collector.start().wait_ready()
            hub.settle()
            check(hub, postgres, said)

    def test_second_rollup_takes_over(self, tmp_path: Path, database: str, kafka: KafkaServer) -> None:
        """Of two roll-ups one works; when it is killed the other one does."""
        with distributed_hub(tmp_path, database, kafka) as hub:
            second = hub.service("rollup").start().wait_ready()
            assert (hub.rollup.metric("stadspuls_rollup_leads"), second.metric("stadspuls_rollup_leads")) == (1, 0)
            hub.rollup.kill()
            until(lambda: second.metric("stadspuls_rollup_leads") == 1)
            until(lambda: second.metric("stadspuls_rollup_turn_seconds_count") > 0)
            with sender(hub) as out:
                publish(out, numbered(60))
            until(lambda: fetched(database, "SELECT count(*) FROM window_1h") == [(1,)])


@pytest.mark.slow
class TestRealInput(EmbeddedRealInput):
    """The recorded minute of the whole country and a month of air, by the scenarios of the embedded hub."""

    @pytest.fixture
    def hub(self, tmp_path: Path, database: str, kafka: KafkaServer) -> Iterator[DistributedHub]:
        """A distributed hub in the place of the embedded one."""
        with distributed_hub(tmp_path, database, kafka, workers=2) as made:
            yield made


class TestAlerts(EmbeddedAlerts):
    """The scenario of the embedded hub: 5 minutes judged by a worker, hours by the roll-up, which tells of both."""

    @pytest.fixture
    def hub(self, hook: Hook, tmp_path: Path, database: str, kafka: KafkaServer) -> Iterator[DistributedHub]:
        """A distributed hub in the place of the embedded one."""
        with distributed_hub(tmp_path, database, kafka, workers=2) as made:
            yield made


def numbered(count: int) -> list[tuple[str, bytes]]:
    """Make messages, one minute after the other."""
    return [("stadspuls/stadspuls/bridge", counts(minute, minute % 11)) for minute in range(count)]


def publish(out: Sender, said: list[tuple[str, bytes]]) -> None:
    """Publish messages and wait until the broker has them."""
    for topic, payload in said:
        out.publish(topic, payload)
    out.flush(60)
