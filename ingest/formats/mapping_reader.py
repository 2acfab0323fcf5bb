"""
Reads messages by a mapping file: the payload format of every source that needs no code.

`ingest.formats.mapping_schema` says what such a file holds, `ingest.formats.documents` makes documents of payloads, and
`ingest.formats.pointers` finds what the file points at.
"""

import csv
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from ingest.formats import documents
from ingest.formats.cells import among, check_whole, figure
from ingest.formats.local_time import Interval, in_order, interval, is_twice
from ingest.formats.mapping_schema import MappingFile, ReadingRule, TableEntry, check_unit
from ingest.formats.parts import Part, lacks, note, parts
from ingest.formats.pointers import Pointers, every_pointer
from ingest.formats.stamps import calendar_step, iso
from ingest.vocabulary.quantities import QUANTITIES, convert
from ingest.vocabulary.readings import (
    RUNNING_TOTAL,
    BadPayload,
    Flag,
    Identity,
    Message,
    Reading,
    SensorFact,
    Status,
    Unreadable,
    microseconds,
)
from ingest.vocabulary.sources import SOURCES, SourceClass, rounded
from ingest.vocabulary.values import stamp

_INDOOR = {**dict.fromkeys(("1", "true", "indoor", "inside"), True),
           **dict.fromkeys(("0", "false", "outdoor", "outside"), False)}  # fmt: skip
CLOCK = 2000  # a device whose clock was never set says a year before


class MappedFormat:
    """The payload format that a mapping file describes."""

    def __init__(self, source: str, spec: MappingFile) -> None:
        self.source, self.spec, self.columns = source, spec, spec.columns()
        self.selectors = {name for pointer in every_pointer(spec.message) for _, name in pointer.selectors}

    def __call__(self, message: Message) -> Iterator[Reading | SensorFact | Identity | Unreadable]:
        """Read what can be read; what cannot costs itself alone. Raises BadPayload where nothing can."""
        return in_order(self._read(message), message.received_at)

    def _read(self, message: Message) -> Iterator[Reading | SensorFact | Identity | Unreadable]:
        found: list[Reading | SensorFact | Identity] = []
        letters = []
        for document in self.documents(message):
            wrong: list[str] = []
            found += self._document(document, message, wrong)
            if wrong:
                is_row = self.spec.format == "csv" and isinstance(document, dict)
                payload = documents.row(document) if is_row else message.payload
                letters.append(Unreadable(payload, "; ".join(dict.fromkeys(wrong))))
            note(self.source, self.spec, self.selectors, document, message)
        if letters and not found:
            raise BadPayload(letters[0].reason)
        yield from dict.fromkeys(one for one in found if not isinstance(one, Reading))
        yield from (one for one in found if isinstance(one, Reading))
        yield from letters

    def _document(self, document: Any, message: Message, wrong: list[str]) -> Iterator[Reading | SensorFact | Identity]:
        try:
            if isinstance(document, dict) and (beyond := document.get(documents.TOO_LONG)):
                raise BadPayload(f"{beyond!r} beyond the last column, expected none: see delimiter")
            for part in parts(self.source, self.spec, document, message):
                try:
                    yield from _items(part, wrong)
                except BadPayload as error:
                    wrong.append(str(error))
        except BadPayload as error:
            wrong.append(str(error))

    def documents(self, message: Message) -> Iterator[Any]:
        """Give the documents of a message; raises BadPayload for a payload that is not of the file's format."""
        spec = self.spec
        try:
            text = documents.decoded(message.payload, spec.encoding).strip("\ufeff\0")
            if spec.format == "csv" and not text.lstrip().startswith(("[", "{")):
                yield from documents.csv_rows(text, spec.delimiter, self.columns)
                return
            document = documents.json_document(text, short_names=spec.short_names)
            yield list(documents.senml(document, message.received_at)) if spec.format == "senml" else document
        except (UnicodeDecodeError, csv.Error) as error:
            raise BadPayload(f"not {spec.format.upper()}: {error}") from error


def _items(part: Part, wrong: list[str]) -> Iterator[Reading | SensorFact | Identity]:
    """Give the fact about the part's sensor, where there is one, and its readings."""
    rule, where = part.rule, part.where
    if skipped := rule.skip.met(where):
        raise BadPayload(f"skipped: {skipped[0]}")
    if lacking := lacks(rule.require, where):
        raise BadPayload(f"no {lacking} in the message, expected one")
    sensor = rule.sensor.fill(where)
    if sensor is None:
        raise BadPayload(f"nothing to name the sensor, expected one of {rule.sensor.texts}")
    try:
        yield from _facts(part, f"{part.source}/{sensor}")
    except BadPayload as error:
        wrong.append(str(error))
    try:
        when: Interval | BadPayload = _interval(part, rule.stamp)
    except BadPayload as error:
        when = error
        if not any(one.stamp.each for one in rule.reading):
            raise
    named = rule.identity.fill(where) if rule.identity else None
    if named and isinstance(when, Interval) and when.start == part.received_at:
        yield Identity(f"{part.source} {named}", f"{part.source}/{sensor}", microseconds(when.start))
    for one in rule.reading:
        yield from _readings(part, one, sensor, when, wrong)


def _interval(part: Part, stamps: Pointers) -> Interval:
    """Read the first stamp that can be read; one of a clock that was never set only where there is no other."""
    rule, means = part.rule, part.rule.means or SOURCES[part.source].stamp
    text = rule.stamp_text.fill(part.where) if rule.stamp_text else None
    unset = wrong = None
    for found in [text] if text else stamps.all_given(part.where):
        try:
            one = _span(part, found, means)
        except BadPayload as error:
            wrong = wrong or error
            continue
        if one.start.year >= CLOCK:
            return one
        unset = unset or one
    if means == "received":
        return Interval(part.received_at, rule.period if isinstance(rule.period, int) else 0, 0)
    if unset:
        return unset
    raise wrong or BadPayload(f"no stamp in the message, expected one at {rule.stamp_text or stamps}")


def _span(part: Part, found: Any, means: str) -> Interval:
    """Read one stamp, with the end that stands beside it or at `until`."""
    rule, forms = part.rule, [part.rule.written] if isinstance(part.rule.written, str) else part.rule.written
    begin, _, end = found.partition("/") if isinstance(found, str) and not forms else (found, "", "")
    begin, until = iso(begin, rule.epoch, forms), end or rule.until.given(part.where)
    if until is not None:
        return interval(begin, iso(until, rule.epoch, forms), rule.zone, ("stamp", "end"))
    flags = Flag.AMBIGUOUS.value if is_twice(begin, rule.zone) else 0
    if rule.zone is not None and isinstance(rule.period, str):
        moment = stamp(begin, "stamp", rule.zone)
        ends = [moment, calendar_step(moment, rule.period, rule.zone, -1 if means == "end" else 1)]
        return Interval(min(ends), int(abs(ends[1] - ends[0]).total_seconds()), flags)
    length = timedelta(seconds=int(rule.period) if means == "end" else 0)
    start = stamp(begin, "stamp", rule.zone, end=length) - length
    return Interval(start, 0 if means == "instant" else int(rule.period), flags)


def _facts(part: Part, sensor_id: str) -> Iterator[SensorFact]:
    given, rule = part.rule.name.given(part.where), part.rule
    name, lon, lat = given if isinstance(given, str) else None, _degrees(part, rule.lon), _degrees(part, rule.lat)
    if SOURCES[part.source].source_class is SourceClass.CITIZEN:
        lon, lat = rounded(lon, lat)
    indoor = _INDOOR.get(str(rule.indoor.given(part.where)).lower())
    if (name, lon, lat, indoor) != (None, None, None, None):
        yield SensorFact(sensor_id, name, lon, lat, kind=rule.kind, indoor=indoor)


def _degrees(part: Part, pointers: Pointers) -> float | None:
    found = (value for value in pointers.all_given(part.where) if not isinstance(value, list | dict | bool))
    return next((figure(value, str(pointers), part.spec.decimal) for value in found), None)


def _readings(
    part: Part, rule: ReadingRule, sensor: str, when: Interval | BadPayload, wrong: list[str]
) -> Iterator[Reading]:
    for star, raw in rule.value.find(part.where):
        is_absent = among(raw, part.spec.absent) or (part.spec.format == "csv" and raw == "")
        if is_absent and not _says_failed(part, rule):
            continue
        try:
            yield from _reading(part, rule, sensor, when, star, raw)
        except BadPayload as error:
            wrong.append(str(error))


def _reading(
    part: Part, rule: ReadingRule, sensor: str, when: Interval | BadPayload, star: str, raw: Any
) -> Iterator[Reading]:
    """Give the reading of one value, unless its key is one to leave out."""
    entry = part.spec.entry(rule.key.fill(part.where, star)) if rule.key else TableEntry(rule.quantity, rule.unit)
    if not entry.quantity:
        return
    if rule.stamp.given(part.where) is not None:
        when = _interval(part, rule.stamp)
    if isinstance(when, BadPayload):
        raise when
    if rule.total:
        when = _until(part, when)
    covers = None if when.period else SOURCES[part.source].interval
    value, weight, flags = _state(part, rule, entry, raw)
    is_validated = bool(rule.validated.all) and rule.validated.hold(part.where)
    yield Reading(
        f"{part.source}/{entry.sensor or sensor}", entry.channel or rule.channel.fill(part.where, star) or "",
        entry.quantity, when.period, when.start, value, weight, covers, flags | when.flags,
        Status.VALIDATED if is_validated else Status.PROVISIONAL, entry.version,
    )  # fmt: skip


def _until(part: Part, when: Interval) -> Interval:
    """Give the period that ends where a running total was read."""
    back = 0 if (part.rule.means or SOURCES[part.source].stamp) == "end" else int(part.rule.period)
    start = when.start - timedelta(seconds=back)
    return Interval(start, int(part.rule.period), when.flags | RUNNING_TOTAL)


def _state(part: Part, rule: ReadingRule, entry: TableEntry, raw: Any) -> tuple[float | None, float, int]:
    """Value in the registry's unit, weight and flags: a value, nothing to measure, or failed."""
    where, quantity = part.where, QUANTITIES[entry.quantity]
    if raw is None or among(raw, rule.failed) or _says_failed(part, rule) or not rule.valid.hold(where):
        return None, 0.0, Flag.SOURCE_ERROR.value
    if among(raw, rule.nothing):
        return None, 0.0, 0
    value, weight = _value(part, rule, raw), rule.weight.given(where)
    if value in rule.failed or value in rule.nothing:
        return None, 0.0, Flag.SOURCE_ERROR.value if value in rule.failed else 0
    converted = _converted(part, rule, entry, value)
    if quantity.aggregation == "sum" and rule.factor == 1 and not SOURCES[part.source].fractions:
        check_whole(raw, converted, rule.value.text, part.spec.decimal)
    return converted, 1.0 if weight is None else figure(weight, str(rule.weight), part.spec.decimal), 0


def _says_failed(part: Part, rule: ReadingRule) -> bool:
    """Tell whether another member says that the measurement failed."""
    is_given = any(pointer.given(part.where) is not None for pointer, _ in rule.valid.all)
    return bool(rule.failed_when.met(part.where)) or (is_given and not rule.valid.hold(part.where))


def _value(part: Part, rule: ReadingRule, raw: Any) -> float:
    """Read a number; one below a limit of detection, `<1.2`, is the share `below` of it."""
    if rule.below is not None and isinstance(raw, str) and raw.startswith("<"):
        return rule.below * figure(raw[1:], rule.value.text, part.spec.decimal)
    return figure(raw, rule.value.text, part.spec.decimal)


def _converted(part: Part, rule: ReadingRule, entry: TableEntry, value: float) -> float:
    sent, quantity = rule.unit_at.given(part.where), QUANTITIES[entry.quantity]
    unit = sent.strip() if isinstance(sent, str) else entry.unit
    unit = part.spec.units.get(unit or "", unit)
    try:
        if rule.unit_at.each:
            check_unit(entry.quantity, unit)
        return convert(value * rule.factor, quantity.unit if unit is None else unit, quantity)
    except ValueError as error:
        raise BadPayload(f"{error}, at {rule.value.text}") from None
