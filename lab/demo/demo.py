"""
The simulated city in a running hub: hours of eight weeks and minutes of two days through the normal path, then live.

`stadspuls up --demo` runs it; `lab.demo.city` makes the messages, `lab.demo.groningen` the map beneath.
"""

from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import structlog

from aggregates.areas.groups import Groups, import_groups
from aggregates.ask.live import midnight
from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store
from hub.run.parts import Background
from ingest.mqtt.address import Address
from ingest.mqtt.sender import Sender
from ingest.vocabulary.readings import Message
from ingest.vocabulary.values import read_toml
from lab.demo.city import City
from lab.demo.groningen import load_groningen

HISTORY = timedelta(weeks=8)
MINUTES = 2  # local days before today whose history is by the minute
WEEK = timedelta(weeks=1)  # of hours: one message a sensor
AT_ONCE = timedelta(hours=6)  # of minutes: a sensor's own JSON of it is one message
LIVE = timedelta(seconds=30)  # more at once is a backlog: what is stamped on receipt would all have one stamp
_FILE = "demo.json"
_GROUPS = Path(__file__).with_name("groups.toml")

log = structlog.get_logger(__name__)


class Demo(Background):
    """
    Publishes the messages of the city; until when is kept in the data directory.

    With `areas` the hub gets Groningen's boundaries, statistics, base map and some groups as well.
    """

    def __init__(self, directory: Path, broker: Address, database: str, zone: str, *, areas: bool = False) -> None:
        super().__init__("demo")
        self._file, self._directory = directory / _FILE, directory
        self._broker, self._database, self._zone = broker, database, zone
        self._areas = areas
        self._city = City(zone=zone)

    def start(self) -> None:
        """Write the city's sensors into the catalogue and begin to publish; raises `StoreError`."""
        with closing(Store(self._database)) as store:
            import_sensors(store, self._city.catalogue())
            if self._areas:
                load_groningen(store, self._directory)
                if store.rows("has_groups") == [(False,)]:  # a newcomer's own stay
                    import_groups(store, read_toml(_GROUPS, Groups))
        super().start()

    def run(self) -> None:
        """Publish what was missed since the last time, at most eight weeks of it, then live."""
        with Sender(self._broker) as sender:
            try:
                now = datetime.now(UTC)
                sent = max(self._sent(), now - HISTORY)
                log.info("publishing history", since=sent.isoformat(timespec="minutes"))
                by_minute = midnight(now, self._zone) - timedelta(days=MINUTES)
                while sent < by_minute and not self.stopping.is_set():
                    until = min(sent + WEEK, by_minute)
                    sent = self._publish(sender, self._city.history(sent, until), until)
                behind = True
                while not self.stopping.is_set():
                    now = datetime.now(UTC)
                    until = min(sent + AT_ONCE, now)
                    messages = self._city.messages(sent, until, live=until == now and now - sent < LIVE)
                    sent = self._publish(sender, messages, until)
                    if behind and sent == now:
                        log.info("history published, live from now on")
                        behind = False
                    self.stopping.wait(1.0 if sent == now else 0.0)
            except (RuntimeError, TimeoutError) as error:
                log.warning("the simulated city stopped publishing", error=str(error))

    def _publish(self, sender: Sender, messages: Iterable[Message], until: datetime) -> datetime:
        """Publish, and note once the broker has all of it until when everything was."""
        for message in messages:
            sender.publish(message.topic, message.payload)
        sender.flush(60)
        self._file.write_bytes(msgspec.json.encode(until))
        return until

    def _sent(self) -> datetime:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=datetime)
        except (FileNotFoundError, msgspec.DecodeError):
            return datetime(1970, 1, 1, tzinfo=UTC)
