"""Each open source with its own traps: what was published is what the source sent, cut to the area, each value once."""

import gzip
import json
import re
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from ingest.files.site_table import read
from ingest.formats.decode import decode
from tests.support.country import (
    NOW,
    Country,
    citizen,
    failing,
    figure,
    hour_before,
    ndw_minute,
    ndw_table,
    observation,
    station,
    thing,
)  # fmt: skip
from tests.support.gatewayline import Line

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
START = NOW.replace(second=0) - MINUTE
MINUTES, TABLE = "trafficspeed.xml.gz", "measurement_current.xml.gz"
IN, OUT = (6.57, 53.22), (5.85, 51.54)


@pytest.fixture(autouse=True)
def _asks_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.gateways.web.FIRST_WAIT", 0.05)


def counts_of(line: Line) -> list[tuple[str, str]]:
    """Give site and minute of every count that came."""
    return [(one[0], one[2][3:8]) for one in line.readings() if one[1] == "vehicle_count"]


# NDW


def test_minutes_of_a_publication_are_told_apart(line: Line, sources: Country) -> None:
    """One file mixes minutes, and the next one repeats some: each site's minute comes once, a late one too."""
    (_, runner) = line.open("ndw", area=None)
    sources.files[MINUTES] = ndw_minute(NOW, {"RWS01_A": START - MINUTE, "PGR08_B": START})
    runner.turn()
    # RWS01_A is a minute behind; PGR08_B has nothing new, and PZH01_C was late.
    sources.files[MINUTES] = ndw_minute(NOW + MINUTE, {"RWS01_A": START, "PGR08_B": START, "PZH01_C": START - MINUTE})
    runner.turn()
    assert sorted(counts_of(line)) == [
        ("ndw/PGR08_B", "09:29"), ("ndw/PZH01_C", "09:28"), ("ndw/RWS01_A", "09:28"), ("ndw/RWS01_A", "09:29"),
    ]  # fmt: skip


def test_only_sites_in_the_area(line: Line, sources: Country) -> None:
    """Where a site is stands only in the table: without it nothing is published, with it what lies in the area."""
    table, minutes = line.open("ndw")
    sources.files[MINUTES] = ndw_minute(NOW, {"PGR08_B": START, "RWS01_A": START, "GEO01_X": START})
    minutes.turn()
    assert sources.asked[f"/{MINUTES}"] == 0
    sources.files[TABLE] = ndw_table("1", {"PGR08_B": IN, "RWS01_A": OUT})
    table.turn()
    minutes.turn()
    assert counts_of(line) == [("ndw/PGR08_B", "09:29")]


def test_table_is_fetched_when_there_is_a_newer_one(line: Line, sources: Country) -> None:
    """The table is fetched when there is none and when the source has a newer one, and not else."""
    table, _ = line.open("ndw")
    sources.files[TABLE] = ndw_table("1", {"PGR08_B": IN})
    for _ in range(3):
        table.turn()
    assert (table.counts.events["requests", "good"], table.counts.events["requests", "not_modified"]) == (1, 2)
    sources.files[TABLE] = ndw_table("2", {"PGR08_B": IN, "PGR08_C": IN})
    for _ in range(2):
        table.turn()
    assert table.counts.events["requests", "good"] == 2
    assert set(read(line.directory / "ndw_sites.parquet")) == {"PGR08_B", "PGR08_C"}


def test_table_of_a_host_without_validators_is_fetched_once_a_day(line: Line, sources: Country) -> None:
    """340 MB every ten minutes would be 50 GB a day; where the file is gone it is fetched at once."""
    table, _ = line.open("ndw")
    sources.validators = False
    sources.files[TABLE] = ndw_table("1", {"PGR08_B": IN})
    fetched = []
    for hours in (0, 1, 23, 24, 25):
        line.now = NOW + timedelta(hours=hours)
        table.turn()
        fetched.append(sources.asked[f"/{TABLE}"])
    assert fetched == [1, 1, 1, 2, 2]
    (line.directory / "ndw_sites.parquet").unlink()
    table.turn()
    assert sources.asked[f"/{TABLE}"] == 3


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
def test_table_that_was_cut_off_leaves_the_old_one(line: Line, sources: Country, kept: float) -> None:
    """A table that came in part is no table: the old one stays, and the next turn asks again."""
    table, minutes = line.open("ndw")
    sources.files[TABLE] = ndw_table("1", {"PGR08_B": IN})
    table.turn()
    whole = ndw_table("2", {f"PGR08_{n}": IN for n in range(200)})
    sources.files[TABLE] = whole[: int(len(whole) * kept)]
    sources.files[MINUTES] = ndw_minute(NOW, {"PGR08_B": START}, "2")
    line.now += timedelta(hours=1)
    minutes.turn()
    table.turn()
    assert table.counts.failures == 1
    assert len(read(line.directory / "ndw_sites.parquet")) == 1
    sources.files[TABLE] = whole
    table.turn()
    assert len(read(line.directory / "ndw_sites.parquet")) == 200


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.97])
def test_minute_that_was_cut_off_comes_whole_the_next_time(line: Line, sources: Country, kept: float) -> None:
    """What of a truncated file was read is published, the rest with the whole file: each once."""
    (_, runner) = line.open("ndw", area=None)
    sites = {f"PGR08_{n}": START for n in range(500)}
    whole = ndw_minute(NOW, sites)
    sources.files[MINUTES] = whole[: int(len(whole) * kept)]
    runner.turn()
    assert (runner.counts.failures, runner.counts.events["form_changes", ""]) == (1, 0)
    sources.files[MINUTES] = whole
    runner.turn()
    assert Counter(counts_of(line)) == Counter((f"ndw/{site}", "09:29") for site in sites)


def test_missed_minutes_are_counted(line: Line, sources: Country) -> None:
    """NDW keeps no history: what was missed is gone, and counted. An older file, from some cache, is passed over."""
    (_, runner) = line.open("ndw", area=None)
    for after in (0, 1, 5, 3):
        sources.files[MINUTES] = ndw_minute(NOW + after * MINUTE, {"PGR08_B": START + after * MINUTE})
        runner.turn()
    assert runner.counts.events["gaps", ""] == 3
    assert [minute for _, minute in counts_of(line)] == ["09:29", "09:30", "09:34"]


def test_publication_of_a_time_to_come_stops_none_after_it(line: Line, sources: Country) -> None:
    """A clock of NDW that is an hour ahead for one publication hides no later one."""
    (_, runner) = line.open("ndw", area=None)
    for said, site in ((NOW + HOUR, "PGR08_A"), (NOW + MINUTE, "PGR08_B")):
        sources.files[MINUTES] = ndw_minute(said, {site: START})
        runner.turn()
    assert sorted(counts_of(line)) == [("ndw/PGR08_A", "09:29"), ("ndw/PGR08_B", "09:29")]


@pytest.mark.parametrize(
    "text",
    [b"<html/>", b"<d2LogicalModel><payloadPublication/></d2LogicalModel>", ndw_table("1", {"A": IN})],
    ids=["other", "empty", "the table"],
)
def test_other_documents_are_a_changed_form(line: Line, sources: Country, text: bytes) -> None:
    """A whole document that is no minute is reported as a changed form, not as a fault that passes."""
    (_, runner) = line.open("ndw", area=None)
    sources.files[MINUTES] = text
    runner.turn()
    assert runner.counts.events["form_changes", ""] == 1


def test_sites_of_another_form_are_a_changed_form(line: Line, sources: Country) -> None:
    """A publication whose sites have no stamp is reported, though whole."""
    (_, runner) = line.open("ndw", area=None)
    minute = gzip.decompress(ndw_minute(NOW, {"PGR08_A": START, "PGR08_B": START, "PGR08_C": START}))
    sources.files[MINUTES] = gzip.compress(minute.replace(b"measurementTimeDefault", b"other"))
    runner.turn()
    assert (runner.counts.events["form_changes", ""], len(line.arrived())) == (1, 0)


def test_site_without_a_stamp_costs_no_other(line: Line, sources: Country) -> None:
    """One site that cannot be read is passed over and counted; the newest stamp of the others is known."""
    (_, runner) = line.open("ndw", area=None)
    minute = gzip.decompress(ndw_minute(NOW, {"PGR08_A": START, "PGR08_B": START, "PGR08_C": START - MINUTE}))
    sources.files[MINUTES] = gzip.compress(minute.replace(f"{START:%Y-%m-%dT%H:%M:%SZ}".encode(), b"soon", 1))
    runner.turn()
    assert sorted(counts_of(line)) == [("ndw/PGR08_B", "09:29"), ("ndw/PGR08_C", "09:28")]
    assert (runner.counts.events["odd", ""], runner.counts.events["form_changes", ""]) == (1, 0)
    assert runner.counts.newest == START.timestamp()


def test_minute_of_version_3_has_its_stamp(line: Line, sources: Country) -> None:
    """In DATEX II v3 the stamp stands one element deeper, and is found too."""
    (_, runner) = line.open("ndw", area=None)
    minute = gzip.decompress(ndw_minute(NOW, {"PGR08_A": START})).decode()
    deeper = r"<measurementTimeDefault><timeMeaning>beginTime</timeMeaning><timeValue>\1</timeValue>"
    minute = re.sub("<measurementTimeDefault>([^<]*)", deeper, minute)
    sources.files[MINUTES] = gzip.compress(minute.encode())
    runner.turn()
    assert counts_of(line) == [("ndw/PGR08_A", "09:29")]
    assert runner.counts.newest == START.timestamp()


@pytest.mark.shared
def test_real_minute_of_the_country(line: Line, sources: Country, shared_data: Path) -> None:
    """Of a recorded national file every site comes once, as it was; the same file again brings nothing."""
    recorded = (shared_data / "ndw/trafficspeed_20250815T2149Z.xml.gz").read_bytes()
    (_, runner) = line.open("ndw", area=None)
    sources.files[MINUTES] = recorded
    runner.turn()
    sources.files[MINUTES] = recorded + b"\x00" * 8  # as if it were another: gzip passes over zeros at the end
    runner.turn()
    name = rb'measurementSiteReference [^>]*id="([^"]+)"'
    expected = Counter(re.findall(rb"<" + name, gzip.decompress(recorded)))
    assert Counter(site for one in line.arrived() for site in re.findall(name, one.payload)) == expected
    assert expected.total() == 19_587


# Luchtmeetnet


def air(sources: Country, hours: int = 24) -> None:
    """Fill a country with two stations, one in Groningen, and their NO2."""
    sources.stations = {"NL10938": station("Groningen", *IN), "NL10131": station("Vredepeel", *OUT)}
    sources.measurements = [
        figure(number, "NO2", hour_before(NOW, back), 20.0 + back)
        for back in range(hours)
        for number in sources.stations
    ]


def test_hours_of_the_area(line: Line, sources: Country) -> None:
    """The figures of the last day, of stations in the area, by the start of the hour; and where the station is."""
    air(sources)
    line.one("luchtmeetnet").turn()
    assert sorted(line.readings(), key=lambda one: one[2])[-1] == ("luchtmeetnet/NL10938", "no2", "04T08:00:00", 20.0)
    assert len(line.readings()) == 24
    (fact,) = decode(line.arrived()).sensors
    assert (fact.name, fact.lon, fact.lat) == ("Groningen", *IN)


def test_pages_are_all_read(line: Line, sources: Country) -> None:
    """However few rows a page has, none is lost or doubled."""
    air(sources)
    sources.page = 7
    line.one("luchtmeetnet", area=None).turn()
    found = line.readings()
    assert len(found) == len(set(found)) == 48


def test_late_and_mended_figures(line: Line, sources: Country) -> None:
    """A figure that comes hours late is found, and one that was corrected has a later version than before."""
    air(sources)
    late = sources.measurements.pop(4)
    runner = line.one("luchtmeetnet")
    runner.turn()
    line.now += HOUR
    sources.measurements += [late, figure("NL10938", "NO2", hour_before(NOW, -1), -1.5)]
    sources.measurements[0]["value"] = 99.0
    runner.turn()
    batch = decode(line.arrived())
    rows = [row for row in batch.readings.to_pylist() if f"{row['start']:%dT%H}" == "04T08"]
    assert [row["value"] for row in sorted(rows, key=lambda row: row["version"])] == [20.0, 99.0]
    assert len(batch) == 24 + 1 + 1
    assert min(row["value"] for row in batch.readings.to_pylist()) == -1.5  # near zero, and real


def test_outage_is_caught_up(line: Line, sources: Country) -> None:
    """After ten days away every hour of them is asked for, in questions of less than a week."""
    air(sources, 30)
    runner = line.one("luchtmeetnet", area=None)
    runner.turn()
    line.now += timedelta(days=10)
    air(sources, 30)
    sources.measurements += [
        figure("NL10938", "NO2", hour_before(NOW, -hour), 5.0) for hour in range(1, 241)
    ]  # fmt: skip
    runner.turn()
    found = [one for one in line.readings() if one[3] == 5.0]
    assert len(found) == len(set(found)) == 240


def test_station_that_answers_with_an_error_costs_no_other(line: Line, sources: Country) -> None:
    """A station whose place is not known waits for it; nothing of it is lost, and the others go on."""
    air(sources)
    sources.stations["NL10937"] = station("Groningen-Europaweg", *IN)
    sources.measurements += [figure("NL10937", "PM10", hour_before(NOW, back), 9.0) for back in range(24)]
    sources.faults = [("stations/NL10937", failing(500))] * 3
    runner = line.one("luchtmeetnet")
    runner.turn()
    assert {one[0] for one in line.readings()} == {"luchtmeetnet/NL10938"}
    line.now += timedelta(minutes=10)
    runner.turn()
    assert Counter(one[0] for one in line.readings()) == {"luchtmeetnet/NL10938": 24, "luchtmeetnet/NL10937": 24}


def test_stamps_of_other_shapes_mean_the_same(line: Line, sources: Country) -> None:
    """The end of an hour may be written with +0100, +01:00 or Z."""
    sources.stations = {"NL10938": station("Groningen", *IN)}
    stamps = ("2026-05-04T09:00:00+0100", "2026-05-04T08:00:00+01:00", "2026-05-04T06:00:00Z")
    sources.measurements = [figure("NL10938", "NO2", NOW, 4.0, stamp) for stamp in stamps]
    line.one("luchtmeetnet").turn()
    assert sorted(one[2] for one in line.readings()) == ["04T05:00:00", "04T06:00:00", "04T07:00:00"]


def test_component_that_nobody_knows(line: Line, sources: Country) -> None:
    """A new component becomes a dead letter, once, and costs the station nothing else."""
    air(sources, 1)
    sources.measurements.append(figure("NL10938", "XENON", hour_before(NOW, 0), 1.0))
    runner = line.one("luchtmeetnet")
    runner.turn()
    runner.turn()
    batch = decode(line.arrived())
    assert (len(batch), len(batch.dead_letters)) == (1, 1)


@pytest.mark.parametrize("name", ["timestamp_measured", "station_number", "value"])
def test_figures_of_another_form(line: Line, sources: Country, name: str) -> None:
    """Where no row can be read the form has changed: reported once a turn, and asked for again from where it was."""
    air(sources)
    runner = line.one("luchtmeetnet")
    runner.turn()
    line.now += HOUR
    good = figure("NL10938", "NO2", hour_before(NOW, -1), 5.0)
    sources.measurements = [{"other" if key == name else key: value for key, value in good.items()}]
    runner.turn()
    counts = runner.counts
    assert (counts.events["form_changes", ""], counts.events["odd", ""], counts.failures) == (1, 1, 1)
    sources.measurements = [good]
    line.now += timedelta(days=4)  # more than is asked for again in a turn that follows a good one
    runner.turn()
    assert [one[3] for one in line.readings() if one[3] == 5.0] == [5.0]


# Samen Meten


def citizens(sources: Country, hours: int = 8) -> None:
    """Fill a country with a sensor in Groningen and one elsewhere, raw values only."""
    sources.things = [thing("LTD_1", *IN), thing("LTD_2", *OUT), {"name": "LTD_3", "Locations": []}]
    sources.observations = [
        observation(f"{name}-{at}-{what}", hour_before(NOW, back), 10.0 + back)
        for back in range(1, hours)
        for name in ("LTD_1", "LTD_2")
        for at, what in enumerate(("pm25", "temp"))
    ]


def test_complete_hours_of_the_area(line: Line, sources: Country) -> None:
    """Hours that should be complete are read, of the sensors in the area; their stamp is the hour's end."""
    citizens(sources)
    line.one("samenmeten").turn()
    found = line.readings()
    assert {one[0] for one in found} == {"samenmeten/LTD_1"}
    assert {one[2] for one in found if one[1] == "pm25"} == {f"04T{hour:02}:00:00" for hour in range(3, 8)}
    (fact,) = decode(line.arrived()).sensors
    assert (fact.lon, fact.lat) == IN


def test_unit_of_a_datastream_is_read(line: Line, sources: Country) -> None:
    """What the service says of a Datastream counts; a share of volume is refused, and costs no other value."""
    citizens(sources)
    units = {"pm25": "mg/m3", "temp": "C", "no2": "ppb"}
    sources.observations = [observation(f"LTD_1-6-{name}", hour_before(NOW, 2), 0.5) for name in units]
    for one, unit in zip(sources.observations, units.values(), strict=True):
        one["Datastream"]["unitOfMeasurement"] = {"symbol": unit}
    line.one("samenmeten").turn()
    batch = decode(line.arrived())
    assert {row["quantity"]: row["value"] for row in batch.readings.to_pylist()} == {"pm25": 500, "temperature": 0.5}
    assert ["unit 'ppb' of no2, expected 'ug/m3'" in letter.reason for letter in batch.dead_letters] == [True]


def test_calibration_that_comes_later(line: Line, sources: Country) -> None:
    """The second look at an hour finds its calibrated value, and publishes it as a correction; nothing else again."""
    citizens(sources)
    runner = line.one("samenmeten")
    runner.turn()
    before = len(line.arrived())
    sources.observations += [observation("LTD_1-9-pm25_kal", hour_before(NOW, 3), 7.5)]
    for _ in range(8):
        line.now += timedelta(minutes=30)
        runner.turn()
    (late,) = [one for one in line.arrived()[before:] if b"_kal" in one.payload]
    assert "?version=2026-05-04T1" in late.topic
    raw = [one for one in line.readings() if (one[1], one[3]) == ("pm25", 13.0)]
    assert len(raw) == 1


def test_full_last_page_ends_with_504(line: Line, sources: Country) -> None:
    """Exactly two pages of 200 are read whole: what comes behind them is how the service marks the end."""
    sources.things = [thing(f"LTD_{n}", *IN) for n in range(400)] + [thing("LTD_X", *IN)]
    sources.observations = [observation(f"LTD_{n}-1-pm25", hour_before(NOW, 2), 1.0) for n in range(400)]
    line.one("samenmeten").turn()
    found = line.readings()
    assert len(found) == len(set(found)) == 400


def test_page_lost_to_an_error_is_made_up_for(line: Line, sources: Country) -> None:
    """An hour cut short by an error that looked like its end is completed by a later look."""
    sources.things = [thing(f"LTD_{n}", *IN) for n in range(300)]
    sources.observations = [observation(f"LTD_{n}-1-pm25", hour_before(NOW, 2), 1.0) for n in range(300)]
    sources.faults = [("result&$top=200&$skip=200", failing(504))] * 2
    runner = line.one("samenmeten")
    runner.turn()
    assert len(line.readings()) == 200
    line.now += 4 * HOUR
    runner.turn()
    found = line.readings()
    assert len(found) == len(set(found)) == 300


def test_days_away_are_caught_up(line: Line, sources: Country) -> None:
    """After two days away their hours are read, a few in each turn, the newest first."""
    citizens(sources, 3)
    runner = line.one("samenmeten")
    runner.turn()
    line.now += timedelta(days=2)
    citizens(sources, 3)
    sources.observations += [observation("LTD_1-0-pm25", hour_before(NOW, -hour), 1.0) for hour in range(47)]
    for _ in range(12):
        runner.turn()
        line.now += 5 * MINUTE
    found = [one for one in line.readings() if one[3] == 1.0]
    assert len(found) == len(set(found)) == 47


def test_hours_without_values_keep_no_other_waiting(line: Line, sources: Country) -> None:
    """While the service has nothing new for a day, a calibration of an hour before it is still found."""
    citizens(sources, 3)
    runner = line.one("samenmeten")
    runner.turn()
    line.now += timedelta(hours=20)
    runner.turn()
    sources.observations.append(observation("LTD_1-9-pm25_kal", hour_before(NOW, 2), 7.5))
    line.now += timedelta(hours=10)
    for _ in range(6):
        runner.turn()
        line.now += 5 * MINUTE
    assert [one[3] for one in line.readings() if one[3] == 7.5] == [7.5]


@pytest.mark.parametrize(("where", "name"), [("observations", "result"), ("things", "name")])
def test_entities_of_another_form(line: Line, sources: Country, where: str, name: str) -> None:
    """Where none of the sensors or of the values can be read the form has changed, and the next turn asks again."""
    citizens(sources, 3)
    good = getattr(sources, where)
    setattr(sources, where, [{"other" if key == name else key: value for key, value in one.items()} for one in good])
    runner = line.one("samenmeten")
    runner.turn()
    assert (runner.counts.events["form_changes", ""], runner.counts.failures) == (1, 1)
    setattr(sources, where, good)
    runner.turn()
    assert len(line.readings()) == 4


def test_parameter_that_nobody_knows(line: Line, sources: Country) -> None:
    """A new parameter becomes a dead letter; the sensor's other values come through."""
    citizens(sources, 3)
    sources.observations.append(observation("LTD_1-5-radon", hour_before(NOW, 2), 1.0))
    runner = line.one("samenmeten")
    runner.turn()
    batch = decode(line.arrived())
    assert (len(batch), len(batch.dead_letters)) == (4, 1)


# Sensor.Community


def test_overlapping_snapshots(line: Line, sources: Country) -> None:
    """A snapshot holds five minutes and comes every two: each measurement in the area is published once."""
    runner = line.one("sensor_community")
    every = [NOW + timedelta(seconds=145 * n) for n in range(12)]
    for at in range(12):
        sources.files["static/v1/data.json"] = json.dumps(
            [
                citizen(sensor, when, *place)
                for when in every[max(0, at - 2) : at + 1]
                for sensor, place in ((1, IN), (2, OUT))
            ]
        ).encode()
        line.now = every[at] + timedelta(seconds=5)
        runner.turn()
    found = line.readings()
    assert len(found) == len(set(found)) == 12
    assert {one[0] for one in found} == {"sensor_community/1"}
    assert runner.counts.newest == every[-1].timestamp()


def test_country_of_a_snapshot(line: Line, sources: Country) -> None:
    """Without an area the Dutch part of the world is published."""
    abroad = citizen(3, NOW, 13.4, 52.5)
    abroad["location"]["country"] = "DE"
    sources.files["static/v1/data.json"] = json.dumps([citizen(1, NOW, *IN), citizen(2, NOW, *OUT), abroad]).encode()
    line.one("sensor_community", area=None).turn()
    assert {one[0] for one in line.readings()} == {"sensor_community/1", "sensor_community/2"}


@pytest.mark.shared
def test_recorded_answer_of_sensor_community(line: Line, sources: Country, shared_data: Path) -> None:
    """A recorded answer, of Berlin, comes through record by record, with all of its values."""
    recorded = (shared_data / "payloads/sensorcommunity/luftdaten_ldi_upstream.json").read_bytes()
    document = json.loads(recorded)
    for record in document:
        record["location"]["country"] = "NL"
    sources.files["static/v1/data.json"] = json.dumps(document).encode()
    line.one("sensor_community", area=None).turn()
    assert len(line.arrived()) == len(document) == 5
    assert len(line.readings()) == sum(len(record["sensordatavalues"]) for record in document)
