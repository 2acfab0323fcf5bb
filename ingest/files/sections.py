"""
Where a recorded file may be cut: every form as sections of parts, read in bounded memory.

Nothing is decoded here beyond finding where to cut, and the readings of one sensor and start stay in one part.
`ingest.files.recordings` makes messages of the parts.
"""

import codecs
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec
from lxml import etree

from ingest.formats import documents
from ingest.formats.coded.luchtmeetnet import PREAMBLE
from ingest.formats.coded.ndw import PUBLISHERS, check_creator
from ingest.formats.decode import FORMATS
from ingest.formats.mapping_reader import MappedFormat
from ingest.formats.mapping_schema import MappingFile
from ingest.formats.pointers import every_pointer
from ingest.formats.xml import local, opened, records
from ingest.vocabulary.readings import BadPayload
from ingest.vocabulary.sources import OWN

PIECE = 256_000  # bytes of payload
_BLANKS = re.compile(r"\s*")
_BEFORE = codecs.BOM_UTF8 + b" \t\r\n"  # what JSON may begin with
# What `mosquitto_sub -v` writes: the topic, in which there may be blanks, and the payload, a number with its unit too.
_SAID = re.compile(rb'([^{\["<,;]*/[^{\["]*?) ([{\[].*|\S+|[-+\d.,]+ [^\d\s]\S*)\s*')
_UNSAFE = {ord(sign): f"%{ord(sign):02X}" for sign in "%#+/?\x00"}


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
    whole: bool = False  # the stamps beside it tell the period of each

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


def topic_of(source: str, level: str) -> str:
    """
    Name the topic of a source's messages about one sensor; signs with a meaning in topics are escaped.

    >>> topic_of("ndw", "PZH01_A+B/1")
    'stadspuls/ndw/PZH01_A%2BB%2F1'
    """
    return f"{OWN}/{source}/{level.translate(_UNSAFE)}"


def _spec(source: str) -> MappingFile | None:
    return read.spec if isinstance(read := FORMATS.get(source), MappedFormat) else None


def _cut_of(source: str) -> tuple[list[str], list[str]]:
    """
    Give the members of a document that are cut, and the columns or members whose equal neighbours are not parted.

    A mapping file says where its parts are, and their sensors and stamps.
    """
    if source == OWN:
        return ["readings"], ["sensor_id", "start"]
    rules = spec.message if (spec := _spec(source)) else []
    lists = [one.member for rule in rules for one in rule.each.each if one.member]
    named = [one for rule in rules for own in (rule.sensor, rule.stamp, rule.stamp_text) for one in every_pointer(own)]
    return [*dict.fromkeys(lists)], [*dict.fromkeys(one.member for one in named if one.member)]


def sections(path: Path, source: str) -> Iterator[Section]:
    """Find where a file may be cut; raises BadPayload where it is not the source's."""
    topic = topic_of(source, path.name.partition(".")[0] or path.name)
    with opened(path) as stream:
        if source in PUBLISHERS:
            yield from _datex2(stream, source)
            return
        first = stream.readline()
        lines, spec = chain([first], stream), _spec(source)
        is_said, is_json = _SAID.fullmatch(first), first.strip(_BEFORE)[:1] in (b"", b"[", b"{")
        is_table = path.name.removesuffix(".gz").endswith(".csv") or not (is_said or is_json)
        if source == "aireas":
            yield from _aireas(lines, topic)
        elif first.removeprefix(b"\xef\xbb\xbf").startswith(b"Export;"):
            yield Section(topic, stream, b"".join(islice(lines, PREAMBLE)))
        elif spec and spec.format == "csv" and is_table:
            yield _table(lines, topic, spec, _cut_of(source)[1])
        elif is_said:
            yield from _said(lines)
        else:
            yield from _documents(path, _texts(first, stream), topic, source)


def _datex2(stream: BinaryIO, source: str) -> Iterator[Section]:
    for element in records(stream, "siteMeasurements", "publicationCreator"):
        if local(element.tag) == "publicationCreator":
            check_creator(element, PUBLISHERS[source])
            continue
        site = element.find("{*}measurementSiteReference")
        level = "unknown" if site is None else site.get("id") or "unknown"
        yield Section(topic_of(source, level), [etree.tostring(element, with_tail=False)])


def _table(lines: Iterator[bytes], topic: str, spec: MappingFile, together: Sequence[str]) -> Section:
    """A CSV: its rows as objects, which a mapping file for CSV reads as well; lines of UTF-16 do not end in a byte."""
    first = next(lines)
    texts: Iterable[str] = (documents.decoded(line, spec.encoding) for line in chain([first], lines))
    if b"\0" in first:
        texts = documents.decoded(b"".join([first, *lines]), spec.encoding).splitlines(keepends=True)
    rows = documents.csv_rows(texts, spec.delimiter, spec.named)
    whole = any(rule.period == "step" for rule in spec.message)
    return Section(topic, _together(rows, together), b"[", b",", b"]", whole)


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
                yield Section(topic.decode("utf-8", "replace"), [payload])
            topic, payload = found[1], found[2]
        else:
            payload += line
    yield Section(topic.decode("utf-8", "replace"), [payload])


def _documents(path: Path, texts: Iterable[bytes], topic: str, source: str) -> Iterator[Section]:
    """JSON documents: one message each, but for the members that the format parts, and for a list that is too long."""
    lists, together = _cut_of(source)
    for text in texts:
        section = Section(topic, [text])
        if lists or len(text) > PIECE:
            try:
                section = _cut(msgspec.json.decode(text), section, lists, together)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:  # not quite JSON: its payload format judges it
                if source == OWN and not documents.is_nearly_json(text):
                    raise BadPayload(f"{path.name}: not JSON: {error}") from error
        yield section


def _cut(document: Any, whole: Section, lists: Sequence[str], together: Sequence[str]) -> Section:
    if isinstance(document, list):
        return Section(whole.topic, _together(document, together), b"[", b",", b"]")
    for member in lists:
        if isinstance(document, dict) and isinstance(parts := document.pop(member, None), list):
            head = msgspec.json.encode(document | {member: []})[: -len(b"]}")]
            return Section(whole.topic, _together(parts, together), head, b",", b"]}")
    return whole


def _together(parts: Iterable[Any], names: Sequence[str]) -> Iterator[bytes]:
    """Give the elements of a list as JSON, with those that have the same in members of these names, if any."""

    def key(one: tuple[int, Any]) -> object:
        known = [one[1].get(name) for name in names] if isinstance(one[1], dict) else []
        return known if any(known) else one[0]

    for _, group in groupby(enumerate(parts), key):
        yield b",".join(msgspec.json.encode(part) for _, part in group)


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
