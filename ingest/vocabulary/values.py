"""
Text of others: numbers, stamps, lengths of time and files of settings, read strictly, and text made fit to show.

The payload formats read numbers and stamps here, settings, rules, channels and the command line lengths of time, so
that a bad one is refused everywhere with the same error.
"""

import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ingest.vocabulary.readings import BadPayload, Status, microseconds

T = TypeVar("T")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_FORM = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)\s*")
# Controls of terminals, ends of lines, and what turns the direction of writing.
_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069]")


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


def stamp(text: str, name: str, zone: tzinfo | None = None, *, end: timedelta | None = None) -> datetime:
    """
    Read an ISO 8601 stamp as UTC; one without a zone is in `zone`.

    Raises BadPayload for anything else, and for a stamp without a zone where `zone` is None, and for one in the
    hour that spring skips, but for the end of an interval of the length `end` that begins before: from one to two
    o'clock is an hour in that night too.

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
            return _local(read, name, zone, end or timedelta())
    except BadPayload:
        raise
    except (ValueError, OverflowError):
        raise BadPayload(f"{name} {text[:50]!r}, expected an ISO 8601 stamp with a zone") from None
    raise BadPayload(f"{name} {text[:50]!r} without a zone, expected one with Z or an offset")


def _local(read: datetime, name: str, zone: tzinfo, length: timedelta) -> datetime:
    local = read.replace(tzinfo=zone)
    moment = local.astimezone(UTC)
    is_skipped = moment.astimezone(zone).replace(tzinfo=None) != read
    if is_skipped and (moment - length).astimezone(zone).utcoffset() != local.utcoffset():
        raise BadPayload(f"{name} {read.isoformat()} is in an hour that clocks skip in {zone}, expected one they show")
    return moment


def duration(text: str, *, may_be_zero: bool = False) -> timedelta:
    """
    Read a number with its unit: s, m or min (minutes), h, d or w.

    Raises ValueError for anything else, and for no time at all unless that has a meaning.

    >>> duration("30min"), duration("1.5h")
    (datetime.timedelta(seconds=1800), datetime.timedelta(seconds=5400))
    """
    found = _FORM.fullmatch(text)
    if found and found[2] in _SECONDS and (may_be_zero or float(found[1])):
        try:
            return timedelta(seconds=float(found[1]) * _SECONDS[found[2]])
        except OverflowError:
            raise ValueError(f"expected a time of at most {timedelta.max.days} days, found {text!r}") from None
    raise ValueError(f"expected a time as 30min, 2h or 90s, found {text!r}")


def visible(text: str) -> str:
    r"""
    Write control characters as escapes: a name moves no cursor and begins no line.

    >>> print(visible("Brug\x1b[2J\n\u202e"))
    Brug\x1b[2J\n\u202e
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def visible_lines(text: str) -> str:
    """Do it in each line of a text."""
    return "\n".join(map(visible, text.split("\n")))


def status_of(text: str) -> Status:
    """Give the status of a name; raises BadPayload for any other text."""
    try:
        return Status[text.upper()]
    except KeyError:
        raise BadPayload(f"status {text!r}, expected provisional or validated") from None


def version_of(text: str) -> int:
    """
    Give the version of a publication stamp: microseconds since 1970.

    >>> version_of("2024-07-01T00:00:00Z")
    1719792000000000
    """
    return microseconds(stamp(text, "version"))


def shipped_toml(module: str, name: str) -> dict[str, Any]:
    """Read a file of TOML that lies beside a module, by the module's `__file__`."""
    return tomllib.loads(Path(module).with_name(name).read_text("utf-8"))


@contextmanager
def raised_as(kind: type[Exception], *causes: type[Exception], at: object = "") -> Iterator[None]:
    """Raise what the block raises of these causes as an error of this kind, with the place before its text."""
    try:
        yield
    except causes as error:
        raise kind(f"{at}: {error}" if at else str(error)) from error


class BadFile(ValueError):  # noqa: N818 - named for the reaction: the user corrects the file
    """A file that cannot work; the text names the file, the key, what was found and what was expected."""


def read_toml(path: Path, kind: type[T]) -> T:
    """Read a file into a struct; raises BadFile."""
    with raised_as(BadFile, OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, at=path):
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    return converted(found, kind, str(path))


def converted(found: object, kind: type[T], place: str, table: str = "") -> T:
    """Make a struct of a table of a file; raises BadFile with the place, the table and the key."""
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as invalid:
        reason, _, key = str(invalid).partition(" - at `$")
        where = f"{table}{key.rstrip('`')}".lstrip(".")
        raise BadFile(": ".join(filter(None, (place, where, reason[:1].lower() + reason[1:])))) from None
