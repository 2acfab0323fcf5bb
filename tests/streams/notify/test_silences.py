"""Silences: weekly windows in local time, over midnight and over the change of the clocks."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregates.ask.dates import BadQuestion
from streams.notify.operators import DAYS, Silence, longest_silence, weekly

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
EVER = datetime(2020, 1, 1, tzinfo=UTC)


def made(*windows: str, first: datetime = EVER, last: datetime | None = None, subject: str = "*") -> Silence:
    """Make a silence."""
    return Silence(1, "*", subject, first, last, windows)


def at(text: str) -> datetime:
    """A local stamp."""
    return datetime.fromisoformat(text).replace(tzinfo=AMSTERDAM)


@pytest.mark.parametrize(
    ("window", "moment", "until"),
    [
        ("mon-fri 22:00-07:00", "2024-06-03T21:59", None),  # a Monday
        ("mon-fri 22:00-07:00", "2024-06-03T22:00", "2024-06-04T07:00"),
        ("mon-fri 22:00-07:00", "2024-06-08T06:59", "2024-06-08T07:00"),  # the night of Friday
        ("mon-fri 22:00-07:00", "2024-06-08T23:00", None),
        ("sat,sun 00:00-24:00", "2024-06-08T12:00", "2024-06-09T00:00"),
        ("sat,sun 00:00-24:00", "2024-06-10T00:00", None),
        ("fri-mon 01:00-02:00", "2024-06-09T01:30", "2024-06-09T02:00"),
        ("daily 22:00-07:00", "2024-03-31T04:00", "2024-03-31T07:00"),  # clocks went forward in this night
        ("daily 22:00-07:00", "2024-10-27T04:00", "2024-10-27T07:00"),  # and back in this one
    ],
)
def test_weekly_windows(window: str, moment: str, until: str | None) -> None:
    """A window holds from its begin to its end by the clock on the wall."""
    found = made(window).until(at(moment).astimezone(UTC), AMSTERDAM)
    assert found == (None if until is None else at(until))


def test_span_bounds_the_windows() -> None:
    """Before its first and after its last moment a silence holds nothing, and no longer than to its last."""
    one = made("daily 00:00-24:00", first=at("2024-06-03T12:00"), last=at("2024-06-03T13:00"))
    assert one.until(at("2024-06-03T11:59"), AMSTERDAM) is None
    assert one.until(at("2024-06-03T12:30"), AMSTERDAM) == at("2024-06-03T13:00")
    assert one.until(at("2024-06-03T13:00"), AMSTERDAM) is None


def test_longest_holds() -> None:
    """Of several silences the one that holds longest counts; patterns say what they are about."""
    short, long = made(last=at("2024-06-03T13:00")), made(last=at("2024-06-03T14:00"), subject="ndw/*")
    found = longest_silence([short, long], "r", ["ndw/1"], at("2024-06-03T12:00"), AMSTERDAM)
    assert found == (long, at("2024-06-03T14:00"))
    assert longest_silence([long], "r", ["telraam/1"], at("2024-06-03T12:00"), AMSTERDAM) is None


@pytest.mark.parametrize("text", ["", "mon 7-8", "moon 07:00-08:00", "mon- 07:00-08:00x", "mon-fry 01:00-02:00",
                                  "mon 25:00-26:00", "mon 07:60-08:00", "mon 07:00-24:01"])  # fmt: skip
def test_refused(text: str) -> None:
    """What is no window is refused."""
    with pytest.raises(BadQuestion, match="expected"):
        weekly(text)


@given(
    st.sampled_from(DAYS),
    st.integers(0, 23),
    st.integers(0, 23),
    st.integers(0, 366 * 86_400),
)
def test_end_lies_ahead_and_holds_no_more(day: str, begin: int, end: int, second: int) -> None:
    """Whatever the window and the moment: an end lies ahead, within a day and an hour, and the window is over then."""
    text = f"{day} {begin:02}:00-{end:02}:00"
    moment = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
    until = Silence(1, "*", "*", EVER, None, (text,)).until(moment, AMSTERDAM)
    if until is not None:
        assert moment < until.astimezone(UTC) <= moment + timedelta(hours=25)
        assert weekly(text).end_of(until) is None or begin == end
