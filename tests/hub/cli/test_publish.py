"""`stadspuls publish`: what is said of a file travels with it, at the speed asked for and no faster than the hub."""

import json
import os
import pty
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from aggregates.ask.dates import BadQuestion
from hub.cli.files import at_speed, kept_back, recorded
from hub.servers.process import DataDirectory
from ingest.formats.decode import decode
from ingest.vocabulary.readings import BadPayload, Message, Status
from tests.support.brokers import Broker, built_in
from tests.support.hubs import installed
from tests.support.lines import Taker, receiver, until
from tests.support.programs import command

EIGHT = datetime(2026, 5, 4, 8, tzinfo=UTC)
VERSION = "2024-07-01T00:00:00+02:00"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker."""
    made = built_in(tmp_path).start()
    yield made
    made.kill()


@pytest.fixture
def taker(broker: Broker) -> Iterator[Taker]:
    """Who receives everything there."""
    made = Taker(receiver(broker))
    yield made
    made.stop()


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock on which time passes only in sleep; gives the moments after each."""
    moments = [0.0]
    clock = SimpleNamespace(
        monotonic=lambda: moments[-1], sleep=lambda seconds: moments.append(moments[-1] + seconds)
    )  # fmt: skip
    monkeypatch.setattr("hub.cli.files.time", clock)
    return moments


def minutes(folder: Path, *after: int) -> Path:
    """Write a counter's minutes, so many after eight, in this order."""
    path = folder / "minutes.json"
    readings = [
        {"sensor_id": "a", "quantity": "vehicle_count", "period": 60, "value": n,
         "start": f"{EIGHT + timedelta(minutes=n):%Y-%m-%dT%H:%M:%SZ}"}
        for n in after
    ]  # fmt: skip
    path.write_text(json.dumps(readings))
    return path


def test_flags_of_publish_reach_the_messages(broker: Broker, taker: Taker, tmp_path: Path) -> None:
    """Stamps are the file's, in order with --speed; --status and --version are of every reading; a bar shows it."""
    file = minutes(tmp_path, 5, 0, 1)
    words = ["publish", str(file), "--source=stadspuls", "--speed=100000", "--status=validated", f"--version={VERSION}"]
    code, said = on_a_terminal([*installed(), *words, f"--broker=mqtt://127.0.0.1:{broker.port}"])
    assert (code, "3 messages published" in said) == (0, True), said
    assert re.search(r"messages .*[0-3]/", said), said
    until(lambda: len(taker.taken) == 3)
    rows = decode([Message(one.topic, one.payload, one.received_at) for one in taker.taken]).readings.to_pylist()
    assert [row["start"] for row in rows] == [EIGHT + timedelta(minutes=n) for n in (0, 1, 5)]
    assert {(row["status"], row["version"]) for row in rows} == {(Status.VALIDATED, 1_719_784_800_000_000)}


def test_publish_says_what_became_of_the_values(broker: Broker, tmp_path: Path) -> None:
    """Values taken, failed and refused are counted, with the reason; when all are refused the exit code is 1."""
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    first = {"sensor_id": "a", "quantity": "no2", "start": "2026-05-04T08:00:00Z", "value": 12}
    failed = first | {"sensor_id": "b", "value": None, "flags": ["source_error"]}
    good.write_text(json.dumps([first, failed, first | {"quantity": "unicorns"}]))
    bad.write_text('{"not": "a reading"}')
    to = ("--source=stadspuls", f"--broker=mqtt://127.0.0.1:{broker.port}")
    done = command("publish", str(good), *to)
    assert "1 messages published: 1 values taken, 1 failed, 1 refused" in done.stderr
    assert "refused 1 times: quantity not in the registry" in done.stderr
    assert done.returncode == 0
    done = command("publish", str(bad), *to)
    assert (done.returncode, "0 values taken, 0 failed, 1 refused" in done.stderr) == (1, True), done.stderr


def test_source_that_the_running_hub_does_not_know_is_refused(tmp_path: Path) -> None:
    """A hub that was started without a mapping file would make dead letters of all that publish calls taken."""
    mapping = (
        '[source]\ntitle = "m"\nstamp = "end"\nclass = "citizen"\nlicence = "CC0"\n[[message]]\nsensor = "{/id}"\n'
    )
    (tmp_path / "mine.toml").write_text(
        mapping + 'stamp = "/t"\nreading = [{ value = "/n", quantity = "bicycle_count" }]'
    )
    (tmp_path / "f.json").write_text('{"id": "a", "t": "2026-05-04T08:00:00Z", "n": 1}')
    words = ["publish", str(tmp_path / "f.json"), "--source=mine", f"--data-dir={tmp_path}"]
    mapped = os.environ | {"STADSPULS_MAPPINGS": str(tmp_path)}
    with DataDirectory(tmp_path) as directory:
        directory.announce("mqtt://127.0.0.1:1", "postgresql:///x", "http://127.0.0.1:2")
        done = command(*words, environment=mapped)
    assert (done.returncode, "the running hub does not know source 'mine'" in done.stderr) == (1, True), done.stderr


def on_a_terminal(words: list[str]) -> tuple[int, str]:
    """Run a command whose stderr is a terminal; give its exit code and what it wrote there."""
    ours, theirs = pty.openpty()
    said = b""
    with subprocess.Popen(words, stderr=theirs, env=os.environ | {"TERM": "xterm", "COLUMNS": "100"}) as process:
        os.close(theirs)
        with suppress(OSError):  # how Linux tells the end of a terminal
            while chunk := os.read(ours, 4096):
                said += chunk
    os.close(ours)
    return process.returncode, said.decode(errors="replace")


@pytest.mark.parametrize(("speed", "expected"), [(1.0, [0.0, 60.0, 300.0]), (60.0, [0.0, 1.0, 5.0])])
def test_speed_is_times_real_time(slept: list[float], tmp_path: Path, speed: float, expected: list[float]) -> None:
    """Messages are as far apart as their stamps, by the speed."""
    found = at_speed(recorded([minutes(tmp_path, 0, 1, 5)], "stadspuls", None, None, in_time=True), speed)
    assert [slept[-1] for _ in found] == expected


def test_hub_that_is_behind_is_waited_for(slept: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above half the broker's queue nothing more is sent; a hub that is gone, or began anew, is not waited for."""
    looks = [{"messages_received": taken, "broker_queue": 100} for taken in (1_000, 1_000, 1_030, 1_060)]
    answers = iter([*looks, {}])
    monkeypatch.setattr("hub.cli.files._health", lambda http: next(answers))
    monkeypatch.setattr("hub.cli.files._LOOK_EVERY", 110)
    file = tmp_path / "many.json"
    file.write_text("\n".join(json.dumps({"n": n}) for n in range(220)))
    count = sum(1 for _ in kept_back(recorded([file], "stadspuls", None, None), "x"))
    assert (count, len(slept), next(answers, None)) == (220, 3, None)


def test_large_messages_take_the_room_of_many(slept: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker's queue is of bytes: of messages of a quarter of a megabyte it holds fewer."""
    looks = [{"messages_received": taken, "broker_queue": 1_000} for taken in (0, 1, 8, 16)]
    answers = iter([*looks, {}])
    monkeypatch.setattr("hub.cli.files._health", lambda http: next(answers))
    sent = [("stadspuls/luchtmeetnet/x", bytes(256 << 10), None)] * 40
    assert len(list(kept_back(sent, "x"))) == 40
    assert (len(slept), next(answers, None)) == (3, None)


@pytest.mark.parametrize(
    ("source", "status", "version", "found"),
    [("mars", None, None, "source 'mars'"), ("stadspuls", "good", None, "status 'good'"),
     ("stadspuls", None, "2024-07-01T00:00:00", "without a zone"), ("stadspuls", None, "newest", "version 'newest'")],
)  # fmt: skip
def test_flags_that_cannot_work_are_refused(
    tmp_path: Path, source: str, status: str | None, version: str | None, found: str
) -> None:
    """A source, status or version that is none is refused before anything is sent."""
    with pytest.raises((BadQuestion, BadPayload), match=found):
        next(recorded([minutes(tmp_path, 0)], source, status, version))
