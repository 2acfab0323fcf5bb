"""
What the chaos run disturbs: a distributed hub with a relay before each server, and an empty database.

`lab.chaos.run` starts it.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

from aggregates.store.migrate import migrate
from aggregates.store.store import Store
from hub.servers.process import CannotStart
from hub.settings.settings import Settings
from lab.chaos.plan import Part
from lab.chaos.readings import QUANTITY, sensor_id
from lab.load.servers import emptied
from lab.rig.broker import free_port, mosquitto
from lab.rig.chain import Addresses, Chain
from lab.rig.database import DatabaseServer, killable_database
from lab.rig.kafka import KafkaServer
from lab.rig.relay import Place, Relay

_AUTOSAVE = "autosave_interval 10"  # as deploy/mosquitto/mosquitto.conf

# A rule that has something to write for every batch, for when judging is made to raise.
_RULES = f"""
[[rule]]
name = "chaos-many"
title = "Many"
quantity = "{QUANTITY}"
level = "5m"
raise = 240
sensors = ["{sensor_id(0)[:-1]}*"]
severity = "info"
clear = 240
retrospect = "0s"
"""


@dataclass(frozen=True, slots=True)
class Scale:
    """How long and how much: seconds of publishing, readings a second, sensors that they are of."""

    seconds: float = 180.0
    rate: float = 2_000.0
    sensors: int = 2_000
    collectors: int = 2
    workers: int = 2


def disturbable(
    directory: Path, url: str, place: Place, scale: Scale, stack: ExitStack
) -> tuple[Chain, Mapping[Part, Relay]]:
    """Make the hub, with a relay before each server."""
    broker = mosquitto(directory, _AUTOSAVE)
    ports = {Part.BROKER: free_port(), Part.KAFKA: free_port()}
    kafka_port = free_port()
    kafka = KafkaServer(directory / "kafka", kafka_port, free_port(), advertised=ports[Part.KAFKA])
    sockets = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stadspuls-way-")))  # a short path
    relays = {
        Part.BROKER: Relay(("127.0.0.1", ports[Part.BROKER]), ("127.0.0.1", broker.port)),
        Part.KAFKA: Relay(("127.0.0.1", ports[Part.KAFKA]), ("127.0.0.1", kafka_port)),
        Part.DATABASE: Relay(sockets / ".s.PGSQL.5432", place),
    }
    for relay in relays.values():
        stack.enter_context(relay)
    addresses = Addresses(f"mqtt://127.0.0.1:{ports[Part.BROKER]}", kafka.servers, _through(url, sockets))
    (directory / "rules").mkdir()
    (directory / "rules/chaos.toml").write_text(_RULES, "utf-8")
    rules = {"rules": str(directory / "rules")}
    chain = Chain(directory, broker, kafka, url, addresses, scale.collectors, scale.workers, settings=rules)
    stack.callback(chain.clean_up)
    return chain, MappingProxyType(relays)


@contextmanager
def empty_database(settings: Settings, directory: Path) -> Iterator[tuple[str, str, Place, DatabaseServer | None]]:
    """Give name, URL and place of a migrated, empty database, and its server where it may be killed."""
    if settings.database:
        with emptied(settings.database, settings) as (_, edition):
            yield f"{edition}, as named", settings.database, _place(settings.database), None
        return
    with killable_database(directory) as (name, server):
        with closing(Store(server.conninfo)) as store:
            migrate(store, settings.timezone, settings.chunk_interval)
        yield name, server.conninfo, server.socket, server


def _place(url: str) -> Place:
    """
    Give where the server of a URL listens; raises CannotStart where the URL has no host.

    >>> _place("postgresql://writer:secret@db:5433/stadspuls")
    ('db', 5433)
    """
    parts = urlsplit(url)
    host = parse_qs(parts.query).get("host", [parts.hostname or ""])[0]
    if not parts.scheme.startswith("postgres") or not host:
        raise CannotStart("the chaos run cuts the way to the database, expected postgresql://user@host/name")
    return Path(host) / f".s.PGSQL.{parts.port or 5432}" if host.startswith("/") else (host, parts.port or 5432)


def _through(url: str, sockets: Path) -> str:
    """
    Give the URL of the same database, reached by a unix socket in a directory.

    >>> _through("postgresql://writer:secret@db:5433/stadspuls", Path("/tmp/way"))
    'postgresql://writer:secret@/stadspuls?host=%2Ftmp%2Fway'
    """
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=user + at, query=f"host={quote(str(sockets), safe='')}"))
