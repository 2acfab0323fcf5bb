"""
Stamps as suppliers write them, made ISO 8601: numbers since an epoch, other forms, 24 o'clock, zones by name.

`ingest.formats.mapping_reader` reads every stamp with `iso`; `ingest.vocabulary.values` makes moments of the texts.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Literal

from ingest.vocabulary.readings import BadPayload
from ingest.vocabulary.values import number

Epoch = Literal["s", "ms", "us", "ns", "excel"]
Calendar = Literal["day", "week", "month"]

DAY = timedelta(days=1)
_PER_SECOND = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}
_SPREADSHEET = datetime(1899, 12, 30)  # noqa: DTZ001 - day 0 of spreadsheets, in the zone of whoever wrote them
# What stands behind a time in Europe, and its offset; BST is Britain's.
_ZONES = {
    "Z": "+00:00", "UTC": "+00:00", "GMT": "+00:00", "WET": "+00:00", "BST": "+01:00", "WEST": "+01:00",
    "CET": "+01:00", "MEZ": "+01:00", "CEST": "+02:00", "MESZ": "+02:00", "EET": "+02:00", "EEST": "+03:00",
}  # fmt: skip
_ZONE = re.compile(rf" ?\b({'|'.join(_ZONES)})$")


def iso(found: Any, epoch: Epoch | None = None, written: Sequence[str] = ()) -> str:
    """
    Write a stamp as ISO 8601, without an offset where it has none.

    `written` are forms of `strptime`, tried in order; without one it is ISO 8601, but for a blank before an offset or a
    zone's name, or a number where `epoch` says of what. Raises BadPayload for any other.

    >>> iso(1777881600), iso("2026-05-04 24:00 CET")
    Traceback (most recent call last):
    ingest.vocabulary.readings.BadPayload: stamp 1777881600 is a number, expected text: see epoch
    >>> iso(1777881600, "s"), iso("2026-05-04 24:00 CET"), iso("4/5/26 8 PM", None, ["%d/%m/%y %I %p"])
    ('2026-05-04T08:00:00+00:00', '2026-05-05T00:00:00+01:00', '2026-05-04T20:00:00')
    """
    if epoch and not isinstance(found, bool) and (not isinstance(found, str) or re.fullmatch(r"-?[\d.]+", found)):
        return _since(found, epoch)
    if isinstance(found, int | float) and not isinstance(found, bool):
        if not written:
            raise BadPayload(f"stamp {found!r} is a number, expected text: see epoch")
        found = str(found)
    if isinstance(found, str):
        for form in written or [""]:
            for text, late in _midnights(found.strip()):
                try:
                    return (_parsed(text, form) + late).isoformat()
                except (ValueError, OverflowError):
                    continue
    form = " or ".join(written) or "ISO 8601"
    raise BadPayload(f"stamp {str(found)[:50]!r}, expected one written as {form}")


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
