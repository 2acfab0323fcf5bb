"""
Structured arrays as PostgreSQL's binary rows, and back: no Python object is made of any number. Pure.

`aggregates.store.store` COPYs rows that are `Packed`, and reads those of a query with `unpacked`. Stamps are
microseconds since 1970 here, and since 2000 in the database.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

EPOCH_2000 = 946_684_800_000_000  # us from 1970 to PostgreSQL's own epoch
_STAMPS = ("start", "end", "received_at", "computed_at")


class Packed(NamedTuple):
    """A structured array ready to be COPYed: its columns, and PostgreSQL's binary format."""

    names: tuple[str, ...]
    data: bytes | bytearray


def packed(rows: NDArray[Any]) -> Packed:
    """
    Write a structured array in PostgreSQL's binary COPY format; NaN is NULL, stamps are microseconds since 1970.

    >>> packed(np.array([(7,)], dtype=[("series", "i4")])).data[19:].hex()
    '00010000000400000007ffff'
    """
    names, empty = rows.dtype.names or (), _empty_row(rows.dtype)
    layout = empty.dtype
    data = bytearray(len(_HEADER) + layout.itemsize * len(rows) + len(_END))
    data[: len(_HEADER)], data[-len(_END) :] = _HEADER, _END
    wire = np.frombuffer(data, layout, len(rows), len(_HEADER))
    wire[:] = empty
    kept: NDArray[np.bool_] | None = None
    for name in names:
        size = rows.dtype[name].itemsize
        wire[name] = rows[name] - EPOCH_2000 if name in _STAMPS else rows[name]
        if rows.dtype[name].kind == "f" and (null := np.isnan(rows[name])).any():
            wire[f"{name} size"][null] = -1
            offset = layout.fields[name][1]  # type: ignore[index]
            kept = np.ones((len(rows), layout.itemsize), dtype=bool) if kept is None else kept
            kept[null, offset : offset + size] = False
    if kept is None:
        return Packed(names, data)
    body = wire.view(np.uint8).reshape(len(rows), layout.itemsize)
    return Packed(names, _HEADER + body[kept].tobytes() + _END)


@lru_cache(maxsize=64)
def _empty_row(given: np.dtype[Any]) -> NDArray[Any]:
    names = given.names or ()
    kinds = {name: given[name].newbyteorder(">") for name in names}
    fields = [part for name in names for part in ((f"{name} size", ">i4"), (name, kinds[name]))]
    empty = np.zeros(1, np.dtype([("fields", ">i2"), *fields]))
    empty["fields"] = len(names)
    for name in names:
        empty[f"{name} size"] = given[name].itemsize
    return empty


_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_END = b"\xff\xff"


def unpacked(data: bytes, layout: np.dtype[Any], count: int) -> NDArray[Any]:
    """
    Read the rows that PostgreSQL's functions for sending packed, one number behind the other.

    Raises ValueError where they are not `count` rows of `layout`, as where one was null.

    >>> unpacked(bytes.fromhex("0000000700020000"), np.dtype([("series", "i4"), ("status", "i2")]), 2)
    Traceback (most recent call last):
    ValueError: 8 bytes, expected 2 rows of 6: a null, or other columns
    """
    wire = np.dtype([(name, layout[name].newbyteorder(">")) for name in layout.names or ()])
    if len(data) != count * wire.itemsize:
        raise ValueError(f"{len(data)} bytes, expected {count} rows of {wire.itemsize}: a null, or other columns")
    found = np.frombuffer(data, wire)
    rows = np.empty(count, layout)
    for name in layout.names or ():
        rows[name] = found[name] + EPOCH_2000 if name in _STAMPS else found[name]
    return rows
