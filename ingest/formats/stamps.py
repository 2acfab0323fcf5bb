"""
Stamps as suppliers write them, made ISO 8601: numbers since an epoch, other forms, 24 o'clock, zones by name.

`ingest.formats.mapping_reader` reads every stamp with `iso`; `ingest.vocabulary.values` makes moments of the texts.

Local times that name no offset, in the nights in which clocks change: in spring an hour does not exist, no interval
begins in it, and one may end at its first moment. In autumn an hour comes twice: where a message has both, their order
tells them apart; a message that comes at once is told apart by its receipt; else the first is meant, and the reading is
marked `AMBIGUOUS`. Readings of that hour are marked as they are read, and `in_order` settles them.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Literal, NamedTuple, get_args

import msgspec

from ingest.vocabulary.readings import BadPayload, Flag, Reading
from ingest.vocabulary.values import number, raised_as, shipped_toml, stamp

Epoch = Literal["s", "ms", "us", "ns", "excel"]
Calendar = Literal["day", "week", "month"]
CALENDARS = get_args(Calendar)

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
_AMBIGUOUS = Flag.AMBIGUOUS.value
LONGEST = 200  # letters of a stamp: reading one may take as long as the square of them
SOON = timedelta(hours=3)  # after its time: a message that comes later than that is history
_PER_SECOND = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}
_SPREADSHEET = datetime(1899, 12, 30)  # noqa: DTZ001 - day 0 of spreadsheets, in the zone of whoever wrote them
WORDS = shipped_toml(__file__, "words.toml")
_ZONES, _MONTHS = WORDS["zones"], WORDS["months"]
_MONTH = re.compile(rf"\b({'|'.join(_MONTHS)})\b", re.IGNORECASE)
_ZONE = re.compile(rf" ?\b({'|'.join(_ZONES)})$")


def iso(found: Any, epoch: Epoch | None = None, written: Sequence[str] = ()) -> str:
    """
    Write a stamp as ISO 8601, without an offset where it has none.

    `written` are forms of `strptime`, tried in order, months also in Dutch; a `*` at the end of one is whatever stands
    there, as the end of an hour. Without one it is ISO 8601, but for a blank before an offset or a zone's name, or a
    number where `epoch` says of what. Raises BadPayload for any other.

    >>> iso(1777881600), iso("2026-05-04 24:00 CET")
    Traceback (most recent call last):
    ingest.vocabulary.readings.BadPayload: stamp 1777881600 is a number, expected text: see epoch
    >>> iso(1777881600, "s"), iso("2026-05-04 24:00 CET"), iso("4/5/26 8 PM", None, ["%d/%m/%y %I %p"])
    ('2026-05-04T08:00:00+00:00', '2026-05-05T00:00:00+01:00', '2026-05-04T20:00:00')
    >>> iso("ma 4 mei 2026 08:00-09:00", None, ["ma %d %b %Y %H:%M-*"])
    '2026-05-04T08:00:00'
    """
    if isinstance(found, str) and not (epoch or written):  # most are as they should be
        with suppress(ValueError):
            datetime.fromisoformat(found)
            return found
    if epoch and not isinstance(found, bool) and (not isinstance(found, str) or re.fullmatch(r"-?[\d.]+", found)):
        return _since(found, epoch)
    if isinstance(found, int | float) and not isinstance(found, bool):
        if not written:
            raise BadPayload(f"stamp {found!r} is a number, expected text: see epoch")
        found = str(found)
    if isinstance(found, str) and len(found) <= LONGEST:
        for form in written or [""]:
            for text, late in _midnights(found.strip()):
                try:
                    return (_parsed(text, form) + late).isoformat()
                except (ValueError, OverflowError):
                    continue
    form = " or ".join(written) or "ISO 8601"
    raise BadPayload(f"stamp {str(found)[:50]!r}, expected one written as {form}")


def ends(text: str) -> tuple[str, str]:
    """
    Give both ends of an ISO 8601 interval, of which one may be a length of days, hours, minutes and seconds.

    A stamp alone has no second end. Raises BadPayload for another length.

    >>> ends("2026-05-04T08:00Z/PT1H"), ends("P1D/2026-05-05"), ends("2026-05-04")
    (('2026-05-04T08:00Z', '2026-05-04T09:00:00+00:00'), ('2026-05-04T00:00:00', '2026-05-05'), ('2026-05-04', ''))
    """
    begin, _, end = text.partition("/")
    if begin.startswith("P"):
        return _shifted(end, begin, -1), end
    return begin, _shifted(begin, end, 1) if end.startswith("P") else end


def _shifted(moment: str, length: str, direction: int) -> str:
    expected = f"length of time {length[:50]!r}, expected one as PT1H"
    with raised_as(BadPayload, msgspec.ValidationError, OverflowError, at=expected):
        return (datetime.fromisoformat(iso(moment)) + direction * msgspec.convert(length, timedelta)).isoformat()


def _since(found: Any, epoch: Epoch) -> str:
    try:
        count = number(str(found), "stamp")
        if epoch == "excel":  # a fraction of a day is not exact
            return (_SPREADSHEET + timedelta(seconds=round(count * 86_400))).isoformat()
        return datetime.fromtimestamp(count / _PER_SECOND[epoch], UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        raise BadPayload(f"stamp {str(found)[:50]!r}, expected a number: {epoch} of an epoch") from None


def _midnights(text: str) -> Iterator[tuple[str, timedelta]]:
    """Give the text; and where it cannot be read so, with each 24 as the 0 o'clock of the next day."""
    yield text, timedelta()
    for at in re.finditer(r"24(?=\D*$|\D00|00)", text):
        yield f"{text[: at.start()]}00{text[at.end() :]}", DAY


def _parsed(text: str, form: str) -> datetime:
    if form.endswith("*"):  # what precedes it says where the stamp ends
        sign = re.split(r"%.", form[:-1])[-1]
        text, form = text[: text.rindex(sign)] if sign else text, form[: -1 - len(sign)]
    if re.search("%[bB]", form):
        text = _MONTH.sub(lambda found: _MONTHS[found[1].lower()], text)
    if form and "%Z" not in form:
        return datetime.strptime(text, form)  # noqa: DTZ007 - `zone` or %z says whose time it is
    text = _ZONE.sub(lambda found: " " * bool(form) + _ZONES[found[1]], text)
    if form:
        return datetime.strptime(text, form.replace("%Z", "%z"))  # noqa: DTZ007 - as above
    return datetime.fromisoformat(re.sub(r" (?=[+-]\d\d)", "", text))


def calendar_step(moment: datetime, period: Calendar, zone: tzinfo, direction: int) -> datetime:
    """
    Go one day, week or month of a zone's calendar on (1) or back (-1): a day has 23, 24 or 25 hours.

    >>> from zoneinfo import ZoneInfo
    >>> calendar_step(datetime(2026, 3, 28, 23, tzinfo=UTC), "day", ZoneInfo("Europe/Amsterdam"), 1).isoformat()
    '2026-03-29T22:00:00+00:00'
    """
    local = moment.astimezone(zone).replace(tzinfo=None)
    if period == "month":
        months = local.year * 12 + local.month - 1 + direction
        day = date(months // 12, months % 12 + 1, 1) + DAY * (local.day - 1)
        local = datetime.combine(day, time(local.hour, local.minute, local.second))
    else:
        local += DAY * direction * (7 if period == "week" else 1)
    return local.replace(tzinfo=zone).astimezone(UTC)


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
    if zone is None or (local := datetime.fromisoformat(text)).tzinfo is not None:
        return False
    first, second = (local.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    return first is not None and second is not None and first > second


def interval(begin: str, end: str, zone: tzinfo | None) -> Interval:
    """Read both ends; raises BadPayload for a stamp that is none, naming it."""
    start, until = stamp(begin, "stamp", zone), stamp(end, "end", zone, end=HOUR)
    if not is_twice(begin, zone):
        return Interval(start, int((until - start).total_seconds()), 0)
    # Clocks tell how long it lasts, not which of the two hours it is; from two to two o'clock is one of them.
    local = [datetime.fromisoformat(text) for text in (begin, end)]
    period = until - start if local[1].tzinfo is not None else local[1] - local[0] or HOUR
    return Interval(start, int(period.total_seconds()), _AMBIGUOUS)


def in_order(readings: Sequence[Reading], received_at: datetime) -> Iterator[Reading]:
    """Give the readings of one message, those of an hour that came twice settled."""
    times = Counter(one[:5] for one in readings if one.flags & _AMBIGUOUS)
    seen: Counter[object] = Counter()
    for one in readings:
        if not one.flags & _AMBIGUOUS:
            yield one
            continue
        key = one[:5]
        seen[key] += 1
        late = received_at - one.start - timedelta(seconds=one.period)  # sent when the interval had ended
        is_second = seen[key] > 1 or (times[key] == 1 and HOUR <= late < SOON)
        flags = one.flags & ~_AMBIGUOUS if times[key] > 1 or late < SOON else one.flags
        yield one._replace(start=one.start + HOUR * is_second, flags=flags)
