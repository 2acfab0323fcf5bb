"""A batch cut into records: every reading once, a sensor in one partition, one sensor and start in one record."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.log.records import MOST, letter_records, partition_of, read_record, reading_records
from ingest.vocabulary.batch import KEPT_BYTES, Batch, DeadLetter, columns
from ingest.vocabulary.readings import Identity, Reading, SensorFact, microseconds
from tests.streams.commit.test_pipeline import LATER

SENSORS = [f"ndw/{number}" for number in range(8)]


def reading(sensor: str, minute: int, channel: str = "") -> Reading:
    """Make a reading of a minute."""
    return Reading(sensor, channel, "vehicle_count", 60, LATER.replace(minute=minute), 1.0)


def batch(readings: list[Reading], facts: tuple[SensorFact, ...] = ()) -> Batch:
    """Make a batch."""
    return Batch(columns(readings, [LATER] * len(readings)), facts)


READINGS = st.lists(
    st.builds(reading, st.sampled_from(SENSORS), st.integers(0, 3), st.sampled_from(["", "lane1/any"])), max_size=60
)


class TestReadingRecords:
    """Readings and facts."""

    @settings(deadline=None)  # the first example pays for what is loaded
    @given(READINGS, st.integers(1, 5), st.sampled_from([1, 3_000, 512_000]))
    def test_every_reading_once_and_together(
        self, given_readings: list[Reading], partitions: int, largest: int
    ) -> None:
        """Nothing is lost or doubled; partition and togetherness hold whatever the size of a record."""
        made = list(reading_records(batch(given_readings), partitions, largest))
        found = [row for _, value in made for row in Batch.from_ipc(value).readings.to_pylist()]
        key = ["sensor_id", "start", "channel"]
        wanted = batch(given_readings).readings.to_pylist()
        assert sorted(found, key=lambda row: [row[k] for k in key]) == sorted(
            wanted, key=lambda row: [row[k] for k in key]
        )
        assert sum(len(Batch.from_ipc(value)) for _, value in made) == len(given_readings)
        places: dict[tuple[str, object], int] = {}
        for number, (partition, value) in enumerate(made):
            for row in Batch.from_ipc(value).readings.to_pylist():
                assert partition == partition_of(row["sensor_id"], partitions)
                assert places.setdefault((row["sensor_id"], row["start"]), number) == number

    def test_facts_go_with_their_sensor(self) -> None:
        """A fact is in the partition of its sensor, also without a reading beside it."""
        facts = tuple(SensorFact(sensor, "name") for sensor in SENSORS)
        made = list(reading_records(batch([], facts), 4))
        found = {fact: partition for partition, value in made for fact in Batch.from_ipc(value).sensors}
        assert found == {fact: partition_of(fact.sensor_id, 4) for fact in facts}

    @pytest.mark.parametrize("readings", [0, 500])
    def test_records_are_small(self, readings: int) -> None:
        """No record is larger than the limit, neither for many readings nor for many facts."""
        facts = tuple(SensorFact(f"ndw/{number}", "a name " * 10) for number in range(400))
        given_readings = [reading(f"ndw/{number}", number % 60) for number in range(readings)]
        made = list(reading_records(batch(given_readings, facts), 2, 8_000))
        assert max(len(value) for _, value in made) <= 8_000
        assert {fact for _, value in made for fact in Batch.from_ipc(value).sensors} == set(facts)

    @pytest.mark.parametrize("largest", [1, 512_000])
    def test_name_of_a_message_travels_with_its_readings(self, largest: int) -> None:
        """What its source calls it is in the record of its sensor and start, however small records are, and once."""
        said = [reading(sensor, minute) for sensor in SENSORS for minute in range(3)]
        names = [Identity(f"{one.sensor_id} {one.start}", one.sensor_id, microseconds(one.start)) for one in said]
        made = list(reading_records(Batch(batch(said).readings, identities=names), 3, largest))
        for _, value in made:
            found = read_record(value)
            there = {(row["sensor_id"], microseconds(row["start"])) for row in found.readings.to_pylist()}
            assert {(name.sensor_id, name.start) for name in found.identities} == there
        assert sum(len(read_record(value).identities) for _, value in made) == len(names)

    def test_words_of_others_stay_behind(self) -> None:
        """A record's dictionaries have only the words of its own readings."""
        for _, value in reading_records(batch([reading(sensor, 0) for sensor in SENSORS]), 4):
            column = Batch.from_ipc(value).readings.column("sensor_id")
            assert len(column.dictionary) == len(column)  # type: ignore[attr-defined]

    def test_one_start_that_is_too_large_is_parted(self) -> None:
        """Readings of one sensor and start that no record can hold go into several, each once."""
        said = [reading("ndw/1", 0, f"lane{number}/" + "x" * 400) for number in range(100)]
        made = list(reading_records(batch(said), 2, 3_000, most=5_000))
        assert max(len(value) for _, value in made) <= 5_000
        assert sum(len(Batch.from_ipc(value)) for _, value in made) == 100


class TestLetterRecords:
    """Dead letters."""

    def test_each_once_and_small(self) -> None:
        """Letters are packed up to the limit; a larger one travels alone."""
        sizes = [10] * 20 + [5_000, 40, 9_000, 100]
        letters = [DeadLetter("ttn", str(number), b"x" * size, "why", LATER) for number, size in enumerate(sizes)]
        made = list(letter_records(letters, 1, 6_000))
        assert [letter for _, value in made for letter in Batch.from_ipc(value).dead_letters] == letters
        assert all(len(value) <= 6_000 or len(Batch.from_ipc(value).dead_letters) == 1 for _, value in made)
        assert len(made) < 10

    def test_a_payload_that_is_too_large_is_cut(self) -> None:
        """Of a payload of 5 MB a record holds the beginning, and how large it was; Kafka may take still fewer."""
        letters = [DeadLetter("ttn", "v3/x", b"x" * 5_002_344, "why", LATER)]
        for most in (MOST, 100_000):
            ((_, value),) = letter_records(letters, 1, most=most)
            (letter,) = Batch.from_ipc(value).dead_letters
            assert len(value) <= most
            assert min(most // 2, KEPT_BYTES) <= len(letter.payload) <= KEPT_BYTES
            assert letter.size == 5_002_344

    def test_none(self) -> None:
        """No letter, no record."""
        assert list(letter_records([], 4)) == []

    def test_many_large_letters_take_no_memory_of_their_own(self) -> None:
        """However many wait, a collector encodes one record of them at a time: its memory is small."""
        letters = [DeadLetter("stadspuls", "a", bytes([one]) * KEPT_BYTES, "big", LATER) for one in range(50)]
        tracemalloc.start()
        try:
            assert sum(1 for _ in letter_records(letters, 1)) == 50
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 10 * KEPT_BYTES
