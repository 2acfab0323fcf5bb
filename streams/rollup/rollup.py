"""
Hours and days out of 5-minute rows, once an hour has closed and again when late data touch it.

The pipeline marks dirty hours. The roll-up takes the marks, applies the neighbour rules around these hours, writes
`window_1h` and `window_1d`, and flags what they show to be dead (`streams.rollup.derived`). `hub.run.upkeep` calls it.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import repeat

from aggregates.areas.groups import resolve_groups
from aggregates.store.errors import Clash
from aggregates.store.store import Store, Transaction
from streams.alerts.judge import Judge
from streams.rollup.derived import flag_dead, flag_neighbours

MOST_HOURS = 100_000  # of series in one transaction, up to twice as many in those that follow short ones
SHORT = 10.0  # s: each transaction has costs of its own, which its hours share
WINDOWS = ("roll_hours", "roll_days")
EVIDENCE = ("delete_sensor_hours", "roll_sensor_hours", "delete_sensor_days", "roll_sensor_days")


def roll_up(
    store: Store, now: datetime, grace: timedelta = timedelta(minutes=1), judge: Judge | None = None,
    most: int | None = None,
) -> int:  # fmt: skip
    """
    Roll up every hour that closed by `now`, less `grace`, and is marked; give the number of series' hours written.

    With `most` it stops after so many transactions. Hours close up to the first that is marked since the last closed
    one: late data for older ones, which are served from their windows already, keep no newer one open. After a
    deadlock it tries again at once. Raises `aggregates.store.errors.StoreError`; what was committed before stays.
    """
    until = (now - grace).replace(minute=0, second=0, microsecond=0)
    written, hours = 0, MOST_HOURS
    for _ in repeat(None) if most is None else range(most):
        began = time.monotonic()
        try:
            done = _roll_up_some(store, until, judge, now, hours)
            more = done or _store_evidence(store)
        except Clash:  # flags found by hours are set after other 5-minute rows are locked: batches may be in the way
            hours = MOST_HOURS
            continue
        written += done
        hours = MOST_HOURS * (2 if time.monotonic() - began < SHORT else 1)
        if not more:
            break
    store.rows("close_hours", until=until)
    return written


def _roll_up_some(store: Store, until: datetime, judge: Judge | None, now: datetime, hours: int) -> int:
    with store.transaction(writing=True) as tx:
        tx.rows("lock_roll_up")
        if not tx.rows("find_mark", until=until):
            return 0
        tx.rows("take_marks", until=until, most=hours)
        ((count, first, last),) = tx.rows("read_dirty_span")
        if count:
            tx.rows("analyze_dirty")
            resolve_groups(tx)
            reflagged = flag_neighbours(tx, count, first, last)
            flagged = flag_dead(tx, _write(tx, WINDOWS, again=False, until=until))
            if len(flagged.starts):
                _write(tx, WINDOWS, again=True, until=until)
            _write_evidence(tx)
            tx.rows("mark_rolled_hours")
            tx.rows("close_hours", until=until)  # whose figures rules read
            if judge is not None:
                for windows in (reflagged, flagged):
                    judge.changed(tx, "5m", windows, now, now)
                judge.rolled(tx, until, now)
        return int(count)


def _write(tx: Transaction, statements: Sequence[str], **more: object) -> Mapping[str, datetime]:
    """Run statements over the dirty hours; give the span of these. `again`: only for the windows of `judged`."""
    ((count, first, last),) = tx.rows("read_dirty_span")
    for statement in statements if count else ():
        tx.rows(statement, first=first, last=last, **more)
    return {"first": first, "last": last}


def _write_evidence(tx: Transaction) -> None:
    """Write the evidence of the sensors with several series, of the dirty hours and their days, where it is stored."""
    ((found,),) = tx.rows("take_dirty_sensors")
    if found:
        tx.rows("analyze_dirty_sensors")
        _write(tx, EVIDENCE)


def _store_evidence(store: Store) -> bool:
    """Store the evidence of some sensors that have none, as new ones, or other rules by now; were there any."""
    with store.transaction(writing=True) as tx:
        tx.rows("lock_roll_up")
        if taken := [series for (series,) in tx.rows("take_unstored")]:
            tx.rows("take_stored_hours", series=taken)
            tx.rows("analyze_dirty")
            _write_evidence(tx)
    return bool(taken)
