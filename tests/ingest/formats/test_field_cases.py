"""
Cases from the field, `cases` beside the recorded data: what a message must give.

`CHANGED` are words of a case's mapping file that had to be written anew, where the file could not say what is meant.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingest.files.recordings import messages
from ingest.formats import decode as decoding
from ingest.formats.decode import decode
from ingest.formats.mapping_reader import MappedFormat
from ingest.formats.mapping_schema import load
from ingest.vocabulary.readings import Message

NOW = datetime(2026, 8, 1, tzinfo=UTC)
Found = list[tuple[str, str, str, str, float | None]]  # sensor, channel, quantity, stamp, value; None: failed
TRAFFIC = "2026-03-02 08:00"
# By folder, mapping file, and file: what is right.
RIGHT: dict[tuple[str, str, str], Found] = {
    ("null-time", "mapping", "application~1~device~aa~event~up.json"): [
        ("aa", "", "temperature", "2026-03-02 08:15", 7.5)],
    ("list-in-list", "mapping", "lists~a.json"): [
        ("s1", "", "no2", "2026-03-02 08:00", 10), ("s1", "", "no2", "2026-03-02 08:10", 11),
        ("s2", "", "no2", "2026-03-02 08:00", 20), ("s2", "", "no2", "2026-03-02 08:10", 21)],
    ("two-rules", "mapping", "stadspuls~two-rules~x.jsonl"): [
        ("c1", "cyclepath", "bicycle_count", "2026-05-04 08:00", 10),
        ("c1", "road", "bicycle_count", "2026-05-04 08:15", 3)],
    ("nan-of-one-chip", "", "tele~roof~SENSOR.json"): [
        ("roof", "SI7021-00", "temperature", "2026-03-02 08:12", 16.2),
        ("roof", "SI7021-02", "temperature", "2026-03-02 08:12", None),
        ("roof", "SI7021-04", "temperature", "2026-03-02 08:12", 9.8),
        ("roof", "SI7021-00", "humidity", "2026-03-02 08:12", 68),
        ("roof", "SI7021-02", "humidity", "2026-03-02 08:12", None),
        ("roof", "SI7021-04", "humidity", "2026-03-02 08:12", 61)],
    ("one-unit-unknown", "mapping", "stadspuls~one-unit-unknown~2179.json"): [
        ("2179", "", "pm25", "2026-03-01 07:00", 8.5)],
    ("other-dust-sensors", "", "sensor_community~hpm.json"): [
        ("esp8266-1001", "BME280", "temperature", "2026-08-01 00:00", 7.1),
        ("esp8266-1001", "HPM", "pm10", "2026-08-01 00:00", 27.1),
        ("esp8266-1001", "HPM", "pm25", "2026-08-01 00:00", 23.4)],
    ("other-dust-sensors", "", "sensor_community~pms.json"): [
        ("esp8266-1002", "PMS", "pm1", "2026-08-01 00:00", 9), ("esp8266-1002", "PMS", "pm10", "2026-08-01 00:00", 19),
        ("esp8266-1002", "PMS", "pm25", "2026-08-01 00:00", 14)],
    ("ngsi-ld-time", "", "fiware~observedAt.json"): [
        ("urn:ngsi-ld:AirQualityObserved:s2", "", "no2", "2026-03-01 08:00", 31)],
    ("ngsi-ld-time", "", "fiware~value.json"): [
        ("urn:ngsi-ld:AirQualityObserved:s1", "", "no2", "2026-03-01 08:00", 31)],
    ("fiware-speed-unit", "", "fiware~speed.json"): [
        ("urn:s", "lane1/any", "vehicle_count", TRAFFIC, 60), ("urn:s", "lane1/any", "vehicle_speed", TRAFFIC, 50.04)],
    ("fiware-vehicle-types", "", "fiware~types.json"): [
        ("urn:A", "lane1", "bicycle_count", TRAFFIC, 31), ("urn:A", "lane1/car", "vehicle_count", TRAFFIC, 112),
        ("urn:A", "lane1/lorry", "vehicle_count", TRAFFIC, 17)],
    ("ozone-in-ppm", "", "v3~air@city~devices~am319-1~up.json"): [
        ("air/am319-1", "", what, "2026-03-02 08:12", value)
        for what, value in (("temperature", 23.4), ("humidity", 69), ("pressure", 1010.7), ("pm25", 13), ("pm10", 13))],
    ("hour-24", "mapping", "hours.csv"): [
        ("S1", "", "pm25", "2026-02-02 21:00", 10), ("S1", "", "pm25", "2026-02-02 22:00", 20),
        ("S1", "", "pm25", "2026-02-02 23:00", 30)],
    ("thousands-dot", "mapping", "thousands.csv"): [
        ("BrugB", "", "bicycle_count", "2026-06-01 06:00", 120), ("BrugB", "", "bicycle_count", "2026-06-01 06:15", 96),
        ("BrugB", "", "bicycle_count", "2026-06-01 06:45", 88)],  # and a refusal of the half bicycle
    ("many-levels", "mapping", "messages.txt"): [
        ("garden", "", "temperature", "2026-08-01 00:00", 11), ("street/north/air 1", "", "temperature",
                                                                "2026-08-01 00:00", 12)],
    ("local-time-called-utc", "mapping", "stadspuls~local-time-called-utc~site1.json"): [
        ("site1", "", "bicycle_count", "2026-06-30 22:00", 5), ("site1", "", "bicycle_count", "2026-06-30 22:15", 7)],
    ("eco-visio-export", "mapping", "export.csv"): [
        ("riverside", channel, "bicycle_count", f"2026-03-02 07:{minute}", value)
        for minute, values in (("00", (12, 7, 5)), ("15", (9, None, None)), ("30", (15, 8, 7)))
        for channel, value in zip(("/any", "/NB", "/SB"), values, strict=True) if value is not None],
    ("eco-visio-export", "mapping", "export-without-title.csv"): [
        ("riverside", channel, "bicycle_count", f"2026-03-02 07:{minute}", value)
        for minute, values in (("00", (12, 7, 5)), ("15", (9, None, None)), ("30", (15, 8, 7)))
        for channel, value in zip(("/any", "/NB", "/SB"), values, strict=True) if value is not None],
    ("senml", "mapping", "kpn~dev1.json"): [
        ("dev1", "", "temperature", "2026-03-02 08:00", 20.5), ("dev1", "", "temperature", "2026-03-02 08:10", 21.5),
        ("dev1", "", "battery", "2026-03-02 08:00", 3.6)],
    ("date-and-hour", "mapping", "counts.csv"): [
        ("4", "", "pedestrian_count", "2026-04-04 14:00", 310), ("4", "", "pedestrian_count", "2026-04-04 15:00", 150),
        ("4", "", "pedestrian_count", "2026-04-04 16:00", 140), ("4", "", "pedestrian_count", "2026-04-04 17:00", 90)],
    ("validity-column", "mapping-no-filter", "eea.csv"): [
        ("XX0001A", "", "pm25", f"2026-02-02 {hour}:00", value)
        for hour, value in (("07", 12), ("08", None), ("09", None), ("10", -0.4), ("11", None), ("12", 16))],
    ("latin-1", "mapping", "zaehlung.csv"): [("St\u00e4dtebr\u00fccke", "", "bicycle_count", "2026-06-01 06:00", 120)],
    ("thousands-dot", "mapping", "decimal-comma.csv"): [
        ("Hoofdbrug", "", "bicycle_count", "2026-06-01 06:00", 120),
        ("Hoofdbrug", "", "bicycle_speed", "2026-06-01 06:00", 18.5),
        ("Hoofdbrug", "", "bicycle_count", "2026-06-01 06:15", 96),
        ("Hoofdbrug", "", "bicycle_speed", "2026-06-01 06:15", 17.2)],
}  # fmt: skip
CHANGED: dict[tuple[str, str], list[tuple[str, str]]] = {
    ("thousands-dot", "decimal-comma.csv"): [("delimiter", 'decimal = ","\ndelimiter')],
    # A total beside its directions: the class `any` of a lane, beside its classes.
    ("eco-visio-export", "export.csv"): [('"total"', '"/any"'), ('"NB"', '"/NB"'), ('"SB"', '"/SB"')],
    ("eco-visio-export", "export-without-title.csv"): [('"total"', '"/any"'), ('"NB"', '"/NB"'), ('"SB"', '"/SB"')],
    ("senml", "kpn~dev1.json"): [("[source]", 'format = "senml"\n[source]')],
    ("date-and-hour", "counts.csv"): [
        ('stamp = "/Date"', 'stamp_text = "{/Date} {/Hour}"'), ('"%d/%m/%Y"', '"%d/%m/%Y %H"')],
    ("validity-column", "eea.csv"): [("failed = [-999]", 'valid = { "/Validity" = [1, 2, 3] }')],
}  # fmt: skip


def sent(folder: Path, name: str, source: str) -> Iterator[Message]:
    """Give the messages of a case's file."""
    path = folder / name
    if name == "messages.txt":
        for line in path.read_text().splitlines():
            at = line.rindex(" {")
            yield Message(line[:at], line[at:].encode(), NOW)
    elif path.suffix == ".csv":
        yield from (Message(one.topic, one.payload, NOW) for one in messages(path, source))
    else:
        topic = path.stem.replace("~", "/")
        topic = topic if topic.startswith(("stadspuls/", "tele/", "v3/")) or source else f"stadspuls/{topic}"
        for payload in path.read_bytes().splitlines() if path.suffix == ".jsonl" else [path.read_bytes()]:
            yield Message(topic, payload, NOW)


@pytest.mark.shared
@pytest.mark.parametrize(("case", "mapping", "name"), RIGHT)
def test_case_of_the_field(
    registries: None, shared_data: Path, tmp_path: Path, case: str, mapping: str, name: str
) -> None:
    """What is right comes out, whatever stands beside it in the message."""
    folder = shared_data.parent / "cases" / case
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    source = ""
    if mapping:
        source = case
        text = (folder / f"{mapping}.toml").read_text()
        for words, new in CHANGED.get((case, name), []):
            assert words in text
            text = text.replace(words, new)
        (tmp_path / f"{case}.toml").write_text(text)
        decoding.FORMATS[case] = MappedFormat(case, load(tmp_path / f"{case}.toml"))
    rows = decode(list(sent(folder, name, source))).readings.to_pylist()
    found = [
        (one["sensor_id"].partition("/")[2], one["channel"], one["quantity"], f"{one['start']:%Y-%m-%d %H:%M}",
         one["value"] if one["value"] is None else round(one["value"], 6))
        for one in rows
    ]  # fmt: skip
    assert sorted(found, key=str) == sorted(RIGHT[case, mapping, name], key=str)
