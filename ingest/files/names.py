"""
What the names of columns and members mostly mean: sensors, units, quantities, by the patterns in `draft.toml`.

`ingest.files.draft` asks for a first mapping file.
"""

import re
import tomllib
from importlib.resources import files
from json import dumps
from typing import Any
from unicodedata import normalize

NAMES = tomllib.loads(files("ingest.files").joinpath("draft.toml").read_text("utf-8"))
OTHERS = re.compile(rf"(?:^|_)(?:{NAMES['others']})(?:_|$)")
UNIT = re.compile(r"\s*[\[(]([^\[\]()]+)[\])]\s*$")
_NUMBER = re.compile(r"[+-]?\d[\d.]*(,\d+)?([eE][+-]?\d+)?")
Fields = dict[str, list[Any]]  # the values of each column or member, by its pointer


def quoted(text: str) -> str:
    """Write a text for TOML."""
    return dumps(text, ensure_ascii=False)


def bare(pointer: str) -> str:
    """
    Write a pointer as text, without its unit.

    >>> bare("/values/[value_type=SDS_P1]/value"), bare("/NO2 [ug~1m3]")
    ('values/SDS_P1/value', 'NO2')
    """
    return re.sub(r"\[[^=\]]+=|[\]{}]", "", UNIT.sub("", pointer)).strip("/").replace("~1", "/").replace("~0", "~")


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


def quantity_of(pointer: str, guess: str | None = None) -> str | None:
    """
    Name the quantity that a name means; `guess` is that of a count which does not say of what.

    >>> [quantity_of(name) for name in ("PM2.5", "airTemperature", "windSpeed", "Bikes NB", "Hourly_Counts")]
    ['pm25', 'temperature', None, 'bicycle_count', 'vehicle_count']
    """
    words = plain(pointer)
    if OTHERS.search(words) or pointer.strip("/") in NAMES["row"]:
        return None
    patterns: dict[str, str] = NAMES["quantity"]
    found = next((one for one, pattern in patterns.items() if re.search(rf"(?:^|_)(?:{pattern})(?:_|$)", words)), None)
    return found if found != "count" else guess or "vehicle_count"


def is_number(value: Any) -> bool:
    """Tell whether a value is a number, or a text with one."""
    return not isinstance(value, bool) and _NUMBER.fullmatch(str(value)) is not None
