"""Everything a network can throw at a hub: each bad message ends where it should, and the line goes on."""

import json
import math
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from aggregates.store.store import Store
from ingest.mqtt.address import Address
from ingest.mqtt.sender import Sender
from ingest.vocabulary.readings import Flag
from lab.load.balances import balances
from tests.conftest import CASES
from tests.support.databases import list_dead_letters
from tests.support.hubs import UpHub

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
OWN = "stadspuls/stadspuls/meter"
REFUSED_TOPIC = "stadspuls/hub/refused"  # of readings that were refused after decoding
GOOD = {"sensor_id": "meter", "quantity": "vehicle_count", "period": 60, "value": 1}


def said(minute: int = 0, **changed: Any) -> bytes:
    """Own JSON of one minute; a change to None leaves the field out."""
    fields = {**GOOD, "start": (START + timedelta(minutes=minute)).isoformat(), **changed}
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


def case(name: str) -> tuple[str, bytes]:
    """Take a payload from the case folders."""
    folder = CASES / name
    return (folder / "topic").read_text().strip(), (folder / "payload").read_bytes()


# What is sent, and the reason that its dead letter gives.
REFUSED: dict[str, tuple[str, bytes, str]] = {
    "not JSON": (OWN, b"value=7", "not the hub's own JSON"),
    "cut off": (OWN, said()[:-9], "not the hub's own JSON"),
    "not UTF-8": (OWN, said(sensor_id="XX").replace(b"XX", b"\xff\xfe"), "not the hub's own JSON"),
    "empty": (OWN, b"", "not the hub's own JSON"),
    "only blanks": (OWN, b"  \n", "not the hub's own JSON"),
    "null": (OWN, b"null", "not the hub's own JSON"),
    "no readings": (OWN, b"[]", "no reading in the message"),
    "nested": (OWN, b"[" * 10_000, "not the hub's own JSON|RecursionError"),
    "nested in a value": (OWN, said(value="XX").replace(b'"XX"', b"[" * 10_000 + b"]" * 10_000), "own JSON|Recursion"),
    "NaN": (OWN, said(value="XX").replace(b'"XX"', b"NaN"), "value 'NaN', expected a finite number"),
    "Infinity": (OWN, said(value="XX").replace(b'"XX"', b"-Infinity"), "value '-Infinity', expected a finite number"),
    "too large a number": (OWN, said(value="XX").replace(b'"XX"', b"1e999"), "not the hub's own JSON|not finite"),
    "part of a vehicle": (OWN, said(value=12.5), "count with a fraction|expected a whole number"),
    "NaN as text": (OWN, said(value="NaN"), "'NaN', expected a finite number"),
    "comma in a number": (OWN, said(value="12,5"), "'12,5', expected a finite number"),
    "unknown unit": (OWN, said(unit="furlong"), "unit 'furlong' of vehicle_count, expected '1'"),
    "unknown quantity": (OWN, said(quantity="unicorns"), "quantity not in the registry"),
    "no stamp": (OWN, said(start=None), "missing required field `start`"),
    "no zone": (OWN, said(start="2026-03-02T08:00:00"), "without a zone"),
    "no such day": (OWN, said(start="2026-02-30T08:00:00Z"), "expected an ISO 8601 stamp"),
    "1970": (OWN, said(start="1970-01-01T00:00:00Z"), "start before 2000-01-01"),
    "2099": (OWN, said(start="2099-01-01T00:00:00Z"), "start more than 10 minutes after receipt"),
    "negative period": (OWN, said(period=-60), "period is not within"),
    "endless period": (OWN, said(period=10**12), "Arrow|int32|integer"),
    "endless version": (OWN, said(version=10**30), "Arrow|large|own JSON|range"),
    "forged station": (OWN, said(sensor_id="luchtmeetnet/NL10937", status="validated"), "expected one of stadspuls"),
    "version of the future": (OWN, said(version=2**63 - 1), "version is not a stamp"),
    "negative weight": (OWN, said(weight=-1), "weight is below 0"),
    "negative covers": (OWN, said(covers=-1), "covers is below 0"),
    "NUL in an id": (OWN, said(sensor_id="a\x00b"), "without NUL"),
    "endless id": (OWN, said(sensor_id="x" * 1000), "at most 500 characters"),
    "lone surrogate": (OWN, said(sensor_id="XX").replace(b"XX", b"\\ud800"), "own JSON|Unicode|surrogate"),
    "no sensor": (OWN, said(sensor_id=None), "no sensor_id"),
    "unknown source": ("stadspuls/martians/1", said(), "names no source"),
    "no source": ("stadspuls", said(), "names no source"),
    "odd topic": ("stadspuls/☃/ $SYS/'; DROP TABLE reading; --", said(), "names no source"),
    "odd override": (f"{OWN}?status=certain", said(), "status 'certain', expected provisional or validated"),
    "unknown override": (f"{OWN}?colour=red", said(), "expected only status and version"),
    "XML bomb": (*case("ndw-bad-xml-bomb"), "DOCTYPE, expected none"),
    "external entity": (*case("ndw-bad-external-entity"), "DOCTYPE, expected none"),
    "JSON to NDW": ("stadspuls/ndw/x", said(), "(?i)xml|start tag|document"),
}

# What a documented rule takes: the flags it gets.
TAKEN: dict[str, tuple[bytes, int]] = {
    "number as text": (said(sensor_id="text", value="12"), 0),
    "negative count": (said(sensor_id="negative", value=-3), 2),
    "enormous count": (said(sensor_id="enormous", value=1e300), 2),
    "enormous weight": (said(sensor_id="weight", weight=1e308), 2),
    "no value": (said(sensor_id="nothing", value="XX").replace(b'"XX"', b"null"), 0),
    "odd id": (said(sensor_id="☃ '; DROP TABLE reading; --"), 0),
    "unknown field": (said(sensor_id="field", colour="red"), 0),
    "unknown sensor": (said(sensor_id="nobody knows me"), 0),
}
SENSORS = 10_000


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpHub]:
    """A hub that was sent everything at once, good messages between the bad."""
    made = UpHub(tmp_path_factory.mktemp("bad") / "hub")
    try:
        made.start()
        with Sender(Address.parse(f"mqtt://127.0.0.1:{made.mqtt_port}"), largest=1 << 25) as sender:
            send(sender)
            sender.flush(60)
        made.settle()
        yield made
    finally:
        made.clean_up()


def send(sender: Sender) -> None:
    """Send every bad message twice and a good one after each, then one client's ten thousand sensors."""
    minute = 0
    for topic, payload, _ in REFUSED.values():
        for one in (payload, payload):
            sender.publish(topic, one)
            sender.publish(OWN, said(minute))
            minute += 1
    for payload, _ in TAKEN.values():
        sender.publish(OWN, payload)
    for value in (5, 9, 7):
        sender.publish(OWN, said(sensor_id="twice", value=value))
    for number in range(SENSORS):
        sender.publish(f"stadspuls/stadspuls/{number}", said(sensor_id=f"many/{number}"))


def asked(hub: UpHub, question: str) -> list[tuple[Any, ...]]:
    """Ask the hub's database directly."""
    with psycopg.connect(hub.database) as connection:
        return connection.execute(question.encode()).fetchall()


class TestBadInput:
    """One hub, sent everything."""

    @pytest.mark.parametrize("name", REFUSED)
    def test_ends_as_a_clear_dead_letter(self, hub: UpHub, name: str) -> None:
        """The same message twice is one letter with count 2, its payload kept, its reason saying what was wrong."""
        topic, payload, reason = REFUSED[name]
        with closing(Store(hub.database)) as store:
            letters = list_dead_letters(store)
        found = [one for one in letters if (one.topic, one.payload) == (topic, payload)]
        found = found or [one for one in letters if one.topic == REFUSED_TOPIC and holds(one.payload, payload)]
        assert [one.count for one in found] == [2], found
        assert re.search(reason, found[0].reason), found[0].reason

    @pytest.mark.parametrize("name", TAKEN)
    def test_is_taken_by_a_documented_rule(self, hub: UpHub, name: str) -> None:
        """What is odd but readable is stored once, with the flag it deserves."""
        payload, flags = TAKEN[name]
        sensor_id = "stadspuls/" + json.loads(payload)["sensor_id"]
        stored = asked(hub, "SELECT sensor_id, flags FROM reading JOIN series USING (series)")
        assert [kept for sensor, kept in stored if sensor == sensor_id] == [flags]

    def test_duplicate_with_another_value_is_ambiguous(self, hub: UpHub) -> None:
        """Two values of which nothing says which is right: the greater is kept and marked, and in no figure."""
        assert asked(
            hub, "SELECT value, flags FROM reading JOIN series USING (series) WHERE sensor_id = 'stadspuls/twice'"
        ) == [(9.0, Flag.AMBIGUOUS | Flag.CONFLICT)]

    def test_good_messages_between_them_arrive(self, hub: UpHub) -> None:
        """Not one good message is lost, nor one of ten thousand new sensors."""
        counted = asked(
            hub,
            "SELECT split_part(sensor_id, '/', 2), count(*) FROM reading JOIN series USING (series) "
            "WHERE sensor_id ~ '^stadspuls/(meter$|many/)' GROUP BY 1 ORDER BY 1",
        )
        assert counted == [("many", SENSORS), ("meter", 2 * len(REFUSED))]

    def test_no_other_dead_letter(self, hub: UpHub) -> None:
        """What is not known to be bad is in no grave."""
        assert asked(hub, "SELECT count(*), sum(count) FROM dead_letter") == [(len(REFUSED), 2 * len(REFUSED))]

    def test_every_message_is_accounted_for(self, hub: UpHub) -> None:
        """received = stored + duplicate + corrected + rejected, for every source and in total."""
        with closing(Store(hub.database)) as store:
            found = balances(store)
        assert all(balance.holds for balance in found)
        sent = 4 * len(REFUSED) + len(TAKEN) + 3 + SENSORS
        assert sum(balance.received for balance in found) == sent
        assert sum(balance.rejected for balance in found) == 2 * len(REFUSED)

    def test_ten_megabytes_are_refused_and_the_line_goes_on(self, hub: UpHub, tmp_path: Path) -> None:
        """`publish` says that the message is too large and ends with 2; what is sent afterwards arrives."""
        large = tmp_path / "large.json"
        large.write_bytes(said(channel="x" * 10_000_000))
        hub.run("publish", str(large), "--source=stadspuls", code=2)
        good = tmp_path / "good.json"
        good.write_bytes(said(sensor_id="afterwards"))
        hub.publish([good], "stadspuls")
        assert asked(hub, "SELECT count(*) FROM sensor WHERE sensor_id = 'stadspuls/afterwards'") == [(1,)]

    def test_broker_refuses_ten_megabytes(self, hub: UpHub) -> None:
        """A client that sends 10 MB all the same is hung up on; the hub takes what others send."""
        address = Address.parse(f"mqtt://127.0.0.1:{hub.mqtt_port}")
        with Sender(address, largest=1 << 25) as careless:
            careless.publish(OWN, b"x" * 10_000_000)
            with pytest.raises(TimeoutError):
                careless.flush(1.0)
        with Sender(address) as sender:
            sender.publish(OWN, said(sensor_id="after all"))
            sender.flush(30)
        hub.settle()
        assert asked(hub, "SELECT count(*) FROM sensor WHERE sensor_id = 'stadspuls/after all'") == [(1,)]

    def test_stream_still_equals_batch(self, hub: UpHub) -> None:
        """The proof runs over everything that was taken, and finds nothing."""
        assert hub.reconcile("2026-03-01", "2026-03-04") > 0


def holds(kept: bytes | None, sent: bytes) -> bool:
    """Tell whether a letter's own JSON is the reading that was sent."""
    one, other = json.loads(kept or b""), json.loads(sent)
    other["sensor_id"] = f"stadspuls/{other['sensor_id']}"
    return all(_plain(one.get(name)) == _plain(value) for name, value in other.items())


def _plain(value: object) -> object:
    """Compare stamps as stamps, and an infinity, which JSON has not, as its word."""
    if value == math.inf:
        return "inf"
    return datetime.fromisoformat(value) if isinstance(value, str) and value[:1] in "12" else value
