"""
A connection that keeps itself up, in a thread of its own; with `ingest.mqtt.client` the only module that knows paho.

`ingest.mqtt.receiver` and `ingest.mqtt.sender` are its two kinds. Paho connects, subscribes, publishes and keeps what
is not confirmed. Three things are done beside it, straight on the wire: messages are cut out of the stream and
acknowledged (paho takes five times as long), pings are sent, and a silent peer is noticed (paho's own watch would drop
a connection that is deliberately not read).
"""

import select
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

import structlog
from paho.mqtt.client import ConnectFlags
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from ingest.mqtt.address import Address
from ingest.mqtt.client import BufferedClient
from ingest.mqtt.socket import BufferedSocket, Published
from ingest.vocabulary.backoff import pause

KEEPALIVE = 30
PATIENCE = 10.0  # s for a CONNACK and the SUBACK after it
FOREVER = 0xFFFFFFFF  # MQTT 5: the session never expires
LONGEST_WAIT = 15.0  # s between two attempts to connect
LONGEST_ABSENCE = 0.5  # s for one that subscribes: what a broker that came back takes before is lost (docs/traps.md)
_LONGEST = 1.0  # s without a look at what is due
_ENDS_WITHIN = 15.0  # s; a look-up of a name may take longer, and is left behind
_LOGGED = 10  # failures that are logged one by one; of those that follow one in so many
_PINGREQ = b"\xc0\x00"
_log = structlog.get_logger("ingest.mqtt.connection")


class Connection(threading.Thread):
    """
    One client id at one broker: comes up by itself, and again after every failure.

    With `filters` it subscribes, and its session is persistent. A kind of connection overrides what it does on events;
    everything happens in this thread, which ends by itself only for a bug: then `failed` is set.
    """

    def __init__(self, name: str, address: Address, client_id: str, filters: Sequence[str] = ()) -> None:
        super().__init__(name=name, daemon=True)
        self.address = address
        self.client_id = client_id
        self.failed: BaseException | None = None
        self.ready = threading.Event()  # set once it was up
        self.reconnects = 0  # how often it came up again
        self.is_up = False
        self.resumed = False  # the broker still had our session
        self.greeted = False  # the broker answered CONNECT: until then it is read even when nothing else may be
        self.owes = False  # the broker may be silent because it waits for us
        self.ending = False  # the broker or we will end it: no failure
        self.rests_until = 0.0  # nothing is read before this time of the monotonic clock
        self._taken_by_broker = 0  # messages that it takes in flight from us
        self._filters = filters
        self._failures = 0
        self._due = 0.0  # when to connect
        self._over = False
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_out.setblocking(False)
        clean = None if address.version == 5 else not filters
        client = self._client = BufferedClient(address, client_id, clean_session=clean)
        client.max_inflight_messages_set(0)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_subscribe = self._on_subscribe

    # What a kind of connection does on events: by default nothing.

    def turn(self) -> None:
        """Do what is due, in each round."""

    def room(self) -> int:
        """Give how many messages may come in now."""
        return 1

    def down(self) -> None:
        """The connection is gone; everything in flight on it is void."""

    def messages(self, received: Sequence[Published]) -> None:
        """Messages came in."""

    def ended(self) -> None:
        """It is over, or ended for a bug: nobody needs to wait any more."""

    # Called from other threads.

    def wake(self) -> None:
        """Take a turn soon."""
        with suppress(OSError):  # full: it will wake; closed: it has ended
            self._wake_out.send(b"x")

    def close(self) -> None:
        """End the thread and disconnect; a persistent session stays."""
        self._over = True
        self.ended()
        self.wake()
        if self.ident is None:
            self._disconnect()
        else:
            self.join(_ENDS_WITHIN)

    # In the thread.

    def run(self) -> None:
        """Let the connection come up by itself, and again, until the end."""
        try:
            while not self._over:
                self._round()
        except BaseException as error:
            _log.critical("the MQTT thread ends", exc_info=True)
            self.failed, self._over = error, True
            self.ended()
        finally:
            self._disconnect()

    def _disconnect(self) -> None:
        if self.socket is not None:
            self.ending = True
            self._client.disconnect()
        self._wake_in.close()
        self._wake_out.close()

    @property
    def socket(self) -> BufferedSocket | None:
        """The open socket, if there is one."""
        return cast("BufferedSocket | None", self._client.socket())

    def _round(self) -> None:
        if (sock := self.socket) is not None:
            self._handle_packets(sock)
        self.turn()
        if (sock := self.socket) is None:
            wait = self._due - time.monotonic()
            if wait <= 0 and self.room() > 0:
                self._connect()
            else:
                self._wait(wait if wait > 0 else _LONGEST)
            return
        rest = max(0.0, self.rests_until - time.monotonic())
        is_read = not rest and (self.room() > 0 or not self.greeted)
        self._keep_alive(sock, is_read)
        while self._client.want_write() and self.socket is not None:
            self._client.loop_write()
        sock.flush()
        is_due = sock.finished() or (is_read and sock.ready())
        if not is_due and self._wait(rest or _LONGEST, sock, is_read):
            sock.fill()

    def _connect(self) -> None:
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

    def _handle_packets(self, sock: BufferedSocket) -> None:
        """Handle the complete packets in the buffer, as far as there is room for messages."""
        try:
            while self.socket is not None and sock.ready():
                room = self.room()
                if room <= 0 and self.greeted and not sock.finished():
                    break
                if received := sock.messages(max(room, 1), self.address.version == 5):
                    self.messages(received)
                elif sock.frame() or sock.finished():
                    self._client.loop_read()
        except Exception:
            _log.exception("packet not understood, connecting again", broker=str(self.address))
            sock.abort()

    def _keep_alive(self, sock: BufferedSocket, is_read: bool) -> None:
        """Ping a quiet broker; give up on one that is silent although it is read."""
        now, every = time.monotonic(), self._client.keepalive or KEEPALIVE
        if self.greeted and now - sock.written_at > every / 2:
            sock.send(_PINGREQ)
        if not is_read or self.owes:
            sock.read_at = now  # silence proves nothing
        elif now - sock.read_at > (1.5 * every if self.is_up else PATIENCE):
            _log.warning("the broker is silent, connecting again", broker=str(self.address))
            sock.abort()

    def _wait(self, seconds: float, sock: BufferedSocket | None = None, is_read: bool = False) -> bool:
        """Wait for the network, or to be woken; tell whether there is something to read."""
        poll = select.poll()
        poll.register(self._wake_in, select.POLLIN)
        if sock is not None and (wanted := select.POLLIN * is_read | select.POLLOUT * bool(sock.unsent)):
            poll.register(sock, wanted)
        found = dict(poll.poll(seconds * 1000))
        if self._wake_in.fileno() in found:
            self._wake_in.recv(4096)
        return sock is not None and found.get(sock.fileno(), 0) & ~select.POLLOUT > 0

    # Called by paho.

    def _on_connect(self, _c: object, _u: object, flags: ConnectFlags, why: ReasonCode, about: object) -> None:
        if why.is_failure:
            _log.error("the broker refuses the connection", broker=str(self.address), reason=str(why))
            return
        if self._filters and self.ready.is_set() and not flags.session_present:
            _log.warning("the broker forgot the session, and what it kept for it", broker=str(self.address))
        self.greeted, self.resumed = True, flags.session_present
        self._taken_by_broker = getattr(about, "ReceiveMaximum", 65_535)
        if self._filters:
            at_least_once: Any = SubscribeOptions(qos=1) if self.address.version == 5 else 1
            self._client.subscribe([(name, at_least_once) for name in self._filters])
        else:
            self._is_up()

    def _on_subscribe(self, _c: object, _u: object, _m: int, whys: list[ReasonCode], _p: object) -> None:
        refused = [name for name, why in zip(self._filters, whys, strict=False) if why.is_failure]
        if refused and self.socket is not None:
            _log.error("the broker refuses a subscription", broker=str(self.address), filters=refused)
            self.socket.abort()
        else:
            self._is_up()

    def _is_up(self) -> None:
        self.reconnects += self.ready.is_set()
        self._failures = 0
        self.is_up = True
        _log.info("connected", broker=str(self.address), client_id=self.client_id)
        self.ready.set()

    def _on_disconnect(self, _c: object, _u: object, _f: object, why: ReasonCode, _p: object) -> None:
        self.is_up = False
        self.down()
        self._retry(str(why))

    def _retry(self, reason: str) -> None:
        self._failures += 1
        wait = pause(self._failures, 0.1, LONGEST_ABSENCE if self._filters else LONGEST_WAIT)
        self._due = time.monotonic() + wait
        if not self.ending and (self._failures <= _LOGGED or self._failures % _LOGGED == 1):
            _log.warning("not connected", broker=str(self.address), reason=reason, again_in=round(wait, 1))
