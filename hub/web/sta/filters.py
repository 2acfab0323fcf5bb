"""
`$filter` and `$orderby` to SQL: the syntax tree of odata-query, each node by what `functions.toml` says of it.

Every value of a question becomes a parameter; the text is made of column names and of what `entities.toml` and
`functions.toml` hold. Whether a function takes what it is given is PostgreSQL's to say (`hub.web.sta.app` tells who
asked). A path through links holds where it does for any of the entities that it leads to.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import shapely
from odata_query import ast, grammar
from odata_query.exceptions import ODataException

from aggregates.ask.dates import moment, read
from hub.web.api.problems import wrong
from hub.web.sta.entities import EntitySet, condition
from hub.web.sta.options import split
from ingest.vocabulary.values import shipped_toml

_read: Mapping[str, Any] = shipped_toml(__file__, "functions.toml")
FUNCTIONS: Mapping[str, str] = _read["function"]
_OPERATORS: Mapping[str, str] = _read["operator"]
_LITERALS: Mapping[str, str] = _read["literal"]
_COLUMNS: Mapping[str, str] = _read["column"]
_DEEPEST = 4  # links of one path


class Conditions:
    """The conditions of one statement about entities `e`, and their parameters; raises Problem for what makes none."""

    def __init__(self, of: EntitySet, zone: str) -> None:
        self.parameters: dict[str, object] = {}
        self._of, self._zone = of, zone
        self._joins: list[tuple[str, str]] = []  # relations that paths lead to, with the conditions of the links

    def filtered(self, text: str) -> str:
        """Give the SQL of $filter."""
        with _blaming("$filter"):
            return self._condition(_parsed(text))

    def ordered(self, text: str) -> Iterator[tuple[str, str]]:
        """Give the SQL of the items of $orderby, and how each is sorted."""
        for item in split(text, ","):
            expression, down = re.subn(r"\s+desc\s*$", "", re.sub(r"\s+asc\s*$", "", item))
            with _blaming("$orderby"):
                sql = self._joined(self._sql(_parsed(expression)), "(SELECT {2} FROM {0} WHERE {1} LIMIT 1)")
            yield re.sub(r"\.point$", ".point::text", sql), "DESC" if down else "ASC"

    def _condition(self, node: Any) -> str:
        """Make a condition; paths in it lead to some entity for which it holds."""
        outer, self._joins = self._joins, []
        sql = self._joined(self._sql(node), "EXISTS (SELECT FROM {0} WHERE {1} AND {2})")
        self._joins = outer
        return sql

    def _joined(self, sql: str, form: str) -> str:
        if not self._joins:
            return sql
        relations, conditions = zip(*self._joins, strict=True)
        return form.format(", ".join(relations), " AND ".join(conditions), sql)

    def _sql(self, node: Any) -> str:
        match node:
            case ast.BoolOp(operator, left, right):
                return _OPERATORS[type(operator).__name__].format(self._condition(left), self._condition(right))
            case ast.UnaryOp(ast.Not(), operand):
                return _OPERATORS["Not"].format(self._condition(operand))
            case ast.Compare(operator, known, ast.Null()) | ast.Compare(operator, ast.Null(), known):
                return _OPERATORS[f"{type(operator).__name__}Null"].format(self._sql(known))
            case ast.Compare(operator, left, right) | ast.BinOp(operator, left, right):
                return _OPERATORS[type(operator).__name__].format(self._sql(left), self._sql(right))
            case ast.UnaryOp(_, operand):
                return _OPERATORS["USub"].format(self._sql(operand))
            case ast.Call(ast.Identifier(name, spaces), arguments):
                return self._called(".".join([*spaces, name]), [self._sql(one) for one in arguments])
            case ast.Identifier() | ast.Attribute():
                return self._path(_names(node))
            case ast.Geography(text):
                kind, value = _shape(text)
            case _:
                kind = type(node).__name__
                value = getattr(node, "val", "")
        name = f"q{len(self.parameters)}"
        self.parameters[name] = moment(read(value.upper()), self._zone) if kind in ("Date", "DateTime") else value
        return _LITERALS[kind].format(f"%({name})s")

    def _called(self, name: str, arguments: list[str]) -> str:
        form = FUNCTIONS.get(f"{name}/{len(arguments)}")
        if form is None:
            raise ValueError(f"{name} of {len(arguments)}, expected one of {', '.join(FUNCTIONS)}")
        return form.format(*arguments)

    def _path(self, names: list[str]) -> str:
        of, alias, depth = self._of, "e", 0
        while (target := of.linked(names[depth])) and depth < min(len(names) - 1, _DEEPEST):
            before, alias = alias, f"l{len(self.parameters)}"
            self.parameters[alias] = None  # no other path has its name
            relation = " UNION ALL ".join(target.texts())
            on = condition(of.link[names[depth]], alias, f'{before}."{{}}"'.format)
            self._joins.append((f"({relation}) {alias}", on))
            of, depth = target, depth + 1
        return _property(of, alias, *names[depth:])


@contextmanager
def _blaming(name: str) -> Iterator[None]:
    """Make what is wrong with an expression the fault of this option."""
    try:
        yield
    except (ODataException, ValueError, KeyError, OverflowError, RecursionError, shapely.errors.ShapelyError) as error:
        raise wrong(name, str(error)[:500]) from error


def _parsed(text: str) -> Any:
    text = re.sub(r"'[^']*'|@iot\.id", lambda found: found[0].replace("@iot.id", "id"), text)  # no identifier of OData
    parser: Any = grammar.ODataParser()
    parser._function_call = ast.Call  # OData's own check; SensorThings has other functions
    return parser.parse(grammar.ODataLexer().tokenize(text.strip()))


def _names(node: Any) -> list[str]:
    return [*_names(node.owner), node.attr] if isinstance(node, ast.Attribute) else [node.name]


def _property(of: EntitySet, alias: str, name: str, part: str = "", *more: str) -> str:
    """Give the column of a property, or of a part of one."""
    parts = {one: given if isinstance(given, dict) else {"": given} for one, given in of.property.items()}
    kind = "id" if name == "id" else parts.get(name, {}).get(part)
    if kind is None or more:
        known = [f"{one}/{part}".rstrip("/") for one, given in parts.items() for part in given]
        raise ValueError(f"{f'{name}/{part}'[:100]!r}, expected one of {', '.join(['id', *known, *of.link])}")
    return _COLUMNS.get(kind, "{0}.{1}").format(alias, f'"{of.column(name, part)}"')


def _shape(text: str) -> tuple[str, str]:
    """
    Read a point, a polygon without holes or a line as PostgreSQL writes it.

    >>> _shape("POINT (6.5 53)"), _shape("LINESTRING (1 2, 3 4)")
    (('Point', '(6.5,53.0)'), ('LineString', '[(1.0,2.0),(3.0,4.0)]'))
    """
    shape: Any = shapely.from_wkt(re.sub(r"^SRID=\d+;", "", text))
    kind = shape.geom_type
    forms = {"Point": "{}", "Polygon": "({})", "LineString": "[{}]"}
    if kind not in forms or shape.is_empty or list(getattr(shape, "interiors", ())):
        raise ValueError(f"{text[:100]!r}, expected a POINT, a POLYGON without holes or a LINESTRING")
    corners = shapely.get_coordinates(shape).tolist()
    return kind, forms[kind].format(",".join(f"({x},{y})" for x, y in corners))
