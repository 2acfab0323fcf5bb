"""
The outcome of every reading, counted by source and day of receipt, and dead letters as rows of a table.

`streams.commit.pipeline` writes both in the transaction of the batch, so that a kill -9 loses no count.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aggregates.store.store import unnested
from ingest.vocabulary.batch import DeadLetter
from ingest.vocabulary.readings import microseconds, utc
from streams.commit.series import source_code, source_names
from streams.commit.windows import DAY_US

STORED, CORRECTED, DUPLICATE = range(3)  # as the statement `correct_readings` numbers them
AMBIGUOUS = 4  # added by it where nothing says which of two values is right, and did not before
SOURCES = 1 << 15  # more than a hub will ever have


def accounts(
    received: NDArray[Any], rejected: NDArray[np.bool_], kept: NDArray[Any], outcome: NDArray[np.int8],
    unsure: NDArray[np.bool_], letters: Sequence[DeadLetter],
) -> dict[str, list[Any]]:  # fmt: skip
    """
    Account for a batch: columns of counts by outcome, a row for each source and UTC day of receipt.

    `received` are all its readings, of which `rejected` never reached the store; `kept` are those that did, one of each
    key, with the `outcome` of each, `unsure` where it is ambiguous from now on; `letters` are the messages that could
    not be read, each of which counts one.
    """
    pairs, reached = (rows["received_at"] // DAY_US * SOURCES + rows["source"] for rows in (received, kept))
    days = [microseconds(letter.received_at) // DAY_US for letter in letters]
    dead = np.array([day * SOURCES + source_code(one.source) for day, one in zip(days, letters, strict=True)], np.int64)
    # Day and source as one number: numpy finds distinct numbers far faster than distinct pairs.
    keys = np.unique(np.concatenate([pairs, dead]))

    def count(some: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(np.searchsorted(keys, some), minlength=len(keys))

    stored, corrected, duplicate = (count(reached[outcome == code]) for code in (STORED, CORRECTED, DUPLICATE))
    came, refused, unread = count(pairs), count(pairs[rejected]), count(dead)
    counts = {
        "received": came + unread, "stored": stored, "duplicate": duplicate + came - refused - count(reached),
        "corrected": corrected, "rejected": unread + refused, "ambiguous": count(reached[unsure]),
    }  # fmt: skip
    names = source_names()
    return {
        "source": [names[key % SOURCES] for key in keys.tolist()],
        "day": [utc(key // SOURCES * DAY_US).date() for key in keys.tolist()],
        **{name: column.tolist() for name, column in counts.items()},
    }


def dead_letter_columns(letters: Sequence[DeadLetter]) -> dict[str, list[Any]]:
    """Make one row of all letters with the same key, as columns; `count` is how often it came in this batch."""
    times = Counter(letter.key for letter in letters)
    first = {letter.key: letter for letter in reversed(letters)}
    columns = unnested(list(first.values()), DeadLetter.__struct_fields__)
    return {**columns, "key": list(first), "count": [times[key] for key in first]}
