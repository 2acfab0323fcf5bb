"""
How long to wait: one rule for every retry of every gateway, and a pace that keeps requests within a source's limit.

`ingest.gateways.web` uses it between two tries of a request, `ingest.gateways.schedule` between two turns.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence

FIRST, LONGEST = 1.0, 300.0  # s


def pause(failures: int, chance: float, asked: float = 0.0) -> float:
    """
    Give the seconds to wait after so many failures in a row; `chance` in [0, 1) is the jitter.

    Doubles from half a second to five minutes, and is never less than what the server asked for.

    >>> [pause(failures, 0.5) for failures in (1, 2, 3, 20)], pause(1, 0.0, 30.0)
    ([0.75, 1.5, 3.0, 225.0], 30.5)
    """
    return asked + min(LONGEST, FIRST * 2.0 ** (min(failures, 20) - 1)) * (0.5 + chance / 2)


class Stopped(Exception):  # noqa: N818 - it is no error: the gateway ends
    """The gateway is told to end, in the middle of a wait."""


class Pace:
    """
    At most `count` requests in any `seconds`; waits for its turn, and raises Stopped when told to end meanwhile.

    `asked` is when an earlier process made its last ones.
    """

    def __init__(self, count: int, seconds: float, clock: Callable[[], float], asked: Sequence[float] = ()) -> None:
        self._seconds = seconds
        self._clock = clock
        self._asked = deque((at for at in asked if at <= clock()), count)

    def wait(self, stop: threading.Event) -> None:
        """Return when one more request is within the limit."""
        if stop.wait(min(self._seconds, max(0.0, self.due - self._clock()))):
            raise Stopped
        self._asked.append(self._clock())

    @property
    def asked(self) -> list[float]:
        """When the requests were made that still count, for the pace of the next process."""
        return list(self._asked)

    @property
    def due(self) -> float:
        """When the next request is within the limit, by the clock."""
        return self._asked[0] + self._seconds if len(self._asked) == self._asked.maxlen else self._clock()
