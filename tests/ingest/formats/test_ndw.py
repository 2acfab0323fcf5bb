"""NDW: the states of a speed, what an index means, hostile XML, and a whole national minute."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.files.recordings import messages
from ingest.formats.coded.ndw import inferred, measured
from ingest.formats.decode import decode
from ingest.formats.xml import opened
from ingest.vocabulary.readings import BadPayload, Flag, Message, Reading, SensorFact, Site, SiteIndex, Unreadable

NOW = datetime(2025, 8, 15, 21, 50, tzinfo=UTC)
START = "2025-08-15T21:48:00Z"
FLOW = "<vehicleFlow{used}>{error}<vehicleFlowRate>{value}</vehicleFlowRate></vehicleFlow>"
SPEED = "<averageVehicleSpeed{used}>{error}<speed>{value}</speed></averageVehicleSpeed>"
FAILED = (None, 0.0, Flag.SOURCE_ERROR)
NOTHING = (None, 0.0, 0)
COUNT = SiteIndex("lane1/any", "vehicle_count")


def value(index: int, kind: str, number: float, used: int | None = None, error: bool = False) -> str:
    """Write one measured value of the v2.3 form."""
    inner = (FLOW if kind == "F" else SPEED).format(
        value=number,
        used="" if used is None else f' numberOfInputValuesUsed="{used}"',
        error="<dataError>true</dataError>" if error else "",
    )
    return (
        f'<measuredValue index="{index}"><measuredValue><basicData>{inner}</basicData></measuredValue></measuredValue>'
    )


def site(*values: str, site_id: str = "RWS01_TEST", version: str = "1") -> bytes:
    """Write one siteMeasurements."""
    return (
        f'<siteMeasurements xmlns="http://datex2.eu/schema/2/2_0">'
        f'<measurementSiteReference id="{site_id}" version="{version}"/>'
        f"<measurementTimeDefault>{START}</measurementTimeDefault>{''.join(values)}</siteMeasurements>"
    ).encode()


def read(payload: bytes, sites: dict[str, Site] | None = None) -> list[Reading | SensorFact]:
    """Decode one message."""
    found = measured("ndw", Message("stadspuls/ndw/x", payload, NOW, sites or {}))
    return [one for one in found if not isinstance(one, Unreadable)]


def states(payload: bytes) -> list[tuple[float | None, float, int]]:
    """Give value, weight and flags of every reading."""
    return [(one.value, one.weight, one.flags) for one in read(payload) if isinstance(one, Reading)]


@pytest.mark.parametrize(
    ("flow", "speed", "expected"),
    [
        (value(1, "F", 0), value(2, "S", -1), NOTHING),
        (value(1, "F", 0), value(2, "S", 0, 0), NOTHING),
        (value(1, "F", 0), value(2, "S", 0), NOTHING),
        (value(1, "F", 0), value(2, "S", 252), NOTHING),
        (value(1, "F", 60), value(2, "S", 0, 0), NOTHING),
        (value(1, "F", 60), value(2, "S", -1), NOTHING),
        (value(1, "F", 0, error=True), value(2, "S", -1, error=True), FAILED),
        (value(1, "F", 0, error=True), value(2, "S", 0, 0, error=True), FAILED),
        (value(1, "F", 60), value(2, "S", -7), FAILED),
        (value(1, "F", 120), value(2, "S", 80), (80, 2, 0)),
        (value(1, "F", 120), value(2, "S", 80, 3), (80, 3, 0)),
        (value(1, "F", 120, error=True), value(2, "S", 80, error=True), (80, 1, Flag.SOURCE_ERROR)),
        (value(1, "F", 120, error=True), value(2, "S", 80), (80, 1, 0)),
    ],
)
def test_state_of_a_speed(flow: str, speed: str, expected: tuple[float | None, float, int]) -> None:
    """Every way to write "no vehicle" gives nothing to measure, an error fails, and a speed weighs its vehicles."""
    assert states(site(flow, speed))[1] == expected


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        (value(1, "F", 0), (0, 1, 0)),
        (value(1, "F", 1140), (19, 1, 0)),
        (value(1, "F", 0, error=True), FAILED),
        (value(1, "F", 60, error=True), (1, 1, Flag.SOURCE_ERROR)),
        (value(1, "F", -60), FAILED),
    ],
)
def test_state_of_a_flow(flow: str, expected: tuple[float | None, float, int]) -> None:
    """Vehicles per hour become the count of the minute; a zero with an error is missing, not zero."""
    assert states(site(flow))[0] == expected


@given(st.permutations(range(12)))
def test_order_of_values_does_not_matter(order: list[int]) -> None:
    """The index decides what a value is, not its place in the message."""
    values = [value(i, "F" if i <= 6 else "S", 60 * i) for i in range(1, 13)]
    expected = read(site(*values, site_id="PGR08_TEST"))
    assert read(site(*(values[at] for at in order), site_id="PGR08_TEST")) == expected
    assert expected[0] == SensorFact("ndw/PGR08_TEST", lanes=1, inferred=True)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_raise_out_of_decode(payload: bytes) -> None:
    """Whatever is published on an NDW topic is a batch or a dead letter."""
    assert len(decode([Message("stadspuls/ndw/x", payload, NOW)]).dead_letters) == 1


def test_site_table_of_the_same_version_decides() -> None:
    """Channels, places and lanes come from the table where its version fits, also against the supplier's habit."""
    known = Site("1", "A7", 6.5, 53.2, 1, {"1": COUNT, "2": COUNT._replace(quantity="vehicle_speed")})
    fact, count, speed = read(site(value(1, "F", 60), value(2, "S", 70)), {"RWS01_TEST": known})
    assert fact == SensorFact("ndw/RWS01_TEST", "A7", 6.5, 53.2, 1)
    assert isinstance(count, Reading)
    assert isinstance(speed, Reading)
    assert (count.channel, speed.channel, speed.weight) == ("lane1/any", "lane1/any", 1)


def test_site_table_of_another_version_gives_only_the_place() -> None:
    """An index of version 2 is not read with the table of version 1; lanes are then inferred, and marked as such."""
    known = Site("1", "A7", 6.5, 53.2, 9, {"1": COUNT._replace(channel="lane9/any")})
    fact, count, _ = read(site(value(1, "F", 60), value(2, "S", 70), version="2"), {"RWS01_TEST": known})
    assert fact == SensorFact("ndw/RWS01_TEST", "A7", 6.5, 53.2, 1, inferred=True)
    assert isinstance(count, Reading)
    assert count.channel == "lane1/any"


def test_no_series_twice_in_a_message() -> None:
    """Where a table maps two indexes to one series, the second keeps its index, so that nothing is counted twice."""
    layout = {"1": COUNT, "2": COUNT}
    known = Site("1", None, None, None, 1, layout)
    readings = read(site(value(1, "F", 60), value(2, "F", 60)), {"RWS01_TEST": known})[1:]
    assert [one.channel for one in readings if isinstance(one, Reading)] == ["lane1/any", "index2"]


def test_index_twice_costs_its_site_alone() -> None:
    """Also where only one of the two says how many vehicles there were."""
    odd, good = site(value(1, "F", 60), value(1, "F", 60, 3)), site(value(1, "F", 60), site_id="RWS01_B")
    payload = (
        b"<d><payloadPublication xmlns:x='http://www.w3.org/2001/XMLSchema-instance' x:type='MeasuredDataPublication'>"
    )
    found = list(measured("ndw", Message("stadspuls/ndw/x", payload + odd + good + b"</payloadPublication></d>", NOW)))
    assert [one.sensor_id for one in found if isinstance(one, Reading)] == ["ndw/RWS01_B"]
    assert ["index 1 twice" in one.reason for one in found if isinstance(one, Unreadable)] == [True]


def test_unknown_layout_is_not_guessed() -> None:
    """A sequence that no supplier is known for keeps its indexes, and gives no lanes."""
    assert inferred("PGR08", "FSFS") is None
    assert inferred("XYZ99", "FS") is None
    assert read(site(value(1, "F", 60), site_id="PGR08_TEST"))[0] == SensorFact("ndw/PGR08_TEST")


@pytest.mark.parametrize(
    "payload",
    [
        b'<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><siteMeasurements>&c;</siteMeasurements>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><siteMeasurements/>',
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY b "b">]><a>&b;</a>'.encode("utf-16"),
    ],
)
def test_doctype_is_refused(payload: bytes) -> None:
    """A bomb or an outside entity needs a DOCTYPE, and any DOCTYPE is refused, in whatever encoding."""
    with pytest.raises(BadPayload, match="DOCTYPE"):
        read(payload)


def test_deep_nesting_is_a_dead_letter() -> None:
    """Ten thousand elements within each other end in a dead letter, not in a crash."""
    batch = decode([Message("stadspuls/ndw/x", b"<a>" * 10_000 + b"</a>" * 10_000, NOW)])
    assert len(batch.dead_letters) == 1


@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("datex2_other/france_speeds_2026.xml", "country 'fr'"),
        ("ndw/datex2v3_drip.xml", "VmsTablePublication"),
        ("datex2_other/nl_v3_situations.xml", "SituationPublication"),
        ("ndw/MeasurementSiteTable_1site.xml", "MeasurementSiteTablePublication"),
    ],
)
def test_other_publications_are_refused_by_name(shared_data: Path, file: str, reason: str) -> None:
    """Real documents that are no Dutch site measurements are refused, saying what they are."""
    with pytest.raises(BadPayload, match=reason):
        read((shared_data / file).read_bytes())


@pytest.mark.shared
def test_a_site_of_2019(shared_data: Path) -> None:
    """An older recorded answer reads the same way: one flow of 540 vehicles per hour is 9 vehicles."""
    with opened(shared_data / "ndw/amsterdam_trafficspeed_1site_2019.xml.gz") as stream:
        assert [one.value for one in read(stream.read()) if isinstance(one, Reading)] == [9.0]


@pytest.mark.slow
@pytest.mark.shared
def test_national_minute_is_accounted_for(shared_data: Path) -> None:
    """Every one of 94,996 flows and 94,990 speeds of a national minute is a reading, in the state it was sent in."""
    recorded = [
        Message(one.topic, one.payload, NOW)
        for one in messages(shared_data / "ndw/trafficspeed_20250815T2149Z.xml.gz", "ndw")
    ]
    began = process_time()
    batches = [decode(recorded[at : at + 500]) for at in range(0, len(recorded), 500)]
    took = process_time() - began
    rows = [row for batch in batches for row in batch.readings.select(["quantity", "value", "flags"]).to_pylist()]
    seen = Counter((row["quantity"], row["value"] is not None, row["flags"]) for row in rows)
    assert seen == {
        ("vehicle_count", True, 0): 87_696,
        ("vehicle_count", True, 1): 35,
        ("vehicle_count", False, 1): 7_265,
        ("vehicle_speed", True, 0): 33_912,
        ("vehicle_speed", True, 1): 35,
        ("vehicle_speed", False, 0): 53_699,
        ("vehicle_speed", False, 1): 7_344,
    }
    assert sum(len(batch.sensors) for batch in batches) == 19_587
    assert not any(batch.dead_letters for batch in batches)
    assert all(row["value"] > 0 for row in rows if row["quantity"] == "vehicle_speed" and row["value"] is not None)
    assert took < 20, f"{took:.1f} s of processor time for a national minute, expected a few"


@pytest.mark.shared
def test_any_is_the_sum_of_its_classes_in_groningen(shared_data: Path) -> None:
    """In the inferred layout of the province of Groningen, `any` equals its classes wherever there is traffic."""
    path = shared_data / "ndw/trafficspeed_20250815T2149Z_PGR_subset.xml.gz"
    lanes: dict[tuple[str, str], Counter[str]] = {}
    for one in messages(path, "ndw"):
        for reading in read(one.payload):
            if isinstance(reading, Reading) and reading.quantity == "vehicle_count" and reading.value:
                lane, _, kind = reading.channel.partition("/")
                counted = lanes.setdefault((reading.sensor_id, lane), Counter())
                counted["any" if kind == "any" else "classes"] += int(reading.value)
    differ = [lane for lane, counted in lanes.items() if counted["any"] != counted["classes"]]
    assert len(lanes) > 90
    assert len(differ) / len(lanes) < 0.04
