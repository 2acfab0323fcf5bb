"""One value broken in any way costs the readings made of it, and no other: in every format with code."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.formats.decode import decode
from ingest.vocabulary.readings import Message
from tests.conftest import CASES

NOW = datetime(2026, 5, 4, 9, tzinfo=UTC)
ODD: st.SearchStrategy[Any] = st.sampled_from(
    ["Preheating", "NaN", "-", "1,5", "<1.2", "9" * 400, "1e999", "\u00e9", None, True, {}, [1], float("nan"), 10**400]
)
WORD = st.sampled_from(["Preheating", "NaN", "nan", "-", "1,5", "<1.2", "inf", "1e999", "12 34", "\u00e9", "0x1F"])


@lru_cache(100)  # what is whole is asked about in every example
def rows(topic: str, payload: str | bytes) -> Counter[str]:
    """Count the readings of a message."""
    raw = payload if isinstance(payload, bytes) else payload.encode()
    return Counter(map(str, decode([Message(topic, raw, NOW)]).readings.to_pylist()))


def lost(topic: str, before: str | bytes, after: str | bytes) -> int:
    """Count the readings that are no more; every dead letter is refused again."""
    gone = rows(topic, before) - rows(topic, after)
    raw = after if isinstance(after, bytes) else after.encode()
    letters = decode([Message(topic, raw, NOW)]).dead_letters
    assert letters or not gone or rows(topic, after)
    for letter in letters:
        again = decode([Message(letter.topic, letter.payload, NOW)]).dead_letters
        assert again, letter
    return gone.total()


READINGS: list[dict[str, Any]] = [
    {"quantity": quantity, "start": f"2026-05-04T0{hour}:00:00Z", "period": 3600, "value": hour, "channel": "x"}
    for quantity in ("pm10", "temperature")
    for hour in (6, 7)
]


@given(st.integers(0, 3), st.sampled_from(sorted(READINGS[0])), ODD)
def test_own_json(at: int, member: str, odd: Any) -> None:
    """A reading with a broken member is lost alone, in a list and in a document with facts."""
    broken = [{**one, member: odd} if index == at else one for index, one in enumerate(READINGS)]
    topic = "stadspuls/stadspuls/x"
    for head in ({"sensor_id": "s"}, {"sensor_id": "s", "name": "n", "lon": 6.5}):
        before, after = (json.dumps({**head, "readings": one}) for one in (READINGS, broken))
        assert lost(topic, before, after) <= 1
    before, after = (json.dumps([{"sensor_id": "s", **one} for one in every]) for every in (READINGS, broken))
    assert lost(topic, before, after) <= 1


@given(st.sampled_from(["name", "lon", "lat", "indoor", "lanes", "interval"]), ODD)
def test_fact_of_own_json(member: str, odd: Any) -> None:
    """A fact that is none costs no reading."""
    head: dict[str, Any] = {"sensor_id": "s", "name": "n", "lon": 6.5, "lat": 53.2}
    before, after = (json.dumps({**head, **broken, "readings": READINGS}) for broken in ({}, {member: odd}))
    assert lost("stadspuls/stadspuls/x", before, after) == 0


def test_not_a_number_in_own_json() -> None:
    """NaN, which is no JSON, is refused alone; a mark before and a NUL behind the text change nothing."""
    text = json.dumps([{"sensor_id": "s", **one} for one in READINGS])
    payload = b"\xef\xbb\xbf" + text.replace('"value": 6', '"value": nan', 1).encode() + b"\0"
    batch = decode([Message("stadspuls/stadspuls/x", payload, NOW)])
    assert batch.readings["value"].to_pylist() == [7, 6, 7]
    assert [letter.reason for letter in batch.dead_letters] == ["value 'NaN', expected a finite number"]


COUNTS: dict[str, Any] = {"car_lft": 4, "car_rgt": 6, "bike_lft": 2, "bike_rgt": 8, "v85": 40.5}
REPORT = {"interval": "hourly", "uptime": 0.5, **COUNTS}
HOURS: list[dict[str, Any]] = [{"segment_id": 9, "date": f"2026-05-04T0{hour}:00:00Z", **REPORT} for hour in (5, 6, 7)]


@given(st.integers(0, 2), st.sampled_from(sorted(REPORT)), ODD)
def test_telraam(at: int, member: str, odd: Any) -> None:
    """A broken count is lost alone, what says of which hour and segment it is costs that report."""
    broken = [{**one, member: odd} if index == at else one for index, one in enumerate(HOURS)]
    most = 1 if member in COUNTS else 5
    assert lost("stadspuls/telraam/x", json.dumps(HOURS), json.dumps(broken)) <= most
    assert lost("stadspuls/telraam/x", json.dumps({"report": HOURS}), json.dumps({"report": broken})) <= most


def cells(name: str, delimiter: str) -> tuple[str, list[list[str]]]:
    """Give topic and cells of a case."""
    text = (CASES / name / "payload").read_bytes().decode("latin-1")
    return (CASES / name / "topic").read_text(), [line.split(delimiter) for line in text.splitlines() if line]


def joined(lines: Sequence[Sequence[str]], delimiter: str) -> bytes:
    """Write them again."""
    return "\n".join(delimiter.join(line) for line in lines).encode("latin-1")


@given(st.data(), WORD)
def test_dexter(data: st.DataObject, odd: str) -> None:
    """A broken cell costs its row, and a broken speed the speed alone."""
    topic, lines = cells("dexter-hour", ",")
    row = data.draw(st.integers(1, len(lines) - 1))
    column = data.draw(st.integers(0, len(lines[0]) - 1))
    broken = [[*line] for line in lines]
    broken[row][column] = f'"{odd}"'
    most = 1 if "snelheid" in lines[0][column] else 2
    assert lost(topic, joined(lines, ","), joined(broken, ",")) <= most


@pytest.mark.parametrize("name", ["luchtmeetnet-csv-month", "luchtmeetnet-csv-year", "luchtmeetnet-csv-nox"])
@given(data=st.data(), odd=WORD)
def test_luchtmeetnet_file(name: str, data: st.DataObject, odd: str) -> None:
    """A broken cell is lost alone; the name of the component, the unit and the times cost their row."""
    topic, lines = cells(name, ";")
    row = data.draw(st.integers(10, len(lines) - 1))
    column = data.draw(st.integers(0, len(lines[row]) - 1))
    broken = [[*line] for line in lines]
    broken[row][column] = odd
    most = 1 if column >= 5 else len(lines[row]) - 5
    assert lost(topic, joined(lines, ";"), joined(broken, ";")) <= most


SITE = """<siteMeasurements xmlns="http://datex2.eu/schema/2/2_0">
<measurementSiteReference id="RWS01_TEST_{site}" version="1"/>
<measurementTimeDefault>2026-05-04T08:00:00Z</measurementTimeDefault>{values}</siteMeasurements>"""
FLOW = "<vehicleFlow><vehicleFlowRate>{}</vehicleFlowRate></vehicleFlow>"
SPEED = "<averageVehicleSpeed><speed>{}</speed></averageVehicleSpeed>"
VALUE = '<measuredValue index="{}"><measuredValue><basicData>{}</basicData></measuredValue></measuredValue>'
PUBLICATION = """<d2LogicalModel xmlns="http://datex2.eu/schema/2/2_0"
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><payloadPublication xsi:type="MeasuredDataPublication">
{}</payloadPublication></d2LogicalModel>"""


def publication(values: Sequence[str]) -> str:
    """Write two sites of two lanes each."""
    kinds = [FLOW, SPEED] * 4
    made = [VALUE.format(at % 4 + 1, kinds[at].format(escape(value))) for at, value in enumerate(values)]
    return PUBLICATION.format("".join(SITE.format(site=at, values="".join(made[at * 4 : at * 4 + 4])) for at in (0, 1)))


@given(st.integers(0, 7), WORD | st.just(""))
def test_ndw(at: int, odd: str) -> None:
    """A broken flow or speed is lost alone: the others keep their lanes. Beside a broken flow a speed has weight 1."""
    good = ["120", "50", "60", "80", "180", "40", "240", "90"]
    before = publication(good)
    after = publication([*good[:at], odd, *good[at + 1 :]])
    assert len(rows("stadspuls/ndw/x", before)) == 8
    assert lost("stadspuls/ndw/x", before, after) <= (2 if at % 2 == 0 else 1)
    assert rows("stadspuls/ndw/x", after).total() == 7


def test_ndw_site_that_cannot_be_read() -> None:
    """A site without a stamp costs itself."""
    whole = publication(["120", "50", "60", "80", "180", "40", "240", "90"])
    broken = whole.replace("<measurementTimeDefault>2026-05-04T08:00:00Z</measurementTimeDefault>", "", 1)
    assert lost("stadspuls/ndw/x", whole, broken) == 4
