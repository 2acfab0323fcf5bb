"""
Reads messages by a mapping file: the payload format of every source that needs no code.

`ingest.formats.mapping_schema` says what such a file holds, `ingest.formats.pointers` finds what it points at.
"""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, assert_never
from zoneinfo import ZoneInfo

import msgspec

from ingest.formats.decode import PayloadFormat
from ingest.formats.mapping_schema import MappingFile, MessageRule, ReadingRule, TableEntry, texts
from ingest.formats.pointers import MISSING, fill, find, first
from ingest.vocabulary.quantities import QUANTITIES, convert
from ingest.vocabulary.readings import BadPayload, Flag, Message, NoSuchHour, Reading, SensorFact, Unreadable
from ingest.vocabulary.sources import SOURCES, Source, SourceClass, Stamp, rounded
from ingest.vocabulary.values import number, stamp


class Found(NamedTuple):
    """One sensor's part of a message: the rule that takes it, where it is, and its interval."""

    rule: MessageRule
    document: Any
    topic: str
    sensor_id: str
    start: datetime
    period: int


def mapped(source: str, spec: MappingFile) -> PayloadFormat:
    """Make the payload format that a mapping file describes."""
    return lambda message: _mapped(source, spec, message)


def _mapped(source: str, spec: MappingFile, message: Message) -> Iterator[Reading | SensorFact | Unreadable]:
    facts = set()
    for document in _documents(spec, message.payload):
        try:
            items = list(_items(source, spec, document, message))
        except NoSuchHour as error:
            yield Unreadable(msgspec.json.encode(document), str(error))
            continue
        for item in items:
            if isinstance(item, Reading) or item not in facts:
                yield item
            if isinstance(item, SensorFact):
                facts.add(item)


def _items(source: str, spec: MappingFile, document: Any, message: Message) -> Iterator[Reading | SensorFact]:
    for rule, one in _parts(spec, document):
        found = _found(source, spec, rule, one, message)
        fact = _fact(SOURCES[source], spec, found)
        if fact is not None:
            yield fact
        for reading in rule.reading:
            yield from _readings(source, spec, found, reading)


def _documents(spec: MappingFile, payload: bytes) -> Iterator[Any]:
    try:
        if spec.format == "csv" and not payload.lstrip().startswith((b"[", b"{")):
            yield from csv.DictReader(io.StringIO(payload.decode("utf-8-sig")), delimiter=spec.delimiter, restval="")
        else:
            yield msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, csv.Error) as error:
        raise BadPayload(f"not {spec.format.upper()}: {error}") from error


def _parts(spec: MappingFile, document: Any) -> Iterator[tuple[MessageRule, Any]]:
    """Give every part of the document with the first rule that takes it; raises BadPayload where none does."""
    taken = False
    for rule in spec.message:
        inner = first(document, texts(rule.each))
        parts = inner if isinstance(inner, list) else [] if inner is MISSING else [inner]
        fitting = [one for one in parts if _takes(rule, one, spec.unwrap)]
        yield from ((rule, one) for one in fitting)
        taken = taken or bool(fitting)
    if not taken:
        wanted = "; or ".join(str(rule.has or rule.when) for rule in spec.message)
        raise BadPayload(f"no part of the message is of a known shape, expected {wanted}")


def _takes(rule: MessageRule, document: Any, unwrap: str | None) -> bool:
    return all(first(document, [pointer], unwrap) is not MISSING for pointer in rule.has) and all(
        first(document, [pointer], unwrap) == value for pointer, value in rule.when.items()
    )


def _found(source: str, spec: MappingFile, rule: MessageRule, document: Any, message: Message) -> Found:
    for pointer, value in rule.skip.items():
        if first(document, [pointer], spec.unwrap) == value:
            raise BadPayload(f"skipped: {pointer} is {value!r}")
    for pointer in rule.require:
        if first(document, [pointer], spec.unwrap) is MISSING:
            raise BadPayload(f"no {pointer} in the message, expected one")
    sensor = fill(texts(rule.sensor), document, message.topic, spec.unwrap)
    if sensor is None:
        raise BadPayload(f"nothing to name the sensor, expected one of {texts(rule.sensor)}")
    start, period = _interval(SOURCES[source], spec, rule, document, message)
    return Found(rule, document, message.topic, f"{source}/{sensor}", start, period)


def _stamp(spec: MappingFile, rule: MessageRule, document: Any) -> str | None:
    found = first(document, texts(rule.stamp), spec.unwrap)
    if rule.epoch and isinstance(found, str) and found.isdecimal():  # a cell of a CSV
        found = int(found)
    if rule.epoch and isinstance(found, int | float):
        return datetime.fromtimestamp(found / (1000 if rule.epoch == "ms" else 1), UTC).isoformat()
    if rule.written and isinstance(found, str):
        return _rewritten(found, rule.written)
    return found if isinstance(found, str) and found else None


def _rewritten(text: str, written: str) -> str:
    try:
        return datetime.strptime(text, written).isoformat()  # noqa: DTZ007 - `zone` or %z says whose time it is
    except ValueError:
        raise BadPayload(f"stamp {text[:50]!r}, expected one written as {written}") from None


def _interval(
    source: Source, spec: MappingFile, rule: MessageRule, document: Any, message: Message
) -> tuple[datetime, int]:
    means = rule.means or source.stamp
    found = _stamp(spec, rule, document)
    if found is None:
        if means is Stamp.RECEIVED:
            return message.received_at, rule.period
        raise BadPayload(f"no stamp in the message, expected one at {' or '.join(texts(rule.stamp))}")
    zone = ZoneInfo(rule.zone) if rule.zone else None
    begin, _, end = found.partition("/")
    until = first(document, texts(rule.until), spec.unwrap) if texts(rule.until) and not end else end
    start = stamp(begin, "stamp", zone)
    if isinstance(until, str) and until:
        return start, int((stamp(until, "end", zone, end=True) - start).total_seconds())
    match means:
        case Stamp.END:
            return start - timedelta(seconds=rule.period), rule.period
        case Stamp.START | Stamp.RECEIVED:
            return start, rule.period
        case Stamp.INSTANT:
            return start, 0
        case _ as never:
            assert_never(never)


def _fact(source: Source, spec: MappingFile, found: Found) -> SensorFact | None:
    rule = found.rule
    name = first(found.document, texts(rule.name), spec.unwrap)
    lon, lat = (_degrees(found.document, texts(pointers), spec.unwrap) for pointers in (rule.lon, rule.lat))
    if source.source_class is SourceClass.CITIZEN:
        lon, lat = rounded(lon, lat)
    if lon is None and lat is None and not isinstance(name, str):
        return None
    return SensorFact(found.sensor_id, name if isinstance(name, str) else None, lon, lat)


def _degrees(document: Any, pointers: list[str], unwrap: str | None) -> float | None:
    for pointer in pointers:
        value = first(document, [pointer], unwrap)
        if value is not MISSING and not isinstance(value, list | dict | bool) and value not in (None, ""):
            return _number(value, pointer)
    return None


def _number(value: Any, where: str) -> float:
    if isinstance(value, str):
        return number(value, where)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadPayload(f"{where} is {str(value)[:50]!r}, expected a number")
    return float(value)


def _readings(source: str, spec: MappingFile, found: Found, rule: ReadingRule) -> Iterator[Reading]:
    covers = SOURCES[source].interval if not found.period else None
    for star, raw in find(found.document, rule.value, spec.unwrap):
        if spec.format == "csv" and raw == "":
            continue
        entry = _entry(spec, found, rule, star)
        sensor_id = f"{source}/{entry.sensor}" if entry.sensor else found.sensor_id
        channel = entry.channel or fill(texts(rule.channel), found.document, found.topic, spec.unwrap, star) or ""
        value, weight, flags = _state(spec, found, rule, entry, raw)
        yield Reading(
            sensor_id, channel, entry.quantity, found.period, found.start, value, weight, covers, flags,
            version=entry.version,
        )  # fmt: skip


def _entry(spec: MappingFile, found: Found, rule: ReadingRule, star: str) -> TableEntry:
    if rule.quantity is not None:
        return TableEntry(rule.quantity, rule.unit)
    key = fill(texts(rule.key), found.document, found.topic, spec.unwrap, star)
    if key is None or key not in spec.table:
        raise BadPayload(f"{key!r} is not in [table] of the mapping file, expected an entry with its quantity")
    return spec.table[key]


def _state(
    spec: MappingFile, found: Found, rule: ReadingRule, entry: TableEntry, raw: Any
) -> tuple[float | None, float, int]:
    """Value in the registry's unit, weight and flags: a value, nothing to measure, or failed."""
    value = None if raw is None else _number(raw, rule.value)
    if value is None or value in rule.failed:
        return None, 0.0, Flag.SOURCE_ERROR.value
    if value in rule.nothing:
        return None, 0.0, 0
    sent = first(found.document, texts(rule.unit_at), spec.unwrap)
    unit = sent if isinstance(sent, str) and sent else entry.unit
    weight = first(found.document, [rule.weight], spec.unwrap) if rule.weight else MISSING
    quantity = QUANTITIES[entry.quantity]
    try:
        converted = convert(value * rule.factor, unit or quantity.unit, quantity)
    except ValueError as error:
        raise BadPayload(f"{error}, at {rule.value}") from None
    return converted, _number(weight, str(rule.weight)) if weight not in (MISSING, None) else 1.0, 0
