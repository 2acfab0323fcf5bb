"""
What operators do with alerts: list, acknowledge and silence them; for the commands, the API and the live page.

Each function is one statement or one transaction. `streams.notify.delivery` notifies others of an acknowledgement.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from aggregates.store.store import Store, Transaction
from ingest.vocabulary.readings import YEARS
from streams.notify.channels import SEVERITIES
from streams.notify.silences import Silence, weekly

COLUMNS = (
    "alert", "rule", "title", "title_nl", "subject", "name", "quantity", "level", "severity", "state", "since", "until",
    "value", "worst", "threshold", "unit", "coverage", "late", "withdrawn", "raised_at", "updated_at", "cleared_at",
    "acknowledged_at", "acknowledged_by", "lon", "lat",
)  # fmt: skip
Row = dict[str, Any]


def alerts(
    store: Store, now: datetime, zone: ZoneInfo, *, everything: bool = False, rule: str | None = None,
    subject: str | None = None, limit: int | None = 100,
) -> list[Row]:  # fmt: skip
    """Give the open alerts, or all of them, the newest first, each with the columns of `COLUMNS` and `local_since`."""
    rows = store.rows("list_operator_alerts", everything=everything, rule=rule, subject=subject, limit=limit)
    found = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    silent = silenced(store, [(row["rule"], row["subject"]) for row in found], now, zone)
    for row, quiet in zip(found, silent, strict=True):
        row |= {"state": state_of(row["state"], quiet), "local_since": row["since"].astimezone(zone).isoformat()}
    return found


def silenced(store: Store, found: Sequence[tuple[str, str]], now: datetime, zone: ZoneInfo) -> list[bool]:
    """Tell of each rule and subject whether a silence covers it now."""
    quiet = [one for one in silences(store, now) if one.until(now, zone) is not None]
    subjects = sorted({subject for _, subject in found}) if quiet else []
    areas = {sensor: codes for sensor, _, _, codes in store.rows("list_sensor_areas", sensors=subjects)}
    return [any(one.covers(rule, (subject, *areas.get(subject, ()))) for one in quiet) for rule, subject in found]


def state_of(state: str, quiet: bool) -> str:
    """Give the state to show: `silenced` for a raised alert that no channel gets now."""
    return "silenced" if quiet and state == "raised" else state


def may_act(store: Store) -> bool:
    """Tell whether the role of this connection may acknowledge and silence."""
    ((may,),) = store.rows("may_act")
    return bool(may)


def acknowledge(store: Store, alert: int, by: str, now: datetime) -> bool:
    """Acknowledge an alert, and notify the channels that got it; False where it is not open."""
    with store.transaction() as tx:
        tx.rows("acknowledge_alert", alert=alert, by=by, now=now)
        return tx.rows("is_acknowledged", alert=alert) != []


def silence(
    store: Store, *, rule: str, subject: str, first: datetime, last: datetime | None, windows: list[str], by: str,
    reason: str, now: datetime,
) -> int:  # fmt: skip
    """
    Make a silence and give its number.

    Raises ValueError for weekly windows that cannot be read, and a span without an end, without a length or far away.
    """
    for text in windows:
        weekly(text)
    if last is None and not windows:
        raise ValueError("neither an end nor weekly windows: a silence without an end is forgotten")
    for moment in (first, last):
        if moment is not None and moment.year not in YEARS:
            raise ValueError(f"{moment.isoformat()}, expected a stamp of the years {YEARS[0]} to {YEARS[-1]}")
    if last is not None and last <= first:
        raise ValueError(f"a silence that ends at {last.isoformat()} and begins at {first.isoformat()}")
    ((number,),) = store.rows(
        "insert_silence", rule=rule, subject=subject, first=first, last=last, made_by=by, reason=reason, now=now,
        recurrence=msgspec.json.encode(windows).decode() if windows else None,
    )  # fmt: skip
    return int(number)


def silences(source: Store | Transaction, now: datetime) -> list[Silence]:
    """Give the silences that are active or to come."""
    return [
        Silence(number, rule, subject, first, last, tuple(map(weekly, windows or ())), by, reason)
        for number, rule, subject, first, last, windows, by, reason in source.rows("list_silences", now=now)
    ]


def end_silence(store: Store, number: int, now: datetime) -> bool:
    """End a silence: what it held back is due now; False where there is none to end."""
    return bool(store.rows("end_silence", silence=number, now=now))


def described(one: Silence, now: datetime, zone: ZoneInfo) -> Row:
    """Give a silence as a row to show."""
    silent_now = one.until(now, zone) is not None
    return {**one._asdict(), "weekly": "; ".join(map(str, one.weekly)), "silent_now": silent_now}


def outbox(store: Store, now: datetime) -> list[Any]:
    """Give the backlog of each channel that has one, with the columns of the statement `outbox_state`."""
    with store.transaction() as tx:
        return tx.records("outbox_state", now=now)


def open_alerts(store: Store) -> dict[str, int]:
    """Count the alerts that are open, by severity, the three always named."""
    found = dict(store.rows("count_open_alerts"))
    return {severity: int(found.get(severity, 0)) for severity in SEVERITIES}
