"""
What the soak measures: seconds by figure, each with its moment, and the quantiles of those between two moments.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

Span = tuple[float, float]


class Samples:
    """Seconds by figure; may be added to by several threads."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        self._lock = threading.Lock()

    def add(self, figure: str, moment: float, seconds: float) -> None:
        """Add what began at a moment."""
        with self._lock:
            self._seconds[figure].append((moment, seconds))

    @contextmanager
    def timed(self, figure: str) -> Iterator[None]:
        """Add what the block takes, where it ends well."""
        began = time.perf_counter()
        yield
        self.add(figure, began, time.perf_counter() - began)

    def count(self, figure: str, span: Span) -> int:
        """Count those that began in a span."""
        return len(self._within(figure, span))

    def ms(self, span: Span) -> dict[str, dict[str, float]]:
        """Give of each figure how many began in a span, and their median and 99th percentile in ms."""
        found = {figure: self._within(figure, span) for figure in sorted(self._seconds)}
        return {
            figure: {"count": len(some), "p50": _ms(some, 0.5), "p99": _ms(some, 0.99)}
            for figure, some in found.items()
            if some
        }

    def _within(self, figure: str, span: Span) -> list[float]:
        with self._lock:
            return [seconds for moment, seconds in self._seconds[figure] if span[0] <= moment < span[1]]


def ratios(before: dict[str, dict[str, float]], after: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """
    Give how many times its value before each median and percentile is after.

    >>> ratios({"a": {"count": 1, "p50": 2, "p99": 4}}, {"a": {"count": 3, "p50": 3, "p99": 4}})
    {'a': {'p50': 1.5, 'p99': 1.0}}
    """
    return {
        figure: {name: round(after[figure][name] / before[figure][name], 2) for name in ("p50", "p99")}
        for figure in before
        if figure in after
    }


def _ms(seconds: list[float], quantile: float) -> float:
    return round(float(np.quantile(seconds, quantile)) * 1000, 2)
