"""
Faust for `streams.worker.worker`: the application with its settings and credentials, a runner, and a log handler.

Only these two modules and `streams.worker.partitions` use Faust. docs/traps.md, *Kafka and Faust*, explains the
settings.
"""

import logging
import threading
from typing import Any

import faust
import structlog
from faust.auth import SASLCredentials

from ingest.log.topics import Access, Topics

SESSION_TIMEOUT = 10.0  # s after which a killed worker's partitions go to others
LONGEST_OUTAGE = 7 * 86_400.0  # s that a record may wait for the database before Kafka removes the worker
_REPEAT_AFTER = 10.0  # s before the same message of Faust is logged again

_log = structlog.get_logger("streams.worker.worker")


def make_app(topics: Topics, group: str, scratch: str) -> Any:
    """Make the application of a group of workers; `scratch` is Faust's directory for tables, which stays empty."""
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
        broker_commit_interval=1.0,  # what a killed worker stored since is read again, as duplicates
        broker_request_timeout=30.0,
        broker_heartbeat_interval=2.0,
        broker_max_poll_interval=LONGEST_OUTAGE,
        stream_processing_timeout=LONGEST_OUTAGE,
        stream_wait_empty=False,
        stream_buffer_maxsize=16,
        consumer_max_fetch_size=4 << 20,
        consumer_metadata_max_age_ms=5000,  # a Kafka that has just started may not list the topics yet
        consumer_auto_offset_reset="earliest",
    )


def _credentials(access: Access) -> Any:
    if access.username is None:
        return access.context()
    return SASLCredentials(
        username=access.username, password=access.password, ssl_context=access.context(), mechanism=access.mechanism
    )


class WorkerRunner(faust.Worker):
    """Faust's own runner; a signal sets `stop` first, which ends the wait for a database that is away."""

    def __init__(self, app: Any, stop: threading.Event) -> None:
        super().__init__(app, override_logging=False, redirect_stdouts=False)
        self.spinner = None
        self._stop_storing = stop

    def _flag_as_shutdown_by_signal(self) -> None:
        self._stop_storing.set()
        super()._flag_as_shutdown_by_signal()


class LogHandler(logging.Handler):
    """Writes messages of Faust and its Kafka client to the hub's own log, each at most once in `_REPEAT_AFTER`."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write a message, unless the same one was written a moment ago."""
        if record.created - self._last.get(str(record.msg), 0.0) > _REPEAT_AFTER:
            self._last[str(record.msg)] = record.created
            _log.log(record.levelno, record.getMessage(), logger=record.name)
