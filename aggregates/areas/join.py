"""
The join: area figures beside the statistics of the same vintage, as pandas frames; no I/O.

`aggregates.areas.figures` reads both sides from the store; `stadspuls areas join` and the exports write what comes out.
"""

from collections.abc import Sequence

import pandas as pd

from aggregates.areas.indicators import Refused


class MixedVintages(Refused):
    """Two vintages in one join: areas with one code are not one area, and figures of two years not one figure."""


def beside(figures: pd.DataFrame, statistics: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
    """
    Put each measure of an area beside its figures: a column `<measure>` and a column `<measure>_reason`.

    `figures` has `code` and `vintage`, `statistics` is long (code, measure, value, attribute, vintage). A figure
    without a value stays null and has its reason; an area that the statistics do not know has that as its reason.
    Raises MixedVintages.

    >>> figures = pd.DataFrame({"code": ["BU1", "BU2"], "vintage": [2024, 2024], "value": [7.0, 8.0]})
    >>> cells = {"code": ["BU1"], "measure": ["density"], "value": [None], "attribute": ["secret"], "vintage": [2024]}
    >>> beside(figures, pd.DataFrame(cells), ["density"])["density_reason"].tolist()
    ['secret', 'no statistics of this area']
    """
    _same_vintage(figures, statistics)
    known = statistics.drop_duplicates(["code", "measure"])
    index = pd.Index(sorted(known["code"].unique()), name="code", dtype=object)
    wide = pd.DataFrame(index=index)
    for measure in measures:
        own = known[known["measure"] == measure].set_index("code")
        wide[measure] = own["value"].astype("float64").reindex(index)
        reason = own["attribute"].astype(object).reindex(index)
        wide[f"{measure}_reason"] = reason.where(index.isin(own.index), "not in the table of this vintage")
    codes = pd.Categorical(figures["code"].astype(object)) if figures.empty else pd.Categorical(figures["code"])
    wide = wide.reindex(pd.Index(codes.categories, dtype=object))
    strange = ~wide.index.isin(index)
    joined = figures.copy(deep=False)
    for measure in measures:
        reasons = wide[f"{measure}_reason"].astype(object).where(~strange, "no statistics of this area")
        reasons = reasons.where(reasons.notna(), None)
        joined[measure] = wide[measure].to_numpy()[codes.codes]
        joined[f"{measure}_reason"] = reasons.to_numpy()[codes.codes]
    return joined


def _same_vintage(figures: pd.DataFrame, statistics: pd.DataFrame) -> None:
    found = sorted({int(year) for frame in (figures, statistics) for year in frame["vintage"].unique()})
    if len(found) > 1:
        raise MixedVintages(f"vintages {found} in one join, expected one")
