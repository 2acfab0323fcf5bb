"""
Who supplies messages: the registry of sources, with time convention, class, licence and topics, from `sources.toml`.

`ingest.formats.decode` finds a message's source by its topic here, and the payload format by the source.
"""

from collections.abc import Mapping
from enum import StrEnum
from itertools import zip_longest
from types import MappingProxyType
from typing import Literal

import msgspec

from ingest.vocabulary.values import shipped_toml

Stamp = Literal["start", "end", "instant", "received"]  # what a supplier's stamp means
Channels = Literal["lanes", "separate"] | list[str]


class SourceClass(StrEnum):
    """How far a source may be trusted: legal thresholds are judged on `reference` alone."""

    REFERENCE = "reference"
    OPERATIONAL = "operational"
    CITIZEN = "citizen"


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"source_class": "class"}):
    """One line of the registry, or the `[source]` of a mapping file; `sources.toml` says what the fields are."""

    name: str = ""
    title: str
    stamp: Stamp
    source_class: SourceClass
    licence: str
    interval: float | None = None
    topic: str | list[str] = []
    commercial_use: bool = True
    repeated: Literal["greatest", "first", "last"] = "greatest"
    fractions: bool = False
    channels: Channels | None = None

    @property
    def topics(self) -> list[str]:
        """Give its own topic filters."""
        return [self.topic] if isinstance(self.topic, str) else self.topic


OWN = "stadspuls"
UPDATES = "v1.1/"  # topics of SensorThings: the hub's own where it sends updates
HUB = f"{OWN}/hub/"  # topics of the hub's own account, which alone sends own JSON for sensors of every source

_read = shipped_toml(__file__, "sources.toml")
_sources = {name: msgspec.convert({"name": name, **line}, Source) for name, line in _read.items()}
SOURCES: Mapping[str, Source] = MappingProxyType(_sources)
NEWS: tuple[str, ...] = (f"{OWN}/alerts/",)  # what topics begin with that the hub itself publishes on, by its settings


def add_source(source: Source) -> None:
    """
    Add the source that a user's mapping file brings along; a topic of a shipped source is its own from then on.

    Raises ValueError for a name that is taken.
    """
    if source.name in _sources or f"{OWN}/{source.name}/" == HUB:
        raise ValueError(f"a second source {source.name!r}")
    for name in _read:
        left = [one for one in _sources[name].topics if one not in source.topics]
        _sources[name] = msgspec.structs.replace(_sources[name], topic=left)
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
    Name the source whose topics include `topic`, or None; one that was added goes before those that are shipped.

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
    known = reversed(_sources.items())
    return next((name for name, source in known if any(meet(one.split("/"), levels) for one in source.topics)), None)


def source_of_sensor(sensor_id: str) -> str:
    """
    Name the source in a sensor's id.

    >>> source_of_sensor("ndw/PGR08_Hereweg_N_HTN2228")
    'ndw'
    """
    return sensor_id.partition("/")[0]


def is_news(topic: str) -> bool:
    """
    Tell whether a topic is one that the hub itself publishes on, as its alerts, retained for others to see.

    >>> is_news("stadspuls/alerts/no2-alert/luchtmeetnet/NL10938"), is_news("stadspuls/ndw/A1")
    (True, False)
    """
    return topic.startswith(NEWS)


def subscriptions() -> list[str]:
    """Every topic filter that a collector subscribes to."""
    return [f"{OWN}/#", *(one for source in SOURCES.values() for one in source.topics)]


def meet(one: list[str], other: list[str]) -> bool:
    """
    Tell whether a topic can match two filters, by their levels; one of them may be a topic itself.

    >>> meet(["a", "+", "b"], ["a", "#"]), meet(["a", "+"], ["b", "#"])
    (True, False)
    """
    for level, beside in zip_longest(one, other):
        if "#" in (level, beside):
            return True
        if level != beside and (None in (level, beside) or not {"+", "*"} & {level, beside}):
            return False
    return True
