"""
Failures of judging: logged, counted, and noted in the transaction, so that these windows are judged again later.

Nothing in judging may stop what is judged. `streams.alerts.judge` works inside savepoints and notes here what failed;
`streams.alerts.clock` judges it again, once a minute, until it succeeds; `stadspuls doctor` lists it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from aggregates.store.store import Transaction
from ingest.vocabulary.readings import utc

ALL = ""  # rules

log = structlog.get_logger(__name__)


class Failures:
    """The failures of one judge; `count` since its start."""

    def __init__(self) -> None:
        self.count = 0
        self._logged: dict[str, str] = {}

    @contextmanager
    def noted(self, tx: Transaction, level: str, first: int, last: int, rule: str = ALL) -> Iterator[None]:
        """
        Where the block raises undo it, and note the windows that start in `[first, last]` us as not judged by a rule.

        Raises `aggregates.store.errors.StoreError` only where the transaction is lost.
        """
        try:
            with tx.savepoint():
                yield
        except Exception as error:
            self.note(tx, level, first, last, rule, error)

    def note(self, tx: Transaction, level: str, first: int, last: int, rule: str, error: Exception) -> None:
        """Note and count a failure, and log it when it is another than the last one of its rule."""
        text = f"{type(error).__name__}: {error}"[:1000].replace("\x00", "\ufffd")
        # Before anything is logged: it raises where the transaction is lost, whose owner says so and does it again.
        tx.rows("note_unjudged", rule=rule, level=level, first=utc(first), last=utc(last), error=text)
        self.count += 1
        if self._logged.get(rule) != text:
            self._logged[rule] = text
            log.error("could not judge, it is tried again", rule=rule or "all", level=level, exc_info=error)
