"""
Windows with their evidence, and the readings themselves, as Arrow tables or a pandas frame.

`stadspuls query` prints them, the API and the exports write them. The views of `aggregates/schema/` compute the
figures; `aggregates.ask.series` fetches them series by series.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from aggregates.areas.codes import is_code
from aggregates.ask import series
from aggregates.ask.areas import area_windows
from aggregates.ask.dates import BadQuestion, zone_of
from aggregates.ask.series import LENGTHS, PERIOD, ChosenSeries, Cursor, Fetch, Rows, Span
from aggregates.store.store import Store, Transaction
from ingest.vocabulary.quantities import QUANTITIES

WINDOWS = tuple(LENGTHS)
SHORT = ("5m", "15m", PERIOD)  # not rolled up, and not of areas
READINGS = ""  # in place of a window: the readings themselves
SIDES = ("west", "south", "east", "north")  # of a box
USUAL = timedelta(minutes=1)  # between readings of a series, where nothing is known


class Question(msgspec.Struct, frozen=True):
    """
    Windows of one quantity, or READINGS of one or all (None), whose start lies in `[first, last)`.

    The window PERIOD asks for readings longer than an hour, each as a window of its own.

    `sensor` is one, several, or None for all; `source` chooses those of a supplier, `box` those that stand in it (west,
    south, east, north, degrees).
    `channels` asks for every series instead of what each sensor counted. `area` asks for the windows of an area itself,
    or with `sensor`, `box`, `members` or `channels` for those of what stood in it; `vintage` is the year of its
    boundaries, None the newest. `coverage` is the least that a window must have, 0 takes those where it is unknown
    too; `valid` is whether it must be valid, or not, None for any. Raises BadQuestion at birth.
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
    valid: bool | None = None

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
        if self.of_area and self.window in SHORT:
            raise BadQuestion(f"window {self.window!r} of an area, expected 1h or 1d, or one of its sensors")
        if not 0 <= self.coverage <= 1:
            raise BadQuestion(f"coverage {self.coverage}, expected 0 to 1")
        west, south, east, north = self.box or (0.0, 0.0, 0.0, 0.0)
        if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
            raise BadQuestion(f"box {self.box}, expected west, south, east, north in degrees, as 6.4,53.1,6.7,53.3")

    @classmethod
    def of(
        cls, quantity: str | None, first: datetime, last: datetime, window: str, *,
        sensors: Sequence[str] | None = None, channels: bool | None = None, area: str | None = None,
        vintage: int | None = None, coverage: float | None = None, source: str | None = None,
        valid: bool | None = None, **sides: Any,
    ) -> "Question":  # fmt: skip
        """Make a question out of parameters of the API: of sensors, or those in an area; `sides` are those of a box."""
        box: Any = tuple(sides.get(side) for side in SIDES)
        return cls(
            quantity, first, last, window, None if sensors is None else tuple(sensors), bool(channels), area, vintage,
            area is not None, None if None in box else box, coverage or 0.0, source, valid,
        )  # fmt: skip

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
    see `aggregates.ask.areas.area_windows`. Of readings in place of the figures: value (null: nothing to measure or
    failed), weight, covers (s), flags (names with a blank between them, empty for none), status, version (the
    supplier's publication stamp or null), received_at; an instant ends when it starts.

    With `places` also lon and lat of the sensor. Sorted by sensor_id, channel, quantity, period and start. Raises
    BadQuestion for a cursor of another question, and `aggregates.store.errors.StoreError`.
    """
    with store.transaction(snapshot=True) as tx:
        zone = zone_of(tx)
        if question.of_area:
            yield series.with_dates(_of_area(tx, question), zone, question.window)
            return
        chosen, area = chosen_series(tx, question)
        step = LENGTHS.get(question.window, USUAL)
        span = question.first, question.last
        for rows, at in series.pieces(chosen, _fetch(tx, question, area, chosen), span, step, after, limit):
            columns = {**chosen.words(at), "start": series.stamps(rows["start"])}
            if question.window:
                columns |= series.window_columns(rows, question.window, chosen.zones, chosen.periods[at])
                columns |= {name: pa.array([said] * len(rows), _AREA[name]) for name, said in area.items()}
                table = series.with_dates(pa.table(columns), zone, question.window)
            else:
                columns |= series.reading_columns(rows, chosen.periods[at])
                table = pa.table(columns | {"local_start": series.local(columns["start"], zone)})
            for name, degrees in (("lon", chosen.lon), ("lat", chosen.lat)) if places else ():
                table = table.append_column(name, series.nullable(degrees[at]))
            yield table.append_column("series", pa.array(rows["series"]))


def is_waiting(store: Store, first: datetime, last: datetime, window: str, *, areas: bool = False) -> bool:
    """Tell whether windows that start in `[first, last)` wait for the roll-up; to be asked before the windows."""
    asked = {"first": first, "last": last, "days": window != "1h", "areas": areas}
    return window not in SHORT and bool(store.rows("is_waiting", **asked)[0][0])


def ask(store: Store, question: Question) -> "pd.DataFrame":
    """
    Answer with a row a window: sensor_id, channel, quantity, unit, start, end (UTC), figures and evidence.

    Nothing found is an empty frame with the same columns. Raises `aggregates.store.errors.StoreError`.
    """
    return plain(pa.concat_tables(list(tables(store, question))).drop_columns(["series"])).to_pandas()


def plain(table: pa.Table) -> pa.Table:
    """Write out words that are numbered or in a list, so that a file and an answer have the same types."""
    for at, one in enumerate(table.schema):
        if pa.types.is_dictionary(one.type):
            table = table.set_column(at, one.name, table[at].cast(one.type.value_type))
        elif pa.types.is_list(one.type):
            words: Any = pc.binary_join(table[at].cast(pa.list_(pa.string())), " ")
            table = table.set_column(at, one.name, words)
    return table


_AREA = {"area": pa.string(), "vintage": pa.int32()}
MONTH = "date_bin('28 days', v.start, 'epoch')"  # what one value holds: it has at most 1 GB


def chosen_series(tx: Transaction, question: Question) -> tuple[ChosenSeries, dict[str, Any]]:
    """Find the series of a question, and the area and vintage that its windows must be of."""
    area = {"area": question.area, "vintage": _vintage(tx, question)} if question.area else {}
    sensors = [question.sensor] if isinstance(question.sensor, str) else question.sensor
    box = dict(zip(SIDES, question.box or (None,) * 4, strict=True))
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
    statement = "ask_windows_in_area" if area else "ask_windows"

    def fetch(part: slice, span: Span) -> Rows:
        asked: dict[str, Any] = dict(zip(("first", "last"), span, strict=True))
        if not question.window:
            return tx.numbers("ask_readings", series.READING, by=MONTH, series=chosen.series[part].tolist(), **asked)
        if question.window == "15m":
            tx.rows("bound_quarters", **asked)
        asked |= {"coverage": question.coverage, "valid": question.valid, **area}
        found = [
            tx.numbers(statement, series.WINDOW, view=f"{view}_{question.window}", series=some, **asked)
            for view, some in chosen.views(part, by_series=question.by_series)
        ]
        return np.concatenate([np.zeros(0, series.WINDOW), *found])

    return fetch


_OF_AREA = [
    "sensor_id", "channel", "quantity", "unit", "start", "end", *series.FIGURES, "readings", "flagged", "failed",
    "coverage", "valid", "revision", "area", "name", "vintage", "sensors", "valid_sensors", "members", "series",
]  # fmt: skip


def _of_area(tx: Transaction, question: Question) -> pa.Table:
    """The windows of an area itself."""
    found = area_windows(
        tx, question.window, _vintage(tx, question), first=question.first, last=question.last,
        quantities=[question.quantity], codes=[question.area], coverage=question.coverage or None,
        valid=question.valid,
    )  # fmt: skip
    words: dict[str, Any] = dict(zip(found.column_names, found.columns, strict=True))
    words |= {name: pa.array([""] * len(found)) for name in ("sensor_id", "channel")}
    words |= {"area": words["code"], "members": pc.binary_join(words["members"].cast(pa.list_(pa.string())), " ")}
    words["series"] = pa.array([0] * len(found))
    return pa.table({name: words[name] for name in _OF_AREA})
