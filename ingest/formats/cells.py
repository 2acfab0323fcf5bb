"""
Words and numbers of suppliers: compared whatever their type, read with their thousands and their sign of decimals.

`ingest.formats.mapping_reader` reads values here, and compares them with what a mapping file names.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from msgspec import UNSET

from ingest.formats.pointers import Pointers, Where
from ingest.vocabulary.quantities import Quantity, is_unit
from ingest.vocabulary.readings import BadPayload
from ingest.vocabulary.values import number

LARGEST = sys.float_info.max
Decimal = Literal[".", ","] | None
# Groups of three digits, by the sign of decimals; a blank or an apostrophe can be no such sign.
_BLANKS = " '\u2019\u00a0\u202f"
_GROUPED = {
    sign: re.compile(rf"[+-]?\d{{1,3}}([{_BLANKS}{other}]\d{{3}})+({re.escape(sign or '.')}\d+)?")
    for sign, other in ((None, ""), (".", ","), (",", "."))
}
_WITH_UNIT = re.compile(rf"([<+-]?\s*\d[\d.,{_BLANKS}]*+)\s*+([^\d.,{_BLANKS}].*)")  # in one pass, however long
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(\.\d{3})+")


def text(value: Any) -> str:
    """
    Write a value so that a cell and a number, or a word and a boolean, are the same; what is not there is empty.

    >>> text(1.0), text(True), text(" OK "), text(None)
    ('1', 'true', 'ok', '')
    """
    if value is None or value is UNSET:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip().casefold().removesuffix(".0")  # of a number


class Words(list[Any]):
    """Values that suppliers write: another is compared with their texts."""

    def __init__(self, given: Iterable[Any] = ()) -> None:
        super().__init__(given)
        self._texts = frozenset(map(text, self))
        self._numbers = frozenset(figure(one, "a word") for one in self._texts if is_figure(one, None))

    def have(self, found: Any) -> bool:
        """
        Tell whether a value, or one of a list of values, is one of these.

        >>> Words([1]).have("1.0"), Words(["ok"]).have([2, "OK"]), Words([""]).have(None), Words(["-9"]).have(-9.0)
        (True, True, True, True)
        """
        if not self._texts:
            return False
        if isinstance(found, list):
            return any(text(one) in self._texts for one in found)
        return found in self._numbers if type(found) is float else text(found) in self._texts


def figure(value: Any, where: str, decimal: Decimal = None) -> float:
    """
    Read a number, or one in a text with the thousands and the sign of decimals that `decimal` allows.

    Raises BadPayload, with `where` it is, for anything else.

    >>> figure("1.024,5", "/v", ","), figure("1 024", "/v"), figure("1,024", "/v", ".")
    (1024.5, 1024.0, 1024.0)
    """
    if isinstance(value, str):
        text = value.strip().replace("\u2212", "-")
        if _GROUPED[decimal].fullmatch(text):
            text = re.sub(f"[{_BLANKS}{'.' if decimal == ',' else ','}]", "", text)
        elif decimal == "," and "." in text:
            raise BadPayload(f"{where} {value[:50]!r}, expected a number with a decimal comma")
        return number(text.replace(",", ".") if decimal == "," else text, where)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not -LARGEST <= value <= LARGEST:
        raise BadPayload(f"{where} is {str(value)[:50]!r}, expected a number")
    return float(value)


def with_unit(raw: Any, units: Mapping[str, str], quantity: Quantity) -> tuple[Any, str | None]:
    """
    Part a number from a unit of the quantity behind it in the same text; `units` are the supplier's names of units.

    >>> from ingest.vocabulary.quantities import QUANTITIES
    >>> with_unit("12,3 ug/m3", {}, QUANTITIES["pm25"]), with_unit("<5%", {"%": "%"}, QUANTITIES["pm25"])
    (('12,3', 'ug/m3'), ('<5%', None))
    """
    if not isinstance(raw, str) or not (found := _WITH_UNIT.fullmatch(raw.strip())):
        return raw, None
    unit = units.get(found[2], found[2])
    return (found[1].rstrip(), unit) if is_unit(unit, quantity) else (raw, None)


def check_whole(raw: Any, value: float, where: str, decimal: Decimal) -> None:
    """Raise BadPayload for a part of a vehicle, and for 1.024 that may be a thousand."""
    is_thousands = decimal is None and isinstance(raw, str) and _THOUSANDS.fullmatch(raw.strip())
    if is_thousands or not value.is_integer():
        raise BadPayload(f"{where} {raw!r} of a count, expected a whole number: see factor, decimal")


def is_figure(value: Any, decimal: Decimal) -> bool:
    """Tell whether a value is a number, or a text with one."""
    try:
        figure(value, "", decimal)
    except BadPayload:
        return False
    return True


class Patterns:
    """
    Pointers, and the pattern that what each finds must fit; raises ValueError for one that cannot be read.

    >>> Patterns({"/name": "(?P<station>.+)-no2"}).named(Where({"name": "NL1-no2"}))
    {'station': 'NL1'}
    """

    def __init__(self, given: dict[str, str]) -> None:
        try:
            self._all = [(Pointers(text), re.compile(pattern)) for text, pattern in given.items()]
        except re.error as error:
            raise ValueError(f"pattern {error.pattern!r}: {error}") from error

    def named(self, where: Where) -> dict[str, str | None]:
        """Give the named groups of all; raises BadPayload for what does not fit."""
        groups: dict[str, str | None] = {}
        for pointers, pattern in self._all:
            text = str(pointers.given(where))
            if not (found := pattern.fullmatch(text)):
                raise BadPayload(f"{pointers} {text[:50]!r}, expected {pattern.pattern}")
            groups |= found.groupdict()
        return groups


class Conditions:
    """Pointers, and the value that each must find, or the values of which it must find one."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.all = [(Pointers(text), Words(one if isinstance(one, list) else [one])) for text, one in given.items()]
        if empty := next((pointer for pointer, wanted in self.all if not wanted), None):
            raise ValueError(f"no value for {empty}, which nothing can meet, expected at least one")
        self.pointers = [pointer for pointer, _ in self.all]

    def hold(self, where: Where) -> bool:
        """Tell whether all are met."""
        return all(wanted.have(pointer.first(where)) for pointer, wanted in self.all)

    def met(self, where: Where) -> str:
        """Say which is met, the first; "" where none is."""
        for pointer, wanted in self.all:
            if wanted.have(found := pointer.first(where)):
                return f"{pointer} is {found!r}"
        return ""

    def unmet(self, where: Where) -> str:
        """Say which is not met, the first, with what it expects; "" where all are."""
        for pointer, wanted in self.all:
            if not wanted.have(found := pointer.first(where)):
                return f"{pointer} is {found!r}, expected {' or '.join(map(repr, wanted))}"
        return ""

    def key(self) -> set[tuple[str, str]]:
        """Give what they ask for, to be compared."""
        return {(str(pointer), str(sorted(map(text, wanted)))) for pointer, wanted in self.all}
