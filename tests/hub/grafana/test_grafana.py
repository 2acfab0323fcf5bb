"""Grafana: every panel's SQL on a database with data, at the level of its range; annotations; push once."""

import json
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Self
from zoneinfo import ZoneInfo

import psycopg
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from typer.testing import CliRunner

from aggregates.areas.measures import MEASURES
from aggregates.areas.roll_up import roll_areas
from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store
from hub.grafana.dashboards import around
from hub.grafana.dashboards import dashboards as filed
from ingest.files.catalogue import Entry
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import Reading
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up
from tests.aggregates.areas.test_areas import load_cases, place
from tests.conftest import ROOT
from tests.support.commands import app
from tests.support.databases import ZONE

Plain = dict[str, Any]
NOW = datetime.now(UTC).replace(second=0, microsecond=0)
DAYS = 9
RANGES = {"5m": timedelta(hours=24), "1h": timedelta(days=30), "1d": timedelta(days=200)}
MORNING = """
    SELECT time, time + interval '5 minutes' AS "end", 'm' AS metric, 1.0 AS value
    FROM (VALUES (timestamptz '2026-05-04 08:00Z'), ('2026-05-04 08:05Z'), ('2026-05-04 09:00Z')) t (time)
"""
ALERT = """
    WITH made AS (
        INSERT INTO alert (rule, subject, quantity, level, severity, state, since, judged, sure, threshold, raised_at,
                           updated_at)
        SELECT 'no2-high', 'stadspuls/b', 'no2', '1h', 'warning', 'raised', now, now, now, 20, now, now
        FROM CAST(%s AS timestamptz) now RETURNING *)
    INSERT INTO alert_transition (alert, kind, at) SELECT alert, 'raised', raised_at FROM made
"""
# Nothing is to be seen in these when all is well and the hub has no Kafka.
QUIET = {("stadspuls-health", "Log"), ("stadspuls-alerts", "Not delivered")}


def _readings() -> Iterator[Reading]:
    """A counter with two lanes and classes, and two air stations, of which one fell silent five hours ago."""
    begin = NOW.replace(minute=0) - timedelta(days=DAYS)
    for at in range(int((NOW - begin) / timedelta(minutes=5))):
        start = begin + timedelta(minutes=5 * at)
        for channel, count in (("lane1/any", 9.0), ("lane1/<5.6", 7.0), ("lane1/>5.6", 2.0), ("lane2/any", 4.0)):
            yield Reading("stadspuls/a", channel, "vehicle_count", 300, start, count + at % 5)
            if channel.endswith("any"):
                yield Reading("stadspuls/a", channel, "vehicle_speed", 300, start, 40.0 + at % 7, count)
    for hour in range(int((NOW - begin) / timedelta(hours=1))):
        start = begin + timedelta(hours=hour)
        for name, until in (("b", 0), ("c", 5)):
            if start + timedelta(hours=until + 1) <= NOW:
                for quantity in ("no2", "pm10", "pm25", "o3"):
                    yield Reading(f"stadspuls/{name}", "", quantity, 3600, start, 20.0 + hour % 24)


@pytest.fixture
def filled(store: Store) -> Store:
    """A store with nine days of figures, areas with statistics, and an alert."""
    load_cases(store)
    place(store, b=(6.004, 53.004), c=(6.005, 53.015))
    import_sensors(store, [Entry("stadspuls/a", lon=6.002, lat=53.002, lanes=2)])
    said = list(_readings())
    Pipeline(store).store(Batch(columns(said, [NOW] * len(said)), (), ()))
    roll_up(store, NOW)
    while roll_areas(store):
        pass
    with psycopg.connect(store.conninfo) as connection:
        connection.execute(ALERT, [NOW])
    return store


def dashboards() -> dict[str, Plain]:
    """Every dashboard by uid."""
    return {uid: made for uid, (_, made) in filed().items()}


def statement(panel: Plain) -> str:
    """Give the SQL of a panel."""
    return str(panel["targets"][0]["rawSql"])


def alerts_statement(page: Plain) -> str:
    """Give the SQL of the annotations of a page."""
    return str(page["annotations"]["list"][0]["target"]["rawSql"])


class Reader:
    """What Grafana does with a statement: choices and macros put in, then run as the role that may only read."""

    def __init__(self, store: Store, span: timedelta) -> None:
        self.first, self.last = NOW - span, NOW + timedelta(minutes=1)
        self.chosen: dict[str, str] = {}
        self._connection = psycopg.connect(store.conninfo, autocommit=True)
        self._connection.execute("SET ROLE stadspuls_reader")

    def choose(self, page: Plain) -> None:
        """Choose the first that is offered, of every choice."""
        for one in page["templating"]["list"]:
            name, query = one["name"], one["query"]
            if one["type"] == "custom" or one["includeAll"]:
                self.chosen[name] = one.get("allValue") or query.partition(",")[0]
                continue
            offered = self.rows(query)
            assert offered, f"nothing to choose for {name}"
            self.chosen[name] = str(offered[0][-1])

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement as Grafana would send it."""
        for name, value in sorted(self.chosen.items(), key=lambda one: -len(one[0])):
            sql = sql.replace(f"${{{name}:sqlstring}}", "'" + value.replace("'", "''") + "'").replace(f"${name}", value)
        first, last = (f"'{moment:%Y-%m-%dT%H:%M:%SZ}'" for moment in (self.first, self.last))
        sql = re.sub(r"\$__timeFilter\(((?:[^()]|\([^()]*\))*)\)", rf"\1 BETWEEN {first} AND {last}", sql)
        sql = sql.replace("$__timeFrom()", first).replace("$__timeTo()", last)
        for name, moment in (("__from", self.first), ("__to", self.last)):
            sql = sql.replace(f"${{{name}}}", str(int(moment.timestamp() * 1000)))
        assert "$" not in sql, f"not known to Grafana: {sql[sql.index('$') :][:40]}"
        return self._connection.execute(sql.encode()).fetchall()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()


@pytest.mark.parametrize("level", RANGES)
def test_every_panel_has_rows_at_the_level_of_its_range(filled: Store, level: str) -> None:
    """A day is shown in 5 minutes, a month in hours, a year in days, and no panel is empty or refused to the reader."""
    for uid, page in dashboards().items():
        with Reader(filled, RANGES[level]) as reader:
            reader.choose(page)
            hourly = level == "5m" and reader.chosen.get("quantity") == "no2"
            assert {reader.chosen.get(name, level) for name in ("level", "counting")} <= {
                "1h" if hourly else level,
                level,
            }
            for panel in page["panels"]:
                rows = reader.rows(statement(panel))
                assert rows or (uid, panel["title"]) in QUIET, f"{uid}: {panel['title']}"
                if panel["type"] == "timeseries":
                    assert any(value is not None for *_, value in rows), f"{uid}: {panel['title']}"


def test_statements_name_what_there_is() -> None:
    """A measure or quantity that a panel asks for is in the registry; a name that is gone shows nothing for ever."""
    said = "".join(statement(panel) for page in dashboards().values() for panel in page["panels"])
    for column, known in (("measure", MEASURES), ("quantity", QUANTITIES)):
        named = re.findall(rf"{column} (?:=|IN) \(?((?:'[a-z]\w*'(?:, )?)+)", said)
        names = {name for list_ in named for name in re.findall(r"\w+", list_)}
        assert names
        assert names <= known.keys()


def test_every_choice_changes_something() -> None:
    """What can be chosen at the top of a dashboard stands in a statement of it, or narrows another choice."""
    for uid, page in dashboards().items():
        choices = page["templating"]["list"]
        asked = [*map(statement, page["panels"]), *(one["query"] for one in choices)]
        idle = [one["name"] for one in choices if not re.search(rf"\$\{{?{one['name']}\b", "".join(asked))]
        assert idle == [], uid


def test_classes_are_not_added_to_their_total(filled: Store) -> None:
    """Stacked classes are the vehicles that passed: the total of all classes is not one more class."""
    panels = dashboards()["stadspuls-traffic"]["panels"]
    panel = next(one for one in panels if one["title"] == "Vehicles by class")
    with Reader(filled, timedelta(hours=24)) as reader:
        reader.chosen = {"counter": "stadspuls/a", "counting": "5m", "figures": "all"}
        assert {metric for _, metric, _ in reader.rows(statement(panel))} == {"<5.6", ">5.6"}


def shown(store: Store, uid: str, title: str, last: datetime, span: timedelta, **chosen: str) -> list[tuple[Any, ...]]:
    """Give the rows of a panel for a range and choices."""
    (panel,) = (one for one in dashboards()[uid]["panels"] if one["title"].startswith(title))
    with Reader(store, span) as reader:
        reader.first, reader.last, reader.chosen = last - span, last, chosen
        return reader.rows(statement(panel))


def feed(store: Store, said: list[Reading]) -> None:
    """Store readings, and roll them up."""
    Pipeline(store).store(Batch(columns(said, [NOW] * len(said)), (), ()))
    roll_up(store, NOW)


def test_usual_follows_the_clock(store: Store) -> None:
    """After the clocks went forward eight in the morning is beside eight in the morning, not beside nine."""
    begin, zone = datetime(2026, 3, 9, tzinfo=UTC), ZoneInfo(ZONE)
    hours = [begin + timedelta(hours=at) for at in range(24 * 28)]
    feed(store, [Reading("stadspuls/a", "", "vehicle_count", 3600, one, one.astimezone(zone).hour) for one in hours])
    rows = shown(store, "stadspuls-sensor", "Beside the usual", datetime(2026, 4, 2, tzinfo=UTC), timedelta(days=2),
                 quantity="vehicle_count", sensor="stadspuls/a", figures="all")  # fmt: skip
    usual = {time.astimezone(zone).hour: value for time, metric, value in rows if metric == "usual"}
    assert usual == {hour: hour for hour in range(24)}


def test_stacked_readings_are_counted_once(store: Store) -> None:
    """A reading with a warning is one with a value, and no second one on top of it."""
    for value in (20.0, 20.25):  # of one hour: nothing says which is right, so it is ambiguous
        feed(store, [Reading("stadspuls/a", "", "no2", 3600, NOW.replace(minute=0) - timedelta(hours=5), value)])
    rows = shown(store, "stadspuls-quality", "Readings by", NOW, timedelta(days=1), quantity="no2", level="1h")
    assert sum(value for *_, value in rows if value) == 1


def test_days_above_a_limit_are_of_one_year(store: Store) -> None:
    """Who looks at a range of last year sees its days, without those that came since."""
    days = [datetime(2025, 12, 30, 23, tzinfo=UTC), datetime(2025, 12, 31, 23, tzinfo=UTC)]
    feed(store, [Reading("stadspuls/b", "", "pm10", 3600, day + timedelta(hours=hour), 90.0 + hour)
                 for day in days for hour in range(24)])  # fmt: skip
    for last in (datetime(2025, 12, 31, 12, tzinfo=UTC), datetime(2026, 1, 4, tzinfo=UTC)):
        (row,) = shown(store, "stadspuls-air", "Days above", last, timedelta(days=7), station="stadspuls/b")
        assert (row[3], row[7]) == (1, 1)


def test_gap_is_a_gap(filled: Store) -> None:
    """Where windows are missing a row without a value ends the line; where none are, there is no such row."""
    with Reader(filled, timedelta(days=1)) as reader:
        found = reader.rows(around("gaps", MORNING))
    rows = [(f"{time.astimezone(UTC):%H:%M}", value is None) for time, _, value in found]
    assert rows == [("08:00", False), ("08:05", False), ("08:10", True), ("09:00", False)]


def test_every_alert_is_one_annotation(filled: Store) -> None:
    """An annotation runs from the start of its alert to its end or to now, with its text and its severity as tag."""
    page = dashboards()["stadspuls-alerts"]
    with Reader(filled, timedelta(days=1)) as reader:
        ((start, end, text, tags),) = reader.rows(alerts_statement(page))
        assert (start, text, tags) == (NOW, "no2-high: stadspuls/b", "warning,no2-high,stadspuls/b")
        assert NOW <= end <= reader.last
    cleared = "UPDATE alert SET since = %(since)s, until = %(until)s, state = 'cleared', cleared_at = %(until)s"
    with psycopg.connect(filled.conninfo) as connection:
        connection.execute(cleared, {"since": NOW - timedelta(hours=30), "until": NOW - timedelta(hours=2)})
        connection.execute("UPDATE alert_transition SET text = 'NO2 is high at b'")
    with Reader(filled, timedelta(days=1)) as reader:
        ((start, end, text, _),) = reader.rows(alerts_statement(page))
        assert (start, end, text) == (NOW - timedelta(hours=30), NOW - timedelta(hours=2), "NO2 is high at b")
    with Reader(filled, timedelta(hours=1)) as reader:
        assert reader.rows(alerts_statement(page)) == [], "ended before the range that is shown"
    with psycopg.connect(filled.conninfo) as connection:
        connection.execute("UPDATE alert SET withdrawn = true")
    with Reader(filled, timedelta(days=1)) as reader:
        assert reader.rows(alerts_statement(page)) == []


def test_annotations_are_those_of_what_is_chosen(filled: Store) -> None:
    """Every dashboard's condition can be run, and the one of a sensor leaves out the alerts of others."""
    for page in dashboards().values():
        with Reader(filled, timedelta(days=1)) as reader:
            reader.choose(page)
            if "annotations" in page:
                reader.rows(alerts_statement(page))
    page = dashboards()["stadspuls-sensor"]
    with Reader(filled, timedelta(days=1)) as reader:
        for sensor, count in (("stadspuls/b", 1), ("stadspuls/c", 0)):
            reader.chosen = {"sensor": sensor, "quantity": "no2"}
            assert len(reader.rows(alerts_statement(page))) == count


def test_image_of_grafana_has_every_dashboard(tmp_path: Path) -> None:
    """`grafana write` writes what `grafana push` sends, and the image has it where Grafana's provider reads."""
    answer = CliRunner().invoke(app, ["grafana", "write", "--out", str(tmp_path)])
    assert answer.exit_code == 0, answer.output
    written = {path.relative_to(tmp_path): json.loads(path.read_text()) for path in tmp_path.rglob("*.json")}
    assert written == {Path(folder, f"{uid}.json"): made for uid, (folder, made) in filed().items()}
    options = yaml.safe_load((ROOT / "deploy/grafana/dashboards.yaml").read_text())["providers"][0]["options"]
    assert options["foldersFromFilesStructure"]
    image = (ROOT / "deploy/Dockerfile").read_text()
    assert "stadspuls grafana write --out /dashboards\n" in image
    assert f"COPY --from=dashboards /dashboards {options['path']}\n" in image


def lost(given: Any, read: Any, place: str = "") -> Iterator[str]:
    """Where Grafana's typed model has dropped or changed what it was given."""
    if isinstance(given, dict) and isinstance(read, dict):
        for key, value in given.items():
            yield from lost(value, read.get(key, "nothing"), f"{place}.{key}")
    elif isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        for at, (one, other) in enumerate(zip(given, read, strict=True)):
            yield from lost(one, other, f"{place}[{at}]")
    elif given != read:
        yield f"{place}: {given!r:.60} is read as {read!r:.60}"


@pytest.mark.parametrize("uid", dashboards())
def test_grafana_knows_every_option(uid: str) -> None:
    """Its typed model reads a dashboard without loss: a wrong key or word fails here, and is no blank panel there."""
    register_default_plugins()
    page = dashboards()[uid]
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(json.loads(json.dumps(page)))))
    # The model knows no query of the annotations of a data source.
    assert [text for text in lost(page, read) if not text.startswith(".annotations.list[0].target")] == []
    page["panels"][0]["fieldConfig"]["defaults"]["colour"] = "red"
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(json.loads(json.dumps(page)))))
    assert any("colour" in text for text in lost(page, read))


class Recorder(BaseHTTPRequestHandler):
    """Keeps what is sent to it, and gives it back as Grafana's HTTP API would. It is no Grafana: nothing is checked."""

    kept: ClassVar[dict[str, Any]] = {}
    calls: ClassVar[list[str]] = []

    def _answer(self, body: Any, status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Give what was kept."""
        path = self.path.removeprefix("/sub")
        if self.headers["Authorization"] != "Bearer secret":
            return self._answer({"message": "no"}, 401)
        if path in self.kept:
            return self._answer(self.kept[path])
        return self._answer({"message": "not found"}, 404)

    def do_POST(self) -> None:
        """Keep it where a GET finds it."""
        path = self.path.removeprefix("/sub")
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).calls.append(path)
        if path == "/api/dashboards/db":
            uid = body["dashboard"]["uid"]
            kept = {"dashboard": {**body["dashboard"], "id": 7, "version": 3}, "meta": {"folderUid": body["folderUid"]}}
            self.kept[f"/api/dashboards/uid/{uid}"] = kept
        elif path == "/api/folders":
            self.kept[f"/api/folders/{body['uid']}"] = body
            self.kept[f"/api/folders/{body['uid']}/permissions"] = [{"role": "Editor", "permission": 2}]
        elif path.endswith("/permissions"):
            self.kept[path] = [{**one, "folderId": 1} for one in body["items"]]
        else:
            self.kept[f"/api/datasources/name/{body['name']}"] = {**body, "id": 5, "secureJsonData": None}
        self._answer({})

    do_PUT = do_POST  # noqa: N815 - the library's name


@pytest.fixture
def grafana() -> Iterator[str]:
    """The address of a recorder of requests."""
    Recorder.kept.clear()
    Recorder.calls.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/sub"
    server.shutdown()
    server.server_close()
    thread.join()


def _push(address: str, *more: str, token: str = "secret") -> Any:
    command = ["grafana", "push", "--grafana-url", address, "--grafana-token", token]
    return CliRunner().invoke(app, [*command, "--grafana-database", "postgresql://reader:pw@db:5433/city", *more])


def test_push_once_and_again(grafana: str) -> None:
    """A dry run changes nothing and shows what it would; a push brings everything; a second one finds nothing to do."""
    dry = _push(grafana, "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert not Recorder.calls
    assert '+ "title": "City overview"' in dry.stdout.replace("+  ", "+ ")
    assert _push(grafana).exit_code == 0
    assert len([call for call in Recorder.calls if call == "/api/dashboards/db"]) == len(dashboards())
    source = Recorder.kept["/api/datasources/name/Stadspuls"]
    assert (source["url"], source["user"], source["jsonData"]["database"]) == ("db:5433", "reader", "city")
    before = len(Recorder.calls)
    again = _push(grafana)
    assert "0 changed" in again.stderr
    assert len(Recorder.calls) == before


def test_push_mends_what_was_changed_and_keeps_grants(grafana: str) -> None:
    """A dashboard that somebody changed is brought back, and what a team was granted stays."""
    _push(grafana)
    Recorder.kept["/api/dashboards/uid/stadspuls-sensor"]["dashboard"]["title"] = "mine"
    Recorder.kept["/api/folders/stadspuls/permissions"] = [{"teamId": 4, "permission": 2, "team": "mobility"}]
    shown = _push(grafana, "--dry-run")
    assert '- "title": "mine"' in shown.stdout.replace("-  ", "- ")
    assert "2 changed" in _push(grafana).stderr
    assert Recorder.kept["/api/dashboards/uid/stadspuls-sensor"]["dashboard"]["title"] == "One sensor"
    assert {"teamId": 4, "permission": 2, "folderId": 1} in Recorder.kept["/api/folders/stadspuls/permissions"]


def test_push_that_cannot_be_done(grafana: str) -> None:
    """A wrong token, a Grafana that is not there and an address that is none end with their exit codes."""
    for answer, said in (
        (_push(grafana, token="wrong"), "Unauthorized"),
        (_push("http://127.0.0.1:1"), "Grafana:"),
    ):
        assert answer.exit_code != 0
        assert said in str(answer.exception)
    assert "expected http" in str(_push("grafana").exception)
