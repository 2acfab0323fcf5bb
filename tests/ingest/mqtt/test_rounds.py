"""Rounds of deliveries: all once and in order, together while much comes, at once where waiting gains nothing."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, Queue

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.mqtt import rounds
from ingest.mqtt.rounds import ROUND_BYTES, ROUND_MESSAGES, Delivery, Rounds, Token
from tests.support.brokers import built_in
from tests.support.lines import Taker, numbers, receiver, send, until


@pytest.fixture
def long_gathering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rounds are further apart than a test lasts, unless something else ends the waiting."""
    monkeypatch.setattr(rounds, "GATHER", 600.0)


def delivery(number: int, size: int = 1) -> Delivery:
    """Make a delivery, known by its number."""
    return Delivery(str(number), b"", datetime(2026, 3, 2, tzinfo=UTC), Token(number, size))


class Given:
    """What a thread took out of rounds."""

    def __init__(self, taken: Rounds) -> None:
        self.queue: Queue[list[int]] = Queue()
        self._rounds = taken
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        for one in self._rounds:
            self.queue.put([int(each.topic) for each in one])

    def next(self, seconds: float = 60) -> list[int]:
        """Give the next round; raises Empty where none comes."""
        return self.queue.get(timeout=seconds)


def test_many_go_together_and_one_goes_at_once(long_gathering: None) -> None:
    """The first is given when it comes; what follows waits for others, and a stop gives it."""
    made = Rounds(lambda: 0)
    taken = Given(made)
    made.add([delivery(0)], more=True)
    assert taken.next() == [0]
    for number in range(1, 10):
        made.add([delivery(number)], more=True)
    with pytest.raises(Empty):
        taken.next(0.1)
    made.close()
    assert taken.next() == list(range(1, 10))
    taken.thread.join(60)
    assert not taken.thread.is_alive()


@pytest.mark.parametrize(
    ("size", "count", "more"),
    [(1, ROUND_MESSAGES, True), (ROUND_BYTES // 10, 10, True), (1, 3, False)],
    ids=["messages", "bytes", "no room"],
)
def test_full_round_does_not_wait(long_gathering: None, size: int, count: int, more: bool) -> None:
    """A round that is full is given, and one after which the receiver has no room."""
    made = Rounds(lambda: 0)
    taken = Given(made)
    made.add([delivery(0)], more=True)
    assert taken.next() == [0]
    made.add([delivery(number, size) for number in range(count)], more=more)
    assert taken.next() == list(range(count))


@given(st.lists(st.lists(st.integers(1, ROUND_BYTES), max_size=5), max_size=20))
def test_everything_once_and_in_order(sizes: Sequence[Sequence[int]]) -> None:
    """However it comes in, each delivery is given once, behind those before it, and no round is too large by two."""
    made = Rounds(lambda: 0)
    taken = Given(made)
    number = 0
    for each in sizes:
        made.add([delivery(number + at, size) for at, size in enumerate(each)], more=True)
        number += len(each)
    made.close()
    taken.thread.join(60)
    assert [one for group in taken.queue.queue for one in group] == list(range(number))


def test_thread_that_failed_is_told(long_gathering: None) -> None:
    """Whoever takes rounds is told of a bug in the thread that receives."""
    made = Rounds(lambda: 0)
    made.close(KeyError("a bug"))
    with pytest.raises(RuntimeError, match="nothing is received"):
        next(iter(made))


def test_brokers_window_is_learned(long_gathering: None, tmp_path: Path) -> None:
    """The built-in broker sends 100 messages and waits for an acknowledgement: no round waits for one more."""
    broker = built_in(tmp_path)
    broker.start()
    try:
        taker = Taker(receiver(broker))
        send(broker, 0, 1_000)
        until(lambda: len(taker.taken) >= 1_000)
        assert taker.stop()
        assert taker.payloads() == numbers(0, 1_000)
    finally:
        broker.stop()
