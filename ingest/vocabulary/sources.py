"""
Who supplies messages: the registry of sources, with time convention, class, licence and topics, from `sources.toml`.

`ingest.formats.decode` finds a message's source by its topic here, and the payload format by the source.
"""

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from importlib.resources import files
from types import MappingProxyType
from typing import Literal

import msgspec

Stamp = Literal["start", "end", "instant", "received"]  # what a supplier's stamp means
Repeated = Literal["greatest", "first", "last"]
Channels = Literal["lanes", "separate"] | list[str]


class SourceClass(StrEnum):
    """How far a source may be trusted: legal thresholds are judged on `reference` alone."""

    REFERENCE = "reference"
    OPERATIONAL = "operational"
    CITIZEN = "citizen"


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"source_class": "class"}):
    """
    One line of the registry, or the `[source]` of a mapping file, which has the name of the file.

    `interval` is the seconds an instant stands for (None: unknown). `topic` is the supplier's own topic filter,
    where it has one, beside `stadspuls/<name>/#`, which every source has. `repeated` tells which of several values
    of one reading without a version counts: the `first` or `last` that was received, or the `greatest`, which is
    marked ambiguous. `channels` of a sensor are `lanes`, which add up, `separate`, or alternatives in order of
    preference, of which one stands for the sensor (None: as the quantity says). `fractions` tells that its counts
    may have a fraction, because they are corrected or rates.
    """

    name: str = ""
    title: str
    stamp: Stamp
    source_class: SourceClass
    licence: str
    interval: float | None = None
    topic: str | None = None
    commercial_use: bool = True
    repeated: Repeated = "greatest"
    fractions: bool = False
    channels: Channels | None = None


OWN = "stadspuls"
HUB = f"{OWN}/hub/"  # topics of the hub's own account, which alone sends own JSON for sensors of every source

_read = tomllib.loads(files("ingest.vocabulary").joinpath("sources.toml").read_text("utf-8"))
_sources = {name: msgspec.convert({"name": name, **line}, Source) for name, line in _read.items()}
SOURCES: Mapping[str, Source] = MappingProxyType(_sources)


def add_source(source: Source) -> None:
    """
    Add the source that a user's mapping file brings along; a topic of a shipped source is its own from then on.

    Raises ValueError for a name that is taken.
    """
    if source.name in _sources or f"{OWN}/{source.name}/" == HUB:
        raise ValueError(f"a second source {source.name!r}")
    for name in _read:
        if source.topic is not None and _sources[name].topic == source.topic:
            _sources[name] = msgspec.structs.replace(_sources[name], topic=None)
    _sources[source.name] = source


COUNTRY = (3.0, 50.5, 7.5, 54.0)  # a box around the Netherlands: west, south, east, north


def doubtful(lon: float | None, lat: float | None) -> str | None:
    """
    Say what is wrong with a place in degrees, None where nothing is.

    >>> doubtful(6.57, 53.22), doubtful(53.22, 6.57), doubtful(0.0, 0.0)
    (None, 'lon and lat are swapped', 'not in the Netherlands')
    """
    west, south, east, north = COUNTRY
    if lon is None or lat is None or (west <= lon <= east and south <= lat <= north):
        return None
    return "lon and lat are swapped" if west <= lat <= east and south <= lon <= north else "not in the Netherlands"


def rounded(source: str, lon: float | None, lat: float | None) -> tuple[float | None, float | None]:
    """
    Round a citizen's place to 3 decimals, about 100 m, so that it does not point at a home; others stay as they are.

    >>> rounded("telraam", 6.566502, 53.219383), rounded("ndw", 6.566502, None)
    ((6.567, 53.219), (6.566502, None))
    """
    if SOURCES[source].source_class is not SourceClass.CITIZEN:
        return lon, lat
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
        return name if name in SOURCES else OWN if topic.startswith(HUB) else None
    levels = topic.partition("?")[0].split("/")
    return next((name for name, source in SOURCES.items() if _matches(source.topic, levels)), None)


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
    return [f"{OWN}/#", *(source.topic for source in SOURCES.values() if source.topic)]


def _matches(topic: str | None, levels: list[str]) -> bool:
    parts = topic.split("/") if topic else []
    if parts[-1:] == ["#"]:
        parts, levels = parts[:-1], levels[: len(parts) - 1]
    return len(parts) == len(levels) and all(part in ("+", level) for part, level in zip(parts, levels, strict=True))
