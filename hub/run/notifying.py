"""
A notifier from the settings: the file of channels read, every door opened, one delivery for each.

`hub.run.embedded` and `hub.run.distributed` run it, `hub.cli.alerts` sends a test through one door. This module brings
Apprise along, so it is loaded by those who need it only.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from aggregates.store.store import Store
from hub.settings.settings import Settings
from streams.notify.apprise_door import AppriseDoor
from streams.notify.channels import FILE, BadChannels, Channels, read_channels
from streams.notify.delivery import ChannelDelivery
from streams.notify.notifier import Notifier
from streams.notify.texts import Style, sample_notification


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


def notifier_of(path: Path | None, database: Callable[[], str], zone: str, link: str | None) -> Notifier:
    """
    Make the notifier of a file of channels, of none where there is no file; `link` is where messages point to.

    Raises BadChannels; nothing is connected to before it starts.
    """
    channels = Channels() if path is None else read_channels(path)
    opened = {} if path is None else doors(path, channels)
    styles = {
        name: Style(one.language, ZoneInfo(zone), channels.link or link) for name, one in channels.channels.items()
    }
    deliveries = {
        name: ChannelDelivery(name, one, opened[name].send, styles[name]) for name, one in channels.channels.items()
    }
    return Notifier(lambda: Store(database(), application="stadspuls notify"), channels, deliveries)


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
