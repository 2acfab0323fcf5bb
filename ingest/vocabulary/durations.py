"""
Lengths of time as people write them: `90s`, `30min`, `2h`, `7d`.

The settings, the channels of notifications, the rule packs and the command line all read them here.
"""

import re
from datetime import timedelta

_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_FORM = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)\s*")


def duration(text: str, *, may_be_zero: bool = False) -> timedelta:
    """
    Read a number with its unit: s, m or min (minutes), h, d or w.

    Raises ValueError for anything else, and for no time at all unless that has a meaning.

    >>> duration("30min"), duration("1.5h")
    (datetime.timedelta(seconds=1800), datetime.timedelta(seconds=5400))
    """
    found = _FORM.fullmatch(text)
    if found and found[2] in _SECONDS and (may_be_zero or float(found[1])):
        try:
            return timedelta(seconds=float(found[1]) * _SECONDS[found[2]])
        except OverflowError:
            raise ValueError(f"expected a time of at most {timedelta.max.days} days, found {text!r}") from None
    raise ValueError(f"expected a time as 30min, 2h or 90s, found {text!r}")
