"""
Structured arrays as PostgreSQL's binary rows, and back: no Python object is made of any number. Pure.

`aggregates.store` COPYs what is `Packed`, and gives what it is asked for `unpacked`. Stamps are microseconds since 1970
here, and since 2000 in the database.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

EPOCH_2000 = 946_684_800_000_000  # us from 1970 to PostgreSQL's own epoch
_STAMPS = ("start", "received_at")


@dataclass(frozen=True, slots=True)
class Packed:
    """A structured array ready to be COPYed."""

    names: tuple[str, ...]
    data: bytes

    @classmethod
    def of(cls, rows: NDArray[Any]) -> "Packed":
        """Pack the rows; the names of their fields are those of the columns."""
        return cls(rows.dtype.names or (), binary_rows(rows))


def binary_rows(rows: NDArray[Any]) -> bytes:
    """
    Write a structured array in PostgreSQL's binary COPY format; NaN is NULL, stamps are microseconds since 1970.

    >>> binary_rows(np.array([(7,)], dtype=[("series", "i4")]))[19:].hex()
    '00010000000400000007ffff'
    """
    names = rows.dtype.names or ()
    layout = np.dtype([("fields", ">i2"), *(part for name in names for part in _wire_field(rows.dtype, name))])
    wire = np.empty(len(rows), layout)
    wire["fields"] = len(names)
    kept: NDArray[np.bool_] | None = None
    for name in names:
        size = rows.dtype[name].itemsize
        wire[f"{name} size"] = size
        wire[name] = rows[name] - EPOCH_2000 if name in _STAMPS else rows[name]
        if rows.dtype[name].kind == "f" and (null := np.isnan(rows[name])).any():
            wire[f"{name} size"][null] = -1
            offset = layout.fields[name][1]  # type: ignore[index]
            kept = np.ones((len(rows), layout.itemsize), dtype=bool) if kept is None else kept
            kept[null, offset : offset + size] = False
    body = wire.view(np.uint8).reshape(len(rows), layout.itemsize)
    return _HEADER + (wire.tobytes() if kept is None else body[kept].tobytes()) + b"\xff\xff"


def _wire_field(dtype: np.dtype[Any], name: str) -> list[tuple[str, str] | tuple[str, str, tuple[int, ...]]]:
    kind = dtype[name]
    return [(f"{name} size", ">i4"), (name, f">{kind.base.kind}{kind.base.itemsize}", kind.shape)]


_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)


def unpacked(data: bytes, layout: np.dtype[Any]) -> NDArray[Any]:
    """
    Read the rows that PostgreSQL's `record_send` wrote: a count of columns, then each with its type and size before it.

    Raises ValueError where the columns are not those of `layout`, or one is null.
    """
    names = layout.names or ()
    fields = [part for name in names for part in ((f"{name} type", ">i4"), *_wire_field(layout, name))]
    wire = np.dtype([("fields", ">i4"), *fields])
    if len(data) % wire.itemsize:
        raise ValueError(f"{len(data)} bytes, expected rows of {wire.itemsize}: a null, or other columns than {names}")
    found = np.frombuffer(data, wire)
    if any(found[f"{name} size"][:1].tolist() not in ([], [layout[name].itemsize]) for name in names):
        raise ValueError(f"columns of other sizes, expected those of {layout}")
    rows = np.empty(len(found), layout)
    for name in names:
        rows[name] = found[name] + EPOCH_2000 if name in _STAMPS else found[name]
    return rows
