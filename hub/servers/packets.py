"""
What clients send to the built-in broker, made such that rumqttd can take it, and how many messages it holds for the
hub; no I/O.

`hub.servers.brokerd` reads with it. rumqttd takes no client id with `/ + # $`, no MQTT 3.1 and no keep-alive of 0; a
message with properties ends its listener, and it keeps retained messages without a limit (docs/traps.md). It tells
nobody how many it holds, and drops the oldest silently when a queue is full: so what goes in is counted here, and what
the hub acknowledges; `hub.servers.broker` reads the number.
"""

from collections import deque
from typing import NamedTuple

from ingest.mqtt.socket import number
from ingest.vocabulary.sources import is_news

LARGEST = 1 << 20  # bytes of a packet
_ESCAPES = str.maketrans({character: f"%{ord(character):02X}" for character in "%/+#$"})
_NEVER = 0xFFFF  # s of keep-alive: 18 hours
HELD = "broker.held"  # in the data directory, with the number
WINDOW = 100  # messages that rumqttd sends before it waits for an acknowledgement
AHEAD = 4_000_000  # bytes that the hub may have, beyond a window


class Refused(ValueError):  # noqa: N818 - the reaction is the name
    """A packet that the broker does not take; `answer` is what the client gets for it."""

    def __init__(self, reason: str, answer: bytes = b"") -> None:
        super().__init__(reason)
        self.answer = answer


class Connect(NamedTuple):
    """A CONNECT as rumqttd takes it, with the id that the client gave; `five` is MQTT 5."""

    client_id: str
    five: bool
    packet: bytes

    @property
    def has_will(self) -> bool:
        """Whether the broker publishes a message when the connection breaks."""
        return bool(self.packet[number(self.packet, 1)[1] + 7] & 0x04)

    def refusal(self, code: int, code_five: int) -> bytes:
        """Give the CONNACK with a code of MQTT 3.1.1, or of MQTT 5."""
        return bytes([0x20, 3, 0, code_five, 0]) if self.five else bytes([0x20, 2, 0, code])

    def accepted(self, answer: bytes) -> bytes:
        """Take the properties off a CONNACK of rumqttd: they allow for aliases of topics."""
        return b"\x20\x03" + answer[2:4] + b"\0" + answer[2 + answer[1] :] if self.five else answer


def read_connect(packet: bytes) -> Connect:
    """
    Read a CONNECT of MQTT 3.1, 3.1.1 or 5; raises Refused for another version, else ValueError or IndexError.

    >>> read_connect(bytes.fromhex("1010 0006 4d5149736470 03 02 0000 0002 612f"))
    Connect(client_id='a/', five=False, packet=b'\\x10\\x10\\x00\\x04MQTT\\x04\\x02\\xff\\xff\\x00\\x04a%2F')
    """
    name, at = _field(packet, number(packet, 1)[1])
    level, flags, alive = packet[at] & 0x7F, packet[at + 1], int.from_bytes(packet[at + 2 : at + 4])
    if (name, level) not in {(b"MQIsdp", 3), (b"MQTT", 4), (b"MQTT", 5)}:
        raise Refused(f"protocol {name!r} {level}, expected MQTT 3.1, 3.1.1 or 5", b"\x20\x02\x00\x01")
    five, begin = level == 5, at + 4
    after = sum(number(packet, begin)) if five else begin  # of the properties
    client_id, at = _field(packet, after)
    will = b""
    if flags & 0x04:
        start = sum(number(packet, at)) if five else at
        at = _field(packet, _field(packet, start)[1])[1]
        will = b"\0" * five + packet[start:at]
    head = b"\0\4MQTT" + bytes([max(level, 4), flags & ~0x20]) + (alive or _NEVER).to_bytes(2)
    taken = client_id.decode().translate(_ESCAPES).encode()
    body = head + packet[begin:after] + len(taken).to_bytes(2) + taken + will + packet[at:]
    return Connect(client_id.decode(), five, b"\x10" + _encoded(len(body)) + body)


class Stream:
    """The packets of a client behind its CONNECT, of MQTT `five` or not; on topics from `closed` it may not publish."""

    def __init__(self, five: bool, closed: bytes = b"") -> None:
        self.left = False  # whether the last one was DISCONNECT
        self.confirmed = self.acknowledgements = 0  # messages at QoS 1 or 2, and those that the client has confirmed
        self.is_hub = False  # rumqttd has its acknowledgements from `Held`
        self._five, self._closed, self._buffer = five, closed, bytearray()

    def taken(self, data: bytes) -> bytes:
        """
        Give the packets that are complete, as rumqttd takes them.

        Raises Refused for one that is too large or may not be, ValueError or IndexError for one that is wrong.
        """
        buffer, out = self._buffer, bytearray()
        buffer += data
        at = begin = 0
        suspect = bool(self._closed) and self._closed in buffer
        while end := _end_of(buffer, at):
            kind = buffer[at] >> 4
            if kind == 3:
                if suspect and buffer.startswith(self._closed, number(buffer, at + 1)[1] + 2):
                    raise Refused(f"publishes on {self._closed!r}, the hub's", b"\xe0\x01\x87" if self._five else b"")
                self.confirmed += buffer[at] & 0x06 > 0
                if self._five or buffer[at] & 1:
                    out += buffer[begin:at] + _plain(bytes(buffer[at:end]), self._five)
                    begin = end
            elif kind == 4:
                self.acknowledgements += 1
                if self.is_hub:
                    out += buffer[begin:at]
                    begin = end
            self.left = kind == 14
            at = end
        out += buffer[begin:at]
        del buffer[:at]
        return bytes(out)


def _plain(packet: bytes, five: bool) -> bytes:
    """Make a PUBLISH without properties, and without the flag to retain it but for the hub's alerts."""
    head = number(packet, 1)[1]
    topic, at = _field(packet, head)
    if not topic:
        raise Refused("topic by an alias, expected none: CONNACK allows for none")
    first = packet[0] if is_news(topic.decode()) else packet[0] & 0xFE
    at += 2 if first & 0x06 else 0
    body = packet[head:at] + (b"\0" + packet[sum(number(packet, at)) :] if five else packet[at:])
    return bytes([first]) + _encoded(len(body)) + body


class Held:
    """
    At `most` so many messages are confirmed and not acknowledged by the hub, those on other topics among them.

    rumqttd waits once it has sent `WINDOW` messages. It is told then that the hub has them, and they are kept here, in
    the same process, with packet ids of their own, and sent again when the hub comes back.

    What was dropped, or was not for the hub, is found by looking every second: while the hub acknowledges and the
    window is never full, rumqttd has sent it all that came in before the last look.

    >>> held = Held()
    >>> _ = held.connected(b"\\x20\\2\\0\\0")
    >>> held.came(150)
    >>> held.sent(b"\\x32\\x05\\0\\1x\\0\\7" * 2).hex(" ", 7)
    '32050001780001 32050001780002'
    >>> held.look(True), held.acknowledged(2), held.answers().hex(" ", 4), held.most, held.look(True)
    (150, None, '40020007 40020007', 148, 0)
    """

    def __init__(self) -> None:
        self.most = self._new = self._due = 0  # new: since the last look; due: of what was sent before it
        self._buffer = bytearray()
        self._kept: deque[bytes] = deque()  # sent to the hub and not acknowledged, in order
        self._owed: deque[bytearray] = deque()  # rumqttd's ids of the last of these, not acknowledged to it either
        self._last = 0  # id of the message that was kept last
        self._steady = False  # whether the hub was connected and the window not full since the last look

    def connected(self, answer: bytes) -> bytes:
        """Take note that the hub has come, and give what it is sent: a CONNACK, what is kept, and what follows."""
        head, resumed, self._due, self._steady = 2 + answer[1], answer[2] & 1, 0, False
        known = len(self._kept) - len(self._owed) if resumed else 0  # what is owed rumqttd sends again
        self._kept = deque(list(self._kept)[:known])
        self._owed.clear()
        self._buffer.clear()
        again = [bytes([one[0] | 0x08]) + one[1:] for one in self._kept]
        return answer[:head] + b"".join(again) + self.sent(answer[head:])

    def came(self, messages: int) -> None:
        """Count messages that rumqttd was given at QoS 1 or 2."""
        self.most += messages
        self._new += messages

    def sent(self, data: bytes) -> bytes:
        """Give the packets that are complete of what rumqttd sends to the hub, and keep the messages at QoS 1."""
        self._buffer += data
        at, buffer = 0, self._buffer
        while end := _end_of(buffer, at):
            if buffer[at] & 0xF6 == 0x32:
                id_at = _field(buffer, number(buffer, at + 1)[1])[1]
                self._owed.append(buffer[id_at : id_at + 2])
                self._last = self._last % 0xFFFF + 1
                buffer[id_at : id_at + 2] = self._last.to_bytes(2)
                self._kept.append(bytes(buffer[at:end]))
            at = end
        self._steady = self._steady and len(self._owed) < WINDOW
        out = bytes(buffer[:at])
        del buffer[:at]
        return out

    def acknowledged(self, messages: int) -> None:
        """Forget what the hub has stored, the oldest first."""
        self.most = max(0, self.most - messages)
        self._due -= messages
        for _ in range(min(messages, len(self._kept))):
            self._kept.popleft()

    def answers(self) -> bytes:
        """Give rumqttd's acknowledgements: of what the hub has stored, and of all where rumqttd waits for them."""
        waits = len(self._owed) >= WINDOW and len(self._kept) < 10_000 and sum(map(len, self._kept)) < AHEAD
        count = len(self._owed) - (0 if waits else len(self._kept))
        return b"".join([b"\x40\x02" + self._owed.popleft() for _ in range(count)])

    def look(self, connected: bool) -> int:
        """Give the number; to be called every second, with whether the hub is connected."""
        if connected and self._steady and self._due <= 0:
            self.most = min(self.most, len(self._kept) + self._new)
        self._new, self._due = 0, len(self._kept)
        self._steady = connected and len(self._owed) < WINDOW
        return self.most


def _end_of(data: bytearray, at: int) -> int:
    """Give where the packet at `at` ends, 0 while it is not complete; raises Refused where it is too large."""
    size, head = number(data, at + 1)
    if size > LARGEST:
        raise Refused(f"packet of {size} bytes, expected at most {LARGEST}", b"\xe0\x01\x95")
    return head + size if head and head + size <= len(data) else 0


def _field(data: bytes | bytearray, at: int) -> tuple[bytes, int]:
    """Read bytes behind their length, and give them with where they end."""
    end = at + 2 + (data[at] << 8 | data[at + 1])
    if end > len(data):
        raise ValueError(f"packet ends {end - len(data)} bytes too early")
    return bytes(data[at + 2 : end]), end


def _encoded(size: int) -> bytes:
    low, rest = size & 0x7F, size >> 7
    return bytes([low | 0x80]) + _encoded(rest) if rest else bytes([low])
