"""
The partitions of one worker: the offset each starts at after a rebalance, and reading again what did not come.

`streams.worker.worker` calls it for each record and after each rebalance; `streams.worker.order` decides. The offset
of a partition is the one in the database; the consumer group is only ever set back to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from streams.worker.order import Order, Partition

_log = structlog.get_logger("streams.worker.worker")


@dataclass(slots=True)
class WorkerMetrics:
    """Counts since the start; `stored` and `ends` are offsets by topic and partition."""

    records: int = 0
    transactions: int = 0
    readings: int = 0
    poisoned: int = 0
    rebalances: int = 0
    stored: dict[tuple[str, int], int] = field(default_factory=dict)
    ends: dict[tuple[str, int], int] = field(default_factory=dict)

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
            missing = f"{partition[0]}/{partition[1]}/{self._order.next_offset(partition)}"
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
        self._order.assign(
            {partition: behind.get(tp, committed[tp]) or firsts.get(tp) or 0 for partition, tp in assigned.items()}
        )
        for partition, tp in assigned.items():
            if not committed[tp] or tp in behind:  # Faust's own seek, which follows, leaves out offset 0
                await consumer.seek(tp, self._order.next_offset(partition))
        _log.info("partitions assigned", partitions=len(committed), rebalances=self._metrics.rebalances)
        self._metrics.ends = await self._log_ends(assigned)
        self._metrics.stored.update(stored)

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
        return not busy and bool(overdue or assigned.keys() - self._order.partitions)

    async def _log_ends(self, assigned: Mapping[Partition, Any]) -> dict[Partition, int]:
        tops = await self._app.consumer.highwaters(*assigned.values())
        return {partition: tops.get(tp) or 0 for partition, tp in assigned.items()}

    async def _seek(self, partition: Partition, tp: Any) -> None:
        try:
            await self._app.consumer.seek(tp, self._order.next_offset(partition))
        except Exception as error:  # a rebalance, or Kafka is away: the next call of reread_overdue tries again
            _log.warning("cannot read again now", partition=f"{partition[0]}/{partition[1]}", error=repr(error))
