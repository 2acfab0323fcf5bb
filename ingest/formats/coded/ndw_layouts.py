"""
What the indexes of an NDW site mean where no site table says so: the patterns of suppliers, in `ndw_layouts.toml`.

`ingest.formats.coded.ndw` asks for the layout of a site.
"""

from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import msgspec

FLOW, SPEED = "F", "S"


class Pattern(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the file: the sequence of one lane, the classes of its flows and speeds, and who sends it."""

    lane: str
    classes: list[str]
    suppliers: list[str]
    evidence: str


class Layout(NamedTuple):
    """Channel by index, and the number of lanes."""

    channels: Mapping[str, str]
    lanes: int


@lru_cache(maxsize=4096)
def inferred(supplier: str, kinds: str) -> Layout | None:
    """
    Give the layout of a site that sends `kinds` ("F" flow, "S" speed, from index 1), or None where nothing is known.

    >>> inferred("RWS01", "FSFS")
    Layout(channels={'1': 'lane1/any', '2': 'lane1/any', '3': 'lane2/any', '4': 'lane2/any'}, lanes=2)
    >>> inferred("PGR08", "FSFS") is None
    True
    """
    for pattern in _patterns():
        lanes, rest = divmod(len(kinds), len(pattern.lane))
        if supplier in pattern.suppliers and lanes and not rest and pattern.lane * lanes == kinds:
            names = pattern.classes * 2 * lanes
            size = len(pattern.lane)
            return Layout({str(i + 1): f"lane{i // size + 1}/{name}" for i, name in enumerate(names)}, lanes)
    return None


@cache
def _patterns() -> list[Pattern]:
    text = Path(__file__).with_name("ndw_layouts.toml").read_bytes()
    patterns = msgspec.toml.decode(text, type=dict[str, list[Pattern]])["layout"]
    for pattern in patterns:
        size = len(pattern.classes)
        if sorted(pattern.lane) != [FLOW] * size + [SPEED] * size:
            raise ValueError(f"ndw_layouts.toml: lane {pattern.lane} with {size} classes, expected as many F and S")
    return patterns
