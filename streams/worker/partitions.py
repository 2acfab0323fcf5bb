"""
The partitions of one worker: where each goes on when it is dealt out, and what never came.

`streams.worker.worker` asks it about each record and after each rebalance; `streams.worker.order` decides. The
database says how far a partition is stored, and the consumer group is only ever set back to that.
"""

from collections.abc import Mapping
from typing import Any

import structlog

from streams.worker.order import Home, Order, Turn
from streams.worker.progress import Progress

_log = structlog.get_logger("streams.worker.worker")


class Dealing:
    """Partitions of Faust's application `app`, in order; `progress` is told how far their log reaches."""

    def __init__(self, app: Any, progress: Progress) -> None:
        self._app, self._progress = app, progress
        self._order = Order()

    def forget(self) -> None:
        """Have no partition any more: what still comes is read again, by this worker or another."""
        self._order.forget()

    async def takes(self, message: Any) -> bool:
        """Tell whether this record is the next one of its partition; where one is missing, read again from there."""
        home = (message.topic, message.partition)
        turn = self._order.turn(home, message.offset)
        if turn is Turn.EARLY:
            _log.warning("a record is missing, reading again", record=f"{home[0]}/{home[1]}/{self._order.wanted(home)}")
            await self._seek(home, message.tp)
        return turn is Turn.NEXT

    async def deal(self, stored: Mapping[Home, int]) -> None:
        """Begin with what was dealt out, and set the group back where the database is behind: a restored back-up."""
        consumer = self._app.consumer
        if not consumer.assignment():  # more workers than partitions
            self._progress.ends = {}
            return
        committed = await consumer.seek_to_committed()
        homes = {(tp.topic, tp.partition): tp for tp in committed}
        known = {tp: stored.get(home, 0) for home, tp in homes.items()}
        behind = {tp: known[tp] for tp, offset in committed.items() if (offset or 0) > known[tp]}
        if behind:
            _log.warning("the database is behind the group, reading again", partitions=len(behind))
            await consumer._commit(behind)
        firsts = await consumer.earliest_offsets(*committed)
        self._order.deal({home: behind.get(tp, committed[tp]) or firsts.get(tp) or 0 for home, tp in homes.items()})
        for home, tp in homes.items():
            if not committed[tp] or tp in behind:  # Faust's own seek, which follows, leaves out offset 0
                await consumer.seek(tp, self._order.wanted(home))
        _log.info("partitions dealt out", partitions=len(committed), rebalances=self._progress.rebalances)
        self._progress.ends = await self._reach(homes)
        self._progress.stored.update(stored)

    async def look(self, *, busy: bool) -> bool:
        """
        See how far the log reaches, also while the database is away; where nothing is `busy` read again what is stuck.

        That is what the log has and nobody brought, where no later record shows that it is missing. Tells whether
        there was any, or a partition is this worker's that nobody told it to begin with.
        """
        consumer = self._app.consumer
        homes = {(tp.topic, tp.partition): tp for tp in consumer.assignment()}
        self._progress.ends = await self._reach(homes) if homes else {}
        stuck = [] if busy else self._order.overdue(self._progress.ends)
        firsts = await consumer.earliest_offsets(*(homes[home] for home in stuck)) if stuck else {}
        for home in stuck:
            if gone := self._order.leave_out(home, firsts.get(homes[home]) or 0):
                _log.error("the log has deleted what was not stored", records=gone, partition=f"{home[0]}/{home[1]}")
            await self._seek(home, homes[home])
        return not busy and bool(stuck or homes.keys() - self._order.homes)

    async def _reach(self, homes: Mapping[Home, Any]) -> dict[Home, int]:
        tops = await self._app.consumer.highwaters(*homes.values())
        return {home: tops.get(tp) or 0 for home, tp in homes.items()}

    async def _seek(self, home: Home, tp: Any) -> None:
        try:
            await self._app.consumer.seek(tp, self._order.wanted(home))
        except Exception as error:  # dealt out anew meanwhile, or Kafka is away: it is looked for again
            _log.warning("cannot read again now", partition=f"{home[0]}/{home[1]}", error=repr(error))
