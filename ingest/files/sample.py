"""
What a file holds, for a first mapping file: its values by the pointers to them, and what their names mostly mean.

The patterns of names are in `draft.toml`; `ingest.files.draft` says what the values probably are.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from json import dumps
from pathlib import Path
from statistics import mode
from typing import Any
from unicodedata import normalize

from ingest.files.recordings import messages
from ingest.formats.documents import decoded, json_document
from ingest.formats.pointers import step
from ingest.formats.xml import opened
from ingest.vocabulary.readings import BadPayload
from ingest.vocabulary.values import shipped_toml

NAMES = shipped_toml(__file__, "draft.toml")
_OTHERS = re.compile(rf"(?:^|_)(?:{NAMES['others']})(?:_|$)")
UNIT = re.compile(r"\s*[\[(]([^\[\]()]+)[\])]\s*$")
_MOST = 10_000  # rows or messages that are looked at
Fields = dict[str, list[Any]]  # the values of each column or member, by its pointer
Sample = tuple[list[str], str, Fields, list[str]]


def sample_of(path: Path, source: str) -> Sample:
    """
    Give the lines of a mapping file that a JSON or CSV file needs, where its parts are, their values, and its topics.

    Raises BadPayload for another file.
    """
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
    likely = {each: [*filter(quantity_of, fields), *named(fields, "value")] for each, fields in records.items()}
    each = max(likely, key=lambda one: len(likely[one]), default="")
    fields, (outer, list_of, inner) = records[each], each.rpartition("/*")
    if each and not named(fields, "sensor"):  # the object around the list may name it
        up = "/.." * (inner if list_of else each).count("/")
        fields |= {f"{up}{one}": records[outer][one] for one in named(records[outer], "sensor")}
    return [], each, fields, [*dict.fromkeys(one.topic for one in found)]


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
        keys = [
            key
            for key, text in texts.items()
            if quantity_of(text) and len({str(one.get(key)) for one in value}) == len(value)
        ]
        is_apart = not keys or any(re.match(r"\d{4}-", text) for text in texts.values())
        for one in value[:_MOST]:
            if is_apart:
                yield from _leaves(one, "", pointer if each is None else f"{each}/*{pointer}")
            else:
                yield from _leaves(one, f"{pointer}/[{keys[0]}={one.get(keys[0])}]", each)
    elif isinstance(value, list):
        yield from ((each or "", f"{pointer}/{at}", one) for at, one in enumerate(value[:3]))
    else:
        yield each or "", pointer, value


def _table(path: Path) -> Sample:
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
    head += [f"delimiter = {dumps(delimiter)}"] if delimiter != "," else []
    above = next(at for at, line in enumerate(lines) if next(csv.reader([line], delimiter=delimiter), []) == rows[0])
    head += [f"# above the header: {line}" for line in lines[:above]]
    return head, "", {step(title): list(cells) for title, *cells in zip(*rows, strict=True)}, []


def plain(pointer: str) -> str:
    """
    Write the step of a pointer that says what is there in lower case, its words joined by `_`.

    >>> [plain(one) for one in ("/PM2.5", "/airTemperature_2/value", "/Sensor ID", "/geo/coordinates/0", "/NO\u2082")]
    ['pm2_5', 'air_temperature', 'sensor_id', 'coordinates_0', 'no2']
    """
    text = normalize("NFKC", UNIT.sub("", pointer.replace("/..", "")))
    steps = re.sub(r"/(\d+)$", r"_\1", text).split("/")
    while len(steps) > 2 and steps[-1] in ("value", "name", "id"):
        steps.pop()
    words = re.sub(r"^\[.*?=|(?<=[a-z])(?=[A-Z])|[\W_]+", "_", steps[-1]).lower().strip("_")
    return words if "coordinates" in words else re.sub(r"(?<=[a-z]{4})_?\d+$", "", words)


def matching(fields: Fields, pattern: str) -> list[str]:
    """Give the pointers whose names a pattern fits."""
    return [one for one in fields if re.fullmatch(pattern, plain(one))]


def named(fields: Fields, kind: str) -> list[str]:
    """Give the pointers whose names are of a kind, the likeliest first."""
    return [one for pattern in NAMES[kind] for one in matching(fields, pattern)]


def is_other(pointer: str) -> bool:
    """Tell whether a name has a word by which it is another thing than the quantity in it."""
    return _OTHERS.search(plain(pointer)) is not None


def quantity_of(pointer: str, guess: str | None = None) -> str | None:
    """
    Name the quantity that a name means; `guess` is that of a count which does not say of what.

    >>> [quantity_of(name) for name in ("PM2.5", "airTemperature", "windSpeed", "Bikes NB", "Hourly_Counts")]
    ['pm25', 'temperature', None, 'bicycle_count', 'vehicle_count']
    """
    if is_other(pointer) or pointer.strip("/") in NAMES["row"]:
        return None
    words, patterns = plain(pointer), NAMES["quantity"]
    found = next((one for one, pattern in patterns.items() if re.search(rf"(?:^|_)(?:{pattern})(?:_|$)", words)), None)
    return found if found != "count" else guess or "vehicle_count"
