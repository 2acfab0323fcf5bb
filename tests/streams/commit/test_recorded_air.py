"""
What each quality rule takes of recorded air, and what that does to the mean: the tables of docs/quality.md.

The command there prints them; the test fails where the document has others.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace

from ingest.vocabulary.quantities import convert
from streams.commit.quality import clipped, limits_of, out_of_range, spike, stuck
from tests.conftest import ROOT

EU = "at 20 degC and 1013.25 hPa"
Series = tuple[str, str, "pd.Series[float]"]  # source, quantity, values by start
LONDON = {"o3": "ppb", "so2": "ppb", "no2": "ppb", "co": "ppm", "pm10": "", "pm25": ""}
BEIJING = {"SO2": "so2", "O3": "o3", "CO": "co", "NO2": "no2", "PM10": "pm10", "PM2.5": "pm25", "TEMP": "temperature"}
SAMENMETEN = {"rh": "humidity", "no2": "no2", "pm25": "pm25", "pm10": "pm10", "temp": "temperature"}
YEARS = {"2022_NO": "no", "2023_NO2": "no2", "2023_O3": "o3", "2023_PM10": "pm10", "2023_PM25": "pm25", "2019_BC": "bc"}
HEAD = "| source | quantity | readings | clipped | out of range | spike | stuck before | stuck | mean before | mean |"


def recorded(air: Path) -> Iterator[Series]:
    """Give every series of the files, in the registry's units."""
    london = pd.read_csv(air / "london_marylebone_hourly_1998_2002.csv.gz", index_col="date")
    london.index = pd.to_datetime(london.index).tz_localize(None)
    for quantity, unit in LONDON.items():
        limits = limits_of(quantity)
        factor = convert(1, f"{unit} {EU}" if unit else limits.unit, limits)
        yield "London", quantity, london[quantity] * factor
    beijing = pd.read_csv(air / "beijing_Aotizhongxin_2013_2017.csv.gz")
    beijing.index = pd.to_datetime(beijing[["year", "month", "day", "hour"]]) - pd.Timedelta("8h")
    for column, quantity in BEIJING.items():
        yield "Beijing", quantity, beijing[column] * (0.001 if quantity == "co" else 1)
    samenmeten = pd.read_csv(air / "samenmeten_zeeland_2022-02.csv.gz")
    samenmeten.index = pd.to_datetime(samenmeten["timestamp"], unit="s")
    for (_, parameter), rows in samenmeten.groupby(["station", "parameter"]):
        if parameter in SAMENMETEN:
            yield "Samen Meten", SAMENMETEN[parameter], rows["value"].where(rows["value"] > -99)
    for name, quantity in YEARS.items():
        path = air / "luchtmeetnet" / f"{name}.csv.gz"
        file = pd.read_csv(path, sep=";", skiprows=9, encoding="latin-1", low_memory=False)
        begin = pd.DatetimeIndex(pd.to_datetime(file.iloc[:, 3], utc=True)).tz_localize(None)
        for station in file.columns[5:]:
            values = pd.to_numeric(file[station], errors="coerce").set_axis(begin)
            yield f"Luchtmeetnet {name[:4]}", quantity, values
            yield "  in whole steps", quantity, (values / step(quantity)).round() * step(quantity)


def step(quantity: str) -> float:
    """What a plug-in sensor tells apart."""
    return 0.1 if quantity == "bc" else 1.0


def judged(quantity: str, series: "pd.Series[float]") -> "pd.Series[float]":
    """Count what the rules take of a series, and add up what they leave, with and without `flat` and `tolerance`."""
    known = series.dropna().sort_index(kind="stable")
    start = known.index.to_numpy().astype("datetime64[us]").astype(np.int64)
    sent, limits = known.to_numpy(np.float64), limits_of(quantity)
    low, high, tolerance = (np.full(len(sent), one) for one in (limits.low, limits.high, limits.tolerance))
    value = clipped(sent, low, high, tolerance)
    outside, was_outside = (out_of_range(one, low, high) > 0 for one in (value, sent))
    inside = np.flatnonzero(~outside)
    far, same, was_same = np.zeros((3, len(sent)), bool)
    far[inside] = spike(start[inside], value[inside], limits)
    same[inside] = stuck(start[inside], value[inside], limits)
    was_same[inside] = stuck(start[inside], value[inside], replace(limits, flat=0))
    kept, was_kept = ~(outside | far | same), ~(was_outside | far | was_same)
    return pd.Series({"readings": len(sent), "clipped": (value != sent).sum(), "outside": outside.sum(),
                      "spike": far.sum(), "before": was_same.sum(), "stuck": same.sum(), "kept": kept.sum(),
                      "sum": value[kept].sum(), "was_kept": was_kept.sum(), "was_sum": sent[was_kept].sum()},
                     dtype=float)  # fmt: skip


def table(air: Path) -> str:
    """Write the table of all series, those of one source and quantity together."""
    found: dict[tuple[str, str], pd.Series[float]] = {}
    for source, quantity, series in recorded(air):
        counts = judged(quantity, series)
        found[source, quantity] = counts + found.get((source, quantity), 0)
    lines = [HEAD, "|---" * 2 + "|--:" * 8 + "|"]
    for (source, quantity), all_of in found.items():
        cells = [f"{all_of[name]:,.0f}" for name in ("readings", "clipped", "outside", "spike", "before", "stuck")]
        cells += [f"{all_of['was_sum'] / all_of['was_kept']:.3f}", f"{all_of['sum'] / all_of['kept']:.3f}"]
        lines.append(f"| {source} | {quantity} | {' | '.join(cells)} |")
    return "\n".join(lines)


@pytest.mark.slow
@pytest.mark.shared
def test_document_says_what_the_rules_take(shared_data: Path) -> None:
    """The document's table is that of the recorded files."""
    made = table(shared_data / "air")
    print(made)
    assert made in (ROOT / "docs" / "quality.md").read_text("utf-8")
