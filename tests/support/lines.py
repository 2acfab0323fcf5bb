"""One line from a publisher through a real broker to a receiver, for the tests of the MQTT door."""

import threading
import time
from collections.abc import Callable

from ingest.mqtt.receiver import Receiver
from ingest.mqtt.sender import Sender
from ingest.vocabulary.readings import Message
from tests.support.brokers import Broker

FILTER = "stadspuls/#"


class Taker:
    """Takes deliveries from a receiver in a thread of its own, acknowledging them if told to."""

    def __init__(self, receiver: Receiver, acknowledge: bool = True) -> None:
        self.taken: list[Message] = []
        self.receiver = receiver
        self._acknowledge = acknowledge
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        receiver.start()
        assert receiver.ready.wait(30)

    def _run(self) -> None:
        for deliveries in self.receiver.rounds():
            self.taken += deliveries
            if self._acknowledge:
                self.receiver.acknowledge([delivery.token for delivery in deliveries])

    def payloads(self) -> list[bytes]:
        return [delivery.payload for delivery in list(self.taken)]

    def stop(self, seconds: float = 60) -> bool:
        stopped = self.receiver.stop(seconds)
        self._thread.join(60)
        return stopped


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something to become true, and fail when it never does."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def receiver(broker: Broker, options: str = "", in_flight_messages: int = 50_000) -> Receiver:
    """Make a receiver as the tests want it: the same client id each time."""
    return Receiver(broker.address(options), [FILTER], "test", in_flight_messages=in_flight_messages)


def send(broker: Broker, first: int, last: int, options: str = "") -> None:
    """Publish the numbers from `first` to before `last`, and return when the broker has them."""
    with Sender(broker.address(options)) as sender:
        for number in range(first, last):
            sender.publish(f"stadspuls/stadspuls/{number % 7}", b"%d" % number)
        sender.flush(60)


def numbers(first: int, last: int) -> list[bytes]:
    """Give the payloads that `send` publishes."""
    return [b"%d" % number for number in range(first, last)]
