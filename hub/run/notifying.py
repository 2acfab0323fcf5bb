"""
A notifier from the settings: the file of channels read, every door opened, one delivery and one thread for each.

`hub.run.embedded` and `hub.run.distributed` run it, `hub.cli.operate` sends a test through one door. Apprise is loaded
where there is a channel.
"""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from msgspec import structs

from aggregates.store.store import Store
from hub.run.parts import Turns
from hub.settings.settings import Settings
from ingest.vocabulary.values import BadFile, raised_as
from streams.notify.channels import FILE, Channels, read_channels
from streams.notify.delivery import ChannelDelivery
from streams.notify.notifier import Notifier
from streams.notify.texts import Style, sample_notification

if TYPE_CHECKING:
    from streams.notify.apprise_door import AppriseDoor

OUTBOX = "stadspuls_outbox"  # what the database notifies on when rows are written to it
EVERY = 0.25  # s between two reads of the outbox while there may be something to send
AWAKE = 5.0  # s after a notice in which there may be: what is not critical waits for others, and is tried again
SELDOM = 5.0  # s otherwise: rows that come due, and a notice that did not arrive
_SLICE = 0.5  # s after which one that listens looks whether it is to end


class OutboxTurns(Turns):
    """Turns at the outbox: often for a while after the database tells that it has new rows, else seldom."""

    def __init__(self, name: str, turn: Callable[[Store], object], store: Store) -> None:
        super().__init__(name, EVERY, partial(turn, store), store.close)
        self._store, self._awake_until = store, 0.0

    def wait(self, seconds: float) -> bool:
        """Wait for the next turn, longer each time while something fails; True when it is to end."""
        if self.trouble and super().wait(seconds):
            return True
        if time.monotonic() < self._awake_until:
            return self.stopping.wait(seconds)
        self.step("listening to the database", self._listen)
        return self.stopping.is_set()

    def _listen(self) -> None:
        until = time.monotonic() + SELDOM
        while not self.stopping.is_set() and time.monotonic() < until:
            if self._store.heard(OUTBOX, _SLICE):
                self._awake_until = time.monotonic() + AWAKE
                return


class NotifierPart(Notifier):
    """A notifier that takes each of its turns in a thread of its own, between `start` and `stop`."""

    def __init__(self, database: str, channels: Channels, deliveries: Mapping[str, ChannelDelivery]) -> None:
        super().__init__(channels, deliveries)
        self._lines = [OutboxTurns(*one, Store(database, application="stadspuls notify")) for one in self.turns_of()]

    def start(self) -> None:
        """Begin."""
        for line in self._lines:
            line.start()

    def stop(self, seconds: float) -> None:
        """End after the notification that is being sent; wait at most so long for it."""
        deadline = time.monotonic() + seconds
        for line in self._lines:
            line.stopping.set()
        for line in self._lines:
            line.stop(max(0.1, deadline - time.monotonic()))

    @property
    def bugs(self) -> int:
        """How many turns met a bug."""
        return sum(line.bugs for line in self._lines)

    @property
    def trouble(self) -> list[str]:
        """Say what keeps its threads from their work."""
        return [text for line in self._lines for text in line.trouble]

    @property
    def healthy(self) -> bool:
        """Tell whether alerts are sent."""
        return super().healthy and not self.trouble


def open_channels(settings: Settings) -> "tuple[Channels, dict[str, AppriseDoor]]":
    """
    Read the file of channels, the one named or the data directory's own, and open the door of each; none without one.

    Raises BadFile for one that cannot work.
    """
    path = settings.alert_channels or settings.data_dir / FILE
    if not (settings.alert_channels or path.exists()):
        return Channels(), {}
    from streams.notify.apprise_door import AppriseDoor

    channels, doors = read_channels(path), dict[str, AppriseDoor]()
    channels = structs.replace(channels, link=channels.link or settings.http_url or None)
    for name, channel in channels.channels.items():
        with raised_as(BadFile, ValueError, at=f"{path}: channel.{name}.url"):
            doors[name] = AppriseDoor(channel.url)
    return channels, doors


def notifier_of(settings: Settings, database: str, link: str | None = None) -> NotifierPart:
    """
    Make the notifier of the file of channels, of none where there is no file; `link` is where messages point to.

    Raises BadFile; nothing is connected to before it starts.
    """
    channels, opened = open_channels(settings)
    zone = ZoneInfo(settings.timezone)
    deliveries = {
        name: ChannelDelivery(name, one, opened[name].send, Style(one.language, zone, channels.link or link))
        for name, one in channels.channels.items()
    }
    return NotifierPart(database, channels, deliveries)


def send_test(settings: Settings, name: str, now: datetime) -> str:
    """
    Send a test through a channel and give its URL without secrets.

    Raises BadFile where there is no such channel, `streams.notify.delivery.Unsent` where it is not taken.
    """
    channels, opened = open_channels(settings)
    if name not in opened:
        path = settings.alert_channels or settings.data_dir / FILE
        raise BadFile(f"{path}: no channel {name!r}, expected one of {', '.join(opened) or 'none'}")
    opened[name].send(sample_notification(now, ZoneInfo(settings.timezone), channels.link))
    return opened[name].shown
