"""The whole hub as files: readable by others in one line, only what changed, whole after a kill."""

import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import structlog
from openpyxl import load_workbook
from typer.testing import CliRunner

from aggregates.areas.groups import Group, Member, import_groups
from aggregates.ask.dates import BadQuestion
from aggregates.ask.query import READINGS, Question, ask, tables
from aggregates.export import plan as partitions
from aggregates.export.export import Wanted, export
from aggregates.export.forms import replaced
from aggregates.export.forms import write as write_form
from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store
from ingest.files.catalogue import Entry
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.readings import Reading
from streams.commit.pipeline import Pipeline
from streams.rollup.retention import maintain
from streams.rollup.rollup import roll_up
from tests.support.commands import app

BEGIN = datetime(2024, 5, 31, 20, tzinfo=UTC)
LATER = datetime(2024, 7, 1, 12, 30, tzinfo=UTC)
FIGURES = ["sensor_id", "start", "value", "coverage", "valid"]


@pytest.fixture
def city(store: Store) -> Store:
    """Two sensors, a count with two lanes and an NO2, eight hours about the end of May, in UTC and in local time."""
    return commit(
        store,
        *(
            Reading("ndw/a", f"lane{lane}", "vehicle_count", 3600, BEGIN + timedelta(hours=hour), 10.5 * lane + hour)
            for lane in (1, 2)
            for hour in range(8)
        ),
        *(
            Reading("luchtmeetnet/b", "", "no2", 3600, BEGIN + timedelta(hours=hour), 0.1 * hour if hour else None, 1.0)
            for hour in range(8)
        ),
    )


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No transaction takes longer than a moment."""
    monkeypatch.setattr(partitions, "LONGEST_TRANSACTION", timedelta(0))


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """The command line sets up logging; it ends with the test."""
    yield
    structlog.reset_defaults()


def commit(store: Store, *said: Reading) -> Store:
    """Store readings and roll up."""
    Pipeline(store).store(Batch(columns(list(said), [LATER] * len(said))))
    roll_up(store, LATER)
    return store


def written(store: Store, out: Path, wanted: Wanted = Wanted()) -> list[str]:  # noqa: B008 - frozen
    """Export, and say which files were written."""
    return sorted(str(one.path.relative_to(out)) for one in export(store, out, wanted))


def whole_month(store: Store, quantity: str, window: str) -> pd.DataFrame:
    """What the store itself answers, with the figures that the files are compared by."""
    return ask(store, Question(quantity, BEGIN - timedelta(days=2), LATER, window))[FIGURES]


class CatchingUp(Store):
    """While an export looks at the clock, a roll-up that was away for days catches up."""

    def rows(self, statement: str, **parameters: object) -> list[tuple[Any, ...]]:
        """Roll up behind the look at the clock."""
        found = super().rows(statement, **parameters)
        if statement == "export_clock":
            roll_up(self, LATER)
        return found


class TestFiles:
    """What an export holds."""

    def test_days_that_close_meanwhile_wait_for_the_next(self, database: str, at_once: None, tmp_path: Path) -> None:
        """A day that was closed after the export looked what is closed is not in it, and is in the next one."""
        with closing(CatchingUp(database)) as store:
            hours = [Reading("ndw/a", "", "vehicle_count", 3600, BEGIN + timedelta(hours=at), 5.0) for at in range(48)]
            Pipeline(store).store(Batch(columns(hours, [LATER] * len(hours))))
            roll_up(store, BEGIN + timedelta(hours=2, minutes=30))
            of_readings = Wanted(datasets=("readings",))
            first, second = (written(store, tmp_path, of_readings) for _ in range(2))
            assert (len(first), len(second)) == (1, 3)

    def test_files_are_partitioned_the_hive_way(self, city: Store, tmp_path: Path) -> None:
        """Readings by UTC day, windows by UTC month of their start: the local 1st of June begins in May."""
        assert written(city, tmp_path) == [
            "aggregates/window=1d/quantity=no2/month=2024-05/part.parquet",
            "aggregates/window=1d/quantity=vehicle_count/month=2024-05/part.parquet",
            "aggregates/window=1h/quantity=no2/month=2024-05/part.parquet",
            "aggregates/window=1h/quantity=no2/month=2024-06/part.parquet",
            "aggregates/window=1h/quantity=vehicle_count/month=2024-05/part.parquet",
            "aggregates/window=1h/quantity=vehicle_count/month=2024-06/part.parquet",
            "readings/quantity=no2/date=2024-05-31/part.parquet",
            "readings/quantity=no2/date=2024-06-01/part.parquet",
            "readings/quantity=vehicle_count/date=2024-05-31/part.parquet",
            "readings/quantity=vehicle_count/date=2024-06-01/part.parquet",
        ]
        assert not list(tmp_path.rglob("*.tmp"))

    def test_a_month_without_hours_is_no_file(self, city: Store, tmp_path: Path) -> None:
        """The first export looks from the first hour to the last: what lies empty between them is left out."""
        commit(city, Reading("luchtmeetnet/b", "", "no2", 3600, BEGIN - timedelta(days=70), 5.0))
        files = written(city, tmp_path, Wanted(("aggregates",), ("1h",), "no2"))
        assert [file.split("/")[3] for file in files] == ["month=2024-03", "month=2024-05", "month=2024-06"]

    def test_pandas_duckdb_and_polars_read_it_in_a_line(self, city: Store, tmp_path: Path) -> None:
        """All three see what the store itself answers, and the partitions as columns."""
        written(city, tmp_path)
        expected = whole_month(city, "vehicle_count", "1h").sort_values("start", ignore_index=True)
        lake = duckdb.connect()
        frames = {
            "pandas": pd.read_parquet(tmp_path / "aggregates"),
            "duckdb": lake.sql(f"SELECT * FROM '{tmp_path}/aggregates/*/*/*/*.parquet'").to_arrow_table().to_pandas(),
            "polars": pl.read_parquet(tmp_path / "aggregates").to_pandas(),
        }
        for name, frame in frames.items():
            found = frame[(frame["quantity"] == "vehicle_count") & (frame["window"] == "1h")]
            found = found.astype({"sensor_id": str}).sort_values("start", ignore_index=True)[FIGURES]
            found["start"] = pd.to_datetime(found["start"], utc=True)
            pd.testing.assert_frame_equal(found, expected, check_dtype=False, obj=name)

    def test_flags_status_sources_and_licences_travel(self, city: Store, tmp_path: Path) -> None:
        """In words, in every file, and once for all of it."""
        commit(city, Reading("luchtmeetnet/b", "", "no2", 3600, BEGIN + timedelta(hours=8), 1e9, status=1))
        written(city, tmp_path)
        rows = pd.read_parquet(tmp_path / "readings" / "quantity=no2").tail(1).to_dict("records")
        assert [(row["flags"], row["status"], row["unit"]) for row in rows] == [("out_of_range", "validated", "ug/m3")]
        for path in tmp_path.rglob("*.parquet"):
            (source,) = json.loads((pq.read_metadata(path).metadata or {})[b"sources"])
            assert source["licence"]
            assert source["source"] in ("ndw", "luchtmeetnet")
        assert {one["source"] for one in json.loads((tmp_path / "_SOURCES.json").read_text())} == {
            "ndw",
            "luchtmeetnet",
        }

    def test_sources_of_a_group_are_those_of_its_members(self, city: Store, tmp_path: Path) -> None:
        """A group's figures are made of what others supply: they are named, with their licence."""
        import_groups(city, {"all": Group("All", (Member("ndw/a"),), quantities=("vehicle_count",))})
        roll_up(city, LATER)
        written(city, tmp_path, Wanted(("aggregates",), ("1h",), "vehicle_count"))
        for path in tmp_path.rglob("*.parquet"):
            assert "group/all" in pd.read_parquet(path)["sensor_id"].to_list()
            assert [one["source"] for one in json.loads((pq.read_metadata(path).metadata or {})[b"sources"])] == ["ndw"]
        assert [one["source"] for one in json.loads((tmp_path / "_SOURCES.json").read_text())] == [
            "luchtmeetnet",
            "ndw",
        ]

    def test_running_hours_wait(self, city: Store, tmp_path: Path) -> None:
        """An hour that has not closed is in no file, and its readings neither."""
        running = Reading("luchtmeetnet/b", "", "no2", 60, LATER.replace(minute=0), 7.0)
        Pipeline(city).store(Batch(columns([running], [LATER])))
        assert not [path for path in written(city, tmp_path) if "2024-07" in path]
        roll_up(city, LATER + timedelta(hours=1))
        assert [path for path in written(city, tmp_path) if "2024-07" in path]

    @pytest.mark.usefixtures("at_once")
    def test_running_days_wait(self, city: Store, tmp_path: Path) -> None:
        """A day that has not ended is in no file; it follows when it has, also where nothing more is said of it."""
        wanted = Wanted(("aggregates",), ("1d",), "vehicle_count")
        commit(city, Reading("ndw/a", "lane1", "vehicle_count", 3600, LATER.replace(hour=8, minute=0), 7.0))
        assert [path.split("/")[-2] for path in written(city, tmp_path, wanted)] == ["month=2024-05"]
        assert written(city, tmp_path, wanted) == []
        roll_up(city, LATER + timedelta(days=1))
        assert [path.split("/")[-2] for path in written(city, tmp_path, wanted)] == ["month=2024-06"]
        days = pd.read_parquet(tmp_path / "aggregates" / "window=1d")
        assert days["date"].astype(str).tolist() == ["2024-05-31", "2024-06-01", "2024-07-01"]
        assert written(city, tmp_path, wanted) == []

    def test_two_at_once(self, city: Store, tmp_path: Path) -> None:
        """A second export into a directory is refused while one works there, and may begin when it has ended."""
        one = export(city, tmp_path, Wanted())
        next(one)
        with pytest.raises(BlockingIOError, match="another export"):
            written(city, tmp_path)
        one.close()
        assert written(city, tmp_path)

    def test_nobody_sees_half_a_file(self, tmp_path: Path) -> None:
        """Whatever is written, also areas and sources: an error leaves the file that was there, and no other."""
        path = tmp_path / "areas.parquet"
        with replaced(path) as file:
            file.write(b"whole")
        with suppress(ZeroDivisionError), replaced(path) as file:
            file.write(b"half")
            raise ZeroDivisionError
        assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("areas.parquet", b"whole")]


@pytest.mark.usefixtures("at_once")
class TestIncremental:
    """Run again."""

    def test_nothing_changed_nothing_written(self, city: Store, tmp_path: Path) -> None:
        """A second run finds nothing to do; a new one writes everything."""
        first = written(city, tmp_path)
        assert written(city, tmp_path) == []
        assert written(city, tmp_path, Wanted(anew=True)) == first

    def test_files_of_an_older_layout_are_written_again(self, city: Store, tmp_path: Path) -> None:
        """A directory whose journal is of another layout has files with other columns: all are written anew."""
        first = written(city, tmp_path)
        (journal,) = tmp_path.rglob("_EXPORT_parquet.json")
        content = json.loads(journal.read_text("utf-8"))
        del content["layout"]
        journal.write_text(json.dumps(content), "utf-8")
        assert written(city, tmp_path) == first

    def test_late_data_write_their_files_again(self, city: Store, tmp_path: Path) -> None:
        """Only those of the quantity and days that a late reading touched, and they are right."""
        written(city, tmp_path)
        commit(city, Reading("luchtmeetnet/late", "", "no2", 3600, BEGIN - timedelta(days=60), 33.0))
        assert written(city, tmp_path) == [
            "aggregates/window=1d/quantity=no2/month=2024-03/part.parquet",  # its day began at 23:00 UTC
            "aggregates/window=1h/quantity=no2/month=2024-04/part.parquet",
            "readings/quantity=no2/date=2024-04-01/part.parquet",
        ]
        commit(city, Reading("luchtmeetnet/b", "", "no2", 3600, BEGIN, 33.0, status=1))
        assert "readings/quantity=no2/date=2024-05-31/part.parquet" in written(city, tmp_path)
        assert 33.0 in pd.read_parquet(tmp_path / "aggregates")["value"].to_list()

    def test_catalogue_writes_windows_again(self, city: Store, tmp_path: Path) -> None:
        """Lanes that the catalogue gives make all of a sensor's windows valid: its readings are as they were."""
        written(city, tmp_path)
        import_sensors(city, [Entry("ndw/a", lanes=2)])
        found = written(city, tmp_path)
        assert {path.rpartition("/month")[0] for path in found} == {
            f"aggregates/window={window}/quantity=vehicle_count" for window in ("1h", "1d")
        }
        assert pd.read_parquet(tmp_path / "aggregates/window=1h/quantity=vehicle_count")["valid"].all()
        assert written(city, tmp_path) == []

    def test_other_windows_later(self, city: Store, tmp_path: Path) -> None:
        """What an earlier run was not asked for is not taken for done."""
        written(city, tmp_path)
        found = written(city, tmp_path, Wanted(("aggregates", "channels"), ("1h", "5m")))
        assert {path.split("/quantity")[0] for path in found} == {"channels/window=1h"}

    def test_dropped_readings_stay_in_the_export(self, city: Store, tmp_path: Path) -> None:
        """Retention takes them out of the database, not out of files written before."""
        written(city, tmp_path)
        assert maintain(city, LATER + timedelta(days=400), timedelta(days=30))
        written(city, tmp_path, Wanted(anew=True))
        assert len(pd.read_parquet(tmp_path / "readings")) == 24

    def test_strange_journal_is_refused(self, city: Store, tmp_path: Path) -> None:
        """A journal that cannot be read is not overwritten."""
        (tmp_path / "_EXPORT_parquet.json").write_text("[]")
        with pytest.raises(ValueError, match="no journal of an export"):
            written(city, tmp_path)

    @pytest.mark.parametrize(
        "changed", [{"datasets": ("x",)}, {"windows": ("2h",)}, {"form": "xml"}, {"quantity": "y"}]
    )
    def test_strange_wishes_are_refused(self, changed: dict[str, object]) -> None:
        """At birth, with what was expected."""
        with pytest.raises(BadQuestion, match="expected one of"):
            Wanted(**changed)  # type: ignore[arg-type]


# An export that is killed when a file is whole and has not its name yet, after fifty others.
_KILLED = """
import os, pathlib, signal
from hub.cli.main import main
replace, done = pathlib.Path.replace, []
def counted(path, target):
    done.append(path)
    if len(done) > 50:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(path, target)
pathlib.Path.replace = counted
main()
"""


def test_killed_in_the_middle_and_run_again(store: Store, tmp_path: Path) -> None:
    """After a kill -9 the next run completes the export: every reading is in it once, and no file is half."""
    days = [BEGIN + timedelta(days=day) for day in range(-100, 0)]
    commit(store, *(Reading("ndw/a", "", "vehicle_count", 3600, day, 1.0) for day in days))
    command = [sys.executable, "-P", "-c", _KILLED, "export", f"--out={tmp_path}", f"--database={store.conninfo}"]
    assert subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == -signal.SIGKILL
    before = len(list((tmp_path / "readings").rglob("*.parquet")))
    assert 5 <= before < 100
    written(store, tmp_path)
    assert sorted(pd.read_parquet(tmp_path / "readings")["start"]) == days
    expected = sum(table.num_rows for table in tables(store, Question(None, days[0], LATER, READINGS)))
    assert expected == len(days)
    assert len(pd.read_parquet(tmp_path / "aggregates")) == 2 * len(days)


def test_sheet_for_a_dutch_spreadsheet(city: Store, tmp_path: Path) -> None:
    """Byte order mark, semicolon, decimal comma, local time beside UTC; a file by its name, and numbers to be read."""
    commit(city, Reading("ndw/a", "lane1", "vehicle_count", 3600, BEGIN, 10 + 1 / 3, version=1))
    wanted = Wanted(("aggregates",), ("1h",), "vehicle_count", form="csv-nl")
    (path, *_) = written(city, tmp_path, wanted)
    assert path.endswith("/month=2024-05/aggregates_1h_vehicle_count_2024-05.csv")
    header, first, *_ = (tmp_path / path).read_bytes().decode("utf-8").splitlines()
    assert header.startswith("\ufeffsensor_id;channel;quantity;unit;start (UTC);start (Europe/Amsterdam);end (UTC)")
    assert first.startswith("ndw/a;;vehicle_count;1;2024-05-31 20:00:00;2024-05-31 22:00:00;2024-05-31 21:00:00")
    assert ";31,3333;" in first
    assert ";nee;" in first


def test_workbook(city: Store, tmp_path: Path) -> None:
    """Real dates in UTC and local time, numbers, truth values, units in the header, and a sheet that explains them."""
    commit(city, Reading("ndw/a", "lane1", "vehicle_count", 3600, BEGIN, 10 + 1 / 3, version=1))
    (path, *_) = written(city, tmp_path, Wanted(("aggregates",), ("1h",), "vehicle_count", form="xlsx"))
    assert path.endswith("/month=2024-05/aggregates_1h_vehicle_count_2024-05.xlsx")
    book = load_workbook(tmp_path / path)
    header, first, *_ = book["data"].iter_rows(values_only=True)
    row = dict(zip(header, first, strict=True))
    assert (row["start (UTC)"], row["start (Europe/Amsterdam)"]) == (
        datetime(2024, 5, 31, 20),  # noqa: DTZ001 - a sheet has no zones
        datetime(2024, 5, 31, 22),  # noqa: DTZ001
    )
    assert (row["sensor_id"], row["valid"]) == ("ndw/a", False)
    assert row["value (1)"] == pytest.approx(31 + 1 / 3)
    explained = list(book["explanation"].iter_rows(values_only=True))
    assert ("coverage", "0 to 1", "share of the window that was covered, 0 to 1; null: not known") in explained
    assert explained[-1][:2] == ("Nationaal Dataportaal Wegverkeer", "NDW open data")


def test_query_for_a_dutch_spreadsheet(city: Store) -> None:
    """The command line gives the same form; text that would be a formula is none."""
    commit(city, Reading("ndw/a", "=1+1", "vehicle_count", 3600, BEGIN, 1.5))
    flags = ["--quantity=vehicle_count", "--from=2024-05-31", "--to=2024-06-01", "--window=1h", "--channels"]
    done = CliRunner().invoke(app, ["query", *flags, "--format=csv-nl", f"--database={city.conninfo}"])
    assert done.exit_code == 0
    assert done.stdout.startswith("\ufeffsensor_id;")
    assert ";'=1+1;" in done.stdout


def test_formula_is_text_in_every_csv() -> None:
    """What a spreadsheet would calculate has an apostrophe before it, and is text in xlsx; numbers stay as they are."""
    said = ["=1+1", "+cmd|'x'!A0", "@sum", "-2+3", "-12.5", "+1", "Brug"]
    table = pa.table({"name": pa.array(said).dictionary_encode(), "value": [-1.5] * len(said)})
    sheet = io.BytesIO()
    write_form("xlsx", [table], sheet)
    cells_of = load_workbook(sheet)["data"].iter_rows(min_row=2, max_col=1)
    assert [(cell.value, cell.data_type) for (cell,) in cells_of] == [(text, "s") for text in said]
    for form, separator, value in (("csv", ",", "-1.5"), ("csv-nl", ";", "-1,5")):
        out = io.BytesIO()
        write_form(form, [table], out)
        cells = ["'=1+1", "'+cmd|'x'!A0", "'@sum", "'-2+3", "-12.5", "+1", "Brug"]
        assert out.getvalue().decode().splitlines()[1:] == [f"{cell}{separator}{value}" for cell in cells], form


def test_command_line(city: Store, tmp_path: Path) -> None:
    """`export --out DIR` is exit 0 and names on stderr what it wrote; a request that cannot be met is exit 2."""
    done = CliRunner().invoke(app, ["export", f"--out={tmp_path / 'lake'}", f"--database={city.conninfo}"])
    assert (done.exit_code, done.stdout) == (0, "")
    assert "10 files with" in done.stderr
    refused = CliRunner().invoke(app, ["export", f"--out={tmp_path}", "--window=2h", f"--database={city.conninfo}"])
    assert isinstance(refused.exception, BadQuestion)
