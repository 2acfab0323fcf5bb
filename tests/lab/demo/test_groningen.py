"""The real Groningen beneath the simulated city: its areas, their statistics, and its roads."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from unittest.mock import MagicMock

import msgspec
import psycopg
import pytest
from structlog.testing import capture_logs

from aggregates.areas.codes import BASE_MAP
from aggregates.areas.groups import Group, Member, import_groups
from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store
from ingest.mqtt.address import Address
from lab.demo.city import City
from lab.demo.demo import Demo
from lab.demo.groningen import load_groningen
from tests.support.databases import ZONE


def test_groningen_is_loaded(store: Store, tmp_path: Path) -> None:
    """All 151 buurten of 2024 have a boundary and statistics, and every sensor stands in one of them."""
    catalogue = City().catalogue()
    import_sensors(store, catalogue)
    load_groningen(store, tmp_path)
    load_groningen(store, tmp_path)  # the second time nothing changes
    codes = {row[0] for row in store.rows("live_shapes", level="buurt")}
    assert len(codes) == 151
    assert {row[1] for row in store.rows("live_shapes", level="wijk")} >= {"Centrum", "Hoogkerk e.o."}
    loads = store.rows("list_area_loads", vintage=2024)
    assert {(row[1], row[2]) for row in loads} == {("GM0014", "boundaries"), ("GM0014", "statistics")}
    places = store.rows("list_sensor_areas", sensors=[one.sensor_id for one in catalogue])
    assert [sensor for sensor, _, _, areas in places if not any(code.startswith("BU") for code in areas)] == []


def test_base_map_is_small_and_says_whose_it_is(store: Store, tmp_path: Path) -> None:
    """It has main roads, streets and paths in less than 400 kB, and its licence; one that is there already stays."""
    load_groningen(store, tmp_path)
    packed = (tmp_path / BASE_MAP).read_bytes()
    found = json.loads(gzip.decompress(packed))
    assert len(packed) < 400_000
    assert [one["properties"]["kind"] for one in found["features"]] == ["main", "street", "path"]
    assert "CC BY-SA 3.0 NL" in found["attribution"]
    (tmp_path / BASE_MAP).write_bytes(b"own")
    load_groningen(store, tmp_path)
    assert (tmp_path / BASE_MAP).read_bytes() == b"own"


def test_groups_of_ones_own_stay(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the simulated city come with its first start, and no later one takes a newcomer's."""
    monkeypatch.setattr(Demo, "run", lambda _: None)

    def started() -> list[str]:
        demo = Demo(tmp_path, Address("127.0.0.1"), store.conninfo, ZONE, areas=True)
        demo.start()
        demo.stop(10)
        with psycopg.connect(store.conninfo) as connection:
            return [name for (name,) in connection.execute("SELECT name FROM sensor_group ORDER BY name")]

    assert "cordon-centrum" in started()
    import_groups(store, {"mine": Group("Mine", (Member("stadspuls/counter-01"),))})
    assert started() == ["mine"]


def test_the_log_says_when_history_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then a question finds less than it will: said once, when the first live minute has been sent."""
    monkeypatch.setattr("lab.demo.demo.Sender", MagicMock())
    (tmp_path / "demo.json").write_bytes(msgspec.json.encode(datetime.now(UTC) - timedelta(hours=7)))
    demo = Demo(tmp_path, Address("127.0.0.1"), "", ZONE)
    with capture_logs() as logged:
        working = Thread(target=demo.run)
        working.start()
        working.join(3)
        demo.stopping.set()
        working.join()
    assert [one["event"] for one in logged] == ["publishing history", "history published, live from now on"]
