"""
Dead letters in the store: listing them, and deleting those that were replayed.

`streams.commit.pipeline` stores them in the transaction of their batch; `stadspuls dead-letters` calls this.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from aggregates.store.store import Store, unnested


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """A dead letter in the store; `payload` is None once it was deleted, and shorter than `size` (bytes) if cut."""

    key: str
    source: str
    topic: str
    reason: str
    count: int
    first_at: datetime
    last_at: datetime
    size: int
    payload: bytes | None

    @property
    def whole(self) -> bool:
        """Whether it can be published again as it came."""
        return self.payload is not None and len(self.payload) == self.size


def list_dead_letters(
    store: Store, source: str | None = None, reason: str | None = None, limit: int = 1000
) -> list[StoredLetter]:
    """List dead letters, the newest first; `reason` is text that the reason contains. Raises `StoreError`."""
    asked = {"source": source, "reason": reason, "limit": limit, "after_last_at": None, "after_key": None}
    return [StoredLetter(*row) for row in store.rows("list_dead_letters", **asked)]


def delete_dead_letters(store: Store, letters: Sequence[StoredLetter]) -> None:
    """
    Delete dead letters that were published again, as they were listed.

    One that came back before it was deleted is kept. Raises `StoreError`.
    """
    store.rows("delete_dead_letters", **unnested(letters, ("key", "count")))
