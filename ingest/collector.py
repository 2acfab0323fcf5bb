"""
From the broker to the log: decodes what a receiver gives, and acknowledges it once the log has it.

`ingest.mqtt.receiver` receives, `ingest.formats.decode` reads, and the log is Kafka (`ingest.log.kafka`) or the one
in this process (`ingest.log.queue`).
"""

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

import structlog
from msgspec.structs import replace

from ingest.formats.decode import EARLIEST, decode
from ingest.vocabulary.batch import Batch
from ingest.vocabulary.readings import Message, SensorFact, Site

REMEMBERED = 100_000  # sensors whose last fact is known to be on the log

_log = structlog.get_logger("ingest.collector")


def end_process(error: BaseException) -> None:
    """End without acknowledging: what was not committed is delivered again to the next process."""
    os._exit(3)


class Collector(threading.Thread):
    """
    One thread that turns `rounds` of a receiver into batches, until it stops.

    `put` takes a batch, waiting while there is no room, and calls what it was given once the batch is durable, from any
    thread; it raises when the log is closed or broken. Then the broker may forget the round: `acknowledge`.

    Decoding never fails for what a message holds. If it fails all the same, or the log does, nothing more is
    acknowledged, and `on_failure` is called: by default it ends the process.
    """

    def __init__(
        self, rounds: Callable[[], Iterable[Sequence[Message]]], acknowledge: Callable[[Iterable[Any]], None],
        put: Callable[[Batch, Callable[[], None]], None],
        sites: Callable[[], Mapping[str, Site]] = lambda: MappingProxyType({}), earliest: datetime = EARLIEST,
        on_failure: Callable[[BaseException], None] = end_process,
        decoder: Callable[[Sequence[Message], datetime], Batch] = decode,
    ) -> None:  # fmt: skip
        super().__init__(name="collector", daemon=True)
        self.readings = self.dead_letters = 0
        self._rounds, self._acknowledge, self._put = rounds, acknowledge, put
        self._sites, self._earliest, self._on_failure, self._decode = sites, earliest, on_failure, decoder
        self._facts: dict[str, SensorFact] = {}

    def run(self) -> None:
        """Collect until the receiver has stopped and its last round is on the log."""
        try:
            for taken in self._rounds():
                self._collect(taken)
        except BaseException as error:
            _log.critical("the collector ends, and acknowledges nothing more", exc_info=True)
            self._on_failure(error)

    def _collect(self, taken: Sequence[Message]) -> None:
        sites = self._sites()
        messages = [Message(one.topic, one.payload, one.received_at, sites, one.replayed) for one in taken]
        batch = self._decode(messages, self._earliest)
        tokens = [one.token for one in taken]
        facts = self._new_facts(batch.sensors)
        self._put(replace(batch, sensors=facts), lambda: self._acknowledge(tokens))
        self.readings += len(batch)
        self.dead_letters += len(batch.dead_letters)

    def _new_facts(self, facts: Sequence[SensorFact]) -> tuple[SensorFact, ...]:
        """Leave out what is on its way already: if it never arrives, this process ends and the next sends it again."""
        new = tuple(fact for fact in facts if self._facts.get(fact.sensor_id) != fact)
        self._facts |= {fact.sensor_id: fact for fact in new}
        if len(self._facts) > REMEMBERED:
            self._facts.clear()
        return new
