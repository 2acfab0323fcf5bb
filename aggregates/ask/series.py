"""
Which series a question is about, and what is stored of them, in pieces of a bounded size.

The database sends numbers alone, which numpy reads as they are; the words of a series (sensor, channel, quantity, unit)
are put beside them here, and local time and dates beside the UTC stamps of any answer. `aggregates.ask.query` asks for
windows and readings with it.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from aggregates.ask.dates import BadQuestion
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import Flag, Status, microseconds, utc

LENGTHS = {"5m": timedelta(minutes=5), "15m": timedelta(minutes=15), "1h": timedelta(hours=1), "1d": timedelta(days=1)}
PERIOD = "period"  # in place of a length: each reading by itself, if it is longer than an hour
PIECE = 100_000  # rows that a piece is meant to have
STAMP = pa.timestamp("us", tz="UTC")

Rows = NDArray[Any]
Places = NDArray[np.intp]  # of the series of rows, in the order of the answer
Span = tuple[datetime, datetime]
Fetch = Callable[[slice, Span], Rows]  # the rows of the series at these places that start in the span


class Cursor(NamedTuple):
    """Where a page ended: behind this start (us since 1970) of this series."""

    series: int
    start: int


class ChosenSeries:
    """The series of an answer, in its order, as the statement `choose_series` gives them."""

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        columns = list(zip(*rows, strict=True)) or [()] * 10
        self.series = np.array(columns[0], np.int32)
        self.periods = np.array(columns[5], np.int32)
        self.zones = set(columns[6])
        self.alone = np.array(columns[7], bool)  # whether it is its sensor's only one of a quantity
        self.lon, self.lat = np.array(columns[8:], np.float64)
        names = ("sensor_id", "channel", "quantity", "unit")
        self._words = {name: pa.array(said, pa.string()) for name, said in zip(names, columns[1:5], strict=True)}
        self._order = np.argsort(self.series)
        said = list(zip(*columns[1:4], strict=True))
        # Two periods of one channel are in one place of the answer, ordered by their starts.
        self.ranks = np.cumsum([at > 0 and said[at] != said[at - 1] for at in range(len(said))])

    def places(self, series: NDArray[np.int32]) -> Places:
        """The positions of these series in the answer; all of them are in it."""
        return self._order.take(np.searchsorted(self.series, series, sorter=self._order))

    def views(self, part: slice, *, by_series: bool) -> list[tuple[str, list[int]]]:
        """
        Give the series of a part of the answer, each with the beginning of the name of the views that have its windows.

        Most sensors have one series, whose rows are theirs: each kind has a smaller view.
        """
        series, alone = self.series[part], self.alone[part]
        if by_series:
            return [("aggregate", series.tolist())]
        kinds = ("sensor_alone", series[alone].tolist()), ("sensor_several", series[~alone].tolist())
        return [(view, some) for view, some in kinds if some]

    def words(self, places: Places) -> dict[str, "pa.Array[Any]"]:
        """What the series at these places are, a column for each word."""
        used, codes = np.unique(places, return_inverse=True)
        return {
            name: said.take(pa.array(used, pa.int64())).dictionary_encode().take(codes)
            for name, said in self._words.items()
        }


def pieces(
    chosen: ChosenSeries, fetch: Fetch, span: Span, step: timedelta, after: Cursor | None, limit: int | None
) -> Iterator[tuple[Rows, Places]]:
    """
    Yield the rows of `chosen` in a span, sorted by their words and start, in pieces, at least one; with their places.

    At most `limit`, those behind `after`. `step` probably lies between two rows of a series; what is found corrects it.
    Raises BadQuestion for a cursor of another question.
    """
    first, until = map(microseconds, span)
    if after is not None and after.series not in chosen.series:
        raise BadQuestion(f"a cursor at series {after.series}, expected `next` of the page before of the same question")
    last = -1 if after is None else int(chosen.places(np.array([after.series], np.int32))[0])
    at = 0 if after is None else int(np.searchsorted(chosen.ranks, chosen.ranks[last]))
    begin, begun = first if after is None else max(first, after.start), 0
    wanted = PIECE if limit is None else min(PIECE, limit)
    reach = max(1, wanted * (step // timedelta(microseconds=1)))  # us that one series fills a piece with
    count = max(1, reach // max(1, until - first))
    nothing = True
    while at < len(chosen.series) and limit != 0:
        # All of the same rank together: their rows are sorted by start. One that is begun is finished by itself.
        most = at if begin > first else min(at + count, len(chosen.ranks)) - 1
        end = int(np.searchsorted(chosen.ranks, chosen.ranks[most], "right"))
        stop = until if chosen.ranks[at] < chosen.ranks[end - 1] else min(until, begin + reach)
        rows, places = _sorted(fetch(slice(at, end), (utc(begin), utc(stop))), chosen)
        if after is not None:  # those of the page before: of the cursor's series, and of its other periods
            behind = int(((rows["start"] == after.start) & (places <= last)).sum())
            rows, places = rows[behind:], places[behind:]
        rows, places = rows[:limit], places[:limit]
        if len(rows):
            nothing = False
            yield rows, places
        limit = None if limit is None else limit - len(rows)
        begun += len(rows)
        if stop < until:
            grown = reach * wanted // len(rows) if len(rows) else 10 * reach
            begin, reach = stop, max(1, min(10 * reach, grown))
        else:
            count = max(1, min(10 * count, (end - at) * wanted // max(1, begun)))
            at, begin, begun = end, first, 0
    if nothing:
        yield _sorted(fetch(slice(0, 0), span), chosen)


def _sorted(rows: Rows, chosen: ChosenSeries) -> tuple[Rows, Places]:
    """Sort rows by the words of their series and start, and return the positions of their series; most come sorted."""
    places = chosen.places(rows["series"])
    keys = (chosen.ranks[places], np.ascontiguousarray(rows["start"]), places)
    rank, start, place = (np.diff(key) for key in keys)
    if np.all((rank > 0) | (rank == 0) & ((start > 0) | (start == 0) & (place > 0))):
        return rows, places
    order = np.lexsort(keys[::-1])
    return rows.take(order), places.take(order)


# Rows of the statements `ask_windows` (`state` is twice the status, plus one where it is valid) and `ask_readings`.
FIGURES = ("value", "estimate", "minimum", "maximum")
_COUNTS = ("readings", "nothing", "flagged", "failed", "warned")
WINDOW = np.dtype([
    ("series", "i4"), ("start", "i8"),
    *((name, "f8") for name in (*FIGURES, "coverage", *_COUNTS, "revision", "state")),
])  # fmt: skip
READING = np.dtype([
    ("series", "i4"), ("start", "i8"), ("value", "f8"), ("weight", "f8"), ("covers", "f8"), ("flags", "i4"),
    ("status", "i2"), ("version", "i8"), ("received_at", "i8"),
])  # fmt: skip


def window_columns(rows: Rows, window: str, zones: set[str], periods: NDArray[np.int32]) -> dict[str, "pa.Array[Any]"]:
    """Make the columns of windows, days in a time zone, readings of these periods (s): end and figures."""
    status, valid = np.divmod(rows["state"].astype(np.int32), 2)
    return {
        "end": _ends(rows["start"], window, zones, periods), **{name: nullable(rows[name]) for name in FIGURES},
        **{name: pa.array(rows[name].astype(np.int32)) for name in _COUNTS}, "coverage": nullable(rows["coverage"]),
        "valid": pa.array(valid.astype(bool)), "revision": pa.array(rows["revision"].astype(np.int32)),
        "status": _statuses(status),
    }  # fmt: skip


def _ends(starts: NDArray[np.int64], window: str, zones: set[str], periods: NDArray[np.int32]) -> "pa.Array[Any]":
    if window == PERIOD:
        return stamps(starts + periods.astype(np.int64) * 1_000_000)
    if window != "1d":
        return stamps(starts + int(LENGTHS[window].total_seconds() * 1_000_000))
    # A civil day has 23, 24 or 25 hours.
    days = pd.DatetimeIndex(stamps(starts).to_pandas()).tz_convert(next(iter(zones), "UTC"))
    return pa.array(days + pd.DateOffset(days=1)).cast(STAMP)


def reading_columns(rows: Rows, periods: NDArray[np.int32]) -> dict[str, "pa.Array[Any]"]:
    """Make the columns of readings with their periods (s): end, value and what is known of it."""
    known, codes = np.unique(rows["flags"], return_inverse=True)
    flags = [" ".join(str(flag.name).lower() for flag in Flag if flag & number) for number in known.tolist()]
    return {
        "end": stamps(rows["start"] + periods.astype(np.int64) * 1_000_000),
        **{name: nullable(rows[name]) for name in ("value", "weight", "covers")},
        "flags": pa.DictionaryArray.from_arrays(codes.astype(np.int32), pa.array(flags, pa.string())),
        "status": _statuses(rows["status"]),
        "version": stamps(np.ma.masked_less_equal(rows["version"], 0)),
        "received_at": stamps(rows["received_at"]),
    }


def nullable(numbers: NDArray[Any]) -> "pa.Array[Any]":
    """Make a column of numbers, in which NaN is null."""
    column: pa.Array[Any] = pa.array(numbers, from_pandas=True)
    return column


def stamps(microseconds: NDArray[np.int64]) -> "pa.Array[Any]":
    """Make a column of stamps."""
    return pa.array(microseconds, pa.int64()).cast(STAMP)


def _statuses(codes: NDArray[Any]) -> "pa.Array[Any]":
    words = np.array([one.name.lower() for one in Status])
    return pa.DictionaryArray.from_arrays(codes.astype(np.int32), words)


def with_dates(windows: pa.Table, zone: str, window: str) -> pa.Table:
    """Add `date`, of days the quantity's kind of day, and `local_start`; `windows` has `start` and `quantity`."""
    dates = _dates(windows["start"], zone)
    for fixed in {one.zone for one in QUANTITIES.values() if one.zone} if window == "1d" else ():
        theirs = pa.array([name for name, one in QUANTITIES.items() if one.zone == fixed])
        chosen = pc.is_in(windows["quantity"].cast(pa.string()), value_set=theirs)
        dates = pc.if_else(chosen, _dates(windows["start"], fixed), dates)
    return windows.append_column("date", dates).append_column("local_start", local(windows["start"], zone))


def _dates(stamps: Any, zone: str) -> Any:
    return pc.local_timestamp(stamps.cast(pa.timestamp("us", zone))).cast(pa.date32(), safe=False)


def local(stamps: Any, zone: str) -> "pa.Array[Any]":
    """Write a column of stamps as local time with its offset, as 2024-06-01T12:00:00+02:00."""
    coded: Any = (stamps.combine_chunks() if isinstance(stamps, pa.ChunkedArray) else stamps).dictionary_encode()
    here: Any = pc.local_timestamp(coded.dictionary.cast(pa.timestamp("s", zone), safe=False))
    # `strftime` takes ten times as long as these: the offset is one of a few texts.
    ahead = pc.subtract(here.cast(pa.int64()), coded.dictionary.cast(pa.timestamp("s"), safe=False).cast(pa.int64()))
    offsets: Any = ahead.dictionary_encode()
    zones = [timezone(timedelta(seconds=seconds)) for seconds in offsets.dictionary.to_pylist()]
    signs = pa.array([datetime(1970, 1, 1, tzinfo=one).isoformat()[19:25] for one in zones], pa.string())
    clock = pc.replace_substring(here.cast(pa.string()), " ", "T")
    found: pa.Array[Any] = pc.binary_join_element_wise(clock, signs.take(offsets.indices), "").take(coded.indices)
    return found
