"""
A worker on Faust: batches off Kafka into the store, in the order of each partition.

`ingest.log.kafka` put them there, `streams.worker.faust_app` is Faust, `streams.worker.partitions` keeps the order;
`hub.run.distributed` hands over the store, which is `streams.commit.pipeline` as in the embedded mode. The database
is the checkpoint: the position of a record is committed with its readings, and the consumer group is only ever set
back to it, never forward. Reading a record again is harmless, skipping one is not.

While one transaction runs, records gather; those of one partition are then stored together, so that a database that is
slow gets larger transactions, as it does in the embedded mode.
"""

import asyncio
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import structlog

from aggregates.store.store import StoreError
from ingest.log.records import BadRecord, read_record
from ingest.log.topics import NoAnswer, Topics, ends
from ingest.vocabulary.batch import Batch, DeadLetter, columns
from streams.commit.pipeline import Position, Stopped
from streams.worker.faust_app import Runner, make_app
from streams.worker.order import Home
from streams.worker.partitions import Dealing
from streams.worker.progress import Progress, Retold

WAITING = 64  # records, of up to 512 kB, that wait to be stored together
_LOOK = 5.0  # s between two looks for records that never came
_HOPELESS = 12  # looks in a row that find this worker stuck, after which the process ends
_ANSWER_WITHIN = 30.0  # s
_LONGEST_WAIT = 5.0

Offsets = Mapping[Home, int]

_log = structlog.get_logger("streams.worker.worker")


class WorkerEnded(Exception):  # noqa: N818 - what happened is the name
    """Kafka or Faust gave up on this worker; nothing is lost, and starting it again is the way on."""


def end_process(error: BaseException) -> None:
    """End without committing: another worker, or the next process, reads the record again."""
    os._exit(3)


class Worker:
    """
    Stores what Kafka has for its share of the partitions, until it is told to stop.

    `store` commits a batch with its position and keeps trying while the database is away; `positions` gives what is
    committed. Both are called in one thread of their own, so that Kafka hears from this worker meanwhile.
    """

    def __init__(
        self,
        topics: Topics,
        group: str,
        store: Callable[[Batch, Position], None],
        positions: Callable[[], Offsets],
        stop: threading.Event,
        on_failure: Callable[[BaseException], None] = end_process,
    ) -> None:
        self.progress = Progress()
        self._store, self._positions, self._stop, self._on_failure = store, positions, stop, on_failure
        self._waiting: list[Any] = []
        self._busy = 0  # what runs in the thread, or waits for it
        self._topics = topics
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "store")
        self._scratch = tempfile.TemporaryDirectory(prefix="stadspuls-worker-")
        self._app: Any = self._make_app(topics, group)
        self._dealing = Dealing(self._app, self.progress)

    def run(self) -> None:
        """Work until SIGINT or SIGTERM; raises WorkerEnded when Faust ended by itself."""
        logging.basicConfig(handlers=[Retold()], level=logging.WARNING)
        service: Any = Runner(self._app, self._stop)
        try:
            service.execute_from_commandline()
        except SystemExit as end:
            if end.code:
                raise WorkerEnded(f"faust ended with {end.code}") from end
        except Exception as error:
            raise WorkerEnded(f"{type(error).__name__}: {error}") from error
        finally:
            self._stop.set()
            self._thread.shutdown(wait=True)
            self._scratch.cleanup()

    @property
    def ready(self) -> bool:
        """Tell whether Kafka has given this worker its share."""
        return bool(self._app.started and not self._app.rebalancing and self.progress.rebalances)

    def _make_app(self, topics: Topics, group: str) -> Any:
        app = make_app(topics, group, self._scratch.name)
        topic = app.topic(*topics.names, value_serializer="raw", key_serializer="raw")
        app.agent(topic, name="store", concurrency=1)(self._agent)
        app.on_partitions_revoked.connect(self._forget)
        app.on_rebalance_complete.connect(self._deal)
        return app

    async def _agent(self, stream: Any) -> None:
        # None of the `take` family: they acknowledge in `finally`, also what was not stored.
        tasks = [asyncio.ensure_future(task) for task in (self._store_waiting(stream), self._look_for_missing())]
        for task in tasks:
            task.add_done_callback(self._ended)
        try:
            async for event in stream.noack().events():
                if await self._dealing.takes(event.message):
                    self._waiting.append(event)
                    self._arrived.set()
                while len(self._waiting) >= WAITING:
                    await asyncio.sleep(0.005)
        finally:
            for task in tasks:
                task.cancel()

    async def _look_for_missing(self) -> None:
        looks = 0
        while looks < _HOPELESS:
            await asyncio.sleep(_LOOK)
            looks = looks + 1 if await self._stuck() else 0
        reason = f"nothing moved for {_HOPELESS * _LOOK:.0f} s while Kafka has records, or deals out no partitions"
        _log.critical("the worker ends, another process reads on", reason=reason)
        raise WorkerEnded(reason)

    async def _stuck(self) -> bool:
        """
        Tell whether records do not come though they are there, and read them again.

        Also while nothing is dealt out, or what Kafka is asked never returns, though it answers others: a new process
        is the way on. Not while the database is waited for, or Kafka is away.
        """
        busy = bool(self._waiting or self._busy)
        try:
            if self.ready:
                async with asyncio.timeout(_ANSWER_WITHIN):
                    return await self._dealing.look(busy=busy)
        except Exception as error:  # Kafka is away, or deals out anew: the next look sees more
            _log.warning("cannot look for missing records now", error=repr(error))
        with suppress(NoAnswer):
            await asyncio.to_thread(ends, self._topics)
            return not busy
        return False

    def _ended(self, storing: asyncio.Future[None]) -> None:
        if not storing.cancelled() and (error := storing.exception()) is not None:
            self._on_failure(error)

    async def _store_waiting(self, stream: Any) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while events := self._take():
                await self._in_thread(self._store_records, [event.message for event in events])
                for event in events:
                    await stream.ack(event)

    def _take(self) -> list[Any]:
        """Take what waits of the partition whose record came first."""
        if not self._waiting:
            return []
        first = self._waiting[0].message.tp
        taken = [event for event in self._waiting if event.message.tp == first]
        self._waiting = [event for event in self._waiting if event.message.tp != first]
        return taken

    async def _forget(self, app: Any, revoked: Any, **_: object) -> None:
        """Let go of records that wait while partitions are dealt out anew: they are read again."""
        self._waiting = []
        self._dealing.forget()

    async def _in_thread(self, function: Callable[..., Any], *arguments: object) -> Any:
        """Run what blocks; the process ends when it fails, and waits for its end when it stops."""
        self._busy += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)
        except Stopped:
            await asyncio.Event().wait()
        except Exception as error:
            _log.critical("the worker ends, its record is read again", exc_info=True)
            self._on_failure(error)
            raise
        finally:
            self._busy -= 1

    async def _deal(self, app: Any, **_: object) -> None:
        self.progress.rebalances += 1
        await self._dealing.deal(await self._in_thread(self._known_positions))

    # In the thread.

    def _known_positions(self) -> Offsets:
        wait = 0.1
        while True:
            try:
                return self._positions()
            except StoreError as error:
                _log.warning("database away, trying again", error=str(error), seconds=wait)
                if self._stop.wait(wait):
                    raise Stopped("the database did not come back before the worker stopped") from error
                wait = min(wait * 2, _LONGEST_WAIT)

    def _store_records(self, messages: Sequence[Any]) -> None:
        """Store records of one partition, in their order, and note how far that is."""
        last = messages[-1]
        home, reach = (last.topic, last.partition), last.offset + 1
        batch = Batch.concat([self._batch(message) for message in messages])
        self._store(batch, Position(*home, reach))
        done = self.progress
        done.transactions += 1
        done.records += len(messages)
        done.readings += len(batch)
        done.stored[home] = reach
        if home in done.ends:
            with suppress(AssertionError, AttributeError):  # the partition has just been dealt to another worker
                done.ends[home] = max(self._app.consumer.highwater(last.tp) or 0, reach)

    def _batch(self, message: Any) -> Batch:
        """Decode a record; what no collector of ours can have written becomes a dead letter."""
        try:
            return read_record(message.value)
        except BadRecord as error:
            home = f"{message.topic}/{message.partition}/{message.offset}"
            _log.error("record not understood", record=home, error=str(error))
            self.progress.poisoned += 1
            letter = DeadLetter("unknown", home, message.value or b"", str(error), datetime.now(UTC))
            return Batch(columns((), ()), (), [letter])
