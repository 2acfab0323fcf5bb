"""A process to kill: feeds the same readings, batch by batch, to a database with rules, always from the start."""

from contextlib import closing
from pathlib import Path

from aggregates.store.store import Store
from ingest.vocabulary.calendar import load_days
from streams.alerts.judge import Judge
from streams.alerts.rulebook import load_rules
from streams.rollup.rollup import roll_up
from tests.streams.alerts.test_judge import MINUTE, START, deliver, hours, speeds
from tests.support.databases import ZONE

SPEEDS = [50.0, 15, 10, 40, 40, 12, 12, 35, 35, 15, 15, 15] * 4
HOURS = [60.0, 120, 90, 70, 150, 20]


def feed(url: str, rules: Path) -> None:
    """Deliver a morning in order, rolling up after each batch."""
    judge = Judge(load_rules((rules,), shipped=Path("/nowhere")), load_days(ZONE))
    with closing(Store(url)) as store:
        for at, value in enumerate(SPEEDS):
            now = START + 5 * (at + 1) * MINUTE + MINUTE
            readings = speeds([value], START + 5 * at * MINUTE)
            if at % 12 == 11:
                readings += hours([HOURS[at // 12]], START + at // 12 * 60 * MINUTE)
            deliver(store, judge, readings, now)
            roll_up(store, now + MINUTE, judge=judge)
            print(at, flush=True)
