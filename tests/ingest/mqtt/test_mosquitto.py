"""What only Mosquitto does: MQTT 5 beside 3.1.1, shares, credentials, TLS, and a memory that survives a kill."""

import subprocess
from pathlib import Path

from ingest.mqtt.address import Address
from ingest.mqtt.receiver import Receiver
from ingest.mqtt.sender import Sender
from tests.support.brokers import NEEDS_MOSQUITTO, Broker, mosquitto
from tests.support.lines import FILTER, Taker, numbers, receiver, send, until

pytestmark = NEEDS_MOSQUITTO


def test_version_5(durable: Broker) -> None:
    """MQTT 5: the session is kept without an expiry, and unacknowledged messages come again."""
    first = Taker(receiver(durable, "?version=5"), acknowledge=False)
    send(durable, 0, 500, "?version=5")
    until(lambda: len(first.taken) == 500)
    first.stop(0)
    second = Taker(receiver(durable, "?version=5"))
    until(lambda: len(second.taken) >= 500)
    assert second.stop()
    assert sorted(second.payloads()) == sorted(numbers(0, 500))


def test_two_receivers_share(durable: Broker) -> None:
    """Two receivers of one group get every message once between them, also one that was not acknowledged."""
    first = [Taker(Receiver(durable.address(), [FILTER], name, "group"), acknowledge=False) for name in "ab"]
    send(durable, 0, 1_000)
    until(lambda: sum(len(taker.taken) for taker in first) == 1_000)
    assert all(taker.taken and not taker.stop(0) for taker in first)
    second = [Taker(Receiver(durable.address(), [FILTER], name, "group")) for name in "ab"]
    until(lambda: sum(len(taker.taken) for taker in second) >= 1_000)
    assert all(taker.stop() for taker in second)
    assert sorted(payload for taker in second for payload in taker.payloads()) == sorted(numbers(0, 1_000))


def test_killed_after_it_saved(durable: Broker, tmp_path: Path) -> None:
    """What Mosquitto confirmed and wrote to disk survives a kill -9 of it, with no receiver there."""
    assert Taker(receiver(durable)).stop()
    send(durable, 0, 2_000)
    durable.save()
    until(lambda: (tmp_path / "mosquitto.db").exists() and (tmp_path / "mosquitto.db").stat().st_size > 2_000 * 20)
    durable.kill()
    durable.start()
    taker = Taker(receiver(durable))
    until(lambda: len(taker.taken) >= 2_000)
    assert taker.stop()
    assert taker.payloads() == numbers(0, 2_000)


def test_killed_while_messages_flow(durable: Broker, tmp_path: Path) -> None:
    """The broker dies with messages on their way: the sender sends them again, and every one arrives."""
    taker = Taker(receiver(durable))
    durable.save()
    until(lambda: (tmp_path / "mosquitto.db").exists() and b"test-0" in (tmp_path / "mosquitto.db").read_bytes())
    with Sender(durable.address()) as sender:
        for number in range(5_000):
            sender.publish("stadspuls/stadspuls/x", b"%d" % number)
            if number == 2_500:
                durable.kill()
                durable.start()
        sender.flush(60)
    until(lambda: set(taker.payloads()) == set(numbers(0, 5_000)))
    assert taker.stop()


def test_credentials(tmp_path: Path) -> None:
    """A wrong password is refused, logged, and tried again; the right one gets in."""
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "hub", "p@ss/word"], check=True, capture_output=True)
    broker = mosquitto(tmp_path, listener=f"password_file {passwords}").start()
    try:
        url = f"127.0.0.1:{broker.port}"
        wrong = Receiver(Address.parse(f"mqtt://hub:wrong@{url}"), [FILTER], "wrong")
        wrong.start()
        assert not wrong.ready.wait(1)
        wrong.stop(0)
        taker = Taker(Receiver(Address.parse(f"mqtt://hub:p%40ss%2Fword@{url}"), [FILTER], "right"))
        assert taker.stop()
    finally:
        broker.stop()


def test_tls(tmp_path: Path) -> None:
    """Through TLS, with our own certificate authority, messages of all sizes arrive in order."""
    _certificate(tmp_path)
    broker = mosquitto(
        tmp_path, listener=f"allow_anonymous true\ncertfile {tmp_path}/cert.pem\nkeyfile {tmp_path}/key.pem"
    ).start()
    try:
        address = Address.parse(f"mqtts://localhost:{broker.port}?ca={tmp_path}/cert.pem")
        taker = Taker(Receiver(address, [FILTER], "tls"))
        sent = [bytes([n % 256]) * (n * 37 % 60_000) for n in range(1_000)]
        with Sender(address) as sender:
            for payload in sent:
                sender.publish("stadspuls/stadspuls/x", payload)
            sender.flush(60)
        until(lambda: len(taker.taken) >= len(sent))
        assert taker.stop()
        assert taker.payloads() == sent
    finally:
        broker.stop()


def _certificate(directory: Path) -> None:
    options = "-newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    command = f"openssl req -x509 {options} -keyout key.pem -out cert.pem"
    subprocess.run(command.split(), cwd=directory, check=True, capture_output=True)
