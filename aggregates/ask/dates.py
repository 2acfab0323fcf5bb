"""
Dates and local time: what a date or stamp in a question means, and what stands beside the UTC stamps of an answer.

A date without a time is a local civil date of the hub's zone; where days are asked for, a date of the quantity's kind
of day. A stamp without a zone is local time of the hub's zone; of the hour that autumn has twice it is the first.
`hub.cli.common` and `hub.web.api.parameters` read questions with it, `aggregates.ask.query` completes answers.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from aggregates.store.store import Store, Transaction
from ingest.vocabulary.quantities import QUANTITIES


def read(text: str) -> date:
    """
    Read a date, or a stamp with or without a zone (a datetime); raises ValueError.

    >>> read("2024-06-01"), read("2024-06-01T12:00")
    (datetime.date(2024, 6, 1), datetime.datetime(2024, 6, 1, 12, 0))
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat(text)


def moment(asked: date, zone: str, window: str = "", quantities: Iterable[str] = ()) -> datetime:
    """
    Give what `read` found as UTC, in a question about windows of these quantities.

    >>> moment(read("2024-06-01"), "Europe/Amsterdam", "1h", ["no2"]).isoformat()
    '2024-05-31T22:00:00+00:00'
    >>> moment(read("2024-06-01"), "Europe/Amsterdam", "1d", ["no2"]).isoformat()
    '2024-05-31T23:00:00+00:00'
    """
    if isinstance(asked, datetime):
        return (asked if asked.tzinfo else asked.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)
    days = {QUANTITIES[one].zone or zone for one in quantities if one in QUANTITIES} if window == "1d" else set()
    # Two kinds of day in one question: civil midnight is never after that of UTC+1 in the zones east of it.
    (named,) = days if len(days) == 1 else (zone,)
    return datetime.combine(asked, time(), ZoneInfo(named)).astimezone(UTC)


def zone_of(tx: Store | Transaction) -> str:
    """Give the hub's zone, as the migration stored it."""
    ((zone,),) = tx.rows("read_zone")
    return str(zone)


def with_dates(windows: pa.Table, zone: str, window: str) -> pa.Table:
    """Add `date`, of days the quantity's kind of day, and `local_start`; `windows` has `start` and `quantity`."""
    dates = _dates(windows["start"], zone)
    for fixed in {one.zone for one in QUANTITIES.values() if one.zone} if window == "1d" else ():
        theirs = pa.array([name for name, one in QUANTITIES.items() if one.zone == fixed])
        chosen = pc.is_in(windows["quantity"].cast(pa.string()), value_set=theirs)
        dates = pc.if_else(chosen, _dates(windows["start"], fixed), dates)
    return windows.append_column("date", dates).append_column("local_start", local(windows["start"], zone))


def dated(windows: pd.DataFrame, zone: str, window: str) -> pd.DataFrame:
    """Do the same with a frame."""
    found = with_dates(pa.Table.from_pandas(windows[["start", "quantity"]], preserve_index=False), zone, window)
    return windows.assign(
        date=found["date"].to_pandas(), local_start=found["local_start"].dictionary_encode().to_pandas()
    )


def _dates(stamps: Any, zone: str) -> Any:
    return pc.local_timestamp(stamps.cast(pa.timestamp("us", zone))).cast(pa.date32(), safe=False)


def local(stamps: Any, zone: str) -> "pa.Array[Any]":
    """Write a column of stamps as local time with its offset, as 2024-06-01T12:00:00+02:00."""
    coded: Any = (stamps.combine_chunks() if isinstance(stamps, pa.ChunkedArray) else stamps).dictionary_encode()
    here: Any = pc.local_timestamp(coded.dictionary.cast(pa.timestamp("s", zone), safe=False))
    # `strftime` takes ten times as long as these: the offset is one of a few texts.
    ahead = pc.subtract(here.cast(pa.int64()), coded.dictionary.cast(pa.timestamp("s"), safe=False).cast(pa.int64()))
    offsets: Any = ahead.dictionary_encode()
    signs = pa.array([_offset(seconds) for seconds in offsets.dictionary.to_pylist()], pa.string())
    clock = pc.replace_substring(here.cast(pa.string()), " ", "T")
    found: pa.Array[Any] = pc.binary_join_element_wise(clock, signs.take(offsets.indices), "").take(coded.indices)
    return found


def _offset(seconds: int) -> str:
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"{'-' if seconds < 0 else '+'}{hours:02d}:{minutes:02d}"
