"""Releases: frozen as files, cited, listed, never changed; and what is another figure since, on a recorded counter."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import msgspec
import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyshacl
import pytest
from rdflib import DCAT, DCTERMS, Graph

from aggregates.areas.groups import Group, Member, import_groups
from aggregates.ask.dates import BadQuestion, known_at
from aggregates.ask.listings import LISTS
from aggregates.ask.periods import Reporting
from aggregates.ask.query import Question, ask
from aggregates.release.inquiry import Inquiry, Table, answer
from aggregates.release.release import changes, damaged, make, read
from aggregates.store.catalogue import import_sensors
from aggregates.store.migrate import migrate
from aggregates.store.store import Store
from ingest.files.catalogue import Entry
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.readings import Reading
from ingest.vocabulary.sources import SOURCES
from ingest.vocabulary.values import BadFile, read_toml
from streams.commit.pipeline import Pipeline
from streams.rollup.rollup import roll_up
from tests.aggregates.areas.test_areas import BEGIN, PLACES, hours, load_cases, place, refresh
from tests.aggregates.ask.test_averages import HOUR, stored
from tests.aggregates.store.test_sensor_evidence import MONDAY
from tests.aggregates.store.test_versions import hear
from tests.hub.web.api.test_catalog import SHAPES
from tests.streams.commit.test_dead import fremont
from tests.support.databases import ZONE

DUTCH = Reporting(ZONE)
MAY = (date(2024, 5, 1), date(2024, 6, 1))
QUESTION = """
title = "Vehicles in May"
[[table]]
name = "hours"
quantity = "vehicle_count"
window = "1h"
[[table]]
name = "werkdag"
quantity = "vehicle_count"
kind = "averages"
window = "1mo"
"""


@pytest.fixture
def inquiry(tmp_path: Path) -> Inquiry:
    """What is asked in a file."""
    path = tmp_path / "question.toml"
    path.write_text(QUESTION, "utf-8")
    return read_toml(path, Inquiry)


def test_a_release_says_what_it_is(store: Store, tmp_path: Path, inquiry: Inquiry) -> None:
    """Files of every table, and a manifest: sources, licences, rules, moment, checksums, question, citation."""
    hear(store, [4.0, 5.0])
    made = make(store, tmp_path, "may", inquiry, MAY, DUTCH, "0.1.0")
    kept = json.loads((tmp_path / "may/manifest.json").read_text())
    assert kept == made == read(store, "may")
    assert [one["file"] for one in kept["files"]] == ["hours.parquet", "hours.csv", "werkdag.parquet", "werkdag.csv"]
    assert kept["question"]["table"][1]["kind"] == "averages"
    assert [one["source"] for one in kept["sources"]] == ["ndw"]
    assert kept["validity"]["quantities"]["vehicle_count"]["coverage"] == 0.9
    assert f"Release may, figures as of {kept['as_of'][:10]}" in kept["citation"]
    with duckdb.connect() as reader:
        assert reader.execute(f"SELECT sum(value) FROM '{tmp_path}/may/hours.parquet'").fetchall() == [(9.0,)]
    assert damaged(tmp_path, made) == []
    listed = [row for batch in LISTS["releases"].read(store, None, 10) for row in batch.to_pylist()]
    assert [(row["name"], row["from"], row["files"][0]) for row in listed] == [("may", MAY[0], "hours.parquet")]


def test_a_release_is_immutable(store: Store, tmp_path: Path, inquiry: Inquiry) -> None:
    """A name is taken once; its files and its row are not written again; a file that changed is found."""
    hear(store, [4.0])
    made = make(store, tmp_path, "may", inquiry, MAY, DUTCH, "0.1.0")
    with pytest.raises(BadQuestion, match="immutable"):
        make(store, tmp_path, "may", inquiry, MAY, DUTCH, "0.1.0")
    with psycopg.connect(store.conninfo) as connection, pytest.raises(psycopg.errors.RaiseException, match="immutable"):
        connection.execute("UPDATE release SET as_of = now()")
    assert [one.name for one in (tmp_path / "may").iterdir() if one.stat().st_mode & 0o222] == []
    path = tmp_path / "may/hours.csv"
    path.chmod(0o644)
    path.write_text("sensor_id\n")
    (tmp_path / "may/werkdag.csv").unlink()
    assert damaged(tmp_path, made) == ["hours.csv", "werkdag.csv"]


def test_nothing_changed(store: Store, tmp_path: Path, inquiry: Inquiry) -> None:
    """Of a release made a moment ago every figure is what it was, also where hours were computed again."""
    hear(store, [0.1, 0.2, 0.7])
    made = make(store, tmp_path, "may", inquiry, MAY, DUTCH, "0.1.0")
    with psycopg.connect(store.conninfo) as connection:
        connection.execute("INSERT INTO mark (hour, members) SELECT start, ARRAY[series] FROM window_1h")
    roll_up(store, datetime.now(UTC))
    assert changes(store, tmp_path, made, DUTCH).empty


def test_a_table_without_rows_is_verified(store: Store, tmp_path: Path) -> None:
    """Where a table had no rows nothing is another one, and each that came since is new."""
    asked = Inquiry("May", (Table("hours", "vehicle_count", window="1h"), Table("limits", "no2", "limits", year=2024)))
    made = make(store, tmp_path, "may", asked, MAY, DUTCH, "0.1.0")
    assert changes(store, tmp_path, made, DUTCH).empty
    hear(store, [4.0])
    assert changes(store, tmp_path, made, DUTCH)["reason"].tolist() == ["new"]


def test_nothing_changed_where_rows_stand_in_another_order(
    store: Store, tmp_path: Path, inquiry: Inquiry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that was restored or packed adds up in its own order: another last digit is no other figure."""
    hear(store, [0.1, 0.2, 0.7])
    made = make(store, tmp_path, "may", inquiry, MAY, DUTCH, "0.1.0")

    def found(last: float) -> bool:
        def other(*asked: Any) -> pa.Table:
            table = answer(*asked)
            at = table.schema.get_field_index("estimate")
            return table.set_column(at, "estimate", pc.multiply(table["estimate"], pa.scalar(1 + last)))

        monkeypatch.setattr("aggregates.release.release.answer", other)
        return not changes(store, tmp_path, made, DUTCH).empty

    assert [found(last) for last in (3e-16, 1e-9)] == [False, True]


def test_nothing_changed_where_a_channel_has_two_periods(store: Store, tmp_path: Path) -> None:
    """An hour of minutes beside an hour's own reading is two rows of one channel, each compared with its own."""
    minutes = [
        Reading("ndw/a", "lane1", "vehicle_count", 60, MONDAY + HOUR * at / 60, 1.0, covers=60) for at in range(60)
    ]
    whole = Reading("ndw/a", "lane1", "vehicle_count", 3600, MONDAY, 50.0, covers=3600)
    Pipeline(store).store(Batch(columns([*minutes, whole], [MONDAY + 2 * HOUR] * 61)))
    roll_up(store, MONDAY + 30 * HOUR)
    about: dict[str, Any] = {"quantity": "vehicle_count", "channels": True}
    tables = Table("hours", window="1h", **about), Table("weeks", window="1w", kind="averages", **about)
    made = make(store, tmp_path, "may", Inquiry("May", tables), MAY, DUTCH, "0.1.0")
    assert changes(store, tmp_path, made, DUTCH).empty


def test_a_late_hour_is_new(store: Store, tmp_path: Path, inquiry: Inquiry) -> None:
    """An hour that came after the release is named as new, its day as changed by late data."""
    hear(store, [4.0])
    made = make(store, tmp_path, "may", inquiry, MAY, DUTCH, "0.1.0")
    hear(store, [4.0, 6.0])
    found = changes(store, tmp_path, made, DUTCH)
    hours = found[found["table"] == "hours"]
    assert [(row.start, row.after, row.reason) for row in hours.itertuples()] == [(MONDAY + HOUR, 6.0, "new")]
    assert found[found["table"] == "1d"]["reason"].tolist() == ["late data"]


def test_a_group_is_released_with_its_members(store: Store, tmp_path: Path) -> None:
    """Sources and licences are those of the members; a correction of one is named with its hour and its reason."""
    hear(store, [4.0, 5.0])
    stored(store, "telraam/9", "vehicle_count", [("lft/any", [(MONDAY, 1.0)])])
    import_groups(store, {"net": Group("Net", (Member("ndw/s"), Member("telraam/9")))})
    hear(store, [4.0, 5.0])
    asked = Inquiry("Net", (Table("net", "vehicle_count", window="1h", sensors=("group/net",)),))
    made = make(store, tmp_path, "net", asked, MAY, DUTCH, "0.1.0")
    assert {one["source"]: one["licence"] for one in made["sources"]} == {
        name: SOURCES[name].licence for name in ("ndw", "telraam")
    }
    assert changes(store, tmp_path, made, DUTCH).empty
    hear(store, [9.0], version=1)
    found = changes(store, tmp_path, made, DUTCH)
    (row,) = found[found["table"] == "net"].itertuples()
    assert (row.subject, row.start, row.before, row.after) == ("group/net", MONDAY, 5.0, 10.0)
    why = found[found["table"] == "1h"]
    assert (why["subject"].tolist(), why["start"].tolist(), why["reason"].tolist()) == (
        ["ndw/s"],
        [MONDAY],
        ["correction"],
    )


def test_a_changed_catalogue_and_rule_show(store: Store, tmp_path: Path, inquiry: Inquiry) -> None:
    """Lanes that are now expected make hours invalid: the columns that differ are named, and what changed."""
    hear(store, [4.0])
    import_sensors(store, [Entry("ndw/s", lanes=1)])
    made = make(store, tmp_path, "may", inquiry, MAY, DUTCH, "0.1.0")
    import_sensors(store, [Entry("ndw/s", lanes=2)])
    found = changes(store, tmp_path, made, Reporting(ZONE, country="BE"))
    (row,) = found[found["table"] == "hours"].itertuples()
    assert (row.before, row.after, row.reason, row.detail) == (4.0, 4.0, "other", "coverage valid")
    (why,) = found[found["reason"] == "catalogue"].itertuples()
    assert (why.subject, why.detail) == ("ndw/s", "lanes 1, then 2")
    assert found[found["reason"] == "rules"]["detail"].tolist() == ["NL, then BE"]


def test_the_question_stays_what_it_was(store: Store, tmp_path: Path) -> None:
    """A release of areas is compared by its own boundaries, also where newer ones are loaded since."""
    load_cases(store)
    place(store, **PLACES)
    hours(store, "a", [10.0] * 24)
    refresh(store)
    asked = Inquiry("Air", (Table("buurten", "no2", "areas", window="1h", level="buurt"),))
    made = make(store, tmp_path, "air", asked, (date(2024, 6, 1), date(2024, 7, 1)), DUTCH, "0.1.0")
    assert made["question"]["table"][0]["vintage"] == 2024
    with psycopg.connect(store.conninfo) as connection:
        newer = "(jsonb_populate_record(a, '{\"vintage\": 2025}')).*"
        connection.execute(f"INSERT INTO area SELECT {newer} FROM area a WHERE vintage = 2024".encode())
    assert changes(store, tmp_path, made, DUTCH).empty


def test_a_release_has_its_record_for_a_catalogue(store: Store, tmp_path: Path, inquiry: Inquiry) -> None:
    """DCAT-AP-NL in Turtle: what it demands, and each file with its size and checksum."""
    hear(store, [4.0])
    inquiry = msgspec.structs.replace(inquiry, licence="CC BY 4.0, by Zeestad")
    made = make(store, tmp_path, "may", inquiry, MAY, DUTCH, "0.1.0")
    record = Graph().parse(tmp_path / "may/dcat.ttl", publicID="https://example.org/may/dcat.ttl")
    conforms, _, text = pyshacl.validate(record, shacl_graph=Graph().parse(SHAPES))
    assert conforms, text
    files = {str(one).rpartition("/")[2]: one for one in record.objects(None, DCAT.distribution)}
    assert [str(record.value(files[one["file"]], DCAT.byteSize)) for one in made["files"]] == [
        str(one["bytes"]) for one in made["files"]
    ]
    assert set(map(str, record.objects(None, DCTERMS.license))) == {"https://creativecommons.org/licenses/by/4.0/"}
    assert made["citation"] in map(str, record.objects(None, DCTERMS.description))
    assert (tmp_path / "may/CITATION.txt").read_text("utf-8") == made["citation"] + "\n"


def test_areas_and_limits_are_released_too(store: Store, tmp_path: Path) -> None:
    """A table of areas beside a measure, and a year beside its limits: a correction of an hour is found in each."""
    load_cases(store)
    place(store, **PLACES)
    hours(store, "a", [10.0 + at % 3 for at in range(24)])
    refresh(store)
    asked = (
        Table("buurten", "no2", "areas", window="1h", level="buurt", measures=("inhabitants",)),
        Table("buurt", "no2", window="1d", area="BU99010000"),
        Table("limits", "no2", "limits"),
    )
    span = (date(2024, 1, 1), date(2025, 1, 1))
    made = make(store, tmp_path, "air", Inquiry("Air", asked), span, DUTCH, "0.1.0")
    assert {one["source"] for one in made["sources"]} >= {"stadspuls", "cbs"}
    assert changes(store, tmp_path, made, DUTCH).empty
    hours(store, "a", [300.0], version=1)
    refresh(store)
    found = changes(store, tmp_path, made, DUTCH)
    one = found[found["table"] == "buurten"]
    assert [(row.subject, row.start, row.after) for row in one.itertuples()] == [("BU99010000", BEGIN, 300.0)]
    assert found[found["table"] == "buurt"]["subject"].tolist() == ["BU99010000"]
    assert {name for name in found["table"] if name.startswith("limits ")} >= {"limits 2008/50/EC hour"}
    assert set(found[found["table"] == "1h"]["subject"]) == {"BU99010000", "stadspuls/a"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("title = 'x'\ntable = []", "expected at least one"),
        (QUESTION.replace("werkdag", "hours"), "a name of its own"),
        (QUESTION.replace("averages", "figures"), "invalid enum value"),
        (QUESTION.replace('"werkdag"', '"../werkdag"'), "matching regex"),
    ],
)
def test_a_file_that_asks_for_nothing_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    """The file, the key and the reason are named."""
    path = tmp_path / "question.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(BadFile, match=reason):
        read_toml(path, Inquiry)


@pytest.mark.long
@pytest.mark.shared
def test_a_correction_of_june_after_a_release(store: Store, shared_data: Path, tmp_path: Path) -> None:
    """
    Half a year of a bicycle bridge is released, then three hours of June are corrected.

    Verifying names these hours and the days and averages made of them; as of before and as of now give both tables to
    the digit, and pandas makes both averages out of the files.
    """
    zone = ZoneInfo("America/Los_Angeles")
    migrate(store, str(zone))
    first, last = (datetime(2016, month, 1, tzinfo=zone).astimezone(UTC) for month in (1, 7))
    lanes = [
        (f"lane{lane}/any", [(at + 8 * HOUR, count) for at, count in hours if first <= at + 8 * HOUR < last])
        for lane, (_, hours) in enumerate(fremont(shared_data))
    ]
    stored(store, "stadspuls/bridge", "bicycle_count", lanes)
    path = tmp_path / "question.toml"
    path.write_text(QUESTION.replace("vehicle_count", "bicycle_count"), "utf-8")
    reporting, half = Reporting(str(zone), country="US"), (date(2016, 1, 1), date(2016, 7, 1))
    question = Question("bicycle_count", first, last, "1h", sensor="stadspuls/bridge")
    before = ask(store, question)
    made = make(store, tmp_path, "half-year", read_toml(path, Inquiry), half, reporting, "0.1.0")

    wrong = [datetime(2016, 6, 14, hour, tzinfo=UTC) for hour in (15, 16, 17)]
    corrected = [Reading("stadspuls/bridge", "lane0/any", "bicycle_count", 3600, at, 1.0, version=1) for at in wrong]
    Pipeline(store).store(Batch(columns(corrected, [last] * 3)))
    roll_up(store, last)
    found = changes(store, tmp_path, made, reporting)
    assert found[found["table"] == "hours"]["start"].tolist() == wrong
    assert found[found["table"] == "werkdag"]["start"].dt.month.tolist() == [6]
    named = found[found["table"] == "1h"]
    assert (named["start"].tolist(), set(named["reason"])) == (wrong, {"correction"})
    after = ask(store, question)
    with known_at(store, datetime.fromisoformat(made["as_of"])):
        then = ask(store, question)
    same(then, before)
    same(pd.read_parquet(tmp_path / "half-year/hours.parquet"), before)
    assert after[after["start"].isin(wrong)]["value"].tolist() != before[before["start"].isin(wrong)]["value"].tolist()
    same(after[~after["start"].isin(wrong)], before[~before["start"].isin(wrong)])


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Compare figures to the digit."""
    figures: list[Any] = ["start", "value", "minimum", "maximum", "readings", "coverage", "valid"]
    pd.testing.assert_frame_equal(
        one[figures].reset_index(drop=True), other[figures].reset_index(drop=True), check_exact=True
    )
