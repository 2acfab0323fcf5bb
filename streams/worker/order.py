"""
The order in which a worker stores records: each partition from the assigned offset on, without a gap or a repetition.

Kafka's clients promise this order, but a record that is in transit during a rebalance may come late, out of order, or
never (docs/traps.md, *Kafka and Faust*). `streams.worker.partitions` therefore checks each record here. Pure.
"""

from collections.abc import Mapping, Set
from typing import Literal

Partition = tuple[str, int]  # topic and number


class Order:
    """
    The next offset of each partition of this worker.

    >>> order = Order()
    >>> order.check(("readings", 0), 7)
    'skip'
    >>> order.assign({("readings", 0): 7})
    >>> [order.check(("readings", 0), offset) for offset in (7, 7, 9, 10, 8, 9)]
    ['next', 'skip', 'gap', 'skip', 'next', 'next']
    """

    def __init__(self) -> None:
        self._next: dict[Partition, int] = {}
        self._reported: dict[Partition, int] = {}
        self._waiting: dict[Partition, int] = {}

    def assign(self, begins: Mapping[Partition, int]) -> None:
        """Start with these partitions only, each at an offset; with none after a revocation."""
        self._next, self._reported, self._waiting = dict(begins), {}, {}

    @property
    def partitions(self) -> Set[Partition]:
        """The partitions that this worker may store."""
        return self._next.keys()

    def next_offset(self, partition: Partition) -> int:
        """Give the offset that a partition must go on with."""
        return self._next[partition]

    def check(self, partition: Partition, offset: int) -> Literal["next", "skip", "gap"]:
        """
        Tell what to do with a record.

        "next": store it; it counts as taken. "skip": leave it, it is stored already, or will be read again. "gap": read
        again from the missing record; given once for each.
        """
        wanted = self._next.get(partition)
        if wanted is None or offset < wanted:
            return "skip"
        if offset == wanted:
            self._next[partition] = offset + 1
            return "next"
        if self._reported.get(partition) == wanted:
            return "skip"
        self._reported[partition] = wanted
        return "gap"

    def overdue(self, ends: Mapping[Partition, int]) -> list[Partition]:
        """Give the partitions whose next record was on the log at the last call already, and has not come since."""
        waiting = {partition: at for partition, at in self._next.items() if at < ends.get(partition, 0)}
        overdue = [partition for partition, at in waiting.items() if self._waiting.get(partition) == at]
        self._waiting = waiting
        return overdue

    def skip_deleted(self, partition: Partition, first: int) -> int:
        """Go on with `first`, the oldest offset that the log still has; give how many records are gone."""
        gone = max(0, first - self._next[partition])
        self._next[partition] += gone
        return gone
