"""
Reads messages by a mapping file: the payload format of every source that needs no code.

`ingest.formats.mapping_schema` says what such a file holds, `ingest.formats.pointers` finds what it points at.
"""

import csv
import io
import re
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
from ingest.vocabulary.readings import BadPayload, Flag, Message, Reading, SensorFact, Unreadable
from ingest.vocabulary.sources import SOURCES, SourceClass, rounded
from ingest.vocabulary.values import number, stamp

BOM = b"\xef\xbb\xbf"
_NOT_A_NUMBER = re.compile(rb'"(?:[^"\\]|\\.)*+"?|([+-]?\b(?:nan|inf(?:inity)?)\b)', re.IGNORECASE)  # outside of texts
_MIDNIGHT = re.compile(r"[T ]24:00(:00)?")


def mapped(source: str, spec: MappingFile) -> PayloadFormat:
    """Make the payload format that a mapping file describes."""
    return lambda message: in_order(_mapped(source, spec, message), message.received_at)


def _mapped(source: str, spec: MappingFile, message: Message) -> Iterator[Reading | SensorFact | Unreadable]:
    """Read what can be read; what cannot costs itself alone. Raises BadPayload where nothing can."""
    found: list[Reading | SensorFact] = []
    letters = []
    for document in _documents(spec, message.payload):
        wrong: list[str] = []
        found += _document(source, spec, document, message, wrong)
        if wrong:
            payload = msgspec.json.encode(document) if spec.format == "csv" else message.payload
            letters.append(Unreadable(payload, "; ".join(dict.fromkeys(wrong))))
    if letters and not found:
        raise BadPayload(letters[0].reason)
    yield from dict.fromkeys(one for one in found if isinstance(one, SensorFact))
    yield from (one for one in found if isinstance(one, Reading))
    yield from letters


def _document(
    source: str, spec: MappingFile, document: Any, message: Message, wrong: list[str]
) -> Iterator[Reading | SensorFact]:
    try:
        for part in _parts(source, spec, document, message):
            try:
                yield from _items(part, wrong)
            except BadPayload as error:
                wrong.append(str(error))
    except BadPayload as error:
        wrong.append(str(error))


def _documents(spec: MappingFile, payload: bytes) -> Iterator[Any]:
    try:
        if spec.format == "csv" and not payload.lstrip().startswith((b"[", b"{")):
            text = io.StringIO(payload.decode(spec.encoding))
            yield from csv.DictReader(text, delimiter=spec.delimiter, restval="")
        else:
            yield _json(payload.removeprefix(BOM).rstrip(b"\0"))
    except (msgspec.DecodeError, UnicodeDecodeError, csv.Error) as error:
        raise BadPayload(f"not {spec.format.upper()}: {error}") from error


def _json(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:  # a device may write what its broken chip gave: it failed
        return msgspec.json.decode(_NOT_A_NUMBER.sub(lambda found: b"null" if found[1] else found[0], text))


class _Part(NamedTuple):
    """One part of a message, and the rule that takes it."""

    source: str
    spec: MappingFile
    rule: MessageRule
    where: Where
    received_at: datetime


def _parts(source: str, spec: MappingFile, document: Any, message: Message) -> Iterator[_Part]:
    """Give every part of the document with the first rule that takes it; raises BadPayload where none does."""
    taken: dict[int, Any] = {}  # kept, so that no other part gets the same id
    for rule in spec.message:
        found = [list(pointer.find(Where(document))) for pointer in rule.each.each]
        for _, inner in next(filter(None, found), []):
            for one in inner if isinstance(inner, list) else [inner]:
                where = Where(one, message.topic, spec.unwrap)
                fits = len(rule.when.met(where)) == len(rule.when.all) and _lacks(rule.has, where) is None
                if fits and id(one) not in taken:
                    taken[id(one)] = one
                    yield _Part(source, spec, rule, where, message.received_at)
    if not taken:
        shapes = "; or ".join(map(_shape, spec.message))
        raise BadPayload(f"no part of the message is of a known shape, expected {shapes}")


def _lacks(wanted: list[Pointers], where: Where) -> Pointers | None:
    return next((pointer for pointer in wanted if pointer.first(where) is UNSET), None)


def _shape(rule: MessageRule) -> str:
    return ", ".join([*map(str, rule.has), *(f"{pointer} {value!r}" for pointer, value in rule.when.all)])


def _items(part: _Part, wrong: list[str]) -> Iterator[Reading | SensorFact]:
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
        try:
            yield from _readings(part, one, sensor, when)
        except BadPayload as error:
            wrong.append(str(error))


def _interval(part: _Part) -> Interval:
    rule, means = part.rule, part.rule.means or SOURCES[part.source].stamp
    text = rule.stamp_text.fill(part.where) if rule.stamp_text else None
    found = _stamp(rule, text or rule.stamp.given(part.where))
    if found is None:
        if means == "received":
            return Interval(part.received_at, rule.period, 0)
        raise BadPayload(f"no stamp in the message, expected one at {rule.stamp}")
    begin, _, end = found.partition("/")
    until = end or rule.until.given(part.where)
    if isinstance(until, str) and until:
        return interval(begin, until, rule.zone, ("stamp", "end"))
    length = timedelta(seconds=rule.period) if means == "end" else timedelta()
    start = stamp(begin, "stamp", rule.zone, end=length) - length
    flags = Flag.AMBIGUOUS.value if is_twice(begin, rule.zone) else 0
    return Interval(start, 0 if means == "instant" else rule.period, flags)


def _stamp(rule: MessageRule, found: Any) -> str | None:
    if rule.epoch and isinstance(found, str) and found.isdecimal():  # a cell of a CSV
        found = int(found)
    if rule.epoch and isinstance(found, int | float):
        return datetime.fromtimestamp(found / (1000 if rule.epoch == "ms" else 1), UTC).isoformat()
    if not isinstance(found, str) or not found:
        return None
    day = timedelta(days=bool(_MIDNIGHT.search(found)))  # 24:00 is the end of its day
    text = _MIDNIGHT.sub(lambda at: at[0].replace("24", "00"), found)
    try:
        # `zone` or %z says whose time it is
        read = datetime.strptime(text, rule.written) if rule.written else datetime.fromisoformat(text) if day else None  # noqa: DTZ007
    except ValueError:
        raise BadPayload(f"stamp {found[:50]!r}, expected one written as {rule.written or 'ISO 8601'}") from None
    return found if read is None else (read + day).isoformat()


def _facts(part: _Part, sensor_id: str) -> Iterator[SensorFact]:
    given, rule = part.rule.name.given(part.where), part.rule
    name, lon, lat = given if isinstance(given, str) else None, _degrees(part, rule.lon), _degrees(part, rule.lat)
    if SOURCES[part.source].source_class is SourceClass.CITIZEN:
        lon, lat = rounded(lon, lat)
    if (name, lon, lat) != (None, None, None):
        yield SensorFact(sensor_id, name, lon, lat, kind=rule.kind)


def _degrees(part: _Part, pointers: Pointers) -> float | None:
    for pointer in pointers.each:
        for _, value in pointer.find(part.where):
            if not isinstance(value, list | dict | bool) and value not in (None, ""):
                return _number(value, pointer.text, part.spec.decimal)
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
        value, weight, flags = _state(part, rule, entry, raw)
        yield Reading(
            sensor_id, channel, entry.quantity, when.period, when.start, value, weight, covers, flags | when.flags,
            version=entry.version,
        )  # fmt: skip


def _state(part: _Part, rule: ReadingRule, entry: TableEntry, raw: Any) -> tuple[float | None, float, int]:
    """Value in the registry's unit, weight and flags: a value, nothing to measure, or failed."""
    where, decimal = part.where, part.spec.decimal
    is_valid = all(str(pointer.given(where)) in texts for pointer, texts in rule.valid.all)
    value = _number(raw, rule.value.text, decimal) if raw is not None and is_valid else None
    if value is None or value in rule.failed:
        return None, 0.0, Flag.SOURCE_ERROR.value
    if value in rule.nothing:
        return None, 0.0, 0
    sent, weight, quantity = rule.unit_at.given(where), rule.weight.given(where), QUANTITIES[entry.quantity]
    unit = sent if isinstance(sent, str) else entry.unit or quantity.unit
    try:
        converted = convert(value * rule.factor, unit, quantity)
    except ValueError as error:
        raise BadPayload(f"{error}, at {rule.value.text}") from None
    if quantity.aggregation == "sum" and rule.factor == 1 and not converted.is_integer():
        raise BadPayload(f"{rule.value.text} {raw!r} of {quantity.name}, expected a whole number: see factor, decimal")
    return converted, 1.0 if weight is None else _number(weight, str(rule.weight), decimal), 0


def _number(value: Any, where: str, decimal: str) -> float:
    if isinstance(value, str):
        return number(value.replace(".", "").replace(",", ".") if decimal == "," else value, where)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadPayload(f"{where} is {str(value)[:50]!r}, expected a number")
    return float(value)
