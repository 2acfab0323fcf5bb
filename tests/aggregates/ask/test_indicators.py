"""Indicators on small tables that can be checked by hand, and a finding on the recorded data."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
import shapely

from aggregates.areas.geometry import Area
from aggregates.areas.inputs import Document, gather
from aggregates.areas.load import load
from aggregates.areas.roll_up import roll_areas
from aggregates.ask.area_figures import compute, joined, read_layer
from aggregates.ask.indicators import Refused, exposure, heavy_share, hours_above, panel_index, week_profile
from aggregates.ask.query import BadQuestion, Question
from aggregates.store.store import Store
from ingest.files.recordings import messages
from ingest.formats.decode import decode
from ingest.vocabulary.readings import Message
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up

BEGIN = datetime(2024, 6, 3, tzinfo=UTC)  # a Monday
DAY = timedelta(days=1)
LATER = datetime(2024, 9, 1, tzinfo=UTC)


def days(**sensors: list[float | None]) -> pd.DataFrame:
    """Days of sensors from BEGIN on; None is a day that is not valid."""
    rows = [
        (name, BEGIN + at * DAY, value or 0.0, value is not None)
        for name, values in sensors.items()
        for at, value in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["sensor_id", "start", "value", "valid"])


class TestPanelIndex:
    """The same sensors, valid days, base = 100."""

    def test_new_counter_changes_nothing(self) -> None:
        """A counter that begins after the base is not in the panel, so the index does not jump."""
        found = panel_index(
            days(a=[100, 100, 110], b=[300, 300, 330], new=[None, None, 5000]), (BEGIN, BEGIN + 2 * DAY)
        )
        assert found["index"].tolist() == pytest.approx([100, 100, 110])
        assert found["members"].unique().tolist() == ["a b"]

    def test_day_without_the_whole_panel_is_null(self) -> None:
        """A day on which one of the panel is not valid has no index, instead of a dip."""
        values: list[float | None] = [100.0] * 10
        found = panel_index(days(a=values, b=[*values[:7], None, *values[8:]]), (BEGIN, BEGIN + 5 * DAY))
        assert math.isnan(found["index"].iloc[7])
        assert found["index"].drop(7).eq(100).all()

    def test_refused(self) -> None:
        """Without a base, or a sensor that is valid in it, there is no index."""
        with pytest.raises(Refused, match="an index needs one"):
            panel_index(days(a=[1, 2]), (BEGIN - 9 * DAY, BEGIN - 8 * DAY))
        with pytest.raises(Refused, match="a panel needs one"):
            panel_index(days(a=[1, None], b=[None, 1]), (BEGIN, BEGIN + DAY))


class TestHeavyShare:
    """Heavy vehicles among those whose class was told."""

    def test_any_is_not_added(self) -> None:
        """10 heavy of 100, and the total beside them counts for nothing; an hour without a class is left out."""
        rows = [
            ("s", "lane1/any", BEGIN, 100.0, True), ("s", "lane1/car", BEGIN, 90.0, True),
            ("s", "lane1/heavy", BEGIN, 10.0, True), ("s", "lane1/car", BEGIN + DAY, 50.0, True),
            ("s", "lane1/heavy", BEGIN + DAY, 0.0, False),
        ]  # fmt: skip
        frame = pd.DataFrame(rows, columns=["sensor_id", "channel", "start", "value", "valid"])
        (row,) = heavy_share(frame, ["heavy"]).to_dict("records")
        assert (row["heavy"], row["vehicles"], row["share"], row["windows"]) == (10, 100, 0.1, 1)

    def test_refused_without_classes(self) -> None:
        """Sensors that do not tell classes apart give no share."""
        columns = {"sensor_id": ["s"], "channel": ["lane1/any"], "start": [BEGIN], "value": [1.0], "valid": [True]}
        with pytest.raises(Refused, match="tell them apart"):
            heavy_share(pd.DataFrame(columns), ["heavy"])


class TestHours:
    """Hours above a threshold, and profiles."""

    def test_not_measured_is_in_the_answer(self) -> None:
        """40.0 is not above 40; of 10 hours 4 were measured."""
        values = [39.0, 40.0, 40.1, 99.0, 99.0]
        frame = pd.DataFrame(
            {"subject": "s", "start": [BEGIN + timedelta(hours=h) for h in range(5)], "value": values}
        ).assign(valid=[True, True, True, True, False])
        (row,) = hours_above(frame, 40.0, BEGIN, BEGIN + timedelta(hours=10)).to_dict("records")
        assert (row["above"], row["valid"], row["hours"], row["not_measured"]) == (2, 4, 10, pytest.approx(0.6))

    def test_profile_is_in_local_time(self) -> None:
        """Monday 00:00 UTC in summer is Monday 02:00 in Amsterdam; hours without a value are null with 0 hours."""
        start = pd.Series(pd.to_datetime([BEGIN, BEGIN + 7 * DAY]))
        frame = pd.DataFrame({"start": start, "value": [10.0, 20.0], "valid": True})
        found = week_profile(frame, "Europe/Amsterdam")
        assert len(found) == 168
        rows = found.to_dict("records")
        assert rows[2] == {"hour_of_week": 2, "mean": 15.0, "hours": 2, "label": "Mon 02"}
        assert math.isnan(rows[3]["mean"])


class TestExposure:
    """Refused from sensors alone; by inhabitants with a model."""

    BUURTEN = (Area("BU1", "a", shapely.box(0, 0, 1, 1)), Area("BU2", "b", shapely.box(1, 0, 2, 1)),
               Area("BU3", "c", shapely.box(5, 5, 6, 6)))  # fmt: skip

    def test_refused_from_sensors(self) -> None:
        """Without a layer the reason is given."""
        with pytest.raises(Refused, match="nobody knows what people breathe"):
            exposure(self.BUURTEN, {}, None, 10)

    def test_weighted(self) -> None:
        """A buurt's value is the mean over its area; what is not covered or not known is not counted, and named."""
        layer = [(shapely.box(0, 0, 0.5, 1), 20.0), (shapely.box(0.5, 0, 2, 1), 8.0)]
        found = exposure(self.BUURTEN, {"BU1": 100.0, "BU2": None}, layer, 10).set_index("code")
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
    beside = joined(store, Question("no2", first, last, "1h", vintage=2024), "buurt", ("density",)).groupby("code")
    assert beside["value"].mean().round(1).to_dict() == {"BU00140002": 11.3, "BU07725130": 11.4, "BU07726240": 15.3}
    assert beside["density"].first().to_dict() == {"BU00140002": 16413, "BU07725130": 6574, "BU07726240": 5950}
    # Hour of the highest mean on working days, that mean, means of working days and Sundays; hours above 25, missing.
    assert shown == {
        "BU00140002": (7, 20.0, 12.8, 6.9, 23, 0),
        "BU07725130": (7, 17.7, 12.6, 8.4, 24, 12),
        "BU07726240": (7, 27.0, 16.8, 11.0, 73, 41),
    }
