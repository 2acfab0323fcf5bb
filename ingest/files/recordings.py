"""
Splits recorded files into the MQTT messages they would have been: what `stadspuls publish` sends.

A national NDW minute becomes one message for each site, read in bounded memory; station files become pieces of many
readings, or one for each stamp where they are replayed in time. Nothing is decoded here beyond finding where to cut,
and the readings of one sensor and start stay together.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
from lxml import etree

from ingest.files.cutting import PIECE, Recorded, Section, packed
from ingest.files.cutting import in_time as cut_in_time
from ingest.formats.coded.luchtmeetnet import PREAMBLE
from ingest.formats.coded.ndw import check_creator
from ingest.formats.xml import local, opened, records
from ingest.vocabulary.readings import BadPayload
from ingest.vocabulary.sources import OWN

_UNSAFE = {ord(sign): f"%{ord(sign):02X}" for sign in "%#+/?\x00"}


Reader = Callable[[Path, str], Iterator[Section]]


def messages(path: Path, source: str, *, in_time: bool = False) -> Iterator[Recorded]:
    """
    Give the messages of a recorded file, plain or gzipped, each as full as a message may be.

    `in_time` gives them in the order of their stamps instead, and one stamp at a time, as they once came. Raises
    BadPayload where the file is not the source's.
    """
    sections = _reader(path, source)(path, source)
    found = cut_in_time(sections, source) if in_time else packed(sections)
    first = next(found, None)
    if first is None:
        raise BadPayload(f"{path.name}: no message of {source} in it")
    yield first
    yield from found


def topic_of(source: str, level: str) -> str:
    """
    Name the topic of a source's messages about one sensor; signs with a meaning in topics are escaped.

    >>> topic_of("ndw", "PZH01_A+B/1")
    'stadspuls/ndw/PZH01_A%2BB%2F1'
    """
    return f"{OWN}/{source}/{level.translate(_UNSAFE)}"


def _stem(path: Path) -> str:
    return path.name.partition(".")[0] or path.name


def _reader(path: Path, source: str) -> Reader:
    table = _table if path.name.removesuffix(".gz").endswith(".csv") else _documents
    return _READERS.get(source, table)


def _ndw(path: Path, source: str) -> Iterator[Section]:
    with opened(path) as stream:
        for element in records(stream, "siteMeasurements", "publicationCreator"):
            if local(element) == "publicationCreator":
                check_creator(element)
                continue
            sites = [child.get("id") for child in element if local(child) == "measurementSiteReference"]
            yield Section(
                topic_of(source, (sites or [None])[0] or "unknown"), [etree.tostring(element, with_tail=False)]
            )


def _luchtmeetnet(path: Path, source: str) -> Iterator[Section]:
    with opened(path) as stream:
        first = stream.readline()
        if not first.removeprefix(b"\xef\xbb\xbf").startswith(b"Export;"):
            yield from _documents(path, source)
            return
        yield Section(topic_of(source, _stem(path)), stream, head=b"".join([first, *islice(stream, PREAMBLE - 1)]))


def _table(path: Path, source: str) -> Iterator[Section]:
    """A CSV: every message has the header."""
    with opened(path) as stream:
        header = stream.readline()
        yield Section(topic_of(source, _stem(path)), _rows(stream), head=header.rstrip(b"\r\n") + b"\n")


def _rows(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Give the rows of a CSV; a quoted cell may go on over the end of a line."""
    row = b""
    for line in lines:
        row += line
        if row.count(b'"') % 2 == 0:
            if row.strip():
                yield row.rstrip(b"\r\n") + b"\n"
            row = b""
    if row.strip():
        yield row


def _dexter(path: Path, source: str) -> Iterator[Section]:
    """Dexter's CSV: the lanes of one site and hour stand together and are not parted."""
    for section in _table(path, source):
        names = section.head.decode("utf-8-sig").strip().split(",")
        try:
            key = itemgetter(names.index("id_meetlocatie"), names.index("start_meetperiode"))
        except ValueError:
            raise BadPayload(f"{path.name}: columns {', '.join(names)[:200]}, expected an export of Dexter") from None
        cells = ((key(row.split(b",") + [b""] * len(names)), row) for row in section.parts)
        yield section._replace(parts=(b"".join(row for _, row in hour) for _, hour in groupby(cells, itemgetter(0))))


def _aireas(path: Path, source: str) -> Iterator[Section]:
    """AiREAS: a file of sections, each a title on a line of its own, a header and rows."""
    with opened(path) as stream:
        title, rows = b"", []
        for line in chain(stream, [b""]):
            if line.strip() and b";" in line:
                rows.append(line.rstrip(b"\r\n") + b"\n")
            elif rows:
                if title in (b"LOCATIONS", b"MEASUREMENTS"):
                    yield Section(topic_of(source, _stem(path)), rows[1:], head=rows[0])
                rows = []
            title = line.strip() if b";" not in line and line.strip() else title


def _telraam(path: Path, source: str) -> Iterator[Section]:
    for _, text in _texts(path):
        document = _decoded(path, text)
        reports = document.get("report", document.get("data")) if isinstance(document, dict) else document
        if not isinstance(reports, list):
            yield Section(topic_of(source, _stem(path)), [text])
            continue
        for segment, group in groupby(reports, lambda report: str(report.get("segment_id", _stem(path)))):
            parts = [msgspec.json.encode(report) for report in group]
            yield Section(topic_of(source, segment), parts, head=b'{"report":[', between=b",", tail=b"]}")


def _own(path: Path, source: str) -> Iterator[Section]:
    topic = topic_of(source, _stem(path))
    for _, text in _texts(path):
        document = _decoded(path, text)
        if isinstance(document, list):
            yield Section(topic, _together(document), b"[", b",", b"]")
        elif isinstance(document, dict) and isinstance(document.get("readings"), list):
            head = msgspec.json.encode({key: value for key, value in document.items() if key != "readings"})[:-1]
            head += b',"readings":[' if len(head) > 1 else b'"readings":['
            yield Section(topic, _together(document["readings"]), head, b",", b"]}")
        else:
            yield Section(topic, [text])


def _together(readings: list[Any]) -> Iterator[bytes]:
    """Write readings of own JSON; those of one sensor and start, such as lanes and classes, are not parted."""
    for _, group in groupby(readings, _sensor_and_start):
        yield b",".join(msgspec.json.encode(one) for one in group)


def _sensor_and_start(reading: Any) -> tuple[object, object]:
    return (reading.get("sensor_id"), reading.get("start")) if isinstance(reading, dict) else (None, None)


def _documents(path: Path, source: str) -> Iterator[Section]:
    """One message for each JSON document; a list that is too long is cut; what is not JSON is one message as it is."""
    topic = topic_of(source, _stem(path))
    for known, text in _texts(path):
        if known and len(text) > PIECE and text.startswith(b"["):
            yield Section(topic, [msgspec.json.encode(one) for one in _decoded(path, text)], b"[", b",", b"]")
        else:
            yield Section(topic, [text])


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


_READERS: dict[str, Reader] = {
    "ndw": _ndw, "luchtmeetnet": _luchtmeetnet, "telraam": _telraam, "dexter": _dexter, "aireas": _aireas, OWN: _own,
}  # fmt: skip
