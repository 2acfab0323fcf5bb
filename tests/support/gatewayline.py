"""Gateways between a made-up country and a real broker, with a clock that tests set and a receiver that counts."""

from itertools import count
from pathlib import Path

from ingest.formats.decode import decode
from ingest.gateways.schedule import Gateways, Runner, jobs
from ingest.gateways.turn import Plan, Region
from ingest.mqtt.receiver import Receiver
from ingest.mqtt.sender import Sender
from ingest.vocabulary.readings import Message
from tests.support.brokers import Broker
from tests.support.country import NOW, Country
from tests.support.lines import FILTER, Taker, until

GRONINGEN = Region.box("6.4,53.1,6.7,53.3")
_ends = count()


class Line:
    """From a country to a broker, and what arrived there."""

    def __init__(self, sources: Country, broker: Broker, directory: Path) -> None:
        self.now = NOW
        self.sources, self.broker, self.directory = sources, broker, directory
        self.taker = Taker(Receiver(broker.address(), [FILTER], client_id=f"test-{directory.name}"))
        self._gateways: Gateways | None = None
        self.base = ""  # of every address, below the host

    def open(
        self, *names: str, area: Region | None = GRONINGEN, timeout: float = 1.0, condition: str = ""
    ) -> list[Runner]:
        """Open gateways on the same memory, as after a restart; those that were open end."""
        self.close()
        chosen = jobs(names, dict.fromkeys(names, self.sources.url + self.base), condition)
        folder, sites = self.directory / "gateways", self.directory / "ndw_sites.parquet"
        self._gateways = Gateways(
            Plan(chosen, self.broker.address(), folder, sites, area, timeout, clock=lambda: self.now)
        )
        return self._gateways.runners

    def one(self, name: str, area: Region | None = GRONINGEN) -> Runner:
        """Open the gateway of a source that has one job."""
        (runner,) = self.open(name, area=area)
        return runner

    def close(self) -> None:
        """End the gateways."""
        if self._gateways is not None:
            self._gateways.stop()
            self._gateways = None

    def arrived(self) -> list[Message]:
        """Give the messages that came since the start, when those that are on their way are there too."""
        end = f"stadspuls/stadspuls/end-{next(_ends)}"
        with Sender(self.broker.address()) as sender:
            sender.publish(end, b"")
            sender.flush(30)
        until(lambda: any(one.topic == end for one in list(self.taker.taken)))
        found = [Message(one.topic, one.payload, one.received_at) for one in self.taker.taken]
        return [one for one in found if not one.topic.startswith("stadspuls/stadspuls/end-")]

    def readings(self) -> list[tuple[str, str, str, float | None]]:
        """Give sensor, quantity, start and value of everything that came, refusals as an error."""
        batch = decode(self.arrived())
        assert batch.dead_letters == ()
        return [
            (row["sensor_id"], row["quantity"], f"{row['start']:%dT%H:%M:%S}", row["value"])
            for row in batch.readings.to_pylist()
        ]

    def end(self) -> None:
        """Close everything."""
        self.close()
        self.taker.stop()
