"""Derived flags of many series at once are those of each series by itself, as plain loops find them."""

from statistics import median

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingest.vocabulary.quantities import Quantity
from ingest.vocabulary.readings import Flag, Status
from streams.commit.quality import limits_of
from streams.rollup.derived import NEIGHBOUR, Ruled, reflagged

HOUR = 3_600_000_000
DAY = 24 * HOUR
DERIVED = Flag.SPIKE | Flag.STUCK | Flag.SUSPECT_SPIKE | Flag.SUSPECT_STUCK
LIMITS = [limits_of("o3"), limits_of("temperature"), limits_of("humidity", {"stuck": 7200}), limits_of("pressure")]
Row = tuple[int, int, float, int, int, bool]


def spikes(rows: list[Row], limits: Quantity) -> list[bool]:
    """Tell which values lie further from the median of two on either side than the limit, where these are near."""
    found = []
    for at, (_, start, value, *_) in enumerate(rows):
        around = [rows[at + step] for step in (-2, -1, 1, 2) if 0 <= at + step < len(rows)]
        near = len(around) == 4 and all(abs(one[1] - start) <= 6 * HOUR for one in around)
        far = near and limits.spike is not None and abs(value - median(one[2] for one in around)) > limits.spike
        found.append(bool(far))
    return found


def stucks(rows: list[Row], limits: Quantity) -> list[bool]:
    """Tell which values belong to a run of equal ones without a gap that lasts longer than the limit."""
    found = [False] * len(rows)
    for first in range(len(rows) if limits.stuck else 0):
        longest = (limits.stuck or 0) * 1_000_000
        for last in range(first, len(rows)):
            if last > first and (rows[last][2] != rows[first][2] or rows[last][1] - rows[last - 1][1] > longest // 4):
                break
            if rows[last][1] - rows[first][1] > longest and abs(rows[first][2]) > limits.flat:
                found[first : last + 1] = [True] * (last + 1 - first)
    return found


def expected(rows: list[Row], one: Ruled, frozen: list[int]) -> list[tuple[int, int, int]]:
    """Give series, start and derived flags of each judged reading of a series whose flags are wrong."""
    found = []
    reach = int(one.limits.memory * 1_000_000)
    for row, spike, stuck in zip(rows, spikes(rows, one.limits), stucks(rows, one.limits), strict=True):
        series, start, _, flags, status, judged = row
        warns = one.trusted or status == Status.VALIDATED
        cut_off = any((start - reach) // DAY <= day <= (start + reach) // DAY for day in frozen)
        right = flags & DERIVED if cut_off else 0
        right |= spike and (Flag.SUSPECT_SPIKE if warns else Flag.SPIKE)
        right |= stuck and (Flag.SUSPECT_STUCK if warns else Flag.STUCK)
        if judged and right != flags & DERIVED:
            found.append((series, start, int(right | flags & Flag.DEAD)))
    return found


@st.composite
def runs(draw: st.DrawFn, series: int) -> list[Row]:
    """Draw the readings of a series, in order: at most a week of them, few values, so that many are the same."""
    steps = draw(st.lists(st.sampled_from([1, 1, 1, 2, 3, 7, 30]), max_size=25))
    return [
        (
            series, int(at) * HOUR, draw(st.sampled_from([0.0, 3.0, 20.0, 20.0, 20.0, 300.0])),
            int(draw(st.sampled_from([0, 0, 0, Flag.SPIKE, Flag.STUCK, Flag.SUSPECT_STUCK, 64, Flag.DEAD]))),
            draw(st.sampled_from([0, 0, 1])), draw(st.sampled_from([True, True, False])),
        )
        for at in np.cumsum([400_000, *steps])
    ]  # fmt: skip


@given(st.data())
def test_many_series_at_once_get_the_flags_of_each_alone(data: st.DataObject) -> None:
    """Whatever rules the series have, in whatever order their readings come, with days that are frozen or none."""
    ruled = [
        Ruled(3 * at + 2, data.draw(st.sampled_from(LIMITS)), data.draw(st.booleans()))
        for at in range(data.draw(st.integers(1, 4)))
    ]
    rows = {one.series: data.draw(runs(one.series)) if data.draw(st.integers(0, 4)) else [] for one in ruled}
    frozen = sorted(data.draw(st.sets(st.integers(16_660, 16_675), max_size=1)))
    mixed = data.draw(st.permutations([row for some in rows.values() for row in some]))
    found = reflagged(np.array(mixed, NEIGHBOUR), ruled, np.array(frozen, np.int64))
    plain = [row for one in ruled for row in expected(rows[one.series], one, frozen)]
    assert found.tolist() == plain


def test_a_run_that_ends_its_series_is_told_from_the_next_series() -> None:
    """The last value of a sensor is stuck, and the first of the next is the same value at the same time."""
    ruled = [Ruled(series, limits_of("o3"), False) for series in (1, 2)]
    rows = [(1, at * HOUR, 20.0, 0, 0, True) for at in range(8)] + [(2, 7 * HOUR, 20.0, 0, 0, True)]
    found = reflagged(np.array(rows, NEIGHBOUR), ruled, np.zeros(0, np.int64))
    assert found.tolist() == [(1, at * HOUR, int(Flag.STUCK)) for at in range(8)]
