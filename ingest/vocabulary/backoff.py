"""
How long to wait before trying again: the one rule for everything that is away, a database, a broker, Kafka or a host.

The wait itself belongs to the caller, who knows what ends it: `stop.wait(...)`, `asyncio.sleep(...)`, a stamp.
"""

import random
from collections.abc import Iterator
from itertools import count


def pause(failures: int, first: float, longest: float) -> float:
    """
    Give the seconds to wait after so many failures in a row: `first` and its doubles up to `longest`, with jitter.

    Jitter takes off up to half, so that many clients do not come back at the same moment.

    >>> 0.5 <= pause(1, first=1.0, longest=300.0) <= 1.0, 150 <= pause(1_000, first=1.0, longest=300.0) <= 300
    (True, True)
    """
    return min(longest, first * 2.0 ** min(failures - 1, 60)) * random.uniform(0.5, 1.0)


def pauses(first: float, longest: float) -> Iterator[float]:
    """Give the waits of one attempt after the other, without end: `next` after each failure."""
    return (pause(failures, first, longest) for failures in count(1))
