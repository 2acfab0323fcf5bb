"""
Words and numbers of suppliers: compared whatever their type, read with their thousands and their sign of decimals.

`ingest.formats.mapping_reader` reads values here, and compares them with what a mapping file names.
"""

import re
import sys
from typing import Any, Literal

from ingest.formats.pointers import Pointers, Where
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
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(\.\d{3})+")


def text(value: Any) -> str:
    """
    Write a value so that a cell and a number, or a word and a boolean, are the same.

    >>> text(1.0), text(True), text(" OK ")
    ('1', 'true', 'ok')
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip().casefold()


def among(found: Any, wanted: list[Any]) -> bool:
    """Tell whether a value, or one of a list of values, is one of those wanted."""
    every = found if isinstance(found, list) else [found]
    return any(text(one) == text(value) for one in every for value in wanted)


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


class Conditions:
    """Pointers, and the value that each must find, or the values of which it must find one."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.all = [(Pointers(text), value if isinstance(value, list) else [value]) for text, value in given.items()]
        if empty := next((pointer for pointer, wanted in self.all if not wanted), None):
            raise ValueError(f"no value for {empty}, which nothing can meet, expected at least one")
        self.pointers = [pointer for pointer, _ in self.all]

    def met(self, where: Where) -> list[str]:
        """Name those that are met."""
        return [
            f"{pointer} is {found!r}" for pointer, wanted in self.all if among(found := pointer.first(where), wanted)
        ]

    def hold(self, where: Where) -> bool:
        """Tell whether all are met."""
        return len(self.met(where)) == len(self.all)

    def key(self) -> set[tuple[str, str]]:
        """Give what they ask for, to be compared."""
        return {(str(pointer), str(sorted(map(text, wanted)))) for pointer, wanted in self.all}
