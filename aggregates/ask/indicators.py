"""
Indicators that can be defended, on pandas frames; no I/O. `docs/indicators.md` has a method note for each.

What cannot be defended is refused with the reason: vehicles per 1,000 inhabitants or per km2 is nowhere here, and
exposure needs a model layer.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import shapely

from aggregates.areas.geometry import Area

INDICATORS = ("panel-index", "heavy-share", "hours-above", "week-profile", "exposure")
LEAST = 0.8  # of the days, on which a sensor of a panel is valid
WEEK = [f"{day} {hour:02d}" for day in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun") for hour in range(24)]


class Refused(ValueError):  # noqa: N818 - the reaction is the name: ask for something that can be defended
    """An indicator that cannot be made of what there is: the text has the reason."""


def panel_index(days: pd.DataFrame, base: tuple[datetime, datetime]) -> pd.DataFrame:
    """
    Compare days with a base period by the same sensors: base = 100.

    `days` has sensor_id, start, value and valid, a row a sensor and day. The panel is every sensor with valid days on
    at least the share `LEAST` of the days of the base, and of the days outside it. A day counts only where all of the
    panel are valid; others stay null. Returns start, index, panel (how many), members. Raises Refused without a panel.
    """
    table = days[days["valid"]].pivot(index="start", columns="sensor_id", values="value")
    table = table.reindex(sorted(days["start"].unique()))
    in_base = (table.index >= base[0]) & (table.index < base[1])
    if not in_base.any():
        raise Refused(f"no days in the base {base[0]:%Y-%m-%dT%H:%MZ} to {base[1]:%Y-%m-%dT%H:%MZ}, an index needs one")
    enough = table[in_base].notna().mean() >= LEAST
    if not in_base.all():
        enough &= table[~in_base].notna().mean() >= LEAST
    panel = sorted(table.columns[enough])
    if not panel:
        raise Refused(f"no sensor is valid on {LEAST:.0%} of the days in and outside the base, a panel needs one")
    whole = table[panel].sum(axis=1, skipna=False)
    level = whole[in_base].mean()
    if not level > 0:
        raise Refused("no day of the base on which the whole panel is valid and counted anything")
    found = pd.DataFrame({"start": table.index, "index": (whole / level * 100).to_numpy()})
    return found.assign(panel=len(panel), members=" ".join(panel))


def heavy_share(classes: pd.DataFrame, heavy: Sequence[str]) -> pd.DataFrame:
    """
    Return the share of heavy vehicles of each sensor, over the windows in which every class was valid.

    `classes` has sensor_id, channel (`lane/class`), start, value, valid. `heavy` names the classes that are heavy; the
    class `any` is the total of the others and is not added to them. Returns sensor_id, heavy, vehicles, share, windows.
    Raises Refused where no sensor tells classes apart.
    """
    if classes.empty:
        raise Refused("no windows of this quantity here, a share needs some")
    lanes = classes["channel"].str.partition("/")
    known = classes.assign(kind=lanes[2])[(lanes[2] != "any") & (lanes[2] != "")]
    if known.empty or not known["kind"].isin(heavy).any():
        seen = ", ".join(sorted(known["kind"].unique())) or "none"
        raise Refused(f"classes {seen}, expected one of {', '.join(heavy)}: a share needs sensors that tell them apart")
    whole = known.groupby(["sensor_id", "start"])["valid"].transform("all") & (
        known.groupby(["sensor_id", "start"])["channel"].transform("size")
        == known.groupby("sensor_id")["channel"].transform("nunique")
    )
    counted = known[whole]
    if counted.empty:
        raise Refused("no window in which every class of a sensor was valid, a share needs one")
    counted = counted.assign(heavy=counted["value"].where(counted["kind"].isin(heavy), 0.0))
    found: pd.DataFrame = counted.groupby("sensor_id").agg(
        heavy=("heavy", "sum"), vehicles=("value", "sum"), windows=("start", "nunique")
    )
    return found.assign(share=found["heavy"] / found["vehicles"].where(found["vehicles"] > 0)).reset_index()


def hours_above(hours: pd.DataFrame, threshold: float, first: datetime, last: datetime) -> pd.DataFrame:
    """
    Count the valid hours above a threshold, and how many were not measured.

    `hours` has subject, start, value and valid. The comparison is with the value as stored, not rounded. Returns above,
    valid, hours (of the period), not_measured (share), by subject.
    """
    period = int((last - first).total_seconds() // 3600)
    good = hours[hours["valid"] & hours["value"].notna()]
    values = good.assign(above=(good["value"] > threshold).astype("int64")).groupby("subject")
    found: pd.DataFrame = values.agg(above=("above", "sum"), valid=("value", "size"))
    found = found.reindex(hours["subject"].unique(), fill_value=0)
    found = found.assign(hours=period, not_measured=1 - found["valid"] / period, threshold=threshold)
    return found.rename_axis("subject").reset_index()


def week_profile(hours: pd.DataFrame, zone: str) -> pd.DataFrame:
    """
    Return the mean of the valid values by hour of the week in a time zone, Monday first, and its number of hours.

    Returns hour_of_week (0 to 167), label, mean and hours. Hours that no value falls in stay null.
    """
    good = hours[hours["valid"] & hours["value"].notna()]
    local = good["start"].dt.tz_convert(zone)
    at = (local.dt.day_of_week * 24 + local.dt.hour).rename("hour_of_week")
    found = good.groupby(at)["value"].agg(mean="mean", hours="size").reindex(range(168))
    found["hours"] = found["hours"].fillna(0).astype(int)
    return found.rename_axis("hour_of_week").reset_index().assign(label=WEEK)


def exposure(
    buurten: Sequence[Area], inhabitants: Mapping[str, float | None], layer: Sequence[tuple[Any, float]] | None,
    limit: float,
) -> pd.DataFrame:  # fmt: skip
    """
    Weigh a modelled concentration by the inhabitants of buurten, and count those who live where it is above `limit`.

    `layer` is the model: shapes in degrees with a value each. A buurt's value is the mean over its area, by area. A
    buurt that the layer covers less than 95 % of, or whose inhabitants are not known, is not counted and named so.
    Returns a row a buurt: code, concentration, covered, inhabitants, above, reason. Raises Refused without a layer: a
    handful of stations does not show what people breathe where they live.
    """
    if not layer:
        raise Refused(
            "exposure needs a model layer (--layer FILE): from sensors alone nobody knows what people breathe who do "
            "not live beside one"
        )
    shapes, drawn = (np.array(one, dtype=object) for one in ([it for it, _ in layer], [it.shape for it in buurten]))
    at, cell = shapely.STRtree(shapes).query(drawn, predicate="intersects")
    parts = shapely.area(shapely.intersection(shapes[cell], drawn[at]))
    values = np.array([value for _, value in layer])[cell]
    total, weighted = (np.bincount(at, weights, len(drawn)) for weights in (parts, parts * values))
    people = pd.Series([inhabitants.get(area.code) for area in buurten], dtype="float64")
    mean, covered = pd.Series(weighted).div(total).where(total > 0), pd.Series(total / shapely.area(drawn))
    reasons = covered.map("the layer covers {:.0%}".format).where(covered < 0.95)
    reasons = reasons.where(reasons.notna() | people.notna(), "inhabitants not known")
    return pd.DataFrame({
        "code": [area.code for area in buurten], "name": [area.name for area in buurten], "concentration": mean,
        "covered": covered.clip(upper=1.0), "inhabitants": people,
        "above": people.where(mean > limit, 0.0).where(reasons.isna()),
        "reason": reasons.astype(object).where(reasons.notna(), None),
    })  # fmt: skip
