"""
What operators do: `alerts list`, `ack`, `silence`, `send-test`, `rules` and `test`, and what keeps figures right,
`dead-letters`, `reconcile` and `maintain`.

`streams.notify.operators` does what they ask about alerts, and the notifier of the running hub sends the messages;
`streams.alerts.judge` tries a rule on stored history, and stores nothing.
"""

import getpass
from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import pandas as pd
import typer

from aggregates.ask.dates import BadQuestion
from aggregates.store.store import Store, unnested
from hub.cli.common import NO, WORDS, broker_of, command, end, open_store, range_of, stamp
from hub.cli.lists import command_of, rows_of
from hub.cli.output import Format, errors, print_table, write
from hub.run.upkeep import judge_of
from hub.settings.settings import Settings
from ingest.mqtt.sender import Sender
from ingest.vocabulary.readings import utc
from ingest.vocabulary.values import duration, raised_as
from streams.notify import operators
from streams.rollup.reconcile import reconcile as reconcile_store
from streams.rollup.retention import maintain as maintain_store
from streams.rollup.retention import thaw as thaw_store

BRIEF = 10  # of the columns of a rule in the table
BEYOND = {"above": ">", "below": "<"}
AT_ONCE = 50  # dead letters that are in memory, of up to 1 MiB each
LARGEST_REPLAY = 1_000_000  # bytes; with its topic a larger payload is more than a broker takes


@command("alerts list", "database")
def alerts_list(
    settings: Settings,
    is_open: Annotated[bool, typer.Option("--open/--all", envvar="STADSPULS_OPEN", help="open ones, or all")] = True,
    rule: str | None = None, subject: str | None = None, limit: int = 1_000, form: Format = "table",
) -> None:  # fmt: skip
    """List alerts, the newest first."""
    found = rows_of(settings, "/alerts", {"rule": rule, "subject": subject, "open": is_open or None}, limit)
    if not found.num_rows:
        errors.print("no alert is open" if is_open else "no alerts")
    shown = WORDS["alerts_list"]["columns"].split()
    write(found.select(shown) if form == "table" else found, form, None, settings.timezone)


@command("alerts ack")
def alerts_ack(_: Settings, store: Store, alert: int, /, by: str | None = None) -> None:
    """Acknowledge an open alert: it does not escalate, and who got its message gets this one too."""
    if not operators.acknowledge(store, alert, by or getpass.getuser(), datetime.now(UTC)):
        end(NO, f"alert {alert} is not open")
    errors.print(f"alert {alert} is acknowledged")


@command("alerts silence")
def alerts_silence(
    settings: Settings, store: Store, rule: str | None = None, subject: str | None = None, length: str | None = None,
    first: str | None = None, last: str | None = None, weekly: list[str] | None = None, reason: str | None = None,
    by: str | None = None, listed: bool = False, ended: int | None = None, form: Format = "table",
) -> None:  # fmt: skip
    """
    Keep alerts quiet for a while or every week (local time); list the silences; end one.

    When a silence ends, messages of the alerts that are still open are sent.
    """
    now, zone = datetime.now(UTC), ZoneInfo(settings.timezone)
    made = None
    if ended is not None and not operators.end_silence(store, ended, now):
        end(NO, f"silence {ended} does not exist or is over")
    if ended is None and not listed:
        if rule is None and subject is None:
            raise BadQuestion("--rule or --subject, expected at least one ('*' is all)")
        if not reason:
            raise BadQuestion("--reason, expected why")
        if length is not None and last is not None:
            raise BadQuestion("--for and --to, expected one of them")
        with raised_as(BadQuestion, ValueError, OverflowError):
            begin = stamp("from", first, zone.key) if first else now
            until = stamp("to", last, zone.key) if last else (begin + duration(length) if length else None)
            made = operators.silence(
                store, rule=rule or "*", subject=subject or "*", first=begin, last=until, windows=weekly or [],
                by=by or getpass.getuser(), reason=reason, now=now,
            )  # fmt: skip
    found = [one for one in operators.silences(store, now) if made in (None, one.silence)]
    columns = ["silence", "rule", "subject", "first", "last", "weekly", "silent_now", "made_by", "reason"]
    rows = [
        {**one._asdict(), "weekly": "; ".join(one.weekly), "silent_now": one.until(now, zone) is not None}
        for one in found
    ]
    write(pd.DataFrame(rows, columns=columns), form, None, settings.timezone)


@command("alerts send-test", "alert_channels")
def alerts_send_test(settings: Settings, channel: str, /) -> None:
    """Send a test message through a channel, past the outbox; exit 3 when the channel does not take it."""
    from hub.run.notifying import send_test

    shown = send_test(settings, channel, datetime.now(UTC))
    errors.print(f"channel {channel} took a test message: {shown}")


@command("alerts rules", "rules")
def alerts_rules(settings: Settings, form: Format = "table") -> None:
    """Print a line for each rule: name, quantity, level, thresholds."""
    frame = pd.DataFrame({
        "name": rule.name, "quantity": rule.quantity, "level": rule.level,
        "raise": f"{BEYOND[rule.direction]}{'=' * rule.inclusive} {rule.raise_at:g}", "clear": f"{rule.clear:g}",
        "unit": rule.unit, "windows": rule.windows, "statistic": rule.statistic, "severity": rule.severity,
        "channels": ",".join(rule.channels), "pack": rule.pack, "first": rule.first and rule.first.isoformat(),
        "last": rule.last and rule.last.isoformat(), "title": rule.title, "source": rule.source,
    } for rule in judge_of(settings).rules.values())  # fmt: skip
    write(frame.iloc[:, :BRIEF] if form == "table" else frame, form, None, settings.timezone)


@command("alerts test", "rules", "database")
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
    rows = [
        (utc(one.about), one.kind, one.subject, one.value, one.threshold, chosen.unit, one.coverage, len(one.windows),
         one.text(chosen, chosen.text)) for one in found
    ]  # fmt: skip
    write(pd.DataFrame(rows, columns=columns), form, None, settings.timezone)
    raised = sum(one.kind == "raised" for one in found)
    errors.print(f"{rule} would have been raised {raised} times, for {len({one.subject for one in found})} subjects")


command_of("dead-letters list", "/dead-letters")


@command("dead-letters replay", "broker")
def letters_replay(
    settings: Settings, store: Store, source: str | None = None, reason: str | None = None, limit: int = 10_000
) -> None:
    """Publish dead letters again, after what was wrong is repaired; those that fail again are stored again."""
    at, key, done = None, None, 0
    with Sender(broker_of(settings)) as sender:
        for left in range(limit, 0, -AT_ONCE):
            asked = {"source": source, "reason": reason, "after_last_at": at, "after_key": key}
            with store.transaction() as tx:
                letters = tx.records("list_dead_letters", **asked, limit=min(left, AT_ONCE))
            fits = [letter for letter in letters if letter.size < LARGEST_REPLAY]
            whole = [letter for letter in fits if letter.payload is not None and len(letter.payload) == letter.size]
            for letter in whole:
                sender.publish(letter.topic, letter.payload)
            sender.flush()
            # One that came back meanwhile has another count, and is kept.
            store.rows("delete_dead_letters", **unnested(whole, ("key", "count")))
            done += len(whole)
            if len(letters) < AT_ONCE:
                break
            at, key = letters[-1].last_at, letters[-1].key
    errors.print(f"{done} dead letters published again")


@command("reconcile")
def reconcile(
    _: Settings, store: Store, first: str | None = None, last: str | None = None, repair: bool = False
) -> None:
    """Compare every window with a plain aggregation of its readings; exit 1 on a difference."""
    after = stamp("to", last, "UTC").date() if last else datetime.now(UTC).date() + timedelta(days=1)
    ((first_day,),) = store.rows("read_first_day")
    begin = stamp("from", first, "UTC").date() if first else first_day or after
    if first and begin >= after:
        raise BadQuestion(f"no day from --from {begin} to --to {after}, which is exclusive")
    found = list(reconcile_store(store, begin, after, repair=repair))
    shown = [(d.day, d.level, d.compared, len(d.windows)) for d in found if d.compared or d.windows]
    print_table(("day (UTC)", "level", "compared", "different"), shown)
    if any(difference.windows for difference in found):
        end(NO, "differences repaired, the next roll-up writes their hours" if repair else "windows differ")


@command("maintain", "retention", "versions_kept")
def maintain(
    settings: Settings, store: Store, thaw: bool = False, first: str | None = None, last: str | None = None
) -> None:
    """Drop and freeze days beyond the retention, or thaw frozen days."""
    if thaw and not (first and last):
        raise BadQuestion("--thaw needs --from and --to")
    if not thaw and (first or last):
        raise BadQuestion("--from and --to go with --thaw: what is frozen is decided by the retention")
    if thaw:
        days = thaw_store(store, *(day.date() for day in range_of(first, last, "UTC")))
    else:
        days = maintain_store(store, datetime.now(UTC), settings.retention, settings.versions_kept)
    errors.print(f"{len(days)} days {'thawed' if thaw else 'frozen'}")
