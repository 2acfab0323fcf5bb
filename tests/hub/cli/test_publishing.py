"""`history`, `release`, `report` and `--as-of`, as they are typed."""

from pathlib import Path

from typer.testing import CliRunner

from aggregates.store.store import Store
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.readings import Reading
from streams.commit.pipeline import Pipeline
from tests.aggregates.ask.test_averages import HOUR
from tests.aggregates.release.test_release import QUESTION
from tests.aggregates.store.test_sensor_evidence import MONDAY
from tests.aggregates.store.test_versions import hear
from tests.support.commands import app


def run(store: Store, *words: str, code: int = 0) -> str:
    """Run a command and give what it printed."""
    found = CliRunner().invoke(app, [*words, "--database", store.conninfo])
    assert found.exit_code == code, found.output
    return found.output


def test_publish_correct_and_explain(store: Store, tmp_path: Path) -> None:
    """A release; after a correction verifying exits 1, history has the reason, and as of then it is as it was."""
    hear(store, [4.0, 5.0])
    query = tmp_path / "question.toml"
    query.write_text(QUESTION, "utf-8")
    span, folder = ("--from", "2024-05-01", "--to", "2024-06-01"), ("--releases", str(tmp_path / "releases"))
    assert "Release may" in run(store, "release", "make", "may", *span, "--query", str(query), *folder)
    assert "what the hub still knows" in run(store, "release", "verify", "may", *folder)
    assert "expected small letters" in str(
        CliRunner().invoke(app, ["release", "make", "../x", *span, "--query", str(query), "--database",
                                   store.conninfo]).exception
    )  # fmt: skip
    ((moment,),) = store.rows("read_settled_moment")
    hear(store, [9.0], version=1)
    assert "correction" in run(store, "release", "verify", "may", *folder, code=1)
    assert "Vehicles in May" in run(store, "release", "list")
    assert "correction" in run(store, "history", "--sensor", "ndw/s", *span)
    asked = ("query", "--quantity", "vehicle_count", *span, "--window", "1h", "--format", "csv")
    assert ",4,4," in run(store, *asked, "--as-of", moment.isoformat())
    assert ",9,9," in run(store, *asked)
    run(store, "report", "year", "--sensor", "ndw/s", "--year", "2024", "--out", str(tmp_path / "report.html"))
    assert "Jaarrapport 2024" in (tmp_path / "report.html").read_text("utf-8")


def test_what_still_waits_for_the_roll_up_is_said(store: Store, tmp_path: Path) -> None:
    """Figures of a release, and those that it is compared with, are not whole while late hours wait."""
    hear(store, [4.0])
    query = tmp_path / "question.toml"
    query.write_text(QUESTION, "utf-8")
    span, folder = ("--from", "2024-05-01", "--to", "2024-06-01"), ("--releases", str(tmp_path / "releases"))
    asked = ("--query", str(query), *folder)
    assert "wait for the roll-up" not in run(store, "release", "make", "may", *span, *asked)
    late = Reading("ndw/s", "lane1/any", "vehicle_count", 3600, MONDAY + HOUR, 6.0)
    Pipeline(store).store(Batch(columns([late], [MONDAY + 48 * HOUR])))
    assert "wait for the roll-up" in run(store, "release", "verify", "may", *folder)
    assert "wait for the roll-up" in run(store, "release", "make", "again", *span, *asked)
