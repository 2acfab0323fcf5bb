"""
Files of settings in TOML, read into structs: rule packs, calendars and channels of notifications.
"""

import tomllib
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")


class BadFile(ValueError):  # noqa: N818 - named for the reaction: the user corrects the file
    """A file that cannot work; the text names the file, the key, what was found and what was expected."""


def read_toml(path: Path, kind: type[T], error: type[BadFile]) -> T:
    """Read a file into a struct; raises `error`."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as reason:
        raise error(f"{path}: {reason}") from reason
    return converted(found, kind, error, str(path))


def converted(found: object, kind: type[T], error: type[BadFile], place: str, table: str = "") -> T:
    """Make a struct of a table of a file; raises `error` with the place, the table and the key."""
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as invalid:
        reason, _, key = str(invalid).partition(" - at `$")
        where = f"{table}{key.rstrip('`')}".lstrip(".")
        raise error(": ".join(filter(None, (place, where, reason[:1].lower() + reason[1:])))) from None
