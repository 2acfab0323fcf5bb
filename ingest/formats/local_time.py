"""
Local times of a supplier that names no offset: what the nights do to them in which clocks change.

In spring an hour does not exist: no interval begins in it, and one may end at its first moment. In autumn an hour comes
twice: where a message has both, their order tells them apart; a message that comes at once is told apart by its
receipt; else the first is meant, and the reading is marked `AMBIGUOUS`. Readings of that hour are marked as they are
read, and `in_order` settles them. `ingest.formats.mapping_reader` and `ingest.formats.coded.dexter` call this.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple, TypeVar

from ingest.vocabulary.readings import Flag, Reading
from ingest.vocabulary.values import stamp

HOUR = timedelta(hours=1)
SOON = timedelta(hours=3)  # after its time: a message that comes later than that is history

T = TypeVar("T")


class Interval(NamedTuple):
    """What a reading's stamps say: `period` is seconds, 0 for an instant; `flags` has `AMBIGUOUS` until settled."""

    start: datetime
    period: int
    flags: int


def is_twice(text: str, zone: tzinfo | None) -> bool:
    """
    Tell whether a stamp names two moments.

    >>> from zoneinfo import ZoneInfo
    >>> [is_twice(f"2026-10-25T{hour}:00", ZoneInfo("Europe/Amsterdam")) for hour in ("01", "02", "03")]
    [False, True, False]
    """
    local = datetime.fromisoformat(text)
    if zone is None or local.tzinfo is not None:
        return False
    first, second = (local.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    return first is not None and second is not None and first > second


def interval(begin: str, end: str, zone: tzinfo | None, names: tuple[str, str]) -> Interval:
    """Read both ends; raises BadPayload for a stamp that is none, naming it."""
    start, until = stamp(begin, names[0], zone), stamp(end, names[1], zone, end=HOUR)
    if not is_twice(begin, zone):
        return Interval(start, int((until - start).total_seconds()), 0)
    # Clocks tell how long it lasts, not which of the two hours it is; from two to two o'clock is one of them.
    local = [datetime.fromisoformat(text) for text in (begin, end)]
    period = until - start if local[1].tzinfo is not None else local[1] - local[0] or HOUR
    return Interval(start, int(period.total_seconds()), Flag.AMBIGUOUS.value)


def in_order(items: Iterable[T], received_at: datetime) -> Iterator[T]:
    """Give the items of one message, its readings of an hour that came twice settled."""
    found = list(items)
    times = Counter(_key(one) for one in found if _is_marked(one))
    seen: Counter[object] = Counter()
    for one in found:
        if not isinstance(one, Reading) or not _is_marked(one):
            yield one
            continue
        key = _key(one)
        seen[key] += 1
        is_live = received_at - one.start < SOON
        is_second = seen[key] > 1 or (times[key] == 1 and is_live and received_at - one.start >= HOUR)
        flags = one.flags & ~Flag.AMBIGUOUS.value if times[key] > 1 or is_live else one.flags
        yield one._replace(start=one.start + HOUR * is_second, flags=flags)


def _is_marked(one: object) -> bool:
    return isinstance(one, Reading) and bool(one.flags & Flag.AMBIGUOUS)


def _key(one: object) -> object:
    return one[:5] if isinstance(one, Reading) else None
