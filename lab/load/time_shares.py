"""
Where the pipeline's time goes: a store whose statements are timed, and a profile of the functions between them.

For `lab.bench.write`, in a run of its own: a profile costs a little itself.
"""

import cProfile
import pstats
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

from aggregates.store.binary import Packed
from aggregates.store.store import Store, Transaction

# The functions that calculate, by the end of their file's name; what they call is part of them.
_FUNCTIONS = {
    ("series.py", "_numbered"): "python: which series",
    ("quality.py", "received_rows"): "python: rows and quality",
    ("windows.py", "ordered"): "python: sort",
    ("windows.py", "distinct"): "python: distinct",
    ("windows.py", "fold"): "python: fold",
    ("accounting.py", "accounts"): "python: accounting",
    ("binary.py", "packed"): "python: binary rows, part of the copies",
}


class Spent(Store):
    """A store that counts seconds by statement and, inside its `with` block, by function."""

    def __init__(self, conninfo: str) -> None:
        super().__init__(conninfo, application="stadspuls bench")
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._profile = cProfile.Profile()
        self._began = self._total = 0.0

    def __enter__(self) -> "Spent":
        self._seconds.clear()
        self._began = time.perf_counter()
        self._profile.enable()
        return self

    def __exit__(self, *_: object) -> None:
        self._profile.disable()
        self._total = time.perf_counter() - self._began

    @contextmanager
    def transaction(self, *, snapshot: bool = False, writing: bool = False) -> Iterator[Transaction]:
        """Open a transaction as `Store` does."""
        began = time.perf_counter()
        with super().transaction(snapshot=snapshot, writing=writing) as tx:
            self._seconds["sql: begin and commit"] += time.perf_counter() - began
            yield _Timed(tx, self._seconds)
            began = time.perf_counter()
        self._seconds["sql: begin and commit"] += time.perf_counter() - began

    def shares(self) -> dict[str, float]:
        """Give the share of the time that each statement and function took, the largest first."""
        for (file, _, name), (*_, seconds, _) in pstats.Stats(self._profile).stats.items():  # type: ignore[attr-defined]
            for (end, function), label in _FUNCTIONS.items():
                if name == function and file.endswith(f"/{end}"):
                    self._seconds[label] = seconds
        largest = sorted(self._seconds.items(), key=lambda item: -item[1])
        return {name: round(seconds / self._total, 3) for name, seconds in largest}


class _Timed(Transaction):
    def __init__(self, tx: Transaction, seconds: defaultdict[str, float]) -> None:
        super().__init__(tx._connection)
        self._seconds = seconds

    def rows(self, statement: str, view: str = "", /, **parameters: object) -> list[tuple[Any, ...]]:
        began = time.perf_counter()
        found = super().rows(statement, view, **parameters)
        self._seconds[f"sql: {statement}"] += time.perf_counter() - began
        return found

    @contextmanager
    def copying(self, table: str, rows: NDArray[Any] | Packed) -> Iterator[None]:
        began = time.perf_counter()
        with super().copying(table, rows):
            yield
        self._seconds[f"sql: copy {table}"] += time.perf_counter() - began
