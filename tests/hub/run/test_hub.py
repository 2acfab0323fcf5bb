"""The embedded hub from end to end, with real broker and database: started, killed, asked, and fed real recordings."""

import gzip
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pandas as pd
import psutil
import psycopg
import pytest

from aggregates.store.store import Store
from hub.servers.broker import BuiltInBroker
from hub.servers.postgres import EmbeddedPostgres
from hub.servers.process import find_hub, raise_file_limit
from ingest.files.recordings import messages
from ingest.formats.coded.luchtmeetnet import PREAMBLE
from ingest.formats.decode import decode
from ingest.mqtt.address import Address
from ingest.mqtt.sender import Sender
from ingest.vocabulary.readings import Message
from streams.commit.pipeline import FROZEN, Pipeline
from streams.rollup.reconcile import reconcile
from streams.rollup.retention import maintain
from streams.rollup.rollup import roll_up
from tests.support.brokers import free_port
from tests.support.databases import differences, fresh_database, tables
from tests.support.hubs import Asked, UpHub
from tests.support.lines import until
from tests.support.programs import command
from tests.support.receivers import Hook, transitions

LATER = datetime(2024, 9, 1, tzinfo=UTC)
# A member of a shared subscription that acknowledges nothing.
MEMBER = """
import sys
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
client = Client(CallbackAPIVersion.VERSION2, "member", clean_session=False, manual_ack=True)
client.on_connect = lambda *_: client.subscribe("$share/group/shared/#", qos=1)
client.on_subscribe = lambda *_: print("subscribed", flush=True)
client.on_message = lambda *_: print("received", flush=True)
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_forever()
"""


@pytest.fixture
def new_hub(tmp_path: Path) -> Iterator[Callable[..., UpHub]]:
    """Make hubs in directories of their own, and leave none behind."""
    made: list[UpHub] = []

    def make(*flags: str, directory: Path | None = None) -> UpHub:
        made.append(UpHub(directory or tmp_path / f"hub{len(made)}", *flags))
        return made[-1]

    yield make
    for hub in made:
        hub.clean_up()


@pytest.fixture
def hub(new_hub: Callable[..., UpHub]) -> UpHub:
    """A hub that is ready."""
    made = new_hub()
    made.start()
    return made


def counts(minute: int, value: float) -> bytes:
    """One minute of a counter, as own JSON."""
    start = datetime(2026, 3, 2, 8, tzinfo=UTC) + timedelta(minutes=minute)
    return b'{"sensor_id":"stadspuls/bridge","quantity":"bicycle_count","period":60,"start":"%s","value":%g}' % (
        start.isoformat().encode(),
        value,
    )


class TestScenarios:
    """What a user sees, whichever way it runs: `test_distributed` runs the same through Kafka and Faust."""

    def test_message_becomes_an_hourly_figure(self, hub: Asked) -> None:
        """Sixty messages of a minute become one valid hour, one sent again counts once, nonsense is a dead letter."""
        with Sender(Address.parse(f"mqtt://127.0.0.1:{hub.mqtt_port}")) as sender:
            for minute in [*range(60), 59]:
                sender.publish("stadspuls/stadspuls/bridge", counts(minute, minute))
            sender.publish("stadspuls/stadspuls/bridge", b"nonsense")
            sender.flush(30)
        hub.settle()
        (hour,) = hub.query("bicycle_count", "2026-03-02", "2026-03-03", "1h", "--sensor=stadspuls/bridge")
        assert (hour["start"], hour["value"], hour["readings"]) == ("2026-03-02T08:00:00Z", sum(range(60)), 60)
        assert (hour["coverage"], hour["valid"], hour["unit"]) == (1.0, True, "1")
        assert hub.metric('stadspuls_readings_total{outcome="duplicate",source="stadspuls"}') == 1
        accounts = "62 received = 60 stored + 1 duplicate + 0 corrected + 1 rejected"
        assert accounts in hub.run("doctor")
        assert "nonsense" in hub.run("dead-letters", "list")

    def test_late_and_corrected(self, hub: Asked) -> None:
        """An hour that was rolled up is made anew when one of its minutes comes late, and one with a newer version."""
        with Sender(Address.parse(f"mqtt://127.0.0.1:{hub.mqtt_port}")) as sender:
            for said, value in (
                ([counts(minute, 1) for minute in range(58)], 58),
                ([counts(58, 5), counts(57, 3).replace(b"}", b',"version":7}')], 65),
                ([counts(57, 1)], 65),
            ):
                for one in said:
                    sender.publish("stadspuls/stadspuls/bridge", one)
                sender.flush(30)
                hub.settle()
                (hour,) = hub.query("bicycle_count", "2026-03-02", "2026-03-03", "1h")
                assert hour["value"] == value
        assert "61 received = 59 stored + 1 duplicate + 1 corrected + 0 rejected" in hub.run("doctor")

    def test_unknown_sensor_is_an_empty_answer(self, hub: Asked) -> None:
        """Asking for what is not there is exit 0, an empty list, and a note on stderr."""
        assert hub.query("no2", "2024-06-01", "2024-06-02", "1h", "--sensor=luchtmeetnet/none") == []
        hub.run("query", "--quantity=nonsense", "--from=2024-06-01", "--to=2024-06-02", "--window=1h", code=2)


class TestOneProgram:
    """Started, stopped, killed, and in its own way."""

    def test_doctor_names_the_ports_of_the_hub_that_runs(self, hub: UpHub) -> None:
        """Not those of the settings, which may be others by now."""
        ports = dict(line.split()[:2] for line in hub.run("doctor").splitlines() if "_port " in line)
        assert (ports["mqtt_port"], ports["http_port"]) == (str(hub.mqtt_port), str(hub.http_port))

    def test_database_of_ones_own(self, postgres: str, new_hub: Callable[..., UpHub]) -> None:
        """It is waited for, named, and used by other commands; its password is kept nowhere."""
        name = f"later_{secrets.token_hex(6)}"
        conninfo = psycopg.conninfo.make_conninfo(postgres, dbname=name, password="hush hush")
        hub = new_hub(f"--database={conninfo}", "--wait-for-database")
        hub.directory.mkdir()
        (hub.directory / "up.log").touch()
        with psycopg.connect(postgres, autocommit=True) as admin:
            starting = Thread(target=hub.start)
            starting.start()
            until(lambda: "waiting for the database: OperationalError" in hub.log())
            admin.execute(f"CREATE DATABASE {name}".encode())
            starting.join(60)
            assert f"dbname={name}" in next(line for line in hub.log().splitlines() if line.startswith("ready"))
            assert str(hub.directory) not in hub.log()
            hub.run("sensors", "list")
            assert "hush" not in hub.log() + (hub.directory / "hub.json").read_text()
            hub.stop()
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    def test_analysts_sql_reads_and_cannot_write(self, new_hub: Callable[..., UpHub]) -> None:
        """Let in over TCP with the password as the reader alone; without the settings nobody listens there."""
        hub, port = new_hub(), free_port()
        hub.directory.mkdir(parents=True)
        settings = hub.directory / "stadspuls.toml"
        settings.write_text(f'sql_port = {port}\nsql_password = "it\'s secret"\n')
        hub.start()
        assert f"sql    postgresql://stadspuls_reader@127.0.0.1:{port}/postgres" in hub.log()

        def come_in(user: str = "stadspuls_reader", password: str = "it's secret") -> psycopg.Connection[Any]:
            where = f"host=127.0.0.1 port={port} dbname=postgres"
            return psycopg.connect(where, user=user, password=password, autocommit=True)

        with come_in() as analyst:
            assert analyst.execute("SELECT count(*) FROM sensor_1h").fetchone() == (0,)
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                analyst.execute("DELETE FROM reading")
            analyst.execute("SET default_transaction_read_only = off")
            for statement in ("DELETE FROM reading", "CREATE TABLE mine ()", "SELECT payload FROM dead_letter"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    analyst.execute(statement.encode())
        for user, password in (("stadspuls_reader", "secret"), ("postgres", "it's secret")):
            with pytest.raises(psycopg.OperationalError):
                come_in(user, password)
        hub.run("sensors", "list")
        hub.kill()
        settings.unlink()
        hub.start()
        with pytest.raises(psycopg.OperationalError, match="refused"):
            come_in()

    def test_a_new_hub_has_closed_hours_before_readings_come(self, new_hub: Callable[..., UpHub]) -> None:
        """Else a backlog that outruns the first roll-up keeps all hours open, and judging its rules took minutes."""
        hub = new_hub()
        hub.directory.mkdir(parents=True)
        (hub.directory / "stadspuls.toml").write_text("rollup_every = 600\n")
        with psycopg.connect(hub.start().database) as reader:
            assert reader.execute("SELECT closed_until > now() - interval '3 hours' FROM rollup").fetchone() == (True,)

    def test_stops_cleanly_and_starts_again(self, hub: UpHub) -> None:
        """After Ctrl-C no process is left and the next start has everything."""
        with Sender(Address.parse(f"mqtt://127.0.0.1:{hub.mqtt_port}")) as sender:
            sender.publish("stadspuls/stadspuls/bridge", counts(0, 7))
            sender.flush(30)
        hub.settle()
        assert hub.stop(signal.SIGINT) == 0
        assert "not connected" not in (hub.directory / "up.log").read_text()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", hub.mqtt_port), timeout=1)
        hub.start()
        (hour,) = hub.query("bicycle_count", "2026-03-02", "2026-03-03", "1h")
        assert hour["value"] == 7

    @pytest.mark.long
    def test_stop_loses_nothing_of_a_backlog(self, hub: UpHub) -> None:
        """What the broker confirmed while the hub stood still is stored after a stop and a start."""
        found = find_hub(hub.directory)
        assert found is not None
        process = psutil.Process(found.hub.pid)
        process.suspend()
        with Sender(Address.parse(f"mqtt://127.0.0.1:{hub.mqtt_port}")) as sender:
            for minute in range(20_000):
                sender.publish("stadspuls/stadspuls/bridge", counts(minute, 1))
            sender.flush(60)
        process.terminate()
        process.resume()
        assert hub.stop() == 0
        hub.start()
        hub.settle()
        assert hub.metric('stadspuls_readings_total{outcome="stored"') == 20_000

    @pytest.mark.long
    def test_stop_while_nothing_can_be_stored_leaves_the_broker(self, hub: UpHub) -> None:
        """A stop that cannot store what the broker holds says so and leaves the broker to the next start."""
        with closing(psycopg.connect(hub.database)) as blocking:
            blocking.execute("LOCK TABLE reading IN ACCESS EXCLUSIVE MODE")
            with Sender(Address.parse(f"mqtt://127.0.0.1:{hub.mqtt_port}")) as sender:
                for minute in range(3000):
                    sender.publish("stadspuls/stadspuls/bridge", counts(minute, 1))
                sender.flush(60)
            until(lambda: BuiltInBroker(hub.directory).held == 3000)
            assert hub.stop() == 0
        assert "broker goes on with messages that are not stored" in hub.log()
        assert "at_most=3000" in hub.log()
        assert "goes on without a hub, with at most 3000 messages" in hub.run("doctor", code=1)
        hub.start()
        hub.settle()
        assert hub.metric('stadspuls_readings_total{outcome="stored"') == 3000
        until(lambda: hub.metric("stadspuls_broker_messages_held") == 0)
        assert "at most 0 messages" in hub.run("doctor")

    def test_directory_belongs_to_one_hub(self, hub: UpHub, new_hub: Callable[..., UpHub]) -> None:
        """A second hub on the same directory says whose it is, and ends with 3."""
        second = command("up", f"--data-dir={hub.directory}")
        assert second.returncode == 3
        assert "belongs to a running hub" in second.stderr

    def test_taken_port_is_named(self, hub: UpHub, tmp_path: Path) -> None:
        """A port that is taken ends the start with 3 and its number, and leaves no server behind."""
        other = tmp_path / "other"
        flags = [f"--data-dir={other}", f"--mqtt-port={hub.mqtt_port}"]
        second = command("up", *flags)
        assert second.returncode == 3
        assert str(hub.mqtt_port) in second.stderr
        assert not (other / "postgres" / "postmaster.pid").exists()


class TestKilled:
    """Promises 1, 2 and 5 under kill -9."""

    def test_three_times_shuffled_and_killed(self, new_hub: Callable[..., UpHub], postgres: str) -> None:
        """The same messages three times, shuffled, the hub killed at random moments: the tables of one quiet run."""
        chance = random.Random(7)
        said = [("stadspuls/stadspuls/bridge", counts(minute, minute % 11)) for minute in range(3000)]
        three = said * 3
        chance.shuffle(three)
        hub = new_hub()
        hub.start()
        with Sender(Address.parse(f"mqtt://127.0.0.1:{hub.mqtt_port}")) as sender:
            for part in range(6):
                for topic, payload in three[part * 1500 : (part + 1) * 1500]:
                    sender.publish(topic, payload)
                time.sleep(chance.random() * 0.2)
                hub.kill()
                hub.start()
            sender.flush(60)
        hub.settle()
        with fresh_database(postgres) as quiet, closing(Store(quiet)) as store:
            now = datetime.now(UTC)
            Pipeline(store).store(decode([Message(topic, payload, now) for topic, payload in said]))
            roll_up(store, now)
            assert differences(hub.database, quiet) == []
        assert hub.metric('stadspuls_readings_total{outcome="stored"') == 3000
        assert hub.reconcile("2026-03-01", "2026-03-08") > 0

    def test_database_killed(self, hub: UpHub) -> None:
        """With the database killed under it the hub starts it again, and what was published meanwhile arrives."""
        server = EmbeddedPostgres(hub.directory).process()
        assert server is not None
        server.kill()
        with Sender(Address.parse(f"mqtt://127.0.0.1:{hub.mqtt_port}")) as sender:
            for minute in range(30):
                sender.publish("stadspuls/stadspuls/bridge", counts(minute, 1))
            sender.flush(30)
        hub.settle()
        (hour,) = hub.query("bicycle_count", "2026-03-02", "2026-03-03", "1h")
        assert (hour["value"], hour["readings"]) == (30, 30)

    def test_idle_connections(self, hub: UpHub) -> None:
        """With 1,024 files allowed and more half-sent requests than that, the hub goes on, with its own database."""
        found, database = find_hub(hub.directory), EmbeddedPostgres(hub.directory).process()
        assert found is not None
        psutil.Process(found.hub.pid).rlimit(psutil.RLIMIT_NOFILE, (1024, 1024))
        raise_file_limit()
        with ExitStack() as clients:
            for _ in range(1100):
                one = clients.enter_context(socket.create_connection(("127.0.0.1", hub.http_port), timeout=30))
                with suppress(OSError):  # it is refused already
                    one.sendall(b"GET /healthz HTTP/1.1\r\n")
            with Sender(Address.parse(f"mqtt://127.0.0.1:{hub.mqtt_port}")) as sender:
                sender.publish("stadspuls/stadspuls/bridge", counts(0, 7))
                sender.flush(30)
            with psycopg.connect(hub.database, autocommit=True) as connection:
                until(lambda: connection.execute("SELECT count(*) FROM reading").fetchone() == (1,), 60)
        until(lambda: bool(hub.health()["ready"]), 60)
        assert EmbeddedPostgres(hub.directory).process() == database

    @pytest.mark.slow
    def test_any_client_may_end_the_brokers_router(self, hub: UpHub) -> None:
        """A member of a group that is killed while it has a message ends it for good: a broker is started anew."""
        with subprocess.Popen([sys.executable, "-c", MEMBER, str(hub.mqtt_port)], stdout=subprocess.PIPE) as member:
            assert member.stdout is not None
            assert member.stdout.readline() == b"subscribed\n"
            with Sender(Address.parse(f"mqtt://127.0.0.1:{hub.mqtt_port}")) as sender:
                sender.publish("shared/one", b"x")
                sender.flush(30)
            assert member.stdout.readline() == b"received\n"
            member.kill()
        until(lambda: not hub.health()["ready"], 60)
        until(lambda: bool(hub.health()["ready"]), 150)
        with Sender(Address.parse(f"mqtt://127.0.0.1:{hub.mqtt_port}")) as sender:
            sender.publish("stadspuls/stadspuls/bridge", counts(0, 7))
            sender.flush(30)
        hub.settle()
        assert hub.metric('stadspuls_readings_total{outcome="stored"') == 1

    @pytest.mark.slow
    def test_what_hangs_is_named(self, hub: UpHub) -> None:
        """A broker that takes connections and says nothing, and a database that takes no writes: not ready, and why."""

        def trouble(word: str) -> bool:
            found = hub.health()
            return not found["ready"] and word in str(found["trouble"])

        assert hub.health()["trouble"] == []
        broker = BuiltInBroker(hub.directory, "127.0.0.1", hub.mqtt_port).process()
        assert broker is not None
        broker.suspend()
        until(lambda: trouble("broker"), 60)
        assert "does not answer" in hub.run("doctor", code=1)
        until(lambda: bool(hub.health()["ready"]), 150)
        assert not broker.is_running()
        with psycopg.connect(hub.database, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            connection.execute("SELECT pg_reload_conf()")
            until(lambda: trouble("read-only"), 60)
            connection.execute("SET default_transaction_read_only = off")
            connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            connection.execute("SELECT pg_reload_conf()")
        until(lambda: bool(hub.health()["ready"]), 60)


@pytest.mark.shared
class TestRealInput:
    """The recorded minute of the whole country, and a month of air."""

    @pytest.mark.slow
    def test_national_minute(self, hub: Asked, shared_data: Path) -> None:
        """Every flow and speed of 19,587 sites is accounted for; Groningen's totals are those of the XML."""
        hub.publish([shared_data / "ndw" / "trafficspeed_20250815T2149Z.xml.gz"], "ndw")
        assert hub.metric('stadspuls_readings_total{outcome="stored",source="ndw"}') == 94_996 + 94_990
        assert hub.metric('stadspuls_readings_total{outcome="rejected",source="ndw"}') == 0
        expected = any_vehicle_totals(shared_data / "ndw" / "trafficspeed_20250815T2149Z_PGR_subset.xml.gz")
        found = {
            row["sensor_id"]: row["value"]
            for row in hub.query("vehicle_count", "2025-08-15T21:45Z", "2025-08-15T21:50Z", "5m")
            if row["sensor_id"].startswith("ndw/PGR") and row["value"] is not None
        }
        assert len(expected) > 100
        assert found == expected

    def test_month_of_air(self, hub: Asked, shared_data: Path) -> None:
        """Hourly NO2 stands on its own hour, and the daily means are those of pandas over days at UTC+1."""
        file = shared_data / "air" / "luchtmeetnet" / "2024_06_NO2.csv.gz"
        hub.publish([file], "luchtmeetnet")
        for station in ("NL10937", "NL10938"):
            expected = station_hours(file, station)
            asked = ("no2", "2024-05-31", "2024-07-02")
            found = hub.query(*asked, "1h", f"--sensor=luchtmeetnet/{station}")
            assert {pd.Timestamp(row["start"]): row["value"] for row in found} == expected.to_dict()
            local = pd.DatetimeIndex(expected.index).shift(1, "h").floor("D")
            days = expected.groupby(local).agg(["mean", "count"])
            means = days[days["count"] >= 18]["mean"]
            valid = [row for row in hub.query(*asked, "1d", f"--sensor=luchtmeetnet/{station}") if row["valid"]]
            starts = {pd.Timestamp(row["start"]) + pd.Timedelta(hours=1): row["value"] for row in valid}
            assert starts == pytest.approx(means.to_dict(), rel=1e-9)


ALERTED = """
[defaults]
quantity = "bicycle_count"
late = "tell"
retrospect = "99w"
notify = ["raised"]

[[rule]]
name = "five"
title = "Many in 5 minutes"
level = "5m"
raise = 250

[[rule]]
name = "hour"
title = "Many in an hour"
level = "1h"
raise = 1000
"""


class TestAlerts:
    """A rule of one's own, judged by whoever commits the window, told by whoever notifies."""

    @pytest.fixture
    def hook(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
        """A webhook that the hubs of this test are told to use."""
        (tmp_path / "rules").mkdir()
        (tmp_path / "rules" / "own.toml").write_text(ALERTED)
        monkeypatch.setenv("STADSPULS_RULES", str(tmp_path / "rules"))
        with Hook() as made:
            (tmp_path / "channels.toml").write_text(f'[channel.hook]\nurl = "{made.url}"')
            monkeypatch.setenv("STADSPULS_ALERT_CHANNELS", str(tmp_path / "channels.toml"))
            yield made

    @pytest.fixture
    def hub(self, hook: Hook, new_hub: Callable[..., UpHub]) -> UpHub:
        """A hub that was told so."""
        made = new_hub()
        made.start()
        return made

    def test_five_minutes_and_an_hour_are_notified_once(self, hub: UpHub, hook: Hook) -> None:
        """Readings become one message for each rule, with its windows; sent again they become no more."""
        for _ in range(2):
            with Sender(Address.parse(f"mqtt://127.0.0.1:{hub.mqtt_port}")) as sender:
                for minute in range(60):
                    sender.publish("stadspuls/stadspuls/bridge", counts(minute, minute))
                sender.flush(30)
            hub.settle()
            until(lambda: len(transitions(hook.once())) >= 2)
        said = [one for post in hook.once() for one in post["alerts"]]
        assert sorted((one["rule"], one["kind"], one["windows"][0]["value"]) for one in said) == [
            ("five", "raised", sum(range(50, 55))), ("hour", "raised", sum(range(60))),
        ]  # fmt: skip


def any_vehicle_totals(path: Path) -> dict[str, float]:
    """The vehicles that Groningen's sites counted: in each block of 6 flows and 6 speeds the sixth is all vehicles."""
    names = {"d": "http://datex2.eu/schema/2/2_0"}
    totals: dict[str, float] = defaultdict(float)
    root = ElementTree.fromstring(gzip.decompress(path.read_bytes()))
    for site in root.iterfind(".//d:siteMeasurements", names):
        reference = site.find("d:measurementSiteReference", names)
        assert reference is not None
        for value in site.iterfind("d:measuredValue", names):
            flow = value.findtext(".//d:vehicleFlowRate", None, names)
            failed = value.findtext(".//d:dataError", "false", names) == "true"
            if int(value.attrib["index"]) % 12 == 6 and flow is not None and not failed:
                totals[f"ndw/{reference.attrib['id']}"] += int(flow) / 60
    return dict(totals)


def station_hours(path: Path, station: str) -> "pd.Series[float]":
    """The hourly values of a station by the UTC start of their hour, read by pandas."""
    frame = pd.read_csv(path, sep=";", skiprows=9, encoding="latin-1")
    frame.index = pd.to_datetime(frame[" Begindatumtijd"], utc=True)
    return frame[station].dropna().astype(float)


@pytest.mark.shared
class TestTwoPublications:
    """Ten days of June as provisional, then validated with values changed; then frozen."""

    @pytest.mark.long
    def test_any_order_and_frozen(self, store: Store, database: str, postgres: str, shared_data: Path) -> None:
        """Whichever comes first the tables are the same; frozen, a third sending ends as dead letters alone."""
        pieces = june(shared_data)
        changed = [change(piece) for piece in pieces]
        mixed = [*pieces, *changed]
        random.Random(3).shuffle(mixed)
        send(store, mixed)
        with fresh_database(postgres) as other, closing(Store(other)) as second:
            send(second, [*pieces, *changed])
            assert differences(database, other) == []
        assert not any(d.windows for d in reconcile(store, datetime(2024, 6, 1).date(), datetime(2024, 7, 1).date()))  # noqa: DTZ001
        self.check_frozen(store, database, pieces)

    def check_frozen(self, store: Store, database: str, pieces: list[Message]) -> None:
        """Switch retention on, send again, and compare."""
        frozen = maintain(store, LATER + timedelta(days=90), timedelta(days=30))
        assert len(frozen) == 11  # ten days at UTC+1, the first of which begins on the last UTC day of May
        before = tables(database)
        assert before["reading"] == []
        send(store, pieces)
        assert tables(database) == before
        with psycopg.connect(database) as connection:
            (found,) = connection.execute("SELECT sum(count), min(reason), max(reason) FROM dead_letter").fetchall()
        assert found == (sum(len(decode([piece])) for piece in pieces), FROZEN, FROZEN)


def june(shared_data: Path) -> list[Message]:
    """The NO2 of ten days of June 2024 as it was published, in messages."""
    path = shared_data / "air" / "luchtmeetnet" / "2024_06_NO2.csv.gz"
    said = [(topic, payload.splitlines()[: PREAMBLE + 240]) for topic, payload, _ in messages(path, "luchtmeetnet")]
    return [Message(topic, b"\n".join(lines), LATER) for topic, lines in said]


def change(piece: Message) -> Message:
    """The validated form of a message, every value of 3.9 and 5.1 changed."""
    payload = piece.payload.replace(b";3.9;", b";4.4;").replace(b";5.1;", b";0.7;")
    return piece._replace(topic=f"{piece.topic}?status=validated", payload=payload)


def send(store: Store, said: list[Message]) -> None:
    """Decode, store and roll up messages one by one."""
    pipeline = Pipeline(store)
    for message in said:
        pipeline.store(decode([message]))
    roll_up(store, LATER)
