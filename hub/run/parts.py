"""
Parts of a service: how they are started and stopped, and how long each may take to end.

`running` runs a part while a `with` block does; `Background` is a part with a thread of its own.
"""

import threading
from abc import ABC, abstractmethod
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


class Background(ABC):
    """A part that works in a thread of its own until `stopping` is set."""

    def __init__(self, name: str) -> None:
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self.run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """End, and wait at most so long for it."""
        self.stopping.set()
        self._thread.join(seconds)

    @abstractmethod
    def run(self) -> None:
        """Work until `stopping` is set."""


P = TypeVar("P", bound=Part)


@contextmanager
def running(part: P) -> Iterator[P]:
    """Start a part, and stop it within END_WITHIN when the block is left, however that happens."""
    part.start()
    try:
        yield part
    finally:
        part.stop(END_WITHIN)
