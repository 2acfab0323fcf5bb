"""
Pages: where one ends, the cursor with which the next begins, and the file that it waits in until it is sent.

A cursor is the key of a page's last row, opaque to clients. One that somebody made up gets an error or another page,
never a statement of its own: each part must have the type of its column.
"""

import base64
import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import msgspec
import pyarrow as pa
from msgspec import Meta

from aggregates.ask.listings import TYPES
from hub.web.api.problems import wrong

SMALL = 1 << 20  # bytes of an answer that stay in memory
CHUNK = 1 << 16
_KINDS: dict[pa.DataType, Any] = {
    TYPES["text"]: Annotated[str, Meta(pattern=r"^[^\x00]*$")],
    TYPES["count"]: Annotated[int, Meta(ge=0, lt=2**31)],
    TYPES["stamp"]: Annotated[datetime, Meta(tz=True)],
}


class PageRows:
    """
    The rows of one page as tables, at least one.

    It reads one row more than `limit`; after the last table `next` is the cursor of the next page, where there is one.
    `notes` are what an answer says beside its rows, `count` says how many they are.
    """

    def __init__(self, batches: Iterable[pa.RecordBatch], columns: pa.Schema, key: tuple[str, ...], limit: int) -> None:
        self.next: str | None = None
        self.notes: dict[str, Any] = {}
        self.key, self.count = key, 0
        self._batches, self._columns, self._limit = batches, columns, limit

    def __iter__(self) -> Iterator[pa.Table]:
        left = self._limit
        last: pa.RecordBatch | None = None
        for batch in self._batches:
            kept = batch.slice(0, left)
            left -= kept.num_rows
            if kept.num_rows:
                last = kept
                self.count += kept.num_rows
                yield pa.Table.from_batches([kept.select(self._columns.names)])
            if last and kept.num_rows < batch.num_rows:
                self.next = encoded([last.column(name)[last.num_rows - 1].as_py() for name in self.key])
                return
        if last is None:
            yield self._columns.empty_table()


def encoded(key: list[Any]) -> str:
    """
    Write a key as a cursor.

    >>> decoded(encoded(["ndw/a", 60]), [pa.string(), pa.int64()])
    ('ndw/a', 60)
    """
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def decoded(cursor: str, kinds: list[pa.DataType]) -> tuple[Any, ...]:
    """Read a cursor of a list whose key has columns of these types; raises Problem for any other."""
    key: Any = tuple[tuple(_KINDS[kind] for kind in kinds)]  # type: ignore[misc]  # only known now
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        found: tuple[Any, ...] = msgspec.json.decode(text, type=key)
    except ValueError:  # of base64 and of msgspec
        raise wrong("cursor", "expected `next` of the page before, of this list") from None
    return found


class Body(tempfile.SpooledTemporaryFile[bytes]):
    """A file being written: in memory while small, on disk beyond."""

    def __init__(self) -> None:
        super().__init__(SMALL)

    def close(self) -> None:
        """Do nothing: writers close what they write to, but this is still to be read."""

    def drop(self) -> None:
        """Delete it unread."""
        super().close()

    def tag(self) -> str:
        """Give the ETag: a hash of the content."""
        self.seek(0)
        return f'"{hashlib.file_digest(self, partial(hashlib.blake2b, digest_size=16)).hexdigest()}"'

    def chunks(self) -> Iterator[bytes]:
        """Give what was written, once, and delete it."""
        with self:
            self.seek(0)
            while data := self.read(CHUNK):
                yield data
