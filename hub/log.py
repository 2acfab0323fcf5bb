"""
The log that the settings name: where it is, and how far the database is behind it.

`hub.distributed` and `hub.collecting` work on it, `hub.doctor` asks how it is.
"""

from collections.abc import Mapping
from typing import NamedTuple

from hub.servers import CannotStart
from hub.settings import Settings
from ingest.topics import NoAnswer, Topics, ends, workers

__all__ = ["LogState", "NoAnswer", "log_state", "topics"]

Home = tuple[str, int]


class LogState(NamedTuple):
    """`waiting` records are on the log and not stored; `gone` partitions end before what was stored of them."""

    partitions: int
    waiting: int
    gone: list[Home]
    workers: int


def topics(settings: Settings) -> Topics:
    """Give the log that the settings name; raises CannotStart when they name none."""
    if not settings.kafka:
        raise CannotStart("no Kafka named, expected --kafka host:port")
    return Topics(
        settings.kafka, settings.kafka_topic, settings.kafka_dead_letters,
        partitions=settings.kafka_partitions, replicas=settings.kafka_replicas, access=settings.kafka_access,
    )  # fmt: skip


def log_state(log_of: Topics, group: str, stored: Mapping[Home, int]) -> LogState:
    """Compare the ends of the log with what its workers have stored; raises `ingest.topics.NoAnswer`."""
    found = ends(log_of)
    waiting = sum(max(0, end - stored.get(home, 0)) for home, end in found.items())
    gone = [home for home, position in stored.items() if home[0] in log_of.names and position > found.get(home, 0)]
    return LogState(len(found), waiting, sorted(gone), workers(log_of, group))
