"""What every bench gives: a figure, the baseline it was measured beside in the same run, and how it was done."""

import msgspec


class Result(msgspec.Struct, frozen=True):
    """One line of `stadspuls bench`; the names are part of the contract."""

    name: str
    value: float
    unit: str
    baseline: float
    baseline_name: str
    ratio: float
    details: dict[str, object]
