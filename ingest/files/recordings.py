"""
Splits recorded files into the MQTT messages they would have been: what `stadspuls publish` sends.

A national NDW minute becomes one message for each site, read in bounded memory; station files become pieces of many
readings, or one for each stamp where they are replayed in time. Nothing is decoded here beyond finding where to cut,
and the readings of one sensor and start stay together.
"""

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain, groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec
from lxml import etree

from ingest.formats import documents
from ingest.formats.coded.luchtmeetnet import PREAMBLE
from ingest.formats.coded.ndw import check_creator
from ingest.formats.decode import FORMATS
from ingest.formats.mapping_reader import MappedFormat
from ingest.formats.mapping_schema import MappingFile
from ingest.formats.xml import local, opened, records
from ingest.vocabulary.batch import Table
from ingest.vocabulary.readings import BadPayload, Message, Reading, utc
from ingest.vocabulary.sources import OWN

PIECE = 256_000  # bytes of payload
# Members of a JSON document that are cut; and the columns or members whose equal neighbours are not parted.
CUT = {OWN: ("readings",), "telraam": ("report", "data")}
TOGETHER = {OWN: ("sensor_id", "start"), "dexter": ("id_meetlocatie", "start_meetperiode")}
_UNSAFE = {ord(sign): f"%{ord(sign):02X}" for sign in "%#+/?\x00"}
_BLANKS = re.compile(r"\s*")
# What `mosquitto_sub -v` writes: the topic, in which there may be blanks, and the payload.
_SAID = re.compile(rb'([^{\["<,;]*/[^{\["]*?) ([{\[].*|\S+)\s*')
_NEVER = datetime.min.replace(tzinfo=UTC)


class Recorded(NamedTuple):
    """One message to publish; `when` is its newest stamp, where messages in time are asked for and it has one."""

    topic: str
    payload: bytes
    when: datetime | None = None


class Section(NamedTuple):
    """A stretch of a file that may be cut between its parts; every piece gets `head` and `tail`."""

    topic: str
    parts: Iterable[bytes]
    head: bytes = b""
    between: bytes = b""
    tail: bytes = b""

    def message(self, parts: list[bytes], when: datetime | None = None) -> Recorded:
        """Make one message of some of the parts."""
        return Recorded(self.topic, self.head + self.between.join(parts) + self.tail, when)

    def pieces(self, parts: Iterable[bytes]) -> Iterator[list[bytes]]:
        """Gather parts in lists that fit a message; a part above that comes alone."""
        room = PIECE - len(self.head) - len(self.tail)
        piece: list[bytes] = []
        total = 0
        for part in parts:
            if piece and total + len(part) > room:
                yield piece
                piece, total = [], 0
            piece.append(part)
            total += len(part) + len(self.between)
        if piece:
            yield piece


def messages(path: Path, source: str, *, in_time: bool = False) -> Iterator[Recorded]:
    """
    Give the messages of a recorded file, plain or gzipped, each as full as a message may be.

    `in_time` gives them in the order of their stamps instead, and one stamp at a time, as they once came. Raises
    BadPayload where the file is not the source's.
    """
    found = _in_time(_sections(path, source), source) if in_time else _packed(_sections(path, source))
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


def _sections(path: Path, source: str) -> Iterator[Section]:
    topic = topic_of(source, path.name.partition(".")[0] or path.name)
    with opened(path) as stream:
        if source == "ndw":
            yield from _ndw(stream)
            return
        first = stream.readline()
        lines = chain([first], stream)
        if source == "aireas":
            yield from _aireas(lines, topic)
        elif first.removeprefix(b"\xef\xbb\xbf").startswith(b"Export;"):
            yield Section(topic, stream, b"".join(islice(lines, PREAMBLE)))
        elif source == "dexter" or path.name.removesuffix(".gz").endswith(".csv"):
            yield _table(lines, topic, source)
        elif _SAID.fullmatch(first):
            yield from _said(lines)
        else:
            yield from _documents(path, _texts(first, stream), topic, source)


def _ndw(stream: BinaryIO) -> Iterator[Section]:
    for element in records(stream, "siteMeasurements", "publicationCreator"):
        if local(element) == "publicationCreator":
            check_creator(element)
            continue
        sites = [child.get("id") for child in element if local(child) == "measurementSiteReference"]
        yield Section(topic_of("ndw", (sites or [None])[0] or "unknown"), [etree.tostring(element, with_tail=False)])


def _table(lines: Iterator[bytes], topic: str, source: str) -> Section:
    """A CSV: every message has the header."""
    if isinstance(read := FORMATS.get(source), MappedFormat):
        lines = _below_titles(lines, read.spec)
    header = next(lines, b"")
    names = header.decode("utf-8-sig", "replace").strip().split(",")
    at = [names.index(name) for name in TOGETHER.get(source, ()) if name in names]
    rows = _rows(lines)
    if at:
        cells = groupby(rows, lambda row: [row.split(b",")[i : i + 1] for i in at])
        rows = (b"".join(group) for _, group in cells)
    return Section(topic, rows, header.rstrip(b"\r\n") + b"\n")


def _below_titles(lines: Iterator[bytes], spec: MappingFile) -> Iterator[bytes]:
    """Leave out what stands above the header; UTF-16, whose lines do not end in a byte, becomes UTF-8."""
    first, mark = list(islice(lines, documents.TITLES)), b""
    if b"\0" in b"".join(first[:1]):
        mark, text = codecs.BOM_UTF8, documents.decoded(b"".join([*first, *lines]), spec.encoding)
        lines = iter(text.lstrip("\ufeff").encode().splitlines(keepends=True))
        first = list(islice(lines, documents.TITLES))
    texts = (documents.decoded(line, None if mark else spec.encoding) for line in first)
    at = documents.header([text.replace('"', "").split(spec.delimiter) for text in texts], spec.columns())
    return chain([mark + line for line in first[at : at + 1]], first[at + 1 :], lines)


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


def _aireas(lines: Iterable[bytes], topic: str) -> Iterator[Section]:
    """AiREAS: a file of sections, each a title on a line of its own, a header and rows."""
    title = b""
    for is_table, group in groupby((line.strip() for line in lines), lambda line: b";" in line):
        rows = [row + b"\n" for row in group if row]
        if is_table and title in (b"LOCATIONS\n", b"MEASUREMENTS\n"):
            yield Section(topic, rows[1:], rows[0])
        title = rows[-1] if rows else title


def _said(lines: Iterable[bytes]) -> Iterator[Section]:
    """Lines of topic and payload; one without a topic goes on with the payload before."""
    topic, payload = b"", b""
    for line in lines:
        if found := _SAID.fullmatch(line):
            if topic:
                yield Section(topic.decode(), [payload])
            topic, payload = found[1], found[2]
        else:
            payload += line
    yield Section(topic.decode(), [payload])


def _documents(path: Path, texts: Iterable[bytes], topic: str, source: str) -> Iterator[Section]:
    """JSON documents: one message each, but for what the format cuts, and for a list that is too long."""
    for text in texts:
        section = Section(topic, [text])
        if source in CUT or len(text) > PIECE:
            try:
                section = _cut(msgspec.json.decode(text), section, source)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:  # not quite JSON: its payload format judges it
                if source in CUT and not _is_nearly_json(text):
                    raise BadPayload(f"{path.name}: not JSON: {error}") from error
        yield section


def _is_nearly_json(text: bytes) -> bool:
    try:
        return isinstance(documents.json_document(documents.decoded(text)), dict | list)
    except (BadPayload, UnicodeDecodeError):
        return False


def _cut(document: Any, whole: Section, source: str) -> Section:
    if isinstance(document, list):
        return Section(whole.topic, _together(document, source), b"[", b",", b"]")
    for member in CUT.get(source, ()):
        if isinstance(document, dict) and isinstance(parts := document.pop(member, None), list):
            head = msgspec.json.encode(document | {member: []})[: -len(b"]}")]
            return Section(whole.topic, _together(parts, source), head, b",", b"]}")
    return whole


def _together(parts: list[Any], source: str) -> Iterator[bytes]:
    names = TOGETHER.get(source)
    for _, group in groupby(enumerate(parts), lambda one: _key(one[0], one[1], names)):
        yield b",".join(msgspec.json.encode(part) for _, part in group)


def _key(at: int, part: Any, names: tuple[str, ...] | None) -> object:
    return [part.get(name) for name in names] if names and isinstance(part, dict) else at


def _texts(first: bytes, stream: BinaryIO) -> Iterator[bytes]:
    """Give the JSON documents of a file, one a line or one after the other; from what is not JSON on, all of it."""
    try:
        msgspec.json.decode(first)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = (first + stream.read()).decode("utf-8", "surrogateescape")
    else:
        yield from (line.strip() for line in chain([first], stream) if line.strip())
        return
    decoder, at = json.JSONDecoder(), 0
    while (at := _BLANKS.match(text, at).end()) < len(text):  # type: ignore[union-attr]
        try:
            _, end = decoder.raw_decode(text, at)
        except ValueError:
            end = len(text)
        yield text[at:end].encode("utf-8", "surrogateescape")
        at = end


def _packed(sections: Iterable[Section]) -> Iterator[Recorded]:
    """Cut sections into messages as full as they may be."""
    for section in sections:
        yield from (section.message(piece) for piece in section.pieces(section.parts))


def _in_time(sections: Iterable[Section], source: str) -> Iterator[Recorded]:
    """Cut sections into messages of one stamp each, in the order of the stamps; those without one come first."""
    parts = [
        (_newest(section.message([part]), source), at, part, section)
        for at, section in enumerate(sections)
        for part in section.parts
    ]
    parts.sort(key=itemgetter(0, 1))
    for (when, _), group in groupby(parts, itemgetter(0, 1)):
        together = list(group)
        section = together[0][3]
        for piece in section.pieces(part for _, _, part, _ in together):
            yield section.message(piece, None if when == _NEVER else when)


def _newest(message: Recorded, source: str) -> datetime:
    """Give the newest start in a message, by the source's payload format; `_NEVER` where it has none."""
    read = FORMATS.get(source) or FORMATS[OWN]
    try:
        found = list(read(Message(message.topic, message.payload, _NEVER)))
    except ValueError:
        return _NEVER
    stamps = [one.start for one in found if isinstance(one, Reading)]
    stamps += [utc(one.start.max()) for one in found if isinstance(one, Table) and one]
    return max(stamps, default=_NEVER)
