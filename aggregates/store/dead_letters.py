"""
Dead letters in the store: listed, and given back for a replay.

`streams.commit.pipeline` buries them in the transaction of their batch; `stadspuls dead-letters` calls this.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from aggregates.store.store import Store, unnested


@dataclass(frozen=True, slots=True)
class Buried:
    """A dead letter as the store keeps it; `payload` is None once it was forgotten, and shorter than `size` if cut."""

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
        """Tell whether it can be published again as it came."""
        return self.payload is not None and len(self.payload) == self.size


def dead_letters(store: Store, source: str | None = None, reason: str | None = None, limit: int = 1000) -> list[Buried]:
    """List dead letters, the newest first; `reason` is text that the reason contains. Raises `StoreError`."""
    asked = {"source": source, "reason": reason, "limit": limit, "after_last_at": None, "after_key": None}
    return [Buried(*row) for row in store.rows("list_dead_letters", **asked)]


def exhume(store: Store, letters: Sequence[Buried]) -> None:
    """
    Delete dead letters that were published again, as they were listed.

    One that came back before it was deleted is kept. Raises `StoreError`.
    """
    store.rows("exhume", **unnested(letters, ("key", "count")))
