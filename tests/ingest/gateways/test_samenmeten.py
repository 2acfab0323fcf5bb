"""Samen Meten: a calibrated value corrects its raw twin whichever comes first, and the stamp is the hour's end."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import psycopg
import pytest

from aggregates.store.store import Store
from ingest.formats.coded.luchtmeetnet import PREAMBLE
from ingest.formats.decode import decode
from ingest.vocabulary.readings import Message
from streams.commit.pipeline import Pipeline

NOW = datetime(2026, 5, 5, 9, tzinfo=UTC)
RAW, CALIBRATED = ("pm25", 9.5), ("pm25_kal", 6.1)


def page(parameter: str, value: float, options: str = "") -> Message:
    """Make a message with one value."""
    one = {"station": "LTD_1", "parameter": parameter, "value": value, "timestamp": "2026-05-04T08:00:00Z"}
    return Message(f"stadspuls/samenmeten/LTD_1{options}", json.dumps([one]).encode(), NOW)


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 1, 0), (1, 0, 1)])
def test_calibrated_value_corrects_the_raw_one(store: Store, database: str, order: tuple[int, ...]) -> None:
    """One reading of the hour remains, with the calibrated value."""
    pipeline = Pipeline(store)
    for at in order:
        pipeline.store(decode([page(*(RAW, CALIBRATED)[at])]))
    assert stored(database) == [(6.1, 0)]


def test_raw_and_calibrated_in_one_batch(store: Store, database: str) -> None:
    """Two values of one hour that arrive together leave the calibrated one."""
    Pipeline(store).store(decode([page(*RAW), page(*CALIBRATED)]))
    assert stored(database) == [(6.1, 0)]


def test_later_calibration_replaces_an_earlier_one(store: Store, database: str) -> None:
    """A calibration that was published again is newer by the version in its topic, be it lower."""
    pipeline = Pipeline(store)
    pipeline.store(decode([page(*CALIBRATED, "?version=2026-05-04T08:45:00Z")]))
    pipeline.store(decode([page("pm25_kal", 5.8, "?version=2026-05-05T08:45:00Z")]))
    pipeline.store(decode([page(*RAW)]))
    assert stored(database) == [(5.8, 0)]


def stored(database: str) -> list[tuple[float, int]]:
    """Give value and flags of every reading in the store."""
    with psycopg.connect(database) as connection:
        return connection.execute("SELECT value, flags FROM reading").fetchall()


@pytest.mark.shared
def test_stamp_is_the_end_of_the_hour(shared_data: Path) -> None:
    """A sensor on the roof of a reference station rises and falls with it only when its stamps are ends of hours."""
    sensors = pd.read_csv(shared_data / "air/samenmeten_zeeland_2022-02.csv.gz")
    no2 = sensors[(sensors.station == "SSK_LD016") & (sensors.parameter == "no2") & (sensors.value > 0)]
    by_sensor = pd.Series(no2.value.to_numpy(), pd.to_datetime(no2.timestamp, unit="s", utc=True))
    by_station = reference(shared_data / "air/luchtmeetnet/2022_NO.csv.gz", "luchtmeetnet/NL01485")
    likeness = {}
    for shift in (-2, -1, 0, 1):  # hours from a stamp to the start of the hour that it means
        means = by_station.reindex(by_sensor.index + pd.Timedelta(hours=shift)).to_numpy()
        likeness[shift] = np.corrcoef(np.diff(means), np.diff(by_sensor.to_numpy()))[0, 1]
    assert likeness[-1] > 0.7
    assert all(value < 0.2 for shift, value in likeness.items() if shift != -1)


def reference(path: Path, station: str) -> "pd.Series[float]":
    """Give a station's first week of February 2022, by the start of each hour."""
    lines = gzip.decompress(path.read_bytes()).split(b"\n")
    week = [line for line in lines[PREAMBLE:] if b";202202" in line or b";2022013" in line]
    payload = b"\n".join([*lines[:PREAMBLE], *week])
    found = decode([Message("stadspuls/luchtmeetnet/x", payload, NOW)]).readings.to_pandas()
    own = found[(found["sensor_id"] == station) & (found["channel"] == "")]
    return pd.Series(own["value"].to_numpy(), pd.DatetimeIndex(own["start"]))
