"""From messages to a batch: no message raises, every reading is screened, own JSON goes round."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.formats import decode as decoding
from ingest.formats.decode import EARLIEST, FUTURE, decode
from ingest.vocabulary import sources
from ingest.vocabulary.batch import own_json
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import Message, Status, microseconds
from ingest.vocabulary.sources import SOURCES, UPDATES, source_of_sensor

NOW = datetime(2026, 5, 4, 9, tzinfo=UTC)
TOPIC = "stadspuls/stadspuls/x"
CORRECTED = {name for name, source in SOURCES.items() if source.fractions}
READING: dict[str, Any] = {"sensor_id": "a", "quantity": "no2", "start": "2026-05-04T08:00:00Z", "value": 1}


def reasons(payload: bytes | object, topic: str = TOPIC) -> list[str]:
    """Say why a message, or a reading in it, was refused."""
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return [letter.reason for letter in decode([Message(topic, raw, NOW)]).dead_letters]


def row(**changes: Any) -> dict[str, Any]:
    """Give the one row that a reading becomes."""
    batch = decode([Message(TOPIC, json.dumps(READING | changes).encode(), NOW)])
    assert batch.dead_letters == ()
    (only,) = batch.readings.to_pylist()
    return dict(only)


@given(st.sampled_from(sorted(SOURCES)), st.binary(max_size=300), st.text(max_size=40))
def test_arbitrary_messages_never_raise(source: str, payload: bytes, rest: str) -> None:
    """Any bytes on any topic of any source become a batch: readings, or dead letters with a reason."""
    batch = decode([Message(f"stadspuls/{source}/{rest}", payload, NOW)])
    assert len(batch) or all(letter.reason for letter in batch.dead_letters)


@given(st.binary(max_size=60))
@example(b"\n\0\0")
@example(b"\xef\xbb\xbf\t")
@example(b"\x0b")
def test_arbitrary_bytes_around_a_reading_never_raise(tail: bytes) -> None:
    """A reading with bytes behind it is refused or, where they are blank and then NUL, read."""
    is_blank = not tail.decode("utf-8", "replace").rstrip("\ufeff\0").strip()
    batch = decode([Message(TOPIC, json.dumps(READING).encode() + tail, NOW)])
    assert (len(batch), len(batch.dead_letters)) == ((1, 0) if is_blank else (0, 1))


finite = st.floats(allow_nan=False, allow_infinity=False)
rows = st.fixed_dictionaries(
    {
        "sensor_id": st.sampled_from(["ndw/ABC", "stadspuls/a", "luchtmeetnet/NL1", "sensor_community/7"]),
        "channel": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20),
        "quantity": st.sampled_from(sorted(QUANTITIES)),
        "period": st.integers(0, 86_400),
        "start": st.datetimes(datetime(2000, 1, 2), datetime(2026, 5, 4), timezones=st.just(UTC)),  # noqa: DTZ001
        "value": st.none() | finite,
        "weight": finite.map(abs),
        "covers": st.none() | finite.map(abs),
        "flags": st.integers(0, 2047),
        "status": st.sampled_from(list(Status)),
        "version": st.integers(0, microseconds(NOW)),
    }
)


@given(rows)
def test_own_json_goes_round(given_row: dict[str, Any]) -> None:
    """A refused reading, written as own JSON, decodes to itself, an instant of unknown length included."""
    if given_row["period"] and given_row["covers"] is None:
        given_row["covers"] = float(given_row["period"])  # a batch never has a period without its length
    is_count = QUANTITIES[given_row["quantity"]].aggregation == "sum"
    if is_count and given_row["value"] and source_of_sensor(given_row["sensor_id"]) not in CORRECTED:
        given_row["value"] = float(int(given_row["value"]))  # a count with a fraction is refused
    batch = decode([Message("stadspuls/hub/refused", own_json(given_row), NOW)])
    assert batch.dead_letters == ()
    (again,) = batch.readings.to_pylist()
    assert {key: value for key, value in again.items() if key != "received_at"} == given_row


def test_bare_id_is_the_hubs_own() -> None:
    """An id without a source in front gets the topic's."""
    assert [row(sensor_id=name)["sensor_id"] for name in ("a", "nobody/a", "stadspuls/a")] == [
        "stadspuls/a", "stadspuls/nobody/a", "stadspuls/a",
    ]  # fmt: skip


def test_sensor_is_of_the_topics_source() -> None:
    """Own JSON cannot speak for a station of another source, but on the topics that only the hub's account may use."""
    forged = READING | {"sensor_id": "luchtmeetnet/NL10937", "status": "validated"}
    for payload in (forged, [forged], {"sensor_id": "ndw/x", "lon": 6.5, "lat": 53.2, "readings": []}):
        (reason,) = reasons(payload)
        assert "expected one of stadspuls on this topic" in reason
        assert reasons(payload, "stadspuls/hub/x") in ([], ["no reading in the message, expected at least one"])


@pytest.mark.parametrize("version", [2**63 - 1, 2**62, -1, microseconds(NOW + FUTURE) + 1, "9999-12-31T00:00:00Z"])
def test_version_that_cannot_be_is_refused(version: object) -> None:
    """A version of the future would stand against every correction to come; receipt and ten minutes is the limit."""
    (reason,) = reasons(READING | {"version": version})
    assert "version" in reason
    (reason,) = reasons(READING, f"{TOPIC}?version=2099-01-01T00:00:00Z")
    assert "version" in reason
    assert row(version=microseconds(NOW + FUTURE))["version"] == microseconds(NOW + FUTURE)


def test_numbers_as_strings() -> None:
    """A number may be sent as a string, as devices do; anything else in a string is refused."""
    assert row(value="12.50")["value"] == 12.5
    assert row(value="-1e-2", weight="3")["weight"] == 3
    for text in ("", " 1", "1,5", "1_000", "0x1f", "nan", "-inf", "1e999", "१"):
        assert reasons(READING | {"value": text}) == [f"value {text!r}, expected a finite number"]


@pytest.mark.parametrize(
    ("start", "utc"),
    [
        ("2026-05-04T10:00:00+02:00", "2026-05-04T08:00:00+00:00"),
        ("2026-05-04T08:00Z", "2026-05-04T08:00:00+00:00"),
        ("20260504T080000Z", "2026-05-04T08:00:00+00:00"),
        ("2026-05-04 08:00:00.123456789Z", "2026-05-04T08:00:00.123456+00:00"),
    ],
)
def test_stamps_with_a_zone(start: str, utc: str) -> None:
    """Every ISO 8601 stamp with a zone is read, to the microsecond."""
    assert row(start=start)["start"].isoformat() == utc


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"start": "2026-05-04T08:00:00"}, "without a zone"),
        ({"start": "2026-05-04"}, "without a zone"),
        ({"start": "yesterday"}, "expected an ISO 8601 stamp"),
        ({"start": "0001-01-01T00:00:00+14:00"}, "expected an ISO 8601 stamp"),
        ({"start": 1777881600}, "got `int` - at `$.start`"),
        ({"start": "1970-01-01T00:00:00Z"}, "the earliest this hub takes"),
        ({"start": "2099-01-01T00:00:00Z"}, "after receipt"),
        ({"unit": "ppb"}, "unit 'ppb' of no2, expected 'ug/m3'"),
        ({"unit": "ppb", "quantity": "joy"}, "quantity not in the registry"),
        ({"sensor_id": ""}, "no sensor_id"),
        ({"sensor_id": "x" * 501}, "at most 500 characters"),
        ({"sensor_id": "a\x00"}, "without NUL"),
        ({"channel": None}, "at `$.channel`"),
        ({"value": True}, "at `$.value`"),
        ({"value": [1]}, "at `$.value`"),
        ({"weight": -1}, "weight is below 0"),
        ({"covers": -1}, "covers is below 0"),
        ({"period": -60}, "period is not within"),
        ({"period": 1.5}, "at `$.period`"),
        ({"period": 10**12}, ""),
        ({"version": 10**30}, ""),
        ({"flags": 8192}, "flags 8192, expected bits within 8191"),
        ({"flags": -1}, "flags -1"),
        ({"flags": ["odd"]}, "flag 'odd', expected one of source_error"),
        ({"status": "final"}, "status 'final'"),
        ({"version": "2026-05-04T08:00:00"}, "version '2026-05-04T08:00:00' without a zone"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, Any], reason: str) -> None:
    """A reading that cannot be true is refused, and the reason names what was found."""
    (found_reason,) = reasons(READING | change)
    assert reason in found_reason


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"  ",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b'{"readings":[]}',
        b"\xff\xfe",
        b"12",
        b'"text"',
        b"NaN",
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        json.dumps(READING).replace("1}", "NaN}").encode(),
        json.dumps(READING).replace("1}", "Infinity}").encode(),
        json.dumps(READING).replace("1}", "1e999}").encode(),
    ],
    ids=range(16),
)
@pytest.mark.parametrize("source", sorted(SOURCES))
def test_payload_that_is_nothing_is_a_dead_letter(source: str, payload: bytes) -> None:
    """Not JSON, not UTF-8, empty, ten thousand levels deep, NaN: one dead letter each, at every source."""
    assert len(reasons(payload, f"stadspuls/{source}/x")) == 1


def test_negative_count_passes_the_decoder() -> None:
    """A negative count is not refused here: the quality rules mark it out of range, and it stays to be seen."""
    assert row(quantity="vehicle_count", value=-5)["value"] == -5


def test_null_says_nothing_was_measured() -> None:
    """Null alone is "nothing to measure" and weighs nothing; with a flag it failed."""
    assert [(one["value"], one["weight"], one["flags"]) for one in (row(value=None), row(value=None, flags=1))] == [
        (None, 0, 0),
        (None, 0, 1),
    ]


def test_one_bad_reading_does_not_cost_the_others() -> None:
    """A reading that is refused by the screen leaves the other readings of its message in the batch."""
    message = [READING, READING | {"start": "2099-01-01T00:00:00Z"}, READING | {"quantity": "joy"}]
    batch = decode([Message(TOPIC, json.dumps(message).encode(), NOW)])
    assert (len(batch), len(batch.dead_letters)) == (1, 2)
    again = decode([Message(letter.topic, letter.payload, NOW) for letter in batch.dead_letters])
    assert len(again.dead_letters) == 2, (
        "a refused reading is kept as own JSON, and is refused again for the same reason"
    )


def test_one_bad_message_does_not_cost_the_others() -> None:
    """A message that no column takes is found among the good ones, which pass."""
    good = Message(TOPIC, json.dumps(READING).encode(), NOW)
    bad = Message(TOPIC, json.dumps(READING | {"version": 2**63}).encode(), NOW)
    batch = decode([good, bad, good])
    assert (len(batch), len(batch.dead_letters)) == (2, 1)


def test_limits_of_time() -> None:
    """A stamp exactly at the limits passes, a microsecond beyond is refused."""
    for start, refused in (
        (EARLIEST, 0),
        (EARLIEST - timedelta(microseconds=1), 1),
        (NOW + FUTURE, 0),
        (NOW + FUTURE + timedelta(microseconds=1), 1),
    ):
        assert len(reasons(READING | {"start": start.isoformat()})) == refused


def test_earliest_is_an_argument() -> None:
    """A hub with older data may take it."""
    message = Message(TOPIC, json.dumps(READING | {"start": "1970-01-01T00:00:00Z"}).encode(), NOW)
    assert len(decode([message], earliest=datetime(1969, 1, 1, tzinfo=timezone(timedelta(hours=1))))) == 1


@pytest.mark.parametrize(
    "topic", ["", "/", "stadspuls", "stadspuls/", "stadspuls/nobody/x", "other/x", "$SYS/x", "\x00"]
)
def test_topic_without_a_source_is_a_dead_letter(topic: str) -> None:
    """A message of no source is kept, with the topic in the reason."""
    (reason,) = reasons(READING, topic)
    assert "names no source" in reason or "payload format" in reason


def test_source_without_a_format_speaks_own_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody has translated is read on its source's topic."""
    monkeypatch.delitem(decoding.FORMATS, "aireas")
    message = Message("stadspuls/aireas/x", json.dumps(READING | {"sensor_id": "aireas/1"}).encode(), NOW)
    assert [one["sensor_id"] for one in decode([message]).readings.to_pylist()] == ["aireas/1"]


def test_topic_with_odd_characters() -> None:
    """Blanks, wide characters and escapes in a topic change nothing."""
    assert reasons(READING, "stadspuls/stadspuls/a b/ü/%2F/😀/'") == []


def test_facts_about_a_sensor() -> None:
    """Facts beside readings are the sensor's; the place of a citizen's sensor is rounded before it goes anywhere."""
    document = {"sensor_id": "telraam/9", "name": "window", "lon": 6.56651, "lat": 53.21938, "lanes": 2, "readings": []}
    (fact,) = decode([Message("stadspuls/hub/x", json.dumps(document).encode(), NOW)]).sensors
    assert (fact.name, fact.lon, fact.lat, fact.lanes) == ("window", 6.567, 53.219, 2)
    assert len(reasons(document | {"lat": 91})) == 1
    assert len(reasons(document | {"lanes": 0})) == 1


def test_interval_gives_instants_their_length() -> None:
    """An instant whose sensor gives its interval stands for it; one that doesn't stands for an unknown time."""
    document = {"interval": 300, "readings": [READING, READING | {"covers": 60, "start": "2026-05-04T08:10:00Z"}]}
    batch = decode([Message(TOPIC, json.dumps(document).encode(), NOW)])
    assert [one["covers"] for one in batch.readings.to_pylist()] == [300, 60]
    assert row()["covers"] is None
    assert row(period=60)["covers"] == 60


@pytest.mark.parametrize(
    "fact",
    [b'"name":"a\\u0000b"', b'"name":"\\ud800"', b'"lon":181,"lat":0', b'"lanes":99999999999', b'"interval":-1'],
)
def test_fact_that_no_catalogue_takes_is_a_dead_letter(fact: bytes) -> None:
    """A name that is no text, a place off the globe or an absurd number is refused, and never costs the whole line."""
    reading = b'{"sensor_id":"a","quantity":"no2","start":"2026-01-01T00:00:00Z","value":1}'
    payload = b'{"sensor_id":"a",%s,"readings":[%s]}' % (fact, reading)
    batch = decode([Message("stadspuls/stadspuls/a", payload, datetime(2026, 1, 2, tzinfo=UTC))])
    assert (len(batch.dead_letters), batch.sensors) == (1, ())
    batch.dead_letters[0].reason.encode()


def test_fact_that_no_catalogue_takes_costs_no_reading() -> None:
    """A fact with a number that no sensor has is refused alone."""
    batch = decode([Message(TOPIC, json.dumps({"lanes": 10**9, "readings": [READING]}).encode(), NOW)])
    assert (len(batch), len(batch.dead_letters), batch.sensors) == (1, 1, ())


def test_own_alerts_are_no_readings() -> None:
    """What the hub publishes of alerts comes back on its own subscription, and is neither reading nor dead letter."""
    news = Message("stadspuls/alerts/no2-alert/ndw/A1", b'{"kind": "raised"}', datetime(2024, 6, 1, tzinfo=UTC))
    batch = decode([news])
    assert (batch.readings.num_rows, batch.dead_letters) == (0, ())


def test_own_updates_are_no_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a hub that sends updates of SensorThings they are its own; of another they are those of a service."""
    observation = b'{"phenomenonTime": "2024-06-01T08:00:00Z", "result": 1}'
    update = Message("v1.1/Datastreams(17)/Observations", observation, NOW)
    assert decode([update]).dead_letters[0].source == "sensorthings"
    monkeypatch.setattr(sources, "NEWS", (*sources.NEWS, UPDATES))
    batch = decode([update])
    assert (len(batch), batch.dead_letters) == (0, ())
