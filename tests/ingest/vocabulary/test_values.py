"""One way to write a length of time, wherever a user writes one."""

from datetime import timedelta

import pytest

from ingest.vocabulary.values import duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("30min", 1800), (" 1.5 h ", 5400), ("7d", 604_800), ("2w", 1_209_600)],
)
def test_number_with_its_unit_is_read(text: str, seconds: float) -> None:
    """Every unit of the settings, the channels and the rule packs."""
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "soon", "30", "h", "-1h", "1 year", "1h30min", "0s", "1" * 20 + "w"])
def test_other_text_is_refused(text: str) -> None:
    """The error names what was expected and what was found."""
    with pytest.raises(ValueError, match=f"expected a time .*found '{text}'"):
        duration(text)


def test_zero_is_a_time_where_it_has_a_meaning() -> None:
    """`0s` of a rule means no limit."""
    assert duration("0s", may_be_zero=True) == timedelta(0)
