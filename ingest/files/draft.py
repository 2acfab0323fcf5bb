"""
A first mapping file from a recorded file: what its names and values suggest, and a comment where somebody must ask.

`ingest.files.names` knows what names mean, `ingest.files.recordings` reads the file;
`stadspuls formats draft` prints the draft.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import islice, pairwise, product
from json import dumps
from pathlib import Path
from statistics import mode
from typing import Any, NamedTuple

from ingest.files.names import (
    NAMES,
    OTHERS,
    UNIT,
    Fields,
    bare,
    is_number,
    matching,
    named,
    plain,
    quantity_of,
    quoted,
)
from ingest.files.recordings import messages
from ingest.formats.documents import decoded, json_document
from ingest.formats.pointers import step
from ingest.formats.stamps import iso
from ingest.formats.xml import opened
from ingest.vocabulary.quantities import QUANTITIES, Quantity, is_unit
from ingest.vocabulary.readings import BadPayload
from ingest.vocabulary.sources import OWN, SOURCES

_FORMS = ("iso", "s", "ms", *map("".join, product(NAMES["dates"], NAMES["times"], NAMES["zones"])))
_DIGITS = {"s": 10, "ms": 13}  # of the numbers that are stamps of these years
_ASK = "  # the file does not tell: ask"
_MOST = 10_000  # rows or messages that are looked at


class _Sample(NamedTuple):
    """A file: the lines its form needs, where its parts are, their values, and the topics of messages."""

    head: list[str]
    each: str
    fields: Fields
    topics: list[str]


def draft(path: Path, source: str, zone: str) -> str:
    """
    Write a mapping file for `source`; local stamps are taken to be of `zone`.

    Raises BadPayload for a file that is neither JSON nor a table.
    """
    head, each, fields, topics = _read(path, source)
    used, stamp, means = _stamp(fields, zone)
    if not used and not topics:
        stamp, means = ["# no column has stamps that can be read: without one no row can be"], "start"
    numbers = [value for values in fields.values() for value in values if is_number(value)]
    lines = [*head, *(['decimal = ","'] if any("," in str(one) for one in numbers) else [])]
    sensor, own = _sensor(fields, topics, source, used)
    if source not in SOURCES:  # else the file takes the place of a shipped one
        lines += [NAMES["source"].format(source=source, means=means).rstrip(), *own]
    lines += ["", "[[message]]", *([f"each = {quoted(each)}"] if each else []), f"sensor = {sensor}", *stamp]
    for kind in ("lon", "lat"):
        places = [one for one in named(fields, kind) if is_number(fields[one][0]) and abs(float(fields[one][0])) <= 180]
        lines += [f"{kind} = {quoted(one)}" for one in places[:1]]
        used += places
    about = f"{path.name} {' '.join(head)}"
    return "\n".join([*lines, *_readings(fields, used, about)]) + "\n"


def _read(path: Path, source: str) -> _Sample:
    if path.name.removesuffix(".gz").endswith(".csv"):
        return _table(path)
    found = list(islice(messages(path, source), _MOST))
    texts = [decoded(one.payload).lstrip("\ufeff \r\n") for one in found]
    if not texts[0].startswith(("{", "[")):
        return _table(path)
    records: dict[str, Fields] = defaultdict(lambda: defaultdict(list))
    for text in texts:
        for each, pointer, value in _leaves(json_document(text)):
            records[each][pointer].append(value)
    each = max(
        records, key=lambda one: len([*filter(quantity_of, records[one]), *named(records[one], "value")]), default=""
    )
    fields, (outer, list_of, inner) = records[each], each.rpartition("/*")
    if each and not named(fields, "sensor"):  # the object around the list may name it
        up = "/.." * (inner if list_of else each).count("/")
        fields |= {f"{up}{one}": records[outer][one] for one in named(records[outer], "sensor")}
    return _Sample([], each, fields, [*dict.fromkeys(one.topic for one in found)])


def _leaves(value: Any, pointer: str = "", each: str | None = None) -> Iterator[tuple[str, str, Any]]:
    """
    Give every value with the pointer to the list it is in, and that to itself from an element of the list.

    A list whose elements differ by what they measure, and have no time of their own, is read with its surroundings.
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{pointer}{step(key)}", each)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        texts = {key: text for key, text in value[0].items() if isinstance(text, str)}
        chosen = [
            key
            for key, text in texts.items()
            if quantity_of(text) and len({str(one.get(key)) for one in value}) == len(value)
        ]
        if chosen and not any(re.match(r"\d{4}-", text) for text in texts.values()):
            for one in value:
                yield from _leaves(one, f"{pointer}/[{chosen[0]}={one.get(chosen[0])}]", each)
        else:
            for one in value[:_MOST]:
                yield from _leaves(one, "", pointer if each is None else f"{each}/*{pointer}")
    elif isinstance(value, list):
        yield from ((each or "", f"{pointer}/{at}", one) for at, one in enumerate(value[:3]))
    else:
        yield each or "", pointer, value


def _table(path: Path) -> _Sample:
    """Read a CSV: its delimiter gives most lines most columns, its header is the first line that has all of them."""
    with opened(path) as stream:
        lines = decoded(stream.read()).lstrip("\ufeff").splitlines()[:_MOST]
    width, delimiter = max(
        (mode([len(row) for row in csv.reader(lines, delimiter=one) if row] or [0]), one) for one in ",;\t|"
    )
    rows = [row for row in csv.reader(lines, delimiter=delimiter) if len(row) == width]
    if width < 2 or lines[0].lstrip()[:1] in ("<", "{", "["):
        raise BadPayload(f"{path.name}: neither JSON nor a table with a header; XML needs a format with code")
    head = ['format = "csv"']
    head += [f"delimiter = {quoted(delimiter)}"] if delimiter != "," else []
    above = next(at for at, line in enumerate(lines) if next(csv.reader([line], delimiter=delimiter), []) == rows[0])
    head += [f"# above the header: {line}" for line in lines[:above]]
    return _Sample(head, "", {step(title): list(cells) for title, *cells in zip(*rows, strict=True)}, [])


def _sensor(fields: Fields, topics: list[str], source: str, used: list[str]) -> tuple[str, list[str]]:
    """Give what names the sensor, and the line for the source's own topics where it has them."""
    fixed = f"{OWN}/{source}" if not topics or topics[0].startswith(f"{OWN}/") else topics[0].split("/")[0]
    own = [f'topic = "{fixed}/#"'] if OWN not in fixed else []
    for one in named(fields, "sensor"):
        values = {*map(str, fields[one])}
        if one not in used and (len(values) < len(fields[one]) or len(values) < 3):  # not the number of the row
            return quoted(f"{{{one}}}"), own
    if not topics:
        return f"{quoted(source)}  # the whole file is of one sensor", []
    depths = dict.fromkeys(topic.count("/") - fixed.count("/") for topic in topics)
    return dumps([f"{{topic:{fixed}{'/+' * depth}}}" for depth in depths]), own


def _stamp(fields: Fields, zone: str) -> tuple[list[str], list[str], str]:
    """Give the fields of the stamp, its lines, and what it means; the first that has a time of the day, else a date."""
    found = []
    for names in NAMES["stamp"]:
        for used in map(list, product(*(matching(fields, name) for name in names))):
            texts = [" ".join(map(str, values)) for values in zip(*(fields[one] for one in used), strict=False)]
            texts = [text for text in texts if text not in ("", "None")]
            form = next((form for form in _FORMS if texts and all(_is_moment(text, form) for text in texts)), "")
            found += [(form, used, texts)] if form and len({*used}) == len(used) else []
    if not found:
        return [], [], "received"
    form, used, texts = next((one for one in found if re.search("s|%[HI]", one[0])), found[0])
    moments = sorted({_moment(text, form) for text in texts})
    lines = [f"stamp = {quoted(used[0])}"] if len(used) == 1 else [f'stamp_text = "{{{"} {".join(used)}}}"']
    if form in ("s", "ms"):
        lines.append(f'epoch = "{form}"')
    elif form != "iso":
        is_doubtful = form.startswith(("%d/%m", "%d-%m")) and max(text[:2] for text in texts) <= "12"
        lines.append(f'written = "{form}"' + "  # or the month first? ask" * is_doubtful)
    lines += [] if moments[0].tzinfo else [f'zone = "{zone}"{_ASK}']
    apart = mode((after - before).total_seconds() for before, after in pairwise(moments)) if len(moments) > 2 else 0
    if apart < 60 or apart % 60:
        return used, [*lines, "# period = 3600  # seconds, where a value is not of a moment"], "instant"
    if apart == 86_400 and moments[0].tzinfo is None:
        return used, [*lines, 'period = "day"  # of the calendar, as are "week" and "month"'], "start"
    return used, [*lines, f"period = {apart:.0f}  # seconds between the stamps of this file"], "start"


def _is_moment(text: str, form: str) -> bool:
    try:
        return bool(_moment(text, form))
    except ValueError:
        return False


def _moment(text: str, form: str) -> datetime:
    """Read a stamp of a form; raises ValueError for another."""
    if form in ("s", "ms"):
        return datetime.fromisoformat(iso(text if len(text) == _DIGITS[form] else "", "s" if form == "s" else "ms"))
    begin, forms = (text.partition("/")[0], []) if form == "iso" else (text, [form])
    return datetime.fromisoformat(iso(begin, None, forms))


def _readings(fields: Fields, used: list[str], about: str) -> Iterator[str]:
    """Give the list of readings, and the table of a file with a line for each quantity."""
    texts = {one: [value for value in values if value not in (None, "")] for one, values in fields.items()}
    numeric = [one for one in texts if one not in used and sum(map(is_number, texts[one])) * 2 >= len(texts[one]) > 0]
    values = [one for one in named(fields, "value") if one in numeric]
    keys = [one for one in named(fields, "key") if values and any(map(quantity_of, map(str, texts[one])))]
    if keys:
        units = [f", unit_at = {quoted(one)}" for one in named(fields, "unit")][:1]
        yield f"reading = [{{ value = {quoted(values[0])}, key = {quoted(f'{{{keys[0]}}}')}{''.join(units)} }}]"
        yield from _entries(sorted({*map(str, texts[keys[0]])}), is_stated=bool(units))
        return
    guess = quantity_of(about)
    found = {one: quantity_of(one, guess) for one in numeric}
    if not any(found.values()):
        found = {one: None if OTHERS.search(plain(one)) else guess for one in values or numeric}
    yield "reading = ["
    for one in numeric:
        if quantity := found.get(one):
            many = [*found.values()].count(quantity) > 1
            channel = f", channel = {quoted(bare(one))}" if many else ""
            key, comment = _unit(one, fields, QUANTITIES[quantity])
            yield f'    {{ value = {quoted(one)}, quantity = "{quantity}"{channel}{key} }},{comment}'
        else:
            yield f'    # {{ value = {quoted(one)}, quantity = "" }},'
    yield "]"


def _entries(texts: list[str], *, is_stated: bool) -> Iterator[str]:
    known = {text: quantity_of(text) for text in texts}
    for text, quantity in known.items():
        yield f"\n[table.{quoted(text)}]"
        yield f'quantity = "{quantity}"' if quantity else '# quantity = ""  # without one it is left out'
        if quantity and [*known.values()].count(quantity) > 1:
            yield f"channel = {quoted(text)}"
        if quantity and not is_stated and QUANTITIES[quantity].aggregation != "sum":
            yield f'unit = "{QUANTITIES[quantity].unit}"{_ASK}'


def _unit(pointer: str, fields: Fields, quantity: Quantity) -> tuple[str, str]:
    """Give the key for a unit and a comment: it stands beside the value or in the name, or is one that is plausible."""
    beside = [one for one in named(fields, "unit") if one.rpartition("/")[0] == pointer.rpartition("/")[0] != ""]
    if beside or quantity.aggregation == "sum":
        return "".join(f", unit_at = {quoted(one)}" for one in beside[:1]), ""
    stated = UNIT.search(pointer.replace("~1", "/"))
    if stated and is_unit(stated[1], quantity):
        return f", unit = {quoted(stated[1])}", ""
    numbers = sorted(float(str(value).replace(",", ".")) for value in fields[pointer] if is_number(value))
    is_ours = quantity.low <= numbers[len(numbers) // 2] <= quantity.high
    unit = quantity.unit if is_ours else NAMES["units"].get(quantity.name, quantity.unit)
    return f', unit = "{unit}"', f"  # {stated[1]!r} does not convert" if stated else _ASK
