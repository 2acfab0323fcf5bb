"""The fold of readings into windows: against a plain loop, against its SQL twin, and in any pieces."""

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from aggregates.store.binary import packed
from aggregates.store.statements import statement_text
from ingest.vocabulary.readings import Flag, Reading, microseconds
from streams.commit.windows import (
    READING,
    RECEIVED,
    WINDOW,
    WINDOW_US,
    LatestWindows,
    distinct,
    fold,
    ordered,
    without_zeros,
)
from tests.support import model
from tests.support.databases import fresh_database
from tests.support.examples import up_to

Rows = NDArray[Any]
START = datetime(2024, 3, 31, 0, 58, tzinfo=UTC)
ADDED = ("readings", "nothing", "flagged", "failed", "warned", "total", "weight", "weighted", "squares", "harmonic")
EVIDENCE = [name for name in WINDOW.names or () if name not in ("series", "start")]


@st.composite
def said(draw: st.DrawFn) -> Reading:
    """A reading of one of three sensors: every flag, every state, known and unknown covers."""
    value = draw(
        st.none() | st.sampled_from([0.0, 0.5, 7.25, -3.0]) | st.floats(-50, 1000).map(lambda number: round(number, 9))
    )
    return Reading(
        draw(st.sampled_from(["stadspuls/1", "stadspuls/2", "stadspuls/3"])), "", "pm10", 60,
        START + timedelta(seconds=draw(st.integers(0, 900))),
        value,
        weight=0.0 if value is None else draw(st.sampled_from([0.0, 1.0, 2.5])),
        covers=draw(st.sampled_from([60.0, 30.0, None])),
        flags=draw(st.just(0) | st.integers(0, 511)),
        status=draw(st.integers(0, 1)),
        version=draw(st.integers(0, 1)),
    )  # fmt: skip


def rows(readings: Sequence[Reading]) -> Rows:
    """Write readings as rows; the number in a sensor's id is its series."""
    nan = float("nan")
    return np.array(
        [
            (int(one.sensor_id[-1]), microseconds(one.start), nan if one.value is None else one.value, one.weight,
             nan if one.covers is None else one.covers, one.version, 0, one.flags, one.status, 0, math.inf, 1.0)
            for one in readings
        ],
        RECEIVED,
    )  # fmt: skip


def plain(row: Any) -> dict[str, Any]:
    """Give a row as a dict, null for NaN."""
    return {name: None if (cell := row[name].item()) != cell else cell for name in row.dtype.names}


def readings_of(array: Rows) -> list[Reading]:
    """Read rows back, for the model."""
    kept = [plain(row) for row in array]
    names = ("value", "weight", "covers", "flags", "status", "version")
    return [
        Reading(f"stadspuls/{row['series']}", "", "pm10", 60, START, **{name: row[name] for name in names})
        for row in kept
    ]


def assert_same(found: Rows, expected: Rows) -> None:
    """Two arrays of windows are the same, sums up to rounding."""
    assert len(found) == len(expected)
    for name in WINDOW.names or ():
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-9, err_msg=name)


class TestOrderedAndDistinct:
    """Which of several readings with one key is kept."""

    @given(st.lists(said(), max_size=30), st.randoms(use_true_random=False))
    def test_greatest_is_kept_in_any_order(self, readings: list[Reading], chance: Any) -> None:
        """However the readings are shuffled, each series and start keeps what the plain recomputation keeps."""
        calm = [one._replace(flags=one.flags & ~(64 | 2)) for one in readings]
        calm = [one._replace(covers=60.0 if one.covers is None else one.covers) for one in calm]
        expected = {(key[0][0], key[1]): one for key, one in model.kept(calm).items()}
        chance.shuffle(calm)
        kept = distinct(ordered(rows(calm)))
        found = {(f"stadspuls/{row['series']}", int(row["start"])): plain(row) for row in kept}
        assert found.keys() == {(sensor, microseconds(start)) for sensor, start in expected}
        for (sensor, start), one in expected.items():
            row = found[sensor, microseconds(start)]
            assert [row[name] for name in ("value", "weight", "status", "version", "flags", "covers")] == [
                one.value, one.weight, one.status, one.version, one.flags, one.covers,
            ]  # fmt: skip

    @given(st.lists(said(), max_size=30))
    def test_result_is_sorted_and_has_each_key_once(self, readings: list[Reading]) -> None:
        """Series and start rise strictly, as the locks of the write path need them."""
        kept = distinct(ordered(rows(readings)))
        keys = list(zip(kept["series"].tolist(), kept["start"].tolist(), strict=True))
        assert keys == sorted(set(keys))

    def test_repeated_reading_is_not_ambiguous(self) -> None:
        """The same reading twice is a repetition; another value or weight of the same version is ambiguous."""
        one = Reading("stadspuls/1", "", "pm10", 60, START, 5.0, covers=60.0)
        assert distinct(ordered(rows([one, one])))["flags"].tolist() == [0]
        (both,) = distinct(ordered(rows([one, one._replace(value=4.9)])))
        assert (both["value"], both["flags"]) == (5.0, Flag.AMBIGUOUS)
        (heavier,) = distinct(ordered(rows([one._replace(weight=3.0), one])))
        assert (heavier["weight"], heavier["flags"]) == (3.0, Flag.AMBIGUOUS)

    def test_values_that_do_not_agree_are_a_conflict(self) -> None:
        """Of 5 and 4 nobody knows which is right, and it matters: neither counts."""
        one = Reading("stadspuls/1", "", "pm10", 60, START, 5.0, covers=60.0)
        (both,) = distinct(ordered(rows([one, one._replace(value=4.0)])))
        assert (both["value"], both["flags"]) == (5.0, Flag.AMBIGUOUS | Flag.CONFLICT)

    def test_finished_reading_is_not_ambiguous(self) -> None:
        """What came while its period ran gives way, also to a lower value, and so does what came earlier then."""
        one = Reading("stadspuls/1", "", "pm10", 3600, START, 5.0, covers=60.0, flags=Flag.UNFINISHED)
        later = one._replace(value=4.0, covers=90.0)
        done = one._replace(value=3.0, covers=30.0, flags=0)
        for chosen in ([one, later], [later, one], [done, later, one]):
            (kept,) = distinct(ordered(rows(chosen)))
            assert (kept["value"], kept["flags"] & Flag.AMBIGUOUS) == (min(said.value or 0 for said in chosen), 0)

    def test_newer_version_is_not_ambiguous(self) -> None:
        """A later publication replaces the value, also by a lower one or by nothing."""
        one = Reading("stadspuls/1", "", "pm10", 60, START, 5.0, covers=60.0)
        (kept,) = distinct(ordered(rows([one._replace(value=None, weight=0.0, version=1), one])))
        assert np.isnan(kept["value"])
        assert kept["flags"] == 0


class TestFold:
    """Evidence of 5 minutes."""

    @given(st.lists(said(), max_size=40))
    def test_equals_a_plain_loop(self, readings: list[Reading]) -> None:
        """Every window has the evidence that a reading-at-a-time recomputation gives it, and there is no other."""
        kept = distinct(ordered(rows(readings)))
        keys = [(int(row["series"]), int(row["start"]) // WINDOW_US * WINDOW_US) for row in kept]
        windows = fold(kept)
        assert [(int(row["series"]), int(row["start"])) for row in windows] == sorted(set(keys))
        for window in windows:
            here = [key == (window["series"], window["start"]) for key in keys]
            expected = model.evidence(readings_of(kept[np.array(here)]))
            numbers = {name: math.nan if value is None else value for name, value in expected.items()}
            found = {name: window[name].item() for name in expected}
            assert found == pytest.approx(numbers, rel=1e-9, abs=1e-9, nan_ok=True)

    @given(st.lists(said(), max_size=40), st.data())
    def test_pieces_merge_to_the_whole(self, readings: list[Reading], data: st.DataObject) -> None:
        """Folding new readings in two batches and merging the rows gives the fold of all of them."""
        kept = distinct(ordered(rows(readings)))
        first = np.array(data.draw(st.lists(st.booleans(), min_size=len(kept), max_size=len(kept))), dtype=bool)
        assert_same(merged(fold(kept[first]), fold(kept[~first])), fold(kept))

    def test_nothing_is_no_window(self) -> None:
        """Of no readings there are no windows."""
        assert len(fold(np.empty(0, READING))) == 0

    def test_three_states(self) -> None:
        """A value, nothing to measure and a failure are counted apart, and a failure covers nothing."""
        one = Reading("stadspuls/1", "", "pm10", 60, START, 50.0, 3.0, 60.0)
        said_ = [one, one._replace(start=START + timedelta(seconds=1), value=None, weight=0.0),
                 one._replace(start=START + timedelta(seconds=2), value=None, weight=0.0, flags=1)]  # fmt: skip
        (window,) = fold(rows(said_))
        assert [window[name] for name in ("readings", "nothing", "failed", "weight", "covered")] == [1, 1, 1, 3, 120]

    def test_counts_of_nothing_are_left_out(self) -> None:
        """Only a rare count that is zero in every window is left out; other columns of zeros stay."""
        one = Reading("stadspuls/1", "", "pm10", 60, START, 0.0, 0.0, 60.0)
        names = without_zeros(fold(rows([one, one._replace(sensor_id="stadspuls/2", value=None)]))).dtype.names
        assert names == tuple(name for name in WINDOW.names or () if name not in ("flagged", "failed", "warned"))


class TestFrontier:
    """Which windows are probably new."""

    @given(st.lists(st.sets(st.tuples(st.integers(0, 6), st.integers(0, 9)))))
    def test_beyond_is_later_than_all_before(self, batches: list[set[tuple[int, int]]]) -> None:
        """A window lies beyond when its series was met before, in this batch or another, and never with one as late."""
        frontier, met = LatestWindows(), dict[int, int]()
        for batch in batches:
            windows = np.zeros(len(batch), WINDOW)
            windows["series"], windows["start"] = np.array(sorted(batch), dtype=int).reshape(-1, 2).T
            for series, start in sorted(batch):
                met.setdefault(series, start)
            assert frontier.advance(windows).tolist() == [start > met[series] for series, start in sorted(batch)]
            for series, start in sorted(batch):
                met[series] = max(start, met[series])


def merged(one: Rows, other: Rows) -> Rows:
    """Merge rows as the statement `merge_windows` does: sums add up, NaN is an unknown `covered` or no extreme."""
    known: dict[tuple[int, int], Any] = {}
    for row in np.concatenate([one, other]):
        key = int(row["series"]), int(row["start"])
        known[key] = _sum(known[key], row) if key in known else row.copy()
    return np.array([known[key] for key in sorted(known)], WINDOW)


def _sum(one: Any, other: Any) -> Any:
    for name in (*ADDED, "covered"):
        one[name] += other[name]
    one["minimum"] = np.fmin(one["minimum"], other["minimum"])
    one["maximum"] = np.fmax(one["maximum"], other["maximum"])
    one["status"] = min(one["status"], other["status"])
    return one


@pytest.fixture(scope="module")
def connection(postgres: str) -> Iterator[psycopg.Connection[Any]]:
    """A database for all examples of the SQL fold."""
    with fresh_database(postgres) as url, psycopg.connect(url, autocommit=True) as made:
        made.execute("CREATE TEMP TABLE said (LIKE reading)")
        yield made


class TestSqlTwin:
    """The same fold in SQL."""

    @settings(max_examples=up_to(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(said(), max_size=40))
    def test_gives_the_same_windows(self, connection: psycopg.Connection[Any], readings: list[Reading]) -> None:
        """numpy and the statement `fold_readings` agree on every column of every window."""
        kept = distinct(ordered(rows(readings)))
        assert_same(fold(kept), self.folded(connection, kept))

    def folded(self, connection: psycopg.Connection[Any], kept: Rows) -> Rows:
        """Fold rows in the database."""
        connection.execute("TRUNCATE said")
        with connection.cursor().copy(
            f"COPY said ({', '.join(READING.names or ())}) FROM STDIN (FORMAT BINARY)".encode()
        ) as copy:
            copy.write(packed(kept[list(READING.names or ())]).data)
        found = connection.execute(
            f"SELECT series, (extract(epoch FROM start) * 1000000)::bigint, {', '.join(EVIDENCE)} FROM ("
            f"SELECT r.series, date_bin('5 minutes', r.start, 'epoch') AS start, {statement_text('fold_readings')} "
            "FROM said r GROUP BY 1, 2) e ORDER BY 1, 2".encode()
        ).fetchall()
        nan = float("nan")
        return np.array([tuple(nan if cell is None else cell for cell in row) for row in found], WINDOW)
