"""Answers: what is asked, in every format, with the evidence and the numbers as they are."""

import csv
import io
import json
import math
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from aggregates.ask.dates import BadQuestion
from aggregates.ask.query import Question, ask
from aggregates.store.store import Store
from hub.cli.output import write
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.readings import Reading
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up
from tests.support.commands import app
from tests.support.databases import fresh_database

HOUR = datetime(2024, 5, 1, 8, tzinfo=UTC)
LATER = datetime(2024, 6, 1, tzinfo=UTC)
PROMISED = ["sensor_id", "channel", "quantity", "unit", "start", "end", "value", "minimum", "maximum", "readings",
            "flagged", "coverage", "valid", "revision"]  # fmt: skip


@pytest.fixture(scope="module")
def asked(postgres: str) -> Iterator[str]:
    """A database with three hours: of whole numbers, of a mean that has no end, and of failures."""
    with fresh_database(postgres) as url, closing(Store(url)) as store:
        values: list[list[float | None]] = [[9.04], [1.0, 1.0, 0.1], [None]]
        readings = [
            Reading("ndw/s", "", "no2", 60, HOUR + timedelta(hours=hour, minutes=at), value, flags=int(value is None))
            for hour, given in enumerate(values)
            for at, value in enumerate(given)
        ]
        lanes = [Reading("ndw/s", f"lane{lane}", "vehicle_count", 3600, HOUR, 10.0 * lane) for lane in (1, 2)]
        Pipeline(store).store(Batch(columns([*readings, *lanes], [LATER] * 7)))
        roll_up(store, LATER)
        yield url


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """The command line sets up logging; it ends with the test."""
    yield
    structlog.reset_defaults()


def query(url: str, *flags: str, first: str = "2024-05-01", last: str = "2024-05-02") -> Result:
    """Ask with the command line."""
    words = ["query", "--window=1h", f"--from={first}", f"--to={last}", f"--database={url}", *flags]
    if not any(flag.startswith("--quantity") for flag in flags):
        words.append("--quantity=no2")
    return CliRunner().invoke(app, words)


def answered(url: str, *flags: str, **more: str) -> list[dict[str, Any]]:
    """Ask for JSON."""
    rows: list[dict[str, Any]] = json.loads(query(url, "--format=json", *flags, **more).stdout)
    return rows


class TestFormats:
    """The same rows in each form."""

    def test_json_is_one_array_of_objects(self, asked: str) -> None:
        """With every promised column, stamps in UTC, null and never NaN."""
        rows = answered(asked)
        assert all(set(PROMISED) <= row.keys() for row in rows)
        assert [(row["start"], row["end"], row["value"]) for row in rows] == [
            ("2024-05-01T08:00:00Z", "2024-05-01T09:00:00Z", 9.04),
            ("2024-05-01T09:00:00Z", "2024-05-01T10:00:00Z", 2.1 / 3),
            ("2024-05-01T10:00:00Z", "2024-05-01T11:00:00Z", None),
        ]
        assert (rows[2]["valid"], rows[2]["readings"], rows[2]["coverage"]) == (False, 0, 0)

    def test_numbers_are_printed_as_they_are(self, asked: str) -> None:
        """9.04 is 9.04 in JSON and in CSV."""
        for form in ("json", "csv"):
            out = query(asked, f"--format={form}").stdout
            assert "9.04" in out
            assert "9.0399" not in out

    def test_csv(self, asked: str) -> None:
        """A header and a line a window; null is an empty cell."""
        rows = list(csv.DictReader(io.StringIO(query(asked, "--format=csv").stdout)))
        assert set(PROMISED) <= rows[0].keys()
        assert [row["value"] for row in rows] == ["9.04", str(2.1 / 3), ""]
        assert rows[0]["start"] == "2024-05-01T08:00:00Z"

    def test_parquet(self, asked: str, tmp_path: Path) -> None:
        """A file with typed columns."""
        out = tmp_path / "answer.parquet"
        assert query(asked, "--format=parquet", f"--out={out}").stdout == ""
        frame = pd.read_parquet(out)
        assert set(PROMISED) <= set(frame.columns)
        assert (frame["start"].dtype.kind, frame["valid"].dtype.kind, frame["readings"].dtype.kind) == ("M", "b", "i")
        assert frame["value"].isna().tolist() == [False, False, True]

    def test_table_cuts_nothing_off(self, asked: str) -> None:
        """A table for people has every column too."""
        out = query(asked).stdout
        assert set(PROMISED) <= set(out.split())
        assert "NaN" not in out
        assert "nan" not in out.split()

    @pytest.mark.parametrize("form", ["table", "csv", "json"])
    def test_file_has_what_stdout_would(self, asked: str, tmp_path: Path, form: str) -> None:
        """`--out` writes the same to a file and nothing to stdout."""
        done = query(asked, f"--format={form}", f"--out={tmp_path / 'answer'}")
        assert done.stdout == ""
        shown, kept = query(asked, f"--format={form}").stdout, (tmp_path / "answer").read_text()
        assert shown.split() == kept.split()

    @given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
    def test_any_float_comes_back(self, numbers: list[float]) -> None:
        """Whatever a figure is, JSON gives back the same number."""
        frame = pd.DataFrame({"value": [*numbers, math.nan], "count": range(len(numbers) + 1)})
        assert [row["value"] for row in json.loads(written(frame))] == [*numbers, None]

    def test_whole_numbers_stay_whole(self) -> None:
        """A count is a count in JSON, true is true, text keeps its letters."""
        frame = pd.DataFrame({"count": [7], "valid": [True], "name": ["Brücke / µ"], "none": [None]})
        assert written(frame).strip() == '[{"count":7,"valid":true,"name":"Brücke / µ","none":null}]'

    def test_nothing_is_zero_in_a_table(self, capsys: pytest.CaptureFixture[str]) -> None:
        """What is left of a difference of equal sums is 0 for people, and a small figure stays."""
        write(pd.DataFrame({"value": [0.1 + 0.2 - 0.3, 0.3 - 0.2 - 0.1, 0.000012]}), "table", None, "UTC")
        assert capsys.readouterr().out.split() == ["value", "0", "0", "1.2e-05"]

    @pytest.mark.parametrize("terminal", [True, False])
    def test_no_column_of_a_table_is_cut_off(self, terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither by a narrow terminal nor by a text longer than any line: each value is there."""
        shown = io.StringIO()
        shown.isatty = lambda: terminal  # type: ignore[method-assign]
        monkeypatch.setattr("sys.stdout", shown)
        monkeypatch.setenv("COLUMNS", "80")
        cells = {f"column_{at}": [f"value_{at}"] for at in range(20)}
        write(pd.DataFrame(cells | {"left_out": ["too little " * 100]}), "table", None, "UTC")
        words = shown.getvalue().split()
        assert {f"value_{at}" for at in range(20)} < set(words)
        assert words.count("little") == 100


def written(frame: pd.DataFrame) -> str:
    """Write a frame as JSON to a file and read it."""
    target = io.BytesIO()

    class Target:
        def write_bytes(self, data: bytes) -> None:
            target.write(data)

    write(frame, "json", Target(), "UTC")  # type: ignore[arg-type]
    return target.getvalue().decode()


class TestRange:
    """Which windows are in an answer."""

    def test_from_is_inclusive_and_to_exclusive(self, asked: str) -> None:
        """A window that starts at `from` is in, one that starts at `to` is not."""
        rows = answered(asked, first="2024-05-01T08:00Z", last="2024-05-01T10:00Z")
        assert [row["start"][11:16] for row in rows] == ["08:00", "09:00"]
        rows = answered(asked, first="2024-05-01T10:01+02:00", last="2024-05-01T11:01+02:00")
        assert [row["start"][11:16] for row in rows] == ["09:00"]

    def test_channels_or_what_the_sensor_counted(self, asked: str) -> None:
        """A sensor's figure has an empty channel; `--channels` gives every series."""
        (figure,) = answered(asked, "--quantity=vehicle_count")
        assert (figure["channel"], figure["value"], figure["estimate"]) == ("", 30, 30)
        lanes = answered(asked, "--quantity=vehicle_count", "--channels")
        assert [(lane["channel"], lane["value"]) for lane in lanes] == [("lane1", 10), ("lane2", 20)]

    @pytest.mark.parametrize("form", ["json", "csv", "table", "parquet"])
    def test_nothing_found_is_an_empty_answer(self, asked: str, form: str) -> None:
        """An unknown sensor is exit 0, an empty list, and a note on stderr."""
        done = query(asked, "--sensor=ndw/none", f"--format={form}")
        assert done.exit_code == 0
        assert "no windows found" in done.stderr
        if form == "json":
            assert json.loads(done.stdout) == []
        if form == "csv":
            assert set(PROMISED) <= set(done.stdout.strip().split(","))


class TestQuestion:
    """Questions without an answer."""

    @pytest.mark.parametrize(
        ("changed", "given"),
        [
            ({"quantity": "no3"}, "quantity 'no3', expected one of"),
            ({"window": "2h"}, "window '2h', expected one of 5m, 15m, 1h, 1d"),
            ({"last": HOUR - timedelta(hours=1)}, "is after to"),
            ({"first": datetime(2024, 1, 1)}, "without a zone"),  # noqa: DTZ001
        ],
    )
    def test_bad_question_is_refused(self, changed: dict[str, Any], given: str) -> None:
        """With what was found and what was expected."""
        asked: dict[str, Any] = {"quantity": "no2", "first": HOUR, "last": LATER, "window": "1h"}
        with pytest.raises(BadQuestion, match=given):
            Question(**{**asked, **changed})

    def test_nothing_found_has_the_same_columns(self, asked: str) -> None:
        """An empty frame has the columns and kinds of a full one."""
        with closing(Store(asked)) as store:
            full, empty = (ask(store, Question("no2", HOUR, LATER, "1h", sensor)) for sensor in ("ndw/s", "ndw/none"))
        assert (len(full), len(empty)) == (3, 0)
        assert full.dtypes[PROMISED[4:]].equals(empty.dtypes[PROMISED[4:]])
