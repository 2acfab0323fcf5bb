"""
What the definition of a source may hold: where to ask, how often, and where in a record is what a gateway needs of it.

The shipped ones are in `ingest/gateways/sources`; `ingest.gateways.poll` asks by one. docs/open-data.md explains every
key. Pointers, templates and conditions are those of mapping files (`ingest.formats.pointers`).

Time is asked for in windows of one length, each again at the ages at which late and corrected figures come. What was
asked of each is remembered, so an outage is caught up by itself, as far back as the source's history goes.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from ingest.formats.cells import Conditions, Patterns
from ingest.formats.mapping_schema import made
from ingest.formats.pointers import Pointers, Template
from ingest.formats.stamps import Epoch
from ingest.vocabulary.sources import SOURCES
from ingest.vocabulary.values import raised_as

SHIPPED = Path(__file__).with_name("sources")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Look(NamedTuple):
    """What is known of a window: its age at the last look that counts (-1: none), and when it was asked for, in s."""

    age: float = -1.0
    asked: float = 0.0


Looks = dict[int, Look]  # by the start of the window, s since 1970
Span = tuple[datetime, datetime]  # from, until


class Windows(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[windows]`: which stretches of time are asked for, and when again."""

    length: timedelta
    first: timedelta
    history: timedelta
    looks: list[timedelta]
    fresh: timedelta = timedelta()
    longest: timedelta = timedelta()
    most: int = 1_000_000
    empty_again: bool = False

    def due(self, known: Mapping[int, Look], since: datetime, now: datetime) -> list[Span]:
        """Give the stretches to ask for, the oldest first; none of them begins before `since`."""
        newest = now - (now - _EPOCH) % self.length
        windows = (newest - max(since, now - self.history)) // self.length + 1
        starts = [newest - at * self.length for at in range(windows)]
        waiting = [start for start in starts if self._is_due(now - start, known.get(_key(start), Look()))]
        chosen = sorted(waiting, key=lambda start: known.get(_key(start), Look()).asked)[: self.most]
        spans: list[Span] = []
        for start in sorted(chosen):
            end = start + self.length
            joins = bool(spans) and spans[-1][1] == start and end - spans[-1][0] <= self.longest
            spans.append((spans.pop()[0] if joins else start, end))
        return spans

    def _is_due(self, age: timedelta, last: Look) -> bool:
        return age < self.fresh or any(last.age < look.total_seconds() <= age.total_seconds() for look in self.looks)

    def looked(self, known: Looks, span: Span, now: datetime, *, some: bool, whole: bool) -> None:
        """
        Note a look at a stretch, and whether it found some records, and all of them could be used.

        One that could not use them all counts only beyond the last age of `looks`.
        """
        start = span[0]
        while start < span[1]:
            counts = (some or not self.empty_again) and (whole or now - start >= self.looks[-1])
            age = (now - start).total_seconds() if counts else known.get(_key(start), Look()).age
            known[_key(start)] = Look(age, now.timestamp())
            start += self.length

    def remembered(self, known: Looks, now: datetime) -> Looks:
        """Leave out the windows that are older than the history."""
        return {start: look for start, look in known.items() if start >= _key(now - self.history)}


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """`[ask]`: what is asked below the host, page by page."""

    path: str
    params: dict[str, str | int] = {}
    records: str = ""
    last: str | None = None
    next: str | None = None
    size: int = 0
    empty: int | None = None
    tries: int = 3
    conditional: bool = False


class Places(msgspec.Struct, forbid_unknown_fields=True):
    """`[places]`: where sensors are, where records do not say so."""

    ask: Question
    lon: Pointers
    lat: Pointers
    refresh: timedelta
    sensor: Template | None = None


class Record(msgspec.Struct, forbid_unknown_fields=True):
    """`[record]`: what a record is about."""

    sensor: Template
    key: Template
    stamp: Pointers
    mark: list[Pointers] = []
    zone: ZoneInfo | None = None
    epoch: Epoch | None = None
    version: Pointers = Pointers([])
    versioned: Conditions = Conditions({})
    lon: Pointers = Pointers([])
    lat: Pointers = Pointers([])
    parse: Patterns = Patterns({})
    skip: Conditions = Conditions({})
    country: Conditions = Conditions({})
    row: dict[str, Pointers] = {}


class Definition(msgspec.Struct, forbid_unknown_fields=True):
    """A whole file, named after its source unless `source` names another."""

    ask: Question
    record: Record
    every: timedelta
    host: str = ""
    source: str = ""
    pace: tuple[int, timedelta] = (60, timedelta(minutes=1))
    keep: timedelta = timedelta(days=2)
    around: tuple[str, str] | None = None
    windows: Windows | None = None
    places: Places | None = None
    filter: str = ""


def load(path: Path) -> Definition:
    """Read a definition; raises ValueError, naming file, key and reason, for one that cannot work."""
    with raised_as(ValueError, OSError, ValueError, at=path):
        found = msgspec.toml.decode(path.read_bytes(), type=Definition, dec_hook=made)
        found.source = found.source or path.stem
        if found.source not in SOURCES:
            raise ValueError(f"source {found.source!r} is not known, expected a mapping file of that name")
    return found


def _key(moment: datetime) -> int:
    return int(moment.timestamp())
