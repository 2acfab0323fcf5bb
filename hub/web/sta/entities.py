"""
The entity sets of SensorThings, from `entities.toml`: the relations of each, its properties, and its links to others.

`hub.web.sta.filters` finds properties and links in filters here, `hub.web.sta.reading` what an answer is made of.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from aggregates.store.statements import statement_text
from ingest.vocabulary.values import shipped_toml


class EntitySet(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"behind": "from"}):
    """One entity set; `entities.toml` says what the fields are."""

    singular: str
    relations: list[str]
    property: dict[str, str | dict[str, str]]
    link: dict[str, str]
    columns: dict[str, str | dict[str, str]] = {}
    by: str = "{e.id} = {p.id}"
    behind: str = "{e.id} > {p.id}"
    order: str = "id"

    def column(self, name: str, part: str = "") -> str:
        """Name the column of a property, or of a part of one."""
        named = self.columns.get(name, {})
        return named if isinstance(named, str) else named.get(part, part or name)

    def texts(self, streams: Iterable[int] | None = None) -> list[str]:
        """Give its relations as SQL; of Observations those of the Datastreams with these ids, without of all."""
        if self.relations:
            return [f"({statement_text(name)})" for name in self.relations]
        kinds = _KINDS.keys() if streams is None else {one & 15 for one in streams} & _KINDS.keys() or {0}
        return [
            f"({statement_text(name).replace('<view>', view).replace('<kind>', str(kind))})"
            for kind, (name, view) in sorted(_KINDS.items())
            if kind in kinds
        ]

    def linked(self, name: str) -> "EntitySet | None":
        """Give the entity set that a link leads to, or None where there is no such link."""
        return (SETS.get(name) or _SINGULAR[name]) if name in self.link else None


def condition(text: str, e: str, p: Callable[[str], str]) -> str:
    """
    Make SQL of a condition on {e} and {p}, with an alias for {e}, and what gives the columns of {p}.

    >>> condition("{e.id} = {p.thing}", "x", lambda column: f"%(p_{column})s")
    'x."id" = %(p_thing)s'
    """
    return re.sub(r"\{([ep])\.(\w+)\}", lambda found: f'{e}."{found[2]}"' if found[1] == "e" else p(found[2]), text)


def keys(conditions: Iterable[str]) -> list[str]:
    """
    Name the columns of {p} in conditions of links, the id first.

    >>> keys(["{e.id} = {p.thing} AND {p.current}"])
    ['id', 'current', 'thing']
    """
    found = {name for text in conditions for name in re.findall(r"\{p\.(\w+)\}", text)}
    return ["id", *sorted(found - {"id"})]


_read: Mapping[str, Any] = shipped_toml(__file__, "entities.toml")
SETS: Mapping[str, EntitySet] = msgspec.convert(_read["set"], dict[str, EntitySet])
NAMES = {id(one): name for name, one in SETS.items()}
KEYS: Mapping[str, str] = _read["keys"]  # the types of columns that links are made of
CONFORMANCE: list[str] = _read["conformance"]
UPDATES: str = _read["updates"]
TOO_LONG: str = _read["too_long"]
_KINDS: Mapping[int, tuple[str, str]] = {int(kind): tuple(one) for kind, one in _read["kind"].items()}
_SINGULAR = {one.singular: one for one in SETS.values()}
