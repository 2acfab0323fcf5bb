"""Running totals: the differences are the same whatever the order, the batches and the restarts between."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregates.store.store import Store
from ingest.formats.mapping_reader import MappedFormat
from ingest.formats.mapping_schema import load
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.readings import RUNNING_TOTAL, Flag, Message, Reading
from lab.load.balances import balances
from streams.commit.pipeline import Pipeline
from streams.rollup.reconcile import reconcile
from streams.rollup.rollup import roll_up
from tests.support.databases import fresh_database, truncate
from tests.support.examples import up_to

DAY = datetime(2026, 5, 4, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
# Hour and total: a first value, two differences, a reset, a gap of three hours, a small fall, a device that is back.
TOTALS = [(8, 1000), (9, 1004), (10, 1009), (11, 0), (12, 3), (15, 33), (16, 32), (17, 40)]
FAILED, AMBIGUOUS = int(Flag.SOURCE_ERROR), int(Flag.AMBIGUOUS)
RIGHT = {
    7: (None, FAILED, 3600), 8: (4, 0, 3600), 9: (5, 0, 3600), 10: (0, 0, 3600), 11: (3, 0, 3600),
    14: (30, AMBIGUOUS, 10_800), 15: (None, FAILED, 3600), 16: (8, 0, 3600),
}  # fmt: skip
CONFLICT = int(Flag.AMBIGUOUS | Flag.CONFLICT)
REPEATED = {"also": TOTALS[2:4], "counts": {}}
UNSURE = {"also": [(10, 1011)], "counts": {9: (7, CONFLICT, 3600), 10: (0, CONFLICT, 3600)}}


@pytest.fixture(scope="module")
def emptied(postgres: str) -> Iterator[str]:
    """One database for all examples; each begins with empty tables."""
    with fresh_database(postgres) as url:
        yield url


def batch(totals: list[tuple[int, int]]) -> Batch:
    """Make a batch as the decoder gives it: the hour that ends where the total was read; one came after the other."""
    said = [
        Reading("telraam/p", "", "bicycle_count", 3600, DAY + timedelta(hours=hour - 1), total, flags=RUNNING_TOTAL)
        for hour, total in totals
    ]
    return Batch(columns(said, [NOW + timedelta(seconds=at) for at in range(len(said))]))


def stored(url: str) -> dict[int, tuple[float | None, int, float]]:
    """Give value, flags and covered seconds by hour of the start."""
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT start, value, flags, covers FROM reading").fetchall()
    return {start.astimezone(UTC).hour: (value, flags, covers) for start, value, flags, covers in found}


@pytest.mark.parametrize("doubles", [REPEATED, UNSURE], ids=["repeated", "contradicted"])
@settings(max_examples=up_to(20), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.integers(1, 6))
def test_differences_do_not_depend_on_order(
    emptied: str, doubles: dict[str, Any], data: st.DataObject, size: int
) -> None:
    """
    Late and repeated totals, in any batches, by pipelines that know nothing of each other: the same counts.

    Of two totals for one moment the greater is kept, and the counts on both sides of it are in conflict.
    """
    totals = data.draw(st.permutations(TOTALS + doubles["also"]))
    truncate(emptied)
    with closing(Store(emptied)) as store:
        for at in range(0, len(totals), size):
            Pipeline(store).store(batch(totals[at : at + size]))
        roll_up(store, NOW)
        assert stored(emptied) == RIGHT | doubles["counts"]
        assert not any(found.windows for found in reconcile(store, DAY.date(), DAY.date() + timedelta(days=1)))
        assert sum(one.received for one in balances(store)) == len(totals)
        assert all(one.holds for one in balances(store))


def test_count_beyond_the_plausible_range_is_marked(emptied: str) -> None:
    """A total of millions is plausible, a count of as many in an hour is not, nor one of what is left of it."""
    truncate(emptied)
    with closing(Store(emptied)) as store:
        pipeline = Pipeline(store)
        pipeline.store(batch([(8, 5_000_000), (9, 5_000_004), (11, 5_300_004)]))
        jump = stored(emptied)[10]
        pipeline.store(batch([(10, 5_299_999)]))
    assert jump == (300_000, int(Flag.OUT_OF_RANGE | Flag.AMBIGUOUS), 7200)
    found = stored(emptied)
    assert (found[8], found[10]) == ((4, 0, 3600), (5, 0, 3600))
    assert found[9] == (299_995, int(Flag.OUT_OF_RANGE), 3600)


@pytest.mark.shared
def test_running_total_of_the_field(emptied: str, shared_data: Path, tmp_path: Path) -> None:
    """The case `running-total`, by its own mapping file with `total` and a period: 4 + 5 + 0 + 3, the first nothing."""
    folder = shared_data.parent / "cases/running-total"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    truncate(emptied)
    text = (folder / "mapping.toml").read_text().replace('stamp = "/t"', 'stamp = "/t"\nperiod = 3600')
    text = text[text.index("[[message]]") :].replace('"bicycle_count"', '"bicycle_count", total = true')
    (tmp_path / "ttn.toml").write_text(text)  # a source that is known
    read = MappedFormat("ttn", load(tmp_path / "ttn.toml"))
    lines = next(folder.glob("*.jsonl")).read_bytes().splitlines()
    said = [one for line in lines for one in read(Message("v3/x", line, NOW)) if isinstance(one, Reading)]
    with closing(Store(emptied)) as store:
        Pipeline(store).store(Batch(columns(said, [NOW] * len(said))))
    found = stored(emptied)
    assert found[7] == (None, FAILED, 3600)
    assert [found[hour][0] for hour in (8, 9, 10, 11)] == [4, 5, 0, 3]
