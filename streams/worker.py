"""
The Faust door: batches off Kafka into the store, in the order of each partition.

`ingest.kafka` put them there; `hub.distributed` hands over the store, which is `streams.pipeline` as in the embedded
mode. The database is the checkpoint: the position of a record is committed with its readings, and the consumer group
is only ever set back to it, never forward. Reading a record again is harmless, skipping one is not.

While one transaction runs, records gather; those of one partition are then stored together, so that a database that is
slow gets larger transactions, as it does in the embedded mode.
"""

import asyncio
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import faust
import structlog

from aggregates.store import StoreError
from ingest.batch import Batch, DeadLetter, columns
from ingest.records import BadRecord, read_record
from streams.pipeline import Position, Stopped
from streams.progress import Progress, Retold

SESSION_TIMEOUT = 10.0  # s after which a killed worker's partitions go to others
PREFETCHED = 16  # records that Faust holds
WAITING = 64  # records, of up to 512 kB, that wait to be stored together
LONGEST_OUTAGE = 7 * 86_400.0  # s that a record may wait for the database before Kafka takes the worker for hung
LARGEST_FETCH = 4 << 20
_LONGEST_WAIT = 5.0

Offsets = Mapping[tuple[str, int], int]

_log = structlog.get_logger("streams.worker")


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
        servers: str,
        topics: tuple[str, ...],
        group: str,
        store: Callable[[Batch, Position], None],
        positions: Callable[[], Offsets],
        stop: threading.Event,
        on_failure: Callable[[BaseException], None] = end_process,
    ) -> None:
        self.progress = Progress()
        self._store, self._positions, self._stop, self._on_failure = store, positions, stop, on_failure
        self._waiting: list[Any] = []
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "store")
        self._scratch = tempfile.TemporaryDirectory(prefix="stadspuls-worker-")
        self._app: Any = self._make_app(servers, topics, group)

    def run(self) -> None:
        """Work until SIGINT or SIGTERM; raises WorkerEnded when Faust ended by itself."""
        logging.basicConfig(handlers=[Retold()], level=logging.WARNING)
        service: Any = _Service(self._app, self._stop, override_logging=False, redirect_stdouts=False)
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

    def _make_app(self, servers: str, topics: tuple[str, ...], group: str) -> Any:
        app: Any = faust.App(
            group,
            broker=";".join(f"kafka://{server}" for server in servers.split(",")),
            datadir=self._scratch.name,  # Faust wants one, for tables that there are none of
            web_enabled=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            broker_session_timeout=SESSION_TIMEOUT,
            broker_rebalance_timeout=SESSION_TIMEOUT,
            broker_commit_interval=1.0,  # what a killed worker did since is read and refused again
            broker_request_timeout=30.0,
            broker_heartbeat_interval=2.0,
            broker_max_poll_interval=LONGEST_OUTAGE,
            stream_processing_timeout=LONGEST_OUTAGE,
            stream_wait_empty=False,
            stream_buffer_maxsize=PREFETCHED,
            consumer_max_fetch_size=LARGEST_FETCH,
            consumer_auto_offset_reset="earliest",
        )
        topic = app.topic(*topics, value_serializer="raw", key_serializer="raw")
        app.agent(topic, name="store", concurrency=1)(self._agent)
        app.on_partitions_revoked.connect(self._forget)
        app.on_rebalance_complete.connect(self._set_back)
        return app

    async def _agent(self, stream: Any) -> None:
        # None of the `take` family: they acknowledge in `finally`, also what was not stored.
        storing = asyncio.ensure_future(self._store_waiting(stream))
        storing.add_done_callback(self._ended)
        try:
            async for event in stream.noack().events():
                self._waiting.append(event)
                self._arrived.set()
                while len(self._waiting) >= WAITING:
                    await asyncio.sleep(0.005)
        finally:
            storing.cancel()

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

    async def _in_thread(self, function: Callable[..., Any], *arguments: object) -> Any:
        """Run what blocks; the process ends when it fails, and waits for its end when it stops."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)
        except Stopped:
            await asyncio.Event().wait()
        except Exception as error:
            _log.critical("the worker ends, its record is read again", exc_info=True)
            self._on_failure(error)
            raise

    async def _set_back(self, app: Any, **_: object) -> None:
        """Set the group back to what the database has, where the database is behind: after a restored back-up."""
        self.progress.rebalances += 1
        if not app.consumer.assignment():  # more workers than partitions
            self.progress.ends = {}
            return
        committed = await app.consumer.seek_to_committed()
        stored = await self._in_thread(self._known_positions)
        behind = {}
        for partition, offset in committed.items():
            known = stored.get((partition.topic, partition.partition), 0)
            if offset is not None and offset > known:
                behind[partition] = known
        if behind:
            _log.warning("the database is behind the group, reading again", partitions=len(behind))
            await app.consumer._commit(behind)
            for partition, known in behind.items():  # Faust's own seek, which follows, leaves out offset 0
                await app.consumer.seek(partition, known)
        _log.info("partitions dealt out", partitions=len(committed), rebalances=self.progress.rebalances)
        tops = await app.consumer.highwaters(*committed)
        self.progress.ends = {(p.topic, p.partition): tops.get(p) or 0 for p in committed}
        self.progress.stored.update(stored)

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
        begun = time.monotonic()
        self._store(batch, Position(*home, reach))
        done = self.progress
        done.seconds += time.monotonic() - begun
        done.transactions += 1
        done.records += len(messages)
        done.readings += len(batch)
        done.stored[home] = reach
        if home in done.ends:
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


class _Service(faust.Worker):
    """Faust's own runner, which says at once that it stops: a record that waits for the database lets go."""

    def __init__(self, app: Any, stop: threading.Event, **more: Any) -> None:
        super().__init__(app, **more)
        self.spinner = None
        self._stop_storing = stop

    def _flag_as_shutdown_by_signal(self) -> None:
        self._stop_storing.set()
        super()._flag_as_shutdown_by_signal()
