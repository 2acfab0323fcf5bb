"""
A connection that keeps itself up; with `ingest.mqtt.client` the only module that knows paho.

`ingest.mqtt.receiver` and `ingest.mqtt.sender` are its two kinds, and `ingest.mqtt.loop` drives it. Paho connects,
subscribes, publishes and keeps what is not confirmed. Three things are done beside it, straight on the wire: messages
at QoS 1 are cut out of the stream and acknowledged (paho takes five times as long), pings are sent, and a silent peer
is noticed (paho's own watch would drop a connection that is deliberately not read).
"""

import time
from collections.abc import Sequence
from typing import Any, cast

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from ingest.mqtt.address import Address
from ingest.mqtt.client import BufferedClient, make_client
from ingest.mqtt.socket import BufferedSocket, Published
from ingest.vocabulary.backoff import pause

KEEPALIVE = 30
PATIENCE = 10.0  # s for a CONNACK and the SUBACK after it
FOREVER = 0xFFFFFFFF  # MQTT 5: the session never expires
LONGEST_WAIT = 15.0  # s between two attempts to connect
LONGEST_ABSENCE = 0.5  # s for one that subscribes: what a broker that came back takes before is lost (docs/traps.md)
_LOGGED = 10  # failures that are logged one by one; of those that follow one in so many
_PINGREQ = b"\xc0\x00"
_log = structlog.get_logger("ingest.mqtt.connection")


class Connection:
    """
    One client id at one broker: comes up by itself, and again after every failure.

    With `filters` it subscribes, and its session is persistent. A kind of connection overrides what it does on events;
    everything happens in the thread of the loop.
    """

    def __init__(self, address: Address, client_id: str, filters: Sequence[str] = ()) -> None:
        self.address = address
        self.client_id = client_id
        self.connects = 0
        self.is_up = False
        self.resumed = False  # the broker still had our session
        self.greeted = False  # the broker answered CONNECT: until then it is read even when nothing else may be
        self._taken_by_broker = 0  # messages that it takes in flight from us
        self._filters = filters
        self._failures = 0
        self._due = self._read_at = self._written_at = 0.0
        self.ending = False  # the broker or we will end it: no failure
        clean = None if address.version == 5 else not filters
        client = self._client = make_client(BufferedClient, address, client_id, clean_session=clean, manual_ack=True)
        client.max_inflight_messages_set(0)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_subscribe, client.on_message = self._on_subscribe, self._on_message

    # What a kind of connection does on events: by default nothing.

    def turn(self) -> None:
        """Do what is due, in each round of the loop."""

    def room(self) -> int:
        """Give how many messages may come in now."""
        return 1

    def up(self) -> None:
        """The broker let us in, and granted the subscriptions, if there are any."""

    def down(self) -> None:
        """The connection is gone; everything in flight on it is void."""

    def messages(self, received: Sequence[Published]) -> None:
        """Messages came in."""

    def ended(self) -> None:
        """The loop ended for a bug."""

    # Called by the loop.

    @property
    def socket(self) -> BufferedSocket | None:
        """The open socket, if there is one."""
        return cast("BufferedSocket | None", self._client.socket())

    def connect_when_due(self) -> float:
        """Connect, unless the last attempt is too near: then give the seconds to wait."""
        if (wait := self._due - time.monotonic()) > 0:
            return wait
        self.greeted = False
        five: dict[str, Any] = {}
        if self.address.version == 5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = FOREVER if self._filters else 0
            five = {"clean_start": not self._filters, "properties": properties}
        try:
            self._client.connect(self.address.host, self.address.port, KEEPALIVE, **five)
        except Exception as error:
            self._retry(f"{type(error).__name__}: {error}")
        self._read_at = self._written_at = time.monotonic()
        return 0.0

    def read(self, sock: BufferedSocket) -> None:
        """Take what the network has into the buffer."""
        sock.fill()
        self._read_at = time.monotonic()

    def handle(self, sock: BufferedSocket, most: int) -> None:
        """Handle what is complete in the buffer, at most `most` messages of it."""
        try:
            if received := sock.messages(most, self.address.version == 5):
                self.messages(received)
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

    def keep_alive(self, sock: BufferedSocket, reading: bool) -> None:
        """Ping a quiet broker; give up on one that is silent although it is read."""
        now, every = time.monotonic(), self._client.keepalive or KEEPALIVE
        if self.greeted and now - self._written_at > every / 2:
            sock.send(_PINGREQ)
        if self.greeted and not reading:
            self._read_at = now  # nothing is read: silence proves nothing
        elif now - self._read_at > (1.5 * every if self.is_up else PATIENCE):
            _log.warning("the broker is silent, connecting again", broker=str(self.address))
            sock.abort()

    def disconnect(self) -> None:
        """Disconnect; a persistent session stays."""
        if self.socket is not None:
            self.ending = True
            self._client.disconnect()

    # Called by paho.

    def _on_connect(
        self, _c: Client, _u: object, flags: ConnectFlags, why: ReasonCode, properties: Properties | None
    ) -> None:
        if why.is_failure:
            _log.error("the broker refuses the connection", broker=str(self.address), reason=str(why))
            return
        if self._filters and self.connects and not flags.session_present:
            _log.warning("the broker forgot the session, and what it kept for it", broker=str(self.address))
        self.greeted, self.resumed = True, flags.session_present
        self._taken_by_broker = getattr(properties, "ReceiveMaximum", 65_535)
        if self._filters:
            at_least_once: Any = SubscribeOptions(qos=1) if self.address.version == 5 else 1
            self._client.subscribe([(name, at_least_once) for name in self._filters])
        else:
            self._is_up()

    def _on_subscribe(self, client: Client, _u: object, _m: int, whys: list[ReasonCode], _p: Properties | None) -> None:
        refused = [name for name, why in zip(self._filters, whys, strict=False) if why.is_failure]
        if refused:
            _log.error("the broker refuses a subscription", broker=str(self.address), filters=refused)
            cast(BufferedSocket, client.socket()).abort()
        else:
            self._is_up()

    def _is_up(self) -> None:
        self.connects += 1
        self._failures = 0
        self.is_up = True
        _log.info("connected", broker=str(self.address), client_id=self.client_id)
        self.up()

    def _on_disconnect(
        self, _c: Client, _u: object, _f: DisconnectFlags, why: ReasonCode, _p: Properties | None
    ) -> None:
        self.is_up = False
        self.down()
        self._retry(str(why))

    def _retry(self, reason: str) -> None:
        self._failures += 1
        wait = pause(self._failures, 0.1, LONGEST_ABSENCE if self._filters else LONGEST_WAIT)
        self._due = time.monotonic() + wait
        if not self.ending and (self._failures <= _LOGGED or self._failures % _LOGGED == 1):
            _log.warning("not connected", broker=str(self.address), reason=reason, again_in=round(wait, 1))

    def _on_message(self, _c: Client, _u: object, message: MQTTMessage) -> None:
        # Only what was published at QoS 0: see `ingest.mqtt.socket`.
        self.messages([(message.topic.encode(), bytes(message.payload), 0, message.retain)])
