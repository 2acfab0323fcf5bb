"""
Alert rules on the command line: `alerts rules` lists them, `alerts test` tries one on stored history.

`streams.alerts.rulebook` loads them, `streams.alerts.replay` judges; nothing is kept and nobody is told.
`hub.cli.alerts` has the commands of operators.
"""

from typing import Annotated, Any

import pandas as pd
import typer

from aggregates.ask.query import BadQuestion
from hub.cli.alerts import alerts_app
from hub.cli.common import Database, Directory, Form, flag, open_store, settings_of, stamp
from hub.cli.output import Format, errors, write
from hub.run.rules import judge_of
from ingest.vocabulary.readings import utc
from streams.alerts.episodes import Transition, message
from streams.alerts.replay import replay_stored
from streams.alerts.rulebook import Rule

Rules = Annotated[str | None, flag("rules", "directory of your own rules")]
_COLUMNS = ["name", "quantity", "level", "raise", "clear", "unit", "windows", "statistic", "severity", "channels",
            "pack", "first", "last", "title", "source"]  # fmt: skip
_BRIEF = 10  # of these columns in the table


@alerts_app.command("rules")
def alerts_rules(rules: Rules = None, form: Form = Format.TABLE, data_dir: Directory = None) -> None:
    """
    Print a line for each rule: name, quantity, level, thresholds.

    Example: stadspuls alerts rules --format json
    """
    book = judge_of(settings_of(data_dir=data_dir, rules=rules)).book
    frame = pd.DataFrame([_row(rule) for rule in book.rules], columns=_COLUMNS)
    write(frame[_COLUMNS[:_BRIEF]] if form is Format.TABLE else frame, form, None)


@alerts_app.command("test")
def alerts_test(
    rule: Annotated[str, typer.Argument(help="name of the rule, from `alerts rules`")],
    first: Annotated[str, flag("from", "first window's start, inclusive (ISO 8601; without a zone: UTC)")],
    last: Annotated[str, flag("to", "end of the range, exclusive")],
    rules: Rules = None,
    form: Form = Format.TABLE,
    database: Database = None,
    data_dir: Directory = None,
) -> None:
    """
    Say what a rule would have said of stored windows, also before the day it is in force.

    Example: stadspuls alerts test eu2024-no2-alert --from 2023-01-01 --to 2023-02-01
    """
    settings = settings_of(data_dir=data_dir, database=database, rules=rules)
    judge = judge_of(settings)
    chosen = {one.name: one for one in judge.book.rules}.get(rule)
    if chosen is None:
        raise BadQuestion(f"rule {rule!r}, expected one of `stadspuls alerts rules`")
    begin, end = stamp("from", first), stamp("to", last)
    if begin >= end:
        raise BadQuestion(f"--from {begin.isoformat()} is not before --to {end.isoformat()}")
    with open_store(settings) as store:
        found = replay_stored(store, judge, chosen, begin, end)
    columns = ["time", "kind", "subject", "value", "threshold", "unit", "coverage", "windows", "text"]
    write(pd.DataFrame([_said(chosen, one) for one in found], columns=columns), form, None)
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


def _said(rule: Rule, one: Transition) -> dict[str, Any]:
    what = {"value": one.value, "threshold": one.threshold, "coverage": one.coverage, "usual": one.usual}
    return {
        "time": utc(one.about), "kind": one.kind, "subject": one.subject, "value": one.value,
        "threshold": one.threshold, "unit": rule.unit, "coverage": one.coverage, "windows": len(one.windows),
        "text": message(rule, what, rule.text),
    }  # fmt: skip
