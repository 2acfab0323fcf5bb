"""
Pages: where one ends, and the cursor with which the next begins.

A cursor is the key of a page's last row, opaque to clients; whoever makes one up gets an error or another page, never a
statement of their own: each part is held against its column's type.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pyarrow as pa

from hub.web.api.problems import Problem, wrong

_LARGEST = 2**31 - 1


class Rows:
    """The rows of one page: reads one more than `limit`, and afterwards knows by `next` whether there are others."""

    def __init__(self, batches: Iterable[pa.RecordBatch], columns: pa.Schema, key: tuple[str, ...], limit: int) -> None:
        self.columns = columns
        self.next: str | None = None
        self._batches, self._key, self._limit = batches, key, limit

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        left = self._limit
        last: pa.RecordBatch | None = None
        for batch in self._batches:
            if left == 0 and last is not None:
                self.next = encoded([last.column(name)[last.num_rows - 1].as_py() for name in self._key])
                return
            last = batch.slice(0, left)
            left -= last.num_rows
            yield last.select(self.columns.names)
            if last.num_rows < batch.num_rows:
                self.next = encoded([last.column(name)[last.num_rows - 1].as_py() for name in self._key])
                return


def encoded(key: list[Any]) -> str:
    """
    Write a key as a cursor.

    >>> decoded(encoded(["ndw/a", 60]), [pa.string(), pa.int64()])
    ('ndw/a', 60)
    """
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def decoded(cursor: str, kinds: list[pa.DataType]) -> tuple[Any, ...]:
    """Read a cursor; raises Problem for one that is none of this list."""
    try:
        parts = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        raise _strange() from None
    if not isinstance(parts, list) or len(parts) != len(kinds):
        raise _strange()
    return tuple(_part(part, kind) for part, kind in zip(parts, kinds, strict=True))


def _part(part: object, kind: pa.DataType) -> object:
    if pa.types.is_integer(kind) and type(part) is int and 0 <= part <= _LARGEST:
        return part
    if pa.types.is_string(kind) and isinstance(part, str) and "\0" not in part:
        return part
    if pa.types.is_timestamp(kind) and isinstance(part, str):
        try:
            found = datetime.fromisoformat(part)
        except ValueError:
            raise _strange() from None
        if found.tzinfo is not None and 1900 <= found.year <= 2200:
            return found.astimezone(UTC)
    raise _strange()


def _strange() -> Problem:
    return wrong("cursor", "expected `next` of the page before, of this list")
