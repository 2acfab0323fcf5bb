"""
Paho's clients as the hub makes them: of an address, with a socket that buffers.

`ingest.mqtt.connection` keeps one connected; `refusal` connects once, for `stadspuls doctor` and to end a session, and
so do `retained`, for `formats discover`, and `clear_retained`, which `hub.run.distributed` calls once a minute.
"""

import math
import secrets
import select
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any, cast

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

log = structlog.get_logger(__name__)


class HubClient(Client):
    """A client of an address, which reconnects only when it is made to."""

    def __init__(self, address: Address, client_id: str | None = None, **options: Any) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2, client_id or f"stadspuls-look-{secrets.token_hex(6)}",
            protocol=MQTTProtocolVersion(address.version), reconnect_on_failure=False, **options,
        )  # fmt: skip
        if address.user is not None:
            self.username_pw_set(address.user, address.password)
        if address.tls:
            self.tls_set_context(address.context())

    def turn(self) -> bool:
        """Read and write, and tell whether it is connected; paho's own turn takes no file above 1,023."""
        if (sock := self.socket()) is None:
            return False
        poll = select.poll()
        poll.register(cast(socket.socket, sock), select.POLLIN | select.POLLOUT * self.want_write())
        for _, found in poll.poll(100):
            if found & select.POLLOUT:
                self.loop_write()
            if found & ~select.POLLOUT:
                self.loop_read()
        return self.socket() is not None


class BufferedClient(HubClient):
    """A client that does not touch the network by itself."""

    def _create_socket(self) -> BufferedSocket:
        # The one private name of paho in this hub: there is no public way to give it a socket.
        return BufferedSocket(cast(socket.socket, super()._create_socket()))


def refusal(address: Address, seconds: float, client_id: str | None = None) -> str | None:
    """Connect once with a clean session, and leave; give why the broker does not let us in, None where it does."""
    answers: list[ReasonCode] = []
    until = time.monotonic() + seconds
    try:
        client = HubClient(address, client_id)
        client.connect_timeout = seconds
        client.on_connect = lambda _c, _u, _flags, why, _p: answers.append(why)
        client.connect(address.host, address.port)
        while not answers and time.monotonic() < until and client.turn():
            pass
        client.disconnect()
    except (OSError, ValueError) as error:
        return str(error) or type(error).__name__
    if answers:
        return str(answers[0]) if answers[0].is_failure else None
    return f"no answer to CONNECT within {seconds:.0f} s" if time.monotonic() >= until else "closed on CONNECT"


class _Look(HubClient):
    """A look at what a broker retains on topics."""

    def __init__(self, address: Address, filters: Sequence[str]) -> None:
        super().__init__(address)
        self._address, self._filters = address, filters
        self._came: list[MQTTMessage] = []
        self._last = math.inf  # when the last one came; a busy broker may take long to let us in
        self.on_message, self.on_connect = self._seen, self._let_in

    def _let_in(self, *_: Any) -> None:
        self._last = time.monotonic()
        self.subscribe([(name, 0) for name in self._filters])

    def _seen(self, _client: Client, _user: object, message: MQTTMessage) -> None:
        if message.retain:
            self._last = time.monotonic()
            self._came.append(message)

    def messages(self) -> Iterator[MQTTMessage]:
        """Give each message; raises OSError where the broker is away."""
        end = time.monotonic() + _LOOK
        self.connect(self._address.host, self._address.port)
        try:
            while self.turn() and (now := time.monotonic()) < end and (now < self._last + _QUIET or self.want_write()):
                yield from self._came
                self._came.clear()
        finally:
            self.disconnect()


def retained(address: Address, name: str) -> dict[str, bytes]:
    """Give what a broker retains, by topic, for a filter; raises OSError where it is away or does not let us in."""
    if why := refusal(address, _LOOK):
        raise ConnectionError(f"broker {address}: {why}")
    return {one.topic: bytes(one.payload) for one in _Look(address, [name]).messages()}


def clear_retained(address: Address, most: int) -> int:
    """
    Delete the retained messages beyond `most` bytes in all, and give how many; not for the built-in broker.

    A broker keeps the last one of each topic for ever, and none limits them (docs/traps.md). The hub's own stay, and do
    not count. A deletion is an empty message, of which the collector makes a dead letter like of any other. Raises
    OSError where the broker is away.
    """
    look, left, deleted = _Look(address, subscriptions()), most, 0
    for message in look.messages():
        if not is_news(message.topic):
            left -= len(message.topic) + len(message.payload)
            if left < 0:
                look.publish(message.topic, b"", retain=True)
                deleted += 1
    if deleted:
        log.warning("retained messages beyond retained_bytes deleted", messages=deleted, bytes=most)
    return deleted
