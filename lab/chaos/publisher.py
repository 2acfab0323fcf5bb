"""
Publishes numbered readings at a steady pace and keeps count; what it counts must be in the database.

It has a thread of its own, and a connection that is never cut: the hub behind the broker is what is tried.
"""

import time

from hub.run.parts import Background
from ingest.mqtt.address import Address
from ingest.mqtt.sender import Sender
from lab.chaos.readings import NumberedReadings

_SLOT = 0.01  # s: messages due within one are sent together


class Publisher(Background):
    """Publishes from 0 until it is stopped; `published` counts readings, `bad` messages that cannot be read."""

    def __init__(self, address: Address, numbered: NumberedReadings, rate: float) -> None:
        super().__init__("publisher")
        self.published = self.bad = 0
        self.seconds = 0.0
        self._sender = Sender(address)
        self._numbered, self._rate = numbered, rate

    def stop(self, seconds: float) -> None:
        """End, and return when the broker has confirmed everything; raises TimeoutError when it does not in time."""
        super().stop(seconds)
        try:
            self._sender.flush(seconds)
        finally:
            self._sender.close()

    def run(self) -> None:
        """Publish at the pace."""
        began = time.monotonic()
        while not self.stopping.wait(_SLOT):
            self.seconds = time.monotonic() - began
            while self.published < self.seconds * self._rate and not self.stopping.is_set():
                self._publish(self.published)

    def _publish(self, number: int) -> None:
        self._sender.publish(*self._numbered.message(number))
        self.published += 1
        if (bad := self._numbered.bad(number)) is not None:
            self._sender.publish(*bad)
            self.bad += 1
