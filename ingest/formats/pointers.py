"""
How a mapping file points into a document: JSON pointers with two additions, and templates made of them.

A pointer is RFC 6901 (`/a/0/b~1c`). Added are `*`, which stands for every member or element, and `[key=text]`, the
first element of an array whose `key` is `text`. `ingest.formats.mapping_reader` reads messages with these.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

_HOLE = re.compile(r"\{([^{}]*)\}")
_SELECT = re.compile(r"\[([^=\]]+)=([^\]]*)\]")


class Missing:
    """Nothing is there; null is something."""


MISSING = Missing()


@lru_cache(maxsize=4096)
def tokens(pointer: str) -> tuple[str, ...]:
    """
    Take a pointer apart; raises ValueError for one that does not begin with a slash.

    >>> tokens("/a/b~1c"), tokens("")
    (('a', 'b/c'), ())
    """
    if pointer and not pointer.startswith("/"):
        raise ValueError(f"pointer {pointer!r}, expected '' or one that begins with '/'")
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:])


def find(document: Any, pointer: str, unwrap: str | None = None) -> Iterator[tuple[str, Any]]:
    """
    Give what a pointer finds, with the name that `*` stood for ("" without one); nothing where nothing is there.

    Where a step is missing, and the value is an object with the member `unwrap`, that member is taken in its place.

    >>> list(find({"A": {"t": 1}, "B": {"t": 2}, "C": 3}, "/*/t"))
    [('A', 1), ('B', 2)]
    >>> list(find([{"type": "P1", "value": "8"}], "/[type=P1]/value"))
    [('', '8')]
    """
    return _walk(document, tokens(pointer), unwrap, "")


def _walk(value: Any, path: tuple[str, ...], unwrap: str | None, star: str) -> Iterator[tuple[str, Any]]:
    if not path:
        yield star, value[unwrap] if isinstance(value, dict) and unwrap in value else value
    elif path[0] == "*":
        for name, inner in _members(value):
            yield from _walk(inner, path[1:], unwrap, name)
    else:
        inner = _step(value, path[0], unwrap)
        if inner is not MISSING:
            yield from _walk(inner, path[1:], unwrap, star)


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from ((str(at), inner) for at, inner in enumerate(value))


def _step(value: Any, token: str, unwrap: str | None) -> Any:
    if isinstance(value, dict):
        if token in value:
            return value[token]
        return _step(value[unwrap], token, None) if unwrap in value else MISSING
    if not isinstance(value, list):
        return MISSING
    if select := _SELECT.fullmatch(token):
        key, text = select.groups()
        return next((one for one in value if isinstance(one, dict) and str(one.get(key)) == text), MISSING)
    return value[int(token)] if token.isdecimal() and int(token) < len(value) else MISSING


def first(document: Any, pointers: Sequence[str], unwrap: str | None = None) -> Any:
    """Give what the first of `pointers` that finds something finds, else `MISSING`."""
    for pointer in pointers:
        for _, value in find(document, pointer, unwrap):
            return value
    return MISSING


def fill(templates: Sequence[str], document: Any, topic: str, unwrap: str | None = None, star: str = "") -> str | None:
    """
    Fill the first template whose holes can all be filled, or give None.

    A hole is `{/a/pointer}`, `{topic:a/+/b}` (the levels at the `+` of a topic of that shape) or `{*}` (what `*` of the
    value stood for).

    >>> fill(["lane{/lane}/any", "{topic:stadspuls/fiware/+}"], {"lane": None}, "stadspuls/fiware/here")
    'here'
    """
    for template in templates:
        filled = {hole: _hole(hole, document, topic, unwrap, star) for hole in _HOLE.findall(template)}
        if None not in filled.values():
            return _put(template, filled)
    return None


def _put(template: str, filled: Mapping[str, str | None]) -> str:
    return _HOLE.sub(lambda hole: str(filled[hole.group(1)]), template)


def _hole(hole: str, document: Any, topic: str, unwrap: str | None, star: str) -> str | None:
    if hole == "*":
        return star
    if hole.startswith("topic:"):
        return _levels(hole.removeprefix("topic:").split("/"), topic.partition("?")[0].split("/"))
    value = first(document, [hole], unwrap)
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "" else None


def _levels(shape: list[str], levels: list[str]) -> str | None:
    if len(shape) != len(levels) or any(part not in ("+", level) for part, level in zip(shape, levels, strict=True)):
        return None
    return "/".join(unquote(level) for part, level in zip(shape, levels, strict=True) if part == "+") or None


def check(template: str) -> None:
    """Raise ValueError for a template with a hole that can never be filled."""
    for hole in _HOLE.findall(template):
        if hole.startswith("topic:"):
            if "+" not in hole.removeprefix("topic:").split("/"):
                raise ValueError(f"{{{hole}}}, expected a topic with a level '+'")
        elif hole != "*":
            tokens(hole)
