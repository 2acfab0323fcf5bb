"""What a stranger writes costs time and room by its length: each of these took hours, or gigabytes."""

import json

import pytest

from ingest.formats.coded.luchtmeetnet import PREAMBLE
from ingest.formats.decode import decode
from ingest.formats.documents import table_rows
from ingest.formats.registry import load_formats
from ingest.vocabulary.batch import Batch
from ingest.vocabulary.readings import BadPayload, Message
from tests.ingest.formats.test_decode import NOW, READING

LONG, MANY = 50_000, 5_000
OWN = {name: value for name, value in READING.items() if name != "sensor_id"}
HEAD = ["Export;EXP-1 (2024-08-26T10:53:41+01:00)", "Periode;20240101 00:00 - 20240201 00:00", *["-"] * (PREAMBLE - 3)]
NAMES = "station,parameter,value,timestamp," + "x" * LONG
LONG_HEAD = [*HEAD[:-1], "x" * LONG, "Component;;;;;NL1"]
HOUR = "NO2;;µg/m³;20240101 00:00;20240101 01:00;"
ROW = {"station": "a", "parameter": "pm25", "value": 1, "timestamp": 1777881600}


def decoded(topic: str, payload: str | object) -> Batch:
    """Decode one message."""
    load_formats()
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return decode([Message(topic, text.encode("latin-1"), NOW)])


@pytest.mark.parametrize("text", ["1" + " " * 1_000_000 + "1", "1" + "\u00a0" * 1_000_000 + "m", "<" * 1_000_000])
def test_long_number_is_refused(text: str) -> None:
    """Where a unit begins in a text is found in one pass."""
    (letter,) = decoded("tele/x/SENSOR", {"Time": "2026-05-04T08:00:00", "A": {"Temperature": text}}).dead_letters
    assert "expected a finite number" in letter.reason


def test_long_stamp_is_refused() -> None:
    """Each 24 in a stamp may be midnight: there are not many in one."""
    (letter,) = decoded("tele/x/SENSOR", {"Time": "2400" * 250_000, "A": {"Temperature": 1}}).dead_letters
    assert letter.reason.startswith("stamp '24002400")


def test_many_columns_of_a_file_are_read() -> None:
    """A station's second column is its second instrument, of however many."""
    columns = [f"NL{at}" for at in range(100_000)]
    lines = [*HEAD, "Component;;;;;" + ";".join([*columns, "NL7"]), HOUR + ";" * len(columns) + "5"]
    (reading,) = decoded("stadspuls/luchtmeetnet/x", "\n".join(lines)).readings.to_pylist()
    assert (reading["sensor_id"], reading["channel"], reading["value"]) == ("luchtmeetnet/NL7", "2", 5)


CHIPS = {str(at): {"Temperature": 1} for at in range(MANY)}
MESSAGES = {
    "own JSON": ("stadspuls/stadspuls/x", {"sensor_id": "s" * LONG, "readings": [READING, *[1] * MANY]}),
    "own JSON of a long name": ("stadspuls/stadspuls/x", {"sensor_id": "s" * LONG, "readings": [OWN] * MANY}),
    "own JSON beyond a column": ("stadspuls/stadspuls/x", [READING | {"period": 2**40 + at} for at in range(MANY)]),
    "rows that are none": ("stadspuls/samenmeten/x", [ROW, *range(MANY)]),
    "long names of columns": ("stadspuls/samenmeten/x", "\n".join([NAMES, "a,pm25,1,1777881600", *["a,b,,,c"] * MANY])),
    "a long name in a topic": (f"tele/{'s' * LONG}/SENSOR", {"Time": "2026-05-04T08:00:00", **CHIPS}),
    "a long header": ("stadspuls/luchtmeetnet/x", "\n".join([*LONG_HEAD, HOUR + "5", *["NO2"] * MANY])),
}  # fmt: skip


@pytest.mark.parametrize("name", MESSAGES)
def test_parts_that_repeat_what_is_common_do_not_fill_the_memory(name: str) -> None:
    """What cannot be read is kept part by part, each with what it needs to be published again, or whole, once."""
    topic, payload = MESSAGES[name]
    batch = decoded(topic, payload)
    size = len(payload if isinstance(payload, str) else json.dumps(payload))
    assert batch.dead_letters
    assert sum(len(letter.payload) for letter in batch.dead_letters) <= 64 * size


def test_good_reading_beside_one_beyond_a_column_is_stored() -> None:
    """The message is kept whole, once, whatever else of it is a dead letter."""
    batch = decoded("stadspuls/stadspuls/x", [READING, 1, READING | {"period": 2**40}, READING | {"period": 2**41}])
    assert len(batch) == 1
    assert [b'"period"' in letter.payload for letter in batch.dead_letters] == [False, True]


def test_table_that_repeats_its_members_is_refused() -> None:
    """Of a table of columns every row has what is no column."""
    document = {str(at): 0 for at in range(10_000)} | {"time": [0] * 10_000}
    with pytest.raises(BadPayload, match="10000 rows with 10000 members"):
        next(table_rows(document))
