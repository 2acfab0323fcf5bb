"""A gateway's memory under every order of good turns, failures, restarts and kills: nothing lost, nothing doubled."""

import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.gateways.memory import Memory
from tests.support.examples import up_to

KEYS, MARKS = st.sampled_from("abcd"), st.sampled_from("12")
ANSWERS = st.dictionaries(KEYS, MARKS, max_size=4)
ENDS = st.sampled_from(["good", "failed", "restarted", "killed"])


@settings(deadline=None, max_examples=up_to(100))
@given(st.lists(st.tuples(ANSWERS, ENDS), max_size=12))
def test_every_mark_is_published_once(turns: list[tuple[dict[str, str], str]]) -> None:
    """
    A measurement is published when it is new or its value changed, and never else.

    Only a kill between the broker's confirmation and the file lets a message come again. A note counts when its turn
    ended well.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.sqlite"
        memory = Memory(path)
        known: dict[str, str] = {}
        good = 0
        for at, (answer, end) in enumerate(turns):
            assert memory.note("good", int, 0) == good
            sent = {key: mark for key, mark in answer.items() if memory.is_new(key, mark, at)}
            assert sent == {key: mark for key, mark in answer.items() if known.get(key) != mark}
            memory.publish(sent, at)
            assert not any(memory.is_new(key, mark, at) for key, mark in answer.items())
            memory.write("good", good + 1)
            if end == "killed":
                memory.close()
                memory = Memory(path)
                continue
            known |= sent
            if end == "failed":
                memory.keep(before=0, is_whole=False)
                continue
            memory.keep(before=0, is_whole=True)
            good += 1
            if end == "restarted":
                memory.close()
                memory = Memory(path)
        memory.close()


def test_what_was_not_met_for_long_is_forgotten(tmp_path: Path) -> None:
    """The file stays small: a measurement is forgotten when it was last met before a given moment, not published."""
    memory = Memory(tmp_path / "x.sqlite")
    memory.publish({"old": "1", "met": "1"}, 100)
    memory.keep(before=0, is_whole=True)
    assert not memory.is_new("met", "1", 200)
    memory.keep(before=150, is_whole=True)
    assert (memory.is_new("old", "1", 300), memory.is_new("met", "1", 300)) == (True, False)


def test_memory_that_is_damaged_while_it_runs_begins_anew(tmp_path: Path) -> None:
    """A file damaged under a running gateway is put aside at the end of the turn that failed by it."""
    path = tmp_path / "x.sqlite"
    memory = Memory(path)
    keys = [f"{n:0200}" for n in range(40_000)]  # more than SQLite keeps in memory
    memory.publish(dict.fromkeys(keys, "1"), 100)
    memory.keep(before=0, is_whole=True)
    memory.close()
    memory = Memory(path)
    raw = path.read_bytes()
    path.write_bytes(raw[:4096] + b"\xff" * (len(raw) - 4096))
    with pytest.raises(sqlite3.DatabaseError):
        assert not any(memory.is_new(key, "1", 200) for key in keys)
    memory.forget()
    assert memory.is_new(keys[0], "1", 300)
    memory.close()
    assert (tmp_path / "damaged-x.sqlite").exists()
