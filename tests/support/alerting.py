"""Alerts as the judging core writes them: rows in one transaction; and the transitions of rules on windows."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pandas as pd
import psycopg

from streams.alerts.comparison import beyond, by_subject, compare, of_rule
from streams.alerts.episodes import Transition, fold
from streams.alerts.rulebook import Rule
from streams.notify.channels import ALL

NOON = datetime.fromisoformat("2024-06-03T12:00:00+00:00")  # a Monday
RULE = "no2-alert"


def rule(url: str, name: str = RULE, **more: Any) -> None:
    """Write a rule into the mirror."""
    said = {
        "rule": name, "pack": "test", "title": f"Rule {name}", "title_nl": f"Regel {name}", "quantity": "no2",
        "unit": "ug/m3", "level": "1h", "severity": "warning", "channels": [ALL], **more,
    }  # fmt: skip
    columns = ", ".join(said)
    with psycopg.connect(url) as connection:
        connection.execute(
            f"INSERT INTO alert_rule ({columns}) VALUES ({', '.join(f'%({key})s' for key in said)})".encode(), said
        )


def raised(
    url: str, subject: str = "luchtmeetnet/NL1", at: datetime = NOON, *, name: str = RULE, severity: str = "warning",
    channel: str = ALL, value: float = 412.0, late: bool = False,
) -> int:  # fmt: skip
    """Raise an alert and give its number."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "INSERT INTO alert (rule, subject, quantity, level, severity, state, since, judged, sure, value, worst,"
            " threshold, coverage, late, raised_at, updated_at)"
            " VALUES (%s, %s, 'no2', '1h', %s, 'raised', %s, %s, %s, %s, %s, 400, 0.98, %s, %s, %s) RETURNING alert",
            (name, subject, severity, at - timedelta(hours=3), at, at, value, value, late, at, at),
        ).fetchone()
        assert row is not None
        _transition(connection, row[0], "raised", at, channel, value, late)
    return int(row[0])


def cleared(url: str, alert: int, at: datetime, channel: str = ALL) -> None:
    """Clear an alert."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "UPDATE alert SET state = 'cleared', cleared_at = %s, until = %s, updated_at = %s WHERE alert = %s",
            (at, at, at, alert),
        )
        _transition(connection, alert, "cleared", at, channel, 80.0, False)


def _transition(
    connection: psycopg.Connection[Any], alert: int, kind: str, at: datetime, channel: str, value: float, late: bool
) -> None:
    row = connection.execute(
        "INSERT INTO alert_transition (alert, kind, at, about, late, value, threshold, coverage, text, text_nl)"
        " VALUES (%s, %s, %s, %s, %s, %s, 400, 0.98, 'NO2 is high', 'NO2 is hoog') RETURNING transition",
        (alert, kind, at, at, late, value),
    ).fetchone()
    assert row is not None
    connection.execute("INSERT INTO outbox VALUES (%s, %s, %s, %s)", (row[0], channel, at, at))


def outbox(url: str) -> list[tuple[int, str, bool, str | None]]:
    """Give transition, channel, whether it was delivered, and why it was dropped."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT transition, channel, delivered_at IS NOT NULL, dropped FROM outbox ORDER BY 1, 2"
        ).fetchall()


UsualOf = Callable[[Rule, pd.DataFrame], pd.DataFrame]


def replay(
    rules: Iterable[Rule], windows: pd.DataFrame, usual_of: UsualOf | None = None, *, effective: bool = False
) -> list[Transition]:
    """Give the transitions of rules on these windows, in order of time; `effective` limits them to their dates."""
    found: list[Transition] = []
    for one in rules:
        rule = one if effective else msgspec.structs.replace(one, first=None, last=None)
        clean = of_rule(rule, windows).assign(stuck=0, dead=0, ambiguous=0)
        compared = compare(rule, clean, usual_of and usual_of(rule, clean))
        subjects = filter(rule.applies_to, beyond(compared))
        for subject, some in by_subject(compared, list(subjects)).items():
            found += [said for episode in fold(rule, subject, some) for said in episode.transitions]
    return sorted(found, key=lambda one: (one.about, one.rule, one.subject))
