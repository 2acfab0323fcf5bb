"""
Publishes numbered readings at a steady pace and keeps count; what it counts is what must be in the database.

A thread of its own, with a connection that nobody cuts: what is tried is the hub behind the broker.
"""

import threading
import time

from ingest.mqtt.address import Address
from ingest.mqtt.sender import Sender
from lab.chaos.numbered import Numbered

_SLOT = 0.01  # s: messages due within one are sent together


class Publisher:
    """Publishes from 0 until it is told to stop; `published` counts readings, `bad` messages that are none."""

    def __init__(self, address: Address, numbered: Numbered, rate: float) -> None:
        self.published = self.bad = 0
        self.seconds = 0.0
        self._sender = Sender(address)
        self._numbered, self._rate = numbered, rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """End, and return when the broker has confirmed everything; raises TimeoutError when it does not in time."""
        self._stop.set()
        self._thread.join(seconds)
        try:
            self._sender.flush(seconds)
        finally:
            self._sender.close()

    def _run(self) -> None:
        began = time.monotonic()
        while not self._stop.wait(_SLOT):
            self.seconds = time.monotonic() - began
            while self.published < self.seconds * self._rate and not self._stop.is_set():
                self._publish(self.published)

    def _publish(self, number: int) -> None:
        self._sender.publish(*self._numbered.message(number))
        self.published += 1
        if (bad := self._numbered.bad(number)) is not None:
            self._sender.publish(*bad)
            self.bad += 1
