"""
The Kafka door: batches onto the log, acknowledged when Kafka has all of their records on all replicas.

`ingest.log.queue` has the queue and its thread, `ingest.log.records` cuts, `ingest.log.topics` has the topics, and
`streams.worker.worker` takes the records off again.
"""

import asyncio
import contextlib
import time

import structlog
from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.errors import KafkaError, MessageSizeTooLargeError  # type: ignore[import-untyped]

from ingest.log.queue import LogClosed, QueuedLog
from ingest.log.records import MOST, letter_records, reading_records
from ingest.log.topics import LARGEST_MESSAGE, LONGEST_WAIT, Topics, create_missing, why
from ingest.vocabulary.backoff import pauses
from ingest.vocabulary.batch import Batch

LEAST = 16_384  # bytes of a record that every Kafka takes
PATIENCE = 40.0  # s until a silent Kafka is given up, and asked by a new producer

_log = structlog.get_logger("ingest.log.kafka")


class KafkaLog(QueuedLog):
    """Batches onto Kafka: while it is away the thread keeps trying with what it took, and `put` waits for room."""

    def __init__(self, topics: Topics, together: int = 20_000, waiting: int = 100_000) -> None:
        self.records = self.bytes = self.retries = 0
        self.seconds = 0.0  # spent waiting for Kafka
        self.trouble: list[str] = []  # why the batch in hand waits
        self._topics = topics
        self._most = MOST  # bytes of a record
        self._producer: AIOKafkaProducer | None = None
        super().__init__(self._produce, together, waiting)

    # In the thread.

    def _run(self) -> None:
        with asyncio.Runner() as self._runner:
            super()._run()
            self._runner.run(self._discard())

    def _produce(self, batch: Batch) -> None:
        begun = time.monotonic()
        self._runner.run(self._sent(batch))
        self.seconds += time.monotonic() - begun

    async def _sent(self, batch: Batch) -> None:
        """Send all records until Kafka has every one; what it has twice is harmless behind the store's fence."""
        waits = pauses(0.1, LONGEST_WAIT)
        while True:
            try:
                async with asyncio.timeout(PATIENCE) as limit:
                    producer = await self._ready()
                    records = await self._records(producer, batch)
                    sent = []
                    for topic, part, value in records:
                        sent.append(await producer.send(topic, value, partition=part))  # waits while much is under way
                        limit.reschedule(asyncio.get_running_loop().time() + PATIENCE)
                    await asyncio.gather(*sent)  # raises what Kafka answered to the first that it did not take
                    self.trouble = []
                    return
            except (KafkaError, OSError, TimeoutError) as error:
                if self._given_up:
                    raise LogClosed("the log was closed while Kafka was away") from error
                if isinstance(error, MessageSizeTooLargeError):  # the topic was made with a lower limit
                    self._most = max(self._most // 2, LEAST)
                wait, self.trouble = next(waits), [f"kafka: {why(error)}"]
                _log.warning("kafka away, trying again", error=why(error), seconds=round(wait, 1))
                self.retries += 1
                await self._discard()
                await asyncio.sleep(wait)

    async def _records(self, producer: AIOKafkaProducer, batch: Batch) -> list[tuple[str, int, bytes]]:
        # Kafka knows how many partitions there are: the setting is only for topics not made yet.
        readings, letters = self._topics.names
        partitions = {name: len(await producer.partitions_for(name)) for name in self._topics.names}
        cut = {
            readings: reading_records(batch, partitions[readings], most=self._most),
            letters: letter_records(batch.dead_letters, partitions[letters], most=self._most),
        }
        found = [(topic, *record) for topic, records in cut.items() for record in records]
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
        if (task := producer._sender.sender_task) is not None:
            task.cancel()
        with contextlib.suppress(KafkaError, OSError, TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(producer.stop(), 5)
