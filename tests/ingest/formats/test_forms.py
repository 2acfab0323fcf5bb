"""Forms of stamps, numbers and documents that suppliers are known to use, and the reading that each must give."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest.files.recordings import messages
from ingest.formats.decode import FORMATS
from ingest.formats.mapping_reader import MappedFormat
from ingest.formats.mapping_schema import load
from ingest.formats.parts import UNREAD, unread
from ingest.formats.pointers import step
from ingest.formats.registry import SHIPPED
from ingest.vocabulary.readings import BadPayload, Flag, Message, Reading, Status, Unreadable

NOW = datetime(2026, 8, 1, tzinfo=UTC)
EIGHT = datetime(2026, 5, 4, 8, tzinfo=UTC)
FAILED = Flag.SOURCE_ERROR.value


def read(folder: Path, text: str, payload: Any, topic: str = "stadspuls/fiware/x") -> list[Any]:
    """Read a payload, or a document, by a mapping file of a source that is known."""
    (folder / "fiware.toml").write_text(text)
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return list(MappedFormat("fiware", load(folder / "fiware.toml"))(Message(topic, raw, NOW)))


def rule(keys: str = "", reading: str = "", quantity: str = "temperature") -> str:
    """Write one rule with a reading of `/v` at `/t`."""
    return f"""
[[message]]
sensor = "s"
stamp = "/t"
{keys}
reading = [{{ value = "/v", quantity = "{quantity}"{reading} }}]
"""


@pytest.mark.parametrize(
    ("keys", "stamp", "right"),
    [
        ("", "20260504T080000Z", EIGHT),
        ("", "2026-05-04T10:00:00+0200", EIGHT),
        ("", "2026-05-04T10:00:00+02", EIGHT),
        ("", "2026-05-04T08:00:00.123456789Z", EIGHT.replace(microsecond=123456)),
        ("", "2026-05-04 10:00:00 +02:00", EIGHT),
        ("", "2026-05-04 08:00:00 UTC", EIGHT),
        ("", "2026-05-04 10:00 CEST", EIGHT),
        ('zone = "Europe/Amsterdam"', "2026-05-04 10:00", EIGHT),
        ('zone = "Etc/GMT-1"', "2026-05-04T24:00", EIGHT.replace(hour=23)),
        ('written = "%d/%m/%Y %H:%M %Z"', "04/05/2026 10:00 CEST", EIGHT),
        ('written = ["%d-%m-%Y %H:%M:%S", "%d-%m-%Y %H:%M"]\nzone = "UTC"', "04-05-2026 08:00", EIGHT),
        ('written = "%m/%d/%Y %I:%M:%S %p"\nzone = "UTC"', "05/04/2026 08:00:00 AM", EIGHT),
        ('written = "%d-%m-%Y %H"\nzone = "UTC"', "24-05-2026 24", datetime(2026, 5, 25, tzinfo=UTC)),
        ('written = "%Y%m%d%H%M"\nzone = "UTC"', "202402242400", datetime(2024, 2, 25, tzinfo=UTC)),
        ('written = "%G-W%V-%u"\nzone = "UTC"', "2026-W19-1", datetime(2026, 5, 4, tzinfo=UTC)),
        ('epoch = "s"', "1777881600.5", EIGHT.replace(microsecond=500_000)),
        ('epoch = "ms"', 1777881600000, EIGHT),
        ('epoch = "us"', 1777881600000000, EIGHT),
        ('epoch = "ns"', "1777881600000000000", EIGHT),
        ('epoch = "excel"\nzone = "UTC"', 46146.3333333, EIGHT),
    ],
)
def test_form_of_a_stamp(tmp_path: Path, keys: str, stamp: object, right: datetime) -> None:
    """Every form is the moment that it means."""
    (one,) = read(tmp_path, rule(keys), {"t": stamp, "v": 1})
    assert one.start == right


@pytest.mark.parametrize(
    "bad", [None, "", "soon", "0000-00-00", 7, True, {}, "1970-01-01T00:00:12Z", "2026-05-04 24:30Z"]
)
def test_stamp_that_is_none_gives_way_to_the_next(tmp_path: Path, bad: object) -> None:
    """Null, empty, unreadable or of a clock that was never set: the next stamp counts; without one it is refused."""
    text = rule().replace('"/t"', '["/bad", "/t"]')
    (one,) = read(tmp_path, text, {"bad": bad, "t": "2026-05-04T08:00:00Z", "v": 1})
    assert one.start == EIGHT
    (received,) = read(tmp_path, rule('means = "received"'), {"t": bad, "v": 1})
    assert received.start == NOW


@pytest.mark.parametrize(
    ("keys", "stamp", "start", "hours"),
    [
        ('period = "day"\nmeans = "start"', "2026-03-29", datetime(2026, 3, 28, 23, tzinfo=UTC), 23),
        ('period = "day"\nmeans = "end"', "2026-10-26", datetime(2026, 10, 24, 22, tzinfo=UTC), 25),
        ('period = "week"\nmeans = "start"', "2026-05-04", datetime(2026, 5, 3, 22, tzinfo=UTC), 168),
        ('period = "month"\nmeans = "start"\nwritten = "%Y-%m"', "2026-03", datetime(2026, 2, 28, 23, tzinfo=UTC), 743),
        ('period = "month"\nmeans = "end"', "2026-05-01", datetime(2026, 3, 31, 22, tzinfo=UTC), 720),
    ],
)
def test_period_of_the_calendar(tmp_path: Path, keys: str, stamp: str, start: datetime, hours: int) -> None:
    """A day has 23 to 25 hours, and a month as many as it has."""
    (one,) = read(tmp_path, rule(keys + '\nzone = "Europe/Amsterdam"'), {"t": stamp, "v": 1})
    assert (one.start, timedelta(seconds=one.period)) == (start, timedelta(hours=hours))


@pytest.mark.parametrize(
    ("top", "keys", "quantity", "cell", "right"),
    [
        ('decimal = ","', "", "temperature", "1.024,5", 1024.5),
        ('decimal = ","', "", "bicycle_count", "1.024", 1024),
        ('decimal = "."', "", "bicycle_count", "1,024", 1024),
        ("", "", "bicycle_count", "1 024", 1024),
        ("", "", "bicycle_count", "1'024", 1024),
        ("", "", "temperature", " 12.5 ", 12.5),
        ("", "", "temperature", "\u22123.5", -3.5),
        ("", ", below = 0.5", "temperature", "<1.2", 0.6),
        ("", ', failed = ["NoData", -999]', "temperature", "nodata", None),
        ("", ', failed = ["NoData", -999]', "temperature", "-999.0", None),
        ("", ', failed_when = { "/w" = ["x", 2] }', "temperature", "7", None),
        ("", ', valid = { "/w" = [1, 2.0] }', "temperature", "7", 7),
        ("", ', valid = { "/w" = 1 }', "temperature", "", None),
        ('absent = ["-", "n/a"]', "", "temperature", "N/A", "absent"),
        ("", "", "temperature", "", "absent"),
        ("", "", "temperature", "1,5", "refused"),
        ('decimal = ","', "", "temperature", "18.5", "refused"),
        ("", "", "bicycle_count", "1.000", "refused"),
        ("", "", "bicycle_count", "1.5", "refused"),
        ("", "", "temperature", "<1.2", "refused"),
        ("", "", "temperature", "7 C", 7),
        ("", "", "temperature", "7 cows", "refused"),
        ("", "", "bicycle_count", "7 C", "refused"),
        ("", "", "temperature", "NaN", "refused"),
    ],
)
def test_form_of_a_number(tmp_path: Path, top: str, keys: str, quantity: str, cell: str, right: object) -> None:
    """A cell is its number, failed, absent, or a dead letter of its row; never another number."""
    text = f'format = "csv"\ndelimiter = ";"\n{top}\n' + rule("", keys, quantity)
    payload = f"t;v;w\r\n2026-05-04T08:00Z;{cell};2\r\n2026-05-04T09:00Z;6;2\r\n"
    found = read(tmp_path, text, payload.encode())
    values = [one.value for one in found if isinstance(one, Reading) and one.start == EIGHT]
    letters = [one for one in found if isinstance(one, Unreadable)]
    assert (values, len(letters)) == {"absent": ([], 0), "refused": ([], 1)}.get(str(right), ([right], 0))


CSV = 'format = "csv"\n' + rule('zone = "UTC"').replace('"s"', '"{/Stra\u00dfe}"')


FILES = [
    "Stra\u00dfe,t,v\r\nBr\u00fccke,2026-05-04 08:00,7\r\n".encode("utf-8-sig"),
    "Stra\u00dfe,t,v\nBr\u00fccke,2026-05-04 08:00,7\n".encode("utf-16"),
    "Stra\u00dfe,t,v\nBr\u00fccke,2026-05-04 08:00,7\n".encode("cp1252"),
    '"Stra\u00dfe","t","v"\n"Br\u00fccke","2026-05-04 08:00","7"'.encode(),
    "t of the month\n\nall, of it\nStra\u00dfe , t , v\nBr\u00fccke, 2026-05-04 08:00 , 7,,\n".encode(),
]


@pytest.mark.parametrize("payload", FILES)
def test_form_of_a_csv(tmp_path: Path, payload: bytes) -> None:
    """Marks, encodings, quotes, ends of lines, titles and blanks change nothing."""
    (one,) = read(tmp_path, CSV, payload)
    assert (one.sensor_id, one.start, one.value) == ("fiware/Br\u00fccke", EIGHT, 7)


@pytest.mark.parametrize("payload", FILES)
def test_published_file_of_that_form(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, payload: bytes) -> None:
    """Cut into messages below its titles, the file gives the same."""
    (tmp_path / "fiware.toml").write_text(CSV)
    reader = MappedFormat("fiware", load(tmp_path / "fiware.toml"))
    monkeypatch.setitem(FORMATS, "fiware", reader)
    (tmp_path / "export.csv").write_bytes(payload)
    (sent,) = messages(tmp_path / "export.csv", "fiware")
    (one,) = reader(Message(sent.topic, sent.payload, NOW))
    assert isinstance(one, Reading)
    assert (one.sensor_id, one.start, one.value) == ("fiware/Br\u00fccke", EIGHT, 7)
    assert b"of the month" not in sent.payload


def test_row_with_more_cells_than_the_header(tmp_path: Path) -> None:
    """A decimal comma between commas moves cells: that row is refused alone; a column named twice refuses the file."""
    found = read(tmp_path, 'format = "csv"\n' + rule(), b"v,w,t\n7,5,1,2026-05-04T08:00Z\n7,5,2026-05-04T08:00Z\n")
    assert [type(one) for one in found] == [Reading, Unreadable]
    with pytest.raises(BadPayload, match="column 'v' 2 times"):
        read(tmp_path, 'format = "csv"\n' + rule(), b"v,v,t\n7,5,2026-05-04T08:00Z\n")


def test_rows_that_come_as_json(tmp_path: Path) -> None:
    """`publish` sends the rows of a CSV as JSON: one that cannot be read is a dead letter of its own."""
    rows = [{"t": "2026-05-04T08:00Z", "v": "7"}, {"t": "2026-05-04T09:00Z", "v": "x"}]
    good, bad = read(tmp_path, 'format = "csv"\n' + rule(), rows)
    assert (good.value, json.loads(bad.payload)) == (7, rows[1])


def test_csv_without_the_columns(tmp_path: Path) -> None:
    """A file cut at the wrong sign has none of the columns: the error names them and the key to look at."""
    with pytest.raises(BadPayload, match="a header without t, v, expected these columns: see delimiter"):
        read(tmp_path, 'format = "csv"\n' + rule(), b"t;v\n2026-05-04T08:00Z;7\n")


def test_stamp_in_two_columns_that_is_missing(tmp_path: Path) -> None:
    """The error names both."""
    text = rule().replace('stamp = "/t"', 'stamp_text = "{/t} {/u}"')
    with pytest.raises(BadPayload, match=r"no stamp in the message, expected one at \{/t\} \{/u\}"):
        read(tmp_path, text, {"t": "2026-05-04", "v": 7})


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (b'\xef\xbb\xbf{"t": "2026-05-04T08:00Z", "v": 7}\0', 7),
        ('{"t": "2026-05-04T08:00Z", "v": 7}'.encode("utf-16-le"), 7),
        (b'{"t": "2026-05-04T08:00Z", "v": nan}', None),
        (b'{"t": "2026-05-04T08:00Z", "v": -Infinity, "name": "nan, inf"}', None),
        (b'{"t": "2026-05-04T08:00Z", "v": 7, "v": 7}', 7),
        (b'{"t": "2026-05-04T08:00Z", "v": 7, "w": 1e999, "x": ' + b"9" * 5000 + b"}", 7),
        ('{"t": "2026-05-04T08:00Z", "v": 7, "unit": "\u00b0C"}'.encode("latin-1"), 7),
    ],
)
def test_form_of_json(tmp_path: Path, payload: bytes, value: float | None) -> None:
    """JSON as devices write it is read as far as is safe."""
    (one,) = read(tmp_path, rule(), payload)
    assert (one.value, one.flags) == (value, 0 if value else FAILED)


def test_member_given_twice(tmp_path: Path) -> None:
    """Nothing says which of two values is right: that member is refused, the others are read."""
    found = read(
        tmp_path,
        rule().replace("[{", '[{ value = "/w", quantity = "humidity" }, {'),
        b'{"t": "2026-05-04T08:00Z", "v": 7, "v": 8, "w": 50}',
    )
    assert [one.value for one in found if isinstance(one, Reading)] == [50]
    assert [one.reason for one in found if isinstance(one, Unreadable)] == ["/v is '[7, 8]', expected a number"]


ZONED = 'stamp = "/t"\nzone = "UTC"\n'
SHAPES = {
    "parent": ('each = "/list"\nsensor = "{/id}"\nstamp = "/../t"', '"/v"',
               {"t": "2026-05-04T08:00Z", "list": [{"id": "a", "v": 1}, {"id": "b", "v": 2}]}),
    "grandparent": ('each = "/*/*"\nsensor = "{/../id}"\nstamp = "/../../t"', '"/v"',
                    {"t": "2026-05-04T08:00Z", "x": {"id": "a", "m": {"v": 1}}, "y": {"id": "b", "m": {"v": 2}}}),
    "keys": ('each = "/*"\nsensor = "{*}"\nstamp = "/t"', '"/v"',
             {"a": {"t": "2026-05-04T08:00Z", "v": 1}, "b": {"t": "2026-05-04T08:00Z", "v": "2"}}),
    "columns": ('each = "/d"\ncolumns = true\nsensor = "{/n}"\nstamp = "/../t"', '"/v"',
                {"t": "2026-05-04T08:00Z", "d": {"n": ["a", "b", "c"], "v": [1, 2]}}),
    "text of JSON": ('each = "/list"\nsensor = "{/id}"\nstamp = "/o/t"', '"/o/v"', {"list": [
        {"id": name, "o": f'{{"t": "2026-05-04T08:00Z", "v": {value}}}'} for name, value in (("a", 1), ("b", 2))]}),
    "rows": ('each = "/data"\nsensor = "{/0}"\nstamp = "/2"', '"/1"',
             {"data": [["a", 1, "2026-05-04T08:00Z"], ["b", 2, "2026-05-04T08:00Z"]]}),
    "lists in lists": ('each = ""\nsensor = "{/n}"\nstamp = "/t"', '"/v"',
                       [[{"n": "a", "t": "2026-05-04T08Z", "v": 1}], [{"n": "b", "t": "2026-05-04T08Z", "v": 2}]]),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_shape_of_a_document(tmp_path: Path, shape: str) -> None:
    """Facts around a part, keys that are sensors, arrays side by side, rows without names: two sensors each."""
    keys, value, document = SHAPES[shape]
    text = f"[[message]]\n{keys}\nreading = [{{ value = {value}, quantity = 'temperature' }}]\n"
    found = read(tmp_path, text, document)
    assert [(one.sensor_id, one.start, one.value) for one in found] == [
        ("fiware/a", EIGHT, 1), ("fiware/b", EIGHT, 2)
    ]  # fmt: skip


def test_star_reads_on_after_a_broken_value(tmp_path: Path) -> None:
    """Of the chips that `*` stands for, the one that warms up is refused alone."""
    text = rule().replace('"/v"', '"/*/v"').replace('"temperature"', '"temperature", channel = "{*}"')
    chips = {"a": {"v": "Preheating"}, "b": {"v": 5}, "c": {"v": [1]}, "d": {"v": 6}}
    found = read(tmp_path, text, {"t": "2026-05-04T08:00Z", **chips})
    assert [(one.channel, one.value) for one in found if isinstance(one, Reading)] == [("b", 5), ("d", 6)]
    (letter,) = (one for one in found if isinstance(one, Unreadable))
    assert "'Preheating'" in letter.reason
    assert "'[1]'" in letter.reason


def test_bare_value_as_home_assistant_sends_it(tmp_path: Path) -> None:
    """A topic for each value, and a payload that is a number or a word."""
    text = """
[[message]]
sensor = "{topic:stadspuls/fiware/+/+}"
means = "received"
reading = [{ value = "", quantity = "temperature", failed = ["unavailable"] }]
"""
    for payload, value in ((b"23.4", 23.4), (b"unavailable", None), (b"nan", None)):
        (one,) = read(tmp_path, text, payload, "stadspuls/fiware/roof/state")
        assert (one.sensor_id, one.value) == ("fiware/roof/state", value)
    with pytest.raises(BadPayload, match="'on', expected a finite number"):
        read(tmp_path, text, b"on", "stadspuls/fiware/roof/state")


SENML = """
format = "senml"
[[message]]
has = ["/v"]
sensor = "{/bn}"
stamp = "/t"
epoch = "s"
reading = [{ value = "/v", key = "{/n}", unit_at = "/u" }]
[table]
temp = { quantity = "temperature" }
hum = { quantity = "humidity" }
"""


def test_senml_pack(tmp_path: Path) -> None:
    """Base name, time, unit and value hold until the next; a small time counts from now; a bad record costs itself."""
    pack = [
        {"bn": "d1", "bt": 1777881600, "bu": "Cel", "bv": 20, "n": "temp", "v": 0.5},
        {"n": "temp", "t": 60},
        {"n": "hum", "u": "%RH", "v": 30, "t": "soon"},
        {"n": "door", "vb": True},
        {"bn": "d2", "bt": 0, "n": "temp", "v": 1, "t": -60},
    ]
    found = read(tmp_path, SENML, pack)
    assert [(one.sensor_id, one.start, one.value) for one in found if isinstance(one, Reading)] == [
        ("fiware/d1", EIGHT, 20.5), ("fiware/d1", EIGHT + timedelta(seconds=60), 20),
        ("fiware/d2", NOW - timedelta(seconds=60), 21),
    ]  # fmt: skip
    (letter,) = (one for one in found if isinstance(one, Unreadable))
    assert letter.reason == "stamp 'soon', expected one written as ISO 8601"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (rule() + rule(), r"message\[1\] can never take a part: message\[0\] takes all"),
        (rule('when = { "/k" = 1 }\nskip = { "/k" = 1 }'), r"message\[0\] skips every part"),
        (rule('when = { "/k" = [] }'), "no value for /k"),
        (rule().replace('"s"', '"{topic:other/+}"'), "can never match, expected a shape of stadspuls/fiware/#"),
        ('format = "csv"\n' + rule().replace('"/v"', '"/NO2/hour"'), "expected '/column', a slash in it as ~1"),
        (rule().replace('"/t"', '"/../t"'), "'/../t' goes above the document, expected at most 0 times"),
        (rule('period = "day"'), "without a zone"),
        (rule("period = -60"), "period -60, expected 0 or more"),
        (rule(reading=", total = true", quantity="bicycle_count"), "a running total with period 0"),
        ('encoding = "klingon"\n' + rule(), "unknown encoding: klingon"),
        ('delimiter = ""\n' + rule(), "expected one character"),
    ],
)
def test_file_that_can_never_be_right_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    """What can match nothing is refused when it is loaded, with what to write."""
    with pytest.raises(ValueError, match=reason):
        read(tmp_path, text, {})


@pytest.mark.parametrize(
    ("verification", "status"),
    [(1, Status.VALIDATED), ("1", Status.VALIDATED), (2, Status.PROVISIONAL), (None, Status.PROVISIONAL)],
)
def test_verification_is_the_status(tmp_path: Path, verification: Any, status: Status) -> None:
    """What the supplier has verified is validated, as EEA's column says it, and nothing else is."""
    text = rule(reading=', validated = { "/Verification" = 1 }')
    (found,) = read(tmp_path, text, {"t": "2026-05-04T08:00Z", "v": 7.5, "Verification": verification})
    assert found.status == status


def test_unit_that_the_message_leaves_out(tmp_path: Path) -> None:
    """A gas whose unit is missing in the message is refused, and never taken as ours; what stands beside it is read."""
    text = rule(reading=', unit_at = "/u" }, { value = "/w", quantity = "pm10"', quantity="o3")
    found = read(tmp_path, text, {"t": "2026-05-04T08:00Z", "v": 0.03, "w": 7})
    assert [one.quantity for one in found if isinstance(one, Reading)] == ["pm10"]
    assert "o3 without a unit" in next(one.reason for one in found if isinstance(one, Unreadable))


def test_unit_that_the_file_leaves_out(tmp_path: Path) -> None:
    """A file that leaves the unit of a gas or speed out means the registry's, and whoever loads it can say so."""
    (tmp_path / "fiware.toml").write_text(rule('when = { "/k" = 1 }', quantity="pm10") + rule(quantity="o3"))
    assert load(tmp_path / "fiware.toml").unstated() == ["o3"]
    (tmp_path / "fiware.toml").write_text(rule(reading=', unit_at = "/u"', quantity="o3"))
    assert load(tmp_path / "fiware.toml").unstated() == []


def test_states_of_home_assistant(tmp_path: Path) -> None:
    """A bare number on an entity's topic is what [table] says of the entity; one that is not available failed."""
    table = '[table.garden_pm25]\nquantity = "pm25"\nsensor = "garden"\n'
    (tmp_path / "homeassistant.toml").write_text((SHIPPED / "homeassistant.toml").read_text() + table)
    reader = MappedFormat("homeassistant", load(tmp_path / "homeassistant.toml"))
    topic = "homeassistant/sensor/garden_pm25/state"
    found = [one for text in (b"8.5", b"unavailable") for one in reader(Message(topic, text, NOW))]
    assert [(one.sensor_id, one.value, one.flags) for one in found if isinstance(one, Reading)] == [
        ("homeassistant/garden", 8.5, 0), ("homeassistant/garden", None, Flag.SOURCE_ERROR),
    ]  # fmt: skip


def test_what_no_rule_reads_is_listed(tmp_path: Path) -> None:
    """Parts that no rule takes, and members that the rule of their part does not read, but for what it ignores."""
    text = rule('each = "/list"\nwhen = { "/k" = 1 }\nignore = ["/rssi"]').replace('"/t"', '"/../t"')
    (tmp_path / "fiware.toml").write_text(text)
    document = {"t": "2026-05-04T08:00Z", "n": 5, "list": [{"k": 1, "v": 2, "rssi": 3, "w": "4"}, {"k": 2, "v": 6}]}
    found = unread("fiware", load(tmp_path / "fiware.toml"), document, Message("stadspuls/fiware/x", b"", NOW))
    assert {"".join(map(step, one.path)): (one.reason.partition(",")[0], one.has_number) for one in found} == {
        "/n": ("no rule reads this", True), "/list/0/w": ("no rule reads this", True),
        "/list/1": ("no rule takes this part", True),
    }  # fmt: skip


def test_every_number_that_no_rule_reads_is_counted(tmp_path: Path) -> None:
    """Each time it comes: in every element of a list, in the second message as in the first, which is shorter."""
    text = rule('each = "/list"').replace('"/t"', '"/../t"')
    parts = [{"v": at, "w": [4, 5], "deep": {"x": 6, "word": "y"}} for at in range(3)]
    before = UNREAD[("fiware",)]
    for count in (1, 3):
        read(tmp_path, text, {"t": "2026-05-04T08:00Z", "n": 9, "list": [*parts[:count], {"v": 7}]})
    assert UNREAD[("fiware",)] - before == (1 + 3) + (1 + 3 * 3)  # /n, and of each part /w/0, /w/1 and /deep/x
