"""
The parts of a document, the rule of a mapping file that takes each, and what no rule takes or reads.

`ingest.formats.mapping_reader` reads the parts. `unread` explains a document to whoever writes a mapping file; `UNREAD`
counts for the hub's metrics.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from msgspec import UNSET, Struct

from ingest.formats.cells import is_figure
from ingest.formats.documents import table_rows
from ingest.formats.mapping_schema import MappingFile, MessageRule
from ingest.formats.pointers import Path, Pointers, Where, every_pointer
from ingest.formats.stamps import Calendar
from ingest.vocabulary.readings import BadPayload, Message
from ingest.vocabulary.sources import SOURCES, meet

UNREAD: Counter[tuple[str]] = Counter()  # numbers that came and that no rule reads, by source
_SHAPES = 10_000  # shapes of objects whose unread numbers are known
_known: dict[int, int] = {}  # how many these are, by a hash of source and shape


class Part(Struct, dict=True):
    """One part of a message, and the rule that takes it."""

    source: str
    spec: MappingFile
    rule: MessageRule
    where: Where
    received_at: datetime
    step: int | Calendar = 0

    @property
    def period(self) -> int | Calendar:
        """Give the seconds of the part's period, or that of the calendar."""
        return self.step if self.rule.period == "step" else self.rule.period

    @cached_property
    def sensor(self) -> str | None:
        """Name the part's sensor, without its source."""
        return self.rule.sensor.fill(self.where)

    @property
    def means(self) -> str:
        """Say what a stamp of the part means."""
        return self.rule.means or SOURCES[self.source].stamp


class Unread(NamedTuple):
    """Something in a message that became nothing; `has_number` tells whether it is a number."""

    path: Path
    reason: str
    has_number: bool


def parts(source: str, spec: MappingFile, document: Any, message: Message) -> Iterator[Part]:
    """Give every part of the document with the first rule that takes it; raises BadPayload where none does."""
    taken: set[Path] = set()
    whole = Where(document, message.topic, spec.unwrap)
    for rule in spec.message:
        for where in _found(rule, whole):
            fits = rule.when.hold(where) and lacks(rule.has, where) is None
            if fits and where.path not in taken:
                taken.add(where.path)
                yield Part(source, spec, rule, where, message.received_at)
    if not taken:
        raise BadPayload(f"no part of the message is of a known shape, expected {_shapes(spec)}")


def lacks(wanted: list[Pointers], where: Where, empty: Sequence[Any] = (UNSET,)) -> Pointers | None:
    """Give the first of the pointers that finds nothing, or what is as nothing."""
    return next((pointer for pointer in wanted if pointer.first(where) in empty), None)


def _found(rule: MessageRule, whole: Where) -> Iterator[Where]:
    """Give the parts that the first `each` with any finds, the rows of columns one by one."""
    if rule.topic and not meet(rule.topic.split("/"), whole.topic.partition("?")[0].split("/")):
        return
    found = (list(pointer.parts(whole)) for pointer in rule.each.each)
    for where in next(filter(None, found), []):
        if rule.columns and isinstance(where.document, dict):
            for at, row in enumerate(table_rows(where.document)):
                yield where._replace(document=row, path=(*where.path, str(at)))
        else:
            yield where


def _shapes(spec: MappingFile) -> str:
    return "; or ".join(map(_shape, spec.message))


def _shape(rule: MessageRule) -> str:
    wanted = [f"{pointer} {' or '.join(map(repr, values))}" for pointer, values in rule.when.all]
    return ", ".join(filter(None, [rule.topic, *map(str, rule.has), *wanted])) or f"something at {rule.each}"


def unread(source: str, spec: MappingFile, document: Any, message: Message) -> list[Unread]:
    """
    List the parts of a document that no rule takes, and the members that the rule of their part does not read.

    What a pointer of `ignore` finds is not listed.
    """
    whole = Where(document, message.topic, spec.unwrap)
    try:
        taken = list(parts(source, spec, document, message))
    except BadPayload as error:
        return [Unread((), str(error), has_number=True)]
    reached = {way for part in taken for way in _ways(part.where.path)}
    found = {_bare(path, spec) for part in taken for path in _read(part)}
    offered = [where.path for rule in spec.message if not rule.columns for where in _found(rule, whole)]
    why = f"no rule takes this part, expected {_shapes(spec)}"
    listed = {path: why for path in offered if path not in reached}
    numbers: set[Path] = set()
    for path, value in _leaves(document):
        if not any(_bare(way, spec) in found or way in listed for way in _ways(path)):
            listed[path] = "no rule reads this"
        if is_figure(value, spec.decimal):
            numbers.update(_ways(path))
    return [Unread(path, reason, path in numbers) for path, reason in listed.items()]


def _ways(path: Path) -> list[Path]:
    return [path[:end] for end in range(len(path) + 1)]


def _bare(path: Path, spec: MappingFile) -> Path:
    return tuple(name for name in path if name != spec.unwrap)


def _read(part: Part) -> Iterator[Path]:
    """Give the way to everything that the rule of a part reads."""
    at, of_rows = part.where.path, part.rule.columns
    rule = [getattr(part.rule, name) for name in part.rule.__struct_fields__ if name != "each"]
    for pointer in every_pointer(rule):
        for one in pointer.parts(part.where):
            yield (*at[:-1], *one.path[len(at) :]) if of_rows and one.path[: len(at)] == at else one.path
            yield from ((*one.path[: -len(pointer.path) + depth], name) for depth, name in pointer.selectors)


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if inner is None:
        yield path, value
    for name, one in inner or ():
        yield from _leaves(one, (*path, str(name)))


def note(source: str, spec: MappingFile, names: set[str], document: Any, message: Message) -> None:
    """Count the numbers that no rule reads; objects of one place, shape and texts in `names` have as many of them."""
    objects = {path: hash((source, shape)) for path, shape in _objects(document, names)}
    if not _known.keys() >= set(objects.values()):
        if len(_known) >= _SHAPES:
            _known.clear()
        numbers = (one.path for one in unread(source, spec, document, message) if one.has_number)
        missed = Counter(next(way for way in reversed(_ways(path)) if way in objects) for path in numbers)
        _known.update((shape, missed[path]) for path, shape in objects.items())
    UNREAD[(source,)] += sum(map(_known.__getitem__, objects.values()))


def _objects(value: Any, names: set[str], path: Path = (), above: object = None) -> Iterator[tuple[Path, object]]:
    """Give the way to the document and every object in it, with what tells its shape from others."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if isinstance(value, dict):
        above = (above, tuple(value), tuple(str(value[name]) for name in names & value.keys()))
    if isinstance(value, dict) or not path:
        yield path, above
    for name, one in inner:
        if isinstance(one, dict | list):
            yield from _objects(one, names, (*path, str(name)), (above, name if isinstance(name, str) else "*"))
