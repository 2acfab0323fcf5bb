"""
Low, flat, valid values and indoor sensors as suppliers send them, through decoding, store and roll-up.

`cases` beside the recorded data holds the messages; what is right was worked out by hand.
"""

from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from aggregates.store.store import Store
from ingest.formats.decode import decode
from ingest.vocabulary.readings import Message
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
