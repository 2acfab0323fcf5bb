"""The waits between two attempts grow, keep within their limits, and differ."""

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from ingest.vocabulary.backoff import pause, pauses


@given(st.integers(1, 10_000), st.floats(0.01, 10), st.floats(10, 600))
def test_pause_is_half_to_all_of_a_doubled_wait(failures: int, first: float, longest: float) -> None:
    """After any number of failures the wait is within its limits."""
    whole = min(longest, first * 2.0 ** min(failures - 1, 60))
    assert 0.5 * whole <= pause(failures, first, longest) <= whole <= longest


def test_pauses_begin_with_the_first_failure() -> None:
    """Each wait is one of a doubled length."""
    assert all(
        0.5 * whole <= wait <= whole
        for wait, whole in zip(islice(pauses(0.1, 1.0), 6), [0.1, 0.2, 0.4, 0.8, 1.0, 1.0], strict=True)
    )
