"""
The partitions of one worker: the offset each starts at after a rebalance, the order in which its records are stored,
and reading again what did not come.

`streams.worker.worker` calls `Partitions` for each record and after each rebalance. Kafka's clients promise the order
of records, but one that is in transit during a rebalance may come late, out of order, or never (docs/traps.md, *Kafka
and Faust*): `Order` decides about each, and does nothing else. The offset of a partition is the one in the database;
the consumer group is only ever set back to it.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import structlog

Partition = tuple[str, int]  # topic and number

_log = structlog.get_logger("streams.worker.worker")


class Order:
    """
    The partitions that this worker may store, each with the offset that it goes on with: `next`.

    >>> order = Order()
    >>> order.check(("readings", 0), 7)
    'skip'
    >>> order.assign({("readings", 0): 7})
    >>> [order.check(("readings", 0), offset) for offset in (7, 7, 9, 10, 8, 9)]
    ['next', 'skip', 'gap', 'skip', 'next', 'next']
    """

    def __init__(self) -> None:
        self.next: dict[Partition, int] = {}
        self._reported: dict[Partition, int] = {}
        self._waiting: dict[Partition, int] = {}

    def assign(self, begins: Mapping[Partition, int]) -> None:
        """Start with these partitions only, each at an offset; with none after a revocation."""
        self.next, self._reported, self._waiting = dict(begins), {}, {}

    def check(self, partition: Partition, offset: int) -> Literal["next", "skip", "gap"]:
        """
        Tell what to do with a record.

        "next": store it; it counts as taken. "skip": leave it, it is stored already, or will be read again. "gap": read
        again from the missing record; given once for each.
        """
        wanted = self.next.get(partition)
        if wanted is None or offset < wanted:
            return "skip"
        if offset == wanted:
            self.next[partition] = offset + 1
            return "next"
        if self._reported.get(partition) == wanted:
            return "skip"
        self._reported[partition] = wanted
        return "gap"

    def overdue(self, ends: Mapping[Partition, int]) -> list[Partition]:
        """Give the partitions whose next record was on the log at the last call already, and has not come since."""
        waiting = {partition: at for partition, at in self.next.items() if at < ends.get(partition, 0)}
        overdue = [partition for partition, at in waiting.items() if self._waiting.get(partition) == at]
        self._waiting = waiting
        return overdue

    def skip_deleted(self, partition: Partition, first: int) -> int:
        """Go on with `first`, the oldest offset that the log still has; give how many records are gone."""
        gone = max(0, first - self.next[partition])
        self.next[partition] += gone
        return gone


class WorkerMetrics(msgspec.Struct):
    """Counts since the start; `stored` and `ends` are offsets by topic and partition."""

    records: int = 0
    transactions: int = 0
    readings: int = 0
    poisoned: int = 0
    rebalances: int = 0
    stored: dict[Partition, int] = {}
    ends: dict[Partition, int] = {}

    @property
    def partitions(self) -> int:
        """How many partitions this worker has."""
        return len(self.ends)

    @property
    def lag(self) -> int:
        """Records of the assigned partitions that are on the log and not stored, as far as Kafka reported."""
        return sum(max(0, end - self.stored.get(partition, 0)) for partition, end in self.ends.items())


class Partitions:
    """The assigned partitions of Faust's application `app`; `metrics` gets the ends of their logs."""

    def __init__(self, app: Any, metrics: WorkerMetrics) -> None:
        self._app, self._metrics = app, metrics
        self._order = Order()

    def revoke(self) -> None:
        """Give up all partitions: records that still come are read again, by this worker or another."""
        self._order.assign({})

    async def is_next(self, message: Any) -> bool:
        """Tell whether this record is the next of its partition; where one is missing, read again from there."""
        partition = (message.topic, message.partition)
        check = self._order.check(partition, message.offset)
        if check == "gap":
            missing = f"{partition[0]}/{partition[1]}/{self._order.next[partition]}"
            _log.warning("a record is missing, reading again", record=missing)
            await self._seek(partition, message.tp)
        return check == "next"

    async def assign(self, stored: Mapping[Partition, int]) -> None:
        """Start the assigned partitions; set the group back where the database is behind it (a restored back-up)."""
        consumer = self._app.consumer
        if not consumer.assignment():  # more workers than partitions
            self._metrics.ends = {}
            return
        committed = await consumer.seek_to_committed()
        assigned = {(tp.topic, tp.partition): tp for tp in committed}
        known = {tp: stored.get(partition, 0) for partition, tp in assigned.items()}
        behind = {tp: known[tp] for tp, offset in committed.items() if (offset or 0) > known[tp]}
        if behind:
            _log.warning("the database is behind the group, reading again", partitions=len(behind))
            await consumer._commit(behind)
        firsts = await consumer.earliest_offsets(*committed)
        begins = {one: behind.get(tp, committed[tp]) or firsts.get(tp) or 0 for one, tp in assigned.items()}
        self._order.assign(begins)
        for partition, tp in assigned.items():
            if not committed[tp] or tp in behind:  # Faust's own seek, which follows, leaves out offset 0
                await consumer.seek(tp, self._order.next[partition])
        _log.info("partitions assigned", partitions=len(committed), rebalances=self._metrics.rebalances)
        self._metrics.ends = await self._log_ends(assigned)
        self._metrics.stored.update(begins)

    async def reread_overdue(self, *, busy: bool) -> bool:
        """
        Ask Kafka for the ends of the logs and, unless `busy`, read again the partitions whose next record is overdue.

        This finds a missing record that no later record reveals. True where a partition was overdue, or is assigned
        without having been started.
        """
        consumer = self._app.consumer
        assigned = {(tp.topic, tp.partition): tp for tp in consumer.assignment()}
        self._metrics.ends = await self._log_ends(assigned) if assigned else {}
        overdue = [] if busy else self._order.overdue(self._metrics.ends)
        firsts = await consumer.earliest_offsets(*(assigned[partition] for partition in overdue)) if overdue else {}
        for partition in overdue:
            if gone := self._order.skip_deleted(partition, firsts.get(assigned[partition]) or 0):
                name = f"{partition[0]}/{partition[1]}"
                _log.error("the log has deleted what was not stored", records=gone, partition=name)
            await self._seek(partition, assigned[partition])
        return not busy and bool(overdue or assigned.keys() - self._order.next.keys())

    async def _log_ends(self, assigned: Mapping[Partition, Any]) -> dict[Partition, int]:
        tops = await self._app.consumer.highwaters(*assigned.values())
        return {partition: tops.get(tp) or 0 for partition, tp in assigned.items()}

    async def _seek(self, partition: Partition, tp: Any) -> None:
        try:
            await self._app.consumer.seek(tp, self._order.next[partition])
        except Exception as error:  # a rebalance, or Kafka is away: the next call of reread_overdue tries again
            _log.warning("cannot read again now", partition=f"{partition[0]}/{partition[1]}", error=repr(error))
