"""
The hub's own JSON: one reading, a list of readings, or a document with facts about its sensor.

Anything that can write JSON can send it; `ingest.vocabulary.readings` writes it for readings that were refused,
so that they can be sent again. `stadspuls.schema.json` beside this module is the same in JSON Schema. This is the hot
path.
"""

import json
from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Any

import msgspec

from ingest.formats.decode import FORMATS, LONGEST_TEXT
from ingest.formats.documents import decoded, json_document
from ingest.vocabulary.quantities import QUANTITIES, convert
from ingest.vocabulary.readings import BadPayload, Flag, Message, Reading, SensorFact, Status, Unreadable
from ingest.vocabulary.sources import HUB, OWN, SOURCES, rounded, source_of_sensor, source_of_topic
from ingest.vocabulary.values import number, stamp, status_of, version_of

ANY_FLAG = sum(Flag)
FLAGS = ", ".join(str(flag.name).lower() for flag in Flag)


class Sent(msgspec.Struct):
    """One reading as it is sent; fields that are not named here are ignored."""

    quantity: str
    start: str
    value: float | str | None
    sensor_id: str | None = None
    channel: str = ""
    unit: str | None = None
    period: int = 0
    weight: float | str | None = None
    covers: float | None = None
    flags: int | list[str] = 0
    status: str | None = None
    version: int | str = 0


class Document(msgspec.Struct):
    """Readings with what they have in common: their sensor, and facts about it."""

    readings: list[Sent]
    sensor_id: str | None = None
    name: str | None = None
    lon: Annotated[float, msgspec.Meta(ge=-180, le=180)] | None = None
    lat: Annotated[float, msgspec.Meta(ge=-90, le=90)] | None = None
    indoor: bool | None = None
    lanes: Annotated[int, msgspec.Meta(ge=1)] | None = None
    interval: Annotated[float, msgspec.Meta(gt=0)] | None = None


_one = msgspec.json.Decoder(Sent)
_many = msgspec.json.Decoder(list[Sent])
_document = msgspec.json.Decoder(Document)
_FACTS = [name for name in Document.__struct_fields__ if name != "readings"]
_UNFIT = (msgspec.ValidationError, OverflowError, ValueError)


def stadspuls(message: Message) -> Iterator[Reading | SensorFact | Unreadable]:
    """
    Read own JSON; a reading or fact with a field that is missing, of the wrong kind, or impossible costs itself.

    Raises BadPayload for what is no such JSON.
    """
    payload, letters = message.payload, iter(list[Unreadable]())
    try:
        if payload.lstrip()[:1] == b"[":
            document = Document(_many.decode(payload))
        elif b'"readings"' in payload:
            document = _document.decode(payload)
        else:
            document = Document([_one.decode(payload)])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        document, letters = _by_member(payload, error)
    try:
        yield from _facts(document, message.topic)
    except BadPayload as error:
        yield Unreadable(payload, str(error))
    for one in document.readings:
        try:
            yield _reading(one, document, message.topic)
        except BadPayload as error:
            yield _alone(document.sensor_id, document.interval, msgspec.to_builtins(one), str(error))
    yield from letters


FORMATS[OWN] = stadspuls


def _by_member(payload: bytes, error: Exception) -> tuple[Document, Iterator[Unreadable]]:
    """Read a document member by member, because of an error in it, and JSON that is none, as far as is safe."""
    try:
        given = json_document(decoded(payload, "utf-8").strip("\ufeff\0"), odd=str)
    except BadPayload as wrong:
        raise BadPayload(_said(wrong.__cause__ or error)) from error
    every = given.get("readings", [given]) if isinstance(given, dict) else given
    if not isinstance(every, list):
        raise BadPayload(_said(error)) from error
    made, letters, odd = Document([]), [], []
    for name in _FACTS if isinstance(given, dict) and "readings" in given else ():
        try:
            setattr(made, name, getattr(msgspec.convert({"readings": [], name: given.get(name)}, Document), name))
        except _UNFIT as wrong:
            letters.append(Unreadable(json.dumps({name: given[name], "readings": []}).encode(), _said(wrong)))
    if None in (made.lon, made.lat):
        made.lon = made.lat = None
    for one in every:
        try:
            made.readings.append(msgspec.convert(one, Sent))
        except _UNFIT as wrong:
            odd.append((one, _said(wrong)))
    return made, chain(letters, (_alone(made.sensor_id, made.interval, *one) for one in odd))


def _said(error: BaseException) -> str:
    return f"not the hub's own JSON: {error}"


def _alone(sensor_id: str | None, interval: float | None, one: Any, reason: str) -> Unreadable:
    """Write a reading with what stood beside it, so that it can be published again."""
    return Unreadable(json.dumps({"sensor_id": sensor_id, "interval": interval, "readings": [one]}).encode(), reason)


def _reading(sent: Sent, document: Document, topic: str) -> Reading:
    value, covers = sent.value, sent.covers
    if isinstance(value, str):
        value = number(value, "value")
    if value is not None and sent.unit is not None and sent.quantity in QUANTITIES:  # else it is refused later, alone
        value = convert(value, sent.unit, QUANTITIES[sent.quantity])
    if covers is None and not sent.period:
        covers = document.interval
    return Reading(
        full_id(sent.sensor_id or document.sensor_id, topic), sent.channel, sent.quantity, sent.period,
        stamp(sent.start, "start"), value, _weight(sent.weight, value), covers,
        sent.flags if sent.flags == 0 else _flags(sent.flags),
        Status.PROVISIONAL if sent.status is None else status_of(sent.status),
        sent.version if isinstance(sent.version, int) else version_of(sent.version),
    )  # fmt: skip


def full_id(sensor_id: str | None, topic: str) -> str:
    """
    Name a sensor in full: its source is the topic's, and only the hub itself sends for sensors of any source.

    >>> full_id("meter 4", "stadspuls/stadspuls/x"), full_id("ndw/PGR08", "stadspuls/hub/refused")
    ('stadspuls/meter 4', 'ndw/PGR08')
    """
    if not sensor_id:
        raise BadPayload("no sensor_id, expected one in the reading or beside its readings")
    sensor_id = sensor_id[: 2 * LONGEST_TEXT]  # is refused, and not repeated in full by each reading
    source, _, rest = sensor_id.partition("/")
    expected = source_of_topic(topic) or OWN
    if not rest or source not in SOURCES:
        return f"{expected}/{sensor_id}"
    if source != expected and not topic.startswith(HUB):
        raise BadPayload(f"sensor {sensor_id[:100]!r} of source {source}, expected one of {expected} on this topic")
    return sensor_id


def _weight(weight: float | str | None, value: float | None) -> float:
    if weight is None:
        return 1.0 if value is not None else 0.0
    return number(weight, "weight") if isinstance(weight, str) else weight


def _flags(flags: int | list[str]) -> int:
    if isinstance(flags, int):
        if flags & ~ANY_FLAG:
            raise BadPayload(f"flags {flags}, expected bits within {ANY_FLAG}")
        return flags
    total = 0
    for name in flags:
        try:
            total |= Flag[name.upper()]
        except KeyError:
            raise BadPayload(f"flag {name[:50]!r}, expected one of {FLAGS}") from None
    return int(total)


def _facts(document: Document, topic: str) -> Iterator[SensorFact]:
    facts = (document.name, document.lon, document.lat, document.indoor, document.lanes, document.interval)
    if all(fact is None for fact in facts):
        return
    named = {one.sensor_id for one in document.readings} if document.sensor_id is None else {document.sensor_id}
    if len(named) != 1:
        raise BadPayload(f"facts beside readings of {len(named)} sensors, expected a sensor_id beside them")
    sensor_id = full_id(named.pop(), topic)
    lon, lat = rounded(source_of_sensor(sensor_id), document.lon, document.lat)
    yield SensorFact(sensor_id, document.name, lon, lat, document.lanes,
                     interval=document.interval, indoor=document.indoor)  # fmt: skip
