"""
The simulated city in a running hub: two days of history through the normal path, then live.

`stadspuls up --demo` runs it; `hub.demo.city` makes the messages.
"""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import structlog

from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store
from hub.demo.city import City
from hub.run.parts import Background
from ingest.mqtt.address import Address
from ingest.mqtt.sender import Sender

HISTORY = timedelta(days=2)
AT_ONCE = timedelta(hours=6)  # of history: a sensor's own JSON of it is one message
_FILE = "demo.json"

log = structlog.get_logger(__name__)


class Demo(Background):
    """Publishes the messages of the city; until when is kept in the data directory."""

    def __init__(self, directory: Path, broker: Address, database: str, zone: str) -> None:
        super().__init__("demo")
        self._file = directory / _FILE
        self._broker, self._database = broker, database
        self._city = City(zone=zone)

    def start(self) -> None:
        """Write the city's sensors into the catalogue and begin to publish; raises `StoreError`."""
        with closing(Store(self._database)) as store:
            import_sensors(store, self._city.catalogue())
        super().start()

    def run(self) -> None:
        """Publish what was missed since the last time, at most two days of it, then live."""
        with Sender(self._broker) as sender:
            try:
                sent = max(self._sent(), datetime.now(UTC) - HISTORY)
                log.info("publishing history", since=sent.isoformat(timespec="minutes"))
                while not self.stopping.is_set():
                    now = datetime.now(UTC)
                    sent = self._publish(sender, sent, min(sent + AT_ONCE, now), now)
                    self.stopping.wait(1.0 if sent == now else 0.0)
            except (RuntimeError, TimeoutError) as error:
                log.warning("the simulated city stopped publishing", error=str(error))

    def _publish(self, sender: Sender, begin: datetime, end: datetime, now: datetime) -> datetime:
        for message in self._city.messages(begin, end, live=end == now):
            sender.publish(message.topic, message.payload)
        sender.flush(60)
        self._file.write_bytes(msgspec.json.encode(end))
        return end

    def _sent(self) -> datetime:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=datetime)
        except (FileNotFoundError, msgspec.DecodeError):
            return datetime(1970, 1, 1, tzinfo=UTC)
