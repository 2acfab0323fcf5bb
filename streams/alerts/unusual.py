"""
How usual an hour was: every sensor's value beside the median and spread of earlier hours of its kind.

The arithmetic is `streams.alerts.comparison.usual`, as for the alert rules. `hub.web` and `hub.cli` show the answers.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from aggregates.ask.dates import BadQuestion
from aggregates.store.store import Store
from ingest.vocabulary.calendar import Days
from ingest.vocabulary.readings import microseconds
from streams.alerts.comparison import LEAST, comparison_hours, usual
from streams.alerts.frames import load_hours
from streams.alerts.rulebook import Baseline

EDGES = (-5.0, -2.0, 2.0, 5.0)  # spreads between much less, less, as usual, more and much more
_HOUR = timedelta(hours=1)


def closed_hour(at: datetime | None, now: datetime) -> datetime:
    """Give the start of the hour that a moment is in, or of the last one; raises BadQuestion where it still runs."""
    start = (at or now - _HOUR).astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if start + _HOUR > now:
        raise BadQuestion(f"the hour that begins at {start:%Y-%m-%dT%H:%MZ} has not ended, expected an earlier one")
    return start


def beside_usual(store: Store, days: Days, quantity: str, starts: Sequence[datetime], **scope: Any) -> "pd.DataFrame":
    """
    Give hours of every sensor that measures a quantity beside what is usual for them, by sensor_id and start.

    Columns: sensor_id, name, lon, lat, start (us), value, coverage, valid, usual, spread (in the quantity's unit),
    deviation (in spreads; NaN: it cannot be judged), hours (that it is compared with) and reason (why it cannot be
    judged, else empty). `scope` narrows the sensors as in `streams.alerts.frames.load_hours`. Raises
    `aggregates.store.errors.StoreError`.
    """
    asked = np.array(sorted(map(microseconds, starts)), np.int64)
    with store.transaction(snapshot=True) as tx:
        sensors, hours = load_hours(tx, quantity, np.union1d(asked, comparison_hours(asked, days)), **scope)
    found = sensors.merge(pd.DataFrame({"start": asked}), "cross")
    windows = found[["sensor_id", "start"]].rename(columns={"sensor_id": "subject"})
    windows = windows.merge(hours, "left", ["subject", "start"])
    known = usual(windows, hours, days, quantity, Baseline())
    none, event = windows["value"].isna(), days.in_event(windows["subject"].to_numpy(), windows["start"].to_numpy())
    cases: dict[str, Any] = {
        "planned event": event, "nothing to measure": none & (windows["nothing"] > 0), "no value": none,
        "not valid": windows["valid"] != 1, "too few earlier hours": known["hours"] < LEAST,
    }  # fmt: skip
    reason = np.select(list(cases.values()), np.array(list(cases), object), np.array("", object))
    deviation = (windows["value"] - known["median"]) / known["spread"]
    return found.assign(
        value=windows["value"], coverage=windows["coverage"], valid=windows["valid"] == 1, usual=known["median"],
        spread=known["spread"], deviation=deviation.where(reason == ""), hours=known["hours"].astype(int),
        reason=reason,
    )  # fmt: skip


def ranked(found: "pd.DataFrame") -> "pd.DataFrame":
    """Put the most unusual first, and those that cannot be judged last."""
    return found.sort_values("deviation", key=abs, ascending=False, kind="stable", na_position="last")
