"""
Windows with their evidence, and the readings themselves, as Arrow tables or a pandas frame.

`stadspuls query` prints them, the API and the exports write them. The views of `aggregates/schema/` compute the
figures; `aggregates.ask.series` fetches them series by series.
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
from aggregates.ask.areas import area_frame
from aggregates.ask.dates import local, with_dates, zone_of
from aggregates.ask.series import (
    FIGURES,
    LENGTHS,
    PERIOD,
    READING,
    WINDOW,
    BadQuestion,
    ChosenSeries,
    Cursor,
    Fetch,
    Rows,
    nullable,
    pieces,
    reading_columns,
    stamps,
    window_columns,
)
from aggregates.store.store import Store, Transaction
from ingest.vocabulary.quantities import QUANTITIES

__all__ = ["PERIOD", "READINGS", "WINDOWS", "BadQuestion", "Question", "ask", "is_waiting", "tables"]

WINDOWS = tuple(LENGTHS)
READINGS = ""  # in place of a window: the readings themselves
USUAL = timedelta(minutes=1)  # between readings of a series, where nothing is known


@dataclass(frozen=True, slots=True)
class Question:
    """
    Windows of one quantity, or READINGS of one or all (None), whose start lies in `[first, last)`.

    The window PERIOD asks for readings longer than an hour, each as a window of its own.

    `sensor` is one, several, or None for all; `source` chooses those of a supplier, `box` those that stand in it (west,
    south, east, north, degrees).
    `channels` asks for every series instead of what each sensor counted. `area` asks for the windows of an area itself,
    or with `sensor`, `box`, `members` or `channels` for those of what stood in it; `vintage` is the year of its
    boundaries, None the newest. `coverage` is the least that a window must have, 0 takes those where it is unknown
    too. Raises BadQuestion at birth.
    """

    quantity: str | None
    first: datetime
    last: datetime
    window: str
    sensor: str | tuple[str, ...] | None = None
    channels: bool = False
    area: str | None = None
    vintage: int | None = None
    members: bool = False
    box: tuple[float, float, float, float] | None = None
    coverage: float = 0.0
    source: str | None = None

    def __post_init__(self) -> None:
        if self.quantity not in QUANTITIES and (self.quantity is not None or self.window):
            raise BadQuestion(f"quantity {self.quantity!r}, expected one of {', '.join(QUANTITIES)}")
        if self.window not in (*WINDOWS, PERIOD, READINGS):
            raise BadQuestion(f"window {self.window!r}, expected one of {', '.join((*WINDOWS, PERIOD))}")
        if self.first.tzinfo is None or self.last.tzinfo is None:
            raise BadQuestion("from and to without a zone, expected aware stamps")
        if self.first > self.last:
            raise BadQuestion(f"from {self.first.isoformat()} is after to {self.last.isoformat()}")
        if self.area and not is_code(self.area):
            raise BadQuestion(f"area {self.area!r}, expected a code as GM0014, WK001400 or BU00140002")
        if self.of_area and self.window in ("5m", PERIOD):
            raise BadQuestion(f"window {self.window!r} of an area, expected 1h or 1d, or one of its sensors")
        if not 0 <= self.coverage <= 1:
            raise BadQuestion(f"coverage {self.coverage}, expected 0 to 1")
        west, south, east, north = self.box or (0.0, 0.0, 0.0, 0.0)
        if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
            raise BadQuestion(f"box {self.box}, expected west, south, east, north in degrees, as 6.4,53.1,6.7,53.3")

    @property
    def of_area(self) -> bool:
        """Whether the area's own windows are asked for, and not those of sensors in it."""
        return self.area is not None and self.sensor is None and not (self.channels or self.members or self.box)

    @property
    def by_series(self) -> bool:
        """Whether every series is asked for, and not what each sensor counted."""
        return self.channels or self.window in (PERIOD, READINGS)


def tables(
    store: Store, question: Question, *, after: Cursor | None = None, limit: int | None = None, places: bool = False
) -> Iterator[pa.Table]:
    """
    Answer in tables of about 100,000 rows, at least one, all of one state of the database.

    Columns of windows: sensor_id, channel, quantity, unit (dictionaries), start, end (UTC), value, estimate, minimum,
    maximum (doubles in that unit), readings, nothing, flagged, failed, warned (counts), coverage (0 to 1), valid,
    revision, status (provisional or validated), of sensors in an area also area and vintage, date (local; of days,
    their own), local_start (in the hub's zone, with its offset), series (its number in the store). Of an area itself
    see `aggregates.ask.areas.area_frame`. Of readings in place of the figures: value (null: nothing to measure or
    failed), weight, covers (s), flags (names with a blank between them, empty for none), status, version (the
    supplier's publication stamp or null), received_at; an instant ends when it starts.

    With `places` also lon and lat of the sensor. Sorted by sensor_id, channel, quantity, period and start. Raises
    BadQuestion for a cursor of another question, and `aggregates.store.store.StoreError`.
    """
    with store.transaction(snapshot=True) as tx:
        zone = zone_of(tx)
        if question.of_area:
            yield with_dates(_of_area(tx, question), zone, question.window)
            return
        chosen, area = _chosen(tx, question)
        step = LENGTHS.get(question.window, USUAL)
        for rows, at in pieces(
            chosen, _fetch(tx, question, area, chosen), (question.last - question.first) / step, after, limit
        ):
            columns = {**chosen.words(at), "start": stamps(rows["start"])}
            if question.window:
                columns |= window_columns(rows, question.window, chosen.zones, chosen.periods[at])
                columns |= {name: pa.array([said] * len(rows), _AREA[name]) for name, said in area.items()}
                table = with_dates(pa.table(columns), zone, question.window)
            else:
                columns |= reading_columns(rows, chosen.periods[at])
                table = pa.table(columns | {"local_start": local(columns["start"], zone)})
            for name, degrees in (("lon", chosen.lon), ("lat", chosen.lat)) if places else ():
                table = table.append_column(name, nullable(degrees[at]))
            yield table.append_column("series", pa.array(rows["series"]))


def is_waiting(store: Store, first: datetime, last: datetime, window: str, *, areas: bool = False) -> bool:
    """Tell whether windows that start in `[first, last)` wait for the roll-up; to be asked before the windows."""
    asked = {"first": first, "last": last, "days": window == "1d", "areas": areas}
    return window not in ("5m", PERIOD) and bool(store.rows("is_waiting", **asked)[0][0])


def ask(store: Store, question: Question) -> pd.DataFrame:
    """
    Answer with a row a window: sensor_id, channel, quantity, unit, start, end (UTC), figures and evidence.

    Nothing found is an empty frame with the same columns. Raises `aggregates.store.store.StoreError`.
    """
    found = pa.concat_tables(list(tables(store, question))).drop_columns(["series"])
    plain = [f.with_type(f.type.value_type) if pa.types.is_dictionary(f.type) else f for f in found.schema]
    return found.cast(pa.schema(plain)).to_pandas()


_AREA = {"area": pa.string(), "vintage": pa.int32()}
MONTH = "date_bin('28 days', v.start, 'epoch')"  # what one value holds: it has at most 1 GB


def _chosen(tx: Transaction, question: Question) -> tuple[ChosenSeries, dict[str, Any]]:
    """Find the series of a question, and the area and vintage that its windows must be of."""
    area = {"area": question.area, "vintage": _vintage(tx, question)} if question.area else {}
    sensors = [question.sensor] if isinstance(question.sensor, str) else question.sensor
    box = dict(zip(("west", "south", "east", "north"), question.box or (None,) * 4, strict=True))
    rows = tx.rows(
        "choose_series", quantity=question.quantity, sensors=None if sensors is None else list(sensors),
        channels=question.by_series, source=question.source, ever=True,
        **{"area": None, "vintage": None, **area, **box},
    )  # fmt: skip
    return ChosenSeries(rows), area


def _vintage(tx: Transaction, question: Question) -> int | None:
    ((vintage,),) = tx.rows("read_area_vintage", area=question.area, vintage=question.vintage)
    return vintage if vintage is None else int(vintage)


def _fetch(tx: Transaction, question: Question, area: dict[str, Any], chosen: ChosenSeries) -> Fetch:
    asked: dict[str, Any] = {"first": question.first, "last": question.last}

    def windows(view: str, series: NDArray[np.int32]) -> Rows:
        return tx.numbers(
            "ask_windows_in_area" if area else "ask_windows", WINDOW, view=f"{view}_{question.window}",
            series=series.tolist(), coverage=question.coverage, **asked, **area,
        )  # fmt: skip

    def fetch(part: slice) -> Rows:
        series, alone = chosen.series[part], chosen.alone[part]
        if not question.window:
            return tx.numbers("ask_readings", READING, by=MONTH, series=series.tolist(), **asked)
        if question.by_series:
            return windows("aggregate", series)
        # Where nothing needs adding up a smaller view answers.
        if alone.all():
            return windows("sensor_alone", series)
        return np.concatenate([windows("sensor_alone", series[alone]), windows("sensor", series[~alone])])

    return fetch


_OF_AREA = [
    "sensor_id", "channel", "quantity", "unit", "start", "end", *FIGURES, "readings", "flagged", "failed", "coverage",
    "valid", "revision", "area", "name", "vintage", "sensors", "valid_sensors", "members", "series",
]  # fmt: skip


def _of_area(tx: Transaction, question: Question) -> pa.Table:
    """The windows of an area itself."""
    found = area_frame(
        tx, question.window, quantity=question.quantity, first=question.first, last=question.last,
        vintage=_vintage(tx, question), code=question.area,
    )  # fmt: skip
    found = found[found["coverage"] >= question.coverage] if question.coverage else found
    found = found.rename(columns={"code": "area"}).assign(sensor_id="", channel="", series=0)
    return pa.Table.from_pandas(found[_OF_AREA], preserve_index=False)
