"""
How a mapping file points into a document: JSON pointers with three additions, and templates made of them.

A pointer is RFC 6901 (`/a/0/b~1c`). Added are `*`, which stands for every member or element, `[key=text]`, the first
element of an array whose `key` is `text`, and `..` at the beginning, the object around the part that is read.
`ingest.formats.mapping_reader` reads messages with these.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import unquote

from msgspec import UNSET, Struct

from ingest.formats.decode import LONGEST_TEXT

_HOLE = re.compile(r"\{([^{}]*)\}")
_SELECT = re.compile(r"\[([^=\]]+)=([^\]]*)\]")
Path = tuple[str, ...]
Star = str | dict[str, Any]  # what `*` stood for, or the groups of its pattern, the whole as ""


class Where(NamedTuple):
    """
    What is read: a part of a message, its topic, and the member `unwrap` that may stand around any value.

    `above` are the objects around the part, the nearest last, `star` what `*` stood for, `path` the way to it.
    """

    document: Any
    topic: str = ""
    unwrap: str | None = None
    above: tuple["Where", ...] = ()
    star: str = ""
    path: Path = ()

    def inside(self, name: str, inner: Any, star: str = "") -> "Where":
        """Go to a member or element."""
        above = (*self.above, self) if isinstance(self.document, dict) else self.above
        return Where(inner, self.topic, self.unwrap, above, self.star or star, (*self.path, name))


class Pointer:
    """
    One pointer; raises ValueError for a text that does not begin with a slash.

    >>> list(Pointer("/*/t").find(Where({"A": {"t": 1}, "B": {"t": 2}, "C": 3})))
    [('A', 1), ('B', 2)]
    >>> list(Pointer("/[type=P1]/value").find(Where([{"type": "P1", "value": "8"}])))
    [('', '8')]
    >>> [list(Pointer("/../id").find(one)) for one in Pointer("/*/list").parts(Where([{"id": 7, "list": [1]}]))]
    [[('', 7)]]
    """

    def __init__(self, text: str) -> None:
        if text and not text.startswith("/"):
            raise ValueError(f"pointer {text!r}, expected '' or one that begins with '/'")
        self.text = text
        tokens = [token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:]]
        self.up = next((at for at, token in enumerate(tokens) if token != ".."), len(tokens))
        self.path = tokens[self.up :]
        self.member = self.path[0] if self.up == 0 and len(self.path) == 1 and self.path != ["*"] else ""
        selects = [(at, _SELECT.fullmatch(token)) for at, token in enumerate(self.path)]
        self.selectors = [(at + 1, select[1]) for at, select in selects if select]

    def _walk(self, where: Where) -> list[Where]:
        found = [where] if not self.up else where.above[-self.up :][:1] if self.up <= len(where.above) else []
        found = [one._replace(star="") if one.star else one for one in found]
        for token in self.path:
            found = [
                one.inside(name, inner, name if token == "*" else "")
                for one in found
                for name, inner in _step(one.document, token, where.unwrap)
            ]
        return found

    def find(self, where: Where) -> list[tuple[str, Any]]:
        """Give what is there, with the name that `*` stood for ("" without one); nothing where nothing is there."""
        document, unwrap = where.document, where.unwrap
        if self.member and isinstance(document, dict) and (unwrap is None or self.member in document):  # most are so
            found = [("", document[self.member])] if self.member in document else []
        else:
            found = [(one.star, one.document) for one in self._walk(where)]
        if unwrap is None:
            return found
        return [(star, one[unwrap] if isinstance(one, dict) and unwrap in one else one) for star, one in found]

    def parts(self, where: Where) -> Iterator[Where]:
        """Give what is there with the way to it, every element of an array by itself."""
        for one in self._walk(where):
            yield from _elements(one)


def _elements(where: Where) -> Iterator[Where]:
    """Give the elements of an array, those of arrays of objects inside too: a row of plain values stays whole."""
    if not isinstance(where.document, list):
        yield where
        return
    for at, inner in enumerate(where.document):
        one = where.inside(str(at), inner)
        is_nested = isinstance(inner, list) and any(isinstance(value, dict) for value in inner)
        yield from _elements(one) if is_nested else [one]


def _step(value: Any, token: str, unwrap: str | None) -> list[tuple[str, Any]]:
    """Go one step, also into a text of JSON; `unwrap` may stand around what is missing."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    if isinstance(value, dict) and unwrap in value and token not in (*value, "*"):
        value = value[unwrap]
    members = dict(enumerate(value)) if isinstance(value, list) else value if isinstance(value, dict) else {}
    if token == "*":
        return [(str(name), inner) for name, inner in members.items()]
    if isinstance(value, list) and (select := _SELECT.fullmatch(token)):
        chosen = (at for at, one in members.items() if isinstance(one, dict) and str(one.get(select[1])) == select[2])
        return [(str(at), value[at]) for at in chosen][:1]
    key = int(token) if isinstance(value, list) and token.isdecimal() and token.isascii() else token
    return [(token, members[key])] if key in members else []


class Pointers:
    """
    One pointer or several: the first that finds something counts.

    >>> Pointers(["/b", "/a"]).first(Where({"a": None})), Pointers("/b").first(Where({"a": None}))
    (None, UNSET)
    """

    def __init__(self, given: str | list[str]) -> None:
        self.each = self.pointers = [Pointer(text) for text in ([given] if isinstance(given, str) else given)]

    def first(self, where: Where) -> Any:
        """Give what is there, UNSET where nothing is; null is something."""
        found = self.each[0].find(where) if self.each else []
        found = found or next(filter(None, (pointer.find(where) for pointer in self.each[1:])), [])
        return found[0][1] if found else UNSET

    def all_given(self, where: Where) -> Iterator[Any]:
        """Give everything that is there and neither null nor empty."""
        found = (value for pointer in self.each for _, value in pointer.find(where))
        return (value for value in found if value is not None and value != "")

    def given(self, where: Where) -> Any:
        """Give the first of them, None without one."""
        return next(self.all_given(where), None) if self.each else None

    def __str__(self) -> str:
        return " or ".join(pointer.text for pointer in self.each)


class Template:
    """
    A text with holes, or several: the first whose holes can all be filled counts.

    A hole is `{/a/pointer}`, `{topic:a/+/*}` (the levels at the `+` of a topic of that shape, and at a `#` at its end;
    a `*` is any level), `{*}` (what `*` of the value stood for, else that of the part) or `{*name}` (a group of that).
    Raises ValueError for a hole that can never be filled.

    >>> Template(["lane{/lane}/any", "{topic:a/#}"]).fill(Where({"lane": None}, "a/here/or/there"))
    'here/or/there'
    """

    def __init__(self, given: str | list[str]) -> None:
        self.texts = [given] if isinstance(given, str) else given
        self._parts = [
            [_Hole(one) if at % 2 else one for at, one in enumerate(_HOLE.split(text))] for text in self.texts
        ]
        holes = [part for parts in self._parts for part in parts if isinstance(part, _Hole)]
        self.pointers = [pointer for hole in holes if hole.pointer for pointer in hole.pointer.each]
        self.shapes = [hole.shape for hole in holes if hole.shape]
        self._fixed = None if holes else self.texts[0]

    def __str__(self) -> str:
        return " or ".join(self.texts)

    def fill(self, where: Where, star: Star = "") -> str | None:
        """Give the text, or None."""
        if self._fixed is not None:
            return self._fixed
        for parts in self._parts:
            filled = [part if isinstance(part, str) else part.fill(where, star) for part in parts]
            known = [part for part in filled if part is not None]
            if len(known) == len(filled):
                return "".join(known)[: 2 * LONGEST_TEXT]  # what is refused is not repeated in full by each reading
        return None


class _Hole:
    def __init__(self, text: str) -> None:
        kind, _, shape = text.partition(":")
        self.shape = shape if kind == "topic" else ""
        self.group = text[1:] if text.startswith("*") else None
        self.pointer = None if self.shape or self.group is not None else Pointers(text)
        levels = self.shape.split("/")
        if self.shape and "+" not in levels and levels[-1] != "#":
            raise ValueError(f"{{{text}}}, expected a topic with a level '+' or '#'")
        signs = {"+": "([^/]*)", "*": "[^/]*", "#": "(.*)"}
        self._topic = re.compile("/".join(signs.get(level, re.escape(level)) for level in levels), re.DOTALL)

    def fill(self, where: Where, star: Star) -> str | None:
        if self.shape:
            found = self._topic.fullmatch(where.topic.partition("?")[0])
            return unquote("/".join(found.groups())) or None if found else None
        name = star.get(self.group or "") if isinstance(star, dict) else star or where.star
        value = self.pointer.first(where) if self.pointer else name
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        is_text = isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""
        return str(value) if is_text else None


def step(name: str) -> str:
    """
    Write a name as a step of a pointer.

    >>> step("a/b~")
    '/a~1b~0'
    """
    return "/" + name.replace("~", "~0").replace("/", "~1")


def every_pointer(part: Any) -> Iterator[Pointer]:
    """Give every pointer in a mapping file, one of its rules, or what a rule holds."""
    if isinstance(part, Pointer):
        yield part
        return
    inner = part if isinstance(part, list) else getattr(part, "pointers", [])
    for one in (getattr(part, name) for name in part.__struct_fields__) if isinstance(part, Struct) else inner:
        yield from every_pointer(one)
