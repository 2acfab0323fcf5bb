"""
The registry of CBS measures: `measures.toml` as values, and the measure of a column in any form.

`aggregates.areas.statistics` names the columns it reads with it, `aggregates.areas.load` writes it into the database.
"""

import re
from collections.abc import Mapping
from importlib.resources import files

import msgspec


class Least(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """CBS's own threshold: nothing is published of an area with less than `least` of another measure."""

    measure: str
    least: float
    source: str


class Measure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the registry; `code` is the stable one of OData v4, `codes` what it was called before."""

    name: str
    code: str
    title: str
    unit: str
    theme: str
    period: str
    columns: tuple[str, ...]
    codes: tuple[str, ...] = ()
    below: Least | None = None

    def about(self, vintage: int) -> str:
        """
        Return the day or period that a figure of a vintage is about.

        >>> MEASURES["dwelling_value"].about(2024)
        '1 January 2023'
        """
        return self.period.format(year=vintage, before=vintage - 1)


def plain(column: str) -> str:
    """
    Return a column's name without path, unit, the number at its end, case and punctuation.

    >>> plain("AantalInwoners_5"), plain("Bevolking/Aantal inwoners (aantal)"), plain("k_0Tot15Jaar_8")
    ('aantalinwoners', 'aantalinwoners', '0tot15jaar')
    """
    name = re.sub(r"\s*\([^()]*\)\s*$", "", column).rpartition("/")[2] if "(" in column else column
    name = re.sub(r"^k_|_\d+$", "", name)
    return re.sub(r"\W|_", "", name).casefold()


class _Registry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    measure: tuple[Measure, ...]
    symbols: dict[str, str]
    tables: dict[int, str]
    themes: dict[str, tuple[str, ...]]


_known = msgspec.toml.decode(files("aggregates.areas").joinpath("measures.toml").read_bytes(), type=_Registry)

MEASURES: Mapping[str, Measure] = {measure.name: measure for measure in _known.measure}
SYMBOLS: Mapping[str, str] = _known.symbols
TABLES: Mapping[int, str] = _known.tables  # of "Kerncijfers wijken en buurten", by vintage
THEMES: Mapping[str, tuple[str, ...]] = _known.themes  # and the indicators they have

_by_column = {plain(column): one.name for one in _known.measure for column in one.columns}
_by_code = {code: one.name for one in _known.measure for code in (one.code, *one.codes)}


def measure_of(key: str) -> str | None:
    """
    Name the measure of a column or of a code of OData v4, or None.

    >>> measure_of("Bevolkingsdichtheid_34"), measure_of("T001036"), measure_of("Appartement_48")
    ('density', 'inhabitants', None)
    """
    return _by_code.get(key) or _by_column.get(plain(key))
