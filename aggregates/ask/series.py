"""
Which series a question is about, and what is stored of them, in pieces of a bounded size.

The database sends numbers alone, which numpy reads as they are; the words of a series (sensor, channel, quantity, unit)
are put beside them here. `aggregates.ask.query` asks for windows with it, `aggregates.ask.readings` for readings.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aggregates.store.store import Transaction
from ingest.vocabulary.readings import Status

VIEWS = {"1h": "area_hour", "1d": "area_day"}  # of area windows, by their length
PIECE = 100_000  # rows that a piece is meant to have
STAMP = pa.timestamp("us", tz="UTC")
WORD = pa.dictionary(pa.int32(), pa.string())

Rows = NDArray[Any]
Box = tuple[float, float, float, float]  # west, south, east, north, degrees
Fetch = Callable[[NDArray[np.int32]], Rows]


class BadQuestion(ValueError):  # noqa: N818 - the reaction is the name: ask again, corrected
    """A question that has no answer: the text has what was found and what was expected."""


class Cursor(NamedTuple):
    """Where a page ended: behind this start (us since 1970) of this series."""

    series: int
    start: int


class ChosenSeries:
    """The series of an answer, in its order."""

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        columns = list(zip(*rows, strict=True)) or [()] * 8
        self.series = np.array(columns[0], np.int32)
        self.zones = set(columns[6])
        self._alone = np.array(columns[7], bool)
        self._words = dict(zip(("sensor_id", "channel", "quantity", "unit"), columns[1:5], strict=True))
        self._periods = np.array(columns[5], np.int32)
        self._order = np.argsort(self.series)
        names = list(zip(columns[1], columns[2], columns[3], strict=True))
        # Two periods of one channel are in one place of the answer, ordered by their starts.
        self.ranks = np.cumsum([at > 0 and names[at] != names[at - 1] for at in range(len(names))])

    def places(self, series: NDArray[np.int32]) -> NDArray[np.intp]:
        """The positions of these series in the answer; all of them are in it."""
        found: NDArray[np.intp] = self._order[np.searchsorted(self.series, series, sorter=self._order)]
        return found

    def words(self, series: NDArray[np.int32]) -> dict[str, "pa.Array[Any]"]:
        """What these series are, a column for each word."""
        used, codes = np.unique(self.places(series), return_inverse=True)
        columns = {name: pa.array([words[place] for place in used], pa.string()) for name, words in self._words.items()}
        return {name: column.dictionary_encode().take(codes) for name, column in columns.items()}

    def alone(self, series: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which of these series are their sensor's only one of a quantity."""
        found: NDArray[np.bool_] = self._alone[self.places(series)]
        return found

    def periods(self, series: NDArray[np.int32]) -> NDArray[np.int32]:
        """How many seconds a reading of each of these series is long."""
        found: NDArray[np.int32] = self._periods[self.places(series)]
        return found


def choose_series(
    tx: Transaction, *, quantity: str | None = None, sensor: str | tuple[str, ...] | None = None,
    channels: bool = False, box: Box | None = None, area: str | None = None, vintage: int | None = None,
) -> ChosenSeries:  # fmt: skip
    """Find the series of a question, without `channels` those that stand for a sensor; None leaves a filter out."""
    west, south, east, north = box or (None, None, None, None)
    sensors = [sensor] if isinstance(sensor, str) else None if sensor is None else list(sensor)
    rows = tx.rows(
        "choose_series", quantity=quantity, sensors=sensors, channels=channels, west=west, south=south, east=east,
        north=north, area=area, vintage=vintage,
    )  # fmt: skip
    return ChosenSeries(rows)


def pieces(
    chosen: ChosenSeries, fetch: Fetch, nothing: Rows, expected: float, after: Cursor | None, limit: int | None
) -> Iterator[Rows]:
    """
    Yield the rows of `chosen`, sorted by their words and start, in pieces; at most `limit`, those behind `after`.

    `expected` is how many rows a series probably has; what is found corrects it. Where there are none it yields
    `nothing`, once.
    """
    found = False
    for rows in _pieces(chosen, fetch, expected, after, limit):
        if len(rows):
            found = True
            yield rows
    if not found:
        yield nothing


def _pieces(
    chosen: ChosenSeries, fetch: Fetch, expected: float, after: Cursor | None, limit: int | None
) -> Iterator[Rows]:
    at = _place(chosen, after)
    wanted = PIECE if limit is None else min(PIECE, limit)
    count = max(1, int(wanted / max(1, expected)))
    while at < len(chosen.series) and limit != 0:
        # All of the same rank together: their rows are sorted by start.
        end = int(np.searchsorted(chosen.ranks, chosen.ranks[min(at + count, len(chosen.ranks)) - 1], "right"))
        rows = fetch(chosen.series[at:end])
        rows, places = _sorted(rows, chosen)
        rows = rows[_behind(rows, places, chosen, after) :][:limit]
        yield rows
        limit = None if limit is None else limit - len(rows)
        count = max(1, min(10 * count, (end - at) * wanted // max(1, len(rows))))
        at = end


def _sorted(rows: Rows, chosen: ChosenSeries) -> tuple[Rows, NDArray[np.intp]]:
    """Sort rows by the words of their series and start, and return the positions of their series; most come sorted."""
    places = chosen.places(rows["series"])
    keys = (chosen.ranks[places], np.ascontiguousarray(rows["start"]), places)
    rank, start, place = (np.diff(key) for key in keys)
    if np.all((rank > 0) | (rank == 0) & ((start > 0) | (start == 0) & (place > 0))):
        return rows, places
    order = np.lexsort(keys[::-1])
    return rows[order], places[order]


def nullable(numbers: NDArray[Any]) -> "pa.Array[Any]":
    """Make a column of numbers, in which NaN is null."""
    column: pa.Array[Any] = pa.array(numbers, from_pandas=True)
    return column


def stamps(microseconds: NDArray[np.int64]) -> "pa.Array[Any]":
    """Make a column of stamps."""
    return pa.array(microseconds, pa.int64()).cast(STAMP)


def statuses(codes: NDArray[np.int16]) -> "pa.Array[Any]":
    """Make a column of what `ingest.vocabulary.readings.Status` calls these."""
    return pa.DictionaryArray.from_arrays(codes.astype(np.int32), _STATUSES)


_STATUSES = pa.array([status.name.lower() for status in Status], pa.string())


def check_range(first: datetime, last: datetime) -> None:
    """Raise BadQuestion for what is no range of time; one of no length is a range in which nothing lies."""
    if first.tzinfo is None or last.tzinfo is None:
        raise BadQuestion("from and to without a zone, expected aware stamps")
    if first > last:
        raise BadQuestion(f"from {first.isoformat()} is after to {last.isoformat()}")


def check_box(box: Box | None) -> None:
    """Raise BadQuestion for what is no bounding box."""
    if box is None:
        return
    west, south, east, north = box
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise BadQuestion(f"box {box}, expected west, south, east, north in degrees, as 6.4,53.1,6.7,53.3")


def _place(chosen: ChosenSeries, after: Cursor | None) -> int:
    """The position of the first series that can have rows behind a cursor."""
    if after is None:
        return 0
    if after.series not in chosen.series:
        raise BadQuestion(f"a cursor at series {after.series}, expected `next` of the page before of the same question")
    rank = chosen.ranks[chosen.places(np.array([after.series], np.int32))[0]]
    return int(np.searchsorted(chosen.ranks, rank))


def _behind(rows: Rows, places: NDArray[np.intp], chosen: ChosenSeries, after: Cursor | None) -> int:
    """How many of these sorted rows a cursor has behind it."""
    if after is None:
        return 0
    (place,) = chosen.places(np.array([after.series], np.int32))
    same = chosen.ranks[places] == chosen.ranks[place]
    before = (rows["start"] < after.start) | ((rows["start"] == after.start) & (places <= place))
    return int((same & before).sum())
