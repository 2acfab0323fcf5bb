"""Telraam: counts as they were counted, hours that saw nothing, and recorded months of two streets."""

import gzip
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ingest.formats.decode import FORMATS, decode
from ingest.vocabulary.readings import Flag, Message, Reading, SensorFact

NOW = datetime(2026, 8, 1, tzinfo=UTC)
REPORT = {"segment_id": 9, "date": "2026-05-04T07:00:00.000Z", "interval": "hourly", "uptime": 0.5}


def read(document: Any) -> list[Reading]:
    """Decode one message, leaving out the facts about the sensor."""
    items = FORMATS["telraam"](Message("stadspuls/telraam/9", json.dumps(document).encode(), NOW))
    return [one for one in items if isinstance(one, Reading)]


def test_count_is_what_was_counted() -> None:
    """Telraam divides by the uptime; 619.178 at 0.73 were 452 cars in 2,628 seconds."""
    (one,) = read(REPORT | {"uptime": 0.73, "car": 619.178})
    assert one.value == pytest.approx(452, abs=0.01)
    assert one.covers == pytest.approx(2628)


def test_hour_without_uptime_failed() -> None:
    """An hour in the dark has 0 everywhere: that is missing, not zero."""
    readings = read(REPORT | {"uptime": 0, "car": 0, "bike": 0, "v85": None})
    assert [(one.value, one.flags, one.covers) for one in readings] == [(None, Flag.SOURCE_ERROR, 0)] * 3


def test_minus_one_failed() -> None:
    """-1 is Telraam's word for missing."""
    (one,) = read(REPORT | {"car": -1})
    assert (one.value, one.flags) == (None, Flag.SOURCE_ERROR)


def test_no_car_no_v85() -> None:
    """Without a car there was no speed to measure: covered, weight 0, not failed."""
    one = read(REPORT | {"car": 0, "v85": None})[-1]
    assert (one.quantity, one.value, one.weight, one.flags, one.covers) == ("vehicle_speed_v85", None, 0, 0, 1800)


def test_directions_are_lanes() -> None:
    """A segment counted by direction has two lanes, so a figure of one direction is not the street's."""
    document = json.dumps(REPORT | {"car": 3, "car_lft": 1, "car_rgt": 2}).encode()
    fact, *readings = FORMATS["telraam"](Message("stadspuls/telraam/9", document, NOW))
    assert fact == SensorFact("telraam/9", lanes=2)
    assert [one.channel for one in readings if isinstance(one, Reading)] == ["lft/car", "rgt/car"]


NULLS = {f"car{side}": None for side in ("", "_lft", "_rgt")}


def channels(*reports: dict[str, Any]) -> list[tuple[str, float | None, int]]:
    """Give channel, value and flags of the readings of one answer."""
    return [(one.channel, one.value, one.flags) for one in read({"report": list(reports)})]


def test_missing_hour_is_of_the_same_series() -> None:
    """An hour of nulls, or with one direction null, failed in the series of its directions, and begins none."""
    lost = [("lft/car", None, Flag.SOURCE_ERROR), ("rgt/car", None, Flag.SOURCE_ERROR)]
    assert channels(REPORT | NULLS) == lost
    assert channels(REPORT | {"car": 3, "car_lft": 1, "car_rgt": 2}, REPORT | NULLS)[2:] == lost
    assert channels(REPORT | NULLS | {"car_lft": 4})[0] == ("lft/car", 2, 0)
    assert channels(REPORT | NULLS | {"car_lft": 4})[1] == lost[1]


def test_missing_hour_of_a_segment_without_directions() -> None:
    """Where other hours have a total and no directions, an hour of nulls failed as a total."""
    assert channels(REPORT | NULLS | {"car": 4}, REPORT | NULLS) == [
        ("/car", 2, 0), ("/car", None, Flag.SOURCE_ERROR),
    ]  # fmt: skip


def test_uptime_that_is_null_costs_one_hour() -> None:
    """An hour whose uptime is not known failed, and the other hours of the message are read."""
    assert channels(REPORT | {"car": 4}, REPORT | {"car": 4, "uptime": None}) == [
        ("/car", 2, 0), ("/car", None, Flag.SOURCE_ERROR),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"uptime": -0.1}, "uptime"),
        ({"uptime": 1.1}, "uptime"),
        ({"interval": "daily"}, "interval"),
        ({"date": "x"}, "stamp 'x'"),
    ],
)
def test_doubtful_report_is_refused(change: dict[str, Any], reason: str) -> None:
    """An uptime outside 0 to 1, another interval or a stamp that is none refuses the report, naming it."""
    payload = json.dumps(REPORT | {"car": 1} | change).encode()
    (letter,) = decode([Message("stadspuls/telraam/x", payload, NOW)]).dead_letters
    assert reason in letter.reason


@pytest.mark.shared
@pytest.mark.parametrize("segment", ["9000008311", "9000008322"])
def test_recorded_month(shared_data: Path, segment: str) -> None:
    """December 2025 of two streets in Karlsruhe: 744 hours, 462 of them in the dark, and the cars of the others."""
    raw = gzip.decompress((shared_data / f"telraam/karlsruhe_{segment}_2025-12.json.gz").read_bytes())
    reports = json.loads(raw)["data"]
    cars = [one for one in read(json.loads(raw)) if one.channel.endswith("/car")]
    assert {one.sensor_id for one in cars} == {f"telraam/{segment}"}
    assert len(cars) == 2 * 744
    assert sum(one.value is None for one in cars) == 2 * 462
    counted = sum(one.value for one in cars if one.value is not None)
    assert counted == pytest.approx(sum(report["car"] * report["uptime"] for report in reports), rel=1e-6)


@pytest.mark.shared
def test_recorded_year_as_csv(shared_data: Path) -> None:
    """A week of an export as CSV, with local stamps that name CET or CEST: the cars of every hour that saw any."""
    raw = gzip.decompress((shared_data / "telraam/chateaubourg_rennes_hourly_2022.csv.gz").read_bytes())
    table = pd.read_csv(io.BytesIO(raw)).iloc[4_000:4_168]
    payload = table.to_csv(index=False).encode()
    found = decode([Message("stadspuls/telraam/x", payload, NOW)])
    cars = found.readings.to_pandas().query("channel == 'lft/car' or channel == 'rgt/car'")
    assert found.dead_letters == ()
    assert len(cars) == 2 * len(table)
    assert cars.value.sum() == pytest.approx((table.car * table.uptime).sum())
    first = datetime.strptime(table.date.iloc[0].replace("CEST", "+0200"), "%Y-%m-%d %H:%M:%S %z")
    assert cars.start.min() == first
