"""
"Kerncijfers wijken en buurten" in every form that CBS publishes, as one long table of cells; no I/O.

`aggregates.areas.inputs` calls this with the rows of documents: OData answers of version 3 and 4, StatLine CSV,
Parquet, a municipality's JSON, a map's attributes. `aggregates.areas.load` stores what comes out.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pandas as pd

from aggregates.areas.codes import is_code, level_of, municipality_of
from aggregates.areas.measures import MEASURES, SYMBOLS, TABLES, measure_of, plain

COLUMNS = ["code", "measure", "value", "content", "attribute", "unit", "key"]
_NOT_CELLS = {"id", "codering", "soortregio", "gemeentenaam", "regioaanduiding", "wijkenenbuurten"}
_CHANGE = {"indelingswijzigingwijkenenbuurten", "indelingswijziging", "indwbi", "indwbl"}
_NUMBER = re.compile(r"(-?\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?)\s*(\*{0,2})")
_STARS = {"*": "provisional", "**": "revised provisional"}
NOT_GIVEN = "not given: unknown, not reliable or secret"
CANNOT_OCCUR = "cannot occur"
EMPTY = "not in the answer: empty at the source"
_UNSPECIFIC = (NOT_GIVEN, EMPTY, SYMBOLS["."])  # reasons that a known threshold replaces


class BadStatistics(ValueError):  # noqa: N818 - the reaction is the name: the user gives another file
    """Statistics that cannot be loaded: the text has what was found, what was expected, and where."""


@dataclass(frozen=True, slots=True)
class About:
    """Title, table and date of change, as a source gives them."""

    title: str | None = None
    table_id: str | None = None
    modified: str | None = None


@dataclass(frozen=True, slots=True)
class Statistics:
    """
    Cells of some areas: `cells` has COLUMNS; `names` and `changes` go by area code.

    `value` is NaN where a cell holds no number: then `attribute` has the reason, or `content` its text.
    """

    about: About
    cells: pd.DataFrame
    names: Mapping[str, str] = field(default_factory=dict)
    changes: Mapping[str, str] = field(default_factory=dict)


def check_vintage(about: About, vintage: int, where: str) -> None:
    """
    Compare the year in a title with the vintage asked for; raises BadStatistics where they differ or there is none.

    >>> check_vintage(About("Kerncijfers wijken en buurten 2023"), 2024, "a.json")
    Traceback (most recent call last):
    aggregates.areas.statistics.BadStatistics: a.json: 'Kerncijfers wijken en buurten 2023' is not of vintage 2024
    """
    if about.title is not None:
        wanted = r"wijken en buurten\D*(20\d\d)"
        found = re.search(wanted, about.title, re.IGNORECASE)
        if found is None or int(found[1]) != vintage:
            raise BadStatistics(f"{where}: {about.title!r} is not of vintage {vintage}")
    elif about.table_id is None:
        raise BadStatistics(
            f"{where}: neither a title nor a table, expected one of them: give the table's TableInfos or "
            "Properties as another file"
        )
    if about.table_id in TABLES.values() and TABLES.get(vintage) != about.table_id:
        year = next(year for year, table in TABLES.items() if table == about.table_id)
        raise BadStatistics(f"{where}: table {about.table_id} is of vintage {year}, not {vintage}")
    if about.title is None and about.table_id not in TABLES.values():
        raise BadStatistics(f"{where}: table {about.table_id!r} without a title, expected one that says {vintage}")


def cell(found: object, blank: str = NOT_GIVEN) -> tuple[float | None, str | None, str | None]:
    """
    Read one cell: its number, or its text, and the attribute or the reason why there is no number.

    The sign means nothing: a median wealth of -0.7 is a figure, -99997 is one of the symbols in `measures.toml`.

    >>> cell("   -0.7"), cell("12 450,5**"), cell("9712 AB")
    ((-0.7, None, None), (12450.5, None, 'revised provisional'), (None, '9712 AB', None))
    >>> cell("       ."), cell(-99997.0)
    ((None, None, 'unknown, not reliable or secret'), (None, None, 'unknown, not reliable or secret'))
    >>> cell("  ", CANNOT_OCCUR), cell(None)
    ((None, None, 'cannot occur'), (None, None, 'not given: unknown, not reliable or secret'))
    """
    if found is None or found != found:
        return None, None, NOT_GIVEN
    text = f"{found:.17g}" if isinstance(found, float) else str(found).strip()
    if not text:
        return None, None, blank
    number = _NUMBER.fullmatch(text.replace("\u00a0", " ").replace(" ", ""))
    if number is None:
        reason = SYMBOLS.get(text)
        return None, None if reason else text, reason
    value = float(found) if isinstance(found, int | float) else float(number[1].replace(",", "."))
    if value.is_integer() and str(int(value)) in SYMBOLS:
        return None, None, SYMBOLS[str(int(value))]
    return value, None, _STARS.get(number[2])


def read_wide(
    frame: pd.DataFrame, about: About, municipalities: Iterable[str], *, blank: str = NOT_GIVEN,
    known_only: bool = False, units: Mapping[str, str] | None = None,
) -> Statistics:  # fmt: skip
    """
    Read a table with a row an area and a column a measure.

    The column with the codes is found by its content. Columns that the registry does not know keep their own name, or
    are left out with `known_only`. Raises BadStatistics where no column holds codes, or an area comes twice.
    """
    column = code_column(frame)
    wanted = set(municipalities)
    codes = frame[column].map(_stripped)
    keep = codes.map(lambda code: is_code(code) and municipality_of(code) in wanted)
    frame, codes = frame[keep], codes[keep]
    if codes.duplicated().any():
        raise BadStatistics(f"column {column}: area {codes[codes.duplicated()].iloc[0]} for a second time")
    rows: list[tuple[Any, ...]] = []
    changes: dict[str, str] = {}
    measures = _measures_of(frame.columns)
    for key in frame.columns:
        base = plain(key)
        if base in _CHANGE:
            changes = {code: _stripped(found) for code, found in zip(codes, frame[key], strict=True)}
        elif key != column and base not in _NOT_CELLS and not (known_only and key not in measures):
            name = measures.get(key, key)
            unit = _unit_of(name, key, units)
            rows += [(code, name, *cell(one, blank), unit, key) for code, one in zip(codes, frame[key], strict=True)]
    return Statistics(about, _explained(rows), _names(frame, codes), changes)


def read_observations(
    rows: Iterable[Mapping[str, Any]], about: About, municipalities: Iterable[str],
    units: Mapping[str, str] | None = None,
) -> Statistics:  # fmt: skip
    """
    Read the long form of OData v4; cells it leaves out, because they are empty, come back as nulls with that reason.

    An observation without an area is left out. Raises BadStatistics where one comes twice.
    """
    wanted = set(municipalities)
    found: list[tuple[Any, ...]] = []
    for row in rows:
        code = next(filter(is_code, map(_stripped, row.values())), "")
        if municipality_of(code) not in wanted:
            continue
        key = str(row["Measure"]).strip()
        name = measure_of(key) or key
        value, content, reason = cell(row.get("Value") if row.get("Value") is not None else row.get("StringValue"))
        attribute = str(row.get("ValueAttribute") or "None")
        reason = reason if attribute == "None" else attribute
        found.append((code, name, value, content, reason, _unit_of(name, key, units), key))
    known = {(code, name) for code, name, *_ in found}
    absent = product({code for code, _ in known}, {(name, unit, key) for _, name, *_, unit, key in found})
    found += [
        (code, name, None, None, EMPTY, unit, key) for code, (name, unit, key) in absent if (code, name) not in known
    ]
    return Statistics(about, _explained(found))


def _unit_of(measure: str, key: str, units: Mapping[str, str] | None) -> str | None:
    return MEASURES[measure].unit if measure in MEASURES else (units or {}).get(key)


def code_column(frame: pd.DataFrame) -> str:
    """Find the column whose values are area codes, the finest where there are several; raises BadStatistics."""
    counts: dict[str, int] = {}
    for column in frame.columns:
        values = {_stripped(found) for found in frame[column].dropna().unique()} - {""}
        if values and all(is_code(code) or code[:2] in ("NL", "LD", "PV") for code in values):
            counts[str(column)] = sum(map(is_code, values))
    if not counts or not max(counts.values()):
        shown = ", ".join(map(str, frame.columns[:8]))
        raise BadStatistics(f"columns {shown}: none holds area codes, expected one with BU, WK or GM codes")
    return max(counts, key=lambda column: counts[column])


def _measures_of(columns: Iterable[str]) -> dict[str, str]:
    """Map columns to the measures of the registry; of two columns for one measure the first counts."""
    found: dict[str, str] = {}
    for column in columns:
        name = measure_of(str(column))
        if name and name not in found.values():
            found[str(column)] = name
    return found


def _explained(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    """Make the frame of cells; the reason of a null below CBS's own threshold is that it is withheld."""
    cells = pd.DataFrame(rows, columns=COLUMNS).astype({"value": "float64"})
    if cells.duplicated(["code", "measure"]).any():
        twice = cells[cells.duplicated(["code", "measure"])].iloc[0]
        raise BadStatistics(f"measure {twice['measure']} of {twice['code']} for a second time")
    values = cells.pivot(index="code", columns="measure", values="value")
    for measure in MEASURES.values():
        if (rule := measure.below) and rule.measure in values and measure.name in values:
            few = values.index[values[rule.measure] < rule.least]
            hidden = (cells["measure"] == measure.name) & cells["value"].isna() & cells["code"].isin(few)
            hidden &= cells["attribute"].isin(_UNSPECIFIC)
            cells.loc[hidden, "attribute"] = f"withheld: fewer than {rule.least:g} {rule.measure}"
    return cells


def _names(frame: pd.DataFrame, codes: "pd.Series[str]") -> dict[str, str]:
    """Return the names in the table: of gemeenten always, of the others where a column has them."""
    columns = {plain(column): column for column in frame.columns}
    own = next((columns[name] for name in ("naam", "name", "buurtnaam", "bunaam", "title") if name in columns), None)
    gemeente = columns.get("gemeentenaam")
    named = {}
    for code, (_, row) in zip(codes, frame.iterrows(), strict=True):
        column = own or (gemeente if level_of(code) == "gemeente" else None)
        if column and (name := _stripped(row[column])):
            named[code] = name
    return named


def _stripped(found: object) -> str:
    return "" if found is None or found != found else str(found).strip()
