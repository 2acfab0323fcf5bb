"""A fault at every call of judging, one after the other: no reading is lost, each is reported and made good later."""

from collections.abc import Callable
from pathlib import Path
from types import CodeType

import psycopg
import pytest
from structlog.testing import capture_logs

import streams.alerts.unjudged
from aggregates.store.errors import StoreError
from aggregates.store.store import Store, Transaction
from ingest.vocabulary.calendar import load_days
from streams.alerts.clock import AlertClock
from streams.alerts.judge import Judge
from streams.alerts.rulebook import load_rules
from streams.alerts.unjudged import Failures
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up
from tests.streams.alerts.test_judge import HOUR, MINUTE, RULES, START, asked, empty, hours, speeds
from tests.streams.commit.test_pipeline import batch
from tests.support.databases import ZONE
from tests.support.faults import Faults, Site

TRUTH = "SELECT rule, subject, since, until, state, value FROM alert WHERE NOT withdrawn ORDER BY 1, 2, 3"
TOLD = """SELECT a.rule, a.subject, t.kind, t.about, o.channel FROM alert_transition t JOIN alert a USING (alert)
LEFT JOIN outbox o USING (transition) ORDER BY 1, 2, 4, 3, 5"""
GUARDS: set[CodeType] = {
    method.__code__
    for method in (Judge.batch, Judge.rolled, Judge.changed, Judge.areas, Judge._judge)
}  # fmt: skip


def faults(at: Site | None = None) -> Faults:
    """Let judging raise, but for what notes its failures."""
    return Faults([streams.alerts], GUARDS, [streams.alerts.unjudged], at)


@pytest.fixture
def judge(tmp_path: Path) -> Callable[[], Judge]:
    """Make a judge of three rules, one for each level, that remembers nothing."""
    (tmp_path / "own.toml").write_text(RULES)
    days = load_days(ZONE)
    return lambda: Judge(load_rules((tmp_path,), shipped=Path("/nowhere")), days)


def forget(url: str) -> None:
    """Empty all tables."""
    empty(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE unjudged")


def fed(store: Store, judge: Judge) -> None:
    """Readings flow: slow traffic and fast, and two hours of much NO2."""
    pipeline = Pipeline(store, judge=judge.batch)
    for at, value in enumerate([15, 10, 50, 55]):
        begin = START + HOUR + (30 + 5 * at) * MINUTE  # what is judged within an hour is not late
        pipeline.store(batch(speeds([value], begin), received=begin + 6 * MINUTE))
    pipeline.store(batch(hours([120, 10]), received=START + 2 * HOUR))
    roll_up(store, START + 2 * HOUR + 2 * MINUTE, judge=judge)


def ended(store: Store, tx: Transaction) -> None:
    """End the session, and go on."""
    store.close()
    tx.rows("read_zone")


def test_a_session_that_ends_is_no_failure_of_judging(store: Store) -> None:
    """As at a stop under load: the batch is stored again after the next start, and there is no trace in the log."""
    failures = Failures()
    with capture_logs() as logs, pytest.raises(StoreError), store.transaction() as tx, failures.noted(tx, "5m", 0, 0):
        ended(store, tx)
    assert (failures.count, logs) == (0, [])


@pytest.mark.slow
def test_a_fault_at_any_call_loses_nothing(
    database: str, store: Store, judge: Callable[[], Judge], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every reading is stored and rolled up, the fault is listed, and a minute later the alerts are as they must be."""
    calls = faults()
    with calls.inside(monkeypatch, Judge, "batch", "rolled"):
        fed(store, judge())
    truth, told = asked(database, TRUTH), asked(database, TOLD)
    assert len(truth) == 2
    assert len(told) == 8
    assert len(calls.sites) > 50
    for site in calls.sites:
        forget(database)
        one = judge()
        with faults(site).inside(monkeypatch, Judge, "batch", "rolled"), capture_logs() as logs:
            fed(store, one)
        assert asked(database, "SELECT (SELECT count(*) FROM reading), (SELECT count(*) FROM window_1h)") == [(22, 3)]
        assert one.failures.count, site
        assert [line for line in logs if line["event"].startswith("could not judge")], site
        assert store.rows("list_unjudged"), site
        AlertClock(one, ZONE).run(store, START + 2 * HOUR + 3 * MINUTE)
        assert not store.rows("list_unjudged")
        assert (asked(database, TRUTH), asked(database, TOLD)) == (truth, told), site


def test_what_has_just_ended_does_not_wait_for_an_old_failure(store: Store) -> None:
    """Windows of last year that were not judged are judged behind those of the last minutes."""
    with store.transaction() as tx:
        for first, long, error in ((START - 7_200 * HOUR, HOUR, "a bug"), (START - 5 * MINUTE, 5 * MINUTE, "")):
            tx.rows("note_unjudged", rule="", level="5m", first=first, last=first + long, error=error)
        ((newest,),) = tx.rows("read_newest_unjudged")
        taken = [tx.rows("take_unjudged", newest=newest, now=START, closed=START)[0] for _ in range(2)]
    assert [first for _, _, first, *_ in taken] == [START - 5 * MINUTE, START - 7_200 * HOUR]
