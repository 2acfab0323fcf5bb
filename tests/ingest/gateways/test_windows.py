"""Which stretches of time are asked for: every window at each of its ages, over any outage, and none for nothing."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ingest.gateways.definition import Looks, Span, Windows

HOUR = timedelta(hours=1)
BEGIN = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
MINUTES = st.integers(1, 4_000).map(lambda minutes: timedelta(minutes=minutes))


def made(**more: object) -> Windows:
    """Windows of an hour, looked at after one, five and ten hours."""
    looks = [HOUR, 5 * HOUR, 10 * HOUR]
    return Windows(**{"length": HOUR, "first": 6 * HOUR, "history": 200 * HOUR, "looks": looks, **more})  # type: ignore[arg-type]


def hours(spans: list[Span]) -> list[datetime]:
    """Give the start of every window in some spans."""
    return [span[0] + at * HOUR for span in spans for at in range((span[1] - span[0]) // HOUR)]


@given(st.lists(MINUTES, max_size=15), st.sampled_from([HOUR, 3 * HOUR, 50 * HOUR]), st.sampled_from([2, 5, 1_000]))
def test_every_window_is_looked_at_after_each_age(pauses: list[timedelta], longest: timedelta, most: int) -> None:
    """
    After any pauses, turns without a pause bring every window of the history up to date, each one once.

    A stretch is never longer than it may be, no turn asks for more windows than it may, and one that comes soon after
    asks for nothing.
    """
    windows = made(longest=longest, most=most)
    known: Looks = {}
    now, since = BEGIN, BEGIN - windows.first
    for pause in [*pauses, timedelta()]:
        now += pause
        asked: list[datetime] = []
        while spans := windows.due(known, since, now):
            assert spans == sorted(spans)
            assert all(HOUR <= end - begin <= longest for begin, end in spans)
            assert len(hours(spans)) <= most
            asked += hours(spans)
            for span in spans:
                windows.looked(known, span, now, some=True, whole=True)
        assert len(asked) == len(set(asked))
        known = windows.remembered(known, now)
    oldest = max(since, now - windows.history)
    starts = [BEGIN.replace(minute=0) + at * HOUR for at in range(-6, 1_200)]
    for start in (start for start in starts if oldest <= start <= now - HOUR):
        last = known[int(start.timestamp())].age
        assert not any(last < look.total_seconds() <= (now - start).total_seconds() for look in windows.looks)


def test_young_windows_are_asked_for_in_every_turn() -> None:
    """Those side by side are one question; an older one in between is not asked for again."""
    windows = made(looks=[timedelta(), 12 * HOUR], fresh=3 * HOUR, longest=24 * HOUR)
    known: Looks = {}
    since = BEGIN - windows.first
    (first,) = windows.due(known, since, BEGIN)
    assert first == (BEGIN.replace(hour=4, minute=0), BEGIN.replace(hour=10, minute=0))
    windows.looked(known, first, BEGIN, some=True, whole=True)
    assert windows.due(known, since, BEGIN + timedelta(minutes=10)) == [(first[1] - 3 * HOUR, first[1])]


def test_look_that_found_nothing_is_done_again_behind_the_others() -> None:
    """Windows without records keep no other waiting, and are asked for until there are some."""
    windows = made(most=1, empty_again=True)
    known: Looks = {}
    since = BEGIN - 3 * HOUR
    order = []
    for at in range(5):
        now = BEGIN + timedelta(minutes=at)
        (span,) = windows.due(known, since, now)
        order.append(span[0].hour)
        windows.looked(known, span, now, some=span[0].hour == 7, whole=True)
    assert order == [8, 7, 8, 8, 8]


def test_records_that_could_not_be_used_are_asked_for_again() -> None:
    """They are while the window is younger than the last look, and no longer."""
    windows = made(longest=3 * HOUR)
    known: Looks = {}
    (span,) = windows.due(known, BEGIN - 3 * HOUR, BEGIN)
    windows.looked(known, span, BEGIN, some=True, whole=False)
    assert windows.due(known, BEGIN - 3 * HOUR, BEGIN) == [span]
    later = BEGIN + 20 * HOUR
    windows.looked(known, span, later, some=True, whole=False)
    assert span[0] not in hours(windows.due(known, BEGIN - 3 * HOUR, later))
