"""
Windows with their evidence, as Arrow tables or a pandas frame.

`stadspuls query` prints them, the API and the exports write them. The views of `aggregates/schema/` compute the
figures; `aggregates.ask.series` fetches them series by series, `aggregates.ask.readings` has readings.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from aggregates.areas.codes import is_code
from aggregates.ask.dates import with_dates, zone_of
from aggregates.ask.series import (
    STAMP,
    VIEWS,
    WORD,
    BadQuestion,
    Box,
    ChosenSeries,
    Cursor,
    Fetch,
    check_box,
    check_range,
    choose_series,
    nullable,
    pieces,
    stamps,
    statuses,
)
from aggregates.store.store import Store, Transaction
from ingest.vocabulary.quantities import QUANTITIES

__all__ = ["LENGTHS", "WINDOWS", "BadQuestion", "Question", "ask", "is_waiting", "tables"]

LENGTHS = {"5m": timedelta(minutes=5), "1h": timedelta(hours=1), "1d": timedelta(days=1)}
WINDOWS = tuple(LENGTHS)


@dataclass(frozen=True, slots=True)
class Question:
    """
    Windows of one quantity whose start lies in `[first, last)`.

    `sensor` is one, several, or None for all; `box` chooses those that stand in it (west, south, east, north, degrees).
    `channels` asks for every series instead of what each sensor counted. `area` asks for the windows of an area itself,
    or with `sensor`, `box`, `members` or `channels` for those of what stood in it; `vintage` is the year of its
    boundaries, None the newest. `coverage` is the least that a window must have, 0 takes those where it is unknown
    too. Raises BadQuestion at birth.
    """

    quantity: str
    first: datetime
    last: datetime
    window: str
    sensor: str | tuple[str, ...] | None = None
    channels: bool = False
    area: str | None = None
    vintage: int | None = None
    members: bool = False
    box: Box | None = None
    coverage: float = 0.0

    def __post_init__(self) -> None:
        if self.quantity not in QUANTITIES:
            raise BadQuestion(f"quantity {self.quantity!r}, expected one of {', '.join(QUANTITIES)}")
        if self.window not in WINDOWS:
            raise BadQuestion(f"window {self.window!r}, expected one of {', '.join(WINDOWS)}")
        check_range(self.first, self.last)
        if self.area and not is_code(self.area):
            raise BadQuestion(f"area {self.area!r}, expected a code as GM0014, WK001400 or BU00140002")
        if self.of_area and self.window == "5m":
            raise BadQuestion("window '5m' of an area, expected 1h or 1d, or one of its sensors")
        if not 0 <= self.coverage <= 1:
            raise BadQuestion(f"coverage {self.coverage}, expected 0 to 1")
        check_box(self.box)

    @property
    def of_area(self) -> bool:
        """Whether the area's own windows are asked for, and not those of sensors in it."""
        return self.area is not None and self.sensor is None and not (self.channels or self.members or self.box)


def tables(
    store: Store, question: Question, *, after: Cursor | None = None, limit: int | None = None
) -> Iterator[pa.Table]:
    """
    Answer in tables of about 100,000 windows, at least one, all of one state of the database.

    Columns: sensor_id, channel, quantity, unit (dictionaries), start, end (UTC), value, estimate, minimum, maximum
    (doubles in that unit), readings, nothing, flagged, failed, warned (counts), coverage (0 to 1), valid, revision,
    status (provisional or validated), of sensors in an area also area and vintage, date (local; of days, their own),
    local_start (in the hub's zone, with its offset), series (its number in the store).
    Sorted by sensor_id, channel, period and start. Of an area itself: see the statement `ask_area`. Raises
    BadQuestion for a cursor of another question, and `aggregates.store.store.StoreError`.
    """
    with store.transaction(snapshot=True) as tx:
        zone = zone_of(tx)
        if question.of_area:
            yield with_dates(_of_area(tx, question), zone, question.window)
            return
        chosen, area = _chosen(tx, question)
        expected, nothing = (question.last - question.first) / LENGTHS[question.window], np.empty(0, WINDOW)
        for rows in pieces(chosen, _fetch(tx, question, area, chosen), nothing, expected, after, limit):
            table = with_dates(_table(rows, chosen, question, area), zone, question.window)
            yield table.append_column("series", pa.array(rows["series"]))


def is_waiting(store: Store, first: datetime, last: datetime, window: str, *, areas: bool = False) -> bool:
    """Tell whether windows that start in `[first, last)` wait for the roll-up; to be asked before the windows."""
    asked = {"first": first, "last": last, "days": window == "1d", "areas": areas}
    return window != "5m" and bool(store.rows("is_waiting", **asked)[0][0])


def ask(store: Store, question: Question) -> pd.DataFrame:
    """
    Answer with a row a window: sensor_id, channel, quantity, unit, start, end (UTC), figures and evidence.

    Nothing found is an empty frame with the same columns. Raises `aggregates.store.store.StoreError`.
    """
    found = pa.concat_tables(list(tables(store, question))).drop_columns(["series"])
    plain = pa.schema([f.with_type(pa.string()) if f.type == WORD else f for f in found.schema])
    return found.cast(plain).to_pandas()


# A row of the statement `ask_windows`; `state` is twice the status, plus one where it is valid.
_FIGURES = ("value", "estimate", "minimum", "maximum")
_COUNTS = ("readings", "nothing", "flagged", "failed", "warned")
WINDOW = np.dtype([
    ("series", "i4"), ("start", "i8"),
    *((name, "f8") for name in (*_FIGURES, "coverage", *_COUNTS, "revision", "state")),
])  # fmt: skip


def _chosen(tx: Transaction, question: Question) -> tuple[ChosenSeries, dict[str, Any]]:
    """Find the series of a question, and the area and vintage that its windows must be of."""
    area: dict[str, Any] = {}
    if question.area:
        ((vintage,),) = tx.rows("read_area_vintage", area=question.area, vintage=question.vintage)
        area = {"area": question.area, "vintage": vintage}
    found = choose_series(
        tx, quantity=question.quantity, sensor=question.sensor, channels=question.channels, box=question.box, **area
    )
    return found, area


def _fetch(tx: Transaction, question: Question, area: dict[str, Any], chosen: ChosenSeries) -> Fetch:
    asked = {"first": question.first, "last": question.last, "coverage": question.coverage, **area}

    def rows(view: str, series: NDArray[np.int32]) -> NDArray[Any]:
        return tx.numbers(
            "ask_windows_in_area" if area else "ask_windows", WINDOW, view=f"{view}_{question.window}",
            series=series.tolist(), **asked,
        )  # fmt: skip

    def fetch(series: NDArray[np.int32]) -> NDArray[Any]:
        if question.channels:
            return rows("aggregate", series)
        # Where nothing needs adding up a smaller view answers.
        alone = chosen.alone(series)
        if alone.all():
            return rows("sensor_alone", series)
        return np.concatenate([rows("sensor_alone", series[alone]), rows("sensor", series[~alone])])

    return fetch


def _table(rows: NDArray[Any], chosen: ChosenSeries, question: Question, area: dict[str, Any]) -> pa.Table:
    columns: dict[str, pa.Array[Any]] = dict(chosen.words(rows["series"]))
    columns |= {"start": stamps(rows["start"]), "end": _ends(rows["start"], question.window, chosen)}
    columns |= {name: nullable(rows[name]) for name in _FIGURES}
    columns |= {name: pa.array(rows[name].astype(np.int32)) for name in _COUNTS}
    status, valid = np.divmod(rows["state"].astype(np.int32), 2)
    columns |= {"coverage": nullable(rows["coverage"]), "valid": pa.array(valid.astype(bool))}
    columns |= {"revision": pa.array(rows["revision"].astype(np.int32)), "status": statuses(status)}
    columns |= {name: pa.array([said] * len(rows), _KINDS.get(name, pa.string())) for name, said in area.items()}
    return pa.table(columns)


def _ends(starts: NDArray[np.int64], window: str, chosen: ChosenSeries) -> "pa.Array[Any]":
    if window != "1d":
        return stamps(starts + int(LENGTHS[window].total_seconds() * 1_000_000))
    # A civil day has 23, 24 or 25 hours.
    local = pd.DatetimeIndex(stamps(starts).to_pandas()).tz_convert(next(iter(chosen.zones), "UTC"))
    return pa.array(local + pd.DateOffset(days=1)).cast(STAMP)


def _of_area(tx: Transaction, question: Question) -> pa.Table:
    """The windows of an area itself; there are few enough for plain rows."""
    names, rows = tx.frame(
        "ask_area", view=VIEWS[question.window], quantity=question.quantity, first=question.first, last=question.last,
        area=question.area, vintage=question.vintage, coverage=question.coverage,
    )  # fmt: skip
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    kinds = [_KINDS.get(name, pa.string()) for name in names]
    return pa.table({name: pa.array(cells, kind) for name, cells, kind in zip(names, columns, kinds, strict=True)})


_KINDS: dict[str, pa.DataType] = {
    **dict.fromkeys(("start", "end"), STAMP),
    **dict.fromkeys(("value", "estimate", "minimum", "maximum", "coverage"), pa.float64()),
    **dict.fromkeys(("readings", "flagged", "failed"), pa.int64()),
    **dict.fromkeys(("revision", "vintage", "sensors", "valid_sensors", "series"), pa.int32()),
    "valid": pa.bool_(),
}
