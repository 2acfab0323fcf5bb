"""
What a mapping file may hold: the payload formats that need no code.

`ingest.formats.registry` loads the files, `ingest.formats.mapping_reader` reads messages by one. A file that cannot
work is refused with its name, the reason and the key.
"""

from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from ingest.formats.pointers import Pointer, Pointers, Template, Where
from ingest.vocabulary.quantities import QUANTITIES, convert
from ingest.vocabulary.readings import BadPayload
from ingest.vocabulary.sources import SOURCES, Source, SourceClass, Stamp, add_source


class Conditions:
    """Pointers, and the value that each must find."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.all = [(Pointers(text), value) for text, value in given.items()]

    def met(self, where: Where) -> list[str]:
        """Name those that are met."""
        return [f"{pointer} is {value!r}" for pointer, value in self.all if pointer.first(where) == value]


class SourceTable(msgspec.Struct, forbid_unknown_fields=True, rename={"source_class": "class"}):
    """`[source]`: a supplier that the hub does not know yet."""

    title: str
    stamp: Stamp
    source_class: SourceClass
    licence: str
    interval: float | None = None
    topic: str | None = None
    commercial_use: bool = True


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


class ReadingRule(msgspec.Struct, forbid_unknown_fields=True):
    """`[[message.reading]]`: where one value is and what it means; `key` looks it up in `[table]`."""

    value: Pointer
    quantity: str = ""
    key: Template | None = None
    unit: str | None = None
    unit_at: Pointers = Pointers([])
    channel: Template = Template("")
    factor: float = 1
    weight: Pointers = Pointers([])
    valid: Conditions = Conditions({})
    failed: list[float] = []
    nothing: list[float] = []

    def __post_init__(self) -> None:
        if bool(self.quantity) == bool(self.key):
            raise ValueError("expected a quantity or a key of [table], and not both")
        TableEntry(self.quantity, self.unit)


class MessageRule(msgspec.Struct, forbid_unknown_fields=True):
    """`[[message]]`: one shape of message, taken where `when` holds."""

    sensor: Template
    reading: list[ReadingRule]
    each: Pointers = Pointers("")
    has: list[Pointers] = []
    when: Conditions = Conditions({})
    skip: Conditions = Conditions({})
    require: list[Pointers] = []
    stamp: Pointers = Pointers([])
    stamp_text: Template | None = None
    until: Pointers = Pointers([])
    period: int = 0
    means: Stamp | None = None
    zone: ZoneInfo | None = None
    epoch: Literal["s", "ms"] | None = None
    written: str | None = None
    kind: str | None = None
    name: Pointers = Pointers([])
    lon: Pointers = Pointers([])
    lat: Pointers = Pointers([])


class MappingFile(msgspec.Struct, forbid_unknown_fields=True):
    """A whole file; its name is the name of the source."""

    message: list[MessageRule]
    source: SourceTable | None = None
    format: Literal["json", "csv"] = "json"
    delimiter: str = ","
    encoding: str = "utf-8-sig"
    decimal: Literal[".", ","] = "."
    unwrap: str | None = None
    table: dict[str, TableEntry] = {}

    def entry(self, key: str | None) -> TableEntry:
        """Give what a key measures; raises BadPayload for one that is not in the table."""
        if key not in self.table:
            known = f"one of {', '.join(self.table)}" if self.table else "an entry with its quantity"
            raise BadPayload(f"{key!r} is not in [table] of the mapping file, expected {known}")
        return self.table[key]


def load(path: Path) -> MappingFile:
    """Read a mapping file, and register the source it brings along; raises ValueError for a file that cannot work."""
    try:
        spec = msgspec.toml.decode(path.read_bytes(), type=MappingFile, dec_hook=_made)
        if spec.source is not None:
            add_source(Source(name=path.stem, **msgspec.structs.asdict(spec.source)))
        elif path.stem not in SOURCES:
            raise ValueError(f"source {path.stem!r} is not known, expected a [source] table or another file name")
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error
    return spec


def _made(kind: type, given: Any) -> Any:
    try:
        return kind(given)
    except KeyError as error:  # of ZoneInfo
        raise ValueError(str(error)) from error
