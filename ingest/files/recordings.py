"""
Splits recorded files into the MQTT messages they would have been: what `stadspuls publish` sends.

A national NDW minute becomes one message for each site, read in bounded memory; station files become pieces of many
readings, or one for each stamp where they are replayed in time. `ingest.files.sections` finds where to cut.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from ingest.files.sections import Recorded, Section, sections
from ingest.formats.decode import FORMATS
from ingest.vocabulary.batch import Table
from ingest.vocabulary.readings import BadPayload, Message, Reading, utc
from ingest.vocabulary.sources import OWN

_NEVER = datetime.min.replace(tzinfo=UTC)


def messages(path: Path, source: str, *, in_time: bool = False) -> Iterator[Recorded]:
    """
    Give the messages of a recorded file, plain or gzipped, each as full as a message may be.

    `in_time` gives them in the order of their stamps instead, and one stamp at a time, as they once came. Raises
    BadPayload where the file is not the source's.
    """
    every = sections(path, source)
    packed = (section.message(piece) for section in every for piece in section.pieces(section.parts))
    found = _in_time(every, source) if in_time else packed
    first = next(found, None)
    if first is None:
        raise BadPayload(f"{path.name}: no message of {source} in it")
    yield first
    yield from found


def _in_time(sections: Iterable[Section], source: str) -> Iterator[Recorded]:
    """Cut sections into messages of one stamp each, in the order of the stamps; those without one come first."""
    parts = [
        (_newest(section.message([part]), source), at, part, section)
        for at, section in enumerate(sections)
        for part in (map(section.between.join, section.pieces(section.parts)) if section.whole else section.parts)
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
    stamps += [utc(one.start.max()) for one in found if isinstance(one, Table) and len(one.start)]
    return max(stamps, default=_NEVER)
