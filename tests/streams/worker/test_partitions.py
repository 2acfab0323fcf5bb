"""The order of records in a worker: whatever comes, and however often, each partition is stored without a hole."""

import asyncio
from types import SimpleNamespace
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from streams.worker.partitions import Order, Partitions, WorkerMetrics

PARTITION = ("readings", 3)


@given(st.lists(st.integers(0, 12), max_size=80), st.integers(0, 5))
def test_never_a_hole_never_a_repeat(offsets: list[int], begin: int) -> None:
    """What is stored is `begin`, `begin` + 1 and so on, in whatever order records arrive."""
    order = Order()
    order.assign({PARTITION: begin})
    taken = [offset for offset in offsets if order.check(PARTITION, offset) == "next"]
    assert taken == list(range(begin, begin + len(taken)))


@given(st.integers(0, 50), st.integers(1, 50), st.sets(st.integers(0, 99)))
def test_reading_again_brings_everything(begin: int, count: int, lost: set[int]) -> None:
    """A reader that goes back after a gap, or at every second check, stores all, whatever it lost the first time."""
    order, taken, at = Order(), [], begin
    order.assign({PARTITION: begin})
    end = begin + count
    for _ in range(10 * count):
        if at >= end:
            if order.overdue({PARTITION: end}):
                at = order.next[PARTITION]
            continue
        if at in lost:
            lost.discard(at)
            at += 1
            continue
        check = order.check(PARTITION, at)
        taken += [at] if check == "next" else []
        at = order.next[PARTITION] if check == "gap" else at + 1
    assert taken == list(range(begin, end))


def test_revoked_partitions_are_not_stored() -> None:
    """After partitions were taken away nothing is stored until they are assigned anew, and then from there."""
    order = Order()
    order.assign({PARTITION: 4})
    assert order.check(PARTITION, 4) == "next"
    order.assign({})
    assert order.check(PARTITION, 5) == "skip"
    order.assign({PARTITION: 4})
    assert [order.check(PARTITION, offset) for offset in (5, 4, 5)] == [
        "gap",
        "next",
        "next",
    ]


def test_deleted_by_the_log() -> None:
    """After deleted records the worker goes on with the oldest there is, and gives how many are gone."""
    order = Order()
    order.assign({PARTITION: 4})
    assert order.check(PARTITION, 9) == "gap"
    assert order.overdue({PARTITION: 12}) == []
    assert order.overdue({PARTITION: 12}) == [PARTITION]
    assert (order.skip_deleted(PARTITION, 9), order.skip_deleted(PARTITION, 2)) == (5, 0)
    assert order.check(PARTITION, 9) == "next"


class Assigned(NamedTuple):
    """A partition as Faust names it."""

    topic: str
    partition: int


class NewLog:
    """A consumer of a log that begins anew, with five records that nobody has read."""

    def assignment(self) -> set[Assigned]:
        """Everything."""
        return {Assigned(*PARTITION)}

    async def seek_to_committed(self) -> dict[Assigned, int | None]:
        """The group has committed nothing."""
        return {Assigned(*PARTITION): None}

    async def earliest_offsets(self, *partitions: Assigned) -> dict[Assigned, int]:
        """It begins at 0."""
        return dict.fromkeys(partitions, 0)

    async def highwaters(self, *partitions: Assigned) -> dict[Assigned, int]:
        """It ends after five."""
        return dict.fromkeys(partitions, 5)

    async def seek(self, partition: Assigned, offset: int) -> None:
        """From the beginning."""
        assert offset == 0


def test_lag_of_a_log_that_begins_anew() -> None:
    """Where Kafka lost its log the database knows larger offsets; what waits is counted from where reading begins."""
    metrics = WorkerMetrics()
    asyncio.run(Partitions(SimpleNamespace(consumer=NewLog()), metrics).assign({PARTITION: 1_000_000}))
    assert (metrics.partitions, metrics.lag) == (1, 5)
