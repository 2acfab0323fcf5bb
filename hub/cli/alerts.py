"""
Alerts on the command line: `alerts list`, `ack`, `silence`, `send-test`, `rules` and `test`.

`streams.notify.operators` does what operators ask, and the notifier of the running hub sends the messages;
`streams.alerts.judge` tries a rule on stored history, and stores nothing.
"""

import getpass
from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import pandas as pd
import typer

from aggregates.ask.query import BadQuestion
from aggregates.store.store import Store
from hub.cli.common import IMPOSSIBLE, NO, command, end, group, open_store, range_of, stamp
from hub.cli.output import Format, errors, write
from hub.run.upkeep import judge_of
from hub.settings.settings import Settings
from ingest.vocabulary.readings import utc
from ingest.vocabulary.values import duration
from streams.alerts.episodes import Transition
from streams.alerts.rulebook import Rule
from streams.notify import operators

SHOWN = ("alert", "severity", "state", "since", "rule", "subject", "name", "value", "threshold", "unit", "coverage",
         "acknowledged_by")  # fmt: skip
BRIEF = 10  # of the columns of a rule in the table
alerts_app = group("alerts", "Alerts, their rules, and who gets a message.")


@command(alerts_app, "list", "database")
def alerts_list(
    settings: Settings,
    is_open: Annotated[bool, typer.Option("--open/--all", envvar="STADSPULS_OPEN", help="open ones, or all")] = True,
    rule: str | None = None, subject: str | None = None, limit: int = 1_000, form: Format = "table",
) -> None:  # fmt: skip
    """List alerts, the newest first."""
    with open_store(settings) as store:
        found = operators.alerts(store, datetime.now(UTC), ZoneInfo(settings.timezone), everything=not is_open,
                                 rule=rule, subject=subject, limit=limit)  # fmt: skip
    if not found:
        errors.print("no alert is open" if is_open else "no alerts")
    frame = pd.DataFrame(found, columns=[*operators.COLUMNS, "local_since"])
    write(frame[list(SHOWN)] if form == "table" else frame, form, None, settings.timezone)


@command(alerts_app, "ack", "database")
def alerts_ack(settings: Settings, alert: int, /, by: str | None = None) -> None:
    """Acknowledge an open alert: it does not escalate, and who got its message gets this one too."""
    with open_store(settings) as store:
        was_open = operators.acknowledge(store, alert, by or getpass.getuser(), datetime.now(UTC))
    if not was_open:
        end(NO, f"alert {alert} is not open")
    errors.print(f"alert {alert} is acknowledged")


@command(alerts_app, "silence", "database")
def alerts_silence(
    settings: Settings, rule: str | None = None, subject: str | None = None, length: str | None = None,
    first: str | None = None, last: str | None = None, weekly: list[str] | None = None, reason: str | None = None,
    by: str | None = None, listed: bool = False, ended: int | None = None, form: Format = "table",
) -> None:  # fmt: skip
    """
    Keep alerts quiet for a while or every week (local time); list the silences; end one.

    When a silence ends, messages of the alerts that are still open are sent.
    """
    now, zone = datetime.now(UTC), ZoneInfo(settings.timezone)
    number = None
    with open_store(settings) as store:
        if ended is None and not listed:
            number = _silence(store, now, zone.key, rule, subject, length, first, last, weekly or [], reason, by)
        elif ended is not None and not operators.end_silence(store, ended, now):
            end(NO, f"silence {ended} does not exist or is over")
        found = [one for one in operators.silences(store, now) if number in (None, one.silence)]
    columns = ["silence", "rule", "subject", "first", "last", "weekly", "silent_now", "made_by", "reason"]
    rows = [operators.described(one, now, zone) for one in found]
    write(pd.DataFrame(rows, columns=columns), form, None, settings.timezone)


def _silence(
    store: Store, now: datetime, zone: str, rule: str | None, subject: str | None, length: str | None,
    first: str | None, last: str | None, weekly: list[str], reason: str | None, by: str | None,
) -> int:  # fmt: skip
    """Make the silence that the flags describe; raises BadQuestion where one is missing or cannot be."""
    if rule is None and subject is None:
        raise BadQuestion("--rule or --subject, expected at least one ('*' is all)")
    if not reason:
        raise BadQuestion("--reason, expected why")
    if length is not None and last is not None:
        raise BadQuestion("--for and --to, expected one of them")
    try:
        begin = stamp("from", first, zone) if first else now
        until = stamp("to", last, zone) if last else (begin + duration(length) if length else None)
        return operators.silence(store, rule=rule or "*", subject=subject or "*", first=begin, last=until,
                                 windows=weekly, by=by or getpass.getuser(), reason=reason, now=now)  # fmt: skip
    except (ValueError, OverflowError) as error:
        raise BadQuestion(str(error)) from None


@command(alerts_app, "send-test", "alert_channels")
def alerts_send_test(settings: Settings, channel: str, /) -> None:
    """Send a test message through a channel, past the outbox; exit 3 when the channel does not take it."""
    from hub.run.notifying import send_test
    from streams.notify.apprise_door import Unsent

    try:
        shown = send_test(settings, channel, datetime.now(UTC))
    except Unsent as error:
        end(IMPOSSIBLE, f"error: channel {channel} did not take it: {error}")
    errors.print(f"channel {channel} took a test message: {shown}")


@command(alerts_app, "rules", "rules")
def alerts_rules(settings: Settings, form: Format = "table") -> None:
    """Print a line for each rule: name, quantity, level, thresholds."""
    frame = pd.DataFrame([_row(rule) for rule in judge_of(settings).rules.values()])
    write(frame.iloc[:, :BRIEF] if form == "table" else frame, form, None, settings.timezone)


@command(alerts_app, "test", "rules", "database")
def alerts_test(settings: Settings, rule: str, /, first: str, last: str, form: Format = "table") -> None:
    """Show the alerts that a rule would have raised on stored windows, also before the day it is in force."""
    judge = judge_of(settings)
    chosen = judge.rules.get(rule)
    if chosen is None:
        raise BadQuestion(f"rule {rule!r}, expected one of `stadspuls alerts rules`")
    begin, until = range_of(first, last, settings.timezone, chosen.level, chosen.quantity)
    if begin >= until:
        raise BadQuestion(f"--from {begin.isoformat()} is not before --to {until.isoformat()}")
    with open_store(settings) as store:
        found = judge.replay(store, chosen, begin, until)
    columns = ["time", "kind", "subject", "value", "threshold", "unit", "coverage", "windows", "text"]
    write(pd.DataFrame([_outcome(chosen, one) for one in found], columns=columns), form, None, settings.timezone)
    raised = sum(one.kind == "raised" for one in found)
    errors.print(f"{rule} would have been raised {raised} times, for {len({one.subject for one in found})} subjects")


def _row(rule: Rule) -> dict[str, Any]:
    sign = ">" if rule.direction == "above" else "<"
    return {
        "name": rule.name, "quantity": rule.quantity, "level": rule.level,
        "raise": f"{sign}{'=' if rule.inclusive else ''} {rule.raise_at:g}", "clear": f"{rule.clear:g}",
        "unit": rule.unit, "windows": rule.windows, "statistic": rule.statistic, "severity": rule.severity,
        "channels": ",".join(rule.channels), "pack": rule.pack, "first": rule.first and rule.first.isoformat(),
        "last": rule.last and rule.last.isoformat(), "title": rule.title, "source": rule.source,
    }  # fmt: skip


def _outcome(rule: Rule, one: Transition) -> dict[str, Any]:
    return {
        "time": utc(one.about), "kind": one.kind, "subject": one.subject, "value": one.value,
        "threshold": one.threshold, "unit": rule.unit, "coverage": one.coverage, "windows": len(one.windows),
        "text": one.text(rule, rule.text),
    }  # fmt: skip
