"""
Cuts what `ingest.files.recordings` found in a file into messages: as few as possible, or in the order of their stamps.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from ingest.formats.decode import formats
from ingest.vocabulary.batch import Table
from ingest.vocabulary.readings import Message, Reading, utc
from ingest.vocabulary.sources import OWN

PIECE = 256_000  # bytes of payload
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


def packed(sections: Iterable[Section]) -> Iterator[Recorded]:
    """Cut sections into messages as full as they may be."""
    for section in sections:
        yield from (section.message(piece) for piece in section.pieces(section.parts))


def in_time(sections: Iterable[Section], source: str) -> Iterator[Recorded]:
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
    read = formats().get(source) or formats()[OWN]
    try:
        found = list(read(Message(message.topic, message.payload, _NEVER)))
    except ValueError:
        return _NEVER
    stamps = [one.start for one in found if isinstance(one, Reading)]
    stamps += [utc(one.start.max()) for one in found if isinstance(one, Table) and one]
    return max(stamps, default=_NEVER)
