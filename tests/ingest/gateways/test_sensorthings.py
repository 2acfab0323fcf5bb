"""Any SensorThings service: everything comes once and rightly, over pages, outages, corrections and restarts."""

import gzip
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from ingest.formats.decode import decode
from tests.support.brokers import Broker
from tests.support.country import NOW, country, failing
from tests.support.frost import Frost, observed
from tests.support.gatewayline import Line

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
START = NOW.replace(second=0)
OUT = (5.85, 51.54)


@pytest.fixture
def frost() -> Iterator[Frost]:
    """A service without Observations."""
    with country(Frost) as made:
        yield made


@pytest.fixture
def line(frost: Frost, broker: Broker, tmp_path: Path) -> Iterator[Line]:
    """A line from that service."""
    made = Line(frost, broker, tmp_path)
    made.base = "/v1.1"
    yield made
    made.end()


def test_observations_say_what_they_are(line: Line, frost: Frost) -> None:
    """Sensor, place, quantity, unit, value and interval are read from what an Observation brings along."""
    frost.observations = [
        observed(1, START - MINUTE, 0.041, unit="mg/m3"),
        observed(2, f"{START - HOUR:%Y-%m-%dT%H:%M:%SZ}/{START:%Y-%m-%dT%H:%M:%SZ}", 7, "PM2.5", "µg/m³", thing=2),
        observed(3, START - 2 * MINUTE, 293.15, "Air temperature", "K"),
    ]
    line.one("sensorthings").turn()
    batch = decode(line.arrived())
    assert batch.dead_letters == ()
    found = {(row["sensor_id"], row["channel"], row["quantity"], row["period"]): round(row["value"], 9)
             for row in batch.readings.to_pylist()}  # fmt: skip
    assert found == {
        ("sensorthings/1", "1", "no2", 0): 41, ("sensorthings/2", "2", "pm25", 3600): 7,
        ("sensorthings/1", "3", "temperature", 0): 20,
    }  # fmt: skip
    assert {(one.sensor_id, one.name, one.lon, one.lat) for one in batch.sensors} == {
        ("sensorthings/1", "Station 1", 6.57, 53.22), ("sensorthings/2", "Station 2", 6.57, 53.22),
    }  # fmt: skip


def test_what_cannot_be_read_costs_itself_alone(line: Line, frost: Frost) -> None:
    """A share of volume without its conditions, an unknown property and a word are refused; the others come."""
    frost.observations = [
        observed(1, START - MINUTE, 20, unit="ppb"),
        observed(2, START - MINUTE, 1, "Temperature"),
        observed(3, START - MINUTE, "warming up"),
        observed(4, START - MINUTE, 20),
    ]
    line.one("sensorthings").turn()
    batch = decode(line.arrived())
    assert [row["channel"] for row in batch.readings.to_pylist()] == ["4"]
    reasons = " ".join(letter.reason for letter in batch.dead_letters)
    assert "unit 'ppb' of no2" in reasons
    assert "'Temperature' is not in [table]" in reasons
    assert "'warming up'" in reasons


def test_pages_are_followed(line: Line, frost: Frost) -> None:
    """The links lead on by their question, whatever address a service behind a proxy gives itself."""
    frost.page = 7
    frost.observations = [observed(stream, START - MINUTE, stream) for stream in range(40)]
    line.one("sensorthings").turn()
    assert sorted(one[3] or 0 for one in line.readings()) == list(range(40))
    assert len(frost.questions) == 6


def test_area_and_filter(line: Line, frost: Frost) -> None:
    """Only Things in the area are published, of those that meet the condition; a Thing without a place is nowhere."""
    frost.observations = [
        observed(1, START - MINUTE, 1), observed(2, START - MINUTE, 2, place=OUT, thing=2),
        observed(3, START - MINUTE, 3, place=None, thing=3), observed(4, START - MINUTE, 4, "O3"),
    ]  # fmt: skip
    (runner,) = line.open("sensorthings", condition="Datastream/ObservedProperty/name eq 'NO2'")
    runner.turn()
    assert [one[0] for one in line.readings()] == ["sensorthings/1"]
    line.one("sensorthings", area=None).turn()  # another condition has another memory
    assert sorted(one[3] or 0 for one in line.readings()) == [1, 1, 2, 3, 4]


def test_correction_replaces_the_value(line: Line, frost: Frost) -> None:
    """An Observation of long ago that gets a later resultTime comes again, as a newer version of the same reading."""
    when = START - 3 * HOUR
    frost.observations = [observed(1, when, 10, revised=when)]
    runner = line.one("sensorthings")
    runner.turn()
    line.now += 30 * HOUR
    runner.turn()
    frost.observations = [observed(1, when, 12, revised=line.now)]
    line.now += MINUTE
    runner.turn()
    runner.turn()
    rows = decode(line.arrived()).readings.to_pylist()
    assert [row["value"] for row in sorted(rows, key=lambda row: row["version"])] == [10, 12]
    assert len({(row["sensor_id"], row["channel"], row["start"]) for row in rows}) == 1


def test_correction_without_a_result_time(line: Line, frost: Frost) -> None:
    """Where a service gives no resultTime, a value that comes or changes within hours is still found."""
    runner = line.one("sensorthings")
    runner.turn()
    line.now += HOUR + 10 * MINUTE
    runner.turn()
    frost.observations = [observed(1, START + 10 * MINUTE, 10)]
    for _ in range(6):
        line.now += HOUR
        runner.turn()
    assert [one[3] for one in line.readings()] == [10]


def test_outage_is_caught_up(line: Line, frost: Frost) -> None:
    """After two days away, and a restart, every Observation of them comes once."""
    line.one("sensorthings").turn()
    frost.observations = [observed(1, START + at * 15 * MINUTE, at) for at in range(192)]
    line.now += timedelta(days=2)
    frost.faults = [("Observations", failing(503))]
    line.one("sensorthings").turn()
    line.one("sensorthings").turn()
    assert sorted(one[3] or 0 for one in line.readings()) == list(range(192))


def test_unchanged_answer_is_not_sent_again(line: Line, frost: Frost) -> None:
    """While nothing new comes the service answers 304; what comes then is published, and a page is never missed."""
    frost.page = 2
    frost.observations = [observed(1, START, 1)]
    runner = line.one("sensorthings")
    for _ in range(3):
        runner.turn()
    assert runner.counts.events["requests", "not_modified"] >= 1
    for stream in range(2, 7):
        frost.observations.append(observed(stream, START, stream))
        runner.turn()
        runner.turn()
    assert sorted(one[3] or 0 for one in line.readings()) == [1, 2, 3, 4, 5, 6]


@pytest.mark.shared
def test_recorded_observations(line: Line, frost: Frost, shared_data: Path) -> None:
    """Recorded Observations of groundwater, without a resultTime, come once each, and are refused with a reason."""
    folder = shared_data / "payloads/sensorthings"
    stream = json.loads((folder / "dataStream1.json").read_text("utf-8"))
    recorded = [
        json.loads(text)
        for text in gzip.decompress((folder / "observations1.json.gz").read_bytes()).split(b"\n")
        if text.strip()
    ]
    frost.page = 1000
    frost.observations = [
        one | {"Datastream": stream | {"@iot.id": 1, "Thing": {"@iot.id": 1}}} for one in recorded[:150]
    ]
    line.now = line.now.replace(year=2018, month=8, day=6, hour=12)
    runner = line.one("sensorthings", area=None)
    for _ in range(8):
        runner.turn()
        line.now += timedelta(days=1)
    sent = [one["phenomenonTime"] for message in line.arrived() for one in json.loads(message.payload)]
    assert sorted(sent) == sorted(one["phenomenonTime"] for one in frost.observations)
    batch = decode(line.arrived())
    assert len(batch) == 0
    assert "'Temperatuur' is not in [table]" in batch.dead_letters[0].reason
