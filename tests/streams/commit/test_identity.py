"""Messages that are stamped on receipt and that their source names: the same again is a duplicate."""

import json
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import msgspec
import pytest

from aggregates.ask.query import Question, ask
from aggregates.store.errors import Limit
from aggregates.store.store import Store, Transaction
from ingest.formats.decode import decode
from ingest.vocabulary.batch import Batch
from ingest.vocabulary.readings import Message, SensorFact
from lab.load.balances import balances
from streams.commit.pipeline import Pipeline
from tests.support.databases import list_dead_letters
from tests.support.databases import sensors as listed_sensors

AT = datetime(2026, 3, 2, 8, tzinfo=UTC)
TOPIC = "v3/air@city/devices/meter/up"


def uplink(counter: int, degrees: float, after: timedelta = timedelta(), session: str = "s1") -> Message:
    """An uplink without a stamp of the network."""
    sent = {
        "end_device_ids": {"device_id": "meter", "application_ids": {"application_id": "air"}},
        "uplink_message": {
            "session_key_id": session, "f_cnt": counter, "decoded_payload": {"temperature": degrees},
        },
    }  # fmt: skip
    return Message(TOPIC, msgspec.json.encode(sent), AT + after)


def stored(store: Store) -> list[tuple[float, datetime]]:
    """Give value and start of every reading."""
    found = ask(store, Question("temperature", AT - timedelta(days=1), AT + timedelta(days=9), ""))
    return [(value, start.to_pydatetime()) for value, start in found[["value", "start"]].to_numpy()]


MINUTE = timedelta(minutes=1)
GIVEN_UP = Event()
GIVEN_UP.set()  # a pipeline that would wait raises


def test_same_frame_again_is_a_duplicate(store: Store) -> None:
    """Whatever worker takes it, and however often: each frame is one reading, at its first receipt."""
    for message in (uplink(1, 7.5), uplink(1, 7.5, MINUTE), uplink(2, 8.5, 2 * MINUTE), uplink(1, 7.5, 3 * MINUTE)):
        Pipeline(store).store(Batch.from_ipc(decode([message]).to_ipc()))
    assert stored(store) == [(7.5, AT), (8.5, AT + 2 * MINUTE)]
    (balance,) = balances(store)
    assert (balance.received, balance.stored, balance.duplicate) == (4, 2, 2)


def test_same_frame_twice_in_a_batch(store: Store) -> None:
    """Two deliveries that are stored together are one reading."""
    Pipeline(store).store(decode([uplink(1, 7.5, MINUTE), uplink(1, 7.5), uplink(2, 8.5, 2 * MINUTE)]))
    assert stored(store) == [(7.5, AT), (8.5, AT + 2 * MINUTE)]


@pytest.mark.parametrize(("after", "session"), [(timedelta(days=1, minutes=1), "s1"), (MINUTE, "s2")])
def test_counter_that_begins_anew_is_another_message(store: Store, after: timedelta, session: str) -> None:
    """A device that joined again counts from the beginning: nothing of it is lost."""
    for message in (uplink(1, 7.5), uplink(1, 9.5, after, session)):
        Pipeline(store).store(decode([message]))
    assert stored(store) == [(7.5, AT), (9.5, AT + after)]


def test_two_frames_of_one_moment_stay_apart_from_what_is_known(store: Store) -> None:
    """A known frame and a new one that are received together: the new one is stored, whatever becomes of the other."""
    Pipeline(store).store(decode([uplink(1, 7.5)]))
    Pipeline(store).store(decode([uplink(1, 7.5, MINUTE), uplink(2, 8.5, MINUTE)]))
    assert stored(store) == [(7.5, AT), (8.5, AT + MINUTE)]


def test_what_came_beside_named_messages_is_kept(store: Store) -> None:
    """What a message says of its sensor, and another that cannot be read, are stored with it."""
    broken = Message(TOPIC, b"{", AT)
    said = decode([uplink(1, 7.5), broken])
    assert said.identities
    fact = SensorFact("ttn/air@city/meter", name="Roof")
    sensors = [one.sensor_id for one in said.sensors]
    Pipeline(store).store(Batch(said.readings, [*said.sensors, fact], said.dead_letters, said.identities))
    names = {one.sensor_id: one.name for one in listed_sensors(store)}
    assert names[fact.sensor_id] == "Roof"
    assert set(sensors) < set(names)
    assert [letter.payload for letter in list_dead_letters(store)] == [b"{"]


@pytest.mark.parametrize("name", ["\0", "\ud800", "".join(map(chr, range(0x10000, 0x10000 + 3000)))])
def test_name_that_no_database_takes_is_refused_and_its_reading_stored(store: Store, name: str) -> None:
    """One message that is named in such a way made the worker wait for ever, or ended it again and again."""
    message = uplink(1, 7.5)
    message = message._replace(payload=message.payload.replace(b'"s1"', json.dumps(name).encode()))
    batch = Batch.from_ipc(decode([message]).to_ipc())
    Pipeline(store, GIVEN_UP).store(batch)
    assert stored(store) == [(7.5, AT)]
    (letter,) = batch.dead_letters
    assert letter.reason.startswith("sensor fact or identity 'ttn meter")


def test_a_limit_of_the_database_leaves_names_with_their_messages(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two messages that come again while the database is short of memory are known all the same."""
    first, again = ([uplink(one, 7.5, one * MINUTE + later) for one in (1, 2)] for later in (0 * MINUTE, 9 * MINUTE))
    Pipeline(store).store(decode(first))
    run, short = Transaction.rows, iter([Limit("out of memory")])

    def rows(tx: Transaction, statement: str, view: str = "", /, **parameters: object) -> list[tuple[Any, ...]]:
        if statement == "note_identities":
            for error in short:
                raise error
        return run(tx, statement, view, **parameters)

    monkeypatch.setattr(Transaction, "rows", rows)
    Pipeline(store).store(decode(again))
    assert stored(store) == [(7.5, AT + MINUTE), (7.5, AT + 2 * MINUTE)]
