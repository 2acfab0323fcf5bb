"""
Reads messages by a mapping file: the payload format of every source that needs no code.

`ingest.formats.mapping_schema` says what such a file holds, `ingest.formats.pointers` finds what it points at.
"""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from ingest.formats.decode import PayloadFormat
from ingest.formats.local_time import Interval, in_order, interval, is_twice
from ingest.formats.mapping_schema import MappingFile, MessageRule, ReadingRule, TableEntry
from ingest.formats.pointers import Pointers, Where
from ingest.vocabulary.quantities import QUANTITIES, convert
from ingest.vocabulary.readings import BadPayload, Flag, Message, NoSuchHour, Reading, SensorFact, Unreadable
from ingest.vocabulary.sources import SOURCES, SourceClass, Stamp, rounded
from ingest.vocabulary.values import number, stamp


def mapped(source: str, spec: MappingFile) -> PayloadFormat:
    """Make the payload format that a mapping file describes."""
    return lambda message: in_order(_mapped(source, spec, message), message.received_at)


def _mapped(source: str, spec: MappingFile, message: Message) -> Iterator[Reading | SensorFact | Unreadable]:
    facts = set()
    for document in _documents(spec, message.payload):
        try:
            items = [item for part in _parts(source, spec, document, message) for item in _items(part)]
        except NoSuchHour as error:
            yield Unreadable(msgspec.json.encode(document), str(error))
            continue
        for item in items:
            if isinstance(item, Reading) or item not in facts:
                yield item
            if isinstance(item, SensorFact):
                facts.add(item)


def _documents(spec: MappingFile, payload: bytes) -> Iterator[Any]:
    try:
        if spec.format == "csv" and not payload.lstrip().startswith((b"[", b"{")):
            yield from csv.DictReader(io.StringIO(payload.decode("utf-8-sig")), delimiter=spec.delimiter, restval="")
        else:
            yield msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, csv.Error) as error:
        raise BadPayload(f"not {spec.format.upper()}: {error}") from error


class _Part(NamedTuple):
    """One part of a message, and the rule that takes it."""

    source: str
    spec: MappingFile
    rule: MessageRule
    where: Where
    received_at: datetime


def _parts(source: str, spec: MappingFile, document: Any, message: Message) -> Iterator[_Part]:
    """Give every part of the document with the first rule that takes it; raises BadPayload where none does."""
    taken = False
    for rule in spec.message:
        inner = rule.each.first(Where(document))
        for one in inner if isinstance(inner, list) else [] if inner is UNSET else [inner]:
            where = Where(one, message.topic, spec.unwrap)
            if len(rule.when.met(where)) == len(rule.when.all) and _lacks(rule.has, where) is None:
                taken = True
                yield _Part(source, spec, rule, where, message.received_at)
    if not taken:
        raise BadPayload(
            f"no part of the message is of a known shape, expected {'; or '.join(map(_shape, spec.message))}"
        )


def _lacks(wanted: list[Pointers], where: Where) -> Pointers | None:
    return next((pointer for pointer in wanted if pointer.first(where) is UNSET), None)


def _shape(rule: MessageRule) -> str:
    return ", ".join([*map(str, rule.has), *(f"{pointer} {value!r}" for pointer, value in rule.when.all)])


def _items(part: _Part) -> Iterator[Reading | SensorFact]:
    """Give the fact about the part's sensor, where there is one, and its readings."""
    rule, where = part.rule, part.where
    if skipped := rule.skip.met(where):
        raise BadPayload(f"skipped: {skipped[0]}")
    if lacking := _lacks(rule.require, where):
        raise BadPayload(f"no {lacking} in the message, expected one")
    sensor = rule.sensor.fill(where)
    if sensor is None:
        raise BadPayload(f"nothing to name the sensor, expected one of {rule.sensor.texts}")
    when = _interval(part)
    yield from _facts(part, f"{part.source}/{sensor}")
    for one in rule.reading:
        yield from _readings(part, one, sensor, when)


def _interval(part: _Part) -> Interval:
    rule, means = part.rule, part.rule.means or SOURCES[part.source].stamp
    found = _stamp(rule, rule.stamp.first(part.where))
    if found is None:
        if means is Stamp.RECEIVED:
            return Interval(part.received_at, rule.period, 0)
        raise BadPayload(f"no stamp in the message, expected one at {rule.stamp}")
    begin, _, end = found.partition("/")
    until = end or rule.until.first(part.where)
    if isinstance(until, str) and until:
        return interval(begin, until, rule.zone, ("stamp", "end"))
    length = timedelta(seconds=rule.period) if means is Stamp.END else timedelta()
    start = stamp(begin, "stamp", rule.zone, end=length) - length
    flags = Flag.AMBIGUOUS.value if is_twice(begin, rule.zone) else 0
    return Interval(start, 0 if means is Stamp.INSTANT else rule.period, flags)


def _stamp(rule: MessageRule, found: Any) -> str | None:
    if rule.epoch and isinstance(found, str) and found.isdecimal():  # a cell of a CSV
        found = int(found)
    if rule.epoch and isinstance(found, int | float):
        return datetime.fromtimestamp(found / (1000 if rule.epoch == "ms" else 1), UTC).isoformat()
    if not isinstance(found, str) or not found:
        return None
    try:
        # `zone` or %z says whose time it is
        return datetime.strptime(found, rule.written).isoformat() if rule.written else found  # noqa: DTZ007
    except ValueError:
        raise BadPayload(f"stamp {found[:50]!r}, expected one written as {rule.written}") from None


def _facts(part: _Part, sensor_id: str) -> Iterator[SensorFact]:
    given, rule = part.rule.name.first(part.where), part.rule
    name, lon, lat = given if isinstance(given, str) else None, _degrees(part, rule.lon), _degrees(part, rule.lat)
    if SOURCES[part.source].source_class is SourceClass.CITIZEN:
        lon, lat = rounded(lon, lat)
    if (name, lon, lat) != (None, None, None):
        yield SensorFact(sensor_id, name, lon, lat, kind=rule.kind)


def _degrees(part: _Part, pointers: Pointers) -> float | None:
    for pointer in pointers.each:
        for _, value in pointer.find(part.where):
            if not isinstance(value, list | dict | bool) and value not in (None, ""):
                return _number(value, pointer.text)
    return None


def _readings(part: _Part, rule: ReadingRule, sensor: str, when: Interval) -> Iterator[Reading]:
    covers = None if when.period else SOURCES[part.source].interval
    for star, raw in rule.value.find(part.where):
        if part.spec.format == "csv" and raw == "":
            continue
        entry = part.spec.entry(rule.key.fill(part.where, star)) if rule.key else TableEntry(rule.quantity, rule.unit)
        if not entry.quantity:
            continue
        channel = entry.channel or rule.channel.fill(part.where, star) or ""
        sensor_id = f"{part.source}/{entry.sensor or sensor}"
        value, weight, flags = _state(part.where, rule, entry, raw)
        yield Reading(
            sensor_id, channel, entry.quantity, when.period, when.start, value, weight, covers, flags | when.flags,
            version=entry.version,
        )  # fmt: skip


def _state(where: Where, rule: ReadingRule, entry: TableEntry, raw: Any) -> tuple[float | None, float, int]:
    """Value in the registry's unit, weight and flags: a value, nothing to measure, or failed."""
    value = None if raw is None else _number(raw, rule.value.text)
    if value is None or value in rule.failed:
        return None, 0.0, Flag.SOURCE_ERROR.value
    if value in rule.nothing:
        return None, 0.0, 0
    sent, weight, quantity = rule.unit_at.first(where), rule.weight.first(where), QUANTITIES[entry.quantity]
    unit = sent if isinstance(sent, str) and sent else entry.unit or quantity.unit
    try:
        converted = convert(value * rule.factor, unit, quantity)
    except ValueError as error:
        raise BadPayload(f"{error}, at {rule.value.text}") from None
    return converted, 1.0 if weight is UNSET or weight is None else _number(weight, str(rule.weight)), 0


def _number(value: Any, where: str) -> float:
    if isinstance(value, str):
        return number(value, where)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadPayload(f"{where} is {str(value)[:50]!r}, expected a number")
    return float(value)
