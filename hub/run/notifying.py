"""
A notifier from the settings: the file of channels read, every door opened, one delivery and one thread for each.

`hub.run.embedded` and `hub.run.distributed` run it, `hub.cli.alerts` sends a test through one door. This module brings
Apprise along, so it is loaded by those who need it only.
"""

import time
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from aggregates.store.store import Store
from hub.run.parts import Part, Turns
from hub.settings.settings import Settings
from hub.web.metrics import Gauges
from streams.notify.apprise_door import AppriseDoor
from streams.notify.channels import FILE, BadChannels, Channels, read_channels
from streams.notify.delivery import ChannelDelivery
from streams.notify.notifier import Notifier
from streams.notify.texts import Style, sample_notification

EVERY = 0.25  # s between two reads of the outbox


class NotifierPart(Notifier, Part):
    """A notifier that takes each of its turns in a thread of its own."""

    def __init__(self, database: str, channels: Channels, deliveries: Mapping[str, ChannelDelivery]) -> None:
        super().__init__(channels, deliveries)
        self._lines = []
        for name, turn in self.turns_of():
            store = Store(database, application="stadspuls notify")
            self._lines.append(Turns(name, EVERY, partial(turn, store), store.close))

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

    def numbers(self) -> Gauges:
        """Give what it counts, for `/metrics`."""
        text = "turns that met a bug, which is in the log"
        return {**super().numbers(), "notify_bugs_total": (text, lambda: sum(line.bugs for line in self._lines))}

    @property
    def trouble(self) -> list[str]:
        """Say what keeps its threads from their work."""
        return [text for line in self._lines for text in line.trouble]

    @property
    def healthy(self) -> bool:
        """Tell whether alerts are sent."""
        return super().healthy and not self.trouble


def channels_file(settings: Settings) -> Path | None:
    """Give the file of channels: the one named, else the data directory's own where it has one."""
    own = settings.data_dir / FILE
    return settings.alert_channels or (own if own.exists() else None)


def doors(path: Path, channels: Channels) -> dict[str, AppriseDoor]:
    """Open the door of every channel; raises BadChannels for one that cannot work."""
    found = {}
    for name, channel in channels.channels.items():
        try:
            found[name] = AppriseDoor(channel.url)
        except ValueError as error:
            raise BadChannels(f"{path}: channel.{name}.url: {error}") from None
    return found


def notifier_of(settings: Settings, database: str, link: str | None = None) -> NotifierPart:
    """
    Make the notifier of the file of channels, of none where there is no file; `link` is where messages point to.

    Raises BadChannels; nothing is connected to before it starts.
    """
    path, zone = channels_file(settings), ZoneInfo(settings.timezone)
    channels = Channels() if path is None else read_channels(path)
    opened = {} if path is None else doors(path, channels)
    deliveries = {
        name: ChannelDelivery(name, one, opened[name].send, Style(one.language, zone, channels.link or link))
        for name, one in channels.channels.items()
    }
    return NotifierPart(database, channels, deliveries)


def send_test(settings: Settings, name: str, now: datetime) -> str:
    """
    Send a test through a channel and give its URL without secrets.

    Raises BadChannels where there is no such channel, `streams.notify.apprise_door.Unsent` where it is not taken.
    """
    path = channels_file(settings)
    if path is None:
        raise BadChannels(f"no file of channels: expected --alert-channels, or {FILE} in {settings.data_dir}")
    channels = read_channels(path)
    if name not in channels.channels:
        raise BadChannels(f"{path}: no channel {name!r}, expected one of {', '.join(channels.channels)}")
    door = doors(path, channels)[name]
    door.send(sample_notification(now, ZoneInfo(settings.timezone), channels.link))
    return door.shown
