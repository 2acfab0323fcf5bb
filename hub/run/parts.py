"""
Parts of a service that run while a `with` block does, and how long each may take to end.

`hub.run.embedded`, `hub.run.distributed` and `hub.run.collect` start and end their parts with it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

END_WITHIN = 6.0  # s that a part with work in hand may take; what is not done is done again after the next start


class Part(Protocol):
    """What can be started once, and stopped within some seconds."""

    def start(self) -> object:
        """Begin."""

    def stop(self, seconds: float) -> object:
        """End, in at most so many seconds."""


P = TypeVar("P", bound=Part)


@contextmanager
def running(part: P) -> Iterator[P]:
    """Start a part, and stop it within END_WITHIN when the block is left, however that happens."""
    part.start()
    try:
        yield part
    finally:
        part.stop(END_WITHIN)
