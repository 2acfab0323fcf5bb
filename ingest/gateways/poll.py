"""
Polls a source by its definition: asks, reads the records of every page, and publishes those that are new.

`ingest.gateways.definition` says what a definition holds, and which stretches of time are due.
"""

import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlsplit

import msgspec

from ingest.files.sections import topic_of
from ingest.formats.cells import figure
from ingest.formats.pointers import Pointers, Where
from ingest.formats.stamps import ends, iso
from ingest.gateways.definition import Definition, Looks, Places, Question, Record
from ingest.gateways.turn import Measurement, Turn
from ingest.gateways.web import FormChanged, SourceUnreachable, document
from ingest.vocabulary.readings import BadPayload
from ingest.vocabulary.values import stamp

PAGES = 2_000  # of one question; more is a faulty answer

T = TypeVar("T")
Place = tuple[float, ...]  # longitude and latitude in degrees, and when it was asked for (s since 1970)
Known = dict[str, Place]  # by sensor


class Found(NamedTuple):
    """One record of an answer; `version` is "" where it corrects nothing, `place` None where it does not say it."""

    sensor: str
    version: str
    place: Place | None
    measurement: Measurement


def poll(spec: Definition, turn: Turn) -> None:
    """Do a turn: one question, or one for each stretch of time that is due."""
    known = turn.memory.note("places", Known, {})
    if spec.places and spec.places.sensor:
        _list(spec.places, turn, known)
    if spec.windows is None:
        _publish(spec, turn, known, {})
        return
    looks = turn.memory.note("windows", Looks, {})
    since = turn.memory.note("since", datetime, turn.now - spec.windows.first)
    turn.memory.learn("since", since)
    for span in spec.windows.due(looks, since, turn.now):
        holes = {"begin": span[0], "end": span[1], "until": min(span[1], turn.now)}
        some, whole = _publish(spec, turn, known, holes)
        spec.windows.looked(looks, span, turn.now, some=some, whole=whole)
    turn.memory.write("windows", spec.windows.remembered(looks, turn.now))


def _publish(spec: Definition, turn: Turn, known: Known, holes: Mapping[str, Any]) -> tuple[bool, bool]:
    """Ask one question and publish what is new; tell whether there was something, and whether all could be used."""
    groups: dict[tuple[str, str], list[Found]] = defaultdict(list)
    holes = {**holes, "filter": f" and ({spec.filter})" if spec.filter else ""}
    some, whole = False, True
    for one in turn.readable(_pages(turn, spec.ask, holes), partial(_read, spec.record, turn, known)):
        some = True
        if one is not None:
            groups[one.sensor, one.version].append(one)
    for (sensor, version), every in groups.items():
        place, topic = known.get(sensor), topic_of(spec.source, sensor)
        if spec.places and not spec.places.sensor:
            place = _asked(spec.places, turn, known, sensor, topic)
            whole = whole and place is not None
        wanted = [one.measurement for one in every if turn.covers(one.place or place)]
        for part in [wanted] if spec.around else [[one] for one in wanted]:
            turn.publish(f"{topic}?version={version}" if version else topic, part, *(spec.around or ("", "")))
    return some, whole


def _read(spec: Record, turn: Turn, known: Known, raw: msgspec.Raw) -> Found | None:
    """Read a record, None for one that is not wanted; raises BadPayload."""
    document = msgspec.json.decode(raw, type=dict[str, Any]) | {"asked": f"{turn.now:%Y-%m-%dT%H:%M:%SZ}"}
    document |= spec.parse.named(Where(document))
    where = Where(document)
    place = _degrees(spec, where)
    is_skipped = (spec.skip.all and spec.skip.hold(where)) or (turn.region is None and not spec.country.hold(where))
    if is_skipped or (place and not turn.covers(place)):
        return None
    sensor, key = spec.sensor.fill(where), spec.key.fill(where)
    if sensor is None or key is None:
        raise BadPayload(f"a record without {spec.sensor} or {spec.key}, expected both")
    marks = [_first(pointers, where) for pointers in spec.mark]
    mark = " ".join(map(repr, marks)) if marks else f"{zlib.crc32(raw):x}"
    found = _first(spec.stamp, where)
    text = iso(found, spec.epoch) if spec.epoch else max(ends(str(found)))
    when = stamp(text, str(spec.stamp), spec.zone)
    given = spec.version.given(where) if spec.versioned.hold(where) else None
    version = "" if given is None else stamp(str(given), "version").isoformat().replace("+00:00", "Z")
    content = _row(spec, where, known.get(sensor)) if spec.row else bytes(raw)
    return Found(sensor, version, place, Measurement(key, mark, when, content))


def _first(pointers: Pointers, where: Where) -> Any:
    found = pointers.first(where)
    if found is msgspec.UNSET:
        raise BadPayload(f"no {pointers} in the record, expected one")
    return found


def _degrees(spec: Record | Places, where: Where) -> Place | None:
    lon, lat = spec.lon.given(where), spec.lat.given(where)
    if lon is None or lat is None or isinstance(lon, list):  # nowhere, or all along a line
        return None
    return figure(lon, str(spec.lon)), figure(lat, str(spec.lat))


def _row(spec: Record, where: Where, place: Place | None) -> bytes:
    found = {name: pointers.first(where) for name, pointers in spec.row.items()}
    cells = {name: "" if cell is msgspec.UNSET else cell for name, cell in found.items()}
    return msgspec.json.encode(cells | ({"lat": place[1], "lon": place[0]} if place else {}))


def _pages(turn: Turn, ask: Question, holes: Mapping[str, Any]) -> Iterator[msgspec.Raw]:
    """Give the records of every page; none where the answer is not newer than before."""
    link: dict[str, str] = {}
    for page in range(PAGES):
        now = {**holes, "page": page + 1, "skip": page * ask.size}
        params = link or {name: str(text).format(**now) for name, text in ask.params.items()}
        try:
            answer = turn.web.ask(ask.path.format(**now), document, params, tries=ask.tries, newer=ask.conditional)
        except SourceUnreachable as error:
            if error.status == ask.empty:
                return
            raise
        if answer is None:
            return
        found = _at(answer, ask.records, list[msgspec.Raw])
        yield from found
        link = _link(answer, ask.next)
        if not (link or (ask.last and page + 1 < _at(answer, ask.last, int)) or 0 < ask.size <= len(found)):
            return
    raise FormChanged(f"{ask.path} with more than {PAGES} pages")


def _link(answer: msgspec.Raw, member: str | None) -> dict[str, str]:
    """Read the question for the next page; a service behind another may not know the address of its own."""
    link = _at(answer, "", dict[str, msgspec.Raw]).get(member) if member else None
    return {} if link is None else dict(parse_qsl(urlsplit(_at(link, "", str)).query))


def _at(raw: msgspec.Raw, pointer: str, kind: type[T]) -> T:
    """Read a part of an answer, its records as they came; raises FormChanged."""
    try:
        for name in pointer.split("/")[1:]:
            raw = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])[name]
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.ValidationError, KeyError) as error:
        raise FormChanged(f"{pointer or 'an answer'} of {len(raw)} bytes: {error}") from error


def _list(spec: Places, turn: Turn, known: Known) -> None:
    """Learn where all sensors are, on top of what is known: a list that an error cut short takes nothing away."""
    now = turn.now.timestamp()
    if now - turn.memory.note("listed", float, 0.0) < spec.refresh.total_seconds():
        return
    found = dict(turn.readable(_pages(turn, spec.ask, {}), partial(_listed, spec)))
    if not found:
        raise SourceUnreachable(f"{spec.ask.path} without any, expected the sensors there are")
    known |= {sensor: (*place, now) for sensor, place in found.items() if place}
    turn.memory.learn("places", known)
    turn.memory.learn("listed", now)


def _listed(spec: Places, raw: msgspec.Raw) -> tuple[str, Place | None]:
    where = Where(msgspec.json.decode(raw))
    if spec.sensor is None or (sensor := spec.sensor.fill(where)) is None:
        raise BadPayload(f"a record without {spec.sensor}, expected one")
    return sensor, _degrees(spec, where)


def _asked(spec: Places, turn: Turn, known: Known, sensor: str, topic: str) -> Place | None:
    """Give where a sensor is, asking where it is new or was asked about long ago; None where it cannot be had now."""
    at, now = known.get(sensor), turn.now.timestamp()
    if at is not None and now - at[2] < spec.refresh.total_seconds():
        return at
    try:
        answer = bytes(turn.web.ask(spec.ask.path.format(sensor=sensor), document) or b"")
        place = _degrees(spec, Where(msgspec.json.decode(answer)))
        if place is None:
            raise BadPayload("no place, expected one")
    except (SourceUnreachable, ValueError) as error:
        turn.unreadable(f"{sensor}: {error}")
        return at
    known[sensor] = (*place, now)
    turn.memory.learn("places", known)
    if turn.covers(place):
        turn.send(topic, answer)
    return known[sensor]
