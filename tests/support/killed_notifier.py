"""
A notifier that is killed with kill -9 at a named step.

Run by `tests.streams.notify.test_delivery`; with a step that never comes it delivers everything and ends.
"""

import os
import signal
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from aggregates.store.store import Store, Transaction
from streams.notify.apprise_door import AppriseDoor
from streams.notify.channels import Channel, Channels
from streams.notify.delivery import ChannelDelivery
from streams.notify.notifier import Notifier
from streams.notify.texts import Notification, Style
from tests.support.alerting import NOON

COUNT = 3  # the message that it is killed at


def deliver(database: str, url: str, step: str) -> None:
    """Deliver, and die where told."""
    killer = Killer(step)
    store = killer.watching(Store(database))
    channel = Channel(url=url, group=0)
    delivery = ChannelDelivery(
        "hook", channel, Watched(AppriseDoor(url), killer).send, Style("en", ZoneInfo("UTC"), None)
    )
    Notifier(Channels(channels={"hook": channel}), {"hook": delivery}).direct(store, NOON)
    while delivery.turn(store, NOON + timedelta(hours=2)):
        pass


class Killer:
    """Kills this process the third time that its step comes."""

    def __init__(self, step: str) -> None:
        self._step, self._seen = step, 0

    def at(self, step: str) -> None:
        """Say that a step has come."""
        self._seen += step == self._step
        if self._seen == COUNT:
            os.kill(os.getpid(), signal.SIGKILL)

    def watching(self, store: Store) -> Store:
        """Let the statements of delivery say when they come."""
        rows, inside = store.rows, Transaction.rows

        def outer(statement: str, **parameters: object) -> list[tuple[Any, ...]]:
            if statement == "outbox_delivered":
                self.at("before it is noted")
            found = rows(statement, **parameters)
            if statement == "outbox_delivered":
                self.at("after it is noted")
            return found

        def inner(transaction: Transaction, statement: str, **parameters: object) -> list[tuple[Any, ...]]:
            found = inside(transaction, statement, **parameters)
            if statement == "outbox_begin":
                self.at("before the message is begun")  # written, not committed
            return found

        store.rows = outer  # type: ignore[method-assign]
        Transaction.rows = inner  # type: ignore[method-assign, assignment]
        return store


class Watched:
    """A door that says when something goes through."""

    def __init__(self, door: AppriseDoor, killer: Killer) -> None:
        self._door, self._killer = door, killer

    def send(self, message: Notification) -> None:
        """Send a message, and report before and after."""
        self._killer.at("before it is sent")
        self._door.send(message)
        self._killer.at("after it was sent")
