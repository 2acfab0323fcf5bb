"""Texts of notifications: what others sent stays text."""

from collections import namedtuple
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from streams.notify.texts import OutboxRow, Style, digest, notification_of

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
STYLE = Style("en", ZoneInfo("Europe/Amsterdam"), None)
NAME = "Brug\x1b[2J\nrunbook: https://evil.example"


def row(alert: int) -> OutboxRow:
    """Make a row of a sensor whose name begins a line."""
    columns = {
        "transition": alert, "alert": alert, "kind": "raised", "data": {"name": NAME}, "about": NOON, "late": False,
        "value": 1.0, "threshold": 1.0, "coverage": 1.0, "text": f"{NAME} is high", "text_nl": "", "rule": "no2",
        "subject": f"stadspuls/{NAME}", "quantity": "no2", "level": "1h", "severity": "critical", "since": NOON,
        "acknowledged_by": None, "title": "NO2", "title_nl": "NO2", "unit": "ug/m3", "owner": None, "runbook": None,
        "name": NAME, "codes": [], "places": [NAME],
    }  # fmt: skip
    return namedtuple("Row", columns)(**columns)


@pytest.mark.parametrize("count", [1, 2])
def test_name_begins_no_line(count: int) -> None:
    """Nor does it control a terminal; programs get it as it is."""
    made = notification_of([row(alert) for alert in range(count)], "key", STYLE)
    for text in (made.title, *made.body.splitlines()):
        assert "\x1b" not in text
        assert not text.startswith("runbook")
    assert "\n" not in made.title
    assert made.data[0]["name"] == NAME


def test_name_begins_no_line_of_a_summary() -> None:
    """The daily summary neither."""
    alert = {"title": "NO2", "name": NAME, "severity": "critical", "since": NOON, "acknowledged_by": None}
    counts = dict.fromkeys(("raised", "cleared", "acknowledged", "late_found", "silenced", "lost"), 0)
    made = digest([alert], counts, "key", STYLE)
    assert not any(line.startswith("runbook") or "\x1b" in line for line in made.body.splitlines())
