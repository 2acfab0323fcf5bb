"""The embedded servers: started, re-adopted after a kill -9 of the hub, mended after their own, stopped for good."""

import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from hub.servers.broker import BuiltInBroker
from hub.servers.pgaccess import allow_traversal, may_traverse
from hub.servers.postgres import EmbeddedPostgres
from hub.servers.process import CannotStart, DataDirectory, Identity, Server, find_hub, living, open_log, tail
from ingest.mqtt.address import Address
from ingest.mqtt.client import refusal
from lab.rig.broker import free_port

# A hub in miniature: lock, both servers, addresses; then it stands still until it is killed.
_HUB = """
import sys, time
from pathlib import Path
from hub.servers.broker import BuiltInBroker
from hub.servers.process import DataDirectory
from hub.servers.postgres import EmbeddedPostgres
path, port = Path(sys.argv[1]), int(sys.argv[2])
with DataDirectory(path) as directory:
    broker, database = BuiltInBroker(path, port=port), EmbeddedPostgres(path)
    broker.start()
    database.start()
    directory.announce(str(broker.address), database.conninfo, "http://127.0.0.1:1")
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BuiltInBroker]:
    """A broker of an empty directory, stopped afterwards."""
    made = BuiltInBroker(tmp_path, port=free_port(), queue=1000)
    yield made
    made.stop()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A database of an empty directory, stopped afterwards."""
    made = EmbeddedPostgres(tmp_path)
    yield made
    made.stop()


def answers(broker: BuiltInBroker) -> bool:
    """Tell whether the broker takes a connection."""
    try:
        with socket.create_connection(("127.0.0.1", broker.port), timeout=5):
            return True
    except OSError:
        return False


def test_broker_starts_and_stops(broker: BuiltInBroker) -> None:
    """A started broker answers, a second start changes nothing, a stop leaves no process."""
    assert not broker.start()
    process = broker.process()
    assert process is not None
    assert answers(broker)
    assert broker.start()
    assert broker.process() == process
    broker.stop()
    assert not process.is_running()
    assert not answers(broker)
    broker.stop()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_broker_on_ipv6(tmp_path: Path) -> None:
    """It answers there, and others can read its address."""
    broker = BuiltInBroker(tmp_path, "::1", free_port(), 1000)
    try:
        broker.start()
        assert Address.parse(str(broker.address)) == broker.address
        assert refusal(broker.address, 5) is None
    finally:
        broker.stop()


def test_broker_that_hangs_is_not_adopted(broker: BuiltInBroker) -> None:
    """One that listens and answers no client is ended, and another one started."""
    broker.start()
    old = broker.process()
    assert old is not None
    old.suspend()
    assert not broker.start()
    assert not old.is_running()
    assert refusal(broker.address, 5) is None


@pytest.mark.parametrize("kind", [BuiltInBroker, EmbeddedPostgres])
def test_only_what_is_not_found_is_gone(kind: type[Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that cannot be looked at, as with too many open files, is not taken for dead and started twice."""

    def refuses(*_: object, **__: object) -> str:
        raise OSError(errno.EMFILE, "too many open files")

    server = kind(tmp_path)
    assert server.process() is None
    for name in ("read_text", "read_bytes"):
        monkeypatch.setattr(Path, name, refuses)
    with pytest.raises(OSError, match="too many"):
        server.keep()


def test_pid_file_of_another_user_is_named(database: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pid file that may not be read is refused by its name, and no second server started beside the first."""

    def refuses(*_: object, **__: object) -> str:
        raise PermissionError(errno.EACCES, "permission denied")

    monkeypatch.setattr(Path, "read_text", refuses)
    with pytest.raises(CannotStart, match=r"postmaster\.pid cannot be read"):
        database.start()
    monkeypatch.undo()


def test_broker_is_not_ended_for_our_own_files(broker: BuiltInBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this process has too many files open it cannot ask, and the broker keeps its queue."""
    broker.start()
    process = broker.process()

    def refuses() -> socket.socket:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr("hub.servers.broker._HANGS", 0.0)
    monkeypatch.setattr("hub.servers.broker.socket", SimpleNamespace(socket=refuses))
    with pytest.raises(OSError, match="too many"):
        broker.keep()
    assert broker.process() == process


def test_broker_in_its_own_session(broker: BuiltInBroker) -> None:
    """Ctrl-C in the hub's terminal does not reach the broker."""
    broker.start()
    process = broker.process()
    assert process is not None
    assert os.getsid(process.pid) == process.pid


def test_broker_port_taken(tmp_path: Path) -> None:
    """A taken port is refused with the port and its holder, and no process is left."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = int(other.getsockname()[1])
        broker = BuiltInBroker(tmp_path, port=port)
        with pytest.raises(CannotStart, match=f"{port}.*pid {os.getpid()}.*--mqtt-port"):
            broker.start()
    assert broker.process() is None


def test_broker_with_other_settings_starts_anew(broker: BuiltInBroker, tmp_path: Path) -> None:
    """A broker that still runs with another port is ended, so that one directory never has two."""
    broker.start()
    old = broker.process()
    other = BuiltInBroker(tmp_path, port=free_port(), queue=1000)
    try:
        assert not other.start()
        assert old is not None
        assert living(old.pid) is None
        assert answers(other)
    finally:
        other.stop()


def test_broker_needs_credentials_when_open(tmp_path: Path) -> None:
    """A broker that others can reach is refused without credentials."""
    with pytest.raises(ValueError, match="without credentials"):
        BuiltInBroker(tmp_path, host="0.0.0.0")


def connack(port: int, user: bytes, password: bytes) -> bytes:
    """Say CONNECT with credentials and give what the broker answers, nothing when it hangs up."""
    words = [b"MQTT", b"tester", user, password]
    name, *rest = [len(word).to_bytes(2, "big") + word for word in words]
    body = name + bytes([4, 0xC2, 0, 60]) + b"".join(rest)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(bytes([0x10, len(body)]) + body)
        try:
            return connection.recv(4)
        except ConnectionResetError:
            return b""


def test_broker_asks_for_credentials(tmp_path: Path) -> None:
    """With credentials set, the right ones are let in and wrong ones are not; the file with them is private."""
    broker = BuiltInBroker(tmp_path, port=free_port(), queue=1000, credentials=("städter", 'p"\\w'))
    try:
        broker.start()
        assert connack(broker.port, "städter".encode(), b'p"\\w')[:1] == b"\x20"
        assert connack(broker.port, "städter".encode(), b'p"\\w')[3:] == b"\x00"
        assert connack(broker.port, "städter".encode(), b"wrong")[3:] != b"\x00"
        assert (tmp_path / "broker.toml").stat().st_mode & 0o077 == 0
    finally:
        broker.stop()


def test_pid_given_to_another(tmp_path: Path) -> None:
    """A pid alone proves nothing: a process that began at another time is not the one that was noted."""
    me = Identity.of()
    assert me.process() is not None
    assert Identity(me.pid, me.created - 1000).process() is None
    (tmp_path / "broker.json").write_text(f'{{"pid": {os.getpid()}, "created": 1.0}}', encoding="utf-8")
    assert BuiltInBroker(tmp_path, port=free_port()).process() is None


def test_database_starts_and_stops(database: EmbeddedPostgres) -> None:
    """A started database takes connections in UTC, promises durability, and a stop leaves no process."""
    assert not database.start()
    process = database.process()
    assert process is not None
    assert os.getsid(process.pid) == process.pid
    with psycopg.connect(database.conninfo) as connection:
        row = connection.execute(
            "select current_setting('timezone'), current_setting('synchronous_commit'), current_setting('jit')"
        ).fetchone()
    assert row == ("UTC", "on", "off")
    children = process.children(recursive=True)
    database.stop()
    assert not any(one.is_running() for one in [process, *children])


def test_database_with_another_port_starts_anew(database: EmbeddedPostgres, tmp_path: Path) -> None:
    """One that still runs without a port of TCP is not adopted by a hub that wants it, nor the other way round."""
    database.start()
    other = EmbeddedPostgres(tmp_path, free_port())
    assert not other.start()
    with psycopg.connect(other.conninfo) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
    assert other.start()
    assert not database.start()
    with psycopg.connect(database.conninfo) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
    other.stop()


def test_database_killed_keeps_its_data(database: EmbeddedPostgres) -> None:
    """After a kill -9 of postgres a start recovers what was committed."""
    database.start()
    with psycopg.connect(database.conninfo) as connection:
        connection.execute("create table kept as select 42 as n")
    process = database.process()
    assert process is not None
    process.kill()
    process.wait(10)
    assert not database.start()
    with psycopg.connect(database.conninfo) as connection:
        assert connection.execute("select n from kept").fetchone() == (42,)


def test_database_pid_file_of_another_program(database: EmbeddedPostgres, tmp_path: Path) -> None:
    """A pid file left by a crash, whose pid is another program now, does not keep the database from starting."""
    database.start()
    data = tmp_path / "postgres"
    process = database.process()
    assert process is not None
    process.kill()
    process.wait(10)
    with subprocess.Popen(["sleep", "600"], user=data.stat().st_uid if os.geteuid() == 0 else None) as stranger:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines(keepends=True)
        (data / "postmaster.pid").write_text(f"{stranger.pid}\n" + "".join(lines[1:]), encoding="utf-8")
        assert database.process() is None
        assert not database.start()
        stranger.kill()


@pytest.mark.parametrize("name", ["a 'long, path" * 8, 'a "quoted" \\ path,and more'])
def test_database_in_a_long_and_odd_path(tmp_path: Path, name: str) -> None:
    """A path too long for a socket, and one with characters that mean something in a configuration, work."""
    database = EmbeddedPostgres(tmp_path / name)
    try:
        database.start()
        with psycopg.connect(database.conninfo) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    finally:
        database.stop()


@pytest.mark.parametrize("mode", [0o777, 0o710, None])
def test_foreign_directory_for_the_socket_is_refused_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int | None
) -> None:
    """What another user put where the socket of a long path lies is not used, and not given away by a chown."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    database = EmbeddedPostgres(tmp_path / ("long" * 20))
    place, stranger = database._sockets, 12_345 if os.geteuid() == 0 else os.geteuid()
    assert place.parent == tmp_path
    trap = place if mode else tmp_path / "trap"
    trap.mkdir(mode=0o700)
    trap.chmod(mode or 0o700)
    if mode is None:
        place.symlink_to(trap)
    os.chown(trap, stranger, -1)
    with pytest.raises(CannotStart, match="expected a directory of our own"):
        database.start()
    assert (trap.stat().st_uid, trap.stat().st_mode & 0o777) == (stranger, mode or 0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes user for the database")
def test_private_directory_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns it can put another socket there at any time."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    database = EmbeddedPostgres(tmp_path / ("long" * 20))
    database._sockets.mkdir(mode=0o700)
    os.chown(database._sockets, 12_345, -1)
    with pytest.raises(CannotStart, match="of user 12345"):
        database.start()
    assert database._sockets.stat().st_uid == 12_345


def test_database_of_another_version(database: EmbeddedPostgres, tmp_path: Path) -> None:
    """A directory of another PostgreSQL is refused, not touched."""
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("16\n", encoding="ascii")
    with pytest.raises(CannotStart, match="PostgreSQL 16, expected 18"):
        database.start()


def test_large_log_is_put_aside(tmp_path: Path) -> None:
    """A log goes on where it was, until it is large."""
    for text, size in ((b"one", 3), (b"two", 6), (bytes(11 << 20), 6 + (11 << 20)), (b"new", 3)):
        with open_log(tmp_path / "a.log") as log:
            log.write(text)
        assert (tmp_path / "a.log").stat().st_size == size
    assert tail(tmp_path / "a.log") == "new"
    assert (tmp_path / "a.log.old").exists()


def test_unusable_data_directory(tmp_path: Path) -> None:
    """A path that cannot be a directory is refused in words."""
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match="cannot be used"), DataDirectory(tmp_path / "file" / "data"):
        pass


def test_stop_right_after_start(tmp_path: Path) -> None:
    """A hub that is interrupted while its database starts leaves no process."""
    database = EmbeddedPostgres(tmp_path)
    database._prepare()
    database._spawn(database._programs / "postgres", "-D", tmp_path / "postgres", **database._runner.popen)
    child = database._child
    database.stop()
    assert child is not None
    assert child.returncode is not None
    assert living(child.pid) is None


@pytest.mark.parametrize("make", [lambda path: BuiltInBroker(path, port=free_port()), EmbeddedPostgres])
def test_closed_server_is_not_started(make: Callable[[Path], Server], tmp_path: Path) -> None:
    """Whoever still tries to start it while the hub stops leaves no process behind."""
    server = make(tmp_path)
    server.closed = True
    with pytest.raises(CannotStart, match="the hub stops"):
        server.start()
    assert server.process() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes user for the database")
def test_private_directory_is_opened_for_traversal(tmp_path: Path) -> None:
    """Above the data directory of a hub that root runs, private directories may be passed, not read."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    allow_traversal(home / "data", "nobody")
    assert home.stat().st_mode & 0o777 == 0o701


@pytest.mark.parametrize(
    ("owner", "group", "mode", "passes"),
    [(7, 1, 0o700, True), (1, 7, 0o710, True), (1, 7, 0o701, False), (1, 1, 0o701, True), (1, 1, 0o770, False)],
)
def test_who_may_traverse(owner: int, group: int, mode: int, passes: bool) -> None:
    """The first class that fits decides, as in the kernel."""
    found = SimpleNamespace(st_uid=owner, st_gid=group, st_mode=mode)
    entry = SimpleNamespace(pw_uid=7, pw_gid=7)
    assert may_traverse(found, entry) is passes  # type: ignore[arg-type]


def test_second_hub_is_refused(tmp_path: Path) -> None:
    """A directory belongs to one hub; the second is told the first's pid, and gets it when the first has left."""
    with DataDirectory(tmp_path), pytest.raises(CannotStart, match=f"pid {os.getpid()}"), DataDirectory(tmp_path):
        pass
    with DataDirectory(tmp_path):
        pass


def test_addresses_while_running(tmp_path: Path) -> None:
    """Others find a hub once it is ready, and no more when it has stopped."""
    with DataDirectory(tmp_path) as directory:
        assert find_hub(tmp_path) is None
        said = directory.announce("mqtt://127.0.0.1:1", "postgresql:///x", "http://127.0.0.1:2")
        assert find_hub(tmp_path) == said
        assert said.alive
    assert find_hub(tmp_path) is None
    assert find_hub(tmp_path / "missing") is None


def test_killed_hub_is_taken_over(tmp_path: Path) -> None:
    """After a kill -9 of the hub the next one gets the lock and the very same broker and database, then ends both."""
    port = free_port()
    broker, database = BuiltInBroker(tmp_path, port=port), EmbeddedPostgres(tmp_path)
    try:
        _start_and_kill(tmp_path, port)
        servers = [broker.process(), database.process()]
        assert None not in servers
        with DataDirectory(tmp_path):
            assert (broker.start(), database.start()) == (True, True)
            assert [broker.process(), database.process()] == servers
            with psycopg.connect(database.conninfo) as connection:
                assert connection.execute("select 1").fetchone() == (1,)
    finally:
        database.stop()
        broker.stop()
    assert not any(one and living(one.pid) for one in servers)


def _start_and_kill(path: Path, port: int) -> None:
    with subprocess.Popen([sys.executable, "-c", _HUB, str(path), str(port)], stdout=subprocess.PIPE, text=True) as hub:
        assert hub.stdout is not None
        assert any(line == "ready\n" for line in hub.stdout)
        running = find_hub(path)
        assert running is not None
        assert running.alive
        with pytest.raises(CannotStart, match=f"pid {hub.pid}"), DataDirectory(path):
            pass
        hub.send_signal(signal.SIGKILL)
    assert not running.alive


@pytest.mark.parametrize(
    ("limit", "buffers"),
    [("500000000\n", "128MB"), ("2400000000\n", "300MB"), ("max\n", "1GB"), (None, "1GB")],
    ids=["least", "container", "no limit", "no container"],
)
def test_database_keeps_an_eighth_of_the_memory(
    tmp_path: Path, database: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch, limit: str | None, buffers: str
) -> None:
    """Of the machine, or of the container where it may have less."""
    file = tmp_path / "memory.max"
    if limit:
        file.write_text(limit, "ascii")
    monkeypatch.setattr("hub.servers.postgres._LIMIT", file)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=8_192_000_000))
    database.start()
    with psycopg.connect(database.conninfo) as connection:
        assert connection.execute("SHOW shared_buffers").fetchall() == [(buffers,)]
