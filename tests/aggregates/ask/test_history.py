"""What changed in closed windows, when and why; and questions as of a moment, through the ways in which people ask."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aggregates.ask.dates import BadQuestion, known_at
from aggregates.ask.listings import LISTS
from aggregates.ask.query import Question, ask
from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store
from ingest.files.catalogue import Entry
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.readings import Reading
from streams.commit.pipeline import Pipeline
from streams.rollup.retention import maintain
from tests.aggregates.store.test_sensor_evidence import MONDAY
from tests.aggregates.store.test_versions import HOUR, hear, publish

SPAN = (MONDAY - timedelta(days=1), MONDAY + timedelta(days=1))


def history(store: Store, limit: int = 100, after: Any = None, **asked: Any) -> list[dict[str, Any]]:
    """Give the changes of a sensor's windows."""
    scope = dict.fromkeys(("source", "west", "south", "east", "north", "area", "vintage", "quantities", "sensors"))
    given = {**scope, "ever": False, "first": SPAN[0], "last": SPAN[1], **asked}
    found = LISTS["history"].read(store, after, limit, **given)
    return [row for batch in found for row in batch.to_pylist()]


def test_each_change_is_listed_with_its_reason(store: Store) -> None:
    """An hour that was corrected twice has two lines, and its day; each says what was and what it became."""
    for version, value in enumerate((4.0, 5.0, 7.0)):
        hear(store, [value], version=version)
    found = history(store, sensors=["ndw/s"])
    shown = [(row["window"], row["before"], row["after"], row["reason"]) for row in found]
    assert shown == [
        ("1d", 4.0, 5.0, "correction"), ("1d", 5.0, 7.0, "correction"),
        ("1h", 4.0, 5.0, "correction"), ("1h", 5.0, 7.0, "correction"),
    ]  # fmt: skip
    assert [row["start"] for row in found[2:]] == [MONDAY] * 2
    assert found[2]["end"] == MONDAY + HOUR


def test_pages_follow_each_other(store: Store) -> None:
    """A page begins behind the last line of the one before."""
    for version, value in enumerate((4.0, 5.0, 7.0)):
        hear(store, [value], version=version)
    whole = history(store)
    pages: list[dict[str, Any]] = []
    while more := history(store, 1, [pages[-1][name] for name in LISTS["history"].key] if pages else None):
        pages += more
    assert pages == whole
    assert len(whole) == 4


def test_periods_of_a_channel_have_their_own_history(store: Store) -> None:
    """An hour with readings of a quarter and of an hour: both are corrected, and neither becomes the other."""
    for version, value in enumerate((4.0, 5.0)):
        said = Reading("ndw/s", "lane1/any", "vehicle_count", 900, MONDAY, 10 * value, version=version)
        Pipeline(store).store(Batch(columns([said], [MONDAY + timedelta(days=2)])))
        hear(store, [value], version=version)
    found = history(store)
    changed = [(row["period"], row["window"], row["before"], row["after"]) for row in found]
    assert changed == [(900, "1d", 40, 50), (900, "1h", 40, 50), (3600, "1d", 4, 5), (3600, "1h", 4, 5)]
    key = LISTS["history"].key
    assert [history(store, 1, [row[name] for name in key]) for row in found[:-1]] == [[row] for row in found[1:]]


def test_changes_of_the_catalogue_are_listed(store: Store) -> None:
    """It is told what the number of lanes was and became."""
    hear(store, [4.0])
    import_sensors(store, [Entry("ndw/s", lanes=1)])
    import_sensors(store, [Entry("ndw/s", lanes=3)])
    (first, second) = [row for row in history(store, sensors=["ndw/s"]) if row["reason"] == "catalogue"]
    assert (first["window"], first["subject"]) == ("sensor", "ndw/s")
    assert (first["detail"], second["detail"]) == ("lanes null, then 1", "lanes 1, then 3")


def test_questions_as_of_a_moment(store: Store) -> None:
    """A question has the figures of then, and those of now afterwards."""
    hear(store, [4.0, 6.0])
    moment = publish(store, "r")
    hear(store, [9.0], version=1)
    question = Question("vehicle_count", *SPAN, "1h", sensor="ndw/s")
    with known_at(store, moment):
        assert ask(store, question)["value"].tolist() == [4.0, 6.0]
    assert ask(store, question)["value"].tolist() == [9.0, 6.0]


def test_moments_without_versions_are_refused(store: Store) -> None:
    """What is to come, what is from before the hub kept versions, and levels of which it keeps none."""
    ((since, now),) = store.rows("read_versions_since")
    for moment in (since - HOUR, now + HOUR):
        with pytest.raises(BadQuestion, match="kept since then"), known_at(store, moment):
            pass
    with pytest.raises(BadQuestion, match="window '5m' as of a moment"), known_at(store, since, "5m"):
        pass


def test_earlier_figures_are_forgotten_after_a_while(store: Store) -> None:
    """What changed longer ago than the setting says is gone, and nothing can be asked as of then."""
    hear(store, [4.0])
    moment = publish(store, "r")
    hear(store, [5.0], version=1)
    maintain(store, datetime.now(UTC), None, timedelta(days=1))
    assert len(history(store)) == 2
    maintain(store, datetime.now(UTC) + timedelta(days=1), None, timedelta(hours=1))
    assert history(store) == []
    with pytest.raises(BadQuestion, match="kept since then"), known_at(store, moment):
        pass
