"""Which windows are read to judge rules: all that changed, in one question, and none that cannot raise an alert."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregates.store.store import Store, Transaction
from ingest.vocabulary.calendar import load_days
from ingest.vocabulary.readings import microseconds
from streams.alerts.comparison import COLUMNS, beyond, bounds_of, compare, of_rule
from streams.alerts.frames import ChangedWindows
from streams.alerts.judge import Judge
from streams.alerts.rulebook import EVIDENCE, Rule, load_rules
from streams.rollup.rollup import roll_up
from tests.streams.alerts.test_judge import RULES, asked, deliver, hours
from tests.support.databases import ZONE

NOW = datetime(2024, 6, 3, 12, tzinfo=UTC)
NOW_US = microseconds(NOW)
HOUR_US = 3_600_000_000
LEVELS = ["5m", "1h", "1d"]
VALUES = [-10, 0.5, 15, 25, 49.4, 49.6, 50, 89.5, 90, 150, 180.4, 180.6, 200, 240, 275, 300, 400, 400.5, 700]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5000)), min_size=1), st.sampled_from(LEVELS))
def test_every_changed_window_is_in_a_span_of_its_sensor(changed: list[tuple[str, int]], level: str) -> None:
    """Whatever changed, hours of years or one window; and no span lies outside of what changed or over another."""
    starts = np.array([300_000_000 * at for _, at in changed], np.int64)
    spans = ChangedWindows([sensor for sensor, _ in changed], starts).spans(level)
    for (sensor, _), start in zip(changed, starts.tolist(), strict=True):
        assert [sensor in (span.subjects or ()) for span in spans if span.first <= start < span.last] == [True]
    assert spans[0].first == starts.min()
    assert spans[-1].last == starts.max() + 1
    assert all(one.last <= other.first for one, other in pairwise(spans))


rules = st.sampled_from([rule for rule in load_rules().values() if rule.level != "clock" and not rule.share_of])


@st.composite
def windows(draw: st.DrawFn, rule: Rule) -> pd.DataFrame:
    """Make windows of several subjects and starts of the quantities that a rule needs."""
    needs = sorted(rule.needs)[:6]
    keys = draw(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 90), st.sampled_from(needs)), unique=True))
    rows = [
        (
            quantity, rule.level, subject, NOW_US - hour * HOUR_US, NOW_US - (hour - 1) * HOUR_US,
            draw(st.sampled_from(VALUES)), 1.0, draw(st.booleans()), 1, 10,
            *(draw(st.sampled_from([0, 0, 9])) for _ in range(3)),
        )
        for subject, hour, quantity in keys
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS).astype({"valid": bool, "start": "int64", "end": "int64"})


@given(st.data())
def test_a_window_that_raises_is_never_left_out(data: st.DataObject) -> None:
    """Of the shipped rules: what a whole table raises is raised by the windows within the bounds of their quantity."""
    rule = data.draw(rules)
    table = data.draw(windows(rule))
    bounds = {one.quantity: one for one in bounds_of([rule], NOW_US + HOUR_US, NOW_US)}
    start, value, *flags = (table[name].to_numpy(float) for name in ("start", "value", "flagged", "failed", "warned"))
    kept = np.sum(flags, axis=0) > 0
    for quantity, bound in bounds.items():
        within = (start >= bound.whole) | (value >= bound.above) | (value <= bound.below)
        kept |= (table["quantity"].to_numpy() == quantity) & within
    assert raised(rule, table) <= raised(rule, table[kept])


def raised(rule: Rule, table: pd.DataFrame) -> set[str]:
    """Give the subjects with a window that raises and is young enough for it."""
    young = table[table["end"] > NOW_US - (rule.times["retrospect"] or NOW_US)]
    clean = of_rule(rule, young)
    compared = compare(rule, clean.assign(**dict.fromkeys(EVIDENCE[4:], clean["flagged"])))
    return beyond(compared)


def test_history_beside_the_present_is_few_questions(
    database: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Twenty days of one sensor are rolled up with an hour of today of another: as many questions as for three.

    Each sensor's alert is raised as if it had come alone.
    """
    tmp_path.joinpath("own.toml").write_text(RULES)
    judge = Judge(load_rules((tmp_path,), shipped=tmp_path / "none"), load_days(ZONE))
    counts, real = [0], Transaction.rows

    def rows(tx: Transaction, statement: str, view: str = "", /, **parameters: object) -> list[tuple[object, ...]]:
        counts[-1] += statement.startswith("list_judged")
        return real(tx, statement, view, **parameters)

    monkeypatch.setattr(Transaction, "rows", rows)
    for days in (3, 20):
        begin = NOW - timedelta(days=100 * days)
        deliver(store, judge, hours([120, 10] * 12 * days, begin, f"luchtmeetnet/old{days}"), NOW)
        deliver(store, judge, hours([130], NOW - timedelta(hours=2), f"luchtmeetnet/new{days}"), NOW)
        counts.append(0)
        roll_up(store, NOW, judge=judge)
    assert counts[1] == counts[2]
    found = asked(database, "SELECT subject, count(*) FROM alert WHERE rule = 'hour' AND NOT withdrawn GROUP BY 1")
    assert dict(found) == {
        "luchtmeetnet/old3": 36, "luchtmeetnet/old20": 240, "luchtmeetnet/new3": 1, "luchtmeetnet/new20": 1
    }  # fmt: skip
