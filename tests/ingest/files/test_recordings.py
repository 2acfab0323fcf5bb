"""Recorded files become the messages they were: nothing lost where they are cut, topics safe, memory bounded."""

import gzip
import json
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from ingest.files.recordings import messages
from ingest.files.sections import PIECE, Recorded, topic_of
from ingest.formats.coded.luchtmeetnet import PREAMBLE
from ingest.formats.decode import decode
from ingest.vocabulary.readings import BadPayload, Message
from ingest.vocabulary.sources import source_of_topic
from tests.conftest import CASES

NOW = datetime(2026, 8, 1, tzinfo=UTC)
LATER = datetime(2100, 1, 1, tzinfo=UTC)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
WITH_READINGS = sorted(path.parent for path in CASES.glob("*/readings.json") if "-bad-" not in path.parent.name)
READING = {"sensor_id": "a", "quantity": "vehicle_count", "start": "2026-05-04T08:00:00Z", "period": 60, "value": 1}


def put(folder: Path, name: str, text: str | bytes) -> Path:
    """Write a recorded file."""
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def rows(recorded: list[Recorded]) -> int:
    """Count the readings of all messages, of which none may be refused."""
    batch = decode([Message(one.topic, one.payload, NOW) for one in recorded])
    assert batch.dead_letters == ()
    return len(batch)


@pytest.mark.parametrize("site_id", ["a/b", "a#", "+", "a?version=1", "50%", "a\x00b", "ü b"])
def test_topic_is_safe(site_id: str) -> None:
    """Whatever an id holds, its topic is one level of its source, without wildcards and without overrides."""
    topic = topic_of("ndw", site_id)
    assert not set(topic) & set("#+?\x00")
    assert topic.count("/") == 2
    assert source_of_topic(topic) == "ndw"


def test_ndw_publication_becomes_sites(tmp_path: Path) -> None:
    """A publication is cut into standalone documents, which decode to the same readings, stamped with their minute."""
    payload = (CASES / "ndw-publication" / "payload").read_bytes()
    path = put(tmp_path, "minute.xml.gz", gzip.compress(payload))
    recorded = list(messages(path, "ndw"))
    assert [one.topic for one in recorded] == ["stadspuls/ndw/RWS01_TEST_3", "stadspuls/ndw/PGR08_TEST_1"]
    assert [one.when for one in messages(path, "ndw", in_time=True)] == [
        datetime(2026, 5, 4, 7, 59, tzinfo=UTC),
        datetime(2026, 5, 4, 8, 0, tzinfo=UTC),
    ]
    whole = decode([Message("stadspuls/ndw/all", payload, NOW)])
    parts = decode([Message(one.topic, one.payload, NOW) for one in recorded])
    assert parts.readings.to_pylist() == whole.readings.to_pylist()
    assert parts.sensors == whole.sensors


def test_ndw_of_version_3_has_its_minute(tmp_path: Path) -> None:
    """The stamp of a v3 document is found too."""
    payload = (CASES / "ndw-v3" / "payload").read_bytes()
    (one,) = messages(put(tmp_path, "v3.xml", payload), "ndw", in_time=True)
    assert one.when == datetime(2026, 5, 4, 8, tzinfo=UTC)
    assert rows([one]) == 4


@pytest.mark.parametrize("folder", WITH_READINGS, ids=lambda folder: folder.name)
def test_every_message_in_time_has_its_newest_stamp(tmp_path: Path, folder: Path) -> None:
    """Whatever the source, a message in time knows when it came, unless its readings are stamped on receipt."""
    payload = (folder / "payload").read_bytes()
    kind = {b"<": "xml", b"{": "json", b"[": "json"}.get(payload.lstrip()[:1], "csv")
    source = source_of_topic((folder / "topic").read_text().strip()) or ""
    if source == "aireas":  # its files have sections, of which a message has one
        payload = b"MEASUREMENTS\n" + payload
    recorded = list(messages(put(tmp_path, f"recorded.{kind}", payload), source, in_time=True))
    for one in recorded:
        stamps = decode([Message(one.topic, one.payload, LATER)]).readings["start"].to_pylist()
        assert one.when == max((stamp for stamp in stamps if stamp and stamp != LATER), default=None)
    assert [one.when or LONG_AGO for one in recorded] == sorted(one.when or LONG_AGO for one in recorded)


@pytest.mark.parametrize("name", ["ndw-bad-other-country", "ndw-bad-other-publication", "ndw-bad-xml-bomb"])
def test_other_documents_are_refused(tmp_path: Path, name: str) -> None:
    """What must not be decoded whole does not slip through by being cut."""
    with pytest.raises(BadPayload):
        list(messages(put(tmp_path, "x.xml", (CASES / name / "payload").read_bytes()), "ndw"))


def test_own_list_is_cut_between_starts(tmp_path: Path) -> None:
    """A long list becomes pieces of at most 256 kB, and readings of one sensor and start are never parted."""
    readings = [
        READING | {"channel": f"lane{lane}/any", "start": f"2026-05-04T{hour:02}:{minute:02}:00Z"}
        for hour in range(20)
        for minute in range(60)
        for lane in range(7)
    ]
    recorded = list(messages(put(tmp_path, "list.json", json.dumps(readings)), "stadspuls"))
    assert len(recorded) > 2
    assert max(len(one.payload) for one in recorded) <= PIECE
    assert rows(recorded) == len(readings)
    starts = [{one["start"] for one in json.loads(message.payload)} for message in recorded]
    assert not starts[0] & starts[1]
    timed = list(messages(tmp_path / "list.json", "stadspuls", in_time=True))
    assert [one.when for one in timed] == [
        datetime(2026, 5, 4, hour, minute, tzinfo=UTC) for hour in range(20) for minute in range(60)
    ]
    assert rows(timed) == len(readings)


def test_own_document_keeps_its_facts(tmp_path: Path) -> None:
    """Every piece of a document with facts repeats them."""
    document = {
        "sensor_id": "a",
        "name": "x",
        "readings": [READING | {"start": f"2026-05-04T08:{m:02}:00Z"} for m in range(60)],
    }
    (one,) = messages(put(tmp_path, "d.json", json.dumps(document)), "stadspuls")
    assert json.loads(one.payload)["name"] == "x"
    assert rows([one]) == 60


@pytest.mark.parametrize("separator", ["\n", "\n\n", " ", ""])
def test_json_documents_one_after_the_other(tmp_path: Path, separator: str) -> None:
    """JSON lines and concatenated documents are one message each."""
    text = separator.join(json.dumps(READING | {"value": n}, indent=1 if separator == " " else None) for n in range(3))
    recorded = list(messages(put(tmp_path, "many.json", text), "stadspuls"))
    assert [json.loads(one.payload)["value"] for one in recorded] == [0, 1, 2]


def test_mapped_source_one_message_a_document(tmp_path: Path) -> None:
    """A file of a mapped source is sent as it is, on a topic with the file's name."""
    payload = (CASES / "sensor_community-pull" / "payload").read_bytes()
    (one,) = messages(put(tmp_path, "pull.json", payload), "sensor_community")
    assert (one.topic, one.payload, one.when) == ("stadspuls/sensor_community/pull", payload, None)


@pytest.mark.parametrize("source", ["ndw", "luchtmeetnet", "telraam", "dexter", "aireas", "stadspuls", "ttn"])
def test_empty_file_is_refused(tmp_path: Path, source: str) -> None:
    """An empty file is a mistake, not a recording of nothing."""
    with pytest.raises(BadPayload):
        list(messages(put(tmp_path, "empty", b""), source))


def test_what_is_not_json_reaches_the_dead_letters(tmp_path: Path) -> None:
    """A mapped source's file that is not JSON is sent as it is: the dead letter has the reason."""
    (one,) = messages(put(tmp_path, "x.json", b'{"a": \xff'), "ttn")
    assert one.payload == b'{"a": \xff'


def test_topic_that_is_no_text_costs_no_other(tmp_path: Path) -> None:
    """In what `mosquitto_sub -v` wrote, such a topic names no source; the line after it is sent as it was."""
    one, other = messages(put(tmp_path, "said.txt", b"a\xff/b {}\ntele/x/SENSOR {}\n"), "tasmota")
    assert (source_of_topic(one.topic), other.topic) == (None, "tele/x/SENSOR")


def test_hour_of_empty_cells_in_time(tmp_path: Path) -> None:
    """A row of Luchtmeetnet without a value has no reading, and stops no file that is sent in time."""
    lines = (CASES / "luchtmeetnet-csv-month" / "payload").read_text("latin-1").splitlines()
    row = lines[PREAMBLE].split(";")
    text = "\n".join([*lines, ";".join([*row[:5], *[""] * len(row[5:])])])
    path = put(tmp_path, "month.csv", text.encode("latin-1"))
    assert rows(list(messages(path, "luchtmeetnet", in_time=True))) == rows(list(messages(path, "luchtmeetnet")))


@pytest.mark.parametrize("in_time", [False, True])
def test_csv_rows_with_their_header(tmp_path: Path, in_time: bool) -> None:
    """A CSV of a mapped source is cut between rows, never inside a quoted cell; in time it comes hour by hour."""
    lines = [f'S{n % 3},pm25,{n},{1777881600 + 3600 * (n // 3)},"53.2\n","6.5"' for n in range(6_000)]
    text = "station,parameter,value,timestamp,note,other\r\n" + "\r\n".join(reversed(lines)) + "\r\n"
    recorded = list(messages(put(tmp_path, "many.csv", text), "samenmeten", in_time=in_time))
    assert rows(recorded) == 6_000
    assert max(len(one.payload) for one in recorded) <= PIECE
    if in_time:
        assert [one.when for one in recorded] == sorted({one.when for one in recorded if one.when})
        assert len(recorded) == 2_000


@pytest.mark.parametrize("name", ["dexter.csv", "dexter.txt"])
def test_lanes_of_an_hour_are_not_parted(tmp_path: Path, name: str) -> None:
    """Dexter's rows of one site and hour travel together, however the file is cut and called."""
    head, *rows_ = (CASES / "dexter-hour" / "payload").read_text().splitlines(keepends=True)[:4]
    hours = [row.replace("2026-05-04 08", day).replace("2026-05-04", day[:10])
             for n in range(900) for row in rows_ for day in [f"20{10 + n // 300}-01-{1 + n % 28:02} 08"]]  # fmt: skip
    recorded = list(messages(put(tmp_path, name, head + "".join(hours)), "dexter"))
    assert len(recorded) > 1
    assert all(len(json.loads(message.payload)) % 3 == 0 for message in recorded)
    assert rows(recorded) == 900 * 3 * 2


@pytest.mark.shared
@pytest.mark.parametrize("year", [2019, 2021, 2022, 2024])
def test_history_of_dexter(shared_data: Path, year: int) -> None:
    """A real week of eight loops: the vehicles counted equal pandas' own sum; excluded rows failed, at no cost."""
    path = shared_data / f"ndw/dexter_A10_hourly_week_{year}.csv.gz"
    table = pd.read_csv(path)
    batch = decode([Message(one.topic, one.payload, NOW) for one in messages(path, "dexter")])
    assert batch.dead_letters == ()
    counts = batch.readings.to_pandas().query("quantity == 'vehicle_count'")
    counted = (table.gem_intensiteit * table.gebruikte_minuten_intensiteit / 60).sum()
    assert counts.value.sum() == pytest.approx(counted)
    assert len(counts) == len(table)
    assert counts.value.isna().sum() == table.gem_intensiteit.isna().sum() == (664 if year == 2022 else 0)
    assert {fact.lanes for fact in batch.sensors} <= {3, 4, 5}


@pytest.mark.shared
def test_day_of_aireas(shared_data: Path) -> None:
    """A real day of 34 airboxes: every measurement, zeros as failed, and the 39 places of the other section."""
    path = shared_data / "air/aireas_eindhoven_10min_2018-03-06.csv.gz"
    recorded = list(messages(path, "aireas"))
    assert rows(recorded) == 4_819 * 10
    batch = decode([Message(one.topic, one.payload, NOW) for one in recorded])
    assert batch.readings.to_pandas().query("quantity == 'pm10'").value.isna().sum() == 197
    assert len({fact.sensor_id for fact in batch.sensors if fact.lon is not None}) == 39


@pytest.mark.shared
def test_citizens_week_of_samen_meten(shared_data: Path) -> None:
    """A real week of seven citizens' stations: every value that is one, calibrated beside plain."""
    path = shared_data / "air/samenmeten_zeeland_2022-02.csv.gz"
    recorded = list(messages(path, "samenmeten"))
    assert rows(recorded) == pd.read_csv(path).value.notna().sum()


@pytest.mark.shared
def test_year_of_air_is_cut_in_pieces(shared_data: Path) -> None:
    """A real year file becomes pieces with its ten first lines, Latin-1 kept, and no reading is lost."""
    path = shared_data / "air/luchtmeetnet/2019_BC.csv.gz"
    recorded = list(messages(path, "luchtmeetnet"))
    assert max(len(one.payload) for one in recorded) <= PIECE
    head = recorded[0].payload.split(b"\n")[:PREAMBLE]
    assert all(one.payload.split(b"\n")[:PREAMBLE] == head for one in recorded)
    assert "µg/m³".encode("latin-1") in recorded[-1].payload
    assert rows(recorded) == 284_328


@pytest.mark.shared
def test_month_of_telraam_is_cut_in_pieces(shared_data: Path) -> None:
    """A real month of 744 reports is sent in pieces with all of its reports."""
    recorded = list(messages(shared_data / "telraam/karlsruhe_9000008322_2025-12.json.gz", "telraam"))
    assert max(len(one.payload) for one in recorded) <= PIECE
    assert rows(recorded) == 744 * 9


@pytest.mark.shared
def test_recorded_observations_one_a_line(shared_data: Path) -> None:
    """3,745 Observations, one a line, and 65 concatenated documents are as many messages."""
    folder = shared_data / "payloads/sensorthings"
    assert len(list(messages(folder / "observations1.json.gz", "sensorthings"))) == 3_745
    assert len(list(messages(folder / "sens-ams-1.json", "sensorthings"))) == 65


@pytest.mark.slow
@pytest.mark.shared
def test_national_minute_in_bounded_memory(shared_data: Path) -> None:
    """A national minute of 51 MB is cut into 19,587 messages without holding it."""
    tracemalloc.start()
    try:
        assert sum(1 for _ in messages(shared_data / "ndw/trafficspeed_20250815T2149Z.xml.gz", "ndw")) == 19_587
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_own_json_with_a_value_that_is_no_number(tmp_path: Path) -> None:
    """A file with NaN in it is sent as it is, and costs that value alone."""
    (tmp_path / "own.json").write_text(
        '{"sensor_id": "s", "readings": [{"quantity": "pm25", "start": "2026-03-02T08:00:00Z", "value": NaN},'
        ' {"quantity": "pm10", "start": "2026-03-02T08:00:00Z", "value": 12}]}'
    )
    (sent,) = messages(tmp_path / "own.json", "stadspuls")
    batch = decode([Message(sent.topic, sent.payload, datetime(2026, 8, 1, tzinfo=UTC))])
    assert (batch.readings["value"].to_pylist(), len(batch.dead_letters)) == ([12], 1)
