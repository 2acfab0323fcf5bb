"""
The counts of a worker, for its metrics.

`streams.worker.worker` and `streams.worker.partitions` write them; `hub.run.distributed` publishes them.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class WorkerMetrics:
    """Counts since the start; `stored` and `ends` are offsets by topic and partition."""

    records: int = 0
    transactions: int = 0
    readings: int = 0
    poisoned: int = 0
    rebalances: int = 0
    stored: dict[tuple[str, int], int] = field(default_factory=dict)
    ends: dict[tuple[str, int], int] = field(default_factory=dict)

    @property
    def lag(self) -> int:
        """Records of the assigned partitions that are on the log and not stored, as far as Kafka reported."""
        return sum(max(0, end - self.stored.get(partition, 0)) for partition, end in self.ends.items())
