"""
Payloads to documents: JSON as devices write it, the rows of a CSV, the records of a SenML pack.

`ingest.formats.mapping_reader` reads the documents; `ingest.files.sections` cuts a CSV into its rows.
"""

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import chain, islice
from typing import Any

from ingest.formats.mapping_schema import MappingFile
from ingest.vocabulary.readings import BadPayload, Message
from ingest.vocabulary.values import raised_as

TITLES = 50  # lines at most that may stand above the header of a CSV
TOO_LONG = "beyond the last column"  # the member of a row that holds its cells there
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_NOT_A_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*+"?|([+-]?\b(?:nan|inf(?:inity)?)\b)', re.IGNORECASE)  # outside of texts
_NOW = 2**28  # s: a time of SenML below that counts from now


def read(message: Message, spec: MappingFile, columns: Collection[str]) -> Iterator[Any]:
    """
    Give the documents of a message by a mapping file; `columns` are those that the file reads.

    By a file for CSV every row is one, or every element of a list in JSON. Raises BadPayload for a payload that is not
    of the file's format.
    """
    text = decoded(message.payload, spec.encoding).strip("\ufeff\0")
    if spec.format == "csv" and not text.lstrip().startswith(("[", "{")):
        yield from csv_rows(io.StringIO(text, newline=""), spec.delimiter, columns)
        return
    document = json_document(text, short_names=spec.short_names)
    if spec.format == "csv" and isinstance(document, list):
        yield from document
    else:
        yield list(senml(document, message.received_at)) if spec.format == "senml" else document


def decoded(data: bytes, encoding: str | None = None) -> str:
    """
    Give the text of a payload: a mark at its beginning tells, then `encoding`, else UTF-8 or Windows-1252.

    Raises BadPayload for what is neither.
    """
    mark = next((name for mark, name in _MARKS.items() if data.startswith(mark)), encoding)
    if mark is None and data[1:2] == b"\0":
        mark = "utf-16-le"
    try:
        return data.decode(mark or "utf-8")
    except UnicodeError as error:
        with suppress(UnicodeError):
            return data.decode(mark or "cp1252")
        raise BadPayload(f"not text: {error}") from error


def json_document(text: str, *, short_names: bool = False, odd: Callable[[str], Any] = lambda _: None) -> Any:
    """
    Read JSON as far as is safe; a bare word is a document too.

    NaN and infinity, which are no JSON, are what `odd` makes of them, null: a device writes so what its broken chip
    gave. A member given twice has both values, as a list. With `short_names` members and types that are URIs have their
    last part. Raises BadPayload for anything else.

    >>> json_document('{"t": NaN, "a": 1, "a": 2}'), json_document("unavailable")
    ({'t': None, 'a': [1, 2]}, 'unavailable')
    """
    text = text.strip()
    hooks: dict[str, Any] = {"object_pairs_hook": _short if short_names else _members, "parse_constant": odd}
    try:
        return json.loads(text, **hooks)
    except RecursionError:
        raise BadPayload("not JSON: nested too deeply") from None
    except ValueError as error:
        wrong = error
    hooks["parse_int"] = lambda digits: int(digits) if len(digits) < 400 else digits
    try:
        return json.loads(_NOT_A_NUMBER.sub(lambda found: "NaN" if found[1] else found[0], text), **hooks)
    except (ValueError, RecursionError):
        if text and len(text) <= 50 and text.isprintable() and not set(text) & set('{}[]"'):
            return text
        raise BadPayload(f"not JSON: {wrong}") from None


def is_nearly_json(data: bytes) -> bool:
    """Tell whether data are a JSON object or list, as devices write them."""
    with suppress(BadPayload):
        return isinstance(json_document(decoded(data)), dict | list)
    return False


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        given: dict[str, list[Any]] = {name: [] for name in made}
        for name, value in pairs:
            given[name].append(value)
        made = {name: every[0] if all(one == every[0] for one in every) else every for name, every in given.items()}
    return made


def _short(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return _members([(_last(name), _last(value) if name in ("type", "@type") else value) for name, value in pairs])


def _last(name: Any) -> Any:
    """
    Give the last part of a URI.

    >>> _last("https://smartdatamodels.org/dataModel.Environment/NO2"), _last("no2")
    ('NO2', 'no2')
    """
    return re.split("[/#]", name)[-1] if isinstance(name, str) and "://" in name else name


def csv_rows(lines: Iterable[str], delimiter: str, columns: Collection[str]) -> Iterator[dict[str, Any]]:
    """
    Give the rows below the header, each with its cells by their column; cells beyond the header are at `TOO_LONG`.

    The header is the line with most of `columns`, those that a mapping file points at: titles may stand above it.
    Raises BadPayload where it has none of these, or one twice, and for what is no CSV.
    """
    rows = _rows(lines, delimiter)
    first = list(islice(rows, TITLES))
    at = _header(first, columns)
    names = first[at] if first else []
    if columns and not set(columns) & set(names):
        raise BadPayload(f"a header without {', '.join(sorted(columns)[:5])}, expected these columns: see delimiter")
    if twice := [name for name in columns if names.count(name) > 1]:
        raise BadPayload(f"column {twice[0]!r} {names.count(twice[0])} times in the header, expected it once")
    for row in chain(first[at + 1 :], rows):
        if any(row):
            beyond = {TOO_LONG: row[len(names) :]} if any(row[len(names) :]) else {}
            yield dict(zip(names, row, strict=False)) | beyond


def _rows(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    with raised_as(BadPayload, csv.Error, at="not CSV"):
        for row in csv.reader(lines, delimiter=delimiter):
            yield [cell.strip() for cell in row]


def _header(lines: Sequence[Sequence[str]], columns: Collection[str]) -> int:
    """Tell which line is the header: the first with most of the columns; with one of several below a title alone."""
    named = [len(set(columns) & set(line)) for line in lines]
    best = max(named, default=0)
    is_titled = best == 1 and len(lines[0]) == 1
    return named.index(best) if is_titled or best >= min(2, len(columns)) else 0


def senml(pack: Any, received_at: datetime) -> Iterator[dict[str, Any]]:
    """
    Resolve a SenML pack (RFC 8428, section 4.6): each record has what the base fields before it give.

    `n` stays the record's own name and `bn` the base name; `t` is seconds since 1970. Raises BadPayload for no list.
    """
    if not isinstance(pack, list):
        raise BadPayload("SenML that is not a list, expected a list of records")
    base: dict[str, Any] = {}
    for record in (one for one in pack if isinstance(one, dict)):
        base |= {name: record[name] for name in ("bn", "bt", "bu", "bv", "bs") if name in record}
        if all(name.startswith("b") for name in record):
            continue
        one = {"n": "", "u": base.get("bu")} | base | record
        for name, begin in (("t", "bt"), ("v", "bv"), ("s", "bs")):
            if begin in base or name in record:
                one[name] = _sum(base.get(begin, 0), record.get(name, 0))
        if {"vs", "vb", "vd"} & record.keys():
            one.pop("v", None)
        if isinstance(t := one.get("t", 0), int | float) and t < _NOW:
            one["t"] = received_at.timestamp() + t
        yield one


def _sum(base: Any, own: Any) -> Any:
    odd = [one for one in (base, own) if isinstance(one, bool) or not isinstance(one, int | float)]
    return odd[0] if odd else base + own


def table_rows(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """
    Give the rows of an object whose members are columns, arrays side by side; what is no array is in every row.

    >>> list(table_rows({"id": "a", "time": [1, 2], "no2": [30]}))
    [{'id': 'a', 'time': 1, 'no2': 30}, {'id': 'a', 'time': 2}]
    """
    columns = {name: value for name, value in document.items() if isinstance(value, list)}
    rows = max(map(len, columns.values()), default=0)
    if rows * (len(document) - len(columns)) > 1_000_000:
        raise BadPayload(f"{rows} rows with {len(document) - len(columns)} members that are in each, expected fewer")
    for at in range(rows):
        cells = {name: value[at] for name, value in columns.items() if at < len(value)}
        yield {name: value for name, value in document.items() if name not in columns} | cells
