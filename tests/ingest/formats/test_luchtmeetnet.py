"""Luchtmeetnet: both roads give the same series, the files' numbers come through unchanged, and doubt is refused."""

import csv
import gzip
import io
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.formats.coded.luchtmeetnet import PREAMBLE, luchtmeetnet
from ingest.formats.decode import decode
from ingest.vocabulary.batch import Table
from ingest.vocabulary.readings import BadPayload, Identity, Message, Reading, SensorFact, Status, Unreadable

NOW = datetime(2026, 8, 1, tzinfo=UTC)
START = datetime(2024, 6, 1, tzinfo=UTC)  # of the first hour, as the file writes it: in UTC it is an hour less
MONTH = ["BC", "NO", "NO2", "NOx", "O3", "PM10", "PM25", "SO2"]


def read(payload: bytes, topic: str = "stadspuls/luchtmeetnet/x") -> list[Reading | SensorFact]:
    """Decode one message, a table as the single readings that it holds."""
    found: list[Reading | SensorFact] = []
    for item in luchtmeetnet(Message(topic, payload, NOW)):
        assert not isinstance(item, Unreadable | Identity)
        found += single(item) if isinstance(item, Table) else [item]
    return found


def single(table: Table) -> list[Reading]:
    """Give each reading of a table, which covers its period as where none is given."""
    rows = table.filled(NOW).to_pylist()
    assert all(row.pop("covers") == row["period"] and row.pop("received_at") == NOW for row in rows)
    return [Reading(**row) for row in rows]


def test_stamp_of_the_api_is_the_end_of_the_hour() -> None:
    """A figure stamped 18:00 covers 17:00 to 18:00."""
    (one,) = read(
        b'{"station_number":"NL1","formula":"NO2","value":4,"timestamp_measured":"2026-05-04T18:00:00+00:00"}'
    )
    assert isinstance(one, Reading)
    assert (one.start, one.period) == (datetime(2026, 5, 4, 17, tzinfo=UTC), 3600)


def test_stamp_of_the_api_needs_a_zone() -> None:
    """An hour without a zone could be two: it is refused."""
    with pytest.raises(BadPayload, match="without a zone"):
        read(b'{"station_number":"NL1","formula":"NO2","value":4,"timestamp_measured":"2026-05-04T18:00:00"}')


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b"Exports", b'{"data":[{"formula":"NO2"}]}', b"\xff"])
def test_other_payloads_are_refused(payload: bytes) -> None:
    """What is neither an answer nor a file of Luchtmeetnet is refused."""
    with pytest.raises(BadPayload, match=r"not JSON|known shape|no /value"):
        read(payload)


def test_truncated_file_is_refused() -> None:
    """Without its header a piece does not name the station of a column."""
    with pytest.raises(BadPayload, match="without its header"):
        read(b"Export;EXP-1 (2024-08-26T10:53:41+01:00)\nPeriode;x\n")


def test_period_that_begins_on_a_leap_day_is_read() -> None:
    """It is no whole year, and the day after a year has no 29 February."""
    payload = file_of([[1.0, 2.0, 3.0]]).replace(
        b"2024-06-01T00:00+01:00 - 2024-07-01", b"2024-02-29T00:00+01:00 - 2024-03-01"
    )
    assert [one.status for one in read(payload) if isinstance(one, Reading)] == [Status.PROVISIONAL] * 3


CELLS = st.none() | st.floats(-20, 900).map(lambda value: round(value, 3))


def file_of(hours: list[list[float | None]]) -> bytes:
    """Write a file of three columns, the second station twice; an empty cell for None."""
    lines = ["Export;EXP-1 (2024-08-26T10:53:41+01:00)", "Periode;2024-06-01T00:00+01:00 - 2024-07-01T00:00+01:00"]
    lines += [";"] * (PREAMBLE - 3) + ["Component;;;;;NL1;NL2;NL2"]
    for at, cells in enumerate(hours):
        span = [f"{START + timedelta(hours=at + end):%Y-%m-%dT%H:%M:%S+01:00}" for end in (0, 1)]
        lines.append(";".join(["NO2", "", "µg/m³", *span, *("" if one is None else str(one) for one in cells)]))
    return "\n".join(lines).encode("latin-1")


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=5))
def test_every_cell_is_its_reading(hours: list[list[float | None]]) -> None:
    """Each cell that is not empty is one reading of its column and hour, with the options of the topic."""
    columns = [("luchtmeetnet/NL1", ""), ("luchtmeetnet/NL2", ""), ("luchtmeetnet/NL2", "2")]
    expected = [
        (*column, START + timedelta(hours=at - 1), cell)
        for at, cells in enumerate(hours)
        for column, cell in zip(columns, cells, strict=True)
        if cell is not None
    ]
    answer = b'{"station_number":"NL3","formula":"O3","value":4,"timestamp_measured":"2024-06-01T18:00:00+00:00"}'
    topic = "stadspuls/luchtmeetnet/x?status=validated&version=2024-07-01T00:00:00Z"
    batch = decode([Message(topic, file_of(hours), NOW), Message(topic, answer, NOW)])
    other, *found = batch.readings.to_pylist()  # single readings first
    assert [(one["sensor_id"], one["channel"], one["start"], one["value"]) for one in found] == expected
    assert (other["sensor_id"], other["quantity"]) == ("luchtmeetnet/NL3", "o3")
    assert {one["status"] for one in (*found, other)} == {Status.VALIDATED}
    assert {one["version"] for one in (*found, other)} == {1719792000000000}


@pytest.mark.parametrize(("cell", "reason"), [("1,5", "value '1,5'"), ("nan", "value 'nan'"), ("1_0", "value '1_0'")])
def test_cell_that_is_no_number_is_refused(cell: str, reason: str) -> None:
    """The error names what is found, its row is a dead letter, and the other cells are read."""
    batch = decode(
        [Message("stadspuls/luchtmeetnet/x", file_of([[1.0, 2.0, 3.25]]).replace(b"3.25", cell.encode()), NOW)]
    )
    assert batch.readings["value"].to_pylist() == [1, 2]
    (letter,) = batch.dead_letters
    assert reason in letter.reason
    assert len(letter.payload.splitlines()) == PREAMBLE + 1


@pytest.mark.shared
@pytest.mark.parametrize("component", MONTH)
def test_month_of_real_files_comes_through_unchanged(shared_data: Path, component: str) -> None:
    """Every number of June 2024 is one provisional reading of the file's hour and station; nothing is added."""
    raw = gzip.decompress((shared_data / f"air/luchtmeetnet/2024_06_{component}.csv.gz").read_bytes())
    rows = list(csv.reader(io.StringIO(raw.decode("latin-1")), delimiter=";"))
    expected = Counter(
        (f"luchtmeetnet/{station}", datetime.fromisoformat(row[3]), float(cell))
        for row in rows[PREAMBLE:]
        for station, cell in zip(rows[PREAMBLE - 1][5:], row[5:], strict=True)
        if cell
    )
    found = [one for one in read(raw) if isinstance(one, Reading)]
    assert Counter((one.sensor_id, one.start, one.value) for one in found) == expected
    assert {one.status for one in found} == {Status.PROVISIONAL}
    assert {one.quantity for one in found} == {component.lower()}


@pytest.mark.shared
def test_year_file_is_validated_and_has_its_version(shared_data: Path) -> None:
    """A file of a whole calendar year is validated, and newer than one exported before it."""
    raw = gzip.decompress((shared_data / "air/luchtmeetnet/2022_NO.csv.gz").read_bytes())
    lines = raw.split(b"\n")[: PREAMBLE + 2]
    found = read(b"\n".join(lines))
    readings = [one for one in found if isinstance(one, Reading)]
    assert {one.status for one in readings} == {Status.VALIDATED}
    assert {one.version for one in readings} == {1688579280000000}  # 5 July 2023 18:48 CET
    assert min(one.start for one in readings) == datetime(2021, 12, 31, 23, tzinfo=UTC)
    assert {one.channel for one in readings} == {"", "2"}
    assert len({(one.sensor_id, one.channel, one.start) for one in readings}) == len(readings)
    assert SensorFact("luchtmeetnet/NL10107", "Posterholt-Vlodropperweg", 6.042399, 51.119194) in found


@pytest.mark.shared
def test_api_and_file_give_one_series(shared_data: Path) -> None:
    """The same hour of the same station by both roads is the same reading, but for status and version."""
    raw = gzip.decompress((shared_data / "air/luchtmeetnet/2024_06_NO2.csv.gz").read_bytes())
    by_file = next(one for one in read(raw) if isinstance(one, Reading) and one.sensor_id == "luchtmeetnet/NL10938")
    end = (by_file.start + timedelta(hours=1)).isoformat()
    one = {"station_number": "NL10938", "formula": "NO2", "value": by_file.value, "timestamp_measured": end}
    assert read(json.dumps({"data": [one]}).encode()) == [by_file._replace(version=0)]


@pytest.mark.shared
def test_recorded_answers_of_the_api(shared_data: Path) -> None:
    """Recorded answers with invented components, and LKI answers, are dead letters that name what was found."""
    folder = shared_data / "payloads/luchtmeetnet_api"
    names = ("get_measurements", "get_lki", "get_stations")
    letters = decode(
        [Message("stadspuls/luchtmeetnet/x", (folder / f"{name}.json").read_bytes(), NOW) for name in names]
    ).dead_letters
    for letter, word in zip(letters, ("'H2O'", "'LKI'", "/formula"), strict=True):
        assert word in letter.reason
