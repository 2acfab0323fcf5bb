"""
NDW's traffic minutes, and what other countries publish likewise: DATEX II v2.3 and v3 site measurements.

A message is a MeasuredDataPublication, or one `siteMeasurements` of it (`ingest.files.recordings` sends those). Every
flow and speed becomes a reading; what its index means is in the measurement-site table, else in the pattern of its
supplier: `datex2.toml` has these, and who publishes. NDW's stamp is the start of the minute. A flow is vehicles per
hour, the reading is the count. A speed without a vehicle is *observed, nothing to measure*, never a number, however its
supplier writes it: -1, 0 of 0 vehicles, 252 beside a flow of 0.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import lru_cache, partial
from itertools import pairwise
from math import isfinite, nan
from typing import NamedTuple

import msgspec
from lxml import etree

from ingest.formats.decode import FORMATS
from ingest.formats.states import FAILED, NOTHING, State
from ingest.formats.xml import local, parsed
from ingest.vocabulary.readings import BadPayload, Flag, Message, Reading, SensorFact, Site, Unreadable
from ingest.vocabulary.values import shipped_toml, stamp

FLOW, SPEED = "F", "S"
QUANTITY = {FLOW: "vehicle_count", SPEED: "vehicle_speed"}
SUPPLIER = 5  # NDW gives every supplier an id of five characters, with which its site ids begin
NO_SPEED = -1
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_VALUES = ("measuredValue", "physicalQuantity")
_KINDS = {"vehicleFlow": FLOW, "averageVehicleSpeed": SPEED}


class Publisher(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose publications a source reads; `datex2.toml` says what the fields are."""

    country: str
    period: int = 60
    offset: int = 0
    channels: Mapping[str, str] = {}


class Pattern(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The flows and speeds of one lane in their order, the classes of which it has one of each, and who sends it."""

    lane: str
    classes: list[str]
    suppliers: list[str]
    evidence: str


_data = shipped_toml(__file__, "datex2.toml")
PUBLISHERS = msgspec.convert(_data["publisher"], dict[str, Publisher])  # by their sources
_PATTERNS = msgspec.convert(_data["layout"], list[Pattern])


class Measured(NamedTuple):
    """One flow (vehicles per hour) or speed (km/h) as it was sent; `used` is the number of vehicles it averages."""

    at: int
    kind: str
    value: float
    used: int | None
    error: bool


def measured(source: str, message: Message) -> Iterator[Reading | SensorFact | Unreadable]:
    """
    Read the flows and speeds of one site or of a publication; a value that is no number, or an odd site, costs itself.

    Raises BadPayload for other documents.
    """
    for site in _sites(parsed(message.payload), PUBLISHERS[source]):
        wrong: list[str] = []
        try:
            yield from _site(site, source, message.sites, wrong)
        except BadPayload as error:
            wrong.append(str(error))
        if wrong:
            yield Unreadable(etree.tostring(site, with_tail=False), "; ".join(dict.fromkeys(wrong)))


FORMATS.update((source, partial(measured, source)) for source in PUBLISHERS)


def _sites(root: etree._Element, publisher: Publisher) -> Iterator[etree._Element]:
    if local(root.tag) == "siteMeasurements":
        return iter((root,))
    publication = next(root.iter("{*}payloadPublication", "{*}payload"), None)
    if publication is None:
        raise BadPayload(f"XML of {local(root.tag)!r}, expected a MeasuredDataPublication or one siteMeasurements")
    kind = publication.get(_TYPE, "without a type").rpartition(":")[2]
    if kind != "MeasuredDataPublication":
        raise BadPayload(f"publication {kind}, expected MeasuredDataPublication")
    for creator in publication.iterfind("{*}publicationCreator"):
        check_creator(creator, publisher)
    return publication.iterfind("{*}siteMeasurements")


def check_creator(creator: etree._Element, publisher: Publisher) -> None:
    """Refuse a publication of another country, whose periods are others; raises BadPayload."""
    country = creator.findtext("{*}country", publisher.country)
    if country != publisher.country:
        raise BadPayload(f"publication of country {country!r}, expected {publisher.country}: its periods differ")


def _site(
    element: etree._Element, source: str, sites: Mapping[str, Site], wrong: list[str]
) -> list[Reading | SensorFact]:
    publisher = PUBLISHERS[source]
    site_id, version, start, values = _read(element, wrong)
    site = sites.get(site_id)
    name, lon, lat = (site.name, site.lon, site.lat) if site is not None else (None, None, None)
    if site is not None and site.version == version:
        places, lanes, is_inferred = _by_table(values, site), site.lanes, False
    else:
        is_whole = bool(values) and values[0].at == 1 and values[-1].at == len(values)
        kinds = "".join([one.kind for one in values]) if is_whole else ""
        places, lanes, is_inferred = _by_pattern(source, site_id[:SUPPLIER], kinds)
    fact = SensorFact(f"{source}/{site_id}", name, lon, lat, lanes, is_inferred)
    begin = start + timedelta(seconds=publisher.offset)
    return [fact, *_readings(fact.sensor_id, begin, values, places, publisher.period)]


def _read(element: etree._Element, wrong: list[str]) -> tuple[str, str, datetime, list[Measured]]:
    children = [(local(child.tag), child) for child in element]
    named = dict(reversed(children))
    reference, stamped = named.get("measurementSiteReference"), named.get("measurementTimeDefault")
    if reference is None or not (site_id := reference.get("id")):
        raise BadPayload("siteMeasurements without the id of its site, expected measurementSiteReference with an id")
    if stamped is None:
        raise BadPayload(f"no measurementTimeDefault at site {site_id!r}")
    found = filter(None, [_measured(child, wrong) for name, child in children if name in _VALUES])
    values = sorted(found, key=lambda one: one[:2])
    for one, following in pairwise(values):
        if one.at == following.at and one.kind == following.kind:
            raise BadPayload(f"index {one.at} twice at site {site_id!r}, expected each once")
    return site_id, reference.get("version", ""), _start(stamped), values


def _start(element: etree._Element) -> datetime:
    inner = {local(one.tag): one.text or "" for one in element}
    if (meaning := inner.get("timeMeaning", "beginTime")) != "beginTime":
        raise BadPayload(f"timeMeaning {meaning!r}, expected beginTime")
    return stamp(inner.get("timeValue", element.text or "").strip(), "measurementTimeDefault")


def _measured(element: etree._Element, wrong: list[str]) -> Measured | None:
    """Give what one index holds; a value that is no number is NaN, so that it keeps its place among the lanes."""
    kind, value, used, error = "", None, None, False
    for inner in element.iter():
        name = local(inner.tag)
        if name in ("vehicleFlowRate", "speed"):
            value = inner.text
        elif name in _KINDS:
            kind, used = _KINDS[name], inner.get("numberOfInputValuesUsed")
        elif name == "dataError":
            error = inner.text in ("true", "1")
    index = element.get("index", "")
    try:
        if isfinite(number := float(value or "")):
            return Measured(int(index), kind, number, None if used is None else int(used), error)
    except ValueError:
        pass
    basic = (inner.get(_TYPE, "") for inner in element.iter() if local(inner.tag) == "basicData")
    held = (", ".join(basic) or "nothing") if value is None else f"{value!r} from {used!r} input values"
    wrong.append(f"index {index!r} holds {held}, expected a number for a flow or a speed")
    return Measured(int(index), kind, nan, None, error) if kind and index.isdecimal() else None


Place = tuple[str, int]  # channel and period in s


def _by_table(values: list[Measured], site: Site) -> Mapping[str, Place]:
    """Places by the site table; of two indexes with the same channel and quantity the second keeps its index."""
    places: dict[str, Place] = {}
    taken = set()
    for one in values:
        if (known := site.layout.get(str(one.at))) is not None:
            is_first = known.quantity == QUANTITY[one.kind] and known[:2] not in taken
            places[str(one.at)] = (known.channel if is_first else f"index{one.at}", known.period)
            if is_first:
                taken.add(known[:2])
    return places


@lru_cache(maxsize=4096)
def _by_pattern(source: str, supplier: str, kinds: str) -> tuple[Mapping[str, Place], int | None, bool]:
    """Give places by the pattern of the supplier, how many lanes it has, and whether one is known."""
    publisher, known = PUBLISHERS[source], inferred(supplier, kinds)
    places = {index: (channel, publisher.period) for index, channel in (known or publisher.channels).items()}
    lanes = len({channel.partition("/")[0] for channel in known.values()}) if known else None
    return places, lanes, known is not None


def inferred(supplier: str, kinds: str) -> Mapping[str, str] | None:
    """
    Give the channels by index of a site that sends `kinds` ("F" flow, "S" speed, from index 1); None: nothing is known.

    >>> inferred("RWS01", "FSFS")
    {'1': 'lane1/any', '2': 'lane1/any', '3': 'lane2/any', '4': 'lane2/any'}
    >>> inferred("PGR08", "FSFS") is None
    True
    """
    for pattern in _PATTERNS:
        size = len(pattern.lane)
        lanes, rest = divmod(len(kinds), size)
        if supplier in pattern.suppliers and lanes and not rest and pattern.lane * lanes == kinds:
            names = pattern.classes * 2 * lanes
            return {str(at + 1): f"lane{at // size + 1}/{name}" for at, name in enumerate(names)}
    return None


def _readings(
    sensor_id: str, start: datetime, values: list[Measured], places: Mapping[str, Place], usual: int
) -> Iterator[Reading]:
    placed = [(one, *places.get(str(one.at), (f"index{one.at}", usual))) for one in values]
    counts = {
        channel: one.value * period / 3600
        for one, channel, period in placed
        if one.kind == FLOW and not one.error and one.value >= 0
    }
    for one, channel, period in placed:
        if isfinite(one.value):
            value, weight, flags = _count(one, period) if one.kind == FLOW else _speed(one, counts.get(channel))
            yield Reading(sensor_id, channel, QUANTITY[one.kind], period, start, value, weight, None, flags)


def _count(flow: Measured, period: int) -> State:
    if flow.value < 0 or (flow.error and not flow.value):
        return FAILED
    return flow.value * period / 3600, 1.0, Flag.SOURCE_ERROR.value if flow.error else 0


def _speed(speed: Measured, count: float | None) -> State:
    if speed.error and speed.value <= 0:
        return FAILED
    vehicles = speed.used or (speed.used if count is None else count)
    if speed.value == NO_SPEED or vehicles == 0 or (speed.value == 0 and not speed.used):
        return NOTHING
    if speed.value < 0:
        return FAILED
    return speed.value, 1.0 if vehicles is None else float(vehicles), Flag.SOURCE_ERROR.value if speed.error else 0
