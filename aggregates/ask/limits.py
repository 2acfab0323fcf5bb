"""
A year of air beside its limits: means, greatest 8-hour means, exceedances and percentiles, with the part not measured.

`limits.toml` has the limits of each law, the statement `list_limits` compares with them. The rules of valid means are
those of directive 2008/50/EC, annexes VII and XI: of 8 hours 6, of a day the `hours` of the registry (18), of the
8-hour means that end on a day as many. `stadspuls limits` and the API's `/limits` show it.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from aggregates.ask.dates import BadQuestion
from aggregates.ask.listings import LISTS, Batches, Key
from aggregates.ask.query import Question, chosen_series
from aggregates.store.store import Store
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.values import shipped_toml

CET = timedelta(hours=-1)  # a year of air begins at 00:00 in UTC+1
_LAWS = shipped_toml(__file__, "limits.toml")["law"]


def read_limits(store: Store, after: Key | None, limit: int, *, quantity: str, year: int, **scope: Any) -> Batches:
    """Yield a row a station and limit, by their key, those behind `after`; raises BadQuestion, and `StoreError`."""
    asked = terms(quantity, year)
    question = Question.of(quantity, asked["first"], asked["last"], "1h", **scope)
    with store.transaction(snapshot=True) as tx:
        chosen, area = chosen_series(tx, question)
    asked |= {"series": chosen.series.tolist(), "area": None, "vintage": None, **area}
    yield from LISTS["limits"].read(store, after, limit, "sensor_1h", **asked)


def terms(quantity: str, year: int) -> dict[str, Any]:
    """
    Give the limits of a quantity and the year that is compared, as the statement `list_limits` takes them.

    Raises BadQuestion where there are none.
    """
    found = [(law, one) for law in _LAWS for one in law["limits"] if one["quantity"] == quantity]
    if not found:
        known = sorted({one["quantity"] for law in _LAWS for one in law["limits"]})
        raise BadQuestion(f"limits of {quantity!r}, expected one of {', '.join(known)}", "quantity")
    first, last = (datetime(one, 1, 1, tzinfo=UTC) + CET for one in (year, year + 1))
    return {
        "quantity": quantity, "year": year, "first": first, "last": last, "least": QUANTITIES[quantity].hours or 24,
        "law": [law["name"] for law, _ in found], "decimals": [law["decimals"] for law, _ in found],
        "statistic": [one["statistic"] for _, one in found], "threshold": [float(one["limit"]) for _, one in found],
        "allowed": [one.get("allowed", 0) for _, one in found],
        "capture": [one.get("capture", law["capture"]) for law, one in found],
    }  # fmt: skip
