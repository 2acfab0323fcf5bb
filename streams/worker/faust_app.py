"""
Faust as `streams.worker.worker` wants it: its settings, how Kafka lets it in, and a runner that says at once that it
stops.

The two of them are all that knows Faust. Why each setting is as it is: docs/traps.md, *Kafka and Faust*.
"""

import threading
from typing import Any

import faust
from faust.auth import SASLCredentials

from ingest.log.kafka_login import Access
from ingest.log.topics import Topics

SESSION_TIMEOUT = 10.0  # s after which a killed worker's partitions go to others
PREFETCHED = 16  # records that Faust holds
LONGEST_OUTAGE = 7 * 86_400.0  # s that a record may wait for the database before Kafka takes the worker for hung
LARGEST_FETCH = 4 << 20
TOPICS_KNOWN_FOR = 5.0  # s after which the topics are asked for again: a Kafka that starts may not name them yet


def make_app(topics: Topics, group: str, scratch: str) -> Any:
    """Make the application of a group of workers; `scratch` is a directory for tables, that there are none of."""
    return faust.App(
        group,
        broker=";".join(f"kafka://{server}" for server in topics.servers.split(",")),
        broker_credentials=_credentials(topics.access),
        datadir=scratch,
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
        consumer_metadata_max_age_ms=int(TOPICS_KNOWN_FOR * 1000),
        consumer_auto_offset_reset="earliest",
    )


def _credentials(access: Access) -> Any:
    if access.username is None:
        return access.context()
    return SASLCredentials(
        username=access.username, password=access.password, ssl_context=access.context(), mechanism=access.mechanism
    )


class Runner(faust.Worker):
    """Faust's own runner, which sets `stop` at once: a record that waits for the database lets go."""

    def __init__(self, app: Any, stop: threading.Event) -> None:
        super().__init__(app, override_logging=False, redirect_stdouts=False)
        self.spinner = None
        self._stop_storing = stop

    def _flag_as_shutdown_by_signal(self) -> None:
        self._stop_storing.set()
        super()._flag_as_shutdown_by_signal()
