"""
The pace of requests that keeps a gateway within its source's limit, also over a restart.

`ingest.gateways.web` waits for it before each request.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence


class GatewayStopped(Exception):  # noqa: N818 - it is no error: the gateway ends
    """The gateway has to end, in the middle of a wait."""


class Pace:
    """
    At most `count` requests in any `seconds`; waits for its turn, and raises GatewayStopped where the gateway ends.

    `asked` is when an earlier process made its last ones.
    """

    def __init__(self, count: int, seconds: float, clock: Callable[[], float], asked: Sequence[float] = ()) -> None:
        self._seconds = seconds
        self._clock = clock
        self._asked = deque((at for at in asked if at <= clock()), count)

    def wait(self, stop: threading.Event) -> None:
        """Return when one more request is within the limit."""
        if stop.wait(min(self._seconds, max(0.0, self.due - self._clock()))):
            raise GatewayStopped
        self._asked.append(self._clock())

    @property
    def asked(self) -> list[float]:
        """When the requests were made that still count, for the pace of the next process."""
        return list(self._asked)

    @property
    def due(self) -> float:
        """When the next request is within the limit, by the clock."""
        return self._asked[0] + self._seconds if len(self._asked) == self._asked.maxlen else self._clock()
