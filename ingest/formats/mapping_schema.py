"""
What a mapping file may hold: the payload formats that need no code.

`ingest.formats.registry` loads the files, `ingest.formats.mapping_reader` reads messages by one. A file that cannot
work is refused with its name, the reason and the key.
"""

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from ingest.formats.cells import Conditions, Decimal, Words
from ingest.formats.pointers import Pointers, Template, every_pointer
from ingest.formats.stamps import CALENDARS, Calendar, Epoch
from ingest.vocabulary.quantities import QUANTITIES, convert
from ingest.vocabulary.readings import BadPayload
from ingest.vocabulary.sources import OWN, SOURCES, Source, Stamp, add_source, meet
from ingest.vocabulary.values import BadFile, raised_as

# Gases come in ug/m3, mg/m3, ppb and ppm, speeds in km/h, m/s and mph: without a unit nobody knows.
_NEEDS_UNIT = {name for name, quantity in QUANTITIES.items() if quantity.molar or quantity.unit == "km/h"}


class TableEntry(msgspec.Struct, forbid_unknown_fields=True):
    """`[table.<key>]`: what one key of a supplier measures; without a quantity it is left out."""

    quantity: str = ""
    unit: str | None = None
    sensor: str | None = None
    channel: str | None = None
    version: int = 0

    def __post_init__(self) -> None:
        if self.quantity and self.quantity not in QUANTITIES:
            raise ValueError(f"quantity {self.quantity!r} is not in the registry")
        if self.quantity and self.unit is not None:
            convert(0, self.unit, QUANTITIES[self.quantity])


class ReadingRule(msgspec.Struct, forbid_unknown_fields=True, dict=True):
    """`[[message.reading]]`: where one value is and what it means; `key` looks it up in `[table]`."""

    value: Pointers
    quantity: str = ""
    key: Template | None = None
    unit: str | None = None
    unit_at: Pointers = Pointers([])
    channel: Template = Template("")
    stamp: Pointers = Pointers([])
    total: bool = False
    factor: float = 1
    below: float | None = None
    weight: Pointers = Pointers([])
    valid: Conditions = Conditions({})
    validated: Conditions = Conditions({})
    failed_when: Conditions = Conditions({})
    failed: Words = Words()
    nothing: Words = Words()
    hourly: bool = False
    sensor: Template | None = None
    pattern: str = ""
    parts: list["ReadingRule"] = []

    def __post_init__(self) -> None:
        if bool(self.quantity) == bool(self.key):
            raise ValueError("expected a quantity or a key of [table], and not both")
        if not self.value.each:
            raise ValueError("value without a pointer, expected at least one")
        with raised_as(ValueError, re.error, at=f"pattern {self.pattern!r}"):
            re.compile(self.pattern)
        self.where = str(self.value)
        self.entry = TableEntry(self.quantity, self.unit)


def check_unit(quantity: str, unit: str | None) -> None:
    """Raise ValueError for a quantity that suppliers give in several units, without one."""
    if quantity in _NEEDS_UNIT and unit is None:
        known = QUANTITIES[quantity].unit
        raise ValueError(f"{quantity} without a unit, expected unit_at, or the supplier's as unit: {known!r}")


class MessageRule(msgspec.Struct, forbid_unknown_fields=True):
    """`[[message]]`: one shape of message, taken on its `topic` where `when` holds."""

    sensor: Template
    reading: list[ReadingRule]
    topic: str = ""
    each: Pointers = Pointers("")
    columns: bool = False
    ignore: list[Pointers] = []
    has: list[Pointers] = []
    when: Conditions = Conditions({})
    skip: Conditions = Conditions({})
    expect: Conditions = Conditions({})
    require: list[Pointers] = []
    stamp: Pointers = Pointers([])
    stamp_text: Template | None = None
    identity: Template | None = None
    until: Pointers = Pointers([])
    covers: Pointers = Pointers([])
    covers_unit: float = 1
    period: int | Calendar | Literal["step"] = 0
    means: Stamp | None = None
    zone: ZoneInfo | None = None
    epoch: Epoch | None = None
    written: str | list[str] = []
    kind: str | None = None
    name: Pointers = Pointers([])
    lon: Pointers = Pointers([])
    lat: Pointers = Pointers([])
    indoor: Pointers = Pointers([])

    def __post_init__(self) -> None:
        if self.period in CALENDARS and self.zone is None:
            raise ValueError(f"period {self.period!r} without a zone, expected the zone of its calendar")
        if isinstance(self.period, int) and self.period < 0:
            raise ValueError(f"period {self.period}, expected 0 or more seconds")
        deepest = max((len(one.path) for one in self.each.each), default=0)
        inner = [getattr(self, name) for name in self.__struct_fields__ if name != "each"]
        if high := next((one.text for one in every_pointer(inner) if one.up > deepest), None):
            raise ValueError(f"pointer {high!r} goes above the document, expected at most {deepest} times '..'")
        if any(one.total for one in self.reading) and not (isinstance(self.period, int) and self.period > 0):
            raise ValueError(f"a running total with period {self.period!r}, expected the seconds between two messages")

    def every(self) -> Iterator[ReadingRule]:
        """Give the rules of its readings, those of parts too."""
        return (one for rule in self.reading for one in (rule, *rule.parts))

    def keys(self) -> tuple[set[object], ...]:
        """Give what a part must have for the rule: topic and `each`, then conditions."""
        return {(self.topic, str(self.each))}, {*self.when.key(), *map(str, self.has)}


class MappingFile(msgspec.Struct, forbid_unknown_fields=True, dict=True):
    """A whole file; its name is the name of the source."""

    message: list[MessageRule]
    source: Source | None = None
    format: Literal["json", "csv", "senml"] = "json"
    delimiter: str = ","
    encoding: str | None = None
    decimal: Decimal = None
    unwrap: str | None = None
    short_names: bool = False
    absent: Words = Words()
    lanes: bool = False
    words: dict[str, str] = {}
    units: dict[str, str] = {}
    table: dict[str, TableEntry] = {}

    def __post_init__(self) -> None:
        if self.encoding is not None:
            with raised_as(ValueError, LookupError):
                "".encode(self.encoding)
        if len(self.delimiter) != 1:
            raise ValueError(f"delimiter {self.delimiter!r}, expected one character")
        if self.format == "csv" and (deep := next((one for one in every_pointer(self) if len(one.path) > 1), None)):
            raise ValueError(f"pointer {deep.text!r} into a cell of a CSV, expected '/column', a slash in it as ~1")
        for at, rule in enumerate(self.message):
            each, wanted = rule.keys()
            for before, other in enumerate(self.message[:at]):
                if other.keys()[0] == each and other.keys()[1] <= wanted:
                    raise ValueError(f"message[{at}] can never take a part: message[{before}] takes all of them")
            if rule.skip.key() & rule.when.key():
                raise ValueError(f"message[{at}] skips every part that its `when` takes")

    def unstated(self) -> list[str]:
        """Name the quantities that suppliers give in several units and of which the file does not say the unit."""
        rules = [one for rule in self.message for one in rule.every() if not one.unit_at.each]
        entries = [TableEntry(one.quantity, one.unit) for one in rules]
        entries += self.table.values() if any(one.key for one in rules) else ()
        return sorted({one.quantity for one in entries if one.quantity in _NEEDS_UNIT and one.unit is None})

    @cached_property
    def named(self) -> set[str]:
        """Name the columns of a CSV that the file points at."""
        return {one.path[0] for one in every_pointer(self) if one.path} - {"*"}

    def word(self, channel: str) -> str:
        """Give a channel in the hub's words, between its slashes."""
        return "/".join(self.words.get(one, one) for one in channel.split("/")) if self.words else channel

    def entry(self, key: str | None) -> TableEntry:
        """Give what a key measures; raises BadPayload for one that is not in the table."""
        if key not in self.table:
            known = f"one of {', '.join(self.table)}" if self.table else "an entry with its quantity"
            raise BadPayload(f"{key!r} is not in [table] of the mapping file, expected {known}")
        return self.table[key]


def _check_topics(name: str, spec: MappingFile) -> None:
    """Raise ValueError for a topic filter that no topic of this source can match."""
    filters = [f"{OWN}/{name}/#"]
    for topic in SOURCES[name].topics:
        levels = topic.split("/")
        odd = any(("+" in level and level != "+") or ("#" in level and level != "#") for level in levels)
        is_foreign = levels[0] == OWN and levels[1:2] != [name]
        if odd or "#" in levels[:-1] or is_foreign or not topic:
            raise ValueError(f"topic {topic!r}, expected a filter of MQTT as a/+/b or a/#, outside of stadspuls/")
        if taken := [one for one, source in SOURCES.items() if topic in source.topics and one != name]:
            raise ValueError(f"topic {topic!r} is that of source {taken[0]!r}, expected another")
        filters.append(topic)
    templates = [one for rule in spec.message for one in (rule.sensor, rule.stamp_text)]
    templates += [one for rule in spec.message for own in rule.every() for one in (own.key, own.channel, own.sensor)]
    shapes = [shape for one in templates if one for shape in one.shapes]
    for shape in (*shapes, *(rule.topic for rule in spec.message if rule.topic)):
        if not any(meet(shape.split("/"), one.split("/")) for one in filters):
            raise ValueError(f"{{topic:{shape}}} can never match, expected a shape of {' or '.join(filters)}")


def load(path: Path, source: str = "") -> MappingFile:
    """Read a mapping file, and register its source, named after `source` or the file; raises BadFile."""
    name = source or path.stem
    with raised_as(BadFile, ValueError, at=path.name):
        spec = msgspec.toml.decode(path.read_bytes(), type=MappingFile, dec_hook=made)
        if spec.source is not None:
            topics = spec.source.topic or [rule.topic for rule in spec.message if rule.topic]
            add_source(msgspec.structs.replace(spec.source, name=name, topic=topics))
        elif name not in SOURCES:
            raise ValueError(f"source {name!r} is not known, expected a [source] table or another file name")
        _check_topics(name, spec)
        if SOURCES[name].repeated == "last" and any(entry.version for entry in spec.table.values()):
            raise ValueError("a version in [table] beside repeated 'last', expected one of them: a receipt is greater")
    return spec


def made(kind: type, given: Any) -> Any:
    """Make what a file gives one of the types here; raises ValueError."""
    with raised_as(ValueError, KeyError):  # of ZoneInfo
        return kind(given)
