"""Rules as data: what is shipped can work, and what cannot is refused with file, rule, key and reason."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ingest.vocabulary.air_index import index_of
from ingest.vocabulary.calendar import Days, load_days
from ingest.vocabulary.values import BadFile
from streams.alerts.comparison import COLUMNS, usual
from streams.alerts.rulebook import Baseline, Rule, load_rules
from tests.support.alerting import replay
from tests.support.databases import ZONE

HOUR_US = 3_600_000_000
GOOD = {"name": '"x"', "title": '"X"', "quantity": '"no2"', "level": '"1h"', "raise": "100"}


def book(folder: Path, **keys: str) -> dict[str, Rule]:
    """Load one rule with some keys given in TOML."""
    lines = [
        f"{key} = {value}" for key, value in {**GOOD, **{key.rstrip("_"): value for key, value in keys.items()}}.items()
    ]
    (folder / "own.toml").write_text("[[rule]]\n" + "\n".join(lines))
    return load_rules((folder,), shipped=Path("/nowhere"))


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"quantity": '"nox2"'}, "quantity: 'nox2', expected one of vehicle_count"),
        ({"level": '"2h"'}, "level: invalid enum value '2h'"),
        ({"raise_": '"much"'}, "raise: expected `float`, got `str`"),
        ({"clear": "120"}, "clear: 120 lies beyond raise 100, direction above"),
        ({"direction": '"below"', "clear": "90"}, "clear: 90 lies beyond raise 100, direction below"),
        ({"windows": "0"}, "windows: expected `int` >= 1"),
        ({"coverage": "75"}, "coverage: expected `float` <= 1"),
        ({"precision": "0"}, "precision: without a precision_source"),
        ({"first": "2026-01-01", "last": "2025-01-01"}, "last: 2025-01-01 is not after first 2026-01-01"),
        ({"text": '"{valeu} is much"'}, "text: 'valeu': it cannot be filled in"),
        ({"text": '"{value:.1f} ug/m3"'}, "text: .* numbers without a format"),
        ({"text_nl": '"{unit[3]}"'}, "text_nl: .* cannot be filled in"),
        ({"text": '"{value.real}"'}, "text: .* cannot be filled in"),
        ({"precision": "400", "precision_source": "'x'"}, "precision: "),
        ({"patience": '"99999w"'}, "patience: '99999w', expected at most"),
        ({"patience": '"soon"'}, "patience: expected a time as 30min, 2h or 90s, found 'soon'"),
        ({"level": '"clock"'}, "level: 'clock' with statistic 'value'"),
        ({"quantity": '"lki"', "level": '"1d"'}, "level: '1d', expected '1h': lki is an hourly index"),
        ({"level": '"1d"', "statistic": '"stuck"'}, "level: '1d', expected '1h': 'stuck' is of hours"),
        ({"level": '"5m"', "baseline": "{}"}, "baseline: expected level '1h'"),
        ({"areas": '["Groningen"]'}, "areas: 'Groningen', expected a code as GM0014"),
        ({"channels": "[]"}, "channels: expected `array` of length >= 1"),
        ({"classes": '["official"]'}, "invalid enum value 'official'"),
        ({"statistic": '"median"'}, "statistic: 'median', expected value, coverage"),
        ({"rise": "1"}, "object contains unknown field `rise`"),
        ({"share_of": '"("', "quantity": '"vehicle_count"'}, "share_of: '\\('"),
    ],
)
def test_a_rule_that_cannot_work_is_refused(tmp_path: Path, keys: dict[str, str], reason: str) -> None:
    """The message begins with the file and the rule, then names the key and the reason."""
    with pytest.raises(BadFile, match=reason) as refused:
        book(tmp_path, **keys)
    assert str(refused.value).startswith(f"{tmp_path / 'own.toml'}: rule 'x': ")


def test_two_rules_of_one_name_are_refused(tmp_path: Path) -> None:
    """A second rule does not silently take the place of the first; a file of the same name does, on purpose."""
    (tmp_path / "mine.toml").write_text(
        '[[rule]]\nname = "lki-bad"\ntitle = "x"\nquantity = "lki"\nlevel = "1h"\nraise = 7'
    )
    with pytest.raises(BadFile, match="a second rule, the other is in air-indices"):
        load_rules((tmp_path,))
    (tmp_path / "mine.toml").rename(tmp_path / "air-indices.toml")
    assert load_rules((tmp_path,))["lki-bad"].raise_at == 7


def test_shipped_rules_are_whole() -> None:
    """Every shipped rule has source, owner, runbook and both languages; legal ones say that RIVM warns."""
    for rule in load_rules().values():
        assert rule.source, rule.name
        assert rule.owner, rule.name
        assert rule.runbook, rule.name
        assert rule.title_nl, rule.name
        assert bool(rule.text) == bool(rule.text_nl), rule.name
        if rule.pack.startswith("eu-"):
            assert rule.classes == ("reference",)
            assert "RIVM" in rule.text


def hourly(values: list[float], quantity: str = "no2", subject: str = "luchtmeetnet/a") -> pd.DataFrame:
    """Valid hours with these values, from 1970 on."""
    return pd.DataFrame(
        [(quantity, "1h", subject, at * HOUR_US, (at + 1) * HOUR_US, value, 1.0, True, 1, 1, 0, 0, 0)
         for at, value in enumerate(values)], columns=COLUMNS,
    )  # fmt: skip


def test_three_consecutive_hours() -> None:
    """The alert threshold of NO2 asks for three hours in a row; 400.4 is not beyond 400 in whole numbers."""
    rule = load_rules()["eu2008-no2-alert"]
    assert replay([rule], hourly([401, 401, 400.4, 401, 401])) == []
    found = replay([rule], hourly([401, 401, 400.5, 380, 360, 401]))
    assert [(one.kind, one.about // HOUR_US) for one in found] == [("raised", 3), ("cleared", 5)]
    assert [window.value for window in found[0].windows] == [401, 401, 400.5]


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        ({"raise_": "100"}, [110, 219, 220, 439]),
        ({"raise_": "20", "direction": '"below"'}, [18, 9.1, 9, 4.6]),
        ({"raise_": "20", "direction": '"below"'}, [18, 18, 0, 0]),
        ({"raise_": "-5", "direction": '"below"'}, [-6, -11.9, -12, -23.9]),
    ],
)
def test_twice_as_bad_is_an_update(tmp_path: Path, keys: dict[str, str], values: list[float]) -> None:
    """A value worse by the factor than the last reported one is an update, on either side of zero; no other is."""
    found = replay(book(tmp_path, worse="2", quantity='"temperature"', **keys).values(), hourly(values, "temperature"))
    assert [(one.kind, one.about // HOUR_US) for one in found] == [("raised", 1), ("updated", 3)]


def test_a_citizen_sensor_never_raises_a_legal_alert() -> None:
    """A low-cost sensor in fog does not raise a legal alert."""
    assert replay([load_rules()["eu2024-no2-information"]], hourly([500], subject="samenmeten/a")) == []


@pytest.mark.parametrize("level", ["1h", "1d"])
def test_a_rule_judges_between_its_dates(level: str) -> None:
    """From its first day of UTC+1 on and until its last, hours and days comparable_hours; but tried on any day."""
    change = round(datetime(2026, 12, 11, 23, tzinfo=UTC).timestamp()) * 1_000_000  # 12 December in UTC+1
    length, quantity = {"1h": (HOUR_US, "o3"), "1d": (24 * HOUR_US, "pm10")}[level]
    before, after = (
        hourly([500], quantity).assign(level=level, start=start, end=start + length)
        for start in (change - length, change)
    )
    new = load_rules()[f"eu2024-{quantity}-information"]
    assert [replay([new], windows, effective=True) == [] for windows in (before, after)] == [True, False]
    assert [one.kind for one in replay([new], before)] == ["raised"]
    if level == "1h":
        old = load_rules()["eu2008-o3-information"]
        assert [replay([old], windows, effective=True) == [] for windows in (before, after)] == [False, True]


@pytest.mark.parametrize(
    ("name", "values", "index"),
    [
        ("lki", {"no2": 30.0, "pm10": 30.1}, 4),
        ("lki", {"no2": 30.0, "pm10": 29.0}, 4),  # both 3: one more
        ("lki", {"no2": 30.0}, 3),
        ("lki", {"no2": 151.0, "pm10": 151.0, "o3": 201.0, "pm25": 101.0}, 11),
        ("lki", {"no2": -2.0, "so2": 500.0}, 1),
        ("eaqi", {"no2": 10.0, "pm10": 15.0}, 1),
        ("eaqi", {"no2": 10.1, "so2": 276.0}, 6),
    ],
)
def test_indices(name: str, values: dict[str, float], index: int) -> None:
    """Bands include their upper end; the worst decides; the +1 rule needs two substances that agree."""
    assert index_of(name, {key: np.array([value]) for key, value in values.items()})[0] == index


def weeks(values: list[float], start: datetime) -> pd.DataFrame:
    """One hour a week, backwards from the week before `start`."""
    step = 7 * 24 * HOUR_US
    stamp = int(start.timestamp()) * 1_000_000
    starts = [stamp - step * (at + 1) for at in range(len(values))]
    return pd.DataFrame({"subject": "a", "start": starts, "value": values, "valid": True})


def test_usual_is_the_median_of_hours_of_one_kind() -> None:
    """One odd week moves nothing; a public holiday is not compared with working days; too few hours say nothing."""
    monday = datetime(2024, 3, 11, 7, tzinfo=UTC)
    days = Days(load_days(ZONE).zone, load_days(ZONE).public)
    asked = pd.DataFrame({"subject": ["a"], "start": [int(monday.timestamp()) * 1_000_000]})
    found = usual(asked, weeks([100, 104, 96, 9000, 98], monday), days, "no2", Baseline(floor=1, share=0))
    assert (found["median"][0], found["spread"][0]) == (100, pytest.approx(4 * 1.4826))
    assert np.isnan(usual(asked, weeks([100, 104, 96], monday), days, "no2", Baseline())["median"][0])
    easter = datetime(2024, 4, 1, 6, tzinfo=UTC)  # a Monday, and compared with Sundays
    asked = pd.DataFrame({"subject": ["a"], "start": [int(easter.timestamp()) * 1_000_000]})
    assert np.isnan(usual(asked, weeks([100, 104, 96, 99, 98], easter), days, "no2", Baseline())["median"][0])


def test_school_holidays_are_compared_with_their_like() -> None:
    """A Monday of the autumn holidays with those of earlier holidays, one of a school week with such Mondays."""
    days = load_days(ZONE)

    def mondays(day: datetime) -> list[str]:
        stamps = days.comparable_hours(int(day.timestamp()) * 1_000_000)
        return [f"{datetime.fromtimestamp(stamp / 1e6, days.zone):%m-%d %H}" for stamp in stamps]

    summer = ["08-26 08", "08-19 08", "08-12 08", "08-05 08", "07-29 08", "07-22 08"]
    assert mondays(datetime(2024, 10, 28, 7, tzinfo=UTC)) == summer
    school = ["10-21 08", "10-14 08", "10-07 08", "09-30 08", "09-23 08", "09-16 08"]
    assert mondays(datetime(2024, 11, 4, 7, tzinfo=UTC)) == school


def test_an_event_is_not_unusual(tmp_path: Path) -> None:
    """During a planned event nothing is judged, of the sensors that feel it."""
    (tmp_path / "own.toml").write_text(
        'event = [{ name = "race", first = 2024-03-11T06:00:00, last = 2024-03-11T12:00:00, sensors = ["a*"] }]'
    )
    days = load_days(ZONE, (tmp_path / "own.toml",))
    starts = np.array([int(datetime(2024, 3, 11, hour, tzinfo=UTC).timestamp()) * 1_000_000 for hour in (7, 7, 12)])
    assert days.in_event(np.array(["a1", "b1", "a1"], np.object_), starts).tolist() == [True, False, False]


def test_a_calendar_that_cannot_work_is_refused(tmp_path: Path) -> None:
    """File and reason are named."""
    (tmp_path / "own.toml").write_text('school = [{ name = "x", first = 2024-05-02, last = 2024-05-01 }]')
    with pytest.raises(BadFile, match=r"own\.toml: 'x': its last is before its first"):
        load_days(ZONE, (tmp_path / "own.toml",))
