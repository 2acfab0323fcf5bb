"""
Cuts a batch into records for a log with partitions, by whole sensors.

`ingest.log.kafka` produces what this gives, `streams.worker.worker` reads it again. All readings of a sensor go to
one partition, and all of one sensor and start into one record, for rules of quality compare them.
"""

from collections.abc import Iterator, Sequence
from zlib import crc32

import numpy as np
import pyarrow as pa
from msgspec.structs import replace
from numpy.typing import NDArray

from ingest.vocabulary.batch import SCHEMA, Batch, DeadLetter, coded, columns, middle, numbers, refused
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import BadPayload, Identity, SensorFact

_FRAME = 4096  # bytes that are left for what is around the data
LARGEST = 512_000  # bytes of a record, unless one sensor and start, or one dead letter, has more
MOST = (4 << 20) - _FRAME  # bytes of any record, unless Kafka takes fewer
UNKNOWN = "quantity not in the registry of the worker"
_NONE = columns((), ())


def partition_of(sensor_id: str, partitions: int) -> int:
    """
    Give the partition of a sensor, the same in every process and for ever.

    >>> [partition_of(f"ndw/{number}", 4) for number in range(6)]
    [1, 3, 1, 3, 0, 2]
    """
    return crc32(sensor_id.encode()) % partitions


def reading_records(
    batch: Batch, partitions: int, largest: int = LARGEST, most: int = MOST
) -> Iterator[tuple[int, bytes]]:
    """
    Cut facts and readings of a batch into records, each with its partition; dead letters travel by `letter_records`.

    Only readings of one sensor and start that have more than `most` bytes are parted.
    """
    facts: dict[int, list[SensorFact]] = {}
    for fact in batch.sensors:
        facts.setdefault(partition_of(fact.sensor_id, partitions), []).append(fact)
    rows, cuts = _by_partition(batch.readings, partitions)
    for partition in range(partitions):
        part = rows.slice(cuts[partition], cuts[partition + 1] - cuts[partition])
        named = _identities(batch.identities, part)
        for one in (Batch(_NONE, facts.get(partition, ())), Batch(part, identities=named)):
            for value in _fitting(one, min(largest, most), most):
                yield partition, value


def letter_records(
    letters: Sequence[DeadLetter], partitions: int, largest: int = LARGEST, most: int = MOST
) -> Iterator[tuple[int, bytes]]:
    """Pack dead letters, cut to `most` bytes, into records; the same letter always goes into the same partition."""
    by_partition: dict[int, list[DeadLetter]] = {}
    for letter in letters:
        by_partition.setdefault(int.from_bytes(letter.key[:4], "big") % partitions, []).append(letter)
    for partition, some in by_partition.items():
        for value in _fitting(Batch(_NONE, (), some), min(largest, most), most):
            yield partition, value


def read_record(value: bytes) -> Batch:
    """
    Read a record again; raises BadPayload for one that no collector of ours wrote.

    A reading of a quantity that only a newer collector knows becomes a dead letter, to be replayed after the upgrade.
    """
    try:
        batch = Batch.from_ipc(value)
        if not batch.readings.schema.equals(SCHEMA):
            raise BadPayload(f"columns {batch.readings.schema.names}")
    except Exception as error:  # whatever pyarrow and msgspec raise for bytes of others
        reason = f"record not understood: {type(error).__name__}: {error}"
        raise BadPayload(reason[:1000].replace("\x00", "\ufffd")) from error
    new = coded(batch.readings, "quantity").each(lambda text: text not in QUANTITIES, bool)
    if not new.any():
        return batch
    letters = [refused(row, UNKNOWN) for row in batch.readings.filter(pa.array(new)).to_pylist()]
    known = batch.readings.filter(pa.array(~new))
    return replace(batch, readings=known, dead_letters=(*batch.dead_letters, *letters))


def _by_partition(rows: pa.RecordBatch, partitions: int) -> tuple[pa.RecordBatch, NDArray[np.int64]]:
    """Sort rows by partition, sensor and start; give them and the rows at which the partitions begin and end."""
    sensor = coded(rows, "sensor_id")
    partition = sensor.each(lambda text: partition_of(text, partitions), int)
    order = np.lexsort((numbers(rows, "start"), sensor.codes, partition))
    return rows.take(order), np.searchsorted(partition[order], np.arange(partitions + 1))


def _fitting(batch: Batch, largest: int, most: int) -> Iterator[bytes]:
    """Give a batch that has readings, facts or dead letters alone as records, in halves until they are small enough."""
    if not (len(batch) or batch.sensors or batch.dead_letters):
        return
    # Letters may be all that a collector has in flight: so many are cut before they are encoded.
    is_heavy = len(batch.dead_letters) > 1 and sum(len(one.payload) for one in batch.dead_letters) > largest
    value = b"" if is_heavy else replace(batch, readings=_compact(batch.readings)).to_ipc()
    if (is_heavy or len(value) > largest) and (halves := _halves(batch, by_force=len(value) > most)):
        for half in halves:
            yield from _fitting(half, largest, most)
    elif len(value) > most and batch.dead_letters and (payload := batch.dead_letters[0].payload):
        letter = replace(batch.dead_letters[0], payload=payload[: most - len(value)])
        yield from _fitting(Batch(_NONE, (), [letter]), largest, most)
    else:
        yield value


def _halves(batch: Batch, *, by_force: bool) -> tuple[Batch, Batch] | None:
    """Cut between two sensors or starts, facts or letters; only `by_force` between readings of one."""
    rows, facts, letters = batch.readings, batch.sensors, batch.dead_letters
    cut = middle(rows) or (rows.num_rows // 2 if by_force else 0)
    half_facts, half_letters = len(facts) // 2, len(letters) // 2
    if not (cut or half_facts or half_letters):
        return None
    one, two = rows.slice(0, cut), rows.slice(cut)
    first = Batch(one, facts[:half_facts], letters[:half_letters], _identities(batch.identities, one))
    return first, Batch(two, facts[half_facts:], letters[half_letters:], _identities(batch.identities, two))


def _identities(every: Sequence[Identity], rows: pa.RecordBatch) -> list[Identity]:
    """Give those of these rows, with which they travel."""
    there = set(zip(rows["sensor_id"].to_pylist(), numbers(rows, "start").tolist(), strict=True)) if every else ()
    return [one for one in every if (one.sensor_id, one.start) in there]


def _compact(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Leave the texts out of the dictionaries that no row of these uses."""
    fields = [column.dictionary_decode().dictionary_encode() if isinstance(column, pa.DictionaryArray) else column
              for column in rows.columns]  # fmt: skip
    return pa.RecordBatch.from_arrays(fields, schema=rows.schema)
