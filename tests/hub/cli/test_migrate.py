"""`stadspuls migrate`: what the services of a distributed hub find when they start."""

from datetime import UTC, datetime, timedelta

from typer.testing import CliRunner

from aggregates.store.health import state
from aggregates.store.store import Store
from tests.support.commands import app


def test_hours_before_the_first_reading_are_closed(store: Store) -> None:
    """A backlog's hours are served as they are rolled up, not summed for each question until the last of them is."""
    done = CliRunner().invoke(app, ["migrate", f"--database={store.conninfo}"])
    assert done.exit_code == 0, done.output
    now = datetime.now(UTC)
    closed = state(store, now).closed_until
    assert now - timedelta(hours=2) < closed <= now
    assert (closed.minute, closed.second, closed.microsecond) == (0, 0, 0)


def test_hours_that_wait_for_the_roll_up_stay_open(store: Store) -> None:
    """A migration of a hub that has data closes nothing that was not rolled up."""
    before = state(store, datetime.now(UTC)).closed_until
    waits = before + timedelta(hours=1)
    store.rows("insert_marks", hour=[waits], members=["{1}"])
    assert CliRunner().invoke(app, ["migrate", f"--database={store.conninfo}"]).exit_code == 0
    assert state(store, datetime.now(UTC)).closed_until == waits
