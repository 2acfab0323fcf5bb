"""What all gateways share: each measurement arrives once, whatever the source, the broker or a kill do meanwhile."""

import gzip
import json
import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import shapely

from ingest.gateways.memory import Memory, Taken
from ingest.gateways.turn import Counts, Region
from ingest.gateways.web import GatewayStopped, Web
from tests.support.brokers import built_in
from tests.support.country import NOW, Answer, Country, citizen, failing, figure, ndw_table, station
from tests.support.gatewayline import Line
from tests.support.lines import until

SNAPSHOT = "static/v1/data.json"
MINUTE = timedelta(minutes=1)


def snapshot(*sensors: int, when: datetime = NOW - MINUTE, p1: str = "12.5") -> bytes:
    """An answer of Sensor.Community: one record of each sensor, in Groningen."""
    return json.dumps([citizen(sensor, when, 6.57, 53.22, p1) for sensor in sensors]).encode()


def anything_published(folder: Path) -> bool:
    """Whether the memory of Sensor.Community holds a measurement for published."""
    with closing(sqlite3.connect(folder / "gateways/sensor_community.sqlite")) as database:
        return database.execute("SELECT 1 FROM published LIMIT 1").fetchone() is not None


def good() -> bytes:
    """The snapshot of the tests below: twenty sensors."""
    return snapshot(*range(20))


CUT = gzip.compress(good())[:-40]
FAULTS = {
    "too many requests": failing(429, "1"),
    "internal error": failing(500),
    "bad gateway": failing(502),
    "connection lost": Answer(good(), lost=100),
    "cut-off gzip": Answer(CUT, headers=(("Content-Encoding", "gzip"),)),
    "no gzip at all": Answer(good(), headers=(("Content-Encoding", "gzip"),)),
    "half of the JSON": Answer(good()[:-5]),
    "a page for people": Answer(b"<html>down for maintenance</html>"),
    "nothing": Answer(b""),
    "late": Answer(good(), late=1.5),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_before_a_good_answer_costs_nothing(line: Line, sources: Country, name: str) -> None:
    """After any fault the same turn asks again: every measurement arrives once, and the fault is counted."""
    sources.files[SNAPSHOT] = good()
    sources.faults = [(SNAPSHOT, FAULTS[name])]
    runner = line.one("sensor_community")
    runner.turn()
    topics = Counter(one.topic for one in line.arrived())
    assert topics == Counter(f"stadspuls/sensor_community/{n}" for n in range(20))
    assert runner.counts.events["turns", "good"] == 1
    assert runner.counts.events["requests", "good"] == 1
    assert sum(number for (kind, _), number in runner.counts.events.items() if kind == "requests") == 2


def test_source_that_stays_away_is_waited_for(line: Line, sources: Country) -> None:
    """A turn that fails is counted, waits longer each time, and the next good one has everything."""
    sources.files[SNAPSHOT] = good()
    sources.faults = [(SNAPSHOT, failing(503))] * 6
    runner = line.one("sensor_community")
    waits = [runner.turn(), runner.turn()]
    assert runner.counts.failures == 2
    assert waits[1] >= waits[0] >= 10
    runner.turn()
    assert (runner.counts.failures, runner.counts.events["requests", "status_503"]) == (0, 6)
    assert len(line.readings()) == 20


@pytest.mark.parametrize("asked", ["600", "in a date"])
def test_retry_after_of_a_server_is_respected(line: Line, sources: Country, asked: str) -> None:
    """Who asks to be left alone for ten minutes is asked once, and the next turn is minutes away."""
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    sources.files[SNAPSHOT] = good()
    sources.faults = [(SNAPSHOT, failing(429, asked if asked.isdigit() else date))]
    assert line.one("sensor_community").turn() >= (600 if asked.isdigit() else 300)
    assert sources.asked[f"/{SNAPSHOT}"] == 1


def test_what_does_not_exist_is_not_asked_for_again_and_again(line: Line, sources: Country) -> None:
    """A 404 is no fault that passes: one request a turn."""
    runner = line.one("sensor_community")
    runner.turn()
    assert (sources.asked[f"/{SNAPSHOT}"], runner.counts.events["requests", "status_404"]) == (1, 1)


def test_answer_without_an_end_is_left(line: Line, sources: Country, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes into memory has a limit, which a file on disk may be above."""
    sources.files[SNAPSHOT] = good()
    sources.files["measurement_current.xml.gz"] = ndw_table("1", {f"PGR08_{n}": (6.5, 53.2) for n in range(99)})
    monkeypatch.setattr("ingest.gateways.web.LARGEST", 100)
    runners = line.open("ndw", "sensor_community")
    table, citizens = runners[0], runners[-1]
    for runner in (table, citizens):
        runner.turn()
    assert (table.counts.failures, citizens.counts.failures) == (0, 1)


def test_unchanged_answer_is_not_sent_again(line: Line, sources: Country) -> None:
    """The second turn asks with the ETag of the first, gets 304, and publishes nothing."""
    sources.files[SNAPSHOT] = good()
    runner = line.one("sensor_community")
    runner.turn()
    runner.turn()
    assert runner.counts.events["requests", "not_modified"] == 1
    assert len(line.arrived()) == 20


def test_nothing_is_published_again_after_a_restart(line: Line, sources: Country) -> None:
    """The memory outlives the process: only what is new comes, though every answer overlaps the one before."""
    sources.files[SNAPSHOT] = snapshot(1, 2)
    line.one("sensor_community").turn()
    sources.files[SNAPSHOT] = snapshot(1, 2, 3)
    line.one("sensor_community").turn()
    assert sorted(one[0] for one in line.readings()) == [f"sensor_community/{n}" for n in (1, 2, 3)]


def test_memory_that_cannot_be_read_is_begun_anew(line: Line, sources: Country) -> None:
    """A damaged file costs repeats, which the fence counts, and stops nothing."""
    sources.files[SNAPSHOT] = snapshot(1)
    line.one("sensor_community").turn()
    line.close()
    (line.directory / "gateways/sensor_community.sqlite").write_bytes(b'{"published": ')
    line.one("sensor_community").turn()
    assert len(line.arrived()) == 2
    assert (line.directory / "gateways/damaged-sensor_community.sqlite").read_bytes() == b'{"published": '


def test_second_process_is_refused(line: Line) -> None:
    """Two gateways with one memory would publish twice."""
    line.open("sensor_community")
    with pytest.raises(Taken, match="polled by another process"):
        Memory(line.directory / "gateways/sensor_community.sqlite")


def test_broker_that_is_away_is_waited_for(sources: Country, tmp_path: Path) -> None:
    """Nothing counts as published before the broker has it; once it is there everything arrives, once."""
    sources.files[SNAPSHOT] = good()
    away = built_in(tmp_path)
    line = Line(sources, away.start(), tmp_path)
    away.kill()
    runner = line.one("sensor_community")
    turn = threading.Thread(target=runner.turn)
    turn.start()
    until(lambda: runner.counts.events["messages", ""] == 20)
    assert not anything_published(tmp_path)
    away.start()
    until(lambda: line.taker.receiver.is_up)
    turn.join(60)
    assert anything_published(tmp_path)
    runner.turn()
    assert (runner.counts.events["messages", ""], runner.counts.events["turns", "good"]) == (20, 2)
    line.end()
    away.kill()


def test_turn_that_ends_before_the_broker_answers_is_done_again(sources: Country, tmp_path: Path) -> None:
    """A gateway that is stopped while the broker is away takes nothing of the turn for published, and ends in time."""
    sources.files[SNAPSHOT] = good()
    broker = built_in(tmp_path).start()
    line = Line(sources, broker, tmp_path)
    broker.kill()
    runner = line.one("sensor_community")
    turn = threading.Thread(target=runner.turn)
    turn.start()
    until(lambda: runner.counts.events["messages", ""] == 20)
    line.close()
    turn.join(60)
    assert not turn.is_alive()
    assert not anything_published(tmp_path)
    line.taker.stop()


def test_failure_half_way_keeps_what_was_published(line: Line, sources: Country) -> None:
    """A turn that fails behind its third page publishes the rest the next time, and nothing twice."""
    sources.page = 10
    sources.stations = {"NL10938": station("Groningen", 6.57, 53.22), "NL10937": station("Groningen", 6.58, 53.22)}
    hours = [figure(number, "NO2", NOW.replace(minute=0, second=0) - timedelta(hours=h), 20.0 + h)
             for number in sources.stations for h in range(24)]  # fmt: skip
    sources.measurements = hours
    sources.faults = [("page=4", failing(500))] * 3
    runner = line.one("luchtmeetnet")
    runner.turn()
    assert runner.counts.failures == 1
    runner.turn()
    found = line.readings()
    assert len(found) == len(set(found)) == 48


def test_form_that_changed_is_told_and_stops_no_other(line: Line, sources: Country) -> None:
    """An answer in another form is counted as that, is asked for again, and the other gateways go on."""
    sources.files[SNAPSHOT] = b'{"records": []}'
    sources.stations = {"NL10938": station("Groningen", 6.57, 53.22)}
    sources.measurements = [figure("NL10938", "NO2", NOW.replace(minute=0, second=0), 20.0)]
    air, citizens = line.open("luchtmeetnet", "sensor_community")
    for runner in (air, citizens):
        runner.turn()
    assert (citizens.counts.events["form_changes", ""], air.counts.events["form_changes", ""]) == (1, 0)
    assert len(line.readings()) == 1
    sources.files[SNAPSHOT] = snapshot(1)
    citizens.turn()
    assert len(line.readings()) == 2


def test_record_that_cannot_be_read_costs_no_other(line: Line, sources: Country) -> None:
    """A record without a place is counted and passed over."""
    records = json.loads(good())
    del records[7]["location"]
    records[8]["location"]["latitude"] = "north"
    sources.files[SNAPSHOT] = json.dumps(records).encode()
    runner = line.one("sensor_community")
    runner.turn()
    assert len(line.readings()) == 18
    assert (runner.counts.events["odd", ""], runner.counts.failures) == (1, 0)


def test_running_gateways_go_on_by_themselves(line: Line, sources: Country, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started gateways turn again and again, each in its own thread, until they are stopped."""
    sources.files[SNAPSHOT] = snapshot(1)
    runner = line.one("sensor_community")
    runner.job = runner.job._replace(every=timedelta(seconds=0.2))
    runner.start()
    until(lambda: runner.counts.events["turns", "good"] >= 1)
    sources.files[SNAPSHOT] = snapshot(1, 2)
    until(lambda: runner.counts.events["messages", ""] == 2, 20)
    assert len(line.readings()) == 2


def test_memory_that_cannot_be_put_right_ends_no_gateway(
    line: Line, sources: Country, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A turn that fails, and whose memory then fails too, is followed by another."""
    sources.files[SNAPSHOT] = b"half of an answer"
    runner = line.one("sensor_community")
    fails = [True]
    forget = Memory.forget

    def broken(memory: Memory) -> None:
        if fails[0]:
            sources.files[SNAPSHOT] = snapshot(1)
            fails[0] = False
            raise OSError("no space left on device")
        forget(memory)

    monkeypatch.setattr(Memory, "forget", broken)
    monkeypatch.setattr("ingest.gateways.schedule.LONGEST_WAIT", 0.1)
    runner.start()
    until(lambda: runner.counts.events["messages", ""] == 1, 30)


def test_pace_is_kept(tmp_path: Path) -> None:
    """The third request of two in two seconds is made two seconds after the first; a stop ends the wait."""
    stop, memory = threading.Event(), Memory(tmp_path / "x.sqlite")
    web = Web(
        "http://localhost",
        (2, timedelta(seconds=2)),
        time.monotonic,
        Counts("x").add,
        memory,
        stop,
        1.0,
        tmp_path / "part",
    )
    for _ in range(3):
        web.wait()
    assert web.asked[1] - web.asked[0] >= 1.9
    stop.set()
    with pytest.raises(GatewayStopped):
        web.wait()
    web.close()
    memory.close()


def test_pace_is_kept_over_a_restart(line: Line, sources: Country) -> None:
    """What a process asked still counts for the next one; what lies ahead of a clock that was set back does not."""
    sources.files[SNAPSHOT] = snapshot(1)
    line.one("sensor_community").turn()
    again = line.one("sensor_community")
    at = line.now.timestamp()
    assert list(again.web.asked) == [at]
    again.turn()
    assert list(again.web.asked) == [at, at]
    line.now -= timedelta(seconds=1)
    assert not line.one("sensor_community").web.asked


@pytest.mark.parametrize(
    "text", ["", "6,53,7", "a,b,c,d", "7,53,6,54", "6,54,7,53", "6,53,7,99", "6,53,7,54,8", "nan,53,7,54"]
)
def test_box_that_is_none_is_refused(text: str) -> None:
    """A box gives west, south, east and north, in that order."""
    with pytest.raises(ValueError, match="expected west"):
        Region.box(text)


def test_region_has_the_shape_of_the_municipality() -> None:
    """A place inside the box around a municipality and outside its boundary is not in the region."""
    triangle = Region("x", shapely.Polygon([(0, 0), (2, 0), (0, 2)]))
    places = [(0.5, 0.5), (1.9, 1.9), (3.0, 0.5), (None, None)]
    assert [triangle.contains(*place) for place in places] == [True, False, False, False]
