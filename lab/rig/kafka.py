"""
A real Kafka as one process, that can be killed: controller and broker in one JVM.

The jars come from Maven Central once and stay in a cache directory, so that later starts need no network. In
production Kafka comes with `docker-compose.yml`; nothing here is used there.
"""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from hub.servers.process import CannotStart, open_log, tail
from ingest.log.topics import Access, NoAnswer, Topics, ends
from lab.rig.broker import end_child

VERSION = "4.1.0"
CACHE = "STADSPULS_KAFKA_JARS"
HEAP = "512m"
_START_WITHIN = 60.0
_STOP_WITHIN = 20.0
_DOWNLOAD_WITHIN = 600.0

_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>stadspuls</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""

_CONFIG = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{advertised}
controller.listener.names=CONTROLLER
log.dirs={directory}/log
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=400
"""


def missing_programs() -> list[str]:
    """Name what this machine lacks for a Kafka: java always, mvn while the jars are not in the cache."""
    wanted = ["java"] if _complete(jar_cache()) else ["java", "mvn"]
    return [name for name in wanted if shutil.which(name) is None]


def jar_cache() -> Path:
    """Give the directory of the jars: `STADSPULS_KAFKA_JARS`, else one in the user's cache."""
    parent = os.environ.get(CACHE) or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "stadspuls"
    return Path(parent) / f"kafka-{VERSION}-{hashlib.sha256(_POM.encode()).hexdigest()[:8]}"


class KafkaServer:
    """
    One Kafka with its data in `directory`; `kill` is kill -9, and `start` starts it again on the same data.

    `advertised` is the port that clients shall use, where a relay stands before Kafka. `more` are lines of its
    configuration, `users` go by SCRAM-SHA-512, and `access` is how to get in.
    """

    def __init__(
        self, directory: Path, port: int, controller_port: int, advertised: int | None = None, more: str = "",
        users: Mapping[str, str] = MappingProxyType({}), access: Access | None = None,
    ) -> None:  # fmt: skip
        self.access = access or Access()
        self._users = users
        self.servers = f"127.0.0.1:{advertised or port}"
        self._directory = directory.absolute()
        self._port = port
        self._config = _CONFIG.format(
            port=port, advertised=advertised or port, controller=controller_port, directory=self._directory
        )
        self._config += more
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The pid of the JVM, while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> "KafkaServer":
        """Start, and return when it answers; raises CannotStart with the reason."""
        classpath = f"{jars()}/*"
        self._directory.mkdir(parents=True, exist_ok=True)
        config = self._directory / "server.properties"
        config.write_text(self._config, encoding="utf-8")
        if not (self._directory / "log" / "meta.properties").exists():
            self._format(classpath, config)
        with open_log(self._directory / "kafka.log") as log:
            self._process = subprocess.Popen(
                [*_java(classpath, HEAP), "kafka.Kafka", str(config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._wait()
        return self

    def stop(self) -> None:
        """Stop it with TERM; harmless when it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Stop it with kill -9."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            end_child(self._process, _STOP_WITHIN, number)
            self._process = None

    def _format(self, classpath: str, config: Path) -> None:
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        flags = [f"--cluster-id={cluster}", f"--config={config}"]  # with "=": an id may begin with a dash
        flags += [
            f"--add-scram=SCRAM-SHA-512=[name={name},password={password}]" for name, password in self._users.items()
        ]
        tool = [*_java(classpath, "256m"), "kafka.tools.StorageTool", "format", *flags]
        done = subprocess.run(tool, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotStart(f"kafka's storage cannot be formatted: {done.stderr[-500:] or done.stdout[-500:]}")

    def _wait(self) -> None:
        # An open port is not enough: a broker that still recovers its log answers nothing.
        deadline = time.monotonic() + _START_WITHIN
        while not self._answers():
            if self.pid is None or time.monotonic() > deadline:
                last = tail(self._directory / "kafka.log")
                self.kill()
                raise CannotStart(f"kafka did not start on port {self._port}, its log ends: {last}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        with suppress(OSError, NoAnswer), socket.create_connection(("127.0.0.1", self._port), timeout=1):
            ends(Topics(self.servers, access=self.access), 3.0)
            return True
        return False


def jars() -> Path:
    """Give the directory of Kafka's jars, fetched where they are not there yet; raises CannotStart."""
    if missing := missing_programs():
        raise CannotStart(f"kafka needs {' and '.join(missing)}, not found on this machine")
    place = jar_cache()
    if not _complete(place):
        _fetch(place)
    return place


def _complete(place: Path) -> bool:
    return (place / "complete").exists()


def _fetch(place: Path) -> None:
    # Under another name first: two runs at the same time, or one that is interrupted, leave nothing half.
    draft = place.with_name(f"{place.name}.{os.getpid()}")
    draft.mkdir(parents=True, exist_ok=True)
    (draft / "pom.xml").write_text(_POM, encoding="utf-8")
    command = ["mvn", "-B", "-q", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=."]
    try:
        subprocess.run(command, cwd=draft, check=True, capture_output=True, text=True, timeout=_DOWNLOAD_WITHIN)
        (draft / "complete").touch()
        with suppress(OSError):  # another run was faster
            draft.rename(place)
    except subprocess.SubprocessError as error:
        output = getattr(error, "stdout", "") or str(error)
        raise CannotStart(f"kafka {VERSION} could not be fetched: {output[-500:]}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _java(classpath: str, heap: str) -> list[str]:
    quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
    return ["java", f"-Xmx{heap}", "-Xms64m", "-XX:+UseSerialGC", quiet, "-cp", classpath]
