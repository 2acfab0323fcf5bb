"""A fault at every call beside the line, one after the other, while readings flow: none is lost, each is reported."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from structlog.testing import capture_logs

import aggregates.areas.roll_up
import aggregates.store.health
import hub.run.upkeep
import hub.web.metrics
import streams.alerts.clock
import streams.notify
import streams.rollup
from aggregates.store.store import Store
from hub.run.notifying import NotifierPart
from hub.run.parts import Turns
from hub.run.upkeep import Upkeep
from hub.settings.layers import load
from hub.web.http import application, listening
from hub.web.metrics import ServiceCollector
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.calendar import load_days
from ingest.vocabulary.readings import Reading
from streams.alerts.judge import Judge
from streams.alerts.rulebook import load_rules
from streams.commit.pipeline import Pipeline
from streams.notify.channels import Channel, Channels
from streams.notify.delivery import ChannelDelivery
from streams.notify.texts import Notification, Style
from tests.streams.alerts.test_judge import empty
from tests.support.alerting import NOON, cleared, raised, rule
from tests.support.databases import ZONE
from tests.support.faults import Faults, Site

START = datetime(2024, 5, 1, 8, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
NIGHT = datetime(2024, 5, 2, 2, 30, tzinfo=UTC)
TRUTH = "SELECT start, readings, total FROM {} ORDER BY series, start"


def heard(store: Store, first: int, count: int) -> None:
    """Store some minutes of a counter."""
    said = [Reading("ndw/s", "", "vehicle_count", 60, START + at * MINUTE, 5.0) for at in range(first, first + count)]
    Pipeline(store).store(Batch(columns(said, [START + (first + count) * MINUTE] * count)))


def asked(url: str, question: str) -> list[tuple[Any, ...]]:
    """Ask the database directly."""
    with psycopg.connect(url) as connection:
        return connection.execute(question.encode()).fetchall()


def forget(url: str) -> None:
    """Empty all tables that the parts write."""
    empty(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE unjudged, alert_rule, notifier, digest, sign_of_life, unplaced")
        connection.execute("INSERT INTO unplaced DEFAULT VALUES")


def step(turns: Turns, take: Callable[[], object]) -> None:
    """Take a turn as the part's thread does."""
    bugs = turns.bugs
    turns.step("turn", take)
    if turns.bugs > bugs:
        turns._close()


@pytest.mark.slow
def test_a_fault_at_any_call_of_the_upkeep_loses_nothing(database: str, store: Store) -> None:
    """Readings are stored, the fault is named and counted, and the next turn makes everything good."""

    def day(faults: Faults, upkeep: Upkeep) -> None:
        for first, now in ((0, START + 20 * MINUTE), (60, START + 2 * HOUR), (120, NIGHT - HOUR), (180, NIGHT)):
            heard(line, first, 60)
            with faults.injected():
                step(upkeep, lambda now=now: upkeep.turn(now))  # type: ignore[misc]

    def faults(at: Site | None = None) -> Faults:
        places = [hub.run.upkeep, streams.rollup, aggregates.areas.roll_up, streams.alerts.clock]
        return Faults(places, {Upkeep._turn.__code__, Upkeep.turn.__code__}, [contextlib], at)

    def made() -> tuple[Judge, Upkeep]:
        judge = Judge(load_rules(), load_days(ZONE))
        return judge, Upkeep(store, load({"retention": "90d"}), judge)

    line = Store(database)
    calls = faults()
    day(calls, made()[1])
    truth = [asked(database, TRUTH.format(name)) for name in ("window_1h", "window_1d")]
    assert len(calls.sites) > 50
    for site in calls.sites:
        forget(database)
        judge, upkeep = made()
        with capture_logs() as logs:
            day(faults(site), upkeep)
        assert asked(database, "SELECT count(*) FROM reading") == [(240,)], site
        assert upkeep.bugs + judge.failures.count, site
        assert [line for line in logs if line["log_level"] == "error"], site
        step(upkeep, lambda upkeep=upkeep: upkeep.turn(NIGHT + 2 * MINUTE))  # type: ignore[misc]
        step(upkeep, lambda upkeep=upkeep: upkeep.turn(NIGHT + 4 * MINUTE))  # type: ignore[misc]
        assert upkeep._failing == {}, site
        assert [asked(database, TRUTH.format(name)) for name in ("window_1h", "window_1d")] == truth, site
    line.close()


class Recorder:
    """A door that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[Notification] = []

    def send(self, message: Notification) -> None:
        """Keep it."""
        self.messages.append(message)


def notifier(database: str, door: Recorder) -> NotifierPart:
    """Make a notifier with one channel, which gathers a digest."""
    channel = Channel(url="json://x", digest="00:00", escalate_after=None)
    delivery = ChannelDelivery("a", channel, door.send, Style("en", load_days(ZONE).zone, None))
    made = NotifierPart(database, Channels(channels={"a": channel}), {"a": delivery})
    made._clock = lambda: NOON + 10 * MINUTE
    return made


def turns(made: NotifierPart) -> None:
    """Take each line's turn twice."""
    for line in made._lines * 2:
        step(line, line._take)


def check_sent(database: str, door: Recorder, site: Site) -> None:
    """Each of the three transitions was sent, under one key, or is named as lost."""
    lost = {one for (one,) in asked(database, "SELECT transition FROM outbox WHERE dropped LIKE 'not delivered%'")}
    keys = [(one["transition"], message.key) for message in door.messages for one in message.data]
    assert len({transition for transition, _ in keys} | lost) == 3, site
    assert len(set(keys)) == len({transition for transition, _ in keys}), site


@pytest.mark.slow
def test_a_fault_at_any_call_of_the_notifier_loses_nothing(database: str, store: Store) -> None:
    """Readings are stored; what was not sent is sent later with its key, or named as lost by `doctor`."""
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO silence (rule, subject, first, last, made_by, reason, made_at)"
                           " VALUES ('x*', '*', '2020-01-01', NULL, 'a', 'b', '2020-01-01')")  # fmt: skip

    def faults(at: Site | None = None) -> Faults:
        return Faults([streams.notify], spared=[contextlib], at=at)

    def fed(injected: Faults, door: Recorder) -> int:
        rule(database)
        for number in range(2):
            alert = raised(database, f"ndw/{number}")
        cleared(database, alert, NOON + MINUTE)
        made = notifier(database, door)
        heard(store, 0, 30)
        with injected.injected():
            turns(made)
        heard(store, 30, 30)
        reported = sum(line.bugs for line in made._lines) + made.deliveries["a"].failed
        for line in made._lines:
            line._close()
        return reported

    assert not fed(faults(), Recorder())  # what is made once is there from then on
    forget(database)
    calls, door = faults(), Recorder()
    assert not fed(calls, door)
    assert len(calls.sites) > 40
    for site in calls.sites:
        forget(database)
        door = Recorder()
        with capture_logs() as logs:
            reported = fed(faults(site), door)
        assert asked(database, "SELECT count(*) FROM reading") == [(60,)], site
        assert reported, site
        assert [line for line in logs if line["log_level"] in ("error", "warning")], site
        again = notifier(database, door)
        again._clock = lambda: NOON + 2 * HOUR
        turns(again)
        for line in again._lines:
            line._close()
        check_sent(database, door, site)


class Examined(Collector):
    """A collector of which one call may raise."""

    def __init__(self, inner: Collector, faults: Faults) -> None:
        self._inner, self._faults = inner, faults

    def collect(self) -> Iterable[Metric]:
        """Give every metric."""
        with self._faults.injected():
            return list(self._inner.collect())


@pytest.mark.slow
def test_a_fault_at_any_call_of_the_metrics_stops_no_reading(database: str, store: Store) -> None:
    """The scrape fails, which Prometheus shows as a target that is down; health is answered and readings are stored."""

    def scraped(at: Site | None = None) -> tuple[Faults, Sequence[int]]:
        faults = Faults([hub.web.metrics, aggregates.store.health], spared=[contextlib], at=at)
        collector = Examined(ServiceCollector({"a": ("b", lambda: 1.0)}, database=database), faults)
        app = application(collector, lambda: {"ready": True})
        with listening(app, "127.0.0.1", 0) as address:
            return faults, [httpx.get(address + path).status_code for path in ("/metrics", "/readyz")]

    calls, statuses = scraped()
    assert statuses == [200, 200]
    assert len(calls.sites) > 10
    for number, site in enumerate(calls.sites):
        assert scraped(site)[1] == [500, 200], site
        heard(store, number, 1)
    assert asked(database, "SELECT count(*) FROM reading") == [(len(calls.sites),)]
