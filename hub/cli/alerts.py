"""
Alerts on the command line: `list`, `ack`, `silence` and `send-test`; `hub.cli.rules` has `rules` and `test`.

`streams.notify.operators` does what is asked; the notifier of the running hub tells others of it.
"""

import getpass
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import pandas as pd
import typer

from aggregates.ask.query import BadQuestion
from hub.cli.common import (
    IMPOSSIBLE,
    NO,
    Database,
    Directory,
    Form,
    app,
    flag,
    open_store,
    settings_of,
    stamp,
)
from hub.cli.output import Format, errors, write
from ingest.vocabulary.durations import duration
from streams.notify import operators

SHOWN = ("alert", "severity", "state", "since", "rule", "subject", "name", "value", "threshold", "unit", "coverage",
         "acknowledged_by")  # fmt: skip
alerts_app = typer.Typer(no_args_is_help=True, help="Alerts, and who is told of them.", rich_markup_mode=None)
app.add_typer(alerts_app, name="alerts")

Channels = Annotated[
    str | None, flag("alert-channels", "file that says who is told (default: channels.toml of the hub)")
]
By = Annotated[str | None, flag("by", "who does this (default: the name of the user)")]


@alerts_app.command("list")
def alerts_list(
    is_open: Annotated[bool, typer.Option("--open/--all", envvar="STADSPULS_OPEN", help="open ones, or all")] = True,
    rule: Annotated[str | None, flag("rule", "only of this rule")] = None,
    subject: Annotated[str | None, flag("subject", "only of this sensor or area")] = None,
    limit: Annotated[int, flag("limit", "how many at most, the newest first", min=1)] = 1_000,
    form: Form = Format.TABLE,
    database: Database = None,
    data_dir: Directory = None,
) -> None:
    """
    List alerts, the newest first.

    Example: stadspuls alerts list --all --format json
    """
    settings = settings_of(data_dir=data_dir, database=database)
    with open_store(settings) as store:
        found = operators.alerts(store, datetime.now(UTC), ZoneInfo(settings.timezone), everything=not is_open,
                                 rule=rule, subject=subject, limit=limit)  # fmt: skip
    if not found:
        errors.print("no alert is open" if is_open else "no alerts")
    frame = pd.DataFrame(found, columns=list(operators.COLUMNS))
    write(frame[list(SHOWN)] if form is Format.TABLE else frame, form, None)


@alerts_app.command("ack")
def alerts_ack(
    alert: Annotated[int, typer.Argument(help="number of the alert, from `alerts list`")],
    by: By = None,
    database: Database = None,
    data_dir: Directory = None,
) -> None:
    """
    Say that somebody sees to an open alert; it is told to those who heard of it, and does not escalate.

    Example: stadspuls alerts ack 17 --by Anna
    """
    with open_store(settings_of(data_dir=data_dir, database=database)) as store:
        seen = operators.acknowledge(store, alert, by or getpass.getuser(), datetime.now(UTC))
    if not seen:
        errors.print(f"alert {alert} is not open")
        raise typer.Exit(NO)
    errors.print(f"alert {alert} is acknowledged")


@alerts_app.command("silence")
def alerts_silence(
    rule: Annotated[str | None, flag("rule", "rules, a pattern with * and ?")] = None,
    subject: Annotated[str | None, flag("subject", "sensors or area codes, a pattern with * and ?")] = None,
    length: Annotated[str | None, flag("for", "how long, as 90min, 2h or 3d")] = None,
    first: Annotated[str | None, flag("from", "begin (ISO 8601; without a zone: UTC; default: now)")] = None,
    last: Annotated[str | None, flag("to", "end, exclusive")] = None,
    weekly: Annotated[list[str] | None, flag("weekly", "every week, as 'mon-fri 22:00-07:00'; may be repeated")] = None,
    reason: Annotated[str | None, flag("reason", "why, for those who wonder")] = None,
    by: By = None,
    listed: Annotated[bool, flag("list", "list the silences that are or will be")] = False,
    end: Annotated[int | None, flag("end", "end the silence of this number")] = None,
    form: Form = Format.TABLE,
    database: Database = None,
    data_dir: Directory = None,
) -> None:
    """
    Keep alerts quiet for a while or every week (local time); list the silences; end one.

    What still stands when a silence ends is told then.

    Example: stadspuls alerts silence --subject "ndw/*" --for 2h --reason "works on the ring road"
    """
    settings = settings_of(data_dir=data_dir, database=database)
    now, zone = datetime.now(UTC), ZoneInfo(settings.timezone)
    made = None if listed or end is not None else _asked(now, rule, subject, length, first, last, weekly or [], reason)
    with open_store(settings) as store:
        if end is not None and not operators.end_silence(store, end, now):
            errors.print(f"silence {end} does not exist or is over")
            raise typer.Exit(NO)
        if made is not None:
            number = operators.silence(store, by=by or getpass.getuser(), now=now, **made)
        found = operators.silences(store, now)
    shown = [one for one in found if made is None or one.silence == number]
    _show([operators.described(one, now, zone) for one in shown], form)


def _asked(
    now: datetime, rule: str | None, subject: str | None, length: str | None, first: str | None, last: str | None,
    weekly: Sequence[str], reason: str | None,
) -> dict[str, Any]:  # fmt: skip
    """Read what is asked for; raises BadQuestion where it says too little or what cannot be."""
    if rule is None and subject is None:
        raise BadQuestion("--rule or --subject, expected at least one ('*' is all)")
    if not reason:
        raise BadQuestion("--reason, expected why")
    if length is not None and last is not None:
        raise BadQuestion("--for and --to, expected one of them")
    begin = stamp("from", first) if first else now
    try:
        end = stamp("to", last) if last else (begin + duration(length) if length else None)
        operators.check_silence(begin, end, list(weekly))
    except ValueError as error:
        raise BadQuestion(str(error)) from None
    if end is None and not weekly:
        raise BadQuestion("--for, --to or --weekly, expected one of them: a silence without an end is forgotten")
    return {"rule": rule or "*", "subject": subject or "*", "first": begin, "last": end, "windows": list(weekly),
            "reason": reason}  # fmt: skip


def _show(rows: list[dict[str, Any]], form: Format) -> None:
    columns = ["silence", "rule", "subject", "first", "last", "weekly", "silent_now", "made_by", "reason"]
    write(pd.DataFrame(rows, columns=columns), form, None)


@alerts_app.command("send-test")
def alerts_send_test(
    channel: Annotated[str, typer.Argument(help="name of the channel, from the file of channels")],
    alert_channels: Channels = None,
    data_dir: Directory = None,
) -> None:
    """
    Send a test message through a channel, past the outbox; exit 3 when the channel does not take it.

    Example: stadspuls alerts send-test mail
    """
    from hub.run.notifying import send_test
    from streams.notify.apprise_door import Unsent

    settings = settings_of(data_dir=data_dir, alert_channels=alert_channels)
    try:
        shown = send_test(settings, channel, datetime.now(UTC))
    except Unsent as error:
        errors.print(f"error: channel {channel} did not take it: {error}", markup=False)
        raise typer.Exit(IMPOSSIBLE) from error
    errors.print(f"channel {channel} took a test message: {shown}", markup=False)
