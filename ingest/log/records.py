"""
Cuts a batch into records for a log with partitions, by whole sensors.

`ingest.log.kafka` produces what this gives, `streams.worker.worker` reads it again. All readings of a sensor go to
one partition, and all of one sensor and start into one record, for rules of quality compare them.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast
from zlib import crc32

import numpy as np
import pyarrow as pa
from msgspec.structs import replace
from numpy.typing import NDArray

from ingest.vocabulary.batch import SCHEMA, Batch, coded, columns, middle, numbers
from ingest.vocabulary.dead_letters import DeadLetter, refused
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import SensorFact

_FRAME = 4096  # bytes that are left for what is around the data
LARGEST = 512_000  # bytes of a record, unless one sensor and start, or one dead letter, has more
MOST = (4 << 20) - _FRAME  # bytes of any record, unless Kafka takes fewer
UNKNOWN = "quantity not in the registry of the worker"
_TEXTS = ("sensor_id", "channel", "quantity")


class BadRecord(ValueError):  # noqa: N818 - the reaction is the name: this record goes to the dead letters
    """A record that no collector of ours can have written."""


class Record(NamedTuple):
    """What one record of the log holds, and where it goes."""

    partition: int
    value: bytes
    readings: int


def partition_of(sensor_id: str, partitions: int) -> int:
    """
    Give the partition of a sensor, the same in every process and for ever.

    >>> [partition_of(f"ndw/{number}", 4) for number in range(6)]
    [1, 3, 1, 3, 0, 2]
    """
    return crc32(sensor_id.encode()) % partitions


def reading_records(batch: Batch, partitions: int, largest: int = LARGEST, most: int = MOST) -> Iterator[Record]:
    """
    Cut readings and facts of a batch into records; its dead letters travel by `letter_records`.

    Only readings of one sensor and start that have more than `most` bytes are parted.
    """
    rows, cuts = _by_partition(batch.readings, partitions)
    facts: dict[int, list[SensorFact]] = {}
    for fact in batch.sensors:
        facts.setdefault(partition_of(fact.sensor_id, partitions), []).append(fact)
    for partition in range(partitions):
        part = rows.slice(cuts[partition], cuts[partition + 1] - cuts[partition])
        if part.num_rows or partition in facts:
            for value, count in _fitting(part, facts.get(partition, []), min(largest, most), most):
                yield Record(partition, value, count)


def letter_records(
    letters: Sequence[DeadLetter], partitions: int, largest: int = LARGEST, most: int = MOST
) -> Iterator[Record]:
    """Pack dead letters, cut to `most` bytes, into records; the same letter always goes into the same partition."""
    by_partition: dict[int, list[DeadLetter]] = {}
    for letter in letters:
        if (over := _length(letter) + _FRAME - most) > 0:
            letter = replace(letter, payload=letter.payload[: max(0, len(letter.payload) - over)])
        by_partition.setdefault(int.from_bytes(letter.key[:4], "big") % partitions, []).append(letter)
    for partition, some in by_partition.items():
        for few in _few(some, min(largest, most)):
            yield Record(partition, Batch(columns((), ()), (), few).to_ipc(), 0)


def read_record(value: bytes) -> Batch:
    """
    Read a record again; raises BadRecord.

    A reading of a quantity that only a newer collector knows becomes a dead letter, to be replayed after the upgrade.
    """
    try:
        batch = Batch.from_ipc(value)
        if not batch.readings.schema.equals(SCHEMA):
            raise BadRecord(f"columns {batch.readings.schema.names}")
    except Exception as error:  # whatever pyarrow and msgspec raise for bytes of others
        reason = f"record not understood: {type(error).__name__}: {error}"
        raise BadRecord(reason[:1000].replace("\x00", "\ufffd")) from error
    codes, texts = coded(batch.readings, "quantity")
    new = np.array([text not in QUANTITIES for text in texts], dtype=bool)[codes]
    if not new.any():
        return batch
    letters = [refused(row, UNKNOWN) for row in batch.readings.filter(pa.array(new)).to_pylist()]
    return Batch(batch.readings.filter(pa.array(~new)), batch.sensors, (*batch.dead_letters, *letters))


def _few(letters: Sequence[DeadLetter], largest: int) -> Iterator[list[DeadLetter]]:
    few: list[DeadLetter] = []
    size = 0
    for letter in letters:
        length = _length(letter)
        if few and size + length > largest:
            yield few
            few, size = [], 0
        few.append(letter)
        size += length
    yield few


def _length(letter: DeadLetter) -> int:
    """Give how many bytes of a record a letter takes, rather more than less."""
    return len(letter.payload) + len(letter.topic.encode()) + len(letter.reason.encode()) + 100


def _by_partition(rows: pa.RecordBatch, partitions: int) -> tuple[pa.RecordBatch, NDArray[np.int64]]:
    """Sort rows by partition, sensor and start; give them and the rows at which the partitions begin and end."""
    codes, texts = coded(rows, "sensor_id")
    partition_of_code = np.array([partition_of(text, partitions) for text in texts], dtype=np.int64)
    partition = partition_of_code[codes] if len(texts) else np.empty(0, np.int64)
    order = np.lexsort((numbers(rows, "start"), codes, partition))
    return rows.take(order), np.searchsorted(partition[order], np.arange(partitions + 1))


def _fitting(rows: pa.RecordBatch, facts: Sequence[SensorFact], largest: int, most: int) -> Iterator[tuple[bytes, int]]:
    value = Batch(_compact(rows), tuple(facts)).to_ipc()
    cut = middle(rows) if len(value) > largest else 0
    if not cut and len(value) > most and len(facts) <= 1:
        cut = rows.num_rows // 2
    if cut:
        yield from _fitting(rows.slice(0, cut), facts[: len(facts) // 2], largest, most)
        yield from _fitting(rows.slice(cut), facts[len(facts) // 2 :], largest, most)
    elif len(value) > largest and len(facts) > 1:  # more facts than readings
        yield from _fitting(rows, facts[: len(facts) // 2], largest, most)
        yield from _fitting(rows.slice(0, 0), facts[len(facts) // 2 :], largest, most)
    else:
        yield value, rows.num_rows


def _compact(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Leave the texts out of the dictionaries that no row of these uses."""
    fields: list[pa.Array[Any]] = list(rows.columns)
    for at, name in enumerate(rows.schema.names):
        if name in _TEXTS:
            column = cast("pa.DictionaryArray[Any, Any]", rows.column(at))
            used, codes = np.unique(column.indices.to_numpy(zero_copy_only=False), return_inverse=True)
            texts = column.dictionary.take(pa.array(used, pa.int32()))
            fields[at] = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), texts)
    return pa.RecordBatch.from_arrays(fields, schema=rows.schema)
