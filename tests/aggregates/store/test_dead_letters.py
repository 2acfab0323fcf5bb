"""Dead letters: kept once with a count, listed, and published again without losing the second failure."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from aggregates.store.store import Store, unnested
from ingest.collector import Collector
from ingest.formats.decode import decode
from ingest.log.queue import QueuedLog
from ingest.mqtt.receiver import Receiver
from ingest.vocabulary.batch import KEPT_BYTES, Batch, DeadLetter, columns
from ingest.vocabulary.readings import Message
from streams.commit.accounting import dead_letter_columns
from streams.commit.pipeline import Pipeline
from tests.support.brokers import built_in
from tests.support.commands import app
from tests.support.databases import list_dead_letters
from tests.support.lines import FILTER, until

NOW = datetime(2024, 5, 1, tzinfo=UTC)
TOPIC = "stadspuls/stadspuls/meter"


def letter(
    payload: bytes = b"not JSON", reason: str = "on purpose", after: float = 0, source: str = "ndw"
) -> DeadLetter:
    """Make a dead letter."""
    return DeadLetter(source, TOPIC, payload, reason, NOW + timedelta(seconds=after))


def store_letters(store: Store, *letters: DeadLetter) -> None:
    """Store a batch of dead letters."""
    Pipeline(store).store(Batch(columns([], []), (), letters))


class TestKept:
    """What is kept of a message that could not be read."""

    def test_same_letter_is_one_row_with_a_count(self, store: Store) -> None:
        """In one batch or in several, the same message with the same reason is counted, from first to last."""
        store_letters(store, letter(after=3), letter(after=3))
        store_letters(store, letter(after=9))
        (found,) = list_dead_letters(store)
        assert (found.count, found.payload, found.reason) == (3, b"not JSON", "on purpose")
        assert (found.first_at, found.last_at) == (NOW + timedelta(seconds=3), NOW + timedelta(seconds=9))

    def test_another_reason_is_another_letter(self, store: Store) -> None:
        """Source, topic, payload and reason make a letter; what they hold cannot be mistaken for one another."""
        store_letters(store, letter(), letter(reason="other"), letter(b"other"), letter(source="ttn"))
        assert len(list_dead_letters(store)) == 4
        one, two = (DeadLetter("ndw", topic, payload, "r", NOW) for topic, payload in (("ab", b"c"), ("a", b"bc")))
        assert one.key != two.key

    def test_payload_is_kept_to_a_mebibyte(self, store: Store) -> None:
        """Of a larger one the beginning is kept, and its size; it cannot be published again."""
        store_letters(store, letter(b"x" * KEPT_BYTES), letter(b"y" * (KEPT_BYTES + 1)))
        found = {one.size: one for one in list_dead_letters(store)}
        assert {size: len(one.payload) for size, one in found.items()} == {
            KEPT_BYTES: KEPT_BYTES, KEPT_BYTES + 1: KEPT_BYTES,
        }  # fmt: skip

    def test_rows_are_made_once_per_batch(self) -> None:
        """A thousand times the same letter is one row to write."""
        stored = dead_letter_columns([letter()] * 1000)
        assert stored["count"] == [1000]


class TestListed:
    """Newest first, and by their reason."""

    def test_newest_first_and_limited(self, store: Store) -> None:
        """The newest are what an operator asks for."""
        store_letters(store, *(letter(b"%d" % at, after=at) for at in range(5)))
        assert [one.payload for one in list_dead_letters(store, limit=2)] == [b"4", b"3"]

    def test_by_source_and_reason(self, store: Store) -> None:
        """A reason is found by any text in it, taken as it is written."""
        store_letters(
            store,
            letter(b"1", "lost 100 % of it"),
            letter(b"2", "unit 'a_b'"),
            letter(b"3", "unit 'axb'", source="ttn"),
        )
        assert [one.payload for one in list_dead_letters(store, reason="a_b")] == [b"2"]
        assert [one.payload for one in list_dead_letters(store, reason="100 %")] == [b"1"]
        assert [one.payload for one in list_dead_letters(store, reason="%")] == [b"1"]
        assert [one.payload for one in list_dead_letters(store, source="ttn")] == [b"3"]
        assert list_dead_letters(store, source="ttn", reason="a_b") == []


class TestDelete:
    """Letters that were published again."""

    def test_are_deleted(self, store: Store) -> None:
        """What was published again is not kept here."""
        store_letters(store, letter(b"1"), letter(b"2"))
        store.rows(
            "delete_dead_letters",
            **unnested([one for one in list_dead_letters(store) if one.payload == b"1"], ("key", "count")),
        )
        assert [one.payload for one in list_dead_letters(store)] == [b"2"]

    def test_failure_that_came_back_first_stays(self, store: Store) -> None:
        """A hub is fast: a letter that failed again before it was deleted is kept, with the new failures only."""
        store_letters(store, letter(), letter())
        listed = list_dead_letters(store)
        store_letters(store, letter(after=60))
        store.rows("delete_dead_letters", **unnested(listed, ("key", "count")))
        (found,) = list_dead_letters(store)
        assert (found.count, found.last_at) == (1, NOW + timedelta(seconds=60))


@pytest.fixture
def line(store: Store, tmp_path: Path) -> Iterator[str]:
    """The URL of a broker whose messages run through collector, log and pipeline into the store."""
    broker = built_in(tmp_path).start()
    with closing(Store(store.conninfo)) as own:
        receiver = Receiver(broker.address(), [FILTER], "test")
        log = QueuedLog(Pipeline(own).store)
        collector = Collector(receiver.rounds, receiver.acknowledge, log.put, on_failure=lambda error: None)
        collector.start()
        receiver.start()
        assert receiver.ready.wait(30)
        yield f"mqtt://127.0.0.1:{broker.port}"
        receiver.stop()
        log.close(10)
        collector.join(10)
    broker.stop()
    structlog.reset_defaults()


def replay(store: Store, broker: str, *flags: str) -> str:
    """Replay on the command line and return its output."""
    words = ["dead-letters", "replay", f"--database={store.conninfo}", f"--broker={broker}", *flags]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    return done.stderr


class TestReplay:
    """Published again after what was wrong is mended."""

    def test_repaired_letters_are_stored_and_the_rest_comes_back(self, store: Store, line: str) -> None:
        """A reading that was refused for a reason that is gone is stored; a payload that is still broken is back."""
        good = b'{"sensor_id":"meter","quantity":"no2","start":"2024-05-01T08:00:00Z","period":60,"value":7}'
        broken = decode([Message(TOPIC, b"{", NOW)]).dead_letters
        store_letters(
            store, letter(good, "a rule that was wrong"), *broken, letter(b"x" * (KEPT_BYTES + 1), "too large")
        )
        assert "2 dead letters published again" in replay(store, line)
        until(lambda: store.rows("count_windows", first=NOW, last=NOW + timedelta(days=1), members=None)[0][0] == 1)
        until(lambda: [one.payload for one in list_dead_letters(store, limit=1)] == [b"{"])
        assert [kept.count for kept in again(store) if kept.payload == b"{"] == [1]
        assert len(again(store)) == 2  # the one that is not whole stays

    def test_only_what_is_asked_for(self, store: Store, line: str) -> None:
        """A replay may be limited to a source or a reason."""
        store_letters(store, letter(b"1", "mended"), letter(b"2", "not mended"), letter(b"3", "mended", source="ttn"))
        assert "1 dead letters" in replay(store, line, "--reason=mended", "--source=ttn")
        until(lambda: b"3" not in {one.payload for one in again(store) if one.reason == "mended"})
        assert {one.payload for one in again(store)} >= {b"1", b"2"}

    def test_few_at_once(self, store: Store, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """However many are replayed, few are in memory, and none is left out, also of those of one moment."""
        monkeypatch.setattr("hub.cli.operate.AT_ONCE", 2)
        taken: list[int] = []

        def counted(rows: list[Any], names: tuple[str, ...]) -> Any:
            taken.append(len(rows))
            return unnested(rows, names)

        monkeypatch.setattr("hub.cli.operate.unnested", counted)
        store_letters(store, *(letter(b"%d" % n, "mended", n // 3) for n in range(7)))
        assert "5 dead letters" in replay(store, line, "--limit=5", "--reason=mended")
        assert "2 dead letters" in replay(store, line, "--reason=mended")
        assert taken == [2, 2, 1, 2, 0]


def again(store: Store) -> list[Any]:
    """Give all dead letters."""
    return list_dead_letters(store)
