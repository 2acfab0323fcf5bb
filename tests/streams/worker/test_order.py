"""The order of records in a worker: whatever comes, and however often, each partition is stored without a hole."""

from hypothesis import given
from hypothesis import strategies as st

from streams.worker.order import Order, Turn

HOME = ("readings", 3)


@given(st.lists(st.integers(0, 12), max_size=80), st.integers(0, 5))
def test_never_a_hole_never_a_repeat(offsets: list[int], begin: int) -> None:
    """What is stored is `begin`, `begin` + 1 and so on, in whatever order records arrive."""
    order = Order()
    order.deal({HOME: begin})
    taken = [offset for offset in offsets if order.turn(HOME, offset) is Turn.NEXT]
    assert taken == list(range(begin, begin + len(taken)))


@given(st.integers(0, 50), st.integers(1, 50), st.sets(st.integers(0, 99)))
def test_reading_again_brings_everything(begin: int, count: int, lost: set[int]) -> None:
    """A reader that goes back when told so, or at every second look, stores all, whatever it lost the first time."""
    order, taken, at = Order(), [], begin
    order.deal({HOME: begin})
    end = begin + count
    for _ in range(10 * count):
        if at >= end:
            if order.overdue({HOME: end}):
                at = order.wanted(HOME)
            continue
        if at in lost:
            lost.discard(at)
            at += 1
            continue
        turn = order.turn(HOME, at)
        taken += [at] if turn is Turn.NEXT else []
        at = order.wanted(HOME) if turn is Turn.EARLY else at + 1
    assert taken == list(range(begin, end))


def test_partitions_of_the_past() -> None:
    """After partitions were taken away nothing is stored until they are dealt out anew, and then from there."""
    order = Order()
    order.deal({HOME: 4})
    assert order.turn(HOME, 4) is Turn.NEXT
    order.forget()
    assert order.turn(HOME, 5) is Turn.PASS
    order.deal({HOME: 4})
    assert [order.turn(HOME, offset) for offset in (5, 4, 5)] == [Turn.EARLY, Turn.NEXT, Turn.NEXT]


def test_deleted_by_the_log() -> None:
    """What the log has deleted cannot be waited for: the worker goes on with the oldest there is, and says how many."""
    order = Order()
    order.deal({HOME: 4})
    assert order.turn(HOME, 9) is Turn.EARLY
    assert order.overdue({HOME: 12}) == []
    assert order.overdue({HOME: 12}) == [HOME]
    assert (order.leave_out(HOME, 9), order.leave_out(HOME, 2)) == (5, 0)
    assert order.turn(HOME, 9) is Turn.NEXT
