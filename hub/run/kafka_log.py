"""
The log that the settings name: where it is, and how far the database is behind it.

`hub.run.distributed` and `hub.run.collect` work on it, `hub.cli.doctor` asks how it is.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from hub.run.parts import needed
from hub.settings.settings import Settings
from ingest.log.topics import Topics, ends, workers

Home = tuple[str, int]


class LogState(NamedTuple):
    """
    `waiting` records are on the log and not stored, `late` of them for long; `gone` partitions end before what was
    stored of them.
    """

    partitions: int
    waiting: int
    late: int
    gone: list[Home]
    workers: int


def topics(settings: Settings) -> Topics:
    """Give the log that the settings name; raises CannotStart when they name none."""
    return Topics(
        needed(settings, "kafka", "host:port"), settings.kafka_topic, settings.kafka_dead_letters,
        partitions=settings.kafka_partitions, replicas=settings.kafka_replicas, access=settings.kafka_access,
    )  # fmt: skip


def log_state(log_of: Topics, group: str, stored: Mapping[Home, int], before: datetime) -> LogState:
    """
    Compare the ends of the log with what its workers have stored; what is there since `before` is late.

    Raises `ingest.log.topics.NoAnswer`.
    """
    found = ends(log_of)
    waiting, late = (
        sum(max(0, end - stored.get(home, 0)) for home, end in reach.items())
        for reach in (found, ends(log_of, before=before))
    )
    gone = [home for home, position in stored.items() if home[0] in log_of.names and position > found.get(home, 0)]
    return LogState(len(found), waiting, late, sorted(gone), workers(log_of, group))
