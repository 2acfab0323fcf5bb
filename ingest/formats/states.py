"""
What a rule of a mapping file makes of the values of a part: a value, *nothing to measure*, or *failed*.

`ingest.formats.mapping_reader` makes readings of these.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ingest.formats.cells import check_whole, figure, is_figure, with_unit
from ingest.formats.mapping_schema import ReadingRule, TableEntry, check_unit
from ingest.formats.parts import Part
from ingest.formats.pointers import Star
from ingest.vocabulary.quantities import QUANTITIES, convert
from ingest.vocabulary.readings import BadPayload, Flag
from ingest.vocabulary.sources import SOURCES

HOUR = 3600
State = tuple[float | None, float, int]  # value, weight and flags of a reading
FAILED: State = (None, 0.0, Flag.SOURCE_ERROR.value)
NOTHING: State = (None, 0.0, 0)


class Covered(NamedTuple):
    """How much of its period a part measured: an amount, in a unit of so many seconds."""

    amount: float
    unit: float

    @property
    def seconds(self) -> float:
        """Give it in seconds."""
        return self.amount * self.unit

    def counted(self, hourly: float) -> float:
        """
        Give what was counted at a rate of so many an hour.

        >>> Covered(30, 60).counted(4), Covered(0.25, 3600).counted(100)
        (2.0, 25.0)
        """
        return hourly * self.amount / (HOUR / self.unit)


def covered(part: Part, period: int) -> Covered | None:
    """Read how much of a period was measured, None where the file does not say; raises BadPayload for more than all."""
    rule = part.rule
    if not rule.covers.each:
        return None
    given = rule.covers.given(part.where)
    one = Covered(0.0 if given is None else figure(given, str(rule.covers), part.spec.decimal), rule.covers_unit)
    if not 0 <= one.seconds <= period:
        most = period / rule.covers_unit
        raise BadPayload(f"{rule.covers} {given} of a period of {period} s, expected 0 to {most:g}")
    return one


def values(part: Part, rule: ReadingRule) -> Sequence[tuple[Star, Any]]:
    """Give the values of a rule that are not absent, with what `*` stood for: at the first pointer with a good one."""
    found = rule.value.each[0].find(part.where)
    for pointer in rule.value.each[1:]:
        if any(value not in (None, "") and not rule.failed.have(value) for _, value in found):
            break
        found = pointer.find(part.where) or found
    if found and found[0][0]:
        return [
            (one, raw) for star, raw in found if (one := _named(part, rule, star)) and not _is_absent(part, rule, raw)
        ]
    if (part.spec.absent or part.spec.format == "csv") and not _says_failed(part, rule):
        return [(star, raw) for star, raw in found if not _is_absent(part, rule, raw)]
    return found


def _named(part: Part, rule: ReadingRule, star: str) -> Star | None:
    """Give the groups of a name at `*`, None where the pattern does not fit it; of a CSV the columns that are left."""
    if part.spec.format == "csv" and star in part.spec.named:
        return None
    found = re.fullmatch(rule.pattern, star) if rule.pattern else None
    return found.groupdict() | {"": star} if found else None if rule.pattern else star


def _is_absent(part: Part, rule: ReadingRule, raw: Any) -> bool:
    is_empty = raw == "" and part.spec.format == "csv"
    return part.spec.absent.have(raw) or (is_empty and not rule.failed.have("") and not rule.nothing.have(""))


def in_directions(parts: Iterable[Part]) -> set[str | None]:
    """
    Name the sensors of a message whose counts come in parts: some part has a number, or is null and no sum has one.

    So an hour of nulls failed in the series that the sensor has, and begins none.
    """
    sums = [(part, rule) for part in parts for rule in part.rule.reading if rule.parts]
    counted = {part.sensor for part, rule in sums if _is_counted(part, rule.parts)}
    rest = [(part, rule) for part, rule in sums if part.sensor not in counted]
    whole = {part.sensor for part, rule in rest if _is_counted(part, [rule])}
    return counted | ({part.sensor for part, rule in rest if _has_null(part, rule)} - whole)


def chosen(part: Part, is_in_directions: bool) -> Iterator[ReadingRule]:
    """Give the rules to read: that of a sum, or those of its parts where they are counted."""
    for rule in part.rule.reading:
        is_lost = is_in_directions and rule.parts and _has_null(part, rule) and not _is_counted(part, [rule])
        yield from rule.parts if is_lost or _is_counted(part, rule.parts) else [rule]


def _is_counted(part: Part, rules: Sequence[ReadingRule]) -> bool:
    """Tell whether any of the values is a number that did not fail."""
    for rule in rules:
        value = rule.value.first(part.where)
        if is_figure(value, part.spec.decimal) and not rule.failed.have(value):
            return True
    return False


def _has_null(part: Part, rule: ReadingRule) -> bool:
    return any(one.value.first(part.where) in (None, "") for one in rule.parts)


def state(part: Part, rule: ReadingRule, entry: TableEntry, raw: Any, seen: Covered | None) -> State:
    """Give value in the registry's unit, weight and flags."""
    if (seen is not None and not seen.amount) or _says_failed(part, rule):
        return FAILED
    weight = _weight(part, rule, seen)
    if weight == 0 or rule.nothing.have(raw):
        return NOTHING
    if raw is None or rule.failed.have(raw) or not rule.valid.hold(part.where):
        return FAILED
    quantity = QUANTITIES[entry.quantity]
    raw, unit = with_unit(raw, part.spec.units, quantity)
    value = _value(part, rule, raw)
    if value in rule.failed or value in rule.nothing:
        return FAILED if value in rule.failed else NOTHING
    converted = _converted(part, rule, entry, value, unit)
    if quantity.aggregation == "sum" and rule.factor == 1 and not SOURCES[part.source].fractions:
        check_whole(raw, converted, rule.value.each[0].text, part.spec.decimal)
    if rule.hourly and seen is not None and quantity.aggregation == "sum":
        converted = seen.counted(converted)
    return converted, weight, 0


def _weight(part: Part, rule: ReadingRule, seen: Covered | None) -> float:
    """Read what a value weighs; one that is not known, or below 0, says nothing."""
    given = rule.weight.given(part.where) if rule.weight.each else None
    if given is None:
        return 1.0
    weight = figure(given, str(rule.weight), part.spec.decimal)
    if rule.hourly and seen is not None and weight > 0:
        weight = seen.counted(weight)
    return 1.0 if weight < 0 else weight


def _says_failed(part: Part, rule: ReadingRule) -> bool:
    """Tell whether another member says that the measurement failed."""
    if not (rule.failed_when.all or rule.valid.all):
        return False
    is_given = any(pointer.given(part.where) is not None for pointer, _ in rule.valid.all)
    return bool(rule.failed_when.met(part.where)) or (is_given and not rule.valid.hold(part.where))


def _value(part: Part, rule: ReadingRule, raw: Any) -> float:
    """Read a number; one below a limit of detection, `<1.2`, is the share `below` of it."""
    if rule.below is not None and isinstance(raw, str) and raw.startswith("<"):
        return rule.below * figure(raw[1:], rule.where, part.spec.decimal)
    return figure(raw, rule.where, part.spec.decimal)


def _converted(part: Part, rule: ReadingRule, entry: TableEntry, value: float, unit: str | None) -> float:
    """Convert to the registry's unit, from the one behind the value, at a pointer, or of the file."""
    quantity = QUANTITIES[entry.quantity]
    if unit is None and rule.factor == 1 and not rule.unit_at.each and entry.unit in (None, quantity.unit):
        return value
    sent = rule.unit_at.given(part.where)
    stated = sent.strip() if isinstance(sent, str) else entry.unit
    unit = unit or part.spec.units.get(stated or "", stated)
    try:
        if rule.unit_at.each:
            check_unit(entry.quantity, unit)
        return convert(value * rule.factor, quantity.unit if unit is None else unit, quantity)
    except ValueError as error:
        raise BadPayload(f"{error}, at {rule.value}") from None
