"""A flood of new sensors, or of channels of one: it costs nobody else a reading, and can be replayed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from aggregates.store.errors import Away
from aggregates.store.store import Store, Transaction
from ingest.formats.decode import decode
from ingest.vocabulary.batch import Batch, DeadLetter, columns
from ingest.vocabulary.readings import Message, Reading, SensorFact
from lab.load.balances import balances
from streams.commit import series
from streams.commit.pipeline import Pipeline
from streams.commit.series import NEW_SENSOR, NEW_SERIES
from tests.support.databases import list_dead_letters

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)


def said(*sensors: str, minute: int = 0) -> Batch:
    """Make a batch of a reading and a name of each sensor."""
    readings = [Reading(one, "", "no2", 60, NOW + timedelta(minutes=minute), 5.0) for one in sensors]
    return Batch(columns(readings, [NOW] * len(readings)), [SensorFact(one, f"name of {one}") for one in sensors])


def asked(store: Store, question: str) -> list[tuple[Any, ...]]:
    """Ask the database directly."""
    with psycopg.connect(store.conninfo, autocommit=True) as connection:
        cursor = connection.execute(question.encode())
        return cursor.fetchall() if cursor.description else []


FLOOD = [f"stadspuls/{number:03}" for number in range(100)]
STORED = "SELECT sensor_id FROM reading JOIN series USING (series) ORDER BY reading.start, sensor_id"


def test_flood_stops_nobody_else(store: Store) -> None:
    """Beyond the limit readings become dead letters, those of known sensors and of other sources are stored."""
    pipeline = Pipeline(store, new_sensors=3)
    pipeline.store(said("stadspuls/known"))
    flood = said(*FLOOD, "stadspuls/known", "ndw/other", minute=1)
    pipeline.store(Batch(flood.readings, flood.sensors, [DeadLetter("ttn", "t", b"?", "unread", NOW)]))
    known = ["ndw/other", *FLOOD[:2], "stadspuls/known"]
    assert asked(store, STORED) == [(one,) for one in ["stadspuls/known", *known]]
    letters = asked(store, "SELECT reason, count(*) FROM dead_letter GROUP BY reason ORDER BY 1")
    assert letters == [(NEW_SENSOR, 98), ("unread", 1)]
    Pipeline(store, new_sensors=3).store(said(*FLOOD, "stadspuls/known", minute=2))
    assert len(asked(store, STORED)) == 5 + 3
    assert all(one.holds for one in balances(store))
    (finding,) = asked(
        store, "SELECT count(*) FROM sensor WHERE sensor_id LIKE 'stadspuls/0%' OR sensor_id LIKE 'stadspuls/1%'"
    )
    assert finding == (2,)


def test_later_they_come_with_their_names(store: Store) -> None:
    """In a later hour the next ones are taken, with what was said of them when they were refused."""
    pipeline = Pipeline(store, new_sensors=3)
    pipeline.store(said(*FLOOD[:6]))
    asked(store, "UPDATE sensor SET registered_at = now() - interval '61 minutes'")
    pipeline.store(Batch(said(*FLOOD[:6], minute=1).readings))
    names = asked(store, "SELECT sensor_id, name FROM sensor ORDER BY 1")
    assert names == [(one, f"name of {one}") for one in FLOOD[:6]]


def test_names_outlast_a_commit_that_fails(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the database is away just as a sensor is taken, its name is there at the next attempt."""
    pipeline = Pipeline(store, new_sensors=1)
    pipeline.store(said(*FLOOD[:2]))
    asked(store, "UPDATE sensor SET registered_at = now() - interval '61 minutes'")
    registered, calls = series._registered, list[int]()

    def away_at_first(tx: Transaction, readings: pa.RecordBatch) -> tuple[NDArray[Any], list[int]]:
        calls.append(1)
        if len(calls) == 1:
            raise Away("gone for a moment")
        return registered(tx, readings)

    monkeypatch.setattr(series, "_registered", away_at_first)
    pipeline.store(Batch(said(FLOOD[1], minute=1).readings))
    assert asked(store, f"SELECT name FROM sensor WHERE sensor_id = '{FLOOD[1]}'") == [(f"name of {FLOOD[1]}",)]


def test_an_old_name_does_not_come_back(store: Store) -> None:
    """What was said of a sensor when it was refused is forgotten once it was taken, and has had another name since."""
    pipeline = Pipeline(store, new_sensors=1)
    pipeline.store(said(*FLOOD[:2]))
    asked(store, "UPDATE sensor SET registered_at = now() - interval '61 minutes'")
    pipeline.store(Batch(said(FLOOD[1], minute=1).readings, [SensorFact(FLOOD[1], "moved")]))
    other = Reading(FLOOD[1], "", "o3", 60, NOW, 5.0)
    pipeline.store(Batch(columns([other], [NOW])))
    assert asked(store, f"SELECT name FROM sensor WHERE sensor_id = '{FLOOD[1]}'") == [("moved",)]


def test_what_was_said_of_a_flood_does_not_fill_the_memory(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only of the last refused sensors it is remembered what was said of them."""
    monkeypatch.setattr(series, "HELD", 5)
    pipeline = Pipeline(store, new_sensors=1)
    pipeline.store(said(*FLOOD))
    asked(store, "UPDATE sensor SET registered_at = now() - interval '61 minutes'")
    for one in FLOOD[90:]:
        pipeline.store(Batch(said(one, minute=1).readings))
        asked(store, "UPDATE sensor SET registered_at = now() - interval '61 minutes'")
    named = asked(store, "SELECT sensor_id FROM sensor WHERE name IS NOT NULL ORDER BY 1")
    assert [one for (one,) in named] == [FLOOD[0], *FLOOD[-5:]]


def test_names_of_a_flood_do_not_fill_the_memory(store: Store) -> None:
    """A sensor that is refused leaves nothing behind, and those that come with it or later keep their own series."""
    pipeline = Pipeline(store, new_sensors=3)
    taken = [f"ndw/{at}" for at in range(3)]
    for at, one in enumerate(taken):
        pipeline.store(said(*FLOOD[30 * at : 30 * at + 30], one))
    for minute in (1, 2):
        pipeline.store(said(*FLOOD[:3], *taken, minute=minute))
    stored = asked(store, STORED)
    assert stored[-12:] == [(one,) for one in [*taken, *FLOOD[:3]]] * 2
    assert len(pipeline._series._sensors) == 6


def test_a_part_of_a_refused_batch_may_be_too_many(store: Store) -> None:
    """Where others took the last places since the whole was asked for, that stops no split of a batch."""
    rows = [Reading("stadspuls/a", channel, "vehicle_count", 60, NOW, 5.0) for channel in ("lane1/any", "lane1/car")]
    parts = Pipeline(store, new_sensors=0)._singles(columns(rows, [NOW] * 2))
    assert [part.num_rows for part in parts] == [1, 1]


def test_replay_stores_them(store: Store) -> None:
    """Published again under a higher limit, the refused readings are stored as they were."""
    Pipeline(store, new_sensors=3).store(said(*FLOOD))
    letters = list_dead_letters(store)
    assert len(letters) == 97
    again = [Message(one.topic, one.payload or b"", NOW) for one in letters]
    Pipeline(store, new_sensors=100).store(decode(again))
    assert asked(store, STORED) == [(one,) for one in FLOOD]


def test_doctor_names_the_source(store: Store) -> None:
    """Doctor says whose sensors were refused, and that it is not good."""
    Pipeline(store, new_sensors=3).store(said(*FLOOD))
    found = store.rows("list_findings", now=NOW, since=None, edition="postgres", no_areas="")
    ((text, good),) = [(text, good) for what, text, good in found if what == "new sensors of stadspuls"]
    assert text.startswith("97 readings refused")
    assert good is False


def of_channels(sensor: str, first: int, last: int, minute: int) -> Batch:
    """Make a batch of a reading of each of these channels of a sensor, and of one of another sensor."""
    channels = [(sensor, f"at {number}") for number in range(first, last)] + [("ndw/other", "")]
    readings = [Reading(one, name, "no2", 60, NOW + timedelta(minutes=minute), 5.0) for one, name in channels]
    return Batch(columns(readings, [NOW] * len(readings)))


def test_a_channel_that_changes_fills_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sensor has so many series at most; what it has goes on, also for a worker that starts later, and others too."""
    monkeypatch.setattr(series, "MOST_SERIES", 10)
    pipeline = Pipeline(store)
    for batch in range(20):
        pipeline.store(of_channels("stadspuls/mad", 6 * batch, 6 * batch + 8, batch))
    Pipeline(store).store(of_channels("stadspuls/mad", 0, 12, 20))
    counted = "SELECT sensor_id, count(DISTINCT series), count(*) FROM reading JOIN series USING (series) GROUP BY 1"
    assert sorted(asked(store, counted)) == [("ndw/other", 1, 21), ("stadspuls/mad", 8, 8 + 2 + 8)]
    assert asked(store, "SELECT max(series) FROM series") < [(100,)]
    assert asked(store, "SELECT min(reason), max(reason) FROM dead_letter") == [(NEW_SERIES, NEW_SERIES)]
    assert len(pipeline._series._kinds) == 9
    assert all(one.holds for one in balances(store))
    found = {
        what: good
        for what, text, good in store.rows("list_findings", now=NOW, since=None, edition="postgres", no_areas="")
    }
    assert found["new series of stadspuls"] is False


def test_new_series_are_looked_up_by_sensor(store: Store) -> None:
    """A batch with new sensors reads what it brings, however many there are: a country's minute is 100 batches."""
    read = (
        "SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0) FROM pg_stat_xact_user_tables WHERE relname = 'series'"
    )
    with store.transaction(writing=True) as tx:
        tx.rows("use_indexes")
        for first, last in ((0, 5), (5, 2000), (2000, 2010)):
            sensors = [f"ndw/{number}" for number in range(first, last) for _ in range(2)]
            ((before,),) = tx.select(read, {})
            tx.rows("insert_series", sensor_id=sensors, quantity=["vehicle_count"] * len(sensors),
                    channel=["lane1/any", "lane2/any"] * (last - first), period=[60] * len(sensors))  # fmt: skip
            tx.rows("set_series_heads", sensor_id=list(dict.fromkeys(sensors)))
            ((after,),) = tx.select(read, {})
            tx.script("UPDATE series SET stored = true")  # as the roll-up does
            if first == 0:
                tx.script("ANALYZE series, sensor")  # what the planner knows of them is soon outdated
            assert tx.select("SELECT count(*) FROM series WHERE head IS NULL", {}) == [(0,)]
    assert after - before < 10 * len(sensors)


def test_known_series_spend_no_number(store: Store) -> None:
    """A new series beside known ones that a new pipeline has not seen yet takes the next number."""
    Pipeline(store).store(said("stadspuls/1", "stadspuls/2", "stadspuls/3"))
    Pipeline(store).store(said("stadspuls/1", "stadspuls/2", "stadspuls/4", minute=1))
    Pipeline(store).store(said("stadspuls/5", minute=1))
    assert asked(store, "SELECT max(series) - min(series) FROM series") == [(4,)]
