"""
Reads messages by a mapping file: the payload format of every source that needs no code.

`ingest.formats.mapping_schema` says what such a file holds, `ingest.formats.documents` makes documents of payloads,
`ingest.formats.parts` finds the rule of each part, and `ingest.formats.states` what its values mean.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, timedelta
from itertools import pairwise
from typing import Any

from msgspec import UNSET, structs

from ingest.formats import documents
from ingest.formats.cells import figure
from ingest.formats.mapping_schema import MappingFile, ReadingRule, TableEntry
from ingest.formats.parts import Part, lacks, note, parts
from ingest.formats.pointers import Pointers, Star, every_pointer
from ingest.formats.stamps import WORDS, Calendar, Interval, calendar_step, ends, in_order, interval, is_twice, iso
from ingest.formats.states import chosen, covered, in_directions, state, values
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
from ingest.vocabulary.sources import SOURCES, rounded
from ingest.vocabulary.values import stamp

_CIVIL: dict[int, Calendar] = {86_400: "day", 604_800: "week"}
CLOCK = 2000  # a device whose clock was never set says a year before
Found = Reading | SensorFact | Identity


class MappedFormat:
    """The payload format that a mapping file describes."""

    def __init__(self, source: str, spec: MappingFile) -> None:
        self.source, self.spec, self.columns = source, spec, spec.named
        self.selectors = {name for pointer in every_pointer(spec.message) for _, name in pointer.selectors}

    def __call__(self, message: Message) -> Iterator[Found | Unreadable]:
        """Read what can be read; what cannot costs itself alone. Raises BadPayload where nothing can."""
        found: list[Found] = []
        letters = []
        every = [self._parts(document, message) for document in documents.read(message, self.spec, self.columns)]
        _tell_step([part for _, taken, _ in every for part in taken if part.rule.period == "step"])
        directed = in_directions(part for _, taken, _ in every for part in taken)
        for document, taken, wrong in every:
            for part in taken:
                try:
                    found += _items(part, part.sensor in directed, wrong)
                except BadPayload as error:
                    wrong.append(str(error))
            if wrong:
                letters.append((document, "; ".join(dict.fromkeys(wrong))))
            note(self.source, self.spec, self.selectors, document, message)
        if letters and not found:
            raise BadPayload(letters[0][1])
        readings = [one for one in found if isinstance(one, Reading)]
        others = dict.fromkeys(one for one in found if not isinstance(one, Reading))
        yield from _with_lanes(others, readings) if self.spec.lanes else others
        yield from in_order(readings, message.received_at)
        for document, reason in letters:
            payload = message.payload
            if self.spec.format == "csv":  # a row alone, to be published again
                payload = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
            yield Unreadable(payload, reason)

    def _parts(self, document: Any, message: Message) -> tuple[Any, list[Part], list[str]]:
        """Give a document with its parts and what is wrong with it."""
        try:
            if isinstance(document, dict) and (beyond := document.get(documents.TOO_LONG)):
                raise BadPayload(f"{beyond!r} {documents.TOO_LONG}, expected none: see delimiter")
            return document, list(parts(self.source, self.spec, document, message)), []
        except BadPayload as error:
            return document, [], [str(error)]


def _with_lanes(others: Iterable[Found], readings: Sequence[Reading]) -> Iterator[Found]:
    """Tell of every sensor the lanes or directions that its channels name."""
    lanes: dict[str, set[str]] = {}
    for reading in readings:
        lanes.setdefault(reading.sensor_id, set()).add(reading.channel.partition("/")[0])
    facts = {one.sensor_id: one for one in others if isinstance(one, SensorFact)}
    yield from (one for one in others if not isinstance(one, SensorFact))
    for sensor_id, fact in (dict.fromkeys(lanes) | facts).items():
        count = len(lanes.get(sensor_id, set()) - {""}) or 1
        yield structs.replace(fact or SensorFact(sensor_id), lanes=count)


def _tell_step(parts: Sequence[Part]) -> None:
    """Tell parts the step between the stamps of their message by the clock, which is their period."""
    moments = set()
    for part in parts:
        with suppress(BadPayload):
            moments.add(_interval(part).start.astimezone(part.rule.zone or UTC).replace(tzinfo=None))
    step = min((int((after - before).total_seconds()) for before, after in pairwise(sorted(moments))), default=0)
    for part in parts:
        part.step = _CIVIL.get(step, step) if part.rule.zone else step


def _items(part: Part, is_in_directions: bool, wrong: list[str]) -> Iterator[Found]:
    """Give the fact about the part's sensor, where there is one, and its readings."""
    rule, where = part.rule, part.where
    if skipped := rule.skip.met(where):
        raise BadPayload(f"skipped: {skipped}")
    if unmet := rule.expect.unmet(where):
        raise BadPayload(unmet)
    if lacking := lacks(rule.require, where, empty=(UNSET, "")):
        raise BadPayload(f"no {lacking} in the message, expected one")
    if rule.period == "step" and not part.step:
        raise BadPayload("one stamp alone, expected two or more to tell the period by")
    if part.sensor is None:
        raise BadPayload(f"nothing to name the sensor, expected one of {rule.sensor.texts}")
    sensor_id = f"{part.source}/{part.sensor}"
    try:
        yield from _facts(part, sensor_id)
    except BadPayload as error:
        wrong.append(str(error))
    when = None if any(one.stamp.each for one in rule.reading) else _interval(part)
    named = rule.identity.fill(where) if rule.identity else None
    if named and (when is None or when.start == part.received_at):
        yield Identity(f"{part.source} {named}", sensor_id, microseconds(part.received_at))
    for one in chosen(part, is_in_directions):
        for star, raw in values(part, one):
            try:
                entry = part.spec.entry(one.key.fill(where, star)) if one.key else one.entry
                if entry.quantity:  # else a key to leave out
                    yield _reading(part, when or _interval(part, one.stamp), one, entry, star, raw)
            except BadPayload as error:
                wrong.append(str(error))


def _reading(part: Part, when: Interval, rule: ReadingRule, entry: TableEntry, star: Star, raw: Any) -> Reading:
    """Give the reading of one value."""
    if rule.total:  # of the period that ends where it was read
        back = 0 if part.means == "end" else int(part.period)
        when = Interval(when.start - timedelta(seconds=back), int(part.period), when.flags | RUNNING_TOTAL)
    seen = covered(part, when.period)
    covers = seen.seconds if seen else None if when.period else SOURCES[part.source].interval
    value, weight, flags = state(part, rule, entry, raw, seen)
    is_validated = bool(rule.validated.all) and rule.validated.hold(part.where)
    sensor = entry.sensor or (rule.sensor.fill(part.where, star) if rule.sensor else part.sensor)
    channel = entry.channel or rule.channel.fill(part.where, star) or ""
    return Reading(
        f"{part.source}/{sensor or ''}", part.spec.word(channel), entry.quantity, when.period, when.start, value,
        weight, covers, flags | when.flags, Status.VALIDATED if is_validated else Status.PROVISIONAL, entry.version,
    )  # fmt: skip


def _interval(part: Part, own: Pointers | None = None) -> Interval:
    """
    Read the first stamp that can be read, those of `own`, a value's, before the part's.

    One of a clock that was never set is read only where there is no other.
    """
    rule, where = part.rule, part.where
    text = rule.stamp_text.fill(where) if rule.stamp_text else None
    unset = wrong = None
    for found in [*(own.all_given(where) if own else ()), *([text] if text else rule.stamp.all_given(where))]:
        try:
            one = _span(part, found)
        except BadPayload as error:
            wrong = wrong or error
            continue
        if one.start.year >= CLOCK:
            return one
        unset = unset or one
    if part.means == "received":
        return Interval(part.received_at, part.period if isinstance(part.period, int) else 0, 0)
    if unset:
        return unset
    raise wrong or BadPayload(f"no stamp in the message, expected one at {rule.stamp_text or rule.stamp}")


def _span(part: Part, found: Any) -> Interval:
    """Read one stamp, with the end that stands beside it or at `until`."""
    rule, forms = part.rule, [part.rule.written] if isinstance(part.rule.written, str) else part.rule.written
    begin, end = ends(found) if isinstance(found, str) and not forms else (found, "")
    begin, until = iso(begin, rule.epoch, forms), end or rule.until.given(part.where)
    if until is not None:
        return interval(begin, iso(until, rule.epoch, forms), rule.zone)
    flags = Flag.AMBIGUOUS.value if is_twice(begin, rule.zone) else 0
    if rule.zone is not None and isinstance(part.period, str):
        moment = stamp(begin, "stamp", rule.zone)
        both = [moment, calendar_step(moment, part.period, rule.zone, -1 if part.means == "end" else 1)]
        return Interval(min(both), int(abs(both[1] - both[0]).total_seconds()), flags)
    length = timedelta(seconds=int(part.period) if part.means == "end" else 0)
    start = stamp(begin, "stamp", rule.zone, end=length) - length
    return Interval(start, 0 if part.means == "instant" else int(part.period), flags)


def _facts(part: Part, sensor_id: str) -> Iterator[SensorFact]:
    rule = part.rule
    if not (rule.name.each or rule.lon.each or rule.indoor.each):
        return
    name = rule.name.given(part.where)
    name = name if isinstance(name, str) else None
    lon, lat = rounded(part.source, _degrees(part, rule.lon), _degrees(part, rule.lat))
    indoor = WORDS["indoor"].get(str(rule.indoor.given(part.where)).lower())
    if (name, lon, lat, indoor) != (None, None, None, None):
        yield SensorFact(sensor_id, name, lon, lat, kind=rule.kind, indoor=indoor)


def _degrees(part: Part, pointers: Pointers) -> float | None:
    found = (value for value in pointers.all_given(part.where) if not isinstance(value, list | dict | bool))
    return next((figure(value, str(pointers), part.spec.decimal) for value in found), None)
