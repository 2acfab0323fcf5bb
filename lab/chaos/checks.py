"""
Checks of the promises: what was published against what is in the database.

`lab.chaos.readings` has what must be there; it is compared with what users can read: the readings, `stadspuls query`,
`reconcile`, the accounting. Nothing is repaired here.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from subprocess import CompletedProcess

import numpy as np
import pandas as pd

from aggregates.ask.query import WINDOWS, Question, ask
from aggregates.store.store import Store
from lab.chaos.readings import BEGIN, QUANTITY, NumberedReadings
from lab.load.balances import Balance, balances

SOURCE = "stadspuls"
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Check:
    """One promise, what was expected and found, and whether it held."""

    promise: str
    expected: str
    found: str
    good: bool


Command = Callable[..., CompletedProcess[str]]


def check_promises(
    database: str, stadspuls: Command, numbered: NumberedReadings, published: int, bad: int
) -> Iterator[Check]:
    """
    Check every promise, `published` readings and `bad` messages having been confirmed by the broker.

    `stadspuls` runs a command against this database, and gives its end.
    """
    with closing(Store(database, application="stadspuls chaos")) as store:
        yield from _stored(store, numbered, published)
        for level in WINDOWS:
            yield _windows(store, numbered, published, level)
        yield from _accounts(store, numbered, published, bad)
    yield _reconciled(stadspuls, numbered, published)


def _stored(store: Store, numbered: NumberedReadings, published: int) -> Iterator[Check]:
    """Compare every number."""
    found = pd.DataFrame(store.rows("list_source_readings", source=SOURCE), columns=["sensor_id", "start", "value"])
    found["sensor"] = found.pop("sensor_id").str.rsplit("-", n=1).str[-1].astype("int64")
    both = numbered.readings(published).merge(
        found, how="outer", on=["sensor", "start"], suffixes=("", "_stored"), indicator=True
    )
    missing, foreign = both[both["_merge"] == "left_only"], both[both["_merge"] == "right_only"]
    wrong = both[(both["_merge"] == "both") & (both["value"] != both["value_stored"])]
    yield counted("readings stored", published, len(found))
    yield counted("published and not stored", 0, len(missing), _numbers(missing, numbered))
    yield counted("stored and not published", 0, len(foreign) + int(found.duplicated(["sensor", "start"]).sum()))
    yield counted("stored with another value", 0, len(wrong), _numbers(wrong, numbered))


def _numbers(rows: pd.DataFrame, numbered: NumberedReadings) -> str:
    minute = (rows["start"].astype("int64") - int(BEGIN.timestamp()) * 1_000_000) // 60_000_000
    numbers = sorted((minute * numbered.sensors + rows["sensor"].astype("int64")).tolist())
    return f": {', '.join(map(str, numbers[:_SHOWN]))}{' ...' if len(numbers) > _SHOWN else ''}" if numbers else ""


def _windows(store: Store, numbered: NumberedReadings, published: int, level: str) -> Check:
    """Compare windows, as `stadspuls query` gives them, with those made of the numbers."""
    expected = numbered.windows(published, level)
    last = _end(numbered, published) + timedelta(days=1)
    found = ask(store, Question(QUANTITY, BEGIN - timedelta(days=1), last, level, channels=True))
    found["sensor"] = found["sensor_id"].str.rsplit("-", n=1).str[-1].astype("int64")
    found = found.sort_values(["sensor", "start"], ignore_index=True)[expected.columns]
    promise = f"windows of {level} as recomputed"
    if len(found) != len(expected):
        return counted(promise, len(expected), len(found))
    same = np.ones(len(found), dtype=bool)
    for name in expected.columns:
        same &= (found[name] == expected[name]).to_numpy()
    return counted(promise, len(expected), int(same.sum()))


def _accounts(store: Store, numbered: NumberedReadings, published: int, bad: int) -> Iterator[Check]:
    (balance,) = [one for one in balances(store) if one.source == SOURCE] or [Balance(SOURCE, 0, 0, 0, 0, 0)]
    sums = (
        f"{balance.received:,} = {balance.stored:,} + {balance.duplicate:,} + {balance.corrected:,} + "
        f"{balance.rejected:,}"
    )
    yield Check("received = stored + duplicate + corrected + rejected", "equal", sums, balance.holds)
    yield counted("readings accounted for as stored", published, balance.stored)
    asked = {"source": SOURCE, "reason": None, "limit": 10 * bad + 10, "after_last_at": None, "after_key": None}
    with store.transaction() as tx:
        letters = {letter.payload for letter in tx.records("list_dead_letters", **asked)}
    wanted = [message[1] for number in range(published) if (message := numbered.bad(number))]
    lost = "".join(f"; {payload.decode()}" for payload in wanted if payload not in letters)
    yield counted("unreadable messages in the dead letters", bad, len(letters), lost[:200])


def _reconciled(stadspuls: Command, numbered: NumberedReadings, published: int) -> Check:
    first, last = BEGIN - timedelta(days=1), _end(numbered, published) + timedelta(days=2)
    done = stadspuls("reconcile", f"--from={first:%Y-%m-%d}", f"--to={last:%Y-%m-%d}")
    return Check("stadspuls reconcile", "exit 0", f"exit {done.returncode}", done.returncode == 0)


def _end(numbered: NumberedReadings, published: int) -> datetime:
    return BEGIN + timedelta(minutes=published // numbered.sensors)


def counted(promise: str, expected: int, found: int, more: str = "") -> Check:
    """Make the check of a number."""
    return Check(promise, f"{expected:,}", f"{found:,}{more}", expected == found)
