"""The chaos run: its parts by themselves, a short run, and one that must fail."""

import io
import os
import random
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from rich.console import Console

from aggregates.store.store import Store
from hub.servers.process import CannotStart
from ingest.formats.decode import decode
from ingest.vocabulary.readings import Message
from lab.chaos.checks import Check, check_promises
from lab.chaos.disturbances import ACCEPT, REFUSE, Disturbances, Outcome
from lab.chaos.plan import CUT_FOR, POSSIBLE, USUAL, Action, Event, Part, plan
from lab.chaos.readings import NumberedReadings
from lab.chaos.report import show
from lab.chaos.run import Report, came_back
from lab.rig.broker import Broker, free_port
from lab.rig.chain import Chain
from lab.rig.database import KillablePostgres
from lab.rig.kafka import KafkaServer
from lab.rig.relay import Relay
from lab.rig.service import COMMAND
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up
from tests.conftest import ROOT
from tests.support.databases import list_dead_letters
from tests.support.distributed import programs_or_skip
from tests.support.programs import command

NUMBERED = NumberedReadings(20, "Europe/Amsterdam")
PUBLISHED = 3_000  # to half past midnight in Amsterdam


class TestPlan:
    """What happens, and when."""

    def test_rounds_hold_everything(self) -> None:
        """Each round has every action once, in an order of its own, and all of it within the time."""
        events = plan(330, 3)
        assert len(events) == 3 * len(USUAL)
        rounds = [events[number * len(USUAL) : (number + 1) * len(USUAL)] for number in range(3)]
        assert all({(one.action, one.part) for one in some} == set(USUAL) for some in rounds)
        assert len({tuple(str(one) for one in some) for some in rounds}) == 3
        assert [one.at for one in events] == sorted(one.at for one in events)
        assert events[-1].at < 330
        assert {one.seconds for one in events if one.action is Action.CUT} == {CUT_FOR}

    def test_what_a_day_of_use_found_happens_too(self) -> None:
        """Ordinary stops, a broker that hangs, a full disk, rules that raise, strangers with the hub's client ids."""
        names = {f"{action} {part}" for action, part in USUAL}
        assert {
            "stop and start collector", "stop and start worker", "stop and start roll-up", "freeze broker",
            "fill the disk of database", "break the rules in database", "take the client id of collector",
        } <= names  # fmt: skip

    def test_broker_is_killed_only_when_asked_for(self) -> None:
        """Mosquitto may lose what it confirmed in its last seconds, so a usual run leaves it alone."""
        assert len(set(POSSIBLE) - set(USUAL)) == 1


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says everything again."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer(client: socket.socket) -> None:
            with client:
                while data := client.recv(1 << 16):
                    client.sendall(data)

        def serve() -> None:
            try:
                while True:
                    threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()
            except OSError:
                return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


class TestRelay:
    """A network that can be cut."""

    def test_passes_everything(self, echo: int) -> None:
        """A megabyte goes there and back, over several connections at once."""
        port, said = free_port(), random.Random(1).randbytes(1 << 20)
        with Relay(("127.0.0.1", port), ("127.0.0.1", echo)):
            clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
            for client in clients:
                threading.Thread(target=client.sendall, args=(said,), daemon=True).start()
            for client in clients:
                with client:
                    assert received(client, len(said)) == said

    def test_cut_holds_and_mends(self, echo: int) -> None:
        """While it is cut nothing passes, old and new connections hang; mended, both go on with nothing lost."""
        port = free_port()
        with Relay(("127.0.0.1", port), ("127.0.0.1", echo)) as relay, connected(port) as old:
            relay.cut()
            with connected(port) as new:
                for client in (old, new):
                    client.sendall(b"hello")
                    client.settimeout(0.3)
                    with pytest.raises(TimeoutError):
                        client.recv(5)
                    client.settimeout(10)
                relay.mend()
                assert [received(client, 5) for client in (old, new)] == [b"hello", b"hello"]

    def test_mended_with_a_reset(self, echo: int) -> None:
        """Connections that hung can be ended; new ones work."""
        port = free_port()
        with Relay(("127.0.0.1", port), ("127.0.0.1", echo)) as relay:
            with connected(port) as old:
                old.sendall(b"hello")
                assert received(old, 5) == b"hello"
                relay.cut()
                old.sendall(b"again")
                relay.mend(reset=True)
                assert ended(old)
            with connected(port) as new:
                new.sendall(b"hello")
                assert received(new, 5) == b"hello"

    def test_server_away(self) -> None:
        """Where nobody listens the client's connection ends, as it would without the relay."""
        port = free_port()
        with (
            Relay(("127.0.0.1", port), ("127.0.0.1", free_port())),
            socket.create_connection(("127.0.0.1", port), timeout=10) as client,
        ):
            assert client.recv(5) == b""


def connected(port: int) -> socket.socket:
    """Connect to an echo through a relay."""
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def ended(client: socket.socket) -> bool:
    """Tell whether nothing but the end comes, with or without a reset."""
    try:
        return client.recv(5) == b""
    except ConnectionResetError:
        return True


def received(client: socket.socket, size: int) -> bytes:
    """Read so many bytes."""
    data = b""
    while len(data) < size and (more := client.recv(1 << 16)):
        data += more
    return data


def test_full_disk_holds_a_batch_up_and_costs_no_reading(database: str) -> None:
    """While the database refuses readings a worker tries again; then all are stored, and none is condemned."""
    now = datetime.now(UTC)
    batch = decode([Message(*NUMBERED.message(number), now) for number in range(40)])
    with closing(Store(database)) as store, closing(Store(database)) as other:
        with other.transaction() as tx:
            tx.script(REFUSE.format(table="reading", code="53100"))
        worker = threading.Thread(target=Pipeline(store).store, args=(batch,), daemon=True)
        worker.start()
        worker.join(2)
        assert worker.is_alive()
        with other.transaction() as tx:
            tx.script(ACCEPT.format(table="reading"))
        worker.join(60)
        assert not worker.is_alive()
        assert len(other.rows("list_source_readings", source="stadspuls")) == 40
        assert list_dead_letters(other, "stadspuls", limit=10) == []


@pytest.fixture
def filled(database: str) -> str:
    """A database with everything in it that was published."""
    now = datetime.now(UTC)
    said = [NUMBERED.message(number) for number in range(PUBLISHED)]
    bad = [found for number in range(PUBLISHED) if (found := NUMBERED.bad(number))]
    with closing(Store(database)) as store:
        Pipeline(store).store(decode([Message(topic, payload, now) for topic, payload in (*said, *bad)]))
        roll_up(store, now)
    return database


def judged(database: str, published: int = PUBLISHED) -> dict[str, Check]:
    """Give the check_promises by promise."""

    def stadspuls(*words: str) -> subprocess.CompletedProcess[str]:
        return command(*words, f"--database={database}")

    return {check.promise: check for check in check_promises(database, stadspuls, NUMBERED, published, 3)}


class TestVerdict:
    """What it says of a database that has everything, and of those that have not."""

    def test_whole(self, filled: str) -> None:
        """Every reading, window and account is there, over midnight in Amsterdam."""
        found = judged(filled)
        assert len(found) == 12
        assert [check for check in found.values() if not check.good] == []
        assert found["windows of 1d as recomputed"].expected == "40"

    @pytest.mark.parametrize(
        ("harm", "broken"),
        [
            ("DELETE FROM reading WHERE value = 5", "published and not stored"),
            ("UPDATE reading SET value = value + 1 WHERE value = 5", "stored with another value"),
            ("UPDATE reading SET start = start + interval '7 seconds' WHERE value = 5", "stored and not published"),
            ("UPDATE window_5m SET total = total + 1 WHERE total > 100", "windows of 5m as recomputed"),
            ("UPDATE window_1h SET readings = readings - 1", "windows of 1h as recomputed"),
            ("DELETE FROM window_1d", "windows of 1d as recomputed"),
            ("UPDATE window_1h SET readings = readings - 1", "stadspuls reconcile"),
            ("UPDATE accounting SET received = received + 1", "received = stored + duplicate + corrected + rejected"),
            (
                "UPDATE accounting SET stored = stored - 1, duplicate = duplicate + 1",
                "readings accounted for as stored",
            ),
            ("DELETE FROM dead_letter", "unreadable messages in the dead letters"),
        ],
    )
    def test_every_damage_is_found(self, filled: str, harm: str, broken: str) -> None:
        """One reading less, another value, a window that is not what its readings say: each fails its check."""
        with psycopg.connect(filled) as connection:
            assert connection.execute(harm.encode()).rowcount > 0
        assert not judged(filled)[broken].good

    def test_one_more_published(self, filled: str) -> None:
        """The last reading that never arrived is named by its number."""
        assert judged(filled, PUBLISHED + 1)["published and not stored"].found == f"1: {PUBLISHED}"


class DeadServer(KillablePostgres):
    """A database that is gone for good once it is killed."""

    def kill(self) -> None:
        """There is nothing to kill."""

    def start(self) -> bool:
        """It never comes back."""
        raise CannotStart("database is not ready after 300 s")


class TestDisturbances:
    """Things done to a hub, and whether it was itself again afterwards."""

    def test_part_that_stays_away_fails_the_run(self, tmp_path: Path) -> None:
        """A server that does not come back is said in the report, by its action and reason, and is a broken promise."""
        broker, kafka = Broker(["mosquitto"], free_port()), KafkaServer(tmp_path / "kafka", free_port(), free_port())
        chain = Chain(tmp_path, broker, kafka, "postgresql://nobody")
        with Relay(("127.0.0.1", free_port()), ("127.0.0.1", free_port())) as relay:
            disturbances = Disturbances(chain, DeadServer(tmp_path), {Part.DATABASE: relay}, 1, lambda: 0)
            for action in (Action.KILL, Action.CUT):
                disturbances.begin(Event(0, action, Part.DATABASE, 0), 0)
            disturbances.finish()
        report = Report(1, "none", events=disturbances.outcomes, checks=[came_back(disturbances.outcomes)])
        assert not report.good
        said = io.StringIO()
        show(report, Console(file=said, width=200))
        shown = said.getvalue()
        assert "A PROMISE DID NOT HOLD" in shown
        assert "1; kill -9 database: database is not ready after 300 s" in shown

    def test_who_has_left_is_not_waited_for(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A collector that leaves while all are waited for, after the broker stood still, is not missed."""
        monkeypatch.setattr("lab.chaos.disturbances._BACK_WITHIN", 20.0)
        kafka = KafkaServer(tmp_path / "kafka", free_port(), free_port())
        chain = Chain(tmp_path, Broker(["mosquitto"], free_port()), kafka, "postgresql://nobody")
        with Relay(("127.0.0.1", free_port()), ("127.0.0.1", free_port())) as relay:
            disturbances = Disturbances(chain, None, {Part.BROKER: relay}, 1, lambda: 0)
            outcome = disturbances.begin(Event(0, Action.FREEZE, Part.BROKER, 0), 0)
            time.sleep(0.5)
            chain.collectors.pop()  # which never began, so that it is not ready
            disturbances.finish()
        assert came_back([outcome]).good, outcome.note

    def test_all_back(self) -> None:
        """Where every part was back the promise holds, however long it took."""
        done = Outcome(Event(0, Action.KILL, Part.KAFKA, 0), 0, "kafka", 0, back=90)
        assert came_back([done, done]).good


def run(*flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `stadspuls chaos` as a user does."""
    programs_or_skip()
    environment = {**os.environ, **environment}
    return subprocess.run(
        [*COMMAND, "chaos", *flags], env=environment, capture_output=True, text=True, check=False, timeout=840
    )


@pytest.mark.kafka
@pytest.mark.slow
class TestRun:
    """Real Mosquitto, Kafka, services and database."""

    def test_nothing_is_lost(self) -> None:
        """A minute of 2,000 readings/s while everything is killed, frozen and cut off: all of it is there, once."""
        done = run("--seconds=60", f"--seed={random.randrange(10_000)}")
        assert done.returncode == 0, done.stderr + done.stdout
        assert "every promise held" in done.stdout

    def test_a_loss_is_reported(self) -> None:
        """With collectors that acknowledge before Kafka has it, the run ends with 1 and names what is lost."""
        path = os.pathsep.join([str(ROOT / "tests" / "support" / "careless"), os.environ.get("PYTHONPATH", "")])
        events = ("--only=cut off kafka", "--only=kill -9 collector")
        done = run("--seconds=20", "--seed=2", *events, PYTHONPATH=path.rstrip(os.pathsep))
        assert done.returncode == 1, done.stderr + done.stdout
        assert "A PROMISE DID NOT HOLD" in done.stdout
        assert "LOST  published and not stored" in done.stdout


def test_missing_programs_are_named(tmp_path: Path) -> None:
    """On a machine without the servers the run ends with 3 and says what is missing."""
    done = subprocess.run(
        [*COMMAND, "chaos"], env={"PATH": str(tmp_path), "STADSPULS_KAFKA_JARS": str(tmp_path)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 3
    assert "java, mvn" in done.stderr
