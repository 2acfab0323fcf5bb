"""
Connections that keep themselves up, driven by one thread; with `ingest.mqtt.client` the only module that knows paho.

`ingest.mqtt.receiver` and `ingest.mqtt.sender` are its two users. Paho connects, subscribes, publishes and keeps what
is not confirmed. Three things are done beside it, straight on the wire: messages at QoS 1 are cut out of the stream and
acknowledged (paho takes five times as long), pings are sent, and a silent peer is noticed (paho's own watch would drop
a connection that is deliberately not read).
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from ingest.mqtt.address import Address
from ingest.mqtt.client import make_client
from ingest.mqtt.socket import BufferedSocket
from ingest.vocabulary.backoff import pause

KEEPALIVE = 30
PATIENCE = 10.0  # s for a CONNACK and the SUBACK after it
FOREVER = 0xFFFFFFFF  # MQTT 5: the session never expires
LONGEST_WAIT = 15.0  # s between two attempts to connect
LONGEST_ABSENCE = 0.5  # s for one that subscribes: what a broker that came back takes before is lost (docs/traps.md)
_LOGGED = 10  # failures that are logged one by one; of those that follow one in so many
_PINGREQ = b"\xc0\x00"
_log = structlog.get_logger("ingest.mqtt.connection")


class Owner:
    """What a user of connections does on their events, in the thread of the loop; by default nothing."""

    def up(self, connection: "Connection") -> None:
        """The broker let `connection` in, and its subscriptions, if any, are granted."""

    def down(self, connection: "Connection") -> None:
        """The connection is gone; everything in flight on it is void."""

    def messages(self, connection: "Connection", received: Sequence[tuple[bytes, bytes, int]]) -> None:
        """Messages came in: topic, payload, and the packet id to acknowledge, 0 for QoS 0."""

    def published(self, connection: "Connection", mid: int, refused: bool) -> None:
        """The broker answered for one published message."""


class Connection:
    """One client id at one broker: comes up by itself, and again after every failure."""

    def __init__(
        self,
        address: Address,
        client_id: str,
        owner: Owner,
        filters: Sequence[str] = (),
        persistent: bool = False,
        receive_maximum: int = 65_535,
    ) -> None:
        self.client_id = client_id
        self.connects = 0
        self.receive_maximum = 65_535  # what the broker takes in flight from us
        self.is_up = False
        self.unsubscribed = 0  # id of the last packet that ended subscriptions and that the broker has answered
        self.address = address
        self._owner = owner
        self._filters = filters
        self._persistent = persistent
        self._own_maximum = receive_maximum
        self._failures = 0
        self._due = 0.0
        self._thread: threading.Thread | None = None
        self._read_at = self._written_at = 0.0
        self.greeted = False  # the broker answered CONNECT: until then it is read even when nothing else may be
        self._leaving = False
        client = self._client = make_client(address, client_id, persistent)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_subscribe, client.on_unsubscribe = self._on_subscribe, self._on_unsubscribe
        client.on_publish, client.on_message = self._on_publish, self._on_message

    # Called by the loop.

    @property
    def socket(self) -> BufferedSocket | None:
        """The open socket, or None while there is none or it is still being made."""
        return None if self._thread is not None else cast("BufferedSocket | None", self._client.socket())

    def wait(self, now: float) -> float:
        """Seconds until something must be done without the network asking for it."""
        return 1.0 if self.socket is not None or self._thread is not None else min(1.0, max(0.001, self._due - now))

    def connect_when_due(self, now: float, done: Callable[[], None]) -> None:
        """Begin to connect, in a thread because name look-up and TLS block; `done` is called when it is over."""
        if self._thread is None and self._client.socket() is None and now >= self._due:
            self.greeted = False
            self._thread = threading.Thread(target=self._connect, args=(done,), name="mqtt-connect", daemon=True)
            self._thread.start()

    def _connect(self, done: Callable[[], None]) -> None:
        five: dict[str, Any] = {}
        if self.address.version == 5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.ReceiveMaximum = self._own_maximum
            properties.SessionExpiryInterval = FOREVER if self._persistent else 0
            five = {"clean_start": not self._persistent, "properties": properties}
        try:
            self._client.connect(self.address.host, self.address.port, KEEPALIVE, **five)
        except Exception as error:
            self._retry(f"{type(error).__name__}: {error}")
        self._read_at = self._written_at = time.monotonic()
        self._thread = None
        done()

    def join(self, seconds: float) -> None:
        """Wait for an attempt to connect that is still under way."""
        if (thread := self._thread) is not None:
            thread.join(seconds)

    def read(self, sock: BufferedSocket) -> None:
        """Take what the network has into the buffer."""
        sock.fill()
        self._read_at = time.monotonic()

    def handle(self, sock: BufferedSocket, most: int) -> None:
        """Handle what is complete in the buffer, at most `most` messages of it."""
        try:
            if received := sock.messages(most, self.address.version == 5):
                self._owner.messages(self, received)
            elif sock.frame() or sock.finished():
                self._client.loop_read()
        except Exception:
            _log.exception("packet not understood, connecting again", broker=str(self.address))
            sock.abort()

    def write(self) -> None:
        """Send all that waits."""
        while self._client.want_write() and self._client.socket() is not None:
            self._client.loop_write()
        if (sock := self.socket) is not None and sock.unsent():
            sock.flush()
            self._written_at = time.monotonic()

    def keep_alive(self, sock: BufferedSocket, now: float, reading: bool) -> None:
        """Ping a quiet broker; give up on one that is silent although it is read."""
        every = self._client.keepalive or KEEPALIVE
        if self.greeted and now - self._written_at > every / 2:
            self.send(_PINGREQ)
        if self.greeted and not reading:
            self._read_at = now  # nothing is read: silence proves nothing
        elif now - self._read_at > (1.5 * every if self.is_up else PATIENCE):
            _log.warning("the broker is silent, connecting again", broker=str(self.address))
            sock.abort()

    # Called by the owner.

    def send(self, packet: bytes) -> None:
        """Put a ready-made packet on the wire, in order with those of paho."""
        if (sock := self.socket) is not None:
            sock.send(packet)

    def publish(self, topic: str, payload: bytes) -> int:
        """Publish at QoS 1 and give the packet's id; paho keeps the message until the broker has it."""
        return self._client.publish(topic, payload, qos=1).mid

    def unsubscribe(self, filters: Sequence[str]) -> int:
        """End subscriptions and give the packet's id, which is `unsubscribed` when the broker has answered."""
        return self._client.unsubscribe(list(filters))[1] or 0

    def disconnect(self) -> None:
        """Disconnect; a persistent session stays."""
        if self.socket is not None:
            self._leaving = True
            self._client.disconnect()

    # Called by paho.

    def _on_connect(
        self, _c: Client, _u: object, flags: ConnectFlags, why: ReasonCode, properties: Properties | None
    ) -> None:
        if why.is_failure:
            _log.error("the broker refuses the connection", broker=str(self.address), reason=str(why))
            return
        if self._persistent and self.connects and not flags.session_present:
            _log.warning("the broker forgot the session, and what it kept for it", broker=str(self.address))
        self.greeted = True
        self.receive_maximum = getattr(properties, "ReceiveMaximum", 65_535)
        if not self._filters:
            self._is_up()
        elif self.address.version == 5:
            self._client.subscribe([(name, SubscribeOptions(qos=1)) for name in self._filters])
        else:
            self._client.subscribe([(name, 1) for name in self._filters])

    def _on_subscribe(self, client: Client, _u: object, _m: int, whys: list[ReasonCode], _p: Properties | None) -> None:
        refused = [name for name, why in zip(self._filters, whys, strict=False) if why.is_failure]
        if refused:
            _log.error("the broker refuses a subscription", broker=str(self.address), filters=refused)
            cast(BufferedSocket, client.socket()).abort()
        else:
            self._is_up()

    def _on_unsubscribe(self, _c: Client, _u: object, mid: int, _whys: list[ReasonCode], _p: Properties | None) -> None:
        self.unsubscribed = mid

    def _is_up(self) -> None:
        self.connects += 1
        self.unsubscribed = 0
        self._failures = 0
        self.is_up = True
        _log.info("connected", broker=str(self.address), client_id=self.client_id)
        self._owner.up(self)

    def _on_disconnect(
        self, _c: Client, _u: object, _f: DisconnectFlags, why: ReasonCode, _p: Properties | None
    ) -> None:
        self.is_up = False
        self._owner.down(self)
        if not self._leaving:
            self._retry(str(why))

    def _retry(self, reason: str) -> None:
        self._failures += 1
        wait = pause(self._failures, 0.1, LONGEST_ABSENCE if self._filters else LONGEST_WAIT)
        self._due = time.monotonic() + wait
        if self._failures <= _LOGGED or self._failures % _LOGGED == 1:
            _log.warning("not connected", broker=str(self.address), reason=reason, again_in=round(wait, 1))

    def _on_message(self, _c: Client, _u: object, message: MQTTMessage) -> None:
        # Only what was published at QoS 0: see `ingest.mqtt.socket`.
        self._owner.messages(self, [(message.topic.encode(), bytes(message.payload), 0)])

    def _on_publish(self, _c: Client, _u: object, mid: int, why: ReasonCode, _p: Properties | None) -> None:
        self._owner.published(self, mid, why.is_failure)
