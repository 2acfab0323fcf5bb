"""
The query options of a request, with those nested in `$expand`: read, bounded, and refused where they cannot be right.

What a filter means is decided by `hub.web.sta.filters`.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal
from urllib.parse import parse_qsl

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hub.web.api.problems import Problem, wrong
from hub.web.sta.entities import EntitySet

MOST = 10_000  # entities of a page
_ZONE = r"(:\d\d(?:\.\d+)?) (\d\d:\d\d)"
WIDEST = 50  # links of one $expand, with what is nested in it
Text = Annotated[str, Field(max_length=4_000, pattern=r"^[^\x00]*$")]


class Options(BaseModel):
    """What was asked about the entities of one set, and what is to be expanded of them."""

    model_config = ConfigDict(extra="forbid", alias_generator=lambda name: f"${name}")

    select: Text | None = None
    expand: Text = ""
    filter: Text = "true"
    orderby: Text | None = None
    top: int = Field(100, ge=0, le=MOST)
    skip: int = Field(0, ge=0, lt=2**31)
    skiptoken: str | None = Field(None, pattern=r"^[0-9]{1,19}(\.[0-9]{1,6})?$")  # written into the statement
    count: bool = False
    resultFormat: Literal["dataArray"] | None = None  # noqa: N815 - its name
    links: dict[str, "Options"] = Field({}, exclude=True, init=False)

    def shows(self, name: str) -> bool:
        """Tell whether a property or link was selected."""
        return self.select is None or name in re.split(r"\s*,\s*", self.select.strip())


def asked(query: str, of: EntitySet) -> Options:
    """Read a query string about entities of a set; raises Problem, or RequestValidationError."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=20)
    except ValueError as error:
        raise Problem(400, f"a query that cannot be read: {error}") from error
    # A + that nobody encoded is a blank, also that of a time zone; names may come without their $.
    return _read([(f"${name.lstrip('$')}", re.sub(_ZONE, r"\1+\2", text)) for name, text in pairs], of)


def _read(pairs: Sequence[tuple[str, str]], of: EntitySet) -> Options:
    try:
        found = Options.model_validate(dict(pairs))
    except ValidationError as error:
        raise RequestValidationError([{**one, "loc": ("query", *one["loc"])} for one in error.errors()]) from error
    known = ["id", "@iot.id", *of.property, *of.link]
    if strange := [name for name in split(found.select or "", ",") if name.strip() not in known]:
        raise wrong("$select", f"{strange[0][:100]!r}, expected one of {', '.join(known)}")
    if sum(map(found.expand.count, "(,/")) > WIDEST:
        raise wrong("$expand", f"expected at most {WIDEST} of what is deeper or beside others")
    for item in split(found.expand, ","):
        _expand(found, of, item.strip())
    return found


def split(text: str, separator: str) -> Iterator[str]:
    """
    Cut a text at a separator that is in no parentheses and no quotes; an empty one has no parts.

    >>> list(split("a($filter=b eq ',';$top=1),c/d", ","))
    ["a($filter=b eq ',';$top=1)", 'c/d']
    """
    depth, begin, quoted = 0, 0, False
    for at, letter in enumerate(text):
        quoted ^= letter == "'"
        depth += 0 if quoted else {"(": 1, ")": -1}.get(letter, 0)
        if letter == separator and depth == 0 and not quoted:
            yield text[begin:at]
            begin = at + 1
    if text:
        yield text[begin:]


def _expand(found: Options, of: EntitySet, item: str) -> None:
    """Add an item of $expand, as `Datastreams/Sensor` or `Datastreams($top=1;$expand=Sensor)`."""
    match = re.fullmatch(r"(\w+)(?:/(.+)|\((.*)\))?", item, re.DOTALL)
    if match is None or (target := of.linked(match[1])) is None:
        raise wrong("$expand", f"{item[:100]!r}, expected one of {', '.join(of.link)}")
    name, path, nested = match.groups()
    options = [one.strip().partition("=") for one in split(nested or "", ";")]
    given = _read([("$expand", path)] if path else [(option, text) for option, _, text in options], target)
    found.links.setdefault(name, given).links.update(given.links)
