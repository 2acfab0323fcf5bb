"""`stadspuls up --city`: the real municipality where its sources answer, the simulated one where they do not."""

import gzip
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
import shapely

from aggregates.areas.inputs import Document, gather
from lab.rig.service import Service
from tests.aggregates.areas.test_cbs import AREAS, GM, Offices
from tests.support.brokers import built_in
from tests.support.country import (
    NOW,
    Country,
    citizen,
    country,
    figure,
    hour_before,
    ndw_minute,
    ndw_table,
    observation,
    station,
    thing,
)
from tests.support.hubs import UpHub
from tests.support.lines import until
from tests.support.programs import Program, command, stadspuls

SOURCES = ("NDW", "LUCHTMEETNET", "SAMENMETEN", "SENSOR_COMMUNITY")
OFFICES = {"CBS": "/v4", "PDOK": "/pdok"}
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def sources() -> Iterator[Country]:
    """The country's sources, all of them empty."""
    with country(Country) as made:
        yield made


@pytest.fixture
def offices() -> Iterator[Offices]:
    """CBS and PDOK."""
    made = Offices()
    threading.Thread(target=made.server.serve_forever, daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[UpHub]:
    """A hub of the municipality of the tests."""
    made = UpHub(tmp_path, f"--city={GM[0]}")
    yield made
    made.clean_up()


def hosts(monkeypatch: pytest.MonkeyPatch, sources: str, offices: str, timeout: float = 5.0) -> None:
    """Tell the hub where everything is."""
    for name in SOURCES:
        monkeypatch.setenv(f"STADSPULS_{name}_URL", sources)
    for name, path in OFFICES.items():
        monkeypatch.setenv(f"STADSPULS_{name}_URL", offices + path)
    monkeypatch.setenv("STADSPULS_GATEWAY_TIMEOUT", str(timeout))


def middle() -> tuple[float, float]:
    """Give a place in the municipality of the tests."""
    found = gather([Document.read(AREAS / "map_2024.geojson")], 2024, GM).areas
    point = shapely.point_on_surface(found[0].shape)
    return shapely.get_x(point), shapely.get_y(point)


def filled(made: Country, place: tuple[float, float], now: datetime) -> None:
    """Put a site, a station and two citizens in the municipality, and the same elsewhere."""
    elsewhere = (place[0] + 1, place[1])
    minute = now.replace(second=0, microsecond=0) - timedelta(minutes=1)
    made.files = {
        "measurement_current.xml.gz": ndw_table("1", {"TST01_A": place, "TST01_B": elsewhere}),
        "trafficspeed.xml.gz": ndw_minute(now, {"TST01_A": minute, "TST01_B": minute}),
        "static/v1/data.json": json.dumps([citizen(1, minute, *place), citizen(2, minute, *elsewhere)]).encode(),
    }
    made.stations = {"NL1": station("Here", *place), "NL2": station("There", *elsewhere)}
    hours = [hour_before(now, back) for back in range(9)]
    made.measurements = [figure(name, "NO2", hour, 20.0) for name in made.stations for hour in hours]
    made.things = [thing("LTD_1", *place), thing("LTD_2", *elsewhere)]
    made.observations = [observation(f"{one['name']}-1-pm25", hour, 8.0) for one in made.things for hour in hours[2:]]


@pytest.mark.slow
def test_city_that_can_be_reached(
    hub: UpHub, sources: Country, offices: Offices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Boundaries and statistics are loaded, gateways bring the municipality's sensors alone, into hourly figures."""
    now = datetime.now(UTC)
    filled(sources, middle(), now)
    hosts(monkeypatch, sources.url, offices.url)
    hub.start()
    until(lambda: hub.metric("stadspuls_sensors") == 4, 120)
    hub.settle()
    assert {row["sensor_id"] for row in json.loads(hub.run("sensors", "list", "--format=json"))} == {
        "ndw/TST01_A", "luchtmeetnet/NL1", "samenmeten/LTD_1", "sensor_community/1",
    }  # fmt: skip
    assert len(json.loads(hub.run("areas", "list", "--level=buurt", "--format=json"))) > 1
    figures = hub.query("no2", f"{now - 24 * HOUR:%Y-%m-%dT%H:00}", f"{now:%Y-%m-%dT%H:00}", "1h")
    assert [one["value"] for one in figures] == [20.0] * len(figures)
    assert len(figures) >= 8
    assert "simulated city" not in hub.log()
    assert hub.metric('stadspuls_gateway_messages_total{gateway="ndw"}') == 1
    assert hub.metric('stadspuls_gateway_turns_total{gateway="luchtmeetnet",outcome="good"}') >= 1
    sources.files["trafficspeed.xml.gz"] = ndw_minute(now + timedelta(minutes=1), {"TST01_A": now.replace(second=0)})
    until(lambda: hub.metric('stadspuls_gateway_messages_total{gateway="ndw"}') == 2, 60)
    assert hub.stop() == 0


@pytest.mark.long
def test_city_without_internet(hub: UpHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every host refuses, the hub says what it could not reach and shows the simulated city."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        hosts(monkeypatch, url, url)
        hub.start(60)
        until(lambda: "going on with the simulated city" in hub.log(), 60)
        assert "boundaries could not be reached" in hub.log()
        until(lambda: hub.metric("stadspuls_series") > 10, 120)
        assert hub.stop() == 0


def test_hosts_that_never_answer_do_not_keep_the_hub_from_starting(hub: UpHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ready within a minute though every host takes the connection and says nothing; and it stops in time."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(50)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        hosts(monkeypatch, url, url, timeout=45.0)
        began = time.monotonic()
        hub.start(60)
        assert time.monotonic() - began < 60
        assert hub.health()["ready"]
        assert hub.stop(seconds=20) == 0


@pytest.mark.slow
def test_boundaries_end_the_simulation(
    hub: UpHub, sources: Country, offices: Offices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was away comes back: the simulated city ends, and the gateways start."""
    filled(sources, middle(), datetime.now(UTC))
    hosts(monkeypatch, sources.url, offices.url)
    offices.closed = "/"
    hub.start()
    until(lambda: "going on with the simulated city" in hub.log(), 60)
    offices.closed = ""
    until(lambda: "city   gateways for" in hub.log(), 90)
    assert "the simulated city ends" in hub.log()
    assert hub.stop() == 0


@pytest.mark.parametrize(
    "words",
    [("up", "--city=Groningen"), ("up", "--city=GM14"), ("up", "--city=BU00140000"), ("gateway", "nix"),
     ("gateway", "ndw", "--city=x"), ("gateway", "ndw", "--bbox=1,2,3"), ("gateway",),
     ("gateway", "ndw", "--city=GM0014", "--bbox=1,2,3,4")],
)  # fmt: skip
def test_used_wrongly(hub: UpHub, words: tuple[str, ...]) -> None:
    """A name is no code, three numbers are no box: exit 2, and nothing is started."""
    hub.run(*words, code=2)
    assert not hub.directory.exists() or not list(hub.directory.iterdir())


def test_gateway_without_a_broker(hub: UpHub) -> None:
    """With no hub and no broker named it could not be done."""
    done = command("gateway", "ndw", "--bbox=6,53,7,54", f"--data-dir={hub.directory}")
    assert (done.returncode, done.stdout) == (3, "")
    assert "name a --broker" in done.stderr


def test_gateway_says_what_it_waits_for(sources: Country, tmp_path: Path) -> None:
    """Without its broker it is not ready, and says so; a source that fails is named while the gateway goes on."""
    broker = built_in(tmp_path).start()
    settings = {"broker": str(broker.address()), "data_dir": str(tmp_path), "ndw_url": f"{sources.url}/not-there"}
    service = Service(["gateway", "ndw", "--bbox=3,50,8,54"], settings, tmp_path / "gateway.log").start()
    try:
        until(lambda: service.ready and "turns failed" in str(service.health()["trouble"]))
        broker.kill()
        until(lambda: not service.ready)
        assert f"broker: {broker.address()} does not answer" in service.health()["trouble"]
        broker.start()
        until(lambda: service.ready)
    finally:
        service.kill()
        broker.kill()


@pytest.mark.long
def test_gateway_killed_in_the_middle_loses_nothing_and_doubles_nothing(
    hub: UpHub, sources: Country, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`stadspuls gateway` is killed with -9 while it publishes; every minute of every site is stored once."""
    plain = UpHub(hub.directory / "hub")
    sites = {f"TST01_{number}": NOW - timedelta(minutes=2) for number in range(3_000)}
    sources.files["trafficspeed.xml.gz"] = ndw_minute(NOW, sites)
    hosts(monkeypatch, sources.url, sources.url)
    try:
        plain.start()
        words, log = ["gateway", "ndw", "--bbox=3,50,8,54", f"--data-dir={plain.directory}"], tmp_path / "gateway.log"
        sources.files["measurement_current.xml.gz"] = ndw_table("1", dict.fromkeys(sites, (6.5, 53.2)))
        for wait in (0.2, 0.5):
            process = Program(stadspuls, *words, out=log, err=log)
            until(lambda: sources.asked["/trafficspeed.xml.gz"] > 0, 60)
            time.sleep(wait)
            process.kill()
            process.wait()
            sources.asked.clear()
        plain.run("gateway", "ndw", "--bbox=3,50,8,54", "--once")
        plain.settle()
        outcomes = {name: plain.metric(f'stadspuls_readings_total{{outcome="{name}",source="ndw"}}')
                    for name in ("stored", "duplicate", "corrected", "rejected")}  # fmt: skip
        assert outcomes["stored"] == 6_000
        assert (outcomes["corrected"], outcomes["rejected"]) == (0, 0)
        assert len(plain.query("vehicle_count", "2026-05-04", "2026-05-05", "1h")) == 3_000
        plain.run("gateway", "ndw", "--bbox=3,50,8,54", "--once")
        plain.settle()
        assert plain.metric('stadspuls_readings_total{outcome="duplicate",source="ndw"}') == outcomes["duplicate"]
    finally:
        plain.clean_up()


@pytest.mark.shared
@pytest.mark.slow
def test_real_groningen(tmp_path: Path, shared_data: Path, sources: Country, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the recorded national minute the sites in Groningen arrive, put where NDW has some in the municipality."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    recorded = gzip.decompress((shared_data / "ndw/trafficspeed_20250815T2149Z.xml.gz").read_bytes())
    moved = re.sub(rb"2025-08-15T21:4[78]:00Z", f"{now - 2 * MINUTE:%Y-%m-%dT%H:%M:00Z}".encode(), recorded)
    places = pd.read_csv(shared_data / "ndw/ndw_site_positions_in_groningen.csv")[["lon", "lat"]].to_numpy().tolist()
    ids = re.findall(r'<measurementSiteReference id="(PGR08[^"]+)" version="[^"]+"', recorded.decode())
    sources.files["trafficspeed.xml.gz"] = gzip.compress(moved)
    sources.files["measurement_current.xml.gz"] = ndw_table("1648", dict(zip(ids, map(tuple, places), strict=False)))
    hosts(monkeypatch, sources.url, sources.url)
    hub = UpHub(tmp_path)
    city = UpHub(tmp_path, "--city=GM0014")
    try:
        hub.start()
        names = ("geometry/buurt_2024_GM0014_approx.geojson", "kwb/kwb_2024_GM0014.json")
        files = [f"--from-file={shared_data / 'cbs' / name}" for name in names]
        hub.run("areas", "load", "--vintage=2024", "--municipality=GM0014", "--offline", *files)
        assert hub.stop() == 0
        city.start()
        until(lambda: city.metric('stadspuls_gateway_messages_total{gateway="ndw"}') > 0, 120)
        city.settle()
        sensors = json.loads(city.run("sensors", "list", "--source=ndw", "--format=json"))
        assert 90 <= len(sensors) <= len(ids) == 105
        assert {one["sensor_id"] for one in sensors} <= {f"ndw/{site}" for site in ids}
        assert city.stop() == 0
    finally:
        hub.clean_up()
        city.clean_up()


@pytest.mark.long
def test_statistics_that_were_away_come_with_the_next_start(
    hub: UpHub, sources: Country, offices: Offices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Boundaries alone are enough for the gateways; the statistics are said to be missing, and loaded the next time."""
    answer = offices.answer
    monkeypatch.setattr(offices, "answer", lambda path: (404, b"{}") if "/2025/" in path else answer(path))
    filled(sources, middle(), datetime.now(UTC))
    hosts(monkeypatch, sources.url, offices.url)
    offices.closed = "NED"  # of the tables, not of the maps
    hub.start()
    until(lambda: "city   gateways for" in hub.log(), 60)
    assert "statistics could not be reached" in hub.log()
    assert hub.stop() == 0
    offices.closed = ""
    hub.start()
    until(lambda: f"city   statistics of {GM[0]}, 2024" in hub.log(), 60)
    assert hub.stop() == 0
