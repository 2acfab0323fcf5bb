"""Indicators on small tables that can be checked by hand, and a finding on the recorded data."""

import math
from collections.abc import Hashable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import shapely
from msgspec.structs import replace

from aggregates.areas.inputs import Document, gather
from aggregates.areas.load import load
from aggregates.areas.maps import read_layer
from aggregates.areas.roll_up import roll_areas
from aggregates.ask.dates import BadQuestion
from aggregates.ask.indicators import Refused, compute, exposure
from aggregates.ask.listings import joined
from aggregates.ask.query import Question
from aggregates.store.store import Store
from ingest.files.recordings import messages
from ingest.formats.decode import decode
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.readings import Message, Reading
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up
from tests.aggregates.areas.test_areas import hours, load_cases, place, refresh

BEGIN = datetime(2024, 6, 3, tzinfo=UTC)  # a Monday
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
LATER = datetime(2024, 9, 1, tzinfo=UTC)


def days(store: Store, **sensors: list[float | None]) -> None:
    """Store bicycles of sensors in a buurt, days from BEGIN on; None is a day that is not valid."""
    load_cases(store)
    place(store, **dict.fromkeys(sensors, (6.002, 53.002)))
    begin = datetime(2024, 6, 2, 22, tzinfo=UTC)
    for name, values in sensors.items():
        for at, value in enumerate(values):
            hours(store, name, [1.0 if value is None else value / 24] * (1 if value is None else 24),
                  "bicycle_count", begin + at * DAY)  # fmt: skip
    refresh(store, LATER)


def panel_index(store: Store, base: int, last: int = 20, first: int = 0) -> pd.DataFrame:
    """Ask for the index of days of that buurt, the first of them being the base."""
    begin = datetime(2024, 6, 2, 22, tzinfo=UTC)
    asked = Question("bicycle_count", begin + first * DAY, begin + last * DAY, "1d", area="BU99010000", vintage=2024)
    return compute(store, "panel-index", asked, base_to=begin + base * DAY)


class TestPanelIndex:
    """The same sensors, valid days, base = 100."""

    def test_new_counter_changes_nothing(self, store: Store) -> None:
        """A counter that begins after the base is not in the panel, so the index does not jump."""
        days(store, a=[120, 120, 132], b=[360, 360, 396], new=[None, None, 5000])
        found = panel_index(store, 2)
        assert found["index"].tolist() == pytest.approx([100, 100, 110])
        assert found["members"].unique().tolist() == ["stadspuls/a stadspuls/b"]
        assert found["date"].map(str).tolist() == ["2024-06-03", "2024-06-04", "2024-06-05"]

    def test_day_without_the_whole_panel_is_null(self, store: Store) -> None:
        """A day on which one of the panel is not valid has no index, instead of a dip."""
        values: list[float | None] = [120.0] * 10
        days(store, a=values, b=[*values[:7], None, *values[8:]])
        found = panel_index(store, 5)
        assert math.isnan(found["index"].iloc[7])
        assert found["index"].drop(7).tolist() == pytest.approx([100] * 9)

    def test_refused(self, store: Store) -> None:
        """Without a base, or a sensor that is valid in it, there is no index."""
        days(store, a=[1, None], b=[None, 1])
        with pytest.raises(Refused, match="2024-05-24T22:00Z to 2024-05-25T22:00Z, an index needs one"):
            panel_index(store, -8, first=-9)
        with pytest.raises(Refused, match="a panel needs one"):
            panel_index(store, 1)


class TestHeavyShare:
    """Heavy vehicles among those whose class was told."""

    @staticmethod
    def share(store: Store, *heavy: str, **channels: Sequence[float | None]) -> list[dict[Hashable, Any]]:
        """Store hours of the channels of a sensor in a buurt, None one that is not valid, and ask for its share."""
        load_cases(store)
        place(store, a=(6.002, 53.002))
        for name, values in channels.items():
            for at, value in enumerate(values):
                covers, begin = 900.0 if value is None else 3600.0, BEGIN + timedelta(hours=at)
                hours(store, "a", [value or 0.0], "vehicle_count", begin, f"lane1/{name}", covers=covers)
        refresh(store, LATER)
        asked = Question("vehicle_count", BEGIN, BEGIN + DAY, "1h", area="BU99010000", vintage=2024)
        return compute(store, "heavy-share", asked, heavy=heavy).to_dict("records")

    def test_any_is_not_added(self, store: Store) -> None:
        """10 heavy of 100, and the total beside them counts for nothing; an hour without a class is left out."""
        (row,) = self.share(store, "heavy", any=[100, 50, 70], car=[90, 50, 70], heavy=[10, None])
        assert (row["heavy"], row["vehicles"], row["share"], row["windows"]) == (10, 100, 0.1, 1)

    def test_a_sensor_without_a_heavy_class_has_no_share(self, store: Store) -> None:
        """Of one whose classes have other names nobody knows how many were heavy: no row, and not zero."""
        place(store, b=(6.002, 53.002))
        hours(store, "b", [90.0], "vehicle_count", BEGIN, "lane1/class3")
        (row,) = self.share(store, "heavy", car=[90], heavy=[10])
        assert (row["sensor_id"], row["share"]) == ("stadspuls/a", 0.1)

    def test_an_hour_with_two_periods_counts_once(self, store: Store) -> None:
        """A sensor that begins to send quarters has both in the hour in which it does: the whole hour counts."""
        quarter = Reading("stadspuls/a", "lane1/heavy", "vehicle_count", 900, BEGIN + HOUR * 1.75, 9.0, covers=900)
        Pipeline(store).store(Batch(columns([quarter], [LATER])))
        (row,) = self.share(store, "heavy", car=[90, 50], heavy=[10, 50])
        assert (row["heavy"], row["vehicles"], row["windows"]) == (60, 200, 2)

    def test_refused_without_classes(self, store: Store) -> None:
        """Sensors that do not tell classes apart give no share, nor does one without a whole hour, or without any."""
        with pytest.raises(Refused, match="no windows of this quantity here"):
            self.share(store, "heavy")
        with pytest.raises(Refused, match=r"classes none, expected one of heavy: .* tell them apart"):
            self.share(store, "heavy", any=[1.0])
        with pytest.raises(Refused, match="no window in which every class of a sensor was valid"):
            self.share(store, "heavy", car=[1.0], heavy=[None])


class TestHours:
    """Hours above a threshold, and profiles, of the hours of an area in the store."""

    def test_not_measured_is_in_the_answer(self, store: Store) -> None:
        """40.0 is not above 40; of 10 hours 4 were measured, at the station that stands there and so in the area."""
        load_cases(store)
        place(store, a=(6.002, 53.002), far=(7.0, 53.0))
        hours(store, "a", [39.0, 40.0, 40.1, 99.0])
        hours(store, "a", [99.0], begin=BEGIN + timedelta(hours=4), covers=900.0)
        hours(store, "far", [99.0])
        refresh(store, LATER)
        asked = Question("no2", BEGIN, BEGIN + timedelta(hours=10), "1h", area="BU99010000", vintage=2024)
        rows = compute(store, "hours-above", asked, threshold=40.0).to_dict("records")
        assert [row["subject"] for row in rows] == ["stadspuls/a", "BU99010000"]
        for row in rows:
            assert (row["above"], row["valid"], row["hours"], row["not_measured"]) == (2, 4, 10, pytest.approx(0.6))
        begun = replace(asked, first=BEGIN + HOUR / 2, last=BEGIN + HOUR * 2.1)  # at 01:00 and 02:00
        station, _ = compute(store, "hours-above", begun, threshold=40.0).to_dict("records")
        assert (station["valid"], station["hours"], station["not_measured"]) == (2, 2, 0)
        nowhere = Question("no2", BEGIN, LATER, "1h", area="BU99010001", vintage=2024)
        assert compute(store, "hours-above", nowhere, threshold=40.0).empty

    def test_profile_is_in_local_time(self, store: Store) -> None:
        """Monday 00:00 UTC in summer is Monday 02:00 in Amsterdam; hours without a value are null with 0 hours."""
        load_cases(store)
        place(store, a=(6.002, 53.002))
        hours(store, "a", [10.0])
        hours(store, "a", [20.0], begin=BEGIN + 7 * DAY)
        hours(store, "a", [99.0], begin=BEGIN + 14 * DAY, covers=900.0)
        refresh(store, LATER)
        found = compute(store, "week-profile", Question("no2", BEGIN, LATER, "1h", area="BU99010000", vintage=2024))
        assert len(found) == 168
        rows = found.to_dict("records")
        assert rows[2] == {"hour_of_week": 2, "mean": 15.0, "hours": 2, "label": "Mon 02"}
        assert math.isnan(rows[3]["mean"])
        assert rows[167]["label"] == "Sun 23"


class TestExposure:
    """Refused from sensors alone; by inhabitants with a model."""

    BUURTEN = tuple(
        {"code": code, "name": code, "geometry": shape and shapely.to_wkb(shape), "statistics": {"inhabitants": people}}
        for code, shape, people in (
            ("BU1", shapely.box(0, 0, 1, 1), 100.0), ("BU2", shapely.box(1, 0, 2, 1), None),
            ("BU3", shapely.box(5, 5, 6, 6), None), ("BU4", None, 100.0),
        )
    )  # fmt: skip

    def test_refused_from_sensors(self) -> None:
        """Without a layer the reason is given."""
        with pytest.raises(Refused, match="nobody knows what people breathe"):
            exposure(self.BUURTEN, None, 10)

    def test_weighted(self) -> None:
        """A buurt's value is the mean over its area; what is not covered or not known is not counted, and named."""
        layer = [(shapely.box(0, 0, 0.5, 1), 20.0), (shapely.box(0.5, 0, 2, 1), 8.0)]
        found = exposure(self.BUURTEN, layer, 10).set_index("code")
        assert (found["concentration"].iloc[0], found["above"].iloc[0]) == (14.0, 100.0)
        assert found.loc["BU2", "reason"] == "inhabitants not known"
        assert found.loc["BU3", "reason"] == "the layer covers 0%"
        assert found["above"].sum() == 100

    def test_layer_from_a_file(self, tmp_path: Path) -> None:
        """A layer is any map with a column of values."""
        path = tmp_path / "layer.geojson"
        path.write_text(
            '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"value":7.5},"geometry":'
            '{"type":"Polygon","coordinates":[[[6,53],[6.1,53],[6.1,53.1],[6,53]]]}}]}'
        )
        ((shape, value),) = read_layer(path, "value")
        assert (shape.geom_type, value) == ("Polygon", 7.5)


def test_missing_argument_is_named(store: Store) -> None:
    """An indicator without its threshold or base, or an unknown one, is a bad question."""
    asked = Question("no2", BEGIN, LATER, "1h", area="GM0014", vintage=2024)
    for name, words in (("hours-above", "--threshold"), ("panel-index", "--base-to"), ("per-1000", "expected one of")):
        with pytest.raises(BadQuestion, match=words):
            compute(store, name, asked)
    with pytest.raises(Refused, match="model layer"):
        compute(store, "exposure", asked, threshold=10.0)


@pytest.mark.long
@pytest.mark.shared
def test_finding_of_the_analysts_page(store: Store, shared_data: Path) -> None:
    """The figures in docs/analysts.md: NO2 by hour of the week in two centres, beside density."""
    codes = ["GM0014", "GM0772"]
    names = [f"cbs/{kind}_{code}{rest}" for code in codes
             for kind, rest in (("geometry/buurt_2024", "_approx.geojson"), ("kwb/kwb_2024", ".json"))]  # fmt: skip
    found = gather([Document.read(shared_data / name) for name in names], 2024, codes)
    load(store, 2024, codes, found)
    pipeline = Pipeline(store)
    for message in messages(shared_data / "air/luchtmeetnet/2024_06_NO2.csv.gz", "luchtmeetnet"):
        pipeline.store(decode([Message(message.topic, message.payload, LATER)]))
    roll_up(store, LATER)
    roll_areas(store)
    first, last = datetime(2024, 5, 31, 23, tzinfo=UTC), datetime(2024, 6, 30, 23, tzinfo=UTC)
    shown = {}
    for code in ("BU00140002", "BU07725130", "BU07726240"):
        asked = Question("no2", first, last, "1h", area=code, vintage=2024)
        profile = compute(store, "week-profile", asked)
        working = profile[profile["hour_of_week"] < 120]
        by_hour = working.groupby(working["hour_of_week"] % 24)["mean"].mean()
        sunday = profile.loc[profile["hour_of_week"] >= 144, "mean"].mean()
        station, _ = compute(store, "hours-above", asked, threshold=25.0).to_dict("records")
        shown[code] = (
            by_hour.idxmax(), *(round(one, 1) for one in (by_hour.max(), working["mean"].mean(), sunday)),
            station["above"], station["hours"] - station["valid"],
        )  # fmt: skip
    span: dict[str, Any] = {"window": "1h", "first": first, "last": last}
    table = joined(store, **span, vintage=2024, quantities=["no2"], level="buurt", measures=("density",))
    beside = table.to_pandas().groupby("code", observed=True)
    assert beside["value"].mean().round(1).to_dict() == {"BU00140002": 11.3, "BU07725130": 11.4, "BU07726240": 15.3}
    assert beside["density"].first().to_dict() == {"BU00140002": 16413, "BU07725130": 6574, "BU07726240": 5950}
    # Hour of the highest mean on working days, that mean, means of working days and Sundays; hours above 25, missing.
    assert shown == {
        "BU00140002": (7, 20.0, 12.8, 6.9, 23, 0),
        "BU07725130": (7, 17.7, 12.6, 8.4, 24, 12),
        "BU07726240": (7, 27.0, 16.8, 11.0, 73, 41),
    }
