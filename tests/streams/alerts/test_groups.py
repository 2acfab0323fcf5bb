"""Alert rules on groups: judged by the rules that name one, at hour and day, and by no others."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aggregates.areas.groups import Groups, import_groups
from aggregates.store.store import Store
from ingest.vocabulary.readings import Reading
from ingest.vocabulary.values import BadFile, read_toml
from streams.alerts.clock import AlertClock
from streams.rollup.rollup import roll_up
from tests.streams.alerts.test_judge import asked, deliver, with_rules
from tests.support.databases import ZONE

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
MIDNIGHT = datetime(2024, 3, 3, 23, tzinfo=UTC)  # in Amsterdam
GROUP = """
[ring]
title = "The ring road"
members = [{ sensor = "stadspuls/a" }, { sensor = "stadspuls/b" }]
"""
RULES = """
[defaults]
quantity = "vehicle_count"
level = "1h"
raise = 500

[[rule]]
name = "ring"
title = "Much traffic on the ring"
sensors = ["group/ring"]

[[rule]]
name = "ring-day"
title = "A busy day on the ring"
level = "1d"
sensors = ["group/*"]
raise = 9000

[[rule]]
name = "everywhere"
title = "Much traffic"
"""


def test_a_group_is_judged_by_the_rules_that_name_it(database: str, store: Store, tmp_path: Path) -> None:
    """Its hours and days, as soon as those of its members; a rule about all sensors is not about groups."""
    file, rules = tmp_path / "groups.toml", tmp_path / "rules"
    file.write_text(GROUP)
    import_groups(store, read_toml(file, Groups))
    rules.mkdir()
    judge = with_rules(rules, RULES)
    clock = AlertClock(judge, ZONE)
    for hour in range(24):
        start, now = MIDNIGHT + hour * HOUR, MIDNIGHT + (hour + 1) * HOUR + 2 * MINUTE
        value = 300.0 if hour in (5, 6) else 200.0
        readings = [
            Reading(f"stadspuls/{name}", "", "vehicle_count", 3600, start, value, 1.0, covers=3600) for name in "ab"
        ]
        deliver(store, judge, readings, now)
        roll_up(store, now, judge=judge)
        clock.run(store, now)
    assert asked(database, "SELECT rule, subject, state, since, until FROM alert ORDER BY alert") == [
        ("ring", "group/ring", "cleared", MIDNIGHT + 5 * HOUR, MIDNIGHT + 8 * HOUR),
        ("ring-day", "group/ring", "raised", MIDNIGHT, None),
    ]


@pytest.mark.parametrize("level", ["5m", "clock"])
def test_a_group_has_no_figures_below_the_hour(tmp_path: Path, level: str) -> None:
    """A rule that could never raise is refused."""
    statistic = "silence" if level == "clock" else "value"
    rule = f'[[rule]]\nname = "x"\ntitle = "x"\nquantity = "no2"\nlevel = "{level}"\nstatistic = "{statistic}"'
    with pytest.raises(BadFile, match=f"rule 'x': sensors: a group with level '{level}', expected '1h' or '1d'"):
        with_rules(tmp_path, f'{rule}\nraise = 1\nsensors = ["group/ring"]')
