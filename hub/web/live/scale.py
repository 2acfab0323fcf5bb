"""
The steps of a legend: round numbers that stay the same while the figures move a little.
"""

import math

CLASSES = 6
_FINEST = 0.001  # what figures are rounded to


def edges(low: float, high: float, classes: int = CLASSES) -> list[float]:
    """
    Give the lower edges of all classes but the first, at equal round steps (1, 2, 2.5 or 5 times a power of ten).

    They cover `low` to `high`; what is higher is in the last class.

    >>> edges(5, 22)
    [5.0, 10.0, 15.0, 20.0, 25.0]
    >>> edges(0, 0)
    [1.0, 2.0, 3.0, 4.0, 5.0]
    >>> edges(-3.2, 4.1)
    [-2.0, 0.0, 2.0, 4.0, 6.0]
    """
    begin = 0.0 if 0 <= low < (high - low) / 2 else low
    step = max(_round_up((high - begin) / (classes - 1)), _FINEST) if high > begin else 1.0
    first = math.floor(begin / step) * step
    return [round(first + step * number, 9) for number in range(1, classes)]


def _round_up(step: float) -> float:
    power: float = 10.0 ** math.floor(math.log10(step))
    return next(nice * power for nice in (1, 2, 2.5, 5, 10) if nice * power >= step * 0.999)
