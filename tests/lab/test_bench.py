"""Every bench in a tiny size: it runs, and gives a well-formed result; no test asserts a time."""

import json
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from aggregates.ask.query import Question, ask
from aggregates.store.health import state
from aggregates.store.store import Store
from hub.servers.process import CannotStart
from hub.settings.layers import load
from hub.settings.settings import Settings
from lab.bench.alerts import alerts
from lab.bench.archive import archive
from lab.bench.areas import areas
from lab.bench.latency import latency
from lab.bench.national import national
from lab.bench.query import query
from lab.bench.registry import BENCHES
from lab.bench.workers import BESIDE, scale, worker
from lab.bench.write import write
from lab.load.minute import SITES, made_up, recorded
from lab.load.result import Result
from lab.load.servers import database, processes_of
from lab.load.traffic import Traffic
from lab.rig.database import KillablePostgres, running_database
from lab.rig.kafka import missing_programs
from lab.soak.publish import publish
from streams.commit.pipeline import Pipeline
from tests.support.commands import app

FIELDS = ["name", "value", "unit", "baseline", "baseline_name", "ratio", "details"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings that name no servers, so that a bench starts its own beside the data directory."""
    return load({"data_dir": tmp_path / "data"}, tmp_path)


def _well_formed(result: Result, name: str) -> Mapping[str, Any]:
    fields = msgspec.to_builtins(result)
    assert list(fields) == FIELDS
    assert fields["name"] == name
    assert min(fields["value"], fields["baseline"], fields["ratio"]) > 0
    details: Mapping[str, Any] = fields["details"]
    return details


def test_write(settings: Settings) -> None:
    """Both sides write the same readings, and the time of ours is split into shares."""
    details = _well_formed(write(settings, series=20, sizes=(40, 20), readings=80, rounds=1), "write")
    assert set(details["batches_of"]) == {"40", "20"}
    assert {"sql: merge_windows", "sql: copy reading", "python: fold"} <= details["time_shares"].keys()
    assert details["edition"] == "postgres"


@pytest.mark.kafka
@pytest.mark.slow
def test_worker(settings: Settings) -> None:
    """A worker stores a small log beside a plain agent that counts a smaller one."""
    if lacking := missing_programs():
        pytest.skip(f"no {', '.join(lacking)} on this machine")
    details = _well_formed(worker(settings, readings=20_000, plain=200), "worker")
    assert details["cpu_us_a_reading"].keys() == {"workers", "database"}
    assert all(details[name] for name in BESIDE)


def test_cpu_is_of_the_bench_s_own_database(store: Store, tmp_path: Path) -> None:
    """Of two servers on one machine each is known by its own processes, the one that began the session among them."""
    with running_database(KillablePostgres(tmp_path)) as other, closing(Store(other.conninfo)) as elsewhere:
        ours, theirs = processes_of(store), processes_of(elsewhere)
        ((backend,),) = store.rows("read_backend")
    assert backend in {one.pid for one in ours}
    assert theirs
    assert not set(ours) & set(theirs)


@pytest.mark.kafka
@pytest.mark.slow
def test_scale(settings: Settings) -> None:
    """One and two workers, few and many series, and how soon a worker commits again."""
    if lacking := missing_programs():
        pytest.skip(f"no {', '.join(lacking)} on this machine")
    details = _well_formed(scale(settings, readings=20_000, counts=(1, 2)), "scale")
    assert set(details["workers"]) == {"1", "2"}
    assert {"after_stop_s", "after_kill_s", "20_series", "2000_series"} <= details.keys()


def test_publish(settings: Settings) -> None:
    """Both sides make the same averages; the report and the join are measured too."""
    details = _well_formed(publish(settings, sensors=4, buurten=3, runs=1), "publish")
    assert {"report_s", "join_s", "averages_s", "pandas_s"} <= details.keys()


@pytest.mark.slow
def test_archive(settings: Settings) -> None:
    """Every value of a file of hours is stored."""
    details = _well_formed(archive(settings, hours=3), "archive")
    assert details["readings"] == 3 * 72 * 8


@pytest.mark.slow
def test_national(settings: Settings) -> None:
    """Every reading of the first and of the following minutes is stored and accounted for."""
    details = _well_formed(national(settings, sites=30, known=1), "national")
    assert details["accounted"]
    assert details["stored"] == 2 * details["readings"]
    assert details["pss_mb"] > 0


@pytest.mark.slow
def test_latency(settings: Settings) -> None:
    """Each message is seen once it is committed."""
    details = _well_formed(latency(settings, rate=200, seconds=0.5, echo_seconds=0.2), "latency")
    assert details["messages"] == 100
    assert details["median_s"] <= details["p99_s"] <= details["max_s"]


@pytest.mark.slow
def test_latency_with_viewers(settings: Settings) -> None:
    """Viewers with streams of their own are let in and stay while it measures."""
    details = _well_formed(latency(settings, rate=200, seconds=3, echo_seconds=0.2, viewers=3), "latency")
    assert details["viewers"] == 3
    assert details["figures_mb"] > 0
    assert details["viewers_cost"].keys() == {"median_s", "cores"}
    assert details["without_viewers"]["median_s"] > 0


@pytest.mark.slow
def test_query(settings: Settings) -> None:
    """Each question is answered with a row for every hour that was written, and all of them are exported."""
    details = _well_formed(query(settings, sensors=3, hours=48, runs=2), "query")
    assert (details["one_rows"], details["latest_rows"], details["lanes_rows"]) == (48, 4, 48)
    assert details["box_rows"] in (3 * 24, 3 * 48)
    assert details["export_rows"] == 4 * 48
    assert "timescale" in details


@pytest.mark.slow
def test_alerts(settings: Settings) -> None:
    """Alerts of the load arrive at the webhook, each once, and rules cost something that is measured."""
    details = _well_formed(alerts(settings, rate=200, seconds=2.0, batches=2), "alerts")
    assert details["alerts"] == 4
    assert float(str(details["cost"])) > -1


@pytest.mark.slow
def test_areas(settings: Settings) -> None:
    """Every hour of every buurt with a sensor is joined."""
    details = _well_formed(areas(settings, sensors=5, hours=24, places=50), "areas")
    assert 24 <= int(str(details["rows"])) <= 5 * 24


def test_made_up_minute() -> None:
    """The made-up minute is as large as the recorded one, of the same shape, and every value of it is readable."""
    minute = made_up(200)
    assert len({topic for topic, _ in minute.messages}) == 200
    readings, refused = minute.shifted(datetime.now(UTC).replace(second=0, microsecond=0)).readings(datetime.now(UTC))
    assert refused == 0
    assert readings / 200 == pytest.approx(189_986 / SITES, rel=0.1)


def test_recorded_minute(shared_data: Path) -> None:
    """A recorded minute can be moved to any other, and loses nothing by it."""
    minute = recorded(shared_data / "ndw" / "trafficspeed_20250815T2149Z_PGR_subset.xml.gz")
    moved = minute.shifted(datetime(2026, 1, 2, 3, 4, tzinfo=UTC))
    assert any(b"2026-01-02T03:04:00Z" in payload for _, payload in moved.messages)
    now = datetime(2026, 1, 2, 3, 5, tzinfo=UTC)
    assert moved.readings(now) == minute.readings(now)


def test_traffic_is_the_same_as_rows_and_as_a_batch(store: Store) -> None:
    """What the pipeline makes of the batch are the rows that the baseline copies."""
    traffic = Traffic(store, 4)
    rows = traffic.rows(0, 2)
    Pipeline(store).store(traffic.batch(rows))
    asked = Question(
        "vehicle_speed", datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 5, 2, tzinfo=UTC), "5m", None, True
    )
    found = ask(store, asked)
    speeds = rows[2:4]
    assert len(found) == 2
    assert found["readings"].tolist() == [2, 2]
    assert found["value"][0] == pytest.approx((speeds["value"] * speeds["weight"]).sum() / speeds["weight"].sum())


def test_a_named_database_must_be_empty(store: Store) -> None:
    """A bench never works in a database that somebody uses."""
    Traffic(store, 2)
    settings = load({"database": store.conninfo})
    with pytest.raises(CannotStart, match="2 series"), database(settings):
        pass


def test_a_named_database_is_emptied(store: Store) -> None:
    """What a bench wrote into a named database is gone when it ends, so that the next can begin."""
    settings = load({"database": store.conninfo})
    for _ in range(2):
        with database(settings) as (given, _):
            Traffic(given, 2)
            assert state(store, datetime.now(UTC)).series == 2
        assert state(store, datetime.now(UTC)).series == 0


def _fake(name: str) -> Any:
    return lambda _settings, _file: Result(name, 2.0, "x/s", 1.0, "half of it", 2.0, {"how": "not at all"})


def test_command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`bench NAME --json` gives one object, `bench --json` a list, `bench` a table."""
    for module in ("lab.bench.command", "lab.bench.registry"):
        monkeypatch.setattr(f"{module}.BENCHES", {"one": _fake("one"), "two": _fake("two")})
    where = f"--data-dir={tmp_path}"
    one = json.loads(CliRunner().invoke(app, ["bench", "one", "--json", where]).stdout)
    assert list(one) == FIELDS
    every = json.loads(CliRunner().invoke(app, ["bench", "--json", where]).stdout)
    assert [each["name"] for each in every] == ["one", "two"]
    table = CliRunner().invoke(app, ["bench", where]).stdout
    assert table.split()[:6] == ["name", "value", "unit", "baseline", "baseline_name", "ratio"]


def test_the_benches_have_the_names_of_the_contract() -> None:
    """Scripts of users depend on these names."""
    assert {"write", "collect", "national", "latency", "query", "areas", "archive", "alerts"} <= set(BENCHES)
