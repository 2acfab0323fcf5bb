"""What `deploy/` and docker-compose.yml promise: no default secret, no open door, and roles that can do their work."""

import os
import re
import secrets
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import threading
import tomllib
import zipfile
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copy, copytree, ignore_patterns
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import pytest
import typer.main
import yaml
from psycopg import errors, sql

from aggregates.ask.query import Question, ask
from aggregates.store.health import state
from aggregates.store.migrate import Edition, migrate
from aggregates.store.store import Store
from hub.cli.common import health
from hub.servers.postgres import _programs
from hub.settings.layers import load
from hub.settings.settings import Settings
from hub.web.http import application, listening
from hub.web.metrics import ServiceCollector
from ingest.mqtt.address import Address
from ingest.mqtt.client import refusal
from ingest.mqtt.receiver import Receiver
from ingest.mqtt.sender import Sender
from ingest.vocabulary.batch import Batch, DeadLetter, columns
from ingest.vocabulary.readings import Reading
from lab.rig.database import KillablePostgres, running_database
from streams.commit.pipeline import Pipeline
from streams.rollup.reconcile import reconcile
from streams.rollup.retention import maintain
from streams.rollup.rollup import roll_up
from tests.conftest import ROOT
from tests.support.brokers import MOSQUITTO, Broker, free_port
from tests.support.commands import app
from tests.support.databases import ZONE, timescale_url
from tests.support.lines import FILTER, Taker, until

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
HUB = sorted(name for name, service in SERVICES.items() if service["image"].startswith("stadspuls:"))
DIGEST = r"(@sha256:[0-9a-f]{64})?"
ONE_SHOT = {"migrate"}
PUBLISHED = {"mosquitto": "8883", "serve": "8080", "grafana": "3000"}
_VARIABLE = re.compile(r"\$\{(\w+)(:[?-])?([^}]*)\}")


def variables() -> dict[str, set[str]]:
    """Give what docker-compose.yml takes from the environment, each with its operators: `:?`, `:-` or none."""
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    found: dict[str, set[str]] = {}
    for name, operator, _ in _VARIABLE.findall(text):
        found.setdefault(name, set()).add(operator)
    return found


def make_secrets(file: Path) -> dict[str, str]:
    """Run `make secrets` for a file, and give what is in it."""
    subprocess.run(["make", "-C", str(ROOT), "secrets", f"ENV={file}"], check=True, capture_output=True)
    return dict(line.split("=", 1) for line in file.read_text("utf-8").splitlines())


@pytest.mark.parametrize("name", sorted(SERVICES))
class TestService:
    """Every service of docker-compose.yml."""

    def test_is_watched_and_restarted(self, name: str) -> None:
        """A service has a health check and comes back by itself; the one that runs once is tried again."""
        service = SERVICES[name]
        assert (name in ONE_SHOT) != ("healthcheck" in service)
        assert service["restart"] == ("on-failure:5" if name in ONE_SHOT else "unless-stopped")

    def test_is_confined(self, name: str) -> None:
        """It runs as somebody, in so much memory, without capabilities, and writes to volumes and memory alone."""
        service = SERVICES[name]
        assert str(service["user"]).split(":")[0] not in ("", "0", "root")
        assert service["mem_limit"]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert service["logging"]["options"]["max-size"]

    def test_is_pinned(self, name: str) -> None:
        """Its image names a whole version."""
        assert re.search(r":\d+\.\d+\.\d+(-\w+)?$", SERVICES[name]["image"])

    def test_can_be_scaled(self, name: str) -> None:
        """It has no name of its own, and a port of this machine only where people or sensors come in."""
        service = SERVICES[name]
        assert "container_name" not in service
        if name not in PUBLISHED:
            assert "ports" not in service
            return
        (port,) = service["ports"]
        assert port.startswith("${STADSPULS_PUBLISH_ADDRESS:-127.0.0.1}:")
        assert port.endswith(f":{PUBLISHED[name]}")

    def test_knows_its_settings(self, name: str) -> None:
        """A service of the hub is a command, and every setting it is given exists."""
        if name not in HUB:
            return
        service = SERVICES[name]
        assert service["command"][0] == name
        assert name in typer.main.get_command(app).commands  # type: ignore[attr-defined]
        given = [key for key in service["environment"] if key.startswith("STADSPULS_")]
        assert given
        assert not {key.removeprefix("STADSPULS_").lower() for key in given} - set(Settings.model_fields)

    def test_takes_every_setting(self, name: str) -> None:
        """What docker-compose.yml does not name comes from a file of one's own, with the folder that it stands in."""
        if name not in HUB:
            return
        service = SERVICES[name]
        assert {"path": "deploy/settings/settings.env", "required": False} in service["env_file"]
        assert "./deploy/settings:/settings:ro" in service["volumes"]


def test_no_password_on_a_command_line() -> None:
    """What a service runs to start or to check itself shows no password to who lists the processes."""
    commands = [f"{one.get('command')} {one.get('healthcheck')}" for one in SERVICES.values()]
    scripts = [path.read_text("utf-8") for path in (ROOT / "deploy").rglob("*.sh")]
    assert not [text for text in commands + scripts if re.search(r"\s(-P|--pw|--password)[ =]\S*\$.*PASSWORD", text)]


def test_example_of_further_settings_exists() -> None:
    """Every key of the example is a setting, which docker-compose.yml would not overrule."""
    lines = (ROOT / "deploy" / "settings" / "settings.example.env").read_text("utf-8").splitlines()
    keys = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    assert {key.removeprefix("STADSPULS_").lower() for key in keys} < set(Settings.model_fields)
    assert not keys & {key for name in HUB for key in SERVICES[name]["environment"]}


def test_readers_leave_connections_to_the_writers() -> None:
    """The database takes more connections than all readers may have: the image's own limit is 25 with 2 GB."""
    (limit,) = re.findall(r"stadspuls_reader CONNECTION LIMIT (\d+)", (ROOT / "deploy/timescale/roles.sql").read_text())
    (most,) = (
        one.partition("=")[2] for one in SERVICES["timescaledb"]["command"] if one.startswith("max_connections=")
    )
    grafana = yaml.safe_load((ROOT / "deploy/grafana/datasource.yaml").read_text("utf-8"))["datasources"][0]["jsonData"]
    assert int(most) >= int(limit) + 40  # workers, roll-up, notifier, commands, TimescaleDB's jobs, a superuser
    assert int(limit) >= 2 * load().api_connections + 6 + grafana["maxOpenConns"]


@pytest.mark.parametrize("ready", [True, False])
def test_health_checks_ask_past_a_proxy(ready: bool) -> None:
    """Docker gives its proxy to every container; a check that asked there would call a service ill that is well."""
    app = application(ServiceCollector({}), lambda: {"ready": ready})
    checks = {SERVICES[name]["healthcheck"]["test"][-1] for name in HUB if "healthcheck" in SERVICES[name]}
    assert len(checks) == 2
    with listening(app, "127.0.0.1", 0) as address:
        for check in checks:
            code = re.sub(r"http://[\d.:]+", address, check)
            environment = {**os.environ, "http_proxy": "http://127.0.0.1:9", "no_proxy": ""}
            done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
            assert (done.returncode == 0) is ready
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("http_proxy", "http://127.0.0.1:9")
            assert health(address) == {"ready": ready}


class TestNetwork:
    """Who can be reached from where."""

    def test_kafka_and_database_are_inside(self) -> None:
        """The log and the database are on a network without a way out, and their ports are not published."""
        assert COMPOSE["networks"]["back"] == {"internal": True}
        for name in ("kafka", "timescaledb", "migrate", "collect", "work"):
            assert SERVICES[name]["networks"] == ["back"]

    def test_collectors_share_their_slots(self) -> None:
        """The slots of all collectors are in one named volume, and `doctor`, which is run in `rollup`, sees them."""
        (volume,) = (one for one in SERVICES["collect"]["volumes"] if not one.startswith("./"))
        name, place = volume.split(":")
        assert name in COMPOSE["volumes"]
        assert SERVICES["collect"]["environment"]["STADSPULS_SLOTS_DIR"] == f"{place}/slots"
        assert volume in SERVICES["rollup"]["volumes"]
        assert SERVICES["rollup"]["environment"]["STADSPULS_DATA_DIR"] == place


class TestSecrets:
    """`make secrets`, and the file it writes."""

    def test_nothing_starts_without(self) -> None:
        """What is secret has no default, is refused when it is missing, and is what `make secrets` writes."""
        found = variables()
        secret = {name for name in found if re.search("PASSWORD|TOKEN|_KEY$|CERTIFICATE|CLUSTER_ID", name)}
        assert len(secret) >= 10
        assert all(found[name] == {":?"} for name in secret)
        assert all(operators == {":-"} for name, operators in found.items() if name not in secret)

    def test_written_once(self, tmp_path: Path) -> None:
        """The file is its owner's alone, holds all secrets and no two alike, and is not written again."""
        file = tmp_path / ".env"
        made = make_secrets(file)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert set(made) == {name for name, operators in variables().items() if operators == {":?"}}
        assert len(set(made.values())) == len(made)
        assert all(len(value) >= 22 for value in made.values())
        before = file.stat()
        assert make_secrets(file) == made
        assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        assert not set(make_secrets(tmp_path / "other").values()) & set(made.values())

    def test_what_is_missing_is_added(self, tmp_path: Path) -> None:
        """What somebody wrote stays, also a password of his own; a secret that a new version wants is added."""
        file = tmp_path / ".env"
        file.write_text("STADSPULS_PUBLISH_ADDRESS=0.0.0.0\nMQTT_HUB_PASSWORD=mine\n")
        made = make_secrets(file)
        assert made["MQTT_HUB_PASSWORD"] == "mine"
        assert made["STADSPULS_PUBLISH_ADDRESS"] == "0.0.0.0"
        assert "STADSPULS_WRITER_PASSWORD" in made

    @pytest.mark.parametrize("there", ["", "STADSPULS_MQTT_NAME='mqtt.city.example'\n"], ids=["given", "in the file"])
    def test_name_of_the_broker(self, there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The certificate is for the name that is given or in the file, where it is kept: `serve` tells it, too."""
        file = tmp_path / ".env"
        file.write_text(there)
        monkeypatch.setenv("STADSPULS_MQTT_NAME", "" if there else "mqtt.city.example")
        made = make_secrets(file)
        certificate = tmp_path / "certificate.pem"
        certificate.write_bytes(b64decode(made["MQTT_CERTIFICATE"]))
        shown = subprocess.run(
            ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", certificate], capture_output=True, text=True
        )
        assert "DNS:mqtt.city.example" in shown.stdout
        assert made["STADSPULS_MQTT_NAME"].strip("'") == "mqtt.city.example"

    def test_last_line_without_an_end(self, tmp_path: Path) -> None:
        """What an editor or `printf` left without the end of a line stays as it is, too."""
        file = tmp_path / ".env"
        file.write_text("STADSPULS_PUBLISH_HTTP=8081\nMQTT_ACCOUNTS=ttn:secret")
        made = make_secrets(file)
        assert (made["MQTT_ACCOUNTS"], len(made["STADSPULS_OWNER_PASSWORD"])) == ("ttn:secret", 48)

    def test_half_a_certificate(self, tmp_path: Path) -> None:
        """A certificate without its key is refused: a new pair would not fit what sensors were given."""
        file = tmp_path / ".env"
        file.write_text("MQTT_CERTIFICATE=abc\n")
        done = subprocess.run([ROOT / "deploy" / "secrets.sh", file], capture_output=True, text=True)
        assert done.returncode == 2
        assert "go together" in done.stderr
        assert file.read_text() == "MQTT_CERTIFICATE=abc\n"

    def test_not_for_git(self) -> None:
        """Git ignores the file."""
        assert ".env" in (ROOT / ".gitignore").read_text("utf-8").splitlines()


ROOMS = ("ingest", "streams", "aggregates", "hub")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built as deploy/Dockerfile builds it, from a tree without the laboratory."""
    tree, made = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        copy(ROOT / name, tree)
    for room in ROOMS:
        copytree(ROOT / room, tree / room, ignore=ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(made), str(tree)]
    subprocess.run(command, check=True, capture_output=True)
    return next(made.glob("stadspuls-*.whl"))


class TestImage:
    """deploy/Dockerfile and what it is made of."""

    def test_pinned_and_nobody(self) -> None:
        """Every stage begins with a whole version, and the last one runs as a number that is not root's."""
        lines = (ROOT / "deploy" / "Dockerfile").read_text("utf-8").splitlines()
        stages = {name: image for image, name in (line[5:].split(" AS ") for line in lines if line.startswith("FROM "))}
        assert stages["hub"] == stages["build"]
        assert re.match(rf"python:\d+\.\d+\.\d+-slim-\w+{DIGEST}$", stages["hub"])
        assert re.match(rf"grafana/grafana:\d+\.\d+\.\d+{DIGEST}$", stages["grafana"])
        assert {service["build"]["target"] for service in SERVICES.values() if "build" in service} <= set(stages)
        assert [line for line in lines if line.startswith("USER ")] == ["USER 10001:10001"]
        assert all(SERVICES[name]["user"] == "10001:10001" for name in HUB)

    def test_every_dependency_is_pinned(self) -> None:
        """The image is installed without looking for dependencies, so none may be missing: run `make constraints`."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        wanted = {_plain(re.split(r"[\[<>=~! ]", line)[0]) for line in project["dependencies"]}
        pins = (ROOT / "deploy" / "constraints.txt").read_text("utf-8").splitlines()
        assert wanted <= {_plain(line.split("==")[0]) for line in pins if "==" in line}

    @pytest.mark.parametrize("name", ["constraints", "build", "sbom"])
    def test_every_file_is_known_by_its_hash(self, name: str) -> None:
        """Each pin of `make run` and of the image has hashes, and both demand them."""
        lines = (ROOT / "deploy" / f"{name}.txt").read_text("utf-8").splitlines()[1:]
        pins = re.split(r"(?<!\\)\n", "\n".join(lines))
        assert pins
        assert [
            pin for pin in pins if not re.match(r"[\w.-]+==\S+( ; [^\\]+)? \\\n +--hash=sha256:[0-9a-f]{64}", pin)
        ] == []
        demanded = r"--require-hashes.*--requirement (deploy/|image|build|sbom)"
        said = [(ROOT / file).read_text("utf-8") for file in ("Makefile", "deploy/Dockerfile")]
        assert all(re.search(demanded, text) for text in said)

    def test_image_has_a_bill_of_materials_and_the_licences(self) -> None:
        """Both are made of what the image holds, in its build."""
        image = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
        assert "./sbom.sh notes/bin /opt/stadspuls/bin/python /opt/stadspuls/share/doc/stadspuls\n" in image
        script = (ROOT / "deploy" / "sbom.sh").read_text("utf-8")
        assert "sbom.cdx.json" in script
        assert "NOTICES.txt" in script

    def test_digests_are_filled_in(self, tmp_path: Path) -> None:
        """`make digests` fixes every image of others by its digest, and renews it the next time."""
        for file in ("deploy/Dockerfile", "docker-compose.yml", "deploy/digests.sh"):
            (tmp_path / file).parent.mkdir(exist_ok=True)
            copy(ROOT / file, tmp_path / file)
        for digit in "ab":
            docker = tmp_path / "docker"
            docker.write_text(f"#!/bin/sh\necho sha256:{digit * 64}\n", "utf-8")
            docker.chmod(0o755)
            path = f"{tmp_path}:{os.environ['PATH']}"
            subprocess.run([tmp_path / "deploy/digests.sh"], env={"PATH": path}, check=True, capture_output=True)
            fixed = "".join(
                (tmp_path / file).read_text("utf-8") for file in ("deploy/Dockerfile", "docker-compose.yml")
            )
            images = re.findall(r"(?:FROM|^ +image:) +(\S+:\S+)", fixed, re.MULTILINE)
            others = [image for image in images if not image.startswith("stadspuls")]
            assert len(others) == 6
            assert [image for image in others if not image.endswith(f"@sha256:{digit * 64}")] == []

    def test_wheel_has_its_data(self, wheel: Path) -> None:
        """SQL, TOML and JSON files are in the wheel; tests, deploy and the laboratory are not."""
        with zipfile.ZipFile(wheel) as opened:
            packed = set(opened.namelist())
        data = {
            str(path.relative_to(ROOT))
            for room in ROOMS
            for path in (ROOT / room).rglob("*")
            if path.suffix in (".sql", ".toml", ".json", ".typed")
        }
        assert data
        assert data <= packed
        assert {name.split("/")[0] for name in packed if ".dist-info" not in name} == set(ROOMS)

    @pytest.mark.parametrize("command", [(), ("bench",), ("query",)], ids=str)
    def test_no_laboratory_in_the_image(self, wheel: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
        """Installed from that wheel there is neither `bench` nor `chaos`, and every other command has its help."""
        with zipfile.ZipFile(wheel) as opened:
            opened.extractall(tmp_path)
        # -S: site-packages without the editable install of this tree.
        places = [str(tmp_path), *(path for path in sys.path if path.endswith("site-packages"))]
        code = f"import sys; sys.path += {places!r}; import hub; assert hub.__path__[0].startswith({places[0]!r}); "
        code += "from hub.cli.main import main; main()"
        words = [sys.executable, "-P", "-S", "-c", code, *command, "--help"]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == (2 if command == ("bench",) else 0), done.stderr
        assert "query" in done.stdout or command == ("bench",)
        assert not re.search(r"^ +(bench|chaos) ", done.stdout, re.MULTILINE)


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(".", "-")


@contextmanager
def shipped_broker(
    directory: Path, made: dict[str, str], accounts: str = "", readers: str = ""
) -> Iterator[tuple[Broker, int]]:
    """Run Mosquitto by the script and configuration that ship, on other ports; gives its TLS port, too."""
    assert MOSQUITTO is not None
    scripts, run, data = directory / "etc", directory / "run", directory / "data"
    copytree(ROOT / "deploy" / "mosquitto", scripts)
    for folder in (run, data):
        folder.mkdir()
    with (scripts / "mosquitto.conf").open("a") as config:
        config.write("user root\n")  # else it becomes its own user, who may not see this directory
    port, tls_port = free_port(), free_port()
    environment = {
        "PATH": f"{Path(MOSQUITTO).parent}:{os.environ['PATH']}", "MQTT_RUN": str(run), "MQTT_DATA": str(data),
        "MQTT_PORT": str(port), "MQTT_TLS_PORT": str(tls_port), "MQTT_ACCOUNTS": accounts, "MQTT_READERS": readers,
        **made,
    }  # fmt: skip
    words = [f"{key}={value}" for key, value in environment.items()]
    broker = Broker(["env", "-i", *words, str(scripts / "start.sh")], port)
    try:
        yield broker.start(), tls_port
    finally:
        broker.stop()


@pytest.mark.mosquitto
@pytest.mark.skipif(MOSQUITTO is None, reason="the mosquitto program is not installed")
class TestBroker:
    """The broker as it ships, with accounts, access rules and certificate from the environment."""

    @pytest.fixture
    def made(self, tmp_path: Path) -> dict[str, str]:
        """The secrets."""
        return make_secrets(tmp_path / ".env")

    def test_accounts(self, made: dict[str, str], tmp_path: Path) -> None:
        """Without an account, or with a wrong password, nobody gets in."""
        with shipped_broker(tmp_path, made) as (broker, _):
            assert not _gets_in(f"mqtt://127.0.0.1:{broker.port}")
            assert not _gets_in(f"mqtt://hub:wrong@127.0.0.1:{broker.port}")
            assert _gets_in(f"mqtt://hub:{made['MQTT_HUB_PASSWORD']}@127.0.0.1:{broker.port}")

    def test_health_check(self, made: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The health check of Compose is let in; it and the start script name no password where others see it."""
        (_, check) = SERVICES["mosquitto"]["healthcheck"]["test"]
        seen, wrapper = tmp_path / "seen", tmp_path / "bin" / "mosquitto_sub"
        wrapper.parent.mkdir()
        wrapper.write_text(f'#!/bin/sh\necho "$@" >> {seen}\nexec {shutil.which("mosquitto_sub")} "$@"\n')
        wrapper.chmod(0o700)
        monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
        with shipped_broker(tmp_path, made) as (broker, _):
            words = check.replace("$$", "$").replace("/run/stadspuls", str(tmp_path / "run"))
            assert "mosquitto_sub " in words
            words = words.replace("mosquitto_sub ", f"mosquitto_sub -p {broker.port} ")
            bare = {"PATH": os.environ["PATH"]}
            assert subprocess.run(["sh", "-c", words], env=bare, check=False, timeout=30).returncode == 0
        asked = seen.read_text()
        assert "uptime" in asked  # by the check
        assert "shared_subscriptions" in asked  # by the script, which waits for a collector
        assert made["MQTT_HUB_PASSWORD"] not in asked

    def test_publishers(self, made: dict[str, str], tmp_path: Path) -> None:
        """
        `sensors` publishes for every source of devices, a further account for its own, none elsewhere; none hears.

        Nobody but the hub's account speaks for the hub, or for a reference station.
        """
        with shipped_broker(tmp_path, made, "ttn:secret1 telraam:secret2") as (broker, _):
            url = f"127.0.0.1:{broker.port}"
            hub = Address.parse(f"mqtt://hub:{made['MQTT_HUB_PASSWORD']}@{url}")
            taker = Taker(Receiver(hub, ["#"], "test", "stadspuls"))
            accounts = (f"sensors:{made['MQTT_SENSORS_PASSWORD']}", "ttn:secret1", "telraam:secret2")
            denied = [f"stadspuls/{one}/a" for one in ("hub", "ndw", "dexter", "luchtmeetnet", "samenmeten")]
            deaf = [Taker(Receiver(Address.parse(f"mqtt://{who}@{url}"), ["#"], who[:3])) for who in accounts]
            for account in accounts:
                with Sender(Address.parse(f"mqtt://{account}@{url}")) as sender:
                    for topic in (*denied, "stadspuls/ttn/a", "stadspuls/telraam/a", "elsewhere"):
                        sender.publish(topic, f"{account.split(':')[0]} {topic}".encode())
                    sender.flush(30)
            with Sender(Address.parse(f"mqtt://hub:{made['MQTT_HUB_PASSWORD']}@{url}")) as sender:
                sender.publish("stadspuls/stadspuls/a", b"last")
                sender.flush(30)
            until(lambda: b"last" in taker.payloads())
            assert all(listener.stop() and not listener.taken for listener in deaf)
            assert taker.stop()
            assert taker.payloads() == [
                b"sensors stadspuls/ttn/a", b"sensors stadspuls/telraam/a", b"ttn stadspuls/ttn/a",
                b"telraam stadspuls/telraam/a", b"last",
            ]  # fmt: skip

    def test_readers(self, made: dict[str, str], tmp_path: Path) -> None:
        """Who may read gets the updates of SensorThings, which the hub alone publishes, and says nothing."""
        with shipped_broker(tmp_path, made, "ttn:secret1", "gis:secret2 ndw:secret3") as (broker, _):
            url, topic = f"127.0.0.1:{broker.port}", "v1.1/Datastreams(1)/Observations"
            hub = Address.parse(f"mqtt://hub:{made['MQTT_HUB_PASSWORD']}@{url}")
            taker = Taker(Receiver(hub, ["stadspuls/#"], "test", "stadspuls"))
            others = ("gis:secret2", "ndw:secret3", "ttn:secret1", f"sensors:{made['MQTT_SENSORS_PASSWORD']}")
            hearing = [Taker(Receiver(Address.parse(f"mqtt://{who}@{url}"), ["#"], who[:3])) for who in others]
            for account in others:
                with Sender(Address.parse(f"mqtt://{account}@{url}")) as sender:
                    for one in (topic, "stadspuls/gis/a", "stadspuls/ndw/a"):
                        sender.publish(one, account.encode())
                    sender.flush(30)
            with Sender(hub) as sender:
                sender.publish("stadspuls/stadspuls/a", b"a reading")
                sender.publish(topic, b"an update")
                sender.flush(30)
            until(lambda: all(b"an update" in one.payloads() for one in hearing[:2]))
            until(lambda: b"a reading" in taker.payloads())
            assert [one.payloads() for one in hearing] == [[b"an update"], [b"an update"], [], []]
            assert all(one.stop() for one in (*hearing, taker))
            assert taker.payloads() == [others[3].encode(), b"a reading"]

    def test_tls(self, made: dict[str, str], tmp_path: Path) -> None:
        """The TLS listener shows the certificate that `make secrets` made, and clients that trust it get in."""
        certificate = tmp_path / "ca.pem"
        certificate.write_bytes(b64decode(made["MQTT_CERTIFICATE"]))
        with shipped_broker(tmp_path, made) as (broker, port):
            hub = f"hub:{made['MQTT_HUB_PASSWORD']}"
            taker = Taker(Receiver(Address.parse(f"mqtts://{hub}@localhost:{port}?ca={certificate}"), [FILTER], "test"))
            with Sender(Address.parse(f"mqtt://{hub}@127.0.0.1:{broker.port}")) as sender:
                sender.publish("stadspuls/ndw/a", b"x" * 1_000_000)
                sender.flush(30)
            until(lambda: len(taker.taken) == 1)
            assert taker.stop()
            with socket.create_connection(("localhost", port)) as plain, pytest.raises(ssl.SSLCertVerificationError):
                ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")

    def test_keeps_what_it_confirmed(self, made: dict[str, str], tmp_path: Path) -> None:
        """With nobody there it keeps more than the thousand messages of Mosquitto's default, also over a restart."""
        with shipped_broker(tmp_path, made) as (broker, _):
            address = Address.parse(f"mqtt://hub:{made['MQTT_HUB_PASSWORD']}@127.0.0.1:{broker.port}")
            assert Taker(Receiver(address, [FILTER], "test")).stop()
            with Sender(address) as sender:
                for number in range(3_000):
                    sender.publish("stadspuls/ndw/a", b"%d" % number)
                sender.flush(60)
            broker.stop()
            broker.start()
            taker = Taker(Receiver(address, [FILTER], "test"))
            until(lambda: len(taker.taken) >= 3_000)
            assert taker.stop()
            assert taker.payloads() == [b"%d" % number for number in range(3_000)]

    def test_nobody_publishes_before_a_collector_has_subscribed(self, made: dict[str, str], tmp_path: Path) -> None:
        """
        Mosquitto forgets shared subscriptions when it ends, and then confirms what it drops: publishers wait outside.

        The broker is killed while no collector runs; what is published until one is back is not confirmed, and arrives.
        """
        with shipped_broker(tmp_path, made) as (broker, _):
            url = f"127.0.0.1:{broker.port}"
            collector = Address.parse(f"mqtt://hub:{made['MQTT_HUB_PASSWORD']}@{url}")
            sensors = f"mqtt://sensors:{made['MQTT_SENSORS_PASSWORD']}@{url}"
            assert not _gets_in(sensors)
            first = Taker(Receiver(collector, [FILTER], "test", "stadspuls"))
            with Sender(Address.parse(sensors)) as sender:
                sender.publish("stadspuls/ttn/a", b"before")
                sender.flush(30)
                until(lambda: first.payloads() == [b"before"])
                assert first.stop()
                broker.kill()
                broker.start()
                sender.publish("stadspuls/ttn/a", b"while nobody was there")
                with pytest.raises(TimeoutError):
                    sender.flush(3)
                second = Taker(Receiver(collector, [FILTER], "test", "stadspuls"))
                sender.flush(30)
            until(lambda: b"while nobody was there" in second.payloads())
            assert second.stop()

    def test_nothing_for_others_to_read(self, made: dict[str, str], tmp_path: Path) -> None:
        """What the script writes is for the broker alone, and no password is in it in the clear."""
        with shipped_broker(tmp_path, made, "ttn:secret1"):
            written = [path for path in (tmp_path / "run").iterdir() if path.is_file()]
            assert {path.name for path in written} >= {"passwords", "acl", "key.pem", "certificate.pem"}
            assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in written)
            text = (tmp_path / "run" / "passwords").read_text()
            assert made["MQTT_HUB_PASSWORD"] not in text
            assert "secret1" not in text

    @pytest.mark.parametrize(
        ("accounts", "readers"),
        [("hub:x", ""), ("ttn", ""), ("tt+n:x", ""), (":x", ""), ("ttn:", ""), ("gis:x", "gis:y"), ("ttn:x ttn:y", "")],
    )
    def test_accounts_that_cannot_be(self, accounts: str, readers: str, made: dict[str, str], tmp_path: Path) -> None:
        """An account that would be another's, or match every topic, or that the other list takes from, is refused."""
        more = {
            "MQTT_ACCOUNTS": accounts,
            "MQTT_READERS": readers,
            "MQTT_RUN": str(tmp_path),
            "PATH": _halting(tmp_path),
        }
        script = ROOT / "deploy" / "mosquitto" / "start.sh"
        done = subprocess.run([script], env={**os.environ, **made, **more}, capture_output=True, text=True)
        assert done.returncode == 2
        assert "MQTT_ACCOUNTS" in done.stderr


def _halting(directory: Path) -> str:
    """Give a path where hashing fails: a test that finds nothing refused must not run the broker."""
    program = directory / "mosquitto_passwd"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    return f"{directory}:{os.environ['PATH']}"


def _gets_in(url: str) -> bool:
    return refusal(Address.parse(url), 60) is None


BEGIN = datetime(2024, 6, 1, 10, tzinfo=UTC)
Url = Callable[[str], str]  # of a role


@pytest.fixture(params=["postgres", pytest.param("timescale", marks=pytest.mark.timescale)])
def roles(request: pytest.FixtureRequest) -> Iterator[Url]:
    """
    A database as deploy/timescale/roles.sql leaves it, nothing migrated; gives the URL of a role.

    On the embedded PostgreSQL the script itself runs. Others may use the roles of a TimescaleDB that was named: there
    they are left as they are, and taken on by `role`.
    """
    scripted = request.param == "postgres"
    server = request.getfixturevalue("postgres") if scripted else timescale_url()
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    url = urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    try:
        yield _by_script(url, name) if scripted else _by_role(url, name)
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _by_script(url: str, name: str, administrator: str = "postgres") -> Url:
    with psycopg.connect(url) as connection:
        place = connection.info.host
    kinds = ("OWNER", "WRITER", "READER")
    environment = {f"STADSPULS_{kind}_PASSWORD": "it's \\ secret" for kind in kinds} | {
        "PATH": f"{_programs()}:{os.environ['PATH']}", "PGHOST": place, "POSTGRES_DB": name,
        "POSTGRES_USER": administrator, "ROLES_SQL": str(ROOT / "deploy" / "timescale" / "roles.sql"),
    }  # fmt: skip
    for _ in range(2):  # the second time changes passwords
        script = ROOT / "deploy" / "timescale" / "roles.sh"
        done = subprocess.run([script], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return lambda role: url.replace(f"//{administrator}@", f"//stadspuls_{role}@")


def _by_role(url: str, name: str) -> Url:
    database = sql.Identifier(name)
    with psycopg.connect(url, autocommit=True) as admin:
        for role in ("owner", "writer", "reader"):
            with suppress(errors.DuplicateObject):
                admin.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(f"stadspuls_{role}")))
        admin.execute("CREATE EXTENSION timescaledb")
        admin.execute(sql.SQL("ALTER DATABASE {} OWNER TO stadspuls_owner").format(database))
        admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
        admin.execute(sql.SQL("GRANT TEMPORARY ON DATABASE {} TO stadspuls_writer").format(database))
    return lambda role: f"{url}?options={quote(f'-c role=stadspuls_{role}')}"


def readings(shift: float = 0.0) -> Batch:
    """A batch of an hour's readings of two sensors and one dead letter."""
    made = [
        Reading(f"stadspuls/{name}", "", "no2", 60, BEGIN + timedelta(minutes=minute), minute + shift, 1.0)
        for name in ("a", "b")
        for minute in range(60)
    ]
    letters = [DeadLetter("stadspuls", "stadspuls/stadspuls/x", b"{}", "empty", BEGIN)]
    return Batch(columns(made, [BEGIN + timedelta(hours=1)] * len(made)), (), letters)


class TestRoles:
    """Owner, writer and reader: each can do its work, and not another's."""

    def test_each_does_its_work(self, roles: Url) -> None:
        """The owner migrates, twice; the writer stores, corrects, rolls up, proves and drops; the reader reads."""
        with closing(Store(roles("owner"))) as store:
            found = migrate(store, ZONE)
            assert migrate(store, ZONE) is found
        with closing(Store(roles("writer"))) as store:
            pipeline = Pipeline(store, threading.Event())
            for shift in (0.0, 0.0, 0.25):  # stored, known, greater values that agree: all roads
                pipeline.store(readings(shift))
            assert roll_up(store, BEGIN + timedelta(days=2)) == 2
            assert not any(day.windows for day in reconcile(store, BEGIN.date(), BEGIN.date() + timedelta(days=1)))
        with closing(Store(roles("reader"))) as store:
            frame = ask(store, Question("no2", BEGIN, BEGIN + timedelta(hours=1), "1h"))
            assert list(frame["readings"]) == [60, 60]
            assert state(store, BEGIN).dead_letters == 1
            assert store.rows("read_catalogue_version")
        with closing(Store(roles("writer"))) as store:
            assert maintain(store, BEGIN + timedelta(days=40), timedelta(days=30)) == [BEGIN.date()]

    @pytest.mark.parametrize(
        "statement",
        [
            "SELECT payload FROM dead_letter",
            "SELECT topic, reason FROM dead_letter",
            "INSERT INTO frozen (day) VALUES (now())",
            "DELETE FROM reading",
            "UPDATE window_5m SET total = 0",
            "UPDATE catalogue SET version = 0",
            "CREATE TABLE mine (a integer)",
            "CREATE TEMP TABLE mine (a integer)",
        ],
    )
    def test_reader_reads(self, roles: Url, statement: str) -> None:
        """A reader changes nothing, not even with the guard off, and sees of dead letters how often they came."""
        with closing(Store(roles("owner"))) as store:
            migrate(store, ZONE)
        with psycopg.connect(roles("reader"), autocommit=True) as reader:
            reader.execute("SET default_transaction_read_only = off")
            with pytest.raises(errors.InsufficientPrivilege):
                reader.execute(statement.encode())

    @pytest.mark.parametrize("statement", ["DROP TABLE frozen", "TRUNCATE reading", "CREATE TABLE mine (a integer)"])
    def test_writer_makes_no_tables(self, roles: Url, statement: str) -> None:
        """The schema is the owner's."""
        with closing(Store(roles("owner"))) as store:
            migrate(store, ZONE)
        with psycopg.connect(roles("writer"), autocommit=True) as writer, pytest.raises(errors.InsufficientPrivilege):
            writer.execute(statement.encode())

    def test_reader_is_bounded(self, postgres: str) -> None:
        """A reader's session begins with a statement timeout, read-only."""
        name = f"test_{secrets.token_hex(6)}"
        with psycopg.connect(postgres, autocommit=True) as admin:
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        url = _by_script(urlunsplit(urlsplit(postgres)._replace(path=f"/{name}")), name)
        with psycopg.connect(url("reader")) as reader:
            asked = b"SELECT current_setting('statement_timeout'), current_setting('default_transaction_read_only')"
            assert reader.execute(asked).fetchall() == [("1min", "on")]
        with psycopg.connect(url("writer")) as writer:
            asked = b"SELECT current_setting('timescaledb.max_tuples_decompressed_per_dml_transaction')"
            assert writer.execute(asked).fetchall() == [("0",)]
        with psycopg.connect(postgres, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def test_administrator_of_a_managed_database(self, tmp_path: Path) -> None:
        """He may make roles and databases, but is no superuser: the script runs, twice, and the owner migrates."""
        with running_database(KillablePostgres(tmp_path / "server")) as server:
            with psycopg.connect(server.conninfo, autocommit=True) as superuser:
                superuser.execute("CREATE ROLE manager LOGIN CREATEROLE CREATEDB")
            managed = server.conninfo.replace("//postgres@", "//manager@")
            with psycopg.connect(managed, autocommit=True) as manager:
                manager.execute("CREATE DATABASE city")
            url = urlunsplit(urlsplit(managed)._replace(path="/city"))
            role = _by_script(url, "city", "manager")
            with closing(Store(role("owner"))) as store:
                migrate(store, ZONE)
            with closing(Store(role("writer"))) as store:
                Pipeline(store, threading.Event()).store(readings())
            with psycopg.connect(role("reader"), autocommit=True) as reader:
                assert reader.execute("SELECT count(*) FROM reading").fetchall() == [(len(readings()),)]
                owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
                assert reader.execute(owners).fetchall() == [("stadspuls_owner",)]

    @pytest.mark.timescale
    def test_apache_edition_packs_nothing(self) -> None:
        """On the Apache edition no columnstore is asked for, which it would refuse; the migration succeeds."""
        server, name = timescale_url(), f"test_{secrets.token_hex(6)}"
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        url = urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
        try:
            with closing(Store(url)) as store:
                found = migrate(store, ZONE)
            with psycopg.connect(url) as connection:
                asked = b"SELECT count(*) FROM timescaledb_information.jobs WHERE hypertable_name IS NOT NULL"
                jobs = connection.execute(asked).fetchall()
            assert (found, jobs) == (Edition.TIMESCALE_APACHE, [(0,)]) or found is Edition.TIMESCALE
        finally:
            with psycopg.connect(server, autocommit=True) as admin:
                admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
