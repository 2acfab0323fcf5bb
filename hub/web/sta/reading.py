"""
Entities out of the database: one statement for those of a page, and one for each link that all of them expand.

`hub.web.sta.app` says which entities; conditions come from `hub.web.sta.filters`. Every statement has a limit, and
what it finds of each relation comes in the order of an index where no other order is asked for.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
import numpy as np
import shapely

from aggregates.store.store import Transaction
from hub.web.api.problems import wrong
from hub.web.sta.entities import KEYS, NAMES, SETS, EntitySet, condition, keys
from hub.web.sta.filters import Conditions
from hub.web.sta.options import Options

TOGETHER = 50_000  # entities of an answer; a statement counts as so many:
STATEMENT = 1_000
OBSERVATIONS = SETS["Observations"]
_STAMP = "btrim(to_json({} AT TIME ZONE 'UTC')::text, '\"') || 'Z'"  # sooner than to_char
Row = Sequence[Any]


class Link(NamedTuple):
    """The entities that a condition links to some others: the columns of these that it is made of."""

    on: str
    columns: Mapping[str, Sequence[Any]]
    streams: Sequence[int] | None = None  # ids of the Datastreams whose Observations it leads to, where they are known

    @classmethod
    def of(cls, known: EntitySet, name: str, rows: Sequence[Row], names: Sequence[str]) -> "Link":
        """Make a link of entities of which rows begin with these columns."""
        on = known.link[name]
        columns = {key: [row[names.index(key)] for row in rows] for key in keys([on])}
        return cls(on, columns, columns["id"] if "{e.kind}" in on else None)


class Page(NamedTuple):
    """Entities of one page: their rows, how many there are without a limit, and whether more come."""

    rows: list[Row]
    total: int | None
    more: bool


class Reader:
    """Reads entities in one state of the database; `root` is the address of the service."""

    def __init__(self, tx: Transaction, root: str, zone: str) -> None:
        self._tx, self._root, self._zone = tx, root, zone
        self._left = TOGETHER

    def pages(
        self, of: EntitySet, options: Options, link: Link | None, names: Sequence[str], texts: Sequence[str] = ()
    ) -> list[Page]:
        """Read the page of each entity that a link is from, or one: rows of the columns `names`, then of SQL texts."""
        streams = link.streams if link else None
        indexed = of is not OBSERVATIONS or (streams is not None and len(streams) == 1)
        conditions = Conditions(of, self._zone)
        where = ["{on}", conditions.filtered(options.filter)]
        if options.orderby is None:
            order = [(f'e."{column}"', "ASC") for column in (of.order if indexed else "id").split()]
        else:
            order = [*conditions.ordered(options.orderby), ('e."id"', "ASC")]
        parameters = conditions.parameters | {
            "skip": options.skip, "limit": options.top + 1, "most": self._left + 1,
            "reach": options.skip + options.top + 1,
        }  # fmt: skip
        columns = [*(f'e."{name}"' for name in names), *texts]
        counted = _count(of.texts(streams), where)
        if options.skiptoken is not None:
            behind = of.behind if indexed else "{e.id} > {p.id}"
            where.append(condition(behind, "e", lambda _: str(options.skiptoken)))
        found = self._each(_page(of.texts(streams), columns, order, where), parameters, link)
        totals = self._each(counted, parameters, link) if options.count else None
        self._left -= STATEMENT + sum(map(len, found))
        if self._left < 0:
            raise wrong("$expand", f"more than {TOGETHER} entities: ask for less with $top, $filter and $expand")
        return [
            Page(rows[: options.top], totals[at][0][0] if totals else None, len(rows) > options.top)
            for at, rows in enumerate(found)
        ]

    def _each(self, text: str, parameters: dict[str, Any], link: Link | None) -> list[list[Row]]:
        """Run a statement for each entity that the link is from, all at once, and give the rows of each."""
        columns = link.columns if link else {}
        several = link is not None and len(columns["id"]) != 1
        given = columns if several else {name: one[0] for name, one in columns.items()}
        form = 'p."{0}"' if several else "%(p_{0})s::{1}"
        on = condition(link.on, "e", lambda name: form.format(name, KEYS[name])) if link else "true"
        text, parameters = text.replace("{on}", on), parameters | {f"p_{name}": one for name, one in given.items()}
        if not several:
            return [list(self._tx.select(text, parameters))]
        arrays = ", ".join(f"%(p_{name})s::{KEYS[name]}[]" for name in columns)
        names = ", ".join(f'"{name}"' for name in columns)
        from_each = f"unnest({arrays}) WITH ORDINALITY AS p ({names}, nr) CROSS JOIN LATERAL ({text}) x"
        found: list[list[Row]] = [[] for _ in columns["id"]]
        for nr, *row in self._tx.select(f"SELECT p.nr, x.* FROM {from_each} LIMIT %(most)s", parameters):
            found[nr - 1].append(row)
        return found

    def entities(
        self, of: EntitySet, options: Options, link: Link | None
    ) -> Iterator[tuple[Page, list[dict[str, Any]]]]:
        """Read pages with all that they expand to, as JSON has them."""
        names = keys(of.link[name] for name in options.links)
        wanted = [name for name in of.property if options.shows(name)]
        pages = self.pages(of, options, link, names, [shown(of, name, "text") for name in wanted])
        rows = [row for page in pages for row in page.rows]
        given = {
            name: _as_json(of.property[name], [row[at] for row in rows]) for at, name in enumerate(wanted, len(names))
        }
        made = [
            self._entity(of, options, as_id(row[0]), {name: values[at] for name, values in given.items()})
            for at, row in enumerate(rows)
        ]
        for name, nested in options.links.items() if rows else ():
            self._expand(made, of, name, nested, Link.of(of, name, rows, names))
        each = iter(made)
        return ((page, [next(each) for _ in page.rows]) for page in pages)

    def _expand(self, into: list[dict[str, Any]], of: EntitySet, name: str, options: Options, link: Link) -> None:
        target = of.linked(name) or of
        for entity, (page, found) in zip(into, self.entities(target, options, link), strict=True):
            entity[name] = found if name in SETS else next(iter(found), None)
            entity |= counted(page, options, f"{entity['@iot.selfLink']}/{name}", name) if name in SETS else {}

    def _entity(self, of: EntitySet, options: Options, key: int | str, given: Mapping[str, Any]) -> dict[str, Any]:
        own = f"{self._root}/{NAMES[id(of)]}({key!r})"
        found = {name: value for name, value in given.items() if value is not None or name == "result"}
        links = [name for name in of.link if options.shows(name) and name not in options.links]
        return {
            "@iot.selfLink": own, "@iot.id": key, **found,
            **{f"{name}@iot.navigationLink": f"{own}/{name}" for name in links},
        }  # fmt: skip


def counted(page: Page, options: Options, address: str, name: str = "") -> dict[str, Any]:
    """Say how many there are, if that was asked, and where the next are: behind the last id where that orders them."""
    said: dict[str, Any] = {} if page.total is None else {f"{name}@iot.count": page.total}
    if page.more and page.rows:
        given = options.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"skip", "skiptoken"})
        here = {"$skip": options.skip + options.top} if options.orderby else {"$skiptoken": page.rows[-1][0]}
        said[f"{name}@iot.nextLink"] = f"{address}?{urlencode(given | here, safe='$(),;=/')}"
    return said


def as_id(key: int | Decimal) -> int | str:
    """Give an id as JSON has it: that of a reading which begins within a second is a text."""
    return str(key) if key % 1 else int(key)


def _as_json(kind: str | dict[str, str], values: list[Any]) -> list[Any]:
    """Make JSON of what `pages` gives of a property of several entities."""
    if kind == "shape":
        values = shapely.to_geojson(shapely.from_wkb(np.array(values, dtype=object))).tolist()
    elif isinstance(kind, str):
        return values
    return [None if value is None else msgspec.Raw(value.encode()) for value in values]


def shown(of: EntitySet, name: str, json: str = "json") -> str:
    """Give the SQL of a property as JSON has it, that of parts as `json` or its text, and of a shape as its bytes."""
    kind, column = of.property[name], f'e."{of.column(name)}"'
    if isinstance(kind, dict):
        parts = [f"'{part}', e.\"{of.column(name, part)}\"" for part in kind]
        return f"json_build_object({', '.join(parts)})::{json}"
    if kind == "interval":
        begin, end = _STAMP.format(column), _STAMP.format("e.until")
        return f"{begin} || CASE WHEN {column} < e.until THEN '/' || {end} ELSE '' END"
    return _STAMP.format(column) if kind == "time" else column


def _page(texts: Sequence[str], columns: Sequence[str], order: Sequence[tuple[str, str]], where: Sequence[str]) -> str:
    """Take so many rows of each relation in order, and of these the page."""
    shown = [f"{text} AS c{at}" for at, text in enumerate(columns)]
    sorting = [f"{text} AS o{at}" for at, (text, _) in enumerate(order)]
    inner = ", ".join(f"o{at} {direction}" for at, (_, direction) in enumerate(order))
    rest = f"WHERE {' AND '.join(where)} ORDER BY {inner} LIMIT %(reach)s"
    each = f"(SELECT {', '.join(shown + sorting)} FROM {{}} e {rest})"
    rows = " UNION ALL ".join(each.replace("{}", text) for text in texts)
    names = ", ".join(f"c{at}" for at in range(len(columns)))
    return f"SELECT {names} FROM ({rows}) x ORDER BY {inner} LIMIT %(limit)s OFFSET %(skip)s"


def _count(texts: Sequence[str], where: Sequence[str]) -> str:
    rows = " UNION ALL ".join(f"SELECT count(*) AS n FROM {text} e WHERE {' AND '.join(where)}" for text in texts)
    return f"SELECT sum(n)::bigint FROM ({rows}) x"
