"""
Breaks promise 1 on purpose, in every process that has this directory on its path: messages are acknowledged first.

`tests.lab.test_chaos` proves with it that the chaos run sees a loss. Python loads a module of this name when it starts.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ingest.log.kafka import KafkaLog
from ingest.vocabulary.batch import Batch

_put = KafkaLog.put
_early = ThreadPoolExecutor(1)  # not the thread that puts: it may hold what the callback wants


def _careless(self: KafkaLog, batch: Batch, committed: Callable[[], None]) -> None:
    _put(self, batch, lambda: None)
    _early.submit(committed)


setattr(KafkaLog, "put", _careless)  # noqa: B010 - as no subclass would
