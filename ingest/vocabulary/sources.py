"""
Who supplies messages: the registry of sources, with time convention, class, licence and topics.

`ingest.formats.decode` finds a message's source by its topic here, and the payload format by the source.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Stamp(StrEnum):
    """What a supplier's stamp means."""

    START = "start"
    END = "end"
    INSTANT = "instant"
    RECEIVED = "received"


class SourceClass(StrEnum):
    """How far a source may be trusted: legal thresholds are judged on `reference` alone."""

    REFERENCE = "reference"
    OPERATIONAL = "operational"
    CITIZEN = "citizen"


@dataclass(frozen=True, slots=True)
class Source:
    """
    One line of the registry.

    `interval` is the seconds an instant stands for (None: unknown). `topic` is the supplier's own topic filter, where
    it has one, beside `stadspuls/<name>/#`, which every source has.
    """

    name: str
    title: str
    stamp: Stamp
    source_class: SourceClass
    licence: str
    interval: float | None = None
    topic: str | None = None
    commercial_use: bool = True


OWN = "stadspuls"

_sources = {
    source.name: source
    for source in (
        Source(OWN, "The hub's own JSON", Stamp.START, SourceClass.OPERATIONAL, "as agreed with the sensor's owner"),
        Source("ndw", "Nationaal Dataportaal Wegverkeer", Stamp.START, SourceClass.OPERATIONAL, "NDW open data"),
        Source("dexter", "NDW Dexter history", Stamp.START, SourceClass.OPERATIONAL, "NDW open data"),
        Source("luchtmeetnet", "Luchtmeetnet (RIVM and partners)", Stamp.END, SourceClass.REFERENCE, "open data, RIVM"),
        Source("telraam", "Telraam", Stamp.START, SourceClass.CITIZEN, "CC BY-NC 4.0", commercial_use=False),
        Source("samenmeten", "Samen Meten (RIVM)", Stamp.END, SourceClass.CITIZEN, "CC0 1.0, as its projects state"),
        Source("sensor_community", "Sensor.Community", Stamp.RECEIVED, SourceClass.CITIZEN, "ODbL 1.0", interval=145),
        Source("ttn", "The Things Stack", Stamp.RECEIVED, SourceClass.CITIZEN, "as agreed with the sensor's owner",
               topic="v3/+/devices/+/up"),
        Source("sensorthings", "SensorThings", Stamp.INSTANT, SourceClass.OPERATIONAL, "as the service states",
               topic="v1.1/+/Observations"),
        Source("fiware", "FIWARE smart data models", Stamp.INSTANT, SourceClass.OPERATIONAL, "as the service states"),
        Source("tasmota", "Tasmota", Stamp.INSTANT, SourceClass.CITIZEN, "as agreed with the sensor's owner",
               interval=300, topic="tele/+/SENSOR"),
        Source("aireas", "AiREAS Eindhoven", Stamp.INSTANT, SourceClass.CITIZEN, "AiREAS open data", interval=600),
    )
}  # fmt: skip

SOURCES: Mapping[str, Source] = MappingProxyType(_sources)


def add_source(source: Source) -> None:
    """Add the source that a user's mapping file brings along; raises ValueError for a name that is taken."""
    if source.name in _sources:
        raise ValueError(f"a second source {source.name!r}")
    _sources[source.name] = source
    if source.topic:
        _OWN_TOPICS.append((source.name, source.topic.split("/")))


def rounded(lon: float | None, lat: float | None) -> tuple[float | None, float | None]:
    """
    Round a citizen's place to 3 decimals, about 100 m, so that it does not point at a home.

    >>> rounded(6.566502, 53.219383)
    (6.567, 53.219)
    """
    return None if lon is None else round(lon, 3), None if lat is None else round(lat, 3)


def source_of_topic(topic: str) -> str | None:
    """
    Name the source whose topics include `topic`, or None.

    >>> source_of_topic("stadspuls/ndw/PGR08_Hereweg_N_HTN2228")
    'ndw'
    >>> source_of_topic("v3/app@tenant/devices/meter/up")
    'ttn'
    """
    head, _, rest = topic.partition("/")
    if head == OWN:
        name = rest.partition("/")[0].partition("?")[0]
        return name if name in SOURCES else None
    return next((name for name, parts in _OWN_TOPICS if _matches(parts, topic.partition("?")[0].split("/"))), None)


def source_of_sensor(sensor_id: str) -> str:
    """
    Name the source in a sensor's id.

    >>> source_of_sensor("ndw/PGR08_Hereweg_N_HTN2228")
    'ndw'
    """
    return sensor_id.partition("/")[0]


def is_news(topic: str) -> bool:
    """
    Tell whether a topic is one that the hub itself publishes on: its alerts, retained for others to see.

    >>> is_news("stadspuls/alerts/no2-alert/luchtmeetnet/NL10938"), is_news("stadspuls/ndw/A1")
    (True, False)
    """
    return topic.startswith(f"{OWN}/alerts/")


def subscriptions() -> list[str]:
    """Every topic filter that a collector subscribes to."""
    return [f"{OWN}/#", *("/".join(parts) for _, parts in _OWN_TOPICS)]


def _matches(parts: list[str], levels: list[str]) -> bool:
    return len(parts) == len(levels) and all(part in ("+", level) for part, level in zip(parts, levels, strict=True))


_OWN_TOPICS = [(source.name, source.topic.split("/")) for source in SOURCES.values() if source.topic]
