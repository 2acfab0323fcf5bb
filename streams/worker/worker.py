"""
A worker of the distributed hub: takes batches off Kafka and stores them in the order of each partition.

    Kafka ─▶ _receive (in order, by `partitions`) ─▶ waiting ─▶ _store_waiting ─▶ _store_records, in a thread ─▶ ack

`ingest.log.kafka` wrote the records, `streams.worker.faust_app` is Faust; `hub.run.distributed` passes the store,
`streams.commit.pipeline` as in the embedded hub. The database is the checkpoint: the position of a record is committed
with its readings, and the consumer group is only ever set back to it, never forward. Reading a record again is
harmless, skipping one is not.

Records wait while a transaction runs; those of one partition are then stored together, so that a slow database gets
larger transactions, as in the embedded hub.
"""

import asyncio
import logging
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import structlog

from aggregates.store.errors import StoreError
from ingest.collector import end_process
from ingest.log.records import read_record
from ingest.log.topics import NoAnswer, Topics, ends
from ingest.vocabulary.backoff import pauses
from ingest.vocabulary.batch import Batch, DeadLetter, columns
from ingest.vocabulary.readings import BadPayload
from streams.commit.pipeline import Position, Stopped, wait_for_database
from streams.worker.faust_app import LogHandler, WorkerRunner, make_app
from streams.worker.partitions import Partition, Partitions, WorkerMetrics

WAITING = 64  # records, of up to 512 kB, that wait to be stored together
_CHECK_EVERY = 5.0  # s between two checks for records that did not come
_MOST_STUCK = 12  # checks in a row that find this worker stuck, after which the process ends
_ANSWER_WITHIN = 30.0  # s
_LONGEST_WAIT = 5.0

_log = structlog.get_logger("streams.worker.worker")


class WorkerEnded(Exception):  # noqa: N818 - what happened is the name
    """Faust ended or failed; nothing is lost, and the worker has to be started again."""

    def __str__(self) -> str:
        return f"the worker ended, start it again: {super().__str__()}"


class Worker:
    """
    Stores the records of the assigned partitions until the process gets SIGINT or SIGTERM.

    `store` commits a batch with its position and retries while the database is away; `positions` gives the committed
    positions. Both are called in one thread of their own, so that the heartbeats to Kafka go on meanwhile.
    """

    def __init__(
        self, topics: Topics, group: str, store: Callable[[Batch, Position], None],
        positions: Callable[[], Mapping[Partition, int]], stop: threading.Event,
    ) -> None:  # fmt: skip
        self.metrics = WorkerMetrics()
        self.trouble: list[str] = []  # why no record can come
        self._store, self._positions, self._stop = store, positions, stop
        self._waiting: dict[Any, list[Any]] = {}  # by partition, in the order of their first records
        self._busy = 0  # calls that run in the thread, or wait for it
        self._topics = topics
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "store")
        self._scratch = tempfile.TemporaryDirectory(prefix="stadspuls-worker-")
        self._app: Any = self._make_app(topics, group)
        self._partitions = Partitions(self._app, self.metrics)

    def run(self) -> None:
        """Work until SIGINT or SIGTERM; raises WorkerEnded when Faust ended by itself."""
        logging.basicConfig(handlers=[LogHandler()], level=logging.WARNING)
        service: Any = WorkerRunner(self._app, self._stop)
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
        """Tell whether a rebalance has assigned partitions to this worker (or none, where there are too few)."""
        return bool(self._app.started and not self._app.rebalancing and self.metrics.rebalances)

    def _make_app(self, topics: Topics, group: str) -> Any:
        app = make_app(topics, group, self._scratch.name)
        topic = app.topic(*topics.names, value_serializer="raw", key_serializer="raw")
        app.agent(topic, name="store", concurrency=1)(self._receive)
        app.on_partitions_revoked.connect(self._revoke)
        app.on_rebalance_complete.connect(self._assign)
        return app

    async def _receive(self, stream: Any) -> None:
        # Not Faust's `take` and `getmany`: they acknowledge in `finally`, also records that were not stored.
        tasks = [asyncio.ensure_future(task) for task in (self._store_waiting(stream), self._watch())]
        for task in tasks:
            task.add_done_callback(self._ended)
        try:
            async for event in stream.noack().events():
                if await self._partitions.is_next(event.message):
                    self._waiting.setdefault(event.message.tp, []).append(event)
                    self._arrived.set()
                while sum(map(len, self._waiting.values())) >= WAITING:
                    await asyncio.sleep(0.005)
        finally:
            for task in tasks:
                task.cancel()

    async def _watch(self) -> None:
        """Read missing records again; raises WorkerEnded where this does not help for a minute."""
        found = 0
        while found < _MOST_STUCK:
            await asyncio.sleep(_CHECK_EVERY)
            found = found + 1 if await self._stuck() else 0
        waited = _MOST_STUCK * _CHECK_EVERY
        reason = f"nothing was stored for {waited:.0f} s while Kafka has records, or assigns no partitions"
        _log.critical("the worker ends, another process reads on", reason=reason)
        raise WorkerEnded(reason)

    async def _stuck(self) -> bool:
        """
        Tell whether records are on the log but do not come, and read them again.

        Also true while no partition is assigned, or a request to Kafka never returns though Kafka answers a new
        connection: a new process is needed. False while the worker waits for the database, or Kafka is away.
        """
        busy = bool(self._waiting or self._busy)
        try:
            if self.ready:
                async with asyncio.timeout(_ANSWER_WITHIN):
                    is_overdue = await self._partitions.reread_overdue(busy=busy)
                self.trouble = []
                return is_overdue
        except Exception as error:  # Kafka is away, or rebalances: the next check decides
            _log.warning("cannot look for missing records now", error=repr(error))
        try:
            await asyncio.to_thread(ends, self._topics)
        except NoAnswer as error:
            self.trouble = [f"kafka: {error}"]
            return False
        return not busy

    def _ended(self, storing: asyncio.Future[None]) -> None:
        if not storing.cancelled() and (error := storing.exception()) is not None:
            end_process(error)

    async def _store_waiting(self, stream: Any) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                events = self._waiting.pop(next(iter(self._waiting)))
                await self._in_thread(self._store_records, [event.message for event in events])
                for event in events:
                    await stream.ack(event)

    async def _revoke(self, app: Any, revoked: Any, **_: object) -> None:
        """Drop the waiting records when a rebalance begins: they are read again."""
        self._waiting = {}
        self._partitions.revoke()

    async def _in_thread(self, function: Callable[..., Any], *arguments: object) -> Any:
        """Run a blocking function in the thread; the process ends when it fails, and soon after `Stopped`."""
        self._busy += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)
        except Stopped:
            await asyncio.Event().wait()
        except Exception as error:
            _log.critical("the worker ends, its record is read again", exc_info=True)
            end_process(error)
        finally:
            self._busy -= 1

    async def _assign(self, app: Any, **_: object) -> None:
        self.metrics.rebalances += 1
        await self._partitions.assign(await self._in_thread(self._known_positions))

    # In the thread.

    def _known_positions(self) -> Mapping[Partition, int]:
        waits = pauses(0.1, _LONGEST_WAIT)
        while True:
            try:
                return self._positions()
            except StoreError as error:
                wait_for_database(self._stop, next(waits), error)

    def _store_records(self, messages: Sequence[Any]) -> None:
        """Store records of one partition, in their order, and count them."""
        last = messages[-1]
        partition, reach = (last.topic, last.partition), last.offset + 1
        batch = Batch.concat([self._batch(message) for message in messages])
        self._store(batch, Position(*partition, reach))
        done = self.metrics
        done.transactions += 1
        done.records += len(messages)
        done.readings += len(batch)
        done.stored[partition] = reach
        if partition in done.ends:
            with suppress(AssertionError, AttributeError):  # the partition was just assigned to another worker
                done.ends[partition] = max(self._app.consumer.highwater(last.tp) or 0, reach)

    def _batch(self, message: Any) -> Batch:
        """Decode a record; one that is not a batch becomes a dead letter."""
        try:
            return read_record(message.value)
        except BadPayload as error:
            place = f"{message.topic}/{message.partition}/{message.offset}"
            _log.error("record not understood", record=place, error=str(error))
            self.metrics.poisoned += 1
            letter = DeadLetter("unknown", place, message.value or b"", str(error), datetime.now(UTC))
            return Batch(columns((), ()), (), [letter])
