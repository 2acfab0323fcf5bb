"""A commit and a roll-up handle what is new, however many series there are: no step compares each with all."""

from datetime import UTC, datetime, timedelta

from aggregates.areas.groups import Group, Member, import_groups
from aggregates.store.store import Store
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.calendar import load_days
from ingest.vocabulary.readings import Reading
from streams.alerts.judge import Judge
from streams.alerts.rulebook import load_rules
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up
from tests.support.databases import ZONE
from tests.support.plans import watched_plans

HOUR = timedelta(hours=1)
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
SENSORS = [f"stadspuls/{number}" for number in range(400)]
MOST = 40  # rows that a step may handle for one that is new: a day's hours, the quantities there are


def commit(pipeline: Pipeline, start: datetime) -> None:
    """Store an hour's reading of both lanes of all sensors."""
    lanes = [(name, f"lane{lane}/any") for name in SENSORS for lane in (1, 2)]
    readings = [Reading(*one, "vehicle_count", 3600, start, 1.0) for one in lanes]
    pipeline.store(Batch(columns(readings, [start + 2 * HOUR] * len(readings))))


def test_what_the_planner_knows_nothing_of_is_looked_up(store: Store) -> None:
    """An hour just written: for the planner, which knows the hours before, there is none of it."""
    import_groups(store, {"all": Group("all", tuple(Member(name) for name in SENSORS))})
    judge, pipeline = Judge(load_rules(), load_days(ZONE)), Pipeline(store)
    for hour in range(3):
        commit(pipeline, NOON + hour * HOUR)
    roll_up(store, NOON + 4 * HOUR, judge=judge)
    with store.transaction() as tx:
        tx.script("ANALYZE")
    with watched_plans() as found:
        commit(pipeline, NOON + 3 * HOUR)
        roll_up(store, NOON + 5 * HOUR, judge=judge)
    assert {name: rows for name, rows in found.items() if rows > MOST * 2 * len(SENSORS)} == {}
    assert found["list_judged_windows"] < 3 * len(SENSORS)  # not each with the bounds of all quantities
    assert {"roll_hours", "roll_sensor_hours", "roll_sensor_days", "list_rolled_1h"} <= found.keys()
