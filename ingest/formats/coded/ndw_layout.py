"""
Which lane and class an index of an NDW site means: by the measurement-site table, else by the supplier's habit.

`ingest.formats.coded.ndw` asks; `ingest.files.site_table` reads the table, `ndw_layouts.toml` beside this module
holds the habits.
"""

from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import msgspec

FLOW, SPEED = "F", "S"
QUANTITY = {FLOW: "vehicle_count", SPEED: "vehicle_speed"}
SUPPLIER = 5  # NDW gives every supplier an id of five characters, with which its site ids begin


class Habit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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
    for habit in _habits():
        lanes, rest = divmod(len(kinds), len(habit.lane))
        if supplier in habit.suppliers and lanes and not rest and habit.lane * lanes == kinds:
            names = habit.classes * 2 * lanes
            size = len(habit.lane)
            return Layout({str(i + 1): f"lane{i // size + 1}/{name}" for i, name in enumerate(names)}, lanes)
    return None


@cache
def _habits() -> list[Habit]:
    text = Path(__file__).with_name("ndw_layouts.toml").read_bytes()
    habits = msgspec.toml.decode(text, type=dict[str, list[Habit]])["layout"]
    for habit in habits:
        size = len(habit.classes)
        if sorted(habit.lane) != [FLOW] * size + [SPEED] * size:
            raise ValueError(f"ndw_layouts.toml: lane {habit.lane} with {size} classes, expected as many F and S")
    return habits
