"""Kafka that asks who comes: encrypted and with passwords, from a collector's record to a worker's row."""

import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from hub.run.parts import topics
from hub.settings.layers import BadSettings, load
from ingest.log.kafka import KafkaLog
from ingest.log.topics import Access, NoAnswer, Topics, ends
from lab.rig.broker import free_port
from lab.rig.kafka import KafkaServer
from lab.rig.service import Service
from tests.ingest.log.test_records import SENSORS, batch, reading
from tests.support.databases import fresh_database
from tests.support.distributed import programs_or_skip
from tests.support.lines import until

_SECURED = """
listeners=SASL_SSL://127.0.0.1:{port},SSL://127.0.0.1:{second},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=SASL_SSL://127.0.0.1:{port},SSL://127.0.0.1:{second}
listener.security.protocol.map=SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=SASL_SSL
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required username="hub" password="secret1";
ssl.keystore.type=PEM
ssl.keystore.location={directory}/server.pem
ssl.truststore.type=PEM
ssl.truststore.location={directory}/both.pem
listener.name.ssl.ssl.client.auth=required
connections.max.idle.ms={silence}
connections.max.reauth.ms={silence}
"""
_SILENCE = 4.0  # s after which it ends connections, those without a request and those that do not log in again


class Secured:
    """A Kafka with a listener for names and passwords, and one for certificates."""

    def __init__(self, directory: Path) -> None:
        for name in ("server", "client"):
            certificate(directory, name)
        (directory / "server.pem").write_bytes(
            (directory / "server.key").read_bytes() + (directory / "server.crt").read_bytes()
        )
        (directory / "both.pem").write_bytes(
            (directory / "server.crt").read_bytes() + (directory / "client.crt").read_bytes()
        )
        port, second, controller = free_port(), free_port(), free_port()
        more = _SECURED.format(port=port, second=second, controller=controller, directory=directory,
                               silence=int(_SILENCE * 1000))  # fmt: skip
        ca = directory / "server.crt"
        self.password = Access(True, "hub", "secret1", ca=ca)
        self.certificate = Access(True, ca=ca, certificate=directory / "client.crt", key=directory / "client.key")
        self.server = KafkaServer(
            directory / "kafka", port, controller, more=more, users={"hub": "secret1"}, access=self.password
        )
        self.ways = {
            "password": (f"127.0.0.1:{port}", self.password),
            "certificate": (f"127.0.0.1:{second}", self.certificate),
        }


def certificate(directory: Path, name: str) -> None:
    """Make a certificate for this machine that signs itself, with its key."""
    options = "-newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
    command = f"openssl req -x509 {options} -keyout {name}.key -out {name}.crt"
    subprocess.run(command.split(), cwd=directory, check=True, capture_output=True)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A secured Kafka that runs."""
    programs_or_skip()
    made = Secured(tmp_path_factory.mktemp("secured"))
    try:
        made.server.start()
        yield made
    finally:
        made.server.kill()


@pytest.mark.kafka
class TestSecuredKafka:
    """What the log's doors do with it."""

    @pytest.mark.parametrize("way", ["password", "certificate"])
    def test_from_record_to_row(self, secured: Secured, way: str, postgres: str, tmp_path: Path) -> None:
        """Topics are made, records produced, and a worker with the settings of a user stores them."""
        servers, access = secured.ways[way]
        topics = Topics(servers, f"{way}-readings", f"{way}-dead-letters", partitions=2, access=access)
        log = KafkaLog(topics)
        log.put(batch([reading(sensor, minute) for sensor in SENSORS for minute in range(5)]), lambda: None)
        assert log.close(60)
        assert sum(ends(topics).values()) > 0
        with fresh_database(postgres) as database:
            worker = Service(["work"], settings(topics, way, database, tmp_path), tmp_path / "work.log")
            try:
                worker.start().wait_ready()
                until(lambda: rows(database) == 5 * len(SENSORS))
            finally:
                worker.kill()

    @pytest.mark.parametrize("way", ["password", "certificate"])
    def test_a_silent_log_goes_on(self, secured: Secured, way: str) -> None:
        """
        What comes after a silence is on the log once, though Kafka has ended the connections of the log meanwhile.

        The event loop of the log's thread stands still between two rounds, so it learns of that only then.
        """
        servers, access = secured.ways[way]
        topics = Topics(servers, f"silent-{way}-readings", f"silent-{way}-dead-letters", partitions=2, access=access)
        log, committed = KafkaLog(topics), list[int]()
        log.put(batch([reading(sensor, 0) for sensor in SENSORS]), lambda: committed.append(0))
        until(lambda: committed == [0])
        time.sleep(1.5 * _SILENCE)
        log.put(batch([reading(sensor, 1) for sensor in SENSORS]), lambda: committed.append(1))
        assert log.close(60)
        assert committed == [0, 1]
        assert sum(ends(topics).values()) == log.records
        assert log.retries == 0

    def test_wrong_password(self, secured: Secured) -> None:
        """A client with a wrong password is refused, and tries again until it is stopped."""
        servers, access = secured.ways["password"]
        with pytest.raises(NoAnswer, match="invalid credentials"):
            ends(Topics(servers, access=replace(access, password="guessed")), 10)

    def test_unknown_certificate(self, secured: Secured) -> None:
        """A Kafka with a certificate that no known authority signed is refused."""
        servers, access = secured.ways["password"]
        with pytest.raises(NoAnswer):
            ends(Topics(servers, access=replace(access, ca=None)), 10)


def settings(topics: Topics, group: str, database: str, directory: Path) -> dict[str, str]:
    """Give the settings of a worker on these topics."""
    access = topics.access
    options = {
        "kafka": topics.servers, "kafka_topic": topics.readings, "kafka_dead_letters": topics.dead_letters,
        "kafka_group": group, "kafka_tls": "true", "kafka_ca": access.ca, "kafka_username": access.username,
        "kafka_password": access.password, "kafka_certificate": access.certificate, "kafka_key": access.key,
        "database": database, "data_dir": directory,
    }  # fmt: skip
    return {key: str(value) for key, value in options.items() if value is not None}


def rows(database: str) -> int:
    """Count the readings."""
    with psycopg.connect(database) as connection:
        ((count,),) = connection.execute("SELECT count(*) FROM reading").fetchall()
    return int(count)


class TestSettings:
    """What is refused before anything is connected."""

    @pytest.mark.parametrize(
        ("flags", "expected"),
        [
            ({"kafka_username": "hub"}, "kafka_username and kafka_password go together"),
            ({"kafka_tls": True, "kafka_certificate": "pyproject.toml"}, "kafka_certificate and kafka_key go together"),
            ({"kafka_ca": "pyproject.toml"}, "expected kafka_tls"),
            ({"kafka_tls": True, "kafka_ca": "nowhere.pem"}, "no file '/.*/nowhere.pem'"),
            ({"kafka_mechanism": "MAGIC"}, "kafka_mechanism: .*'SCRAM-SHA-512'.*, found 'MAGIC'"),
        ],
    )
    def test_refused_at_birth(self, flags: dict[str, object], expected: str) -> None:
        """Half a credential, a certificate without TLS, a file that is not there."""
        with pytest.raises(BadSettings, match=expected):
            load(flags)

    def test_password_is_not_shown(self) -> None:
        """Neither by the settings nor by what is made of them."""
        made = load({"kafka": "kafka:9092", "kafka_username": "hub", "kafka_password": "secret1"})
        assert "secret1" not in repr(made) + repr(topics(made))
        assert topics(made).access.arguments()["security_protocol"] == "SASL_PLAINTEXT"
