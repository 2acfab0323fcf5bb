"""
The order in which a worker stores records: each partition from where it was dealt out, none left out, none twice.

Kafka's clients promise it, but what is on its way while partitions are dealt out may come too late, out of turn, or
never (docs/traps.md, *Kafka and Faust*). So `streams.worker.worker` asks here what to do with each record. Pure.
"""

from collections.abc import Mapping, Set
from enum import Enum

Home = tuple[str, int]  # topic and partition


class Turn(Enum):
    """What a record is: the next one, not to be stored now, or one that came before its turn."""

    NEXT = "store it"
    PASS = "leave it: it is stored, or it is read again"
    EARLY = "read again from the one that is missing"


class Order:
    """
    Which offset each partition of this worker must go on with.

    >>> order = Order()
    >>> order.turn(("readings", 0), 7)
    <Turn.PASS: 'leave it: it is stored, or it is read again'>
    >>> order.deal({("readings", 0): 7})
    >>> [order.turn(("readings", 0), offset).name for offset in (7, 7, 9, 10, 8, 9)]
    ['NEXT', 'PASS', 'EARLY', 'PASS', 'NEXT', 'NEXT']
    """

    def __init__(self) -> None:
        self._next: dict[Home, int] = {}
        self._asked: dict[Home, int] = {}
        self._looked: dict[Home, int] = {}

    def deal(self, begins: Mapping[Home, int]) -> None:
        """Begin anew with these partitions, each at an offset."""
        self._next, self._asked, self._looked = dict(begins), {}, {}

    def forget(self) -> None:
        """Have no partition: whatever comes now belongs to the past."""
        self.deal({})

    @property
    def homes(self) -> Set[Home]:
        """The partitions that this worker may store."""
        return self._next.keys()

    def wanted(self, home: Home) -> int:
        """Give the offset that a partition must go on with."""
        return self._next[home]

    def turn(self, home: Home, offset: int) -> Turn:
        """Say what to do with a record; NEXT counts as taken, EARLY is said once for each that is missing."""
        wanted = self._next.get(home)
        if wanted is None or offset < wanted:
            return Turn.PASS
        if offset == wanted:
            self._next[home] = offset + 1
            return Turn.NEXT
        if self._asked.get(home) == wanted:
            return Turn.PASS
        self._asked[home] = wanted
        return Turn.EARLY

    def overdue(self, ends: Mapping[Home, int]) -> list[Home]:
        """Name the partitions that had a record to come at the last look already, and that have not moved since."""
        waiting = {home: at for home, at in self._next.items() if at < ends.get(home, 0)}
        stuck = [home for home, at in waiting.items() if self._looked.get(home) == at]
        self._looked = waiting
        return stuck

    def leave_out(self, home: Home, first: int) -> int:
        """Go on with `first`, the oldest that the log still has; give how many are gone."""
        gone = max(0, first - self._next[home])
        self._next[home] += gone
        return gone
