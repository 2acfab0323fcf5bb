"""
The Kafka door: batches onto the log, acknowledged when Kafka has all of their records.

`ingest.collector` puts, `ingest.records` cuts, `ingest.topics` has the topics, and `streams.worker` takes the records
off again. One thread waits a moment for more (never above `LINGER`), packs what came, sends it, and waits until every
record of it is on all replicas, for as long as that takes.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]

from ingest.batch import Batch
from ingest.records import letter_records, reading_records
from ingest.topics import LARGEST_MESSAGE, LONGEST_WAIT, Topics, create_missing, why

LINGER = 0.05  # s that a reading waits for others
PATIENCE = 40.0  # s until a silent Kafka is given up, and asked by a new producer

_log = structlog.get_logger("ingest.kafka")


class LogClosed(Exception):  # noqa: N818 - what happened is the name
    """The log takes no more: it was closed, or it failed."""


class KafkaLog:
    """
    A bounded queue and one thread that produces; see `ingest.collector.Log`.

    While Kafka is away it keeps trying with what was taken, and `put` waits once the queue is full. `failed` is set
    only for a bug: then nothing more is committed, and `put` raises. `together` and `waiting` count readings: packed in
    one go at most (a single batch may be larger), and waiting at most.
    """

    def __init__(self, topics: Topics, together: int = 20_000, waiting: int = 100_000, linger: float = LINGER) -> None:
        self.failed: BaseException | None = None
        self.in_flight = 0  # readings that were put and are not on the log
        self.records = self.bytes = self.rounds = self.retries = 0
        self.seconds = 0.0  # spent waiting for Kafka
        self._topics, self._together, self._waiting, self._linger = topics, together, waiting, linger
        self._queue: deque[tuple[Batch, Callable[[], None]]] = deque()
        self._changed = threading.Condition()
        self._closed = self._given_up = False
        self._producer: AIOKafkaProducer | None = None
        self._loop = asyncio.new_event_loop()
        self._news = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="kafka-log", daemon=True)
        self._thread.start()

    def put(self, batch: Batch, committed: Callable[[], None]) -> None:
        """Take a batch, waiting while the queue is full; raises LogClosed when it is closed or has failed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._has_room(batch))
            if self._closed:
                raise LogClosed("the log has failed" if self.failed else "the log is closed")
            self._queue.append((batch, committed))
            self.in_flight += len(batch)
            self._loop.call_soon_threadsafe(self._news.set)

    def _has_room(self, batch: Batch) -> bool:
        # Each batch counts one more than its readings: one with dead letters alone is not free either.
        held = self.in_flight + len(self._queue)
        return not self._queue or held + len(batch) < self._waiting

    def close(self, seconds: float | None = None) -> bool:
        """Take no more, and wait until everything is on the log; False when `seconds` were not enough."""
        with self._changed:
            if not self._closed:
                self._loop.call_soon_threadsafe(self._news.set)
            self._closed = True
            self._changed.notify_all()
        self._thread.join(seconds)
        self._given_up = self._thread.is_alive()
        return not self._given_up and self.failed is None

    # In the thread.

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._work())
        except BaseException as error:
            _log.critical("the log failed, nothing more is acknowledged", exc_info=True)
            with self._changed:
                self.failed = error
                self._closed = True
                self._changed.notify_all()

    async def _work(self) -> None:
        while not self._closed or self._queue:
            await self._news.wait()
            self._news.clear()
            await self._wait_for_more()
            while taken := self._take():
                await self._produce(taken)
        await self._discard()

    async def _wait_for_more(self) -> None:
        until = time.monotonic() + self._linger
        while not self._closed and self.in_flight < self._together and (left := until - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), left)
            self._news.clear()

    def _take(self) -> list[tuple[Batch, Callable[[], None]]]:
        with self._changed:
            taken = [self._queue.popleft()] if self._queue else []
            size = sum(len(batch) for batch, _ in taken)
            while self._queue and size + len(self._queue[0][0]) <= self._together:
                taken.append(self._queue.popleft())
                size += len(taken[-1][0])
            self._changed.notify_all()
            return taken

    async def _produce(self, taken: Sequence[tuple[Batch, Callable[[], None]]]) -> None:
        batch = Batch.concat([batch for batch, _ in taken])
        begun = time.monotonic()
        await self._deliver(batch)
        self.seconds += time.monotonic() - begun
        self.rounds += 1
        for _, committed in taken:
            committed()
        with self._changed:
            self.in_flight -= len(batch)
            self._changed.notify_all()

    async def _deliver(self, batch: Batch) -> None:
        """Send all records until Kafka has every one; what it has twice is harmless behind the store's fence."""
        wait = 0.1
        while True:
            try:
                producer = await self._ready()
                return await _send(producer, await self._records(producer, batch))
            except (KafkaError, OSError, TimeoutError) as error:
                if self._given_up:
                    raise LogClosed("the log was closed while Kafka was away") from error
                _log.warning("kafka away, trying again", error=why(error), seconds=wait)
                self.retries += 1
                await self._discard()
                await asyncio.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT)

    async def _records(self, producer: AIOKafkaProducer, batch: Batch) -> list[tuple[str, int, bytes]]:
        # Kafka knows how many partitions there are: the setting is only for topics not made yet.
        homes = {name: len(await producer.partitions_for(name)) for name in self._topics.names}
        found = [
            (self._topics.readings, *record[:2]) for record in reading_records(batch, homes[self._topics.readings])
        ]
        found += [
            (self._topics.dead_letters, *record[:2])
            for record in letter_records(batch.dead_letters, homes[self._topics.dead_letters])
        ]
        self.records += len(found)
        self.bytes += sum(len(value) for *_, value in found)
        return found

    async def _ready(self) -> AIOKafkaProducer:
        if self._producer is None:
            await create_missing(self._topics)
            self._producer = AIOKafkaProducer(
                bootstrap_servers=self._topics.servers, client_id="stadspuls-collect", acks="all",
                enable_idempotence=True, max_request_size=LARGEST_MESSAGE, max_batch_size=LARGEST_MESSAGE,
                request_timeout_ms=int(PATIENCE * 1000), retry_backoff_ms=100, **self._topics.access.arguments(),
            )  # fmt: skip
            await self._producer.start()
        return self._producer

    async def _discard(self) -> None:
        """End the producer, also one that would wait for ever until Kafka took what it still has."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        sender: Any = producer._sender
        if sender is not None and sender.sender_task is not None:
            sender.sender_task.cancel()
        with contextlib.suppress(KafkaError, OSError, TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(producer.stop(), 5)


async def _send(producer: AIOKafkaProducer, records: Sequence[tuple[str, int, bytes]]) -> None:
    """Send records and wait for Kafka; raises what it answered to the first that it did not take."""
    async with asyncio.timeout(PATIENCE):
        sent = [await producer.send(topic, value, partition=partition) for topic, partition, value in records]
        await asyncio.gather(*sent)
