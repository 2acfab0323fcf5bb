"""
"Kerncijfers wijken en buurten" in every form that CBS publishes, as one long table of cells; no I/O.

`aggregates.areas.inputs` calls this with the rows of documents, `aggregates.areas.load` stores what comes out.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import pandas as pd

from aggregates.areas.codes import is_code, municipality_of
from aggregates.areas.measures import MEASURES, SYMBOLS, TABLES, measure_of, plain

COLUMNS = ["code", "measure", "value", "content", "attribute", "unit", "key"]
_NOT_CELLS = {
    "id", "codering", "soortregio", "gemeentenaam", "regioaanduiding", "wijkenenbuurten",
    "indelingswijzigingwijkenenbuurten", "indelingswijziging", "indwbi", "indwbl",
}  # fmt: skip
_NUMBER = re.compile(r"(-?\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?)\s*(\*{0,2})")
_STARS = {"*": "provisional", "**": "revised provisional"}
NOT_GIVEN = "not given: unknown, not reliable or secret"
CANNOT_OCCUR = "cannot occur"
EMPTY = "not in the answer: empty at the source"
_UNSPECIFIC = (NOT_GIVEN, EMPTY, SYMBOLS["."])  # reasons that a known threshold replaces


class BadDocument(ValueError):  # noqa: N818 - the reaction is the name: the user gives another file
    """A map or a table that cannot be loaded: the text has what was found, what was expected, and where."""


class About(NamedTuple):
    """Title, table and date of change, as a source gives them."""

    title: str | None = None
    table_id: str | None = None
    modified: str | None = None


class Statistics(NamedTuple):
    """
    Cells of some areas: `cells` has COLUMNS; `names` go by area code.

    `value` is NaN where a cell holds no number: then `attribute` has the reason, or `content` its text.
    """

    about: About
    cells: pd.DataFrame
    names: Mapping[str, str]


def check_vintage(about: About, vintage: int, where: str) -> None:
    """
    Compare the year in a title with the vintage asked for; raises BadDocument where they differ or there is none.

    >>> check_vintage(About("Kerncijfers wijken en buurten 2023"), 2024, "a.json")
    Traceback (most recent call last):
    aggregates.areas.statistics.BadDocument: a.json: 'Kerncijfers wijken en buurten 2023' is not of vintage 2024
    """
    year = next((year for year, table in TABLES.items() if table == about.table_id), None)
    if about.title is not None:
        found = re.search(r"wijken en buurten\D*(20\d\d)", about.title, re.IGNORECASE)
        if found is None or int(found[1]) != vintage:
            raise BadDocument(f"{where}: {about.title!r} is not of vintage {vintage}")
    elif year is None:
        raise BadDocument(
            f"{where}: neither a title nor a table that is known ({about.table_id}), expected one of them: give the "
            "table's TableInfos or Properties as another file"
        )
    if year not in (None, vintage):
        raise BadDocument(f"{where}: table {about.table_id} is of vintage {year}, not {vintage}")


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


def read_table(
    rows: pd.DataFrame, about: About, municipalities: Iterable[str], *, padded: bool = False,
    known_only: bool = False, units: Mapping[str, str] | None = None,
) -> Statistics:  # fmt: skip
    """
    Read a table with a row an area and a column a measure, or the long form of OData v4 with a row a cell.

    The column with the codes is found by its content; what is no area is left out. Columns that the registry does not
    know keep their own name, or are left out with `known_only`. A blank cell cannot occur with `padded`, else it is not
    given. Cells that the long form leaves out, because they are empty, come back as nulls with that reason. Raises
    BadDocument where no column holds codes, or an area or a cell comes twice.
    """
    frame, wanted = rows.rename(columns=str), set(municipalities)
    column = code_column(frame)
    frame = frame.assign(code=frame[column].map(_stripped))
    frame = frame[frame["code"].map(lambda code: is_code(code) and municipality_of(code) in wanted)]
    is_long = {"Measure", "Value"} <= set(frame.columns)
    long = _observed(frame) if is_long else _melted(frame, column, known_only=known_only)
    cells = _cells(long, CANNOT_OCCUR if padded else NOT_GIVEN, units)
    return Statistics(about, _withheld(_with_absent(cells) if is_long else cells), _names(frame))


def _melted(frame: pd.DataFrame, column: str, *, known_only: bool) -> pd.DataFrame:
    # Of two columns for one measure the first counts.
    known = {name: key for key in reversed(frame.columns) if (name := measure_of(key))}
    measures = {key: name for name, key in known.items()}
    keys = [
        key
        for key in frame.columns.drop(["code", column], errors="ignore")
        if plain(key) not in _NOT_CELLS and (key in measures or not known_only)
    ]
    long = frame.melt("code", keys, "key", "found")
    return long.assign(measure=long["key"].map(lambda key: measures.get(key, key)), given=None)


def _observed(long: pd.DataFrame) -> pd.DataFrame:
    found = long["Value"].astype(object).where(long["Value"].notna(), long.get("StringValue"))
    key = long["Measure"].map(_stripped)
    given = long.get("ValueAttribute", pd.Series("None", long.index)).replace("None", None)
    return long.assign(found=found, key=key, measure=key.map(lambda key: measure_of(key) or key), given=given)


def _with_absent(cells: pd.DataFrame) -> pd.DataFrame:
    whole = pd.MultiIndex.from_product([cells["code"].unique(), cells["measure"].unique()], names=["code", "measure"])
    of_measure = cells.drop_duplicates("measure").set_index("measure")[["unit", "key"]]
    absent = whole.difference(pd.MultiIndex.from_frame(cells[["code", "measure"]])).to_frame(index=False)
    absent = absent.assign(attribute=EMPTY).join(of_measure, "measure")
    return pd.concat([cells, absent], ignore_index=True)[COLUMNS]


def code_column(frame: pd.DataFrame) -> str:
    """Find the column whose values are area codes, the finest where there are several; raises BadDocument."""
    counts: dict[str, int] = {}
    for column in frame.columns:
        values = {_stripped(found) for found in frame[column].dropna().unique()} - {""}
        if values and all(is_code(code) or code[:2] in ("NL", "LD", "PV") for code in values):
            counts[str(column)] = sum(map(is_code, values))
    if not counts or not max(counts.values()):
        shown = ", ".join(map(str, frame.columns[:8]))
        raise BadDocument(f"columns {shown}: none holds area codes, expected one with BU, WK or GM codes")
    return max(counts, key=lambda column: counts[column])


def _cells(long: pd.DataFrame, blank: str, units: Mapping[str, str] | None) -> pd.DataFrame:
    """Read the cells `found` of rows with code, measure and key; an attribute that was given goes before its own."""
    if len(twice := long[long.duplicated(["code", "measure"])]):
        raise BadDocument(f"measure {twice['measure'].iloc[0]} of {twice['code'].iloc[0]} for a second time")
    read = [cell(found, blank) for found in long["found"]]
    own = [
        MEASURES[name].unit if name in MEASURES else (units or {}).get(key)
        for name, key in zip(long["measure"], long["key"], strict=True)
    ]
    cells = pd.DataFrame(read, columns=["value", "content", "attribute"], index=long.index, dtype=object)
    cells["attribute"] = long["given"].where(long["given"].notna(), cells["attribute"])
    return long.assign(**cells, unit=pd.Series(own, long.index, dtype=object))[COLUMNS]


def _withheld(cells: pd.DataFrame) -> pd.DataFrame:
    """The reason of a null below CBS's own threshold is that it is withheld."""
    cells = cells.astype({"value": "float64"})
    values = cells.pivot(index="code", columns="measure", values="value")
    for measure in MEASURES.values():
        if (rule := measure.below) and rule.measure in values and measure.name in values:
            few = values.index[values[rule.measure] < rule.least]
            hidden = (cells["measure"] == measure.name) & cells["value"].isna() & cells["code"].isin(few)
            hidden &= cells["attribute"].isin(_UNSPECIFIC)
            cells.loc[hidden, "attribute"] = f"withheld: fewer than {rule.least:g} {rule.measure}"
    return cells


def _names(frame: pd.DataFrame) -> dict[str, str]:
    """Return the names in the table: of gemeenten always, of the others where a column has them."""
    columns = {plain(column): column for column in frame.columns}
    own = next((columns[name] for name in ("naam", "name", "buurtnaam", "bunaam", "title") if name in columns), None)
    named = frame if own else frame[frame["code"].str.startswith("GM")]
    column = own or columns.get("gemeentenaam")
    if column is None:
        return {}
    return {code: name for code, name in zip(named["code"], named[column].map(_stripped), strict=True) if name}


def _stripped(found: object) -> str:
    return "" if found is None or found != found else str(found).strip()
