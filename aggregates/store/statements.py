"""
The named statements of `aggregates/sql/`: a file for each job, its statements in the order in which they run.

A statement begins with a line `-- name: take_marks`; the comment below it states what it does. `{name}` in a statement
includes the text of another. `aggregates.store.store` runs them, `aggregates.store.migrate` makes views of them.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import chain
from typing import LiteralString, NamedTuple

_NAME_LINE = re.compile(r"^-- name: (\w+)(, planned each time)?$", re.MULTILINE)
_COMMENT = re.compile(r"--[^\n]*")


class Statement(NamedTuple):
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
    texts = [entry.read_text("utf-8") for entry in files("aggregates").joinpath("sql").iterdir()]
    return dict(chain.from_iterable(map(parsed, texts)))


def parsed(text: str) -> Iterator[tuple[str, Statement]]:
    """
    Yield the statements of a file by name.

    >>> [name for name, _ in parsed("-- name: analyze_dirty\\nANALYZE dirty")]
    ['analyze_dirty']
    """
    _, *parts = _NAME_LINE.split(text)
    for name, planned, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        yield name, Statement(_COMMENT.sub("", body).strip(), planned is not None)
