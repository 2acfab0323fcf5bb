"""Mapping files: what they can hold, what they may not, a user's own, and recorded payloads of devices and services."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from ingest.files.recordings import messages
from ingest.formats import decode as decoding
from ingest.formats import documents, registry
from ingest.formats.decode import decode
from ingest.formats.mapping_reader import MappedFormat
from ingest.formats.mapping_schema import MappingFile, MessageRule, ReadingRule, load
from ingest.formats.parts import _leaves, parts
from ingest.formats.pointers import Pointer, Pointers, Template, Where
from ingest.formats.registry import SHIPPED, load_formats
from ingest.vocabulary import sources
from ingest.vocabulary.readings import BadPayload, Message, Reading, SensorFact
from ingest.vocabulary.sources import SOURCES, SourceClass, source_of_topic
from tests.conftest import CASES, ROOT

NOW = datetime(2026, 5, 4, 9, tzinfo=UTC)
SMALL = """
[[message]]
sensor = "{/id}"
stamp = "/at"
reading = [{ value = "/t", quantity = "temperature" }]
"""
SOURCE = """
[source]
title = "A test"
stamp = "instant"
class = "citizen"
licence = "none"
"""


@pytest.fixture
def registries() -> Iterator[None]:
    """What a test registers is forgotten after it."""
    held: list[dict[str, Any]] = [decoding.FORMATS, registry._loaded, sources._sources]
    before = [dict(one) for one in held]
    yield
    for one, was in zip(held, before, strict=True):
        one.clear()
        one.update(was)


def made(folder: Path, text: str, name: str = "fiware.toml") -> MappingFile:
    """Load a mapping file; `fiware` is a source that is known."""
    (folder / name).write_text(text)
    return load(folder / name)


def read(spec: MappingFile, payload: Any, topic: str = "stadspuls/fiware/x", source: str = "fiware") -> list[Any]:
    """Decode a document or text with a mapping."""
    raw = payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()
    return list(MappedFormat(source, spec)(Message(topic, raw, NOW)))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("[[message]]", "[[massage]]"), "massage"),
        (
            ('quantity = "temperature"', 'quantity = "warmth"'),
            r"quantity 'warmth' .* at `\$.message\[0\].reading\[0\]`",
        ),
        (('quantity = "temperature"', 'quantity = "temperature", unit = "ppb"'), "unit 'ppb' of temperature"),
        (('quantity = "temperature"', 'channel = "a"'), "expected a quantity or a key"),
        (('value = "/t"', 'value = "t"'), "pointer 't'"),
        (('stamp = "/at"', 'stamp = "at"'), "pointer 'at'"),
        (('sensor = "{/id}"', 'sensor = "{id}"'), "pointer 'id'"),
        (('sensor = "{/id}"', 'sensor = "{topic:a/b}"'), "expected a topic with a level"),
        (('sensor = "{/id}"', ""), "missing required field `sensor`"),
        (('stamp = "/at"', 'zone = "Mars/Olympus"'), "zone"),
        (('stamp = "/at"', 'means = "sometimes"'), "means"),
        (('stamp = "/at"', "stamp = "), "line"),
        (("[[message]]", 'format = "xml"\n[[message]]'), r"'xml' - at `\$.format`"),
    ],
)
def test_bad_file_is_refused_at_load(tmp_path: Path, change: tuple[str, str], reason: str) -> None:
    """A file that cannot work is refused when it is loaded, with its name, the key and the reason."""
    with pytest.raises(ValueError, match=reason) as refused:
        made(tmp_path, SMALL.replace(*change))
    assert "fiware.toml" in str(refused.value)


def test_version_beside_the_last_received_is_refused(tmp_path: Path) -> None:
    """A better value of the same measurement would lose against any that is received: one of the two rules is meant."""
    text = SMALL + '[table.raw]\nquantity = "temperature"\nversion = 1\n'
    assert made(tmp_path, text).table["raw"].version == 1
    with pytest.raises(ValueError, match=r"telraam.toml: a version in \[table\] beside repeated 'last'"):
        made(tmp_path, text, "telraam.toml")


def test_unknown_source_needs_a_source_table(tmp_path: Path) -> None:
    """A file is named after its source; a new one must describe it."""
    with pytest.raises(ValueError, match=r"newcomer.toml: source 'newcomer' is not known"):
        made(tmp_path, SMALL, "newcomer.toml")


def test_own_file_registers_its_source(registries: None, tmp_path: Path) -> None:
    """A user's file brings its own source along, with topics and payloads; loading it again is harmless."""
    (tmp_path / "gardens.toml").write_text(SMALL + SOURCE + 'topic = "gardens/+/air"\ninterval = 60\n')
    load_formats([tmp_path])
    load_formats([tmp_path])
    assert SOURCES["gardens"].source_class is SourceClass.CITIZEN
    assert source_of_topic("gardens/7/air") == "gardens"
    batch = decode([Message("gardens/7/air", b'{"id":"a","at":"2026-05-04T08:00:00Z","t":"12.5"}', NOW)])
    (row,) = batch.readings.to_pylist()
    assert (row["sensor_id"], row["value"], row["covers"]) == ("gardens/a", 12.5, 60)


def test_format_twice_is_an_error(tmp_path: Path) -> None:
    """A user's file cannot silently take the place of a format with code, nor can two files share a name."""
    (tmp_path / "ndw.toml").write_text(SMALL)
    with pytest.raises(ValueError, match="'ndw' has a payload format already"):
        load_formats([tmp_path])
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "fiware.toml").write_text(SMALL)
    with pytest.raises(ValueError, match="a second file for source 'fiware'"):
        load_formats([tmp_path / "one", tmp_path / "two"])


@pytest.mark.parametrize(
    ("means", "start"),
    [("start", "2026-05-04T08:00:00+00:00"), ("end", "2026-05-04T07:00:00+00:00")],
)
def test_what_a_stamp_means(tmp_path: Path, means: str, start: str) -> None:
    """A period that is stamped at its end begins its length before."""
    spec = made(tmp_path, SMALL.replace('stamp = "/at"', f'stamp = "/at"\nmeans = "{means}"\nperiod = 3600'))
    (one,) = read(spec, {"id": "a", "at": "2026-05-04T08:00:00Z", "t": 1})
    assert (one.start.isoformat(), one.period) == (start, 3600)


def test_stamp_on_receipt(tmp_path: Path) -> None:
    """A source without a clock is stamped when its message came in; an interval in the stamp gives the period."""
    spec = made(tmp_path, SMALL.replace('stamp = "/at"', 'stamp = "/at"\nmeans = "received"'))
    assert read(spec, {"id": "a", "t": 1})[0].start == NOW
    (one,) = read(spec, {"id": "a", "t": 1, "at": "2026-05-04T08:00:00Z/2026-05-04T08:05:00Z"})
    assert (one.start.minute, one.period) == (0, 300)


@pytest.mark.parametrize(("epoch", "at"), [("s", 1777881600), ("ms", 1777881600000)])
def test_stamp_that_is_a_number(tmp_path: Path, epoch: str, at: int) -> None:
    """Seconds or milliseconds since 1970 are read where the file names the unit; a factor scales a value in tenths."""
    text = SMALL.replace('stamp = "/at"', f'stamp = "/at"\nepoch = "{epoch}"').replace('"/t",', '"/t", factor = 0.5,')
    (one,) = read(made(tmp_path, text), {"id": "a", "at": at, "t": 25})
    assert (one.start, one.value) == (datetime(2026, 5, 4, 8, tzinfo=UTC), 12.5)
    with pytest.raises(BadPayload, match="is a number, expected text: see epoch"):
        read(made(tmp_path, SMALL), {"id": "a", "at": at, "t": 25})


def test_stamp_without_zone_needs_one_in_the_file(tmp_path: Path) -> None:
    """Local time is read only where the file names the zone."""
    with pytest.raises(BadPayload, match="without a zone"):
        read(made(tmp_path, SMALL), {"id": "a", "at": "2026-05-04T08:00:00", "t": 1})
    spec = made(tmp_path, SMALL.replace('stamp = "/at"', 'stamp = "/at"\nzone = "Europe/Amsterdam"'))
    assert read(spec, {"id": "a", "at": "2026-05-04T08:00:00", "t": 1})[0].start.hour == 6


def test_hour_that_spring_skips(tmp_path: Path) -> None:
    """Two o'clock in the night of the change is no other name for three: it is refused, and three o'clock is read."""
    spec = made(tmp_path, SMALL.replace('stamp = "/at"', 'stamp = "/at"\nzone = "Europe/Amsterdam"'))
    with pytest.raises(BadPayload, match="stamp 2026-03-29T02:00:00 is in an hour that clocks skip in Europe"):
        read(spec, {"id": "a", "at": "2026-03-29T02:00:00", "t": 1})
    by_hour = {hour: read(spec, {"id": "a", "at": f"2026-03-29T{hour}:00", "t": 1}) for hour in ("01:59", "03:00")}
    assert [by_hour[hour][0].start.hour for hour in ("01:59", "03:00")] == [0, 1]
    (twice,) = read(spec, {"id": "a", "at": "2026-10-25T02:30:00", "t": 1})
    assert (twice.start.hour, twice.start.minute) == (0, 30)


def test_row_in_the_hour_that_spring_skips(registries: None, tmp_path: Path) -> None:
    """Such a row is a dead letter of its own, which published again is refused again; the rows around it are read."""
    text = SMALL.replace('stamp = "/at"', 'stamp = "/at"\nzone = "Europe/Amsterdam"')
    decoding.FORMATS["fiware"] = MappedFormat("fiware", made(tmp_path, f'format = "csv"\n{text}'))
    hours = "".join(f"a,2026-03-29T0{hour}:00:00,{hour}\n" for hour in (1, 2, 3))
    batch = decode([Message("stadspuls/fiware/x", f"id,at,t\n{hours}".encode(), NOW)])
    assert batch.readings["value"].to_pylist() == [1, 3]
    (letter,) = batch.dead_letters
    again = decode([Message(letter.topic, letter.payload, NOW)])
    assert (len(again), again.dead_letters) == (0, (letter,))


def test_end_in_the_hour_that_spring_skips(tmp_path: Path) -> None:
    """From one to two o'clock is an hour in that night too, and so is from one to three."""
    spec = made(tmp_path, SMALL.replace('stamp = "/at"', 'stamp = "/at"\nuntil = "/to"\nzone = "Europe/Amsterdam"'))
    for end in ("02:00", "03:00"):
        (one,) = read(spec, {"id": "a", "at": "2026-03-29T01:00:00", "to": f"2026-03-29T{end}:00", "t": 1})
        assert (one.start.hour, one.period) == (0, 3600)


def test_three_states_of_a_mapped_value(tmp_path: Path) -> None:
    """A sentinel fails or means that nothing was there to measure, null fails, and what is absent is no reading."""
    rule = '{ value = "/t", quantity = "temperature", failed = [999.9], nothing = [-1] }'
    spec = made(tmp_path, SMALL.replace('{ value = "/t", quantity = "temperature" }', rule))
    document = {"id": "a", "at": "2026-05-04T08:00:00Z"}
    readings = [read(spec, document | {"t": value})[0] for value in ("999.90", -1, None, 3)]
    assert [(one.value, one.weight, one.flags) for one in readings] == [
        (None, 0, 1),
        (None, 0, 0),
        (None, 0, 1),
        (3, 1, 0),
    ]
    assert read(spec, document) == []


@pytest.mark.parametrize("value", ["x", "", "NaN", "1e999", True, {"a": 1}, [1]])
def test_value_that_is_no_number_is_refused(tmp_path: Path, value: object) -> None:
    """Nothing is guessed from a value that is no number."""
    with pytest.raises(BadPayload):
        read(made(tmp_path, SMALL), {"id": "a", "at": "2026-05-04T08:00:00Z", "t": value})


def test_csv_rows(tmp_path: Path) -> None:
    """Columns of a CSV are pointed at by their names; an empty cell is no reading."""
    spec = made(tmp_path, 'format = "csv"\ndelimiter = ";"\n' + SMALL)
    found = read(spec, "id;at;t\na;2026-05-04T08:00:00Z;1.5\nb;2026-05-04T08:00:00Z;\n")
    assert [(one.sensor_id, one.value) for one in found] == [("fiware/a", 1.5)]


def test_table_of_datastreams(tmp_path: Path) -> None:
    """SensorThings: what a Datastream measures stands in the user's table; one that is not there is refused by name."""
    table = '[table."Datastreams(17)"]\nquantity = "co"\nunit = "ug/m3"\nsensor = "station-4"\n'
    spec = made(tmp_path, (SHIPPED / "sensorthings.toml").read_text("utf-8") + table, "sensorthings.toml")
    observation = {"phenomenonTime": "2026-05-04T07:00:00Z/2026-05-04T08:00:00Z", "result": 250}
    (one,) = read(spec, observation, "v1.1/Datastreams(17)/Observations", "sensorthings")
    assert (one.sensor_id, one.quantity, one.value, one.period) == ("sensorthings/station-4", "co", 0.25, 3600)
    late = {"phenomenonTime": None, "resultTime": "2026-05-04T08:00:00Z", "result": 250}
    (one,) = read(spec, late, "v1.1/Datastreams(17)/Observations", "sensorthings")
    assert one.start == datetime(2026, 5, 4, 8, tzinfo=UTC)
    with pytest.raises(BadPayload, match=r"Datastreams\(18\)"):
        read(spec, observation, "v1.1/Datastreams(18)/Observations", "sensorthings")


def test_places_of_citizens_are_rounded(tmp_path: Path) -> None:
    """A balcony is known to 100 m; a sensor of an authority stays where it is."""
    spec = made(tmp_path, SMALL.replace("reading", 'lon = "/lon"\nlat = "/lat"\nreading'))
    document = {"id": "a", "at": "2026-05-04T08:00:00Z", "t": 1, "lon": "6.5665123", "lat": 53.2193831}
    assert read(spec, document)[0] == SensorFact("fiware/a", lon=6.5665123, lat=53.2193831)
    assert read(spec, document, source="ttn")[0] == SensorFact("ttn/a", lon=6.567, lat=53.219)


def test_pointers() -> None:
    """RFC 6901 escapes and indexes hold; what is missing is missing, and null is something."""
    where = Where({"a/b": {"~": [None, {"k": "x", "v": 2}]}})
    assert Pointers("/a~1b/~0/0").first(where) is None
    assert Pointers(["/a~1b/~0/9", "/z"]).first(where) is UNSET
    assert Pointers("/a~1b/~0/[k=x]/v").first(where) == 2
    assert Pointers("/a~1b/~0/[k=y]/v").first(where) is UNSET
    assert Pointers("/a/b").first(Where({"a": {"value": {"b": 1}}}, unwrap="value")) == 1
    assert [name for name, _ in Pointer("/a~1b/~0/*").find(where)] == ["0", "1"]
    topic = "v3/app/devices/dev/up?status=validated"
    assert Template("{topic:v3/+/devices/+/up}").fill(Where({}, topic)) == "app/dev"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_every_member_has_a_pointer(document: Any) -> None:
    """Whatever a document holds is found, once, by the pointer that names the way to it; another finds nothing."""
    for path, value in _leaves(document):
        pointer = "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in path)
        if any(name in ("*", "..") or name.startswith("[") for name in path):
            continue
        assert repr(list(Pointer(pointer).find(Where(document)))) == repr([("", value)])
        assert list(Pointer(pointer + "/more").find(Where(document))) == []
        if pointer and not set("{}") & set(pointer):
            whole = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
            assert Template("{" + pointer + "}").fill(Where(document)) in (None, whole)


@given(
    json_values,
    st.sampled_from(["tele/x/SENSOR", "v3/a/devices/d/up", "stadspuls/fiware/x", "stadspuls/sensor_community/1"]),
)
def test_any_document_is_read_or_refused(document: Any, topic: str) -> None:
    """Whatever JSON comes in on a mapped topic ends as a reading or a dead letter."""
    batch = decode([Message(topic, json.dumps(document).encode(), NOW)])
    assert len(batch) or batch.dead_letters


def test_worked_example_of_the_documentation(registries: None, tmp_path: Path) -> None:
    """The mapping file and the message in docs/adding-a-format.md do what the page promises."""
    blocks = (ROOT / "docs/adding-a-format.md").read_text().partition("step by step")[2].split("```")
    parts = {block.split("\n", 1)[0]: block.split("\n", 1)[1] for block in reversed(blocks[1::2]) if "\n" in block}
    (tmp_path / "bike_barrel.toml").write_text(parts["toml"])
    load_formats([tmp_path])
    topic, payload = parts["mqtt"].strip().split("\n", 1)
    batch = decode([Message(topic, payload.encode(), NOW)])
    assert batch.dead_letters == ()
    rows = [
        {name: row[name] for name in ("sensor_id", "channel", "quantity", "value")}
        for row in batch.readings.to_pylist()
    ]
    assert rows == [json.loads(line) for line in parts["jsonl"].strip().splitlines()]


@pytest.mark.parametrize("table", [MappingFile, MessageRule, ReadingRule])
def test_every_key_stands_in_the_documentation(table: type[msgspec.Struct]) -> None:
    """docs/adding-a-format.md has a row of a table for every key of a mapping file."""
    rows = [line.split("|")[1] for line in (ROOT / "docs/adding-a-format.md").read_text().splitlines() if "| `" in line]
    keys = set(table.__struct_encode_fields__) - {"message", "reading", "source", "table"}
    assert [key for key in sorted(keys) if not any(f"`{key}`" in row for row in rows)] == (
        ["key"] if table is ReadingRule else []  # in the row of `quantity`
    )


@pytest.mark.shared
def test_bicycles_of_the_documentation(registries: None, tmp_path: Path, shared_data: Path) -> None:
    """
    The mapping file for a counter's CSV reads six years of bicycles, all of them, on the hours they belong to.

    Of each year the months in which clocks change. The rows of hours that spring skips, empty or 0, are dead letters by
    themselves.
    """
    blocks = (ROOT / "docs/adding-a-format.md").read_text().partition("step by step")[2].split("```toml\n")
    (tmp_path / "fietsbrug.toml").write_text(blocks[2].partition("```")[0])
    load_formats([tmp_path])
    whole = pd.read_csv(shared_data / "counters/fremont_bridge_bikes_hourly_2012_2018.csv.gz")
    table, path = whole[whole["Date"].str.match("03|10/0|11/0")], tmp_path / "fremont.csv"
    table.to_csv(path, index=False)
    batch = decode([Message(one.topic, one.payload, NOW) for one in messages(path, "fietsbrug")])
    assert [json.loads(one.payload)["Date"] for one in batch.dead_letters] == [
        "03/10/2013 02:00:00 AM", "03/09/2014 02:00:00 AM", "03/08/2015 02:00:00 AM", "03/13/2016 02:00:00 AM",
        "03/12/2017 02:00:00 AM", "03/11/2018 02:00:00 AM",
    ]  # fmt: skip
    assert {one.reason.partition(" is in ")[2] for one in batch.dead_letters} == {
        "an hour that clocks skip in America/Los_Angeles, expected one they show"
    }
    found = batch.readings.to_pandas()
    assert found.groupby("channel", observed=True).value.sum().to_dict() == {
        "east": table.iloc[:, 1].sum(), "west": table.iloc[:, 2].sum()
    }  # fmt: skip
    assert found.start.min() == pd.Timestamp("2012-10-03 07:00", tz="UTC")


def test_stamp_as_it_is_written(tmp_path: Path) -> None:
    """A stamp that is not ISO 8601 is read in the form that the file gives, and refused when it is not."""
    spec = made(tmp_path, SMALL.replace("[[message]]", '[[message]]\nwritten = "%d-%m-%Y %H:%M"\nzone = "CET"'))
    (one,) = read(spec, {"id": "a", "at": "04-05-2026 08:00", "t": 1})
    assert one.start == datetime(2026, 5, 4, 6, tzinfo=UTC)
    with pytest.raises(BadPayload, match=r"expected one written as %d-%m-%Y %H:%M"):
        read(spec, {"id": "a", "at": "2026-05-04T08:00", "t": 1})


def test_rule_that_takes_what_has_a_member(tmp_path: Path) -> None:
    """`has` lets two shapes of row be told apart by a column."""
    spec = made(tmp_path, SMALL.replace("[[message]]", '[[message]]\nhas = ["/t"]'))
    assert len(read(spec, {"id": "a", "at": "2026-05-04T08:00:00Z", "t": 1})) == 1
    with pytest.raises(BadPayload, match="/t"):
        read(spec, {"id": "a", "at": "2026-05-04T08:00:00Z", "u": 1})


@pytest.mark.shared
@pytest.mark.parametrize(
    ("topic", "file", "expected"),
    [
        ("tele/plug/SENSOR", "tasmota/wemos-sensor-single.json", {"temperature": 25.4, "humidity": 45}),
        ("tele/plug/SENSOR", "tasmota/sensor-payload.json", {"temperature": 25, "humidity": 15, "noise": 10}),
        ("stadspuls/sensor_community/esp8266-1", "sensorcommunity/airrohr_kotori.json",
         {"pm10": 35.67, "pm25": 17, "temperature": -2.83, "humidity": 66.73, "pressure": 1005.3597}),
        ("v3/app@ttn/devices/dev/up", "lorawan/tts_ttn_uplink_minimal.json", {"temperature": 53.3, "battery": 3.3}),
        ("stadspuls/fiware/x", "fiware/TrafficFlowObserved_example.json",
         {"vehicle_count": 197, "vehicle_speed": 52.6, "occupancy": 76}),
        ("stadspuls/fiware/x", "fiware/TrafficFlowObserved_example-normalized.json",
         {"vehicle_count": 197, "vehicle_speed": 52.6, "occupancy": 76}),
        ("stadspuls/fiware/x", "fiware/AirQualityObserved_example.json",
         {"no": 45, "nox": 139, "so2": 11, "co": 0.5, "temperature": 12.2, "humidity": 54}),
    ],
)  # fmt: skip
def test_recorded_payloads(shared_data: Path, topic: str, file: str, expected: dict[str, float]) -> None:
    """Recorded payloads of devices and services give their values, in the registry's units."""
    batch = decode([Message(topic, (shared_data / "payloads" / file).read_bytes(), NOW)])
    found = {row["quantity"]: row["value"] for row in batch.readings.to_pylist()}
    assert found == pytest.approx(expected)


@pytest.mark.shared
def test_recorded_uplink_without_fields_is_refused(shared_data: Path) -> None:
    """A real uplink with nothing but its bytes gives an error that names what is missing."""
    payload = (shared_data / "payloads/lorawan/ttnv3_mqtt_message.json").read_bytes()
    (letter,) = decode([Message("v3/app@ttn/devices/dev/up", payload, NOW)]).dead_letters
    assert letter.reason == "no /uplink_message/decoded_payload in the message, expected one"


def test_reading_is_a_reading(tmp_path: Path) -> None:
    """A mapping makes readings like any other format: own channel, weight of a speed, no owner, no address."""
    (one,) = read(
        made(tmp_path, SMALL), {"id": "a", "at": "2026-05-04T08:00:00Z", "t": 1, "owner": "me", "mac": "aa:bb"}
    )
    assert one == Reading("fiware/a", "", "temperature", 0, datetime(2026, 5, 4, 8, tzinfo=UTC), 1.0)


def test_columns_say_when_and_whether(tmp_path: Path) -> None:
    """Date and hour in two columns, another encoding, a decimal comma, and a column that says what is valid."""
    text = """
format = "csv"
delimiter = ";"
encoding = "latin-1"
decimal = ","
[[message]]
sensor = "{/Z\u00e4hlstelle}"
stamp_text = "{/Tag} {/Stunde}"
written = "%d/%m/%Y %H"
zone = "Europe/Amsterdam"
means = "start"
period = 3600
reading = [
    { value = "/Anzahl", quantity = "bicycle_count", valid = { "/G\u00fcltig" = ["1", "2"] } },
    { value = "/v", quantity = "bicycle_speed", unit = "km/h" },
]
"""
    spec = made(tmp_path, text)
    rows = "Z\u00e4hlstelle;Tag;Stunde;Anzahl;v;G\u00fcltig\nS;04/05/2026;9;1.024;18,5;1\nS;04/05/2026;10;7;;-1\n"
    found = list(MappedFormat("fiware", spec)(Message("stadspuls/fiware/x", rows.encode("latin-1"), NOW)))
    assert [(one.start.hour, one.value, one.flags) for one in found if isinstance(one, Reading)] == [
        (7, 1024, 0), (7, 18.5, 0), (8, None, 1),
    ]  # fmt: skip


GOOD = [
    folder.name
    for folder in sorted(CASES.iterdir())
    if folder.name.split("-")[0] in {path.stem for path in SHIPPED.glob("*.toml")} and "-bad-" not in folder.name
]


@settings(deadline=None)
@given(st.data(), json_values | st.sampled_from([math.nan, math.inf, 10**400, "Preheating", "", "1,5", "<1.2", {}]))
def test_broken_value_costs_no_other(data: st.DataObject, odd: Any) -> None:
    """One value broken in any way costs the readings made of it, and no other: for every shipped mapping file."""
    folder = CASES / data.draw(st.sampled_from(GOOD))
    topic, payload = (folder / "topic").read_text(), (folder / "payload").read_bytes()
    source = str(source_of_topic(topic))
    reader = decoding.FORMATS[source]
    assert isinstance(reader, MappedFormat)
    found = list(documents.read(Message(topic, payload, NOW), reader.spec, reader.columns))
    document = found if reader.spec.format == "csv" else found[0]  # a mapping for CSV reads its rows as JSON too
    pointed = Counter(
        one.path
        for part in parts(source, reader.spec, document, Message(topic, b"", NOW))
        for rule in part.rule.every()
        for pointer in (*rule.value.each, *rule.weight.each)
        for one in pointer.parts(part.where)
        if pointer.path != ["*"] or one.path[-1] not in reader.spec.named  # a column that says when
    )
    path = data.draw(st.sampled_from(sorted(pointed) or [()]))
    before = _counted(document, topic)
    if path:
        inner: Any = document
        for name in path[:-1]:
            inner = inner[int(name) if isinstance(inner, list) else name]
        inner[int(path[-1]) if isinstance(inner, list) else path[-1]] = odd
    assert sum((before - _counted(document, topic)).values()) <= pointed[path]


def _counted(document: Any, topic: str) -> Counter[str]:
    return Counter(map(str, decode([Message(topic, json.dumps(document).encode(), NOW)]).readings.to_pylist()))


def test_units_of_a_supplier_are_named_once(tmp_path: Path) -> None:
    """`ppb` in a message needs the conditions of the concentration, which the mapping states."""
    text = SMALL.replace('quantity = "temperature"', 'quantity = "o3", unit_at = "/u"')
    message = Message("stadspuls/fiware/x", b'{"id": "a", "at": "2026-05-04T08:00:00Z", "t": 30, "u": "ppb"}', NOW)
    with pytest.raises(BadPayload, match="unit 'ppb' of o3"):
        list(MappedFormat("fiware", made(tmp_path, text))(message))
    stated = 'units = { ppb = "ppb at 20 degC and 1013.25 hPa" }\n' + text
    (reading,) = MappedFormat("fiware", made(tmp_path, stated))(message)
    assert isinstance(reading, Reading)
    assert reading.value == pytest.approx(59.86, abs=0.01)


@pytest.mark.parametrize(
    ("said", "indoor"),
    [("1", True), ("true", True), ('"Indoor"', True), ('"inside"', True), ("0", False), ("false", False),
     ('"outdoor"', False), ("null", None), ('"garage"', None)],
)  # fmt: skip
def test_indoor_is_read_in_the_words_of_suppliers(tmp_path: Path, said: str, indoor: bool | None) -> None:
    """A number, a boolean or a word; what says nothing is no fact."""
    spec = made(tmp_path, SMALL.replace('stamp = "/at"', 'stamp = "/at"\nindoor = "/where"'))
    payload = f'{{"id": "a", "at": "2026-05-04T08:00:00Z", "t": 20, "where": {said}}}'.encode()
    found = MappedFormat("fiware", spec)(Message("stadspuls/fiware/x", payload, NOW))
    facts = [one.indoor for one in found if isinstance(one, SensorFact)]
    assert facts == ([] if indoor is None else [indoor])


def test_unit_behind_the_value(tmp_path: Path) -> None:
    """A unit in the same text goes before that of the file; a word that is no unit of the quantity is refused."""
    spec = made(tmp_path, 'decimal = ","\n' + SMALL.replace('"temperature"', '"no2", unit = "mg/m3", below = 0.5'))
    values = ("12,5 ug/m3", "<0,5 ug/m3", "0,02", "0,02 mg/m3", "7 cows")
    found = read(spec, [{"id": "a", "at": f"2026-05-04T0{hour}:00Z", "t": one} for hour, one in enumerate(values)])
    assert [round(one.value, 6) for one in found[:-1]] == [12.5, 0.25, 20, 20]
    assert "7 cows" in found[-1].reason


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ('written = "%d %B %Y %H:%M"', "4 Mei 2026 08:00"),
        ('written = "%d %b %Y %H:%M - *"', "4 mei 2026 08:00 - 09:00"),
        ("", "2026-05-04T08:00/PT1H"),
        ("", "PT60M/2026-05-04T09:00"),
        ("", "2026-05-04T06:00:00Z/2026-05-04T07:00:00Z"),
    ],
)
def test_hour_in_one_text(tmp_path: Path, written: str, at: str) -> None:
    """Months may be Dutch, the end of the hour may stand behind its start or be a length of time."""
    lines = f'{written}\nzone = "Europe/Amsterdam"\nperiod = 3600\nmeans = "start"\n'
    spec = made(tmp_path, SMALL.replace('stamp = "/at"', f'stamp = "/at"\n{lines}'))
    (one,) = read(spec, {"id": "a", "at": at, "t": 1})
    assert (one.start, one.period) == (datetime(2026, 5, 4, 6, tzinfo=UTC), 3600)


def test_length_of_time_that_is_none(tmp_path: Path) -> None:
    """A length in months has no number of seconds: it is refused by name."""
    spec = made(tmp_path, SMALL)
    with pytest.raises(BadPayload, match="length of time 'P1M'"):
        read(spec, {"id": "a", "at": "2026-05-04T08:00Z/P1M", "t": 1})


def test_levels_of_any_name(registries: None, tmp_path: Path) -> None:
    """One hole takes the device of a topic, another the quantity, and each passes over the other."""
    text = SOURCE.replace("instant", "received") + 'topic = "home/+/sensor/+/state"\n[table.dust]\nquantity = "pm25"\n'
    text += '[[message]]\nsensor = "{topic:home/+/sensor/*/state}"\n'
    text += 'reading = [{ value = "", key = "{topic:home/*/sensor/+/state}" }]\n'
    (one,) = read(made(tmp_path, text, "home.toml"), 12.5, "home/lamp/sensor/dust/state", "home")
    assert (one.sensor_id, one.quantity, one.value) == ("home/lamp", "pm25", 12.5)


def test_values_with_their_times(tmp_path: Path) -> None:
    """Temporal values of NGSI-LD: pairs of value and time, under the name of what was measured."""
    text = '[table.t]\nquantity = "temperature"\n' + SMALL.replace('"/at"', '"/1"').replace('"{/id}"', '"{/../../id}"')
    text = text.replace("[[message]]", '[[message]]\neach = "/*/values"').replace('"/t"', '"/0"')
    spec = made(tmp_path, text.replace('quantity = "temperature" }]', 'key = "{*}" }]'))
    document = {"id": "a", "t": {"values": [[7, "2026-05-04T08:00Z"], [8, "2026-05-04T09:00Z"]]}}
    assert [(one.sensor_id, one.start.hour, one.value) for one in read(spec, document)] == [
        ("fiware/a", 8, 7), ("fiware/a", 9, 8),
    ]  # fmt: skip
