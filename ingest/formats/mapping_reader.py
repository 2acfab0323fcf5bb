"""
Reads messages by a mapping file: the payload format of every source that needs no code.

`ingest.formats.mapping_schema` says what such a file holds, `ingest.formats.pointers` finds what it points at.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, assert_never
from zoneinfo import ZoneInfo

import msgspec

from ingest.formats.decode import PayloadFormat
from ingest.formats.mapping_schema import MappingFile, MessageRule, ReadingRule, TableEntry, Texts, texts
from ingest.formats.pointers import MISSING, fill, find, first
from ingest.vocabulary.quantities import QUANTITIES, convert
from ingest.vocabulary.readings import BadPayload, Flag, Message, NoSuchHour, Reading, SensorFact, Unreadable
from ingest.vocabulary.sources import SOURCES, Source, SourceClass, Stamp, rounded
from ingest.vocabulary.values import number, stamp


def mapped(source: str, spec: MappingFile) -> PayloadFormat:
    """Make the payload format that a mapping file describes."""
    return lambda message: _mapped(SOURCES[source], spec, message)


def _mapped(source: Source, spec: MappingFile, message: Message) -> Iterator[Reading | SensorFact | Unreadable]:
    facts = set()
    for document in _documents(spec, message.payload):
        try:
            items = [item for part in _parts(source, spec, document, message) for item in part.items()]
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


def _parts(source: Source, spec: MappingFile, document: Any, message: Message) -> "Iterator[_Part]":
    """Give every part of the document with the first rule that takes it; raises BadPayload where none does."""
    taken = False
    for rule in spec.message:
        inner = first(document, texts(rule.each))
        parts = inner if isinstance(inner, list) else [] if inner is MISSING else [inner]
        fitting = [part for one in parts if (part := _Part(source, spec, rule, one, message)).is_taken()]
        yield from fitting
        taken = taken or bool(fitting)
    if not taken:
        wanted = "; or ".join(str(rule.has or rule.when) for rule in spec.message)
        raise BadPayload(f"no part of the message is of a known shape, expected {wanted}")


@dataclass(frozen=True, slots=True)
class _Part:
    """One part of a message, and the rule that takes it."""

    source: Source
    spec: MappingFile
    rule: MessageRule
    document: Any
    message: Message

    def is_taken(self) -> bool:
        """Tell whether it has the shape that the rule is for."""
        return all(self._first([pointer]) is not MISSING for pointer in self.rule.has) and all(
            self._first([pointer]) == value for pointer, value in self.rule.when.items()
        )

    def items(self) -> Iterator[Reading | SensorFact]:
        """Give the fact about its sensor, where there is one, and its readings."""
        self._check()
        sensor = self._filled(self.rule.sensor)
        if sensor is None:
            raise BadPayload(f"nothing to name the sensor, expected one of {texts(self.rule.sensor)}")
        sensor_id = f"{self.source.name}/{sensor}"
        start, period = self._interval()
        fact = self._fact(sensor_id)
        if fact is not None:
            yield fact
        for rule in self.rule.reading:
            yield from self._readings(rule, sensor_id, start, period)

    def _first(self, pointers: Texts) -> Any:
        return first(self.document, texts(pointers), self.spec.unwrap)

    def _filled(self, templates: Texts, star: str = "") -> str | None:
        return fill(texts(templates), self.document, self.message.topic, self.spec.unwrap, star)

    def _check(self) -> None:
        for pointer, value in self.rule.skip.items():
            if self._first([pointer]) == value:
                raise BadPayload(f"skipped: {pointer} is {value!r}")
        for pointer in self.rule.require:
            if self._first([pointer]) is MISSING:
                raise BadPayload(f"no {pointer} in the message, expected one")

    def _interval(self) -> tuple[datetime, int]:
        """Give start and period (s)."""
        rule, means = self.rule, self.rule.means or self.source.stamp
        found = self._stamp()
        if found is None:
            if means is Stamp.RECEIVED:
                return self.message.received_at, rule.period
            raise BadPayload(f"no stamp in the message, expected one at {' or '.join(texts(rule.stamp))}")
        zone = ZoneInfo(rule.zone) if rule.zone else None
        begin, _, end = found.partition("/")
        start, until = stamp(begin, "stamp", zone), end or self._first(rule.until)
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

    def _stamp(self) -> str | None:
        rule, found = self.rule, self._first(self.rule.stamp)
        if rule.epoch and isinstance(found, str) and found.isdecimal():  # a cell of a CSV
            found = int(found)
        if rule.epoch and isinstance(found, int | float):
            return datetime.fromtimestamp(found / (1000 if rule.epoch == "ms" else 1), UTC).isoformat()
        if rule.written and isinstance(found, str):
            return _rewritten(found, rule.written)
        return found if isinstance(found, str) and found else None

    def _fact(self, sensor_id: str) -> SensorFact | None:
        name = self._first(self.rule.name)
        lon, lat = self._degrees(self.rule.lon), self._degrees(self.rule.lat)
        if self.source.source_class is SourceClass.CITIZEN:
            lon, lat = rounded(lon, lat)
        if lon is None and lat is None and not isinstance(name, str):
            return None
        return SensorFact(sensor_id, name if isinstance(name, str) else None, lon, lat)

    def _degrees(self, pointers: Texts) -> float | None:
        for pointer in texts(pointers):
            value = self._first([pointer])
            if value is not MISSING and not isinstance(value, list | dict | bool) and value not in (None, ""):
                return _number(value, pointer)
        return None

    def _readings(self, rule: ReadingRule, sensor_id: str, start: datetime, period: int) -> Iterator[Reading]:
        covers = None if period else self.source.interval
        for star, raw in find(self.document, rule.value, self.spec.unwrap):
            if self.spec.format == "csv" and raw == "":
                continue
            entry = self._entry(rule, star)
            sensor = f"{self.source.name}/{entry.sensor}" if entry.sensor else sensor_id
            channel = entry.channel or self._filled(rule.channel, star) or ""
            value, weight, flags = self._state(rule, entry, raw)
            yield Reading(
                sensor, channel, entry.quantity, period, start, value, weight, covers, flags, version=entry.version
            )

    def _entry(self, rule: ReadingRule, star: str) -> TableEntry:
        if rule.quantity is not None:
            return TableEntry(rule.quantity, rule.unit)
        key = self._filled(rule.key, star)
        if key is None or key not in self.spec.table:
            raise BadPayload(f"{key!r} is not in [table] of the mapping file, expected an entry with its quantity")
        return self.spec.table[key]

    def _state(self, rule: ReadingRule, entry: TableEntry, raw: Any) -> tuple[float | None, float, int]:
        """Value in the registry's unit, weight and flags: a value, nothing to measure, or failed."""
        value = None if raw is None else _number(raw, rule.value)
        if value is None or value in rule.failed:
            return None, 0.0, Flag.SOURCE_ERROR.value
        if value in rule.nothing:
            return None, 0.0, 0
        sent = self._first(rule.unit_at)
        unit = sent if isinstance(sent, str) and sent else entry.unit
        weight = self._first([rule.weight]) if rule.weight else MISSING
        quantity = QUANTITIES[entry.quantity]
        try:
            converted = convert(value * rule.factor, unit or quantity.unit, quantity)
        except ValueError as error:
            raise BadPayload(f"{error}, at {rule.value}") from None
        return converted, _number(weight, str(rule.weight)) if weight not in (MISSING, None) else 1.0, 0


def _rewritten(text: str, written: str) -> str:
    try:
        return datetime.strptime(text, written).isoformat()  # noqa: DTZ007 - `zone` or %z says whose time it is
    except ValueError:
        raise BadPayload(f"stamp {text[:50]!r}, expected one written as {written}") from None


def _number(value: Any, where: str) -> float:
    if isinstance(value, str):
        return number(value, where)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadPayload(f"{where} is {str(value)[:50]!r}, expected a number")
    return float(value)
