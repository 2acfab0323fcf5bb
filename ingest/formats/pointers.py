"""
How a mapping file points into a document: JSON pointers with two additions, and templates made of them.

A pointer is RFC 6901 (`/a/0/b~1c`). Added are `*`, which stands for every member or element, and `[key=text]`, the
first element of an array whose `key` is `text`. `ingest.formats.mapping_reader` reads messages with these.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote

from msgspec import UNSET

_HOLE = re.compile(r"\{([^{}]*)\}")
_SELECT = re.compile(r"\[([^=\]]+)=([^\]]*)\]")


class Where(NamedTuple):
    """What is read: a part of a message, its topic, and the member `unwrap` that may stand around any value."""

    document: Any
    topic: str = ""
    unwrap: str | None = None


class Pointer:
    """
    One pointer; raises ValueError for a text that does not begin with a slash.

    >>> list(Pointer("/*/t").find(Where({"A": {"t": 1}, "B": {"t": 2}, "C": 3})))
    [('A', 1), ('B', 2)]
    >>> list(Pointer("/[type=P1]/value").find(Where([{"type": "P1", "value": "8"}])))
    [('', '8')]
    """

    def __init__(self, text: str) -> None:
        if text and not text.startswith("/"):
            raise ValueError(f"pointer {text!r}, expected '' or one that begins with '/'")
        self.text = text
        self._path = [token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:]]

    def find(self, where: Where) -> Iterator[tuple[str, Any]]:
        """Give what is there, with the name that `*` stood for ("" without one); nothing where nothing is there."""
        found = [("", where.document)]
        for token in self._path:
            found = [
                (name or star, inner) for star, value in found for name, inner in _step(value, token, where.unwrap)
            ]
        for star, value in found:
            yield star, value[where.unwrap] if isinstance(value, dict) and where.unwrap in value else value


def _step(value: Any, token: str, unwrap: str | None) -> list[tuple[str, Any]]:
    """Go one step; where it is missing, the member `unwrap` is taken in the value's place."""
    if isinstance(value, dict) and unwrap in value and token not in (*value, "*"):
        value = value[unwrap]
    members = dict(enumerate(value)) if isinstance(value, list) else value if isinstance(value, dict) else {}
    if token == "*":
        return [(str(name), inner) for name, inner in members.items()]
    if isinstance(value, list) and (select := _SELECT.fullmatch(token)):
        return [("", one) for one in value if isinstance(one, dict) and str(one.get(select[1])) == select[2]][:1]
    key = int(token) if isinstance(value, list) and token.isdecimal() else token
    return [("", members[key])] if key in members else []


class Pointers:
    """
    One pointer or several: the first that finds something counts.

    >>> Pointers(["/b", "/a"]).first(Where({"a": None})), Pointers("/b").first(Where({"a": None}))
    (None, UNSET)
    """

    def __init__(self, given: str | list[str]) -> None:
        self.each = [Pointer(text) for text in ([given] if isinstance(given, str) else given)]

    def first(self, where: Where) -> Any:
        """Give what is there, UNSET where nothing is; null is something."""
        return next((value for pointer in self.each for _, value in pointer.find(where)), UNSET)

    def given(self, where: Where) -> Any:
        """Give the first that is there and neither null nor empty, None without one."""
        found = (value for pointer in self.each for _, value in pointer.find(where))
        return next((value for value in found if value is not None and value != ""), None)

    def __str__(self) -> str:
        return " or ".join(pointer.text for pointer in self.each)


class Template:
    """
    A text with holes, or several: the first whose holes can all be filled counts.

    A hole is `{/a/pointer}`, `{topic:a/+/b}` (the levels at the `+` of a topic of that shape) or `{*}` (what `*` of the
    value stood for). Raises ValueError for a hole that can never be filled.

    >>> Template(["lane{/lane}/any", "{topic:a/+}"]).fill(Where({"lane": None}, "a/here"))
    'here'
    """

    def __init__(self, given: str | list[str]) -> None:
        self.texts = [given] if isinstance(given, str) else given
        self._parts = [
            [_Hole(one) if at % 2 else one for at, one in enumerate(_HOLE.split(text))] for text in self.texts
        ]

    def fill(self, where: Where, star: str = "") -> str | None:
        """Give the text, or None."""
        for parts in self._parts:
            filled = [part if isinstance(part, str) else part.fill(where, star) for part in parts]
            known = [part for part in filled if part is not None]
            if len(known) == len(filled):
                return "".join(known)
        return None


class _Hole:
    def __init__(self, text: str) -> None:
        kind, _, shape = text.partition(":")
        self._shape = shape.split("/") if kind == "topic" else None
        self._pointer = None if self._shape or text == "*" else Pointers(text)
        if self._shape and "+" not in self._shape:
            raise ValueError(f"{{{text}}}, expected a topic with a level '+'")

    def fill(self, where: Where, star: str) -> str | None:
        if self._shape:
            return _levels(self._shape, where.topic.partition("?")[0].split("/"))
        value = self._pointer.first(where) if self._pointer else star
        return (
            str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "" else None
        )


def _levels(shape: list[str], levels: list[str]) -> str | None:
    if len(shape) != len(levels) or any(part not in ("+", level) for part, level in zip(shape, levels, strict=True)):
        return None
    return "/".join(unquote(level) for part, level in zip(shape, levels, strict=True) if part == "+") or None
