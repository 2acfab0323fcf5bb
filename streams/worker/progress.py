"""
What a worker has done, for its metrics, and what Faust says, for its log.

`streams.worker.worker` keeps both; `hub.run.distributed` shows the numbers.
"""

import logging
from dataclasses import dataclass, field

import structlog

_REPEAT = 10.0  # s before the client of a Kafka that is away says the same again

_log = structlog.get_logger("streams.worker.worker")


@dataclass(slots=True)
class Progress:
    """What a worker has done and has before it, for its metrics."""

    records: int = 0
    transactions: int = 0
    readings: int = 0
    poisoned: int = 0
    rebalances: int = 0
    stored: dict[tuple[str, int], int] = field(default_factory=dict)
    ends: dict[tuple[str, int], int] = field(default_factory=dict)

    @property
    def lag(self) -> int:
        """Records of the assigned partitions that are on the log and not stored, as far as Kafka told."""
        return sum(max(0, end - self.stored.get(home, 0)) for home, end in self.ends.items())


class Retold(logging.Handler):
    """What Faust and its Kafka client say, in the form of the hub's own log, and not ten times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Say it again, where it was not said a moment ago."""
        if record.created - self._said.get(str(record.msg), 0.0) > _REPEAT:
            self._said[str(record.msg)] = record.created
            _log.log(record.levelno, record.getMessage(), logger=record.name)
