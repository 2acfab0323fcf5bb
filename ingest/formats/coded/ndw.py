"""
NDW's traffic minutes: DATEX II v2.3 and v3 site measurements.

A message is a MeasuredDataPublication, or one `siteMeasurements` of it (`ingest.files.recordings` sends those). Every
flow and speed becomes a reading; what its index means is in the measurement-site table, else in the supplier's pattern
(`ingest.formats.coded.ndw_layouts`). A stamp is the start of the minute. A flow is vehicles per hour, the reading is
the count. A speed without a vehicle is *observed, nothing to measure*, never a number, however its supplier writes it:
-1, 0 of 0 vehicles, 252 beside a flow of 0.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from math import isfinite, isnan, nan
from typing import NamedTuple

from lxml import etree

from ingest.formats.coded.ndw_layouts import FLOW, SPEED, Layout, inferred
from ingest.formats.decode import payload_format
from ingest.formats.xml import local, parsed
from ingest.vocabulary.readings import BadPayload, Flag, Message, Reading, SensorFact, Site, Unreadable
from ingest.vocabulary.values import stamp

QUANTITY = {FLOW: "vehicle_count", SPEED: "vehicle_speed"}
SUPPLIER = 5  # NDW gives every supplier an id of five characters, with which its site ids begin
MINUTE = 60
NO_SPEED = -1
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_VALUES = ("measuredValue", "physicalQuantity")


class Measured(NamedTuple):
    """One flow (vehicles per hour) or speed (km/h) as it was sent; `used` is the number of vehicles it averages."""

    at: int
    kind: str
    value: float
    used: int | None
    error: bool


@payload_format("ndw")
def ndw(message: Message) -> Iterator[Reading | SensorFact | Unreadable]:
    """
    Read the flows and speeds of one site or of a publication; a value that is no number, or an odd site, costs itself.

    Raises BadPayload for other documents.
    """
    for site in _sites(parsed(message.payload)):
        wrong: list[str] = []
        try:
            yield from _site(site, message.sites, wrong)
        except BadPayload as error:
            wrong.append(str(error))
        if wrong:
            yield Unreadable(etree.tostring(site, with_tail=False), "; ".join(dict.fromkeys(wrong)))


def _sites(root: etree._Element) -> Iterator[etree._Element]:
    if local(root) == "siteMeasurements":
        return iter((root,))
    for element in root.iter():
        if local(element) in ("payloadPublication", "payload"):
            _check_publication(element)
            return (child for child in element if local(child) == "siteMeasurements")
    raise BadPayload(f"XML of {local(root)!r}, expected a MeasuredDataPublication or one siteMeasurements")


def _check_publication(publication: etree._Element) -> None:
    kind = publication.get(_TYPE, "without a type").rpartition(":")[2]
    if kind != "MeasuredDataPublication":
        raise BadPayload(f"publication {kind}, expected MeasuredDataPublication")
    for child in publication:
        if local(child) == "publicationCreator":
            check_creator(child)


def check_creator(creator: etree._Element) -> None:
    """Refuse a publication of another country; raises BadPayload."""
    for inner in creator:
        if local(inner) == "country" and inner.text != "nl":
            # A French stamp is neither the start nor the end of its six minutes, and only a site table gives the six.
            raise BadPayload(f"publication of country {inner.text!r}, expected nl: its periods are unknown")


def _site(element: etree._Element, sites: Mapping[str, Site], wrong: list[str]) -> Iterator[Reading | SensorFact]:
    site_id, version, start, values = _read(element, wrong)
    site = sites.get(site_id)
    name, lon, lat = (site.name, site.lon, site.lat) if site is not None else (None, None, None)
    if site is not None and site.version == version:
        yield SensorFact(f"ndw/{site_id}", name, lon, lat, site.lanes)
        places = _by_table(values, site)
    else:
        layout = _inferred(site_id, values)
        yield SensorFact(f"ndw/{site_id}", name, lon, lat, layout and layout.lanes, inferred=layout is not None)
        places = {index: (channel, MINUTE) for index, channel in (layout.channels if layout else {}).items()}
    yield from _readings(f"ndw/{site_id}", start, values, places)


def _read(element: etree._Element, wrong: list[str]) -> tuple[str, str, datetime, list[Measured]]:
    parts: dict[str, etree._Element] = {}
    values: list[Measured] = []
    for child in element:
        if (name := local(child)) in _VALUES:
            values += _measured(child, wrong)
        else:
            parts[name] = child
    reference, stamped = parts.get("measurementSiteReference"), parts.get("measurementTimeDefault")
    if reference is None or not (site_id := reference.get("id")):
        raise BadPayload("siteMeasurements without the id of its site, expected measurementSiteReference with an id")
    if stamped is None:
        raise BadPayload(f"no measurementTimeDefault at site {site_id!r}")
    values.sort()
    for one, following in pairwise(values):
        if one[:2] == following[:2]:
            raise BadPayload(f"index {one.at} twice at site {site_id!r}, expected each once")
    return site_id, reference.get("version", ""), _start(stamped), values


def _start(element: etree._Element) -> datetime:
    text = element.text
    for child in element:
        if local(child) == "timeMeaning" and child.text != "beginTime":
            raise BadPayload(f"timeMeaning {child.text!r}, expected beginTime")
        if local(child) == "timeValue":
            text = child.text
    return stamp((text or "").strip(), "measurementTimeDefault")


def _measured(element: etree._Element, wrong: list[str]) -> Iterator[Measured]:
    """Give what one index holds; a value that is no number is NaN, so that it keeps its place among the lanes."""
    kind, value, used, error = "", None, None, False
    for inner in element.iter():
        name = local(inner)
        if name in ("vehicleFlowRate", "speed"):
            value = inner.text
        elif name in ("vehicleFlow", "averageVehicleSpeed"):
            kind = FLOW if name == "vehicleFlow" else SPEED
            used = inner.get("numberOfInputValuesUsed")
        elif name == "dataError":
            error = inner.text in ("true", "1")
    index = element.get("index", "")
    try:
        measured = Measured(int(index), kind, float(value or ""), None if used is None else int(used), error)
        if isfinite(measured.value):
            yield measured
            return
    except ValueError:
        pass
    if kind and index.isdecimal():
        yield Measured(int(index), kind, nan, None, error)
    basic = (inner.get(_TYPE, "") for inner in element.iter() if local(inner) == "basicData")
    held = (", ".join(basic) or "nothing") if value is None else f"{value!r} from {used!r} input values"
    wrong.append(f"index {index!r} holds {held}, expected a number for a flow or a speed")


Place = tuple[str, int]  # channel and period in s


def _by_table(values: list[Measured], site: Site) -> dict[str, Place]:
    """Places by the site table; of two indexes with the same channel and quantity the second keeps its index."""
    places: dict[str, Place] = {}
    taken = set()
    for one in values:
        known = site.layout.get(str(one.at))
        if known is None:
            continue
        is_first = known.quantity == QUANTITY[one.kind] and known[:2] not in taken
        places[str(one.at)] = (known.channel if is_first else f"index{one.at}", known.period)
        if is_first:
            taken.add(known[:2])
    return places


def _inferred(site_id: str, values: list[Measured]) -> Layout | None:
    if not values or values[0].at != 1 or values[-1].at != len(values):
        return None
    return inferred(site_id[:SUPPLIER], "".join([one.kind for one in values]))


def _readings(
    sensor_id: str, start: datetime, values: list[Measured], places: Mapping[str, Place]
) -> Iterator[Reading]:
    placed = [(one, *places.get(str(one.at), (f"index{one.at}", MINUTE))) for one in values]
    counts = {
        channel: one.value * period / 3600
        for one, channel, period in placed
        if one.kind == FLOW and not one.error and one.value >= 0
    }
    for one, channel, period in placed:
        if isnan(one.value):
            continue
        state = _count(one, period) if one.kind == FLOW else _speed(one, counts.get(channel))
        yield Reading(sensor_id, channel, QUANTITY[one.kind], period, start, *state)


State = tuple[float | None, float, None, int]
_NOTHING: State = (None, 0.0, None, 0)
_FAILED: State = (None, 0.0, None, Flag.SOURCE_ERROR.value)


def _count(flow: Measured, period: int) -> State:
    if flow.value < 0 or (flow.error and not flow.value):
        return _FAILED
    return flow.value * period / 3600, 1.0, None, Flag.SOURCE_ERROR.value if flow.error else 0


def _speed(speed: Measured, count: float | None) -> State:
    if speed.error and speed.value <= 0:
        return _FAILED
    vehicles = speed.used or (speed.used if count is None else count)
    if speed.value == NO_SPEED or vehicles == 0 or (speed.value == 0 and not speed.used):
        return _NOTHING
    if speed.value < 0:
        return _FAILED
    weight = 1.0 if vehicles is None else float(vehicles)
    return speed.value, weight, None, Flag.SOURCE_ERROR.value if speed.error else 0
