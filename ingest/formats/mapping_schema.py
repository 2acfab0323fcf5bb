"""
Payload formats without code: what a mapping file (TOML) may hold, checked when it is read.

`ingest.formats.registry` loads the files, `ingest.formats.mapping_reader` reads messages by them.
docs/adding-a-format.md walks through one. A file that cannot work is refused with its name, the key and the reason.
"""

from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from ingest.formats.pointers import check, tokens
from ingest.vocabulary.quantities import QUANTITIES, convert
from ingest.vocabulary.sources import SOURCES, Source, SourceClass, Stamp, add_source

Texts = str | list[str]


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
    """`[table.<key>]`: what one key of a supplier measures."""

    quantity: str
    unit: str | None = None
    sensor: str | None = None
    channel: str | None = None
    version: int = 0


class ReadingRule(msgspec.Struct, forbid_unknown_fields=True):
    """`[[message.reading]]`: where one value is and what it means; `key` looks it up in `[table]`."""

    value: str
    quantity: str | None = None
    key: Texts = []
    unit: str | None = None
    unit_at: Texts = []
    channel: Texts = ""
    factor: float = 1
    weight: str | None = None
    failed: list[float] = []
    nothing: list[float] = []


class MessageRule(msgspec.Struct, forbid_unknown_fields=True):
    """`[[message]]`: one shape of message, taken where `when` holds."""

    sensor: Texts
    reading: list[ReadingRule]
    each: Texts = ""
    has: list[str] = []
    when: dict[str, str | int | float | bool] = {}
    skip: dict[str, str | int | float | bool] = {}
    require: list[str] = []
    stamp: Texts = []
    until: Texts = []
    period: int = 0
    means: Stamp | None = None
    zone: str | None = None
    epoch: Literal["s", "ms"] | None = None
    written: str | None = None
    name: Texts = []
    lon: Texts = []
    lat: Texts = []


class MappingFile(msgspec.Struct, forbid_unknown_fields=True):
    """A whole file; its name is the name of the source."""

    message: list[MessageRule]
    source: SourceTable | None = None
    format: str = "json"
    delimiter: str = ","
    unwrap: str | None = None
    table: dict[str, TableEntry] = {}


def load(path: Path) -> MappingFile:
    """Read a mapping file, and register the source it brings along; raises ValueError for a file that cannot work."""
    try:
        spec = msgspec.toml.decode(path.read_bytes(), type=MappingFile)
        _check(spec)
        if spec.source is not None:
            add_source(Source(name=path.stem, **msgspec.structs.asdict(spec.source)))
        elif path.stem not in SOURCES:
            raise ValueError(f"source {path.stem!r} is not known, expected a [source] table or another file name")
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error
    return spec


def _check(spec: MappingFile) -> None:
    if spec.format not in ("json", "csv"):
        raise ValueError(f"format: {spec.format!r}, expected json or csv")
    for key, entry in spec.table.items():
        _check_quantity(f"table.{key}", entry.quantity, entry.unit)
    for at, rule in enumerate(spec.message):
        where = f"message[{at}]"
        pointers = (rule.each, rule.stamp, rule.until, rule.name, rule.lon, rule.lat)
        _try(where, tokens, [*rule.has, *rule.when, *rule.skip, *rule.require, *chain(*map(texts, pointers))])
        _try(f"{where}.sensor", check, texts(rule.sensor))
        _try(f"{where}.zone", ZoneInfo, [rule.zone] if rule.zone else [])
        for index, reading in enumerate(rule.reading):
            _check_reading(f"{where}.reading[{index}]", reading)


def _check_reading(where: str, rule: ReadingRule) -> None:
    if (rule.quantity is None) == (not rule.key):
        raise ValueError(f"{where}: expected a quantity or a key of [table], and not both")
    if rule.quantity is not None:
        _check_quantity(where, rule.quantity, rule.unit)
    _try(where, tokens, [rule.value, *texts(rule.unit_at), *([rule.weight] if rule.weight else [])])
    _try(where, check, [*texts(rule.channel), *texts(rule.key)])


def _check_quantity(where: str, quantity: str, unit: str | None) -> None:
    if quantity not in QUANTITIES:
        raise ValueError(f"{where}: quantity {quantity!r} is not in the registry")
    if unit is not None:
        _try(f"{where}.unit", lambda text: convert(0, text, QUANTITIES[quantity]), [unit])


def _try(where: str, reader: Callable[[str], object], values: Iterable[str]) -> None:
    for value in values:
        try:
            reader(value)
        except (ValueError, KeyError) as error:
            raise ValueError(f"{where}: {error}") from error


def texts(given: Texts) -> list[str]:
    """Give one text or several as a list."""
    return [given] if isinstance(given, str) else given
