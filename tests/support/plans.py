"""How many rows the steps of each statement's plan handled, while a test does what a hub does."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from aggregates.store.statements import statement_text
from aggregates.store.store import Transaction

_COUNTED = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Join Filter", "Rows Removed by Index Recheck")
_PLANNED = re.compile("(WITH|SELECT|INSERT|UPDATE|DELETE)\\b")


class _Undone(Exception):  # noqa: N818 - no error
    """What was explained shall not stay."""


@contextmanager
def watched_plans() -> Iterator[dict[str, int]]:
    """Run every named statement once more before it runs, undone; note the most rows that a step of it ever handled."""
    found: dict[str, int] = {}
    run = Transaction.rows

    def rows(tx: Transaction, statement: str, view: str = "", /, **parameters: object) -> list[tuple[Any, ...]]:
        text = statement_text(statement).replace("<view>", f'"{view}"')
        if _PLANNED.match(text):
            try:
                with tx.savepoint():
                    (((plan,),),) = tx.select(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {text}", parameters)
                    found[statement] = max(found.get(statement, 0), *_handled(plan["Plan"]))
                    raise _Undone
            except _Undone:
                pass
        return run(tx, statement, view, **parameters)

    with patch.object(Transaction, "rows", rows):
        yield found


def _handled(node: dict[str, Any]) -> Iterator[int]:
    """Give how many rows a node made or dropped, in all its loops, and those below it."""
    yield round(sum(node.get(name, 0) for name in _COUNTED) * node["Actual Loops"])
    for below in node.get("Plans", []):
        yield from _handled(below)
