"""
What is asked of the store: aggregates with their evidence, as a pandas frame.

`stadspuls query` prints them, the API serves them. The figures themselves are made by the views of
`aggregates/schema/`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from aggregates.areacodes import is_code
from aggregates.store import Store
from ingest.quantities import QUANTITIES

WINDOWS = ("5m", "1h", "1d")


class BadQuestion(ValueError):  # noqa: N818 - the reaction is the name: ask again, corrected
    """A question that has no answer: the text says what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class Question:
    """
    Windows of one quantity whose start lies in `[first, last)`.

    `sensor` None asks for all sensors. `channels` asks for every series instead of what each sensor counted. `area`
    asks for the windows of an area itself, or with `sensor`, `members` or `channels` for those of what stands in it;
    `vintage` is the year of its boundaries, None the newest. Raises BadQuestion at birth.
    """

    quantity: str
    first: datetime
    last: datetime
    window: str
    sensor: str | None = None
    channels: bool = False
    area: str | None = None
    vintage: int | None = None
    members: bool = False

    def __post_init__(self) -> None:
        if self.quantity not in QUANTITIES:
            raise BadQuestion(f"quantity {self.quantity!r}, expected one of {', '.join(QUANTITIES)}")
        if self.window not in WINDOWS:
            raise BadQuestion(f"window {self.window!r}, expected one of {', '.join(WINDOWS)}")
        if self.first.tzinfo is None or self.last.tzinfo is None:
            raise BadQuestion("from and to without a zone, expected aware stamps")
        if self.first >= self.last:
            raise BadQuestion(f"from {self.first.isoformat()} is not before to {self.last.isoformat()}")
        if self.area and not is_code(self.area):
            raise BadQuestion(f"area {self.area!r}, expected a code as GM0014, WK001400 or BU00140002")
        if self.of_area and self.window == "5m":
            raise BadQuestion("window '5m' of an area, expected 1h or 1d, or one of its sensors")

    @property
    def of_area(self) -> bool:
        """Whether the area's own windows are asked for, and not those of sensors in it."""
        return self.area is not None and self.sensor is None and not (self.channels or self.members)


def ask(store: Store, question: Question) -> pd.DataFrame:
    """
    Answer with a row a window: sensor_id, channel, quantity, unit, start, end (UTC), figures and evidence.

    Nothing found is an empty frame with the same columns. Raises `aggregates.store.StoreError`.
    """
    view = f"{'aggregate' if question.channels else 'sensor'}_{question.window}"
    asked = {"quantity": question.quantity, "first": question.first, "last": question.last}
    asked |= {} if question.of_area else {"sensor": question.sensor}
    asked |= {"area": question.area, "vintage": question.vintage} if question.area else {}
    statement = "query"
    if question.area:
        statement = "query_area" if question.of_area else "query_members"
        view = {"1h": "area_hour", "1d": "area_day"}[question.window] if question.of_area else view
    with store.transaction(snapshot=True) as tx:
        names, rows = tx.frame(statement, view=view, **asked)
    return framed(names, rows)


def framed(names: list[str], rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    """Make a frame of what a statement gave, typed by the names of its columns; stamps are seconds since 1970."""
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    return pd.DataFrame({name: _column(name, values) for name, values in zip(names, columns, strict=True)})


def _column(name: str, values: tuple[Any, ...]) -> "pd.Series[Any]":
    # Typed column by column: pandas takes far longer to find out by itself.
    column = pd.Series(np.array(values, _KINDS.get(name, "object")))
    return column.astype("M8[us]").dt.tz_localize("UTC") if name in _STAMPS else column


_STAMPS = ("start", "end")
_NUMBERS = ("value", "estimate", "minimum", "maximum", "coverage")
_COUNTS = ("readings", "nothing", "flagged", "failed", "warned", "revision")
_KINDS = {
    **dict.fromkeys(_STAMPS, "M8[s]"),
    **dict.fromkeys(_NUMBERS, "f8"),
    **dict.fromkeys(_COUNTS, "i8"),
    "valid": "bool",
}
