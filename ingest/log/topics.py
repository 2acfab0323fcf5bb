"""
The topics of the log: how Kafka lets a client in, made where they are missing, and how far they reach.

`hub.run.parts` makes them of the settings, `ingest.log.kafka` writes to them, `streams.worker.worker` reads them.
"""

import asyncio
import logging
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAlreadyExistsError, for_code  # type: ignore[import-untyped]
from aiokafka.helpers import create_ssl_context  # type: ignore[import-untyped]

from ingest.vocabulary.backoff import pauses

LONGEST_WAIT = 5.0  # s between two attempts
LARGEST_MESSAGE = 4 << 20  # a dead letter holds up to 1 MiB of an MQTT message

_log = structlog.get_logger("ingest.log.topics")


class _LastError(logging.Handler):
    """The last error that aiokafka logged: its exceptions do not tell why it could not connect."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


_last_error = _LastError(logging.ERROR)
logging.getLogger("aiokafka").addHandler(_last_error)


class NoAnswer(Exception):  # noqa: N818 - what happened is the name
    """Kafka did not answer in time, or not as it should."""


@dataclass(frozen=True, slots=True)
class Access:
    """
    Name and password, if Kafka asks for them, and TLS, if it uses that; neither by default.

    `ca` names who signed Kafka's certificate, where the system does not know them; `certificate` and `key` are the
    client's own.
    """

    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    mechanism: str = "SCRAM-SHA-512"
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext | None:
        """Make the TLS context, None without TLS; raises OSError for files that are no certificate or key."""
        names = {"cafile": self.ca, "certfile": self.certificate, "keyfile": self.key}
        return cast(ssl.SSLContext, create_ssl_context(**names)) if self.tls else None

    def arguments(self) -> dict[str, Any]:
        """Give the arguments that every client of aiokafka takes."""
        sasl, tls = "" if self.username is None else "SASL_", "SSL" if self.tls else "PLAINTEXT"
        return {
            "security_protocol": sasl + tls, "ssl_context": self.context(), "sasl_mechanism": self.mechanism,
            "sasl_plain_username": self.username, "sasl_plain_password": self.password,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one log at one Kafka; `partitions` and `replicas` are for topics that are made."""

    servers: str
    readings: str = "readings"
    dead_letters: str = "dead-letters"
    partitions: int = 8
    replicas: int = 1
    access: Access = field(default_factory=Access)

    @property
    def names(self) -> tuple[str, str]:
        """Both topics."""
        return self.readings, self.dead_letters


def make_topics(topics: Topics, stop: threading.Event | None = None) -> bool:
    """Make the topics that are missing, waiting for Kafka as long as it takes; False when `stop` was set before."""
    stop, waits = stop or threading.Event(), pauses(0.2, LONGEST_WAIT)
    while not stop.is_set():
        try:
            asyncio.run(create_missing(topics))
            return True
        except (KafkaError, OSError) as error:
            wait = next(waits)
            _log.warning("kafka away, trying again", servers=topics.servers, error=why(error), seconds=round(wait, 1))
            stop.wait(wait)
    return False


def why(error: BaseException) -> str:
    """Tell why Kafka does not answer, such as a wrong password."""
    logged = f"; {_last_error.text}" if isinstance(error, KafkaConnectionError) and _last_error.text else ""
    return f"{type(error).__name__}: {error}{logged}"


async def create_missing(topics: Topics) -> None:
    """Make the topics that are missing; raises what aiokafka raises."""
    async with _started(AIOKafkaAdminClient, topics) as admin:
        missing = sorted(set(topics.names) - set(await admin.list_topics()))
        config = {"max.message.bytes": str(LARGEST_MESSAGE), "min.insync.replicas": str(max(1, topics.replicas - 1))}
        new = [NewTopic(name, topics.partitions, topics.replicas, topic_configs=config) for name in missing]
        answer = await admin.create_topics(new) if new else None
        for name, code, *_ in answer.topic_errors if answer else ():
            if code and for_code(code) is not TopicAlreadyExistsError:
                raise for_code(code)(name)


def ends(topics: Topics, seconds: float = 10.0, before: datetime | None = None) -> dict[tuple[str, int], int]:
    """
    Give the offset after the last record of every partition, or after those that were put there `before` a moment.

    None of a topic not made yet; raises NoAnswer.
    """

    async def ask(admin: Any) -> dict[tuple[str, int], int]:
        known = set(await admin.list_topics())
        made = await admin.describe_topics([name for name in topics.names if name in known])
        partitions = [TopicPartition(topic["topic"], one["partition"]) for topic in made for one in topic["partitions"]]
        if not partitions:
            return {}
        async with _started(AIOKafkaConsumer, topics, seconds) as consumer:
            found = await consumer.end_offsets(partitions)
            if before is not None:
                since = await consumer.offsets_for_times(dict.fromkeys(found, int(before.timestamp() * 1000)))
                found |= {tp: first.offset for tp, first in since.items() if first is not None}
        return {(tp.topic, tp.partition): end for tp, end in found.items()}

    return _asked(topics, seconds, ask)


def workers(topics: Topics, group: str, seconds: float = 10.0) -> int:
    """Give how many workers the consumer group has; raises NoAnswer."""

    async def ask(admin: Any) -> int:
        (answer,) = await admin.describe_consumer_groups([group])
        ((_, _, _, _, _, members, *_),) = answer.groups
        return len(members)

    return _asked(topics, seconds, ask)


@asynccontextmanager
async def _started(kind: Callable[..., Any], topics: Topics, seconds: float = 80.0) -> AsyncIterator[Any]:
    """
    Start a client of aiokafka for as long as the block lasts.

    It gives up a request after half of `seconds`: a client that is given up itself leaves its connection open.
    """
    client = kind(
        bootstrap_servers=topics.servers, client_id="stadspuls-topics", request_timeout_ms=int(seconds * 500),
        **topics.access.arguments(),
    )  # fmt: skip
    try:
        await client.start()
        yield client
    finally:
        await (client.stop() if isinstance(client, AIOKafkaConsumer) else client.close())


_T = TypeVar("_T")


def _asked(topics: Topics, seconds: float, question: Callable[[Any], Awaitable[_T]]) -> _T:
    async def asked() -> _T:
        async with asyncio.timeout(seconds), _started(AIOKafkaAdminClient, topics, seconds) as admin:
            return await question(admin)

    try:
        return asyncio.run(asked())
    except (KafkaError, OSError, TimeoutError) as error:
        raise NoAnswer(why(error)) from error
