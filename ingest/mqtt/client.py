"""
Paho's clients as the hub makes them: of an address, with a socket that buffers.

`ingest.mqtt.connection` keeps one connected; `refusal` connects once, for `stadspuls doctor` and to end a session, and
so does `clear_retained`, which `hub.run.embedded` and `hub.run.collect` call once a minute.
"""

import math
import secrets
import select
import socket
import time
from typing import Any, TypeVar, cast

import structlog
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from ingest.mqtt.address import Address
from ingest.mqtt.socket import BufferedSocket
from ingest.vocabulary.sources import is_news, subscriptions

LOOK_EVERY = 60.0  # s between two looks at retained messages
_QUIET = 1.0  # s without a retained message, after which the broker has sent all
_LOOK = 30.0  # s at most for looking through them
_Kind = TypeVar("_Kind", bound=Client)

log = structlog.get_logger(__name__)


class BufferedClient(Client):
    """A client that does not touch the network by itself."""

    def _create_socket(self) -> BufferedSocket:
        # The one private name of paho in this hub: there is no public way to give it a socket.
        return BufferedSocket(cast(socket.socket, super()._create_socket()))


def make_client(kind: type[_Kind], address: Address, client_id: str, **options: Any) -> _Kind:
    """Make a client of an address, which reconnects only when it is made to."""
    client = kind(
        CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion(address.version),
        reconnect_on_failure=False, **options,
    )  # fmt: skip
    if address.user is not None:
        client.username_pw_set(address.user, address.password)
    if address.tls:
        client.tls_set_context(address.context())
    return client


def refusal(address: Address, seconds: float, client_id: str | None = None) -> str | None:
    """Connect once with a clean session, and leave; give why the broker does not let us in, None where it does."""
    answers: list[ReasonCode] = []
    until = time.monotonic() + seconds
    try:
        client = make_client(Client, address, client_id or f"stadspuls-look-{secrets.token_hex(6)}")
        client.connect_timeout = seconds
        client.on_connect = lambda _c, _u, _flags, why, _p: answers.append(why)
        client.connect(address.host, address.port)
        while not answers and time.monotonic() < until and _turn(client):
            pass
        client.disconnect()
    except (OSError, ValueError) as error:
        return str(error) or type(error).__name__
    if answers:
        return str(answers[0]) if answers[0].is_failure else None
    return f"no answer to CONNECT within {seconds:.0f} s" if time.monotonic() >= until else "closed on CONNECT"


def _turn(client: Client) -> bool:
    """Let a client read and write, and tell whether it is connected; paho's own turn takes no file above 1,023."""
    if (sock := client.socket()) is None:
        return False
    poll = select.poll()
    poll.register(cast(socket.socket, sock), select.POLLIN | select.POLLOUT * client.want_write())
    for _, found in poll.poll(100):
        if found & select.POLLOUT:
            client.loop_write()
        if found & ~select.POLLOUT:
            client.loop_read()
    return client.socket() is not None


class _Look:
    """A look at what a broker retains, which deletes what is beyond `most` bytes."""

    def __init__(self, client: Client, most: int) -> None:
        self.deleted = 0
        self.last = math.inf  # when the last one came; a busy broker may take long to let us in
        self._size, self._most = 0, most
        client.on_message, client.on_connect = self._message, self._subscribe

    def _subscribe(self, client: Client, *_: Any) -> None:
        self.last = time.monotonic()
        for name in subscriptions():
            client.subscribe(name)

    def _message(self, client: Client, _user: object, message: MQTTMessage) -> None:
        if message.retain and not is_news(message.topic):
            self.last = time.monotonic()
            self._size += len(message.topic) + len(message.payload)
            if self._size > self._most:
                client.publish(message.topic, b"", retain=True)
                self.deleted += 1


def clear_retained(address: Address, most: int) -> int:
    """
    Delete the retained messages beyond `most` bytes in all, and give how many; not for the built-in broker.

    A broker keeps the last one of each topic for ever, and none limits them (docs/traps.md). The hub's own stay, and do
    not count. A deletion is an empty message, of which the collector makes a dead letter like of any other. Raises
    OSError where the broker is away.
    """
    began = time.monotonic()
    client = make_client(Client, address, f"stadspuls-look-{secrets.token_hex(6)}")
    look = _Look(client, most)
    client.connect(address.host, address.port)
    try:
        while _turn(client) and (now := time.monotonic()) < began + _LOOK:
            if now > look.last + _QUIET and not client.want_write():
                break
    finally:
        client.disconnect()
    if look.deleted:
        log.warning("retained messages beyond retained_bytes deleted", messages=look.deleted, bytes=most)
    return look.deleted
