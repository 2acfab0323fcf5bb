"""An API over a database with something of everything, for tests that ask it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
from psycopg.types.json import Jsonb

from aggregates.areas.groups import Group, Member, import_groups
from aggregates.areas.inputs import Document, gather
from aggregates.areas.load import load
from aggregates.areas.roll_up import place_sensors, roll_areas
from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store
from hub.settings import layers
from hub.settings.settings import Settings
from hub.web.http import application, listening
from hub.web.metrics import ServiceCollector
from ingest.files.catalogue import Entry
from ingest.vocabulary.batch import Batch, DeadLetter, columns
from ingest.vocabulary.readings import Flag, Reading
from streams.commit.pipeline import Pipeline
from streams.notify.operators import silence
from streams.rollup.rollup import roll_up
from tests.conftest import CASES

AREAS = CASES / "areas"
BEGIN = datetime(2024, 6, 3, tzinfo=UTC)
LATER = datetime(2024, 9, 1, tzinfo=UTC)
HOURS = 48
TRAFFIC = "stadspuls/lánes, 100% 'q\" ☃"  # what an id may hold
PLACES = {"stadspuls/a": (6.002, 53.002), "stadspuls/b": (6.004, 53.004), TRAFFIC: (6.005, 53.015)}


def fill(store: Store) -> None:
    """Store two stations and a counter with classes in areas, a sensor without anything, and dead letters."""
    import_sensors(store, [Entry(name, lon=lon, lat=lat) for name, (lon, lat) in PLACES.items()])
    import_sensors(store, [Entry("ndw/nothing")])
    said = [*_air("stadspuls/a", 10.0), *_air("stadspuls/b", 20.0), *_traffic()]
    letters = [DeadLetter("ttn", "v3/x", b"\xff\x00{" * at, f"unknown unit {at}", LATER) for at in range(3)]
    Pipeline(store).store(Batch(columns(said, [LATER] * len(said)), (), letters))
    files = [Document.read(AREAS / name) for name in ("map_2024.geojson", "typed_v3.json")]
    found = gather(files, 2024, ["GM9901"])
    load(store, 2024, ["GM9901"], found)
    _alerts(store)
    roll_up(store, LATER)
    place_sensors(store)
    roll_areas(store)
    import_groups(store, {name: Group(name, (Member("stadspuls/none"),)) for name in ("north", "south")})
    _published(store)


def _published(store: Store) -> None:
    """Two releases, and two hours that were corrected after them."""
    with psycopg.connect(store.conninfo) as connection:
        about = {"from": "2024-06-03", "to": "2024-06-05", "licence": "CC0-1.0", "files": [{"file": "hours.csv"}]}
        for name in ("2024", "2025"):
            manifest = Jsonb({"title": name, "citation": name, **about})
            connection.execute("INSERT INTO release VALUES (%s, %s, %s, %s)", (name, LATER, LATER, manifest))
        connection.execute(
            "INSERT INTO window_1h_version SELECT w.*, now(), 'correction'"
            " FROM window_1h w JOIN series USING (series) WHERE sensor_id = 'stadspuls/a' AND start < %s",
            (BEGIN + timedelta(hours=2),),
        )
        connection.execute("UPDATE window_1h_version SET computed_at = computed_at - interval '1 hour'")


def _air(sensor: str, base: float) -> Iterator[Reading]:
    for at in range(HOURS):
        failed = at == 5
        yield Reading(
            sensor, "", "no2", 3600, BEGIN + timedelta(hours=at), None if failed else base + at + 0.04,
            flags=int(Flag.SOURCE_ERROR if failed else 0), version=1_720_000_000_000_000,
        )  # fmt: skip


def _traffic() -> Iterator[Reading]:
    for at in range(HOURS):
        for channel, count in (("lane1/light", 90.0), ("lane1/heavy", 10.0)):
            yield Reading(TRAFFIC, channel, "vehicle_count", 3600, BEGIN + timedelta(hours=at), count)


def _alerts(store: Store) -> None:
    """Two alerts of one rule, of which one is over."""
    with psycopg.connect(store.conninfo) as connection:
        connection.execute(
            "INSERT INTO alert_rule (rule, pack, title, title_nl, quantity, unit, level, severity, channels)"
            " VALUES ('much', 'own', 'Much', 'Veel', 'no2', 'ug/m3', '1h', 'warning', '{}'),"
            " ('more', 'own', 'More', 'Meer', 'no2', 'ug/m3', '1h', 'info', '{digest}')"
        )
        for subject, end in (("stadspuls/a", None), ("stadspuls/b", LATER)):
            connection.execute(
                "INSERT INTO alert (rule, subject, quantity, level, severity, state, since, until, judged, sure,"
                " threshold, raised_at, updated_at, cleared_at)"
                " VALUES ('much', %s, 'no2', '1h', 'warning', 'raised', %s, %s, %s, %s, 30, %s, %s, %s)",
                (subject, BEGIN, end, LATER, LATER, LATER, LATER, end),
            )
    for name in ("much", "more"):
        silence(store, rule=name, subject="*", first=BEGIN, last=None, windows=["daily 22:00-07:00"], by="Anna",
                reason="quiet", now=BEGIN)  # fmt: skip


def serving(database: str, **more: Any) -> Settings:
    """Give the settings of a hub over a database."""
    return layers.load({"database": database, **more})


@contextmanager
def served(what: Settings) -> Iterator[str]:
    """Serve the whole HTTP side of a hub that is ready, and give its address."""
    database = str(what.database)
    app = application(ServiceCollector({}, database=database), lambda: {"ready": True}, what, database)
    with listening(app, "127.0.0.1", 0) as address:
        yield address


@contextmanager
def client_of(what: Settings, **more: Any) -> Iterator[httpx.Client]:
    """Serve, and give a client of the API."""
    with served(what) as url, httpx.Client(base_url=f"{url}/api/v1", timeout=60, **more) as client:
        yield client


@contextmanager
def filled(database: str) -> Iterator[str]:
    """Fill a database, and give its URL."""
    with closing(Store(database)) as store:
        fill(store)
    yield database
