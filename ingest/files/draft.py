"""
A first mapping file from a recorded file: what its names and values suggest, and a comment where somebody must ask.

`ingest.files.sample` reads the file and knows what names mean; `stadspuls formats draft` prints the draft.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from itertools import pairwise, product
from json import dumps
from pathlib import Path
from statistics import mode

from ingest.files.sample import NAMES, UNIT, Fields, is_other, matching, named, quantity_of, sample_of
from ingest.formats.cells import figure, is_figure
from ingest.formats.stamps import iso
from ingest.vocabulary.quantities import QUANTITIES, Quantity, is_unit
from ingest.vocabulary.sources import OWN, SOURCES

_FORMS = ("iso", "s", "ms", *map("".join, product(NAMES["dates"], NAMES["times"], NAMES["zones"])))
_DIGITS = {"s": 10, "ms": 13}  # of the numbers that are stamps of these years
_quoted = partial(dumps, ensure_ascii=False)  # a text for TOML
_ASK = "  # the file does not tell: ask"


def draft(path: Path, source: str, zone: str) -> str:
    """
    Write a mapping file for `source`; local stamps are taken to be of `zone`.

    Raises BadPayload for a file that is neither JSON nor a table.
    """
    head, each, fields, topics = sample_of(path, source)
    used, stamp, means = _stamp(fields, zone)
    if not used and not topics:
        stamp, means = ["# no column has stamps that can be read: without one no row can be"], "start"
    numbers = [value for values in fields.values() for value in values if _is_number(value)]
    lines = [*head, *(['decimal = ","'] if any("," in str(one) for one in numbers) else [])]
    sensor, own = _sensor(fields, topics, source, used)
    if source not in SOURCES:  # else the file takes the place of a shipped one
        lines += [NAMES["source"].format(source=source, means=means).rstrip(), *own]
    lines += ["", "[[message]]", *([f"each = {_quoted(each)}"] if each else []), f"sensor = {sensor}", *stamp]
    for kind in ("lon", "lat"):
        places = [one for one in named(fields, kind) if _is_number(fields[one][0])]
        places = [one for one in places if abs(_number(fields[one][0])) <= 180]
        lines += [f"{kind} = {_quoted(one)}" for one in places[:1]]
        used += places
    about = f"{path.name} {' '.join(head)}"
    return "\n".join([*lines, *_readings(fields, used, about)]) + "\n"


def _sensor(fields: Fields, topics: list[str], source: str, used: list[str]) -> tuple[str, list[str]]:
    """Give what names the sensor, and the line for the source's own topics where it has them."""
    fixed = f"{OWN}/{source}" if not topics or topics[0].startswith(f"{OWN}/") else topics[0].split("/")[0]
    own = [f'topic = "{fixed}/#"'] if OWN not in fixed else []
    for one in named(fields, "sensor"):
        values = {*map(str, fields[one])}
        if one not in used and (len(values) < len(fields[one]) or len(values) < 3):  # not the number of the row
            return _quoted(f"{{{one}}}"), own
    if not topics:
        return f"{_quoted(source)}  # the whole file is of one sensor", []
    depths = dict.fromkeys(topic.count("/") - fixed.count("/") for topic in topics)
    return dumps([f"{{topic:{fixed}{'/+' * depth}}}" for depth in depths]), own


def _stamp(fields: Fields, zone: str) -> tuple[list[str], list[str], str]:
    """Give the fields of the stamp, its lines, and what it means; the first that has a time of the day, else a date."""
    found = []
    for names in NAMES["stamp"]:
        for used in map(list, product(*(matching(fields, name) for name in names))):
            texts = [" ".join(map(str, values)) for values in zip(*(fields[one] for one in used), strict=False)]
            texts = [text for text in texts if text not in ("", "None")]
            form = next((form for form in _FORMS if _moments(texts, form)), "")
            found += [(form, used, texts)] if form and len({*used}) == len(used) else []
    if not found:
        return [], [], "received"
    form, used, texts = next((one for one in found if re.search("s|%[HI]", one[0])), found[0])
    moments = sorted(_moments(texts, form))
    lines = [f"stamp = {_quoted(used[0])}"] if len(used) == 1 else [f'stamp_text = "{{{"} {".join(used)}}}"']
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


def _moments(texts: list[str], form: str) -> set[datetime]:
    """Read stamps of a form, none where one of them is of another."""
    try:
        return {datetime.fromisoformat(_iso(text, form)) for text in texts}
    except ValueError:
        return set()


def _iso(text: str, form: str) -> str:
    if form in _DIGITS:
        return iso(text if len(text) == _DIGITS[form] else "", "s" if form == "s" else "ms")
    return iso(text.partition("/")[0]) if form == "iso" else iso(text, None, [form])


def _readings(fields: Fields, used: list[str], about: str) -> Iterator[str]:
    """Give the list of readings, and the table of a file with a line for each quantity."""
    texts = {one: [value for value in values if value not in (None, "")] for one, values in fields.items()}
    numeric = [one for one in texts if one not in used and sum(map(_is_number, texts[one])) * 2 >= len(texts[one]) > 0]
    values = [one for one in named(fields, "value") if one in numeric]
    keys = [one for one in named(fields, "key") if values and any(map(quantity_of, map(str, texts[one])))]
    if keys:
        units = [f", unit_at = {_quoted(one)}" for one in named(fields, "unit")][:1]
        yield f"reading = [{{ value = {_quoted(values[0])}, key = {_quoted(f'{{{keys[0]}}}')}{''.join(units)} }}]"
        yield from _entries(sorted({*map(str, texts[keys[0]])}), is_stated=bool(units))
        return
    guess = quantity_of(about)
    found = {one: quantity_of(one, guess) for one in numeric}
    if not any(found.values()):
        found = {one: None if is_other(one) else guess for one in values or numeric}
    yield "reading = ["
    for one in numeric:
        if quantity := found.get(one):
            many = [*found.values()].count(quantity) > 1
            channel = f", channel = {_quoted(_bare(one))}" if many else ""
            key, comment = _unit(one, fields, QUANTITIES[quantity])
            yield f'    {{ value = {_quoted(one)}, quantity = "{quantity}"{channel}{key} }},{comment}'
        else:
            yield f'    # {{ value = {_quoted(one)}, quantity = "" }},'
    yield "]"


def _entries(texts: list[str], *, is_stated: bool) -> Iterator[str]:
    known = {text: quantity_of(text) for text in texts}
    for text, quantity in known.items():
        yield f"\n[table.{_quoted(text)}]"
        yield f'quantity = "{quantity}"' if quantity else '# quantity = ""  # without one it is left out'
        if quantity and [*known.values()].count(quantity) > 1:
            yield f"channel = {_quoted(text)}"
        if quantity and not is_stated and QUANTITIES[quantity].aggregation != "sum":
            yield f'unit = "{QUANTITIES[quantity].unit}"{_ASK}'


def _unit(pointer: str, fields: Fields, quantity: Quantity) -> tuple[str, str]:
    """Give the key for a unit and a comment: it stands beside the value or in the name, or is one that is plausible."""
    beside = [one for one in named(fields, "unit") if one.rpartition("/")[0] == pointer.rpartition("/")[0] != ""]
    if beside or quantity.aggregation == "sum":
        return "".join(f", unit_at = {_quoted(one)}" for one in beside[:1]), ""
    stated = UNIT.search(pointer.replace("~1", "/"))
    if stated and is_unit(stated[1], quantity):
        return f", unit = {_quoted(stated[1])}", ""
    numbers = sorted(_number(value) for value in fields[pointer] if _is_number(value))
    is_ours = quantity.low <= numbers[len(numbers) // 2] <= quantity.high
    unit = quantity.unit if is_ours else NAMES["units"].get(quantity.name, quantity.unit)
    return f', unit = "{unit}"', f"  # {stated[1]!r} does not convert" if stated else _ASK


def _bare(pointer: str) -> str:
    """
    Write a pointer as text, without its unit.

    >>> _bare("/values/[value_type=SDS_P1]/value"), _bare("/NO2 [ug~1m3]")
    ('values/SDS_P1/value', 'NO2')
    """
    return re.sub(r"\[[^=\]]+=|[\]{}]", "", UNIT.sub("", pointer)).strip("/").replace("~1", "/").replace("~0", "~")


def _is_number(value: object) -> bool:
    """Tell whether a value is a number, or a text with one."""
    return is_figure(value, "," if "," in str(value) else None)


def _number(value: object) -> float:
    return figure(value, "", "," if "," in str(value) else None)
