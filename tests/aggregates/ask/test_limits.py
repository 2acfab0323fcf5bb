"""A year of Dutch air beside its limits, against pandas over the files alone."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa
import pytest

from aggregates.ask.dates import BadQuestion
from aggregates.ask.limits import read_limits, terms
from aggregates.ask.listings import LISTS
from aggregates.store.store import Store
from ingest.vocabulary.readings import Reading
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up
from tests.streams.commit.test_pipeline import batch

YEAR = datetime(2022, 12, 31, 23, tzinfo=UTC)
LATER = datetime(2024, 2, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def recorded(shared_data: Path, quantity: str) -> pd.DataFrame:
    """The hours of 2023 by station; what is no number is missing."""
    path = shared_data / f"air/luchtmeetnet/2023_{quantity}.csv.gz"
    file = pd.read_csv(path, sep=";", skiprows=9, encoding="latin-1", low_memory=False)
    hours = pd.DatetimeIndex(pd.to_datetime(file.iloc[:, 3], utc=True))
    table: pd.DataFrame = file.iloc[:, 5:].apply(pd.to_numeric, errors="coerce").set_axis(hours)
    year: pd.DataFrame = table.reindex(pd.date_range(YEAR, periods=8760, freq="h"))
    return year


Compared = Callable[[pd.DataFrame, str], dict[tuple[str, str, str], dict[str, Any]]]


@pytest.fixture
def compared(store: Store) -> Compared:
    """Compare hours, a column a station, with all limits: they stand in a table in the place of the stored ones."""

    def compare(hours: pd.DataFrame, quantity: str) -> dict[tuple[str, str, str], dict[str, Any]]:
        long = hours.rename_axis(index="start").reset_index().melt("start", var_name="sensor_id").dropna()
        with psycopg.connect(store.conninfo, autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS by_hand")
            connection.execute(
                "CREATE TABLE by_hand (start timestamptz, sensor_id text, value float8, series int DEFAULT 1,"
                " valid bool DEFAULT true)"
            )
            with connection.cursor().copy("COPY by_hand (start, sensor_id, value) FROM STDIN (FORMAT CSV)") as copy:
                copy.write(long.to_csv(index=False, header=False))
        asked = {"series": [1], "area": None, "vintage": None, **terms(quantity, 2023)}
        found = pa.Table.from_batches(
            LISTS["limits"].read(store, None, 10_000, "by_hand", **asked), LISTS["limits"].columns
        )
        return {(row["sensor_id"], row["law"], row["statistic"]): row for row in found.to_pylist()}

    return compare


def of_days(*values: float) -> pd.DataFrame:
    """Give the hours of days at the beginning of the year, each of one value, of a station `s`."""
    start = pd.date_range(YEAR, periods=24 * len(values), freq="h")
    return pd.DataFrame({"s": np.repeat(values, 24)}, index=start)


class TestCompare:
    """Values beside one limit, by hand."""

    def test_rounded_last(self, compared: Compared) -> None:
        """50.4 is not above 50, and 50.5 is."""
        found = compared(of_days(50.4, 50.5, 60.0), "pm10")
        assert found["s", "2008/50/EC", "day"]["above"] == 2

    def test_little_measured_is_said_so(self, compared: Compared) -> None:
        """With too little measured nobody can say that a year was below, but that it was above can be known."""
        few, many = (compared(of_days(10.0, *[60.0] * count), "pm10") for count in (35, 36))
        for found, exceeded in ((few, None), (many, True)):
            day, year = (found["s", "2008/50/EC", statistic] for statistic in ("day", "year"))
            assert (day["valid"], day["exceeded"]) == (False, exceeded)
            assert (year["valid"], year["exceeded"], year["above"]) == (False, None, None)
        (day,) = (compared(of_days(60.0).iloc[:17], "pm10")["s", "2008/50/EC", statistic] for statistic in ("day",))
        assert [day[name] for name in ("value", "maximum", "above", "valid_windows", "not_measured", "exceeded")] == [
            None, None, 0, 0, 1.0, None
        ]  # fmt: skip

    def test_eight_hours_that_end_on_a_day(self, compared: Compared) -> None:
        """The first 8-hour mean of a day began at 17:00 the day before; six of eight hours are enough, five are not."""
        hours = pd.DataFrame(
            {"s": [100.0] * 7 + [10.0] * 24}, index=pd.date_range(YEAR - 7 * HOUR, periods=31, freq="h")
        )
        greatest = [compared(hours, "o3")["s", "2008/50/EC", "day8"]["maximum"]]
        for missing in (slice(1, 3), slice(3, 5)):
            hours.iloc[missing] = np.nan
            greatest.append(compared(hours, "o3")["s", "2008/50/EC", "day8"]["maximum"])
        assert greatest[:2] == [(7 * 100 + 10) / 8, pytest.approx((5 * 100 + 10) / 6)]
        assert greatest[2] < 78

    def test_refused(self) -> None:
        """What has no limits is refused, and named what has."""
        with pytest.raises(BadQuestion, match="expected one of co, no2, o3, pm10, pm25, so2"):
            terms("bicycle_count", 2023)


@pytest.mark.long
@pytest.mark.shared
def test_no2_of_the_netherlands_equals_pandas(compared: Compared, shared_data: Path) -> None:
    """All 77 stations of 2023: captured share, annual mean, hours above 200 and days above 25 are pandas'."""
    table = recorded(shared_data, "NO2")
    days = table.groupby(np.arange(8760) // 24)
    daily = days.mean().where(days.count() >= 18)
    means, known = {}, compared(table, "no2")
    for name, hours in table.items():
        if hours.isna().all():
            assert (name, "2008/50/EC", "year") not in known
            continue
        annual, daily_mean = known[str(name), "2008/50/EC", "year"], known[str(name), "WHO 2021", "day"]
        assert annual["not_measured"] == pytest.approx(hours.isna().mean())
        assert annual["value"] == pytest.approx(hours.mean())
        assert daily_mean["value"] == pytest.approx(
            daily[name].dropna().sort_values().iloc[int(np.ceil(daily[name].count() * 362 / 365)) - 1]
        )
        assert known[str(name), "2008/50/EC", "hour"]["above"] == (hours.dropna().add(0.5) // 1 > 200).sum()
        assert daily_mean["above"] == (daily[name].dropna().add(0.5) // 1 > 25).sum()
        if annual["valid"]:
            means[name] = annual["value"]
    whole = table.loc[:, table.notna().mean() >= 0.9]
    assert len(means) == whole.shape[1]
    assert pd.Series(means).mean() == pytest.approx(whole.mean().mean())
    assert (len(means), table.shape[1]) == (76, 77)
    assert pd.Series(means).mean() == pytest.approx(15.6209, abs=1e-4)


@pytest.mark.long
@pytest.mark.shared
def test_ozone_of_the_netherlands_equals_pandas(compared: Compared, shared_data: Path) -> None:
    """All stations of 2023: days with a greatest 8-hour mean above 120, and the 93.2nd percentile, are pandas'."""
    table = recorded(shared_data, "O3")
    eights = table.rolling(8, min_periods=6).mean()
    days = eights.groupby(np.arange(8760) // 24)
    greatest = days.max().where(days.count() >= 18)
    rows = compared(table, "o3")
    for name in table.columns[table.notna().any()]:
        found, known = rows[str(name), "2008/50/EC", "day8"], greatest[name].dropna()
        assert found["valid_windows"] == len(known)
        assert found["above"] == (known.add(0.5) // 1 > 120).sum()
        if len(known) == 365:
            assert found["value"] == pytest.approx(known.nlargest(26).iloc[-1])
            assert found["value"] == pytest.approx(known.quantile(0.932, interpolation="nearest"), abs=1.5)


@pytest.mark.shared
def test_a_year_from_the_store_is_that_of_the_file(store: Store, compared: Compared, shared_data: Path) -> None:
    """A station's recorded ozone, stored, rolled up and asked for, gives what its file gives, to every digit."""
    hours = recorded(shared_data, "O3")["NL10938"]
    spring = {YEAR + at * HOUR: float(value) for at, value in enumerate(hours[: 120 * 24]) if value == value}
    sent = [Reading("luchtmeetnet/NL10938", "", "o3", 3600, at, value, status=1) for at, value in spring.items()]
    Pipeline(store).store(batch(sent, received=LATER))
    roll_up(store, LATER)
    (found,) = read_limits(store, None, 100, quantity="o3", year=2023)
    rows = pa.Table.from_batches([found]).to_pylist()
    stored = hours.where(np.arange(8760) < 120 * 24).to_frame("luchtmeetnet/NL10938")
    assert rows == list(compared(stored, "o3").values())
    assert [row["law"] for row in rows] == ["2008/50/EC", "EU 2024/2881", "WHO 2021"]
    behind = ("luchtmeetnet/NL10938", "2008/50/EC", "day8")
    (page,) = read_limits(store, behind, 1, quantity="o3", year=2023)
    assert page["law"].to_pylist() == ["EU 2024/2881"]
