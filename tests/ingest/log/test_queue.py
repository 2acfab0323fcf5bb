"""The log in one process: many batches in one go, bounded, committed in order, and never after a failure."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from ingest.log.queue import LogClosed, QueuedLog
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.readings import Reading

NOW = datetime(2024, 5, 1, 8, tzinfo=UTC)


def batch(name: str, size: int = 1) -> Batch:
    """Make a batch of `size` readings of one sensor."""
    readings = [Reading(f"stadspuls/{name}", "", "pm10", 0, NOW, float(n)) for n in range(size)]
    return Batch(columns(readings, [NOW] * size))


class Store:
    """Keeps what is stored, and stores nothing while it is shut."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.names: list[str] = []
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self, stored: Batch) -> None:
        self.entered.set()
        assert self.open.wait(30)
        self.sizes.append(len(stored))
        self.names += dict.fromkeys(str(name) for name in stored.readings["sensor_id"].to_pylist())


def nothing() -> None:
    """Do nothing on commit."""


def test_waiting_batches_are_stored_together() -> None:
    """What waits while the store is busy goes in one go, up to the limit, and commits come in order."""
    store, commits = Store(), list[str]()
    log = QueuedLog(store, together=10)

    def commit(name: str) -> Callable[[], None]:
        return lambda: commits.append(name)

    log.put(batch("first", 2), commit("first"))
    assert store.entered.wait(30)
    for name in "abcd":
        log.put(batch(name, 4), commit(name))
    assert log.in_flight == 18
    assert commits == []
    store.open.set()
    assert log.close(30)
    assert store.sizes == [2, 8, 8]
    assert store.names == [f"stadspuls/{name}" for name in ("first", "a", "b", "c", "d")]
    assert commits == ["first", "a", "b", "c", "d"]
    assert log.in_flight == 0


def test_batch_larger_than_the_limits() -> None:
    """A batch larger than any limit is stored by itself: nothing waits for room that can never come."""
    store = Store()
    store.open.set()
    log = QueuedLog(store, together=3, waiting=5)
    for name in "ab":
        log.put(batch(name, 9), nothing)
    assert log.close(30)
    assert store.sizes == [9, 9]


def test_empty_batches_are_committed() -> None:
    """A batch without readings is stored (its dead letters count) and committed."""
    store, commits = Store(), list[int]()
    store.open.set()
    log = QueuedLog(store)
    log.put(batch("none", 0), lambda: commits.append(1))
    assert log.close(30)
    assert commits == [1]


def test_put_waits_for_room() -> None:
    """While the store is busy no more than the limit waits; closing sets a blocked `put` free, with an error."""
    store, outcome = Store(), list[str]()
    log = QueuedLog(store, together=1, waiting=3)
    log.put(batch("stored"), nothing)
    assert store.entered.wait(30)
    log.put(batch("waits"), nothing)

    def blocked() -> None:
        try:
            log.put(batch("blocked", 5), nothing)
        except LogClosed as error:
            outcome.append(str(error))

    thread = threading.Thread(target=blocked)
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    assert log.in_flight == 2
    assert not log.close(0.1)
    thread.join(30)
    assert outcome == ["the log is closed"]
    store.open.set()
    assert log.close(30)
    assert store.names == ["stadspuls/stored", "stadspuls/waits"]


def test_nothing_is_committed_after_a_failure() -> None:
    """A store that raises has a bug: the failure is kept, nothing is committed any more, and `put` refuses."""
    commits = list[int]()

    def store(stored: Batch) -> None:
        raise ZeroDivisionError("a bug")

    log = QueuedLog(store)
    log.put(batch("a"), lambda: commits.append(1))
    assert not log.close(30)
    assert isinstance(log.failed, ZeroDivisionError)
    with pytest.raises(LogClosed, match="failed"):
        log.put(batch("b"), nothing)
    assert commits == []
