"""
Indicators of areas that can be defended, as pandas frames. `docs/indicators.md` has a method note for each.

`stadspuls areas indicator` and the API call `compute`, which asks for the windows that one needs. What cannot be
defended is refused with the reason: vehicles per 1,000 inhabitants or per km2 is nowhere here, and exposure needs a
model layer.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import shapely
from msgspec.structs import replace

from aggregates.ask.dates import BadQuestion, zone_of
from aggregates.ask.listings import areas
from aggregates.ask.query import Question, chosen_series
from aggregates.store.store import Store

INDICATORS = ("panel-index", "heavy-share", "hours-above", "week-profile", "exposure")
LEAST = 0.8  # of the days, on which a sensor of a panel is valid
HEAVY = ("heavy", ">12.2", ">=12.2", ">12.20", "class5")  # Telraam's class, and NDW's longest of five
_ABOVE = ["subject", "above", "valid", "hours", "not_measured", "threshold"]
_PANEL = ["start", "index", "panel", "members", "date"]
_SHARE = ["sensor_id", "heavy", "vehicles", "windows", "share"]
_PROFILE = ["hour_of_week", "mean", "hours", "label"]


class Refused(ValueError):  # noqa: N818 - the reaction is the name: ask for something that can be defended
    """An indicator that cannot be made of what there is: the text has the reason."""


def compute(
    store: Store, name: str, asked: Question, *, base_to: datetime | None = None, threshold: float | None = None,
    heavy: Sequence[str] = HEAVY, layer: Sequence[tuple[Any, float]] | None = None,
) -> "pd.DataFrame":  # fmt: skip
    """
    Compute an indicator of an area, whatever the question's window.

    Raises BadQuestion for what is missing, `Refused` for what cannot be defended.
    """
    if name == "panel-index":
        if base_to is None:
            raise BadQuestion("panel-index without --base-to, expected the end of the base period")
        return _panel_index(store, asked, base_to)
    if name == "heavy-share":
        return _heavy_share(store, asked, heavy)
    if name == "week-profile":
        return _of_area(store, "week_profile", asked, _PROFILE, zone=zone_of(store))
    if name not in INDICATORS:
        raise BadQuestion(f"indicator {name!r}, expected one of {', '.join(INDICATORS)}")
    if threshold is None:
        raise BadQuestion(f"{name} without --threshold, expected the limit in the quantity's unit")
    if name == "hours-above":
        return _of_area(store, "hours_above", asked, _ABOVE, threshold=threshold)
    return exposure(areas(store, asked.vintage, "buurt", asked.area).to_pylist(), layer, threshold)


def _of_area(store: Store, statement: str, asked: Question, columns: list[str], **more: Any) -> "pd.DataFrame":
    """Give what a statement makes of the windows of an area and of the sensors in it, in these columns."""
    with store.transaction(snapshot=True) as tx:
        chosen, area = chosen_series(tx, replace(asked, members=True))
        span = {"first": asked.first, "last": asked.last, "quantity": asked.quantity}
        rows = tx.rows(statement, series=chosen.series.tolist(), **span, **area, **more)
    return pd.DataFrame(rows, columns=columns)


def _panel_index(store: Store, asked: Question, base_to: datetime) -> "pd.DataFrame":
    """
    Compare days with a base period, until `base_to`, by the same sensors: base = 100.

    The panel is every sensor with valid days on at least the share `LEAST` of the days of the base, and of those after
    it. A day counts only where all of the panel are valid; others stay null. Raises Refused without a panel.
    """
    found = _of_area(store, "panel_index", asked, _PANEL, base_to=base_to, least=LEAST)
    base = found[found["start"] < base_to]
    if base.empty:
        spanned = f"{asked.first:%Y-%m-%dT%H:%MZ} to {base_to:%Y-%m-%dT%H:%MZ}"
        raise Refused(f"no days in the base {spanned}, an index needs one")
    if not base["panel"].iloc[0]:
        raise Refused(f"no sensor is valid on {LEAST:.0%} of the days in and outside the base, a panel needs one")
    if base["index"].isna().all():
        raise Refused("no day of the base on which the whole panel is valid and counted anything")
    return found


def _heavy_share(store: Store, asked: Question, heavy: Sequence[str]) -> "pd.DataFrame":
    """
    Give the share of heavy vehicles of each sensor, over the hours in which every class of it was valid.

    Raises Refused where no sensor tells classes apart, or none had such an hour.
    """
    found = _of_area(store, "heavy_share", replace(asked, channels=True), [*_SHARE, "seen"], heavy=list(heavy))
    seen = found.pop("seen").iloc[0]
    if seen is None:
        raise Refused("no windows of this quantity here, a share needs some")
    if set(seen).isdisjoint(heavy):
        known = f"classes {', '.join(seen) or 'none'}, expected one of {', '.join(heavy)}"
        raise Refused(f"{known}: a share needs sensors that tell them apart")
    if found["sensor_id"].isna().all():
        raise Refused("no window in which every class of a sensor was valid, a share needs one")
    return found


def exposure(
    buurten: Sequence[Mapping[str, Any]], layer: Sequence[tuple[Any, float]] | None, limit: float
) -> "pd.DataFrame":
    """
    Weigh a modelled concentration by the inhabitants of buurten, and count those who live where it is above `limit`.

    `buurten` are rows of the list of areas; those without a boundary are left out. `layer` is the model: shapes in
    degrees with a value each. A buurt's value is the mean over its area, by area. A buurt that the layer covers less
    than 95 % of, or whose inhabitants are not known, is not counted and named so.
    Returns a row a buurt: code, concentration, covered, inhabitants, above, reason. Raises Refused without a layer: a
    handful of stations does not show what people breathe where they live.
    """
    if not layer:
        raise Refused(
            "exposure needs a model layer (--layer FILE): from sensors alone nobody knows what people breathe who do "
            "not live beside one"
        )
    rows = [one for one in buurten if one["geometry"]]
    shapes, drawn = np.array([it for it, _ in layer], object), shapely.from_wkb([one["geometry"] for one in rows])
    at, cell = shapely.STRtree(shapes).query(drawn, predicate="intersects")
    parts = shapely.area(shapely.intersection(shapes[cell], drawn[at]))
    values = np.array([value for _, value in layer])[cell]
    total, weighted = (np.bincount(at, weights, len(drawn)) for weights in (parts, parts * values))
    people = pd.Series([(one["statistics"] or {}).get("inhabitants") for one in rows], dtype="float64")
    mean, covered = pd.Series(weighted).div(total).where(total > 0), pd.Series(total / shapely.area(drawn))
    reasons = covered.map("the layer covers {:.0%}".format).where(covered < 0.95)
    reasons = reasons.where(reasons.notna() | people.notna(), "inhabitants not known")
    return pd.DataFrame({
        "code": [one["code"] for one in rows], "name": [one["name"] for one in rows], "concentration": mean,
        "covered": covered.clip(upper=1.0), "inhabitants": people,
        "above": people.where(mean > limit, 0.0).where(reasons.isna()),
        "reason": reasons.astype(object).where(reasons.notna(), None),
    })  # fmt: skip
