"""
Low, flat, valid values, boxes with several chips and sensors indoors, through decoding, store and roll-up.

`cases` beside the recorded data holds the messages; what is right was worked out by hand.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from aggregates.areas.inputs import Document, gather
from aggregates.areas.load import load
from aggregates.areas.roll_up import roll_areas
from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store
from ingest.files.catalogue import Entry
from ingest.formats.decode import decode
from ingest.vocabulary.readings import Message
from streams.alerts.frames import subjects_of_rule
from streams.alerts.rulebook import Rule
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def stored(store: Store, path: Path) -> None:
    """Take the message of a case's file as if it had just come."""
    topic = f"stadspuls/{path.stem}".replace("~", "/")
    Pipeline(store).store(decode([Message(topic, path.read_bytes(), NOW)]))
    roll_up(store, NOW)


@pytest.mark.shared
def test_low_and_flat(store: Store, shared_data: Path) -> None:
    """Twelve hours of 2 ug/m3 ozone are a kerb at night: all 24 hours count, and the day is their mean."""
    stored(store, shared_data.parent / "cases" / "low-and-flat" / "stadspuls~o3kerb.json")
    with psycopg.connect(store.conninfo) as connection:
        days = connection.execute("SELECT value, readings, flagged, valid FROM sensor_1d").fetchall()
    assert [(round(value, 3), *rest) for value, *rest in days] == [(7.917, 24, 0, True)]


@pytest.mark.shared
def test_heated_inlet(store: Store, shared_data: Path) -> None:
    """Of the chip in the air and the one in a heated inlet the sensor's figure is the first, and it can be valid."""
    stored(store, shared_data.parent / "cases" / "heated-inlet" / "sensor_community~nam.json")
    with psycopg.connect(store.conninfo) as connection:
        figures = connection.execute("SELECT quantity, value FROM sensor_5m ORDER BY quantity").fetchall()
    assert figures == [("humidity", 82.0), ("temperature", 7.5)]


@pytest.mark.shared
def test_indoor(store: Store, shared_data: Path) -> None:
    """
    Of a balcony and a kitchen at one place the area takes the balcony; both sensors have figures of their own.

    The catalogue decides where it says something: then the area's figures are made anew.
    """
    path = shared_data / "cbs/geometry/buurt_2024_GM0014_approx.geojson"
    load(store, 2024, ["GM0014"], gather([Document.read(path)], 2024, ["GM0014"]))
    stored(store, shared_data.parent / "cases" / "indoor" / "sensor_community~snapshot.json")
    assert areas(store) == {(8.2, 1, 1)}
    with psycopg.connect(store.conninfo) as connection:
        figures = connection.execute("SELECT indoor, round(f.value::numeric, 1)::float8, valid FROM sensor_1h f"
                                     " JOIN sensor USING (sensor_id) ORDER BY indoor").fetchall()  # fmt: skip
        ((kitchen,),) = connection.execute("SELECT sensor_id FROM sensor WHERE indoor").fetchall()
    assert figures == [(False, 8.2, True), (True, 40.2, True)]
    import_sensors(store, [Entry(kitchen, indoor=False)])
    assert areas(store) == {(24.2, 2, 2)}
    import_sensors(store, [Entry(kitchen, indoor=True)])
    assert areas(store) == {(8.2, 1, 1)}


def areas(store: Store) -> set[tuple[float, int, int]]:
    """Value, valid sensors and sensors of the hour in every area that has it."""
    roll_areas(store)
    with psycopg.connect(store.conninfo) as connection:
        found = connection.execute("SELECT round(value::numeric, 1)::float8, valid_sensors, sensors FROM area_1h")
        return set(found.fetchall())


@pytest.mark.parametrize(("more", "judged"), [({}, "b"), ({"indoor": True}, "ab"), ({"statistic": "stuck"}, "ab")])
def test_rules_about_values_leave_out_sensors_indoors(store: Store, more: dict[str, Any], judged: str) -> None:
    """A kitchen breaks no rule about the air outside, unless the rule asks for it; its defects are told."""
    import_sensors(store, [Entry("stadspuls/a", indoor=True), Entry("stadspuls/b", indoor=False)])
    rule = msgspec.convert({"name": "x", "title": "x", "quantity": "pm25", "level": "1h", "raise": 25.0, **more}, Rule)
    with store.transaction() as tx:
        found = subjects_of_rule(tx, rule, {"stadspuls/a", "stadspuls/b"})
    assert found == {f"stadspuls/{name}" for name in judged}
