"""
The outcome of every reading, counted by source and day of receipt, and dead letters as rows of a table.

`streams.commit.pipeline` writes both in the transaction of the batch, so that a kill -9 loses no count.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, timedelta
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aggregates.store.store import unnested
from ingest.vocabulary.dead_letters import DeadLetter
from streams.commit.series import source_names
from streams.commit.windows import DAY_US

STORED, CORRECTED, DUPLICATE = range(3)  # as the statement `correct_readings` numbers them
SOURCES = 1 << 15  # more than a hub will ever have


class Account(NamedTuple):
    """Readings of a source received on a UTC day, counted by outcome; a message that cannot be decoded counts one."""

    source: str
    day: date
    received: int
    stored: int
    duplicate: int
    corrected: int
    rejected: int


def accounts(
    received: NDArray[Any],
    rejected: NDArray[np.bool_],
    kept: NDArray[Any],
    outcome: NDArray[np.int8],
    letters: Sequence[DeadLetter],
) -> list[Account]:
    """
    Account for a batch, by source and day of receipt.

    `received` are all its readings, of which `rejected` never reached the store; `kept` are those that did, one of each
    key, with the `outcome` of each; `letters` are the messages that could not be read.
    """
    all_pairs, kept_pairs = _pairs(received), _pairs(kept)
    came, refused, reached = _count(all_pairs), _count(all_pairs[rejected]), _count(kept_pairs)
    by_outcome = [_count(kept_pairs[outcome == code]) for code in (STORED, CORRECTED, DUPLICATE)]
    dead = Counter((letter.source, letter.received_at.astimezone(UTC).date()) for letter in letters)
    return [
        Account(*key, came[key] + dead[key], by_outcome[STORED][key],
                by_outcome[DUPLICATE][key] + came[key] - refused[key] - reached[key],
                by_outcome[CORRECTED][key], dead[key] + refused[key])
        for key in sorted(came.keys() | dead.keys())
    ]  # fmt: skip


def _pairs(rows: NDArray[Any]) -> NDArray[np.int64]:
    """Day of receipt and source as one number: numpy finds distinct numbers far faster than distinct pairs."""
    pairs: NDArray[np.int64] = rows["received_at"] // DAY_US * SOURCES + rows["source"]
    return pairs


def _count(pairs: NDArray[np.int64]) -> Counter[tuple[str, date]]:
    distinct, counts = np.unique(pairs, return_counts=True)
    names, epoch = source_names(), date(1970, 1, 1)
    return Counter({
        (names[pair % SOURCES], epoch + timedelta(days=pair // SOURCES)): count
        for pair, count in zip(distinct.tolist(), counts.tolist(), strict=True)
    })  # fmt: skip


def dead_letter_columns(letters: Sequence[DeadLetter]) -> dict[str, list[Any]]:
    """Make one row of all letters with the same key, as columns; `count` is how often it came in this batch."""
    times = Counter(letter.key for letter in letters)
    first = {letter.key: letter for letter in reversed(letters)}
    columns = unnested(list(first.values()), DeadLetter.__struct_fields__)
    return {**columns, "key": list(first), "count": [times[key] for key in first]}
