"""How the hub says how it is: the findings of `doctor`, and the numbers at `/metrics`."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import ANY

import psutil
import psycopg
import pytest
import structlog
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from aggregates.store.health import state
from aggregates.store.store import Store
from hub.cli.doctor import Finding, examine
from hub.run.parts import Turns
from hub.servers.broker import BuiltInBroker
from hub.servers.process import Identity, RunningHub, Server
from hub.settings.layers import load
from hub.web.metrics import ServiceCollector
from ingest.vocabulary.batch import Batch, DeadLetter, columns
from ingest.vocabulary.readings import Reading, SensorFact
from lab.load.balances import Balance
from streams.commit.pipeline import Pipeline
from streams.rollup.retention import maintain
from streams.rollup.rollup import roll_up
from tests.support.alerting import raised, rule
from tests.support.apis import served
from tests.support.brokers import Broker, built_in, free_port
from tests.support.commands import app
from tests.support.databases import fresh_database, timescale_url

OUTCOMES = ("received", "stored", "duplicate", "corrected", "rejected")
START = datetime(2024, 5, 1, 8, tzinfo=UTC)
LATER = datetime(2024, 6, 1, tzinfo=UTC)


def feed(store: Store, *, roll: bool = True) -> None:
    """Two sensors with a reading each, and a dead letter."""
    said = [Reading(f"{source}/s", "", "vehicle_count", 60, START, 1.0) for source in ("ndw", "fiware")]
    letter = DeadLetter("ttn", "v3/a/devices/b/up", b"?", "on purpose", LATER)
    Pipeline(store).store(Batch(columns(said, [LATER] * 2), (), [letter]))
    if roll:
        roll_up(store, LATER)


def damage(store: Store, statement: str) -> None:
    """Do what no code of the hub would do."""
    with psycopg.connect(store.conninfo, autocommit=True) as connection:
        connection.execute(statement.encode())


class TestState:
    """The store's own numbers."""

    def test_counts_what_there_is(self, store: Store) -> None:
        """Sensors, series, those without a place, letters, frozen days and how far hours are closed."""
        feed(store)
        found = state(store, LATER)
        assert (found.sensors, found.sensors_without_place, found.series, found.dead_letters) == (2, 2, 2, 1)
        assert (found.marks, found.rollup_lag, found.frozen_days, found.reconciled) == (0, 0, 0, None)
        assert found.closed_until == LATER - timedelta(hours=1)
        maintain(store, LATER + timedelta(days=9), timedelta(days=1))
        assert state(store, LATER).frozen_days == 1

    def test_marks_of_the_running_hour_are_no_lag(self, store: Store) -> None:
        """Only an hour that has ended waits for the roll-up."""
        feed(store, roll=False)
        assert state(store, START + timedelta(minutes=59)).marks == 0
        waiting = state(store, START + timedelta(hours=2))
        assert (waiting.marks, waiting.rollup_lag) == (1, 7200)

    def test_late_reading_waits_since_it_came(self, store: Store) -> None:
        """An hour of years ago that is marked now, as by a first start with history, has not waited for years."""
        feed(store, roll=False)
        waiting = state(store, datetime.now(UTC))
        assert waiting.marks == 1
        assert 0 < waiting.rollup_lag < timedelta(days=1).total_seconds()

    def test_balance_holds_when_everything_adds_up(self) -> None:
        """Anything missing or too much breaks the identity."""
        assert Balance("ndw", 10, 4, 3, 2, 1).holds
        assert not Balance("ndw", 11, 4, 3, 2, 1).holds


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that answers."""
    made = built_in(tmp_path).start()
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """The command line sets up logging; it ends with the test."""
    yield
    structlog.reset_defaults()


def findings(database: str, broker: str, directory: Path, **more: object) -> dict[str, Finding]:
    """Give the findings of `doctor` by what they are about."""
    settings = load({"database": database, "broker": broker, "data_dir": str(directory), **more}, directory)
    return {finding.what: finding for finding in examine(settings, None)}


def doctor(database: str, broker: str, directory: Path) -> tuple[int, str]:
    """Run `stadspuls doctor` and give its exit code and stdout."""
    words = ["doctor", f"--database={database}", f"--broker={broker}", f"--data-dir={directory}"]
    done = CliRunner().invoke(app, words)
    return done.exit_code, done.stdout


NOBODY = "mqtt://127.0.0.1:1"
AWAY = "postgresql://127.0.0.1:1/x?connect_timeout=2"


class TestDoctor:
    """What is wrong, if anything."""

    def test_all_is_well(self, store: Store, broker: Broker, tmp_path: Path) -> None:
        """Exit 0, edition and identity shown, and what the broker may lose said, not hidden."""
        feed(store)
        code, out = doctor(store.conninfo, f"mqtt://127.0.0.1:{broker.port}", tmp_path)
        assert code == 0, out
        assert "1 received = 1 stored + 0 duplicate + 0 corrected + 0 rejected" in out
        assert "edition" in out
        assert "may lose" in out
        assert "BAD" not in out

    def test_hub_with_a_token(self, store: Store, tmp_path: Path) -> None:
        """A hub that asks for a token is as well as another: what is asked of it is free."""
        settings = load({"database": store.conninfo, "api_token": "secret", "data_dir": tmp_path}, tmp_path)
        with served(settings) as url:
            running = RunningHub(Identity.of(), NOBODY, store.conninfo, url, frozenset())
            (found,) = [one for one in examine(settings, running) if one.what == "hub"]
        assert found == Finding("hub", f"running, {url}", True)

    def test_broken_identity(self, store: Store, broker: Broker, tmp_path: Path) -> None:
        """A reading that is not accounted for is exit 1, and its source is named."""
        feed(store)
        damage(store, "UPDATE accounting SET received = received + 1 WHERE source = 'ndw'")
        url = f"mqtt://127.0.0.1:{broker.port}"
        code, out = doctor(store.conninfo, url, tmp_path)
        assert code == 1
        assert "BAD" in next(line for line in out.splitlines() if "accounting ndw" in line)
        found = findings(store.conninfo, url, tmp_path)
        assert [what for what, finding in found.items() if finding.good is False] == ["accounting ndw"]

    def test_hours_that_wait_too_long(self, store: Store, tmp_path: Path) -> None:
        """Marks that were made long ago say that nobody rolls up; old hours that are marked only now do not."""
        feed(store, roll=False)
        assert findings(store.conninfo, NOBODY, tmp_path)["roll-up"].good
        damage(store, "UPDATE mark SET made_at = made_at - interval '1 hour'")
        assert findings(store.conninfo, NOBODY, tmp_path)["roll-up"].good is False

    def test_upkeep_that_is_dead_or_in_trouble(self, store: Store, tmp_path: Path) -> None:
        """A part that gave no sign for a minute is bad, and so is one that says what does not work."""

        def found(seen: timedelta, trouble: str) -> Finding:
            store.rows("note_sign_of_life", part="upkeep", now=datetime.now(UTC) - seen, trouble=trouble)
            return findings(store.conninfo, NOBODY, tmp_path)["upkeep"]

        assert found(timedelta(seconds=5), "").good
        assert found(timedelta(seconds=61), "").good is False
        bad = found(timedelta(seconds=5), "proof: KeyError: 'x'")
        assert (bad.good, "proof: KeyError: 'x'" in bad.found) == (False, True)

    def test_names_sensors_that_stand_elsewhere(self, store: Store, tmp_path: Path) -> None:
        """A place that a message gave, and that is not in the country, is kept and said."""
        facts = [SensorFact("ttn/zero", lon=0.0, lat=0.0), SensorFact("ttn/here", lon=6.5, lat=53.2)]
        Pipeline(store).store(Batch(columns([], []), facts))
        found = findings(store.conninfo, NOBODY, tmp_path)["places"]
        assert found == Finding(
            "places", "1 sensors stand outside the Netherlands, ttn/zero at longitude 0, latitude 0", False
        )

    @pytest.mark.slow
    def test_chunks_that_need_more_locks_than_there_are(self, tmp_path: Path) -> None:
        """Where questions over all chunks would fail for lack of locks, doctor says what to set; else nothing."""
        with fresh_database(timescale_url()) as database, closing(Store(database)) as store:
            feed(store)
            assert "locks" not in findings(database, NOBODY, tmp_path)
            pipeline = Pipeline(store)
            for first in range(0, 900, 50):
                days = [START - timedelta(days=day) for day in range(first, first + 50)]
                said = [Reading("ndw/s", "", "vehicle_count", 60, day, 1.0) for day in days]
                pipeline.store(Batch(columns(said, [LATER] * len(said))))
            found = findings(database, NOBODY, tmp_path)["locks"]
        assert found.good is False
        wanted = int(found.found.rpartition(" ")[2])
        assert wanted > 64, found.found

    def test_alerts_and_their_notifications(self, store: Store, tmp_path: Path) -> None:
        """Open alerts, what could not be judged, the notifier, and what channels did not take, each in a line."""
        rule(store.conninfo)
        raised(store.conninfo, "ndw/a", channel="mail")
        assert findings(store.conninfo, NOBODY, tmp_path)["notifier"] == Finding("notifier", "none has run yet", None)
        store.rows("notifier_beat", now=datetime.now(UTC) - timedelta(minutes=2), channels=["mail"])
        store.rows("note_unjudged", rule="", level="1h", first=START, last=START, error="KeyError: 'x'")
        damage(store, "UPDATE outbox SET last_error = 'away'")
        raised(store.conninfo, "ndw/b", datetime.now(UTC), channel="sms")
        damage(store, "UPDATE outbox SET dropped = 'not delivered within 24 hours' WHERE channel = 'sms'")
        found = findings(store.conninfo, NOBODY, tmp_path)
        assert found["alerts open"] == Finding("alerts open", "0 info, 2 warning, 0 critical", None)
        unjudged = "could not judge windows of 1h from 2024-05-01 08:00Z to 2024-05-01 08:00Z: KeyError: 'x'"
        assert found["alert rule all"] == Finding("alert rule all", unjudged, False)
        assert re.fullmatch(r"at work 1[2-9]\d s ago", found["notifier"].found)
        assert found["notifier"].good is False
        waiting = r"1 waiting, 0 held by a silence, the oldest due for \d+ s: away"
        assert (re.fullmatch(waiting, found["outbox mail"].found) is not None, found["outbox mail"].good) == (
            True,
            False,
        )
        lost = "1 of the last 24 hours lost: not delivered within 24 hours"
        assert found["notifications of sms"] == Finding("notifications of sms", lost, False)

    def test_servers_that_do_not_answer_are_reported(self, tmp_path: Path) -> None:
        """A database and a broker that are away are findings, not a traceback."""
        found = findings(AWAY, NOBODY, tmp_path)
        assert (found["database"].good, found["broker"].good) == (False, False)
        assert doctor(AWAY, NOBODY, tmp_path)[0] == 1

    def test_broker_with_the_wrong_password(
        self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A broker that answers and lets us not in is bad, says as whom it was asked, and never the password."""
        monkeypatch.setattr("hub.cli.doctor._ANSWERS_WITHIN", 60.0)  # a busy machine
        server = BuiltInBroker(tmp_path, "127.0.0.1", free_port(), 1000, ("hub", "p@ss/word"))
        server.start()
        try:
            place = str(server.address).partition("://")[2]
            wrong = findings(store.conninfo, f"mqtt://hub:hush@{place}", tmp_path)["broker"]
            nobody = findings(store.conninfo, f"mqtt://{place}", tmp_path)["broker"]
            right = findings(store.conninfo, f"mqtt://hub:p%40ss%2Fword@{place}", tmp_path)["broker"]
        finally:
            server.stop()
        assert (wrong.good, nobody.good, right.good) == (False, False, True)
        assert "as hub" in wrong.found
        assert "hush" not in wrong.found

    def test_records_that_wait(self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Records that wait are well while a worker is at them; with none, or after five minutes, they are not."""

        def log(waiting: int, late: int, workers: int) -> Finding:
            monkeypatch.setattr(
                "ingest.log.topics.ends",
                lambda _, before=None: {("readings", at): (late if before else waiting) * (at == 3) for at in range(8)},
            )
            monkeypatch.setattr("ingest.log.topics.workers", lambda *_: workers)
            settings = load({"database": store.conninfo, "kafka": "nowhere:1", "data_dir": str(tmp_path)}, tmp_path)
            return {finding.what: finding for finding in examine(settings, None)}["log"]

        assert [log(*numbers).good for numbers in ((9, 0, 1), (0, 0, 0), (9, 0, 0), (9, 2, 1))] == [
            True, True, False, False,
        ]  # fmt: skip
        assert "9 records wait, 2 of them for over 5 minutes" in log(9, 2, 1).found

    def test_empty_database(self, postgres: str, tmp_path: Path) -> None:
        """A database that was never migrated is a finding too."""
        assert findings(postgres, NOBODY, tmp_path)["database"].good is False

    def test_calendar_that_ends(self, tmp_path: Path) -> None:
        """School holidays that end within 30 days are a note with what to do; a calendar that cannot be read is bad."""
        today = datetime.now(UTC).date()
        soon, later, none = (tmp_path / f"{name}.toml" for name in ("soon", "later", "none"))
        for path, days in ((soon, 25), (later, 35)):
            last = today + timedelta(days=days)
            path.write_text(f'school = [{{ name = "x", first = 2020-01-01, last = {last} }}]')
        none.write_text("working = []")

        def said(*calendars: Path) -> Finding | None:
            return findings(AWAY, NOBODY, tmp_path, calendars=calendars).get("calendar")

        text = f"knows no school holidays after {today + timedelta(days=25)}: add those to come"
        assert said(soon, none) == Finding("calendar", text)
        assert (said(soon, later), said(none)) == (None, None)
        assert said(tmp_path / "nowhere.toml") == Finding("calendar", ANY, False)

    def test_passwords_are_masked(self, tmp_path: Path) -> None:
        """Neither the settings nor the findings show a password."""
        _, out = doctor("postgresql://u:hush@127.0.0.1:1/x?connect_timeout=2", "mqtt://u:hush@127.0.0.1:1", tmp_path)
        assert "hush" not in out


def metrics(store: Store) -> dict[tuple[str, ...], float]:
    """Give every sample of `/metrics` by its name and labels."""
    collector = ServiceCollector({"messages": ("of this process", lambda: 7.0)}, database=store.conninfo)
    families = text_string_to_metric_families(generate_latest(collector).decode())
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value for family in families for sample in family.samples
    }


class TestMetrics:
    """The numbers that Prometheus takes."""

    def test_every_line_parses_and_the_identity_is_in_it(self, store: Store) -> None:
        """Prometheus' own parser reads the text; received is the sum of the outcomes."""
        feed(store)
        found = metrics(store)
        for source, received in (("ndw", 1), ("fiware", 1), ("ttn", 1)):
            fates = [found["stadspuls_readings_total", *sorted((outcome, source))] for outcome in OUTCOMES]
            assert fates[0] == sum(fates[1:]) == received
        assert found["stadspuls_dead_letters",] == 1
        assert (found["stadspuls_series",], found["stadspuls_sensors",]) == (2, 2)
        assert (found["stadspuls_database_up",], found["stadspuls_messages",]) == (1, 7)

    def test_database_away(self) -> None:
        """Without a database this process's own numbers are still given, and that it is away."""
        with closing(Store("postgresql://127.0.0.1:1/x?connect_timeout=2")) as nobody:
            found = {name: value for name, value in metrics(nobody).items() if name[0] != "stadspuls_unread_total"}
            assert found == {("stadspuls_database_up",): 0, ("stadspuls_messages",): 7}

    def test_source_with_odd_letters_is_escaped(self, store: Store) -> None:
        """A label may hold anything."""
        odd = 'a"b\\c\nd'
        with psycopg.connect(store.conninfo, autocommit=True) as connection:
            connection.execute("INSERT INTO accounting VALUES (%s, '2024-05-01', 1, 1, 0, 0, 0)", [odd])
        assert metrics(store)["stadspuls_readings_total", *sorted(["stored", odd])] == 1


class Slow(Server):
    """A server that takes until `go` to start; `looked` is set when it is looked after."""

    name = "slow"
    endings = ()

    def __init__(self, directory: Path, go: threading.Event) -> None:
        super().__init__(directory)
        self.go, self.looked = go, threading.Event()

    def start(self) -> bool:
        """Take as long as a database does that recovers."""
        self.looked.set()
        self.go.wait(60)
        return False

    def _noted(self) -> psutil.Process | None:
        return None


def test_each_server_is_looked_after_for_itself(tmp_path: Path) -> None:
    """A broker that died is started again while the start of the database takes its time."""
    go = threading.Event()
    servers = [Slow(tmp_path, go), Slow(tmp_path, go)]
    with ExitStack() as stack:
        for server in servers:
            stack.enter_context(Turns(server.name, 0.01, server.keep))
        assert all(server.looked.wait(30) for server in servers)
        go.set()


class TestPolicies:
    """What TimescaleDB's community edition does in the background. It is not here: the views by which it tells are."""

    @pytest.fixture
    def policies(self, store: Store) -> Iterator[Callable[[str], dict[str, tuple[str, bool]]]]:
        """Give the findings about policies after the views were filled in."""
        if store.rows("read_edition")[0][1] is not None:
            pytest.skip("this server has the views themselves")
        with psycopg.connect(store.conninfo, autocommit=True) as connection:
            connection.execute(
                "CREATE SCHEMA timescaledb_information;"
                " CREATE TABLE timescaledb_information.jobs (job_id integer, proc_name name, hypertable_name name,"
                "     config jsonb);"
                " CREATE TABLE timescaledb_information.job_stats (job_id integer, hypertable_name name,"
                "     last_run_status text, last_run_started_at timestamptz, total_failures bigint, total_runs bigint);"
                " CREATE TABLE timescaledb_information.chunks (hypertable_name name, range_end timestamptz,"
                "     is_compressed boolean, chunk_schema name DEFAULT 'public', chunk_name name DEFAULT 'dense');"
                " CREATE TABLE packing (before_compression_total_bytes bigint, after_compression_total_bytes bigint);"
                " CREATE FUNCTION chunk_compression_stats(regclass) RETURNS SETOF packing LANGUAGE sql"
                "     AS 'SELECT * FROM packing'"
            )
            connection.execute(
                "INSERT INTO timescaledb_information.jobs"
                ' VALUES (1, \'pack_chunks\', null, \'{"after": {"reading": "7 days"}}\')'
            )

            def found(filled: str) -> dict[str, tuple[str, bool]]:
                connection.execute(filled.encode())
                rows = connection.execute("SELECT * FROM policy_findings()").fetchall()
                return {what: (text, good) for what, text, good in rows}

            yield found

    CHUNKS = (
        "INSERT INTO packing SELECT 1024 * 1024, {2} * 1024 FROM generate_series(1, 10);"
        " INSERT INTO timescaledb_information.chunks SELECT 'reading', now() - n * interval '1 day', n > {0}"
        " FROM generate_series(0, 30) n;"
        " INSERT INTO timescaledb_information.job_stats VALUES (1, null, '{1}', '2026-11-01 03:00+00', 2, 9)"
    )

    def test_packed_in_time(self, policies: Callable[[str], dict[str, tuple[str, bool]]]) -> None:
        """Chunks of the last days are not packed yet, and need not be."""
        found = policies(self.CHUNKS.format(8, "Success", 100))
        assert found == {"packed reading": ("22 chunks, 1000 kB of 10 MB", True)}

    def test_sparse_chunks(self, policies: Callable[[str], dict[str, tuple[str, bool]]]) -> None:
        """Chunks that would take more room packed than not are left as they are on purpose: they are not late."""
        sparse = "CREATE TABLE sparse (); COMMENT ON TABLE sparse IS 'too sparse to be packed, at 8192 bytes';"
        chunks = self.CHUNKS.format(12, "Success", 100) + "; UPDATE timescaledb_information.chunks"
        found = policies(f"{sparse} {chunks} SET chunk_name = 'sparse' WHERE NOT is_compressed AND range_end < now()")
        text = (
            "18 chunks, 1000 kB of 10 MB, and 12 left that would grow: few rows of a series in each, see chunk_interval"
        )
        assert found == {"packed reading": (text, True)}

    def test_a_policy_that_fails_and_chunks_that_wait_for_it(
        self, policies: Callable[[str], dict[str, tuple[str, bool]]]
    ) -> None:
        """Both are bad, and say since when and how many."""
        found = policies(self.CHUNKS.format(12, "Failed", 100))
        assert found["packed reading"] == ("18 chunks, 1000 kB of 10 MB, and 4 older than 7 days that are not", False)
        text, good = found["policy pack_chunks"]
        assert text.startswith("failed at 2026-11-01 03:00 UTC, 2 of 9 times")
        assert not good
