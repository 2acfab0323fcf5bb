"""
A notifier from the settings: the file of channels read, every door opened, one delivery for each.

`hub.embedded` and `hub.distributed` run it, `hub.commands.alerts` sends a test through one door. This module brings
Apprise along, so it is loaded by those who need it only.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

from aggregates.store import Store
from streams.annotate import open_door
from streams.channels import FILE, BadChannels, Channels, read_channels
from streams.delivery import Delivery
from streams.messages import Voice
from streams.notifier import Notifier
from streams.notify import Door

Numbers = Mapping[str, tuple[str, Callable[[], float]]]


def channels_file(named: Path | None, data_dir: Path) -> Path | None:
    """Give the file of channels: the one named, else the data directory's own where it has one."""
    own = data_dir / FILE
    return named or (own if own.exists() else None)


def doors(path: Path, channels: Channels) -> dict[str, Door]:
    """Open the door of every channel; raises BadChannels for one that cannot work."""
    found = {}
    for name, channel in channels.channels.items():
        try:
            found[name] = open_door(channel.url)
        except ValueError as error:
            raise BadChannels(f"{path}: channel.{name}.url: {error}") from None
    return found


def notifier_of(path: Path | None, database: str, zone: str, link: str | None) -> Notifier:
    """Make the notifier of a file of channels, of none where there is no file; `link` is where messages point to."""
    channels = Channels() if path is None else read_channels(path)
    opened = {} if path is None else doors(path, channels)
    voices = {
        name: Voice(one.language, ZoneInfo(zone), channels.link or link) for name, one in channels.channels.items()
    }
    deliveries = {name: Delivery(name, one, opened[name], voices[name]) for name, one in channels.channels.items()}
    return Notifier(lambda: Store(database, application="stadspuls notify"), channels, deliveries)


def numbers(notifier: Notifier) -> Numbers:
    """Give what a notifier counts, by name, for `/metrics`."""
    lines = notifier.deliveries.values()
    return {
        "notify_leads": ("1 while this is the notifier that works", lambda: notifier.leads),
        "notify_healthy": ("1 while alerts leave: no channel has failed for long", lambda: notifier.healthy),
        "notify_delivered": ("transitions delivered by this process", lambda: sum(one.delivered for one in lines)),
        "notify_failed": ("attempts that failed in this process", lambda: sum(one.failed for one in lines)),
    }
