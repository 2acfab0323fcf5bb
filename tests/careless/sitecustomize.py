"""
Breaks promise 1 on purpose, in every process that has this directory on its path: messages are acknowledged first.

`tests.test_chaos` proves with it that the chaos run sees a loss. Python loads a module of this name when it starts.
"""

from collections.abc import Callable, Sequence

from ingest.batch import Batch
from ingest.kafka import KafkaLog

_produce = KafkaLog._produce


async def _careless(self: KafkaLog, taken: Sequence[tuple[Batch, Callable[[], None]]]) -> None:
    for _, committed in taken:
        committed()
    await _produce(self, [(batch, lambda: None) for batch, _ in taken])


KafkaLog._produce = _careless  # type: ignore[method-assign]
