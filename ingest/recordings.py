"""
Splits recorded files into the MQTT messages they would have been: what `stadspuls publish` sends.

A national NDW minute becomes one message for each site, read in bounded memory; station files become pieces of many
readings. Nothing is decoded here beyond finding where to cut, and the readings of one sensor and start stay together.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from lxml import etree

from ingest.formats.luchtmeetnet import BEFORE_STATIONS, PREAMBLE, file_time
from ingest.formats.ndw import check_creator
from ingest.hardened import local, opened, records
from ingest.readings import BadPayload
from ingest.sources import OWN
from ingest.values import stamp

PIECE = 256_000  # bytes of payload
_UNSAFE = {ord(sign): f"%{ord(sign):02X}" for sign in "%#+/?\x00"}


class Recorded(NamedTuple):
    """One message to publish; `when` is the newest stamp in it where one was found."""

    topic: str
    payload: bytes
    when: datetime | None


def messages(path: Path, source: str) -> Iterator[Recorded]:
    """Give the messages of a recorded file, plain or gzipped; raises BadPayload where the file is not the source's."""
    empty = True
    for message in _READERS.get(source, _documents)(path, source):
        empty = False
        yield message
    if empty:
        raise BadPayload(f"{path.name}: no message of {source} in it")


def topic_of(source: str, level: str) -> str:
    """
    Name the topic of a source's messages about one sensor; signs with a meaning in topics are escaped.

    >>> topic_of("ndw", "PZH01_A+B/1")
    'stadspuls/ndw/PZH01_A%2BB%2F1'
    """
    return f"{OWN}/{source}/{level.translate(_UNSAFE)}"


def _stem(path: Path) -> str:
    return path.name.partition(".")[0] or path.name


def _ndw(path: Path, source: str) -> Iterator[Recorded]:
    with opened(path) as stream:
        for element in records(stream, "siteMeasurements", "publicationCreator"):
            if local(element) == "publicationCreator":
                check_creator(element)
                continue
            site_id, when = _site(element)
            yield Recorded(topic_of(source, site_id), etree.tostring(element, with_tail=False), when)


def _site(element: etree._Element) -> tuple[str, datetime | None]:
    site_id, when = "", None
    for child in element:
        name = local(child)
        if name == "measurementSiteReference":
            site_id = child.get("id", "")
        elif name == "measurementTimeDefault":
            values = [inner.text for inner in child if local(inner) == "timeValue"]
            when = _when((values or [child.text])[0])
    return site_id or "unknown", when


def _when(text: object) -> datetime | None:
    try:
        return stamp(str(text), "stamp")
    except BadPayload:
        return None


def _luchtmeetnet(path: Path, source: str) -> Iterator[Recorded]:
    with opened(path) as stream:
        first = stream.readline()
        if not first.removeprefix(b"\xef\xbb\xbf").startswith(b"Export;"):
            yield from _documents(path, source)
            return
        preamble = b"".join([first, *islice(stream, PREAMBLE - 1)])
        for rows in _pieces(stream, PIECE - len(preamble), len):
            cells = rows[-1].decode("latin-1").split(";")
            when = file_time(cells[3]) if len(cells) > BEFORE_STATIONS else None
            yield Recorded(topic_of(source, _stem(path)), preamble + b"".join(rows), when)


def _pieces(items: Iterable[Any], limit: int, size: Callable[[Any], int]) -> Iterator[list[Any]]:
    """Gather items in lists of at most `limit` bytes together; an item above it comes alone."""
    piece: list[Any] = []
    total = 0
    for item in items:
        if piece and total + size(item) > limit:
            yield piece
            piece, total = [], 0
        piece.append(item)
        total += size(item)
    if piece:
        yield piece


def _telraam(path: Path, source: str) -> Iterator[Recorded]:
    for _, text in _texts(path):
        document = _decoded(path, text)
        reports = document.get("report", document.get("data")) if isinstance(document, dict) else document
        if not isinstance(reports, list):
            yield Recorded(topic_of(source, _stem(path)), text, None)
            continue
        for piece in _pieces([msgspec.json.encode(report) for report in reports], PIECE - 20, lambda one: len(one) + 1):
            last = msgspec.json.decode(piece[-1])
            topic = topic_of(source, str(last.get("segment_id", _stem(path))))
            yield Recorded(topic, b'{"report":[' + b",".join(piece) + b"]}", _when(last.get("date")))


def _own(path: Path, source: str) -> Iterator[Recorded]:
    topic = topic_of(source, _stem(path))
    for _, text in _texts(path):
        document = _decoded(path, text)
        if isinstance(document, list):
            yield from (Recorded(topic, b"[" + piece + b"]", when) for piece, when in _readings(document, PIECE))
        elif isinstance(document, dict) and isinstance(document.get("readings"), list):
            head = msgspec.json.encode({key: value for key, value in document.items() if key != "readings"})[:-1]
            head += b',"readings":[' if len(head) > 1 else b'"readings":['
            for piece, when in _readings(document["readings"], PIECE - len(head)):
                yield Recorded(topic, head + piece + b"]}", when)
        else:
            yield Recorded(topic, text, _when(document.get("start")) if isinstance(document, dict) else None)


def _readings(readings: list[Any], limit: int) -> Iterator[tuple[bytes, datetime | None]]:
    """Cut a list of own JSON; readings of one sensor and start, such as lanes and classes, are not parted."""
    together = [[msgspec.json.encode(one) for one in group] for _, group in groupby(readings, _sensor_and_start)]
    ends = iter([_when(start) for (_, start), _ in groupby(readings, _sensor_and_start)])
    for piece in _pieces(together, limit - 2, lambda group: sum(len(one) + 1 for one in group)):
        *_, when = islice(ends, len(piece))
        yield b",".join(chain.from_iterable(piece)), when


def _sensor_and_start(reading: Any) -> tuple[object, object]:
    return (reading.get("sensor_id"), reading.get("start")) if isinstance(reading, dict) else (None, None)


def _documents(path: Path, source: str) -> Iterator[Recorded]:
    """One message for each JSON document; a list that is too long is cut; what is not JSON is one message as it is."""
    topic = topic_of(source, _stem(path))
    for known, text in _texts(path):
        if known and len(text) > PIECE and text.startswith(b"["):
            items = [msgspec.json.encode(one) for one in _decoded(path, text)]
            for piece in _pieces(items, PIECE - 2, lambda one: len(one) + 1):
                yield Recorded(topic, b"[" + b",".join(piece) + b"]", None)
        else:
            yield Recorded(topic, text, None)


def _decoded(path: Path, text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadPayload(f"{path.name}: not JSON: {error}") from error


def _texts(path: Path) -> Iterator[tuple[bool, bytes]]:
    """Give the JSON documents of a file, one a line or one after the other, and whether they are JSON at all."""
    with opened(path) as stream:
        first = stream.readline()
        if _is_json(first):
            yield from ((True, line.strip()) for line in chain([first], stream) if line.strip())
            return
        text = (first + stream.read()).decode("utf-8", "surrogateescape")
    decoder, at = json.JSONDecoder(), 0
    while (at := _blank_until(text, at)) < len(text):
        try:
            _, end = decoder.raw_decode(text, at)
        except ValueError:
            yield False, text[at:].encode("utf-8", "surrogateescape")
            return
        yield True, text[at:end].encode("utf-8", "surrogateescape")
        at = end


def _blank_until(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


_READERS = {"ndw": _ndw, "luchtmeetnet": _luchtmeetnet, "telraam": _telraam, OWN: _own}
