"""
Numbers and stamps out of text, read strictly: what every payload format agrees on.

`ingest.formats` and `ingest.formats.mapping_schema` call these, so that a bad number or stamp is refused everywhere
with the same errors.
"""

import re
from datetime import UTC, datetime, tzinfo
from math import isfinite

from ingest.vocabulary.readings import BadPayload, NoSuchHour

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def number(text: str, name: str) -> float:
    """
    Read a number that was sent as a string, as many devices do.

    Raises BadPayload for anything but a plain finite decimal: no blanks, no comma, no NaN, no infinity.

    >>> number("12.3", "value")
    12.3
    """
    if _NUMBER.fullmatch(text) and isfinite(value := float(text)):
        return value
    raise BadPayload(f"{name} {text[:50]!r}, expected a finite number")


def stamp(text: str, name: str, zone: tzinfo | None = None, *, end: bool = False) -> datetime:
    """
    Read an ISO 8601 stamp as UTC; one without a zone is in `zone`.

    Raises BadPayload for anything else, and for a stamp without a zone where `zone` is None; NoSuchHour for one in the
    hour that spring skips, but for the `end` of an interval: from one to two o'clock is an hour in that night too.

    >>> stamp("2026-05-01T10:00+02:00", "start")
    datetime.datetime(2026, 5, 1, 8, 0, tzinfo=datetime.timezone.utc)
    """
    try:
        read = datetime.fromisoformat(text)
        if read.tzinfo is UTC:
            return read
        if read.tzinfo is not None:
            return read.astimezone(UTC)
        if zone is not None:
            return _local(read, name, zone, end)
    except BadPayload:
        raise
    except (ValueError, OverflowError):
        raise BadPayload(f"{name} {text[:50]!r}, expected an ISO 8601 stamp with a zone") from None
    raise BadPayload(f"{name} {text[:50]!r} without a zone, expected one with Z or an offset")


def _local(read: datetime, name: str, zone: tzinfo, end: bool) -> datetime:
    moment = read.replace(tzinfo=zone).astimezone(UTC)
    if not end and moment.astimezone(zone).replace(tzinfo=None) != read:
        raise NoSuchHour(f"{name} {read.isoformat()} is in an hour that clocks skip in {zone}, expected one they show")
    return moment
