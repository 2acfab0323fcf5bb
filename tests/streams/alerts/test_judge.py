"""Alerts in the store: the same whatever the order, batching, redelivery or restart, and written once."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregates.areas.roll_up import roll_areas
from aggregates.store.store import Store
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.calendar import load_days
from ingest.vocabulary.readings import RUNNING_TOTAL, Reading
from streams.alerts.clock import AlertClock
from streams.alerts.comparison import COLUMNS, compare
from streams.alerts.judge import Judge
from streams.alerts.rulebook import Rule, load_rules
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up
from tests.aggregates.areas.test_areas import PLACES, load_cases, place
from tests.support.alerting import replay
from tests.support.databases import ZONE, fresh_database, truncate
from tests.support.examples import up_to
from tests.support.lines import until
from tests.support.programs import Program

START = datetime(2024, 3, 4, 8, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
RULES = """
[defaults]
quantity = "no2"
channels = ["mail", "page"]

[[rule]]
name = "jam"
title = "Slow"
quantity = "vehicle_speed"
level = "5m"
direction = "below"
raise = 20
clear = 30
windows = 2
clear_windows = 2

[[rule]]
name = "hour"
title = "Much NO2 in an hour"
level = "1h"
raise = 100
clear = 80
text = "{value} {unit}, threshold {threshold}"

[[rule]]
name = "day"
title = "Much NO2 in a day"
level = "1d"
raise = 50
"""


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rule]:
    """Three rules, one for each level."""
    folder = tmp_path_factory.mktemp("rules")
    (folder / "own.toml").write_text(RULES)
    return load_rules((folder,), shipped=Path("/nowhere"))


@pytest.fixture
def judge(book: dict[str, Rule]) -> Judge:
    """The rules at work."""
    return Judge(book, load_days(ZONE))


def speeds(values: Sequence[float | None], start: datetime = START, sensor: str = "stadspuls/a") -> list[Reading]:
    """Five readings, a minute apart, for every 5-minute value."""
    return [
        Reading(sensor, "", "vehicle_speed", 60, start + 5 * at * MINUTE + one * MINUTE, value, weight=1.0)
        for at, value in enumerate(values)
        if value is not None
        for one in range(5)
    ]


def hours(values: Sequence[float | None], start: datetime = START, sensor: str = "luchtmeetnet/b") -> list[Reading]:
    """An hourly mean for every value."""
    return [
        Reading(sensor, "", "no2", 3600, start + at * timedelta(hours=1), value)
        for at, value in enumerate(values)
        if value is not None
    ]


def deliver(store: Store, judge: Judge, readings: Sequence[Reading], received: datetime) -> None:
    """Store readings as one batch."""
    Pipeline(store, judge=judge.batch).store(Batch(columns(readings, [received] * len(readings)), (), ()))


def asked(url: str, question: str) -> list[tuple[Any, ...]]:
    """Ask the database directly."""
    with psycopg.connect(url) as connection:
        connection.execute("SET timezone = 'UTC'")
        return connection.execute(question.encode()).fetchall()


ALERTS = "SELECT rule, subject, state, since, until, late, withdrawn FROM alert ORDER BY alert"
SAID = "SELECT a.rule, t.kind, t.about, t.late FROM alert_transition t JOIN alert a USING (alert) ORDER BY transition"
SENT = "SELECT kind, channel FROM outbox JOIN alert_transition USING (transition) ORDER BY transition, channel"


def test_count_that_a_late_total_changes_is_judged(database: str, store: Store) -> None:
    """A running total that comes late makes the count after it another: that window is judged too."""
    many = Rule(name="many", title="Many", quantity="bicycle_count", level="5m", raise_at=20)
    judge = Judge({"many": many}, load_days(ZONE))
    for at, total in ((1, 100), (3, 190), (2, 115)):
        one = Reading("telraam/p", "", "bicycle_count", 300, START + 5 * at * MINUTE, total, flags=RUNNING_TOTAL)
        deliver(store, judge, [one], START + 20 * MINUTE)
    assert asked(database, "SELECT since, value FROM alert") == [(START + 15 * MINUTE, 75)]


def test_five_minutes_raise_and_clear_with_hysteresis(database: str, store: Store, judge: Judge) -> None:
    """Two slow windows raise, one between the thresholds keeps it up, two fast ones clear; each is written once."""
    for at, value in enumerate([50, 15, 10, 25, 40, 20.5, 35, 36, 15]):
        deliver(store, judge, speeds([value], START + 5 * at * MINUTE), START + 5 * (at + 1) * MINUTE + MINUTE)
    since, until = START + 5 * MINUTE, START + 40 * MINUTE
    assert asked(database, ALERTS) == [("jam", "stadspuls/a", "cleared", since, until, False, False)]
    assert asked(database, SAID) == [
        ("jam", "raised", START + 15 * MINUTE, False),
        ("jam", "cleared", until, False),
    ]
    assert asked(database, SENT) == [(kind, to) for kind in ("raised", "cleared") for to in ("mail", "page")]
    ((windows,),) = asked(database, "SELECT windows FROM alert_transition WHERE kind = 'raised'")
    assert [(one["value"], one["coverage"], one["level"]) for one in windows] == [(15, 1, "5m"), (10, 1, "5m")]


def test_hours_and_days_are_judged_by_the_roll_up(database: str, store: Store, judge: Judge) -> None:
    """An hour is judged once it is rolled up; a day once it is over, though no reading of its last hour came."""
    night = datetime(2024, 3, 3, 23, tzinfo=UTC)  # midnight in UTC+1
    deliver(store, judge, hours([60, 120, 90, 70, *[60] * 19, None], night), night + timedelta(hours=24))
    roll_up(store, night + timedelta(hours=23, minutes=30), judge=judge)
    assert asked(database, ALERTS) == [
        ("hour", "luchtmeetnet/b", "cleared", night + HOUR, night + 4 * HOUR, False, False),
    ]
    ((text,),) = asked(database, "SELECT text FROM alert_transition WHERE kind = 'raised'")
    assert text == "120 ug/m3, threshold 100"
    clock = AlertClock(judge, ZONE)
    for now in (night + timedelta(hours=23, minutes=30), night + timedelta(hours=24, minutes=5)):
        roll_up(store, now, judge=judge)
        clock.run(store, now)
        clock = AlertClock(judge, ZONE)  # a restart forgets nothing
    assert asked(database, "SELECT state, since, until, value FROM alert WHERE rule = 'day'") == [
        ("raised", night, None, pytest.approx(64.348, abs=1e-3)),
    ]


def test_late_data_withdraw_and_raise_in_retrospect(database: str, store: Store, judge: Judge) -> None:
    """A correction withdraws an alert; hours that come days late raise a late alert, which is not notified."""
    deliver(store, judge, hours([120]), START + 2 * HOUR)
    roll_up(store, START + 2 * HOUR, judge=judge)
    corrected = [reading._replace(value=20.0) for reading in hours([120])]
    deliver(store, judge, corrected, START + 3 * HOUR)
    roll_up(store, START + 3 * HOUR, judge=judge)
    deliver(store, judge, hours([150, 10], START - 72 * HOUR), START + 4 * HOUR)
    roll_up(store, START + 4 * HOUR, judge=judge)
    old = START - 72 * HOUR
    assert asked(database, ALERTS) == [
        ("hour", "luchtmeetnet/b", "cleared", START, START, False, True),
        ("hour", "luchtmeetnet/b", "cleared", old, old + 2 * HOUR, True, False),
    ]
    assert [row[1] for row in asked(database, SAID)] == ["raised", "cleared", "raised", "cleared"]
    assert [kind for kind, channel in asked(database, SENT) if channel == "mail"] == ["raised", "cleared"]


def with_rules(folder: Path, text: str) -> Judge:
    """Some rules at work, and no others."""
    (folder / "own.toml").write_text(text)
    return Judge(load_rules((folder,), shipped=Path("/nowhere")), load_days(ZONE))


def hour_by_hour(store: Store, judge: Judge, values: Sequence[float | None], first: datetime) -> None:
    """Deliver hours one by one as they end, while the clock ticks."""
    for at, value in enumerate(values):
        now = first + at * HOUR + timedelta(hours=1, minutes=2)
        deliver(store, judge, hours([value], first + at * HOUR), now)
        roll_up(store, now, judge=judge)
        AlertClock(judge, ZONE).run(store, now)


def told(*kinds: str) -> list[tuple[str, str]]:
    """What the outbox has for the two channels, in order."""
    return [(kind, to) for kind in kinds for to in ("mail", "page")]


@pytest.mark.parametrize("late", ["quiet", "tell"])
def test_an_old_hour_alone_is_late_until_fresh_ones_join(
    database: str, store: Store, tmp_path: Path, late: str
) -> None:
    """
    An hour of thirty hours ago is marked as late, and told only by a rule that tells; one that is high now is told.

    A correction of the old one says nothing anew.
    """
    judge = with_rules(tmp_path, RULES.replace('level = "1h"', f'level = "1h"\nlate = "{late}"'))
    now, quiet = START + 30 * HOUR, late == "quiet"
    deliver(store, judge, hours([150]), now)
    roll_up(store, now, judge=judge)
    AlertClock(judge, ZONE).run(store, now)
    assert asked(database, "SELECT late, state FROM alert") == [(True, "cannot_judge")]
    old = [("hour", "raised", START + HOUR, True), ("hour", "cannot_judge", START + 7 * HOUR, True)]
    assert asked(database, SAID) == old
    assert asked(database, SENT) == ([] if quiet else told("raised", "cannot_judge"))
    hour_by_hour(store, judge, [130], now)
    assert asked(database, "SELECT late, state, raised_at FROM alert") == [(False, "raised", now + 62 * MINUTE)]
    deliver(store, judge, [reading._replace(version=9) for reading in hours([140])], now + 90 * MINUTE)
    roll_up(store, now + 90 * MINUTE, judge=judge)
    hour_by_hour(store, judge, [60], now + HOUR)
    fresh = [("hour", "raised" if quiet else "updated", now + HOUR, False), ("hour", "cleared", now + 2 * HOUR, False)]
    assert asked(database, SAID) == old + fresh
    assert asked(database, SENT) == told("raised", *([] if quiet else ["cannot_judge"]), "cleared")


def test_a_late_alert_that_ends_now_is_not_notified(database: str, store: Store, judge: Judge) -> None:
    """An old hour alone, and then one that is calm: the alert was never news, and stays late."""
    deliver(store, judge, hours([150]), START + 30 * HOUR)
    roll_up(store, START + 30 * HOUR, judge=judge)
    hour_by_hour(store, judge, [60], START + 30 * HOUR)
    assert asked(database, "SELECT late, state FROM alert") == [(True, "cleared")]
    assert asked(database, SENT) == []


def test_an_alert_that_late_data_open_again_is_notified_again(database: str, store: Store, judge: Judge) -> None:
    """The hour that cleared it is corrected upwards: raised again, with its windows, and cleared by the next one."""
    hour_by_hour(store, judge, [120, 60], START)
    corrected = [reading._replace(value=110.0) for reading in hours([60], START + HOUR)]
    deliver(store, judge, corrected, START + 150 * MINUTE)
    roll_up(store, START + 150 * MINUTE, judge=judge)
    assert asked(database, "SELECT state, until FROM alert") == [("raised", None)]
    hour_by_hour(store, judge, [60], START + 2 * HOUR)
    kinds = ["raised", "cleared", "raised", "cleared"]
    assert [row[1] for row in asked(database, SAID)] == kinds
    assert asked(database, SENT) == told(*kinds)
    assert asked(database, "SELECT count(*) FROM alert_transition WHERE windows = '[]'") == [(0,)]


def test_what_can_be_judged_again_is_updated_once(database: str, store: Store, judge: Judge) -> None:
    """Eight hours of nothing: it cannot be judged; then one high hour is one update."""
    hour_by_hour(store, judge, [120, *[None] * 8, 130], START)
    assert [row[1] for row in asked(database, SAID)] == ["raised", "cannot_judge", "updated"]


WORSE = """
[[rule]]
name = "hour"
title = "Much NO2 in an hour"
quantity = "no2"
level = "1h"
raise = 100
worse = 1.5
notify = ["raised", "updated", "cleared"]
channels = ["mail"]
"""


def test_worse_is_an_update(database: str, store: Store, tmp_path: Path) -> None:
    """Each time the value has grown by the factor since it was last reported, and not before."""
    hour_by_hour(store, with_rules(tmp_path, WORSE), [110, 160, 170, 230, 250, 390, 60], START)
    kinds, ends = ["raised", "updated", "updated", "cleared"], (1, 3, 6, 7)
    assert asked(database, SAID) == [
        ("hour", kind, START + end * HOUR, False) for kind, end in zip(kinds, ends, strict=True)
    ]
    assert asked(database, SENT) == [(kind, "mail") for kind in kinds]


def test_what_is_worse_is_more_than_the_worst_reported(database: str, store: Store, tmp_path: Path) -> None:
    """An alert that can be judged again is an update, also by a lower value, which makes nothing after it worse."""
    hour_by_hour(store, with_rules(tmp_path, WORSE), [110, *[None] * 8, 105, 160, 60], START)
    assert [row[1] for row in asked(database, SAID)] == ["raised", "cannot_judge", "updated", "cleared"]


def test_an_alert_of_a_removed_rule_is_cleared_once(database: str, store: Store, judge: Judge, tmp_path: Path) -> None:
    """A rule that was renamed clears its open alerts with a reason and a notification; others stay open."""
    now = START + 62 * MINUTE
    deliver(store, judge, [*hours([150]), *speeds([15, 10], START + 50 * MINUTE)], now)
    roll_up(store, now, judge=judge)
    renamed = with_rules(tmp_path, RULES.replace('name = "hour"', 'name = "other"'))
    for later in (1, 2, 3):
        AlertClock(renamed, ZONE).run(store, now + later * MINUTE)
    assert asked(database, "SELECT rule, state, until FROM alert ORDER BY 1") == [
        ("hour", "cleared", now + MINUTE), ("jam", "raised", None),
    ]  # fmt: skip
    assert asked(database, "SELECT text, text_nl FROM alert_transition WHERE kind = 'cleared'") == [
        ("its rule was removed or renamed: nothing judges this any more",
         "de regel is weggehaald of hernoemd: dit wordt niet meer beoordeeld"),
    ]  # fmt: skip
    assert [one for one in asked(database, SENT) if one[0] == "cleared"] == told("cleared")


AREA = """
[defaults]
quantity = "no2"
per = "area"
areas = ["WK990100"]
raise = 100

[[rule]]
name = "hour"
title = "Much NO2 in an hour"
level = "1h"
windows = 2

[[rule]]
name = "day"
title = "Much NO2 in a day"
level = "1d"
"""


@pytest.mark.long
def test_areas_are_judged_by_their_own_figure(database: str, store: Store, tmp_path: Path) -> None:
    """The mean of two stations counts, in the area named alone; a day is judged though its last hours are missing."""
    judge = with_rules(tmp_path, AREA)
    load_cases(store)
    place(store, a=PLACES["a"], b=PLACES["b"])
    night = datetime(2024, 3, 3, 23, tzinfo=UTC)  # midnight in UTC+1
    pairs = [(150.0, 40.0), (150.0, 60.0), (90.0, 120.0), (60.0, 60.0), *((200.0 + at, 190.0 + at) for at in range(18))]
    for first, last in ((0, 1), (1, 2), (2, 3), (3, 4), (4, 22)):
        now = night + last * HOUR + 2 * MINUTE
        for which, name in enumerate("ab"):
            values = [pair[which] for pair in pairs[first:last]]
            deliver(store, judge, hours(values, night + first * HOUR, f"stadspuls/{name}"), now)
        turn(store, judge, now)
    turn(store, judge, night + timedelta(hours=24, minutes=5))
    found = asked(database, "SELECT rule, subject, state, since, until FROM alert ORDER BY rule DESC, since")
    assert found == [
        ("hour", "WK990100", "cleared", night + HOUR, night + 4 * HOUR),
        ("hour", "WK990100", "raised", night + 4 * HOUR, None),
        ("day", "WK990100", "raised", night, None),
    ]


def turn(store: Store, judge: Judge, now: datetime) -> None:
    """Do what the upkeep does about windows and alerts."""
    roll_up(store, now, judge=judge)
    roll_areas(store, None, lambda tx, level, quantity, first, last: judge.areas(tx, level, quantity, first, last, now))
    AlertClock(judge, ZONE).run(store, now)


def test_a_window_that_is_not_valid_is_not_judged(database: str, store: Store, judge: Judge) -> None:
    """Half an hour of high values raises nothing; an open alert without valid windows is cannot_judge, then cleared."""
    half = [Reading("stadspuls/c", "", "no2", 60, START + at * MINUTE, 500.0) for at in range(30)]
    deliver(store, judge, [*half, *hours([150])], START + 2 * HOUR)
    roll_up(store, START + 2 * HOUR, judge=judge)
    assert [row[:3] for row in asked(database, ALERTS)] == [("hour", "luchtmeetnet/b", "raised")]
    for later in (8 * HOUR, 60 * HOUR):
        AlertClock(judge, ZONE).run(store, START + later)
    assert [row[1:3] for row in asked(database, SAID)] == [
        ("raised", START + HOUR),
        ("cannot_judge", START + 7 * HOUR),
        ("cleared", START + 49 * HOUR),
    ]
    ((text,),) = asked(database, "SELECT text FROM alert_transition WHERE kind = 'cannot_judge'")
    assert text == "nothing that could be judged since 2024-03-04 09:00 UTC"


def test_a_silent_sensor_and_one_whose_clock_is_ahead(database: str, store: Store) -> None:
    """Each is notified once, but not a new sensor; one with a new reading is cleared; a start raises nothing."""
    judge = Judge(load_rules(), load_days(ZONE))
    ahead = speeds([50], START + 2 * MINUTE, "stadspuls/ahead")
    new = speeds([50], sensor="stadspuls/new")[:4]  # too few to expect more of it
    deliver(store, judge, [*speeds([50]), *ahead, *new], START + 5 * MINUTE)
    clock = AlertClock(judge, ZONE)
    for minute in range(5, 20):
        clock.run(store, START + minute * MINUTE)
    deliver(store, judge, speeds([50], START + 15 * MINUTE), START + 20 * MINUTE)
    clock.run(store, START + 20 * MINUTE)
    found = asked(database, "SELECT rule, subject, state, since FROM alert WHERE level = 'clock' ORDER BY 1, 2")
    assert found == [
        ("sensor-clock", "stadspuls/ahead", "raised", START + 7 * MINUTE),
        ("sensor-silent", "stadspuls/a", "cleared", START + 5 * MINUTE),
        ("sensor-silent", "stadspuls/ahead", "raised", START + 7 * MINUTE),
    ]


def test_a_start_waits_before_it_judges_silence(database: str, store: Store) -> None:
    """A hub that was off for an hour raises nothing for five minutes, in which sensors come back."""
    judge = Judge(load_rules(), load_days(ZONE))
    deliver(store, judge, speeds([50]), START + 5 * MINUTE)
    clock = AlertClock(judge, ZONE)
    for minutes, found in ((0, 0), (4, 0), (5, 1)):
        clock.run(store, START + HOUR + minutes * MINUTE)
        assert asked(database, "SELECT count(*) FROM alert WHERE rule = 'sensor-silent'") == [(found,)]


def test_too_little_is_not_judged() -> None:
    """A share of fewer readings than the rule wants is none, and so is what is usual of a quiet road."""
    shipped = load_rules()
    windows = pd.DataFrame(
        [("vehicle_count", "1h", "a", 0, 3_600_000_000, 0.0, 1.0, True, 1, count, 0, 0, 5) for count in (9, 10)],
        columns=COLUMNS,
    )
    classes, low = shipped["sensor-classes"], shipped["traffic-flow-low"]
    assert compare(classes, windows)[["value", "sure"]].to_numpy().tolist() == [[5 / 9, False], [5 / 10, True]]
    known = pd.DataFrame({"median": [99.0, 100.0], "spread": [1.0, 1.0]})
    assert compare(low, windows, known)[["compared", "sure"]].to_numpy().tolist() == [[-99, False], [-100, True]]


NARROW = """
[defaults]
quantity = "any"
level = "clock"
statistic = "silence"
raise = 10

[[rule]]
name = "in-city"
title = "Silent in the city"
areas = ["GM0014"]

[[rule]]
name = "counters"
title = "Silent counter"
kinds = ["counter"]

[[rule]]
name = "next-year"
title = "Silent next year"
first = 2025-01-01

[[rule]]
name = "slow-in-city"
title = "Slow in the city"
quantity = "vehicle_speed"
level = "5m"
statistic = "value"
direction = "below"
raise = 60
areas = ["GM0014"]
kinds = ["counter"]
"""


def test_areas_kinds_and_dates_narrow_every_kind_of_rule(database: str, store: Store, tmp_path: Path) -> None:
    """Sensors elsewhere, of another kind or before its day are not a rule's: by windows, by the clock, in a replay."""
    judge = with_rules(tmp_path, NARROW)
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO area (vintage, code, level, name, municipality)"
                           " VALUES (2024, 'GM0014', 'gemeente', 'Stad', 'GM0014')")  # fmt: skip
        for name, kind in (("in", "counter"), ("out", "counter"), ("other", "bench")):
            connection.execute("INSERT INTO sensor (sensor_id, source, kind) VALUES (%s, 'stadspuls', %s)",
                               [f"stadspuls/{name}", kind])  # fmt: skip
        connection.execute("INSERT INTO placement SELECT 2024, sensor_id, '1900-01-01', 6.5, 53.2, 'inside', 'GM0014'"
                           " FROM sensor WHERE sensor_id <> 'stadspuls/out'")  # fmt: skip
    for name in ("in", "out", "other"):
        deliver(store, judge, speeds([50], sensor=f"stadspuls/{name}"), START + 5 * MINUTE)
    clock = AlertClock(judge, ZONE)
    for minute in range(5, 17):
        clock.run(store, START + minute * MINUTE)
    raised = [("counters", "stadspuls/in"), ("counters", "stadspuls/out"), ("in-city", "stadspuls/in"),
              ("in-city", "stadspuls/other"), ("slow-in-city", "stadspuls/in")]  # fmt: skip
    assert asked(database, "SELECT rule, subject FROM alert ORDER BY 1, 2") == raised
    told = judge.replay(store, judge.rules["slow-in-city"], START, START + HOUR)
    assert {one.subject for one in told} == {"stadspuls/in"}


@pytest.mark.long
def test_kill_9_neither_loses_nor_repeats_a_transition(database: str, postgres: str, tmp_path: Path) -> None:
    """A process that is killed repeatedly and starts from its first batch writes the same as one that is not killed."""
    (tmp_path / "own.toml").write_text(RULES)
    dice = Random(7)
    for turn in range(6):
        said = tmp_path / f"{turn}.log"
        process = fed(database, said)
        until(lambda said=said: said.exists() and said.stat().st_size > 0)  # type: ignore[misc]
        time.sleep(dice.uniform(0.02, 0.4))
        process.kill()
        assert process.wait() == -9
    assert fed(database, tmp_path / "whole.log").wait() == 0
    with fresh_database(postgres) as undisturbed:
        assert fed(undisturbed, tmp_path / "undisturbed.log").wait() == 0
        for question in (ALERTS, SAID, SENT):
            found = sorted(asked(database, question), key=str)
            assert found == sorted(asked(undisturbed, question), key=str)
        assert len(found) > 10


def fed(url: str, log: Path) -> Program:
    """A process that feeds a database."""
    from tests.support.alertfeed import feed  # which imports this module

    return Program(feed, url, log.parent, out=log, err=log)


@pytest.fixture(scope="module")
def emptied(postgres: str) -> Iterator[str]:
    """One database for all examples of a property; each begins with empty tables."""
    with fresh_database(postgres) as url:
        yield url


def empty(url: str) -> None:
    """Forget readings and alerts."""
    truncate(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE alert, alert_transition, outbox, alert_clock")


TRUTH = "SELECT rule, subject, since, until, worst, value, state FROM alert WHERE NOT withdrawn ORDER BY 1, 2, 3"


@settings(max_examples=up_to(25), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_order_batching_and_redelivery_do_not_matter(emptied: str, book: dict[str, Rule], data: st.DataObject) -> None:
    """The same readings in any order, in any batches, some twice, leave the alerts that all at once leave."""
    judge = Judge(book, load_days(ZONE))
    number = st.sampled_from([None, 10.0, 25.0, 25.0, 40.0, 90.0, 120.0, 15.0])
    readings = speeds(data.draw(st.lists(number, min_size=4, max_size=14)))
    readings += hours(data.draw(st.lists(number, min_size=2, max_size=14)))
    now = START + timedelta(hours=18)
    found = []
    for pieces in ([readings], data.draw(dealt(readings))):
        empty(emptied)
        with closing(Store(emptied)) as store:
            for piece in pieces:
                deliver(store, judge, piece, now)
                roll_up(store, now, judge=judge)
            AlertClock(judge, ZONE).run(store, now)
        found.append(asked(emptied, TRUTH))
    assert found[1] == found[0]


@st.composite
def dealt(draw: st.DrawFn, readings: Sequence[Reading]) -> list[list[Reading]]:
    """Deal readings out to batches in any order, some of them twice; those of one sensor and start stay together."""
    order = draw(st.permutations([*readings, *readings[:3]]))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=6)))
    return [piece for first, last in pairwise([0, *cuts, len(order)]) if (piece := order[first:last])]


@settings(max_examples=up_to(15), deadline=None, suppress_health_check=list(HealthCheck))
@given(values=st.lists(st.sampled_from([None, 10.0, 25.0, 40.0, 15.0]), min_size=3, max_size=12), data=st.data())
def test_in_order_every_batching_writes_the_same(
    emptied: str, book: dict[str, Rule], values: list[float | None], data: st.DataObject
) -> None:
    """In order of time even the transitions are the same, be it window by window or several at once."""
    judge = Judge(book, load_days(ZONE))
    cuts = data.draw(st.lists(st.integers(1, len(values)), max_size=5).map(sorted))
    found = []
    for edges in ([0, len(values)], [0, *cuts, len(values)]):
        empty(emptied)
        with closing(Store(emptied)) as store:
            for first, last in pairwise(edges):
                piece = speeds(values[first:last], START + 5 * first * MINUTE)
                if piece:
                    deliver(store, judge, piece, START + 5 * last * MINUTE + MINUTE)
        found.append((asked(emptied, TRUTH), asked(emptied, SAID)))
    assert found[1] == found[0]


@settings(max_examples=up_to(60), deadline=None)
def replayed(rule: Rule, values: Sequence[float | None]) -> list[tuple[str, int]]:
    """Give the transitions that windows of 5 minutes make, with the number of the last window of each."""
    windows = pd.DataFrame(
        [("vehicle_speed", "5m", "a", at * 300 * 10**6, (at + 1) * 300 * 10**6, value, 1.0, True, 1, 5, 0, 0, 0)
         for at, value in enumerate(values) if value is not None], columns=COLUMNS,
    )  # fmt: skip
    return [(one.kind, one.about // (300 * 10**6)) for one in replay([rule], windows)]


@given(values=st.lists(st.sampled_from([None, 10.0, 25.0, 40.0, 15.0, 19.0]), max_size=40))
def test_replay_equals_a_plain_loop(book: dict[str, Rule], values: list[float | None]) -> None:
    """`replay` against hysteresis and runs written down once more, naively."""
    said = replayed(book["jam"], values)
    assert [one for one in said if one[0] != "cannot_judge"] == list(naive(values))


def test_replay_tells_when_it_can_be_judged_again(book: dict[str, Rule]) -> None:
    """As live: after as long a silence as the rule waits for it is an update, at the first value that comes."""
    silence = book["jam"].times["patience"] // (300 * 10**6)
    said = replayed(book["jam"], [10.0, 10.0, *[None] * silence, 15.0])
    assert said == [("raised", 2), ("cannot_judge", 2 + silence), ("updated", 3 + silence)]
    assert replayed(book["jam"], [10.0, 10.0, *[None] * (silence - 1), 15.0]) == [("raised", 2)]


def naive(values: Sequence[float | None]) -> Iterator[tuple[str, int]]:
    """Raise after two below 20 in a row, clear after two that are not below 30; gaps break runs of the first alone."""
    slow = calm = 0
    is_open = False
    for at, value in enumerate(values, 1):
        if value is None:
            slow = 0
        elif is_open:
            calm = 0 if value < 30 else calm + 1
            if calm == 2:
                yield "cleared", at
                is_open, slow = False, 0
        else:
            slow = slow + 1 if value < 20 else 0
            if slow == 2:
                yield "raised", at
                is_open, calm = True, 0
