"""
The named statements of `aggregates/sql/`: a file for each job, its statements in the order in which they run.

A statement begins with a line `-- name: take_marks`; the comment below it states what it does. `{name}` in a statement
includes the text of another. `aggregates.store.store` runs them, `aggregates.store.migrate` makes views of them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import LiteralString

_NAME_LINE = re.compile(r"^-- name:(?: (\w+)(, planned each time)?)?(.*)$", re.MULTILINE)
_COMMENT = re.compile(r"--[^\n]*")


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement without its comments; `planned_each_time` where one plan does not suit all parameters."""

    text: str
    planned_each_time: bool


@cache
def statement_text(name: str) -> LiteralString:
    """Return the text of a statement with those it includes; raises KeyError for an unknown name."""
    return expanded(_all()[name].text)


def planned_each_time(name: str) -> bool:
    """Tell whether the server must plan a statement for the parameters it is given."""
    return _all()[name].planned_each_time


def expanded(text: str) -> LiteralString:
    """Put the text of a statement in place of each `{name}`."""
    return re.sub(r"\{(\w+)\}", lambda match: statement_text(match[1]), text).strip()


@cache
def _all() -> dict[str, Statement]:
    found: dict[str, Statement] = {}
    for entry in files("aggregates").joinpath("sql").iterdir():
        for name, each in parsed(entry.name, entry.read_text("utf-8")):
            if name in found:
                raise ValueError(f"{entry.name}: a second statement {name!r}")
            found[name] = each
    return found


def parsed(file: str, text: str) -> Iterator[tuple[str, Statement]]:
    """
    Yield the statements of a file by name.

    Raises ValueError for a name that is none, a statement without a name, and a name without a statement.

    >>> [name for name, _ in parsed("roll_up.sql", "-- name: analyze_dirty\\nANALYZE dirty")]
    ['analyze_dirty']
    """
    head, *parts = _NAME_LINE.split(text)
    if _COMMENT.sub("", head).strip():
        raise ValueError(f"{file}: a statement before the first line `-- name: ...`")
    for name, planned, more, body in zip(parts[::4], parts[1::4], parts[2::4], parts[3::4], strict=True):
        sql = _COMMENT.sub("", body).strip()
        if not name or more or not sql:
            raise ValueError(f"{file}: `-- name: {name}{more}`, expected one word and a statement below it")
        yield name, Statement(sql, planned is not None)
