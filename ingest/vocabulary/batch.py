"""
Many readings as columns: the unit that travels from the collector over the log to the store.

`ingest.formats.decode` fills batches, with single readings or with tables of them, `ingest.log.kafka` ships them as
Arrow IPC, `streams.commit.pipeline` stores them. Beside them is what could not be taken: `ingest.formats.decode` makes
dead letters of what it cannot read, `ingest.log.records` and `streams.commit.pipeline` of readings that are refused
later; `hub.cli.operate` lists and replays them.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from math import isfinite
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np
import pyarrow as pa
from msgspec.structs import force_setattr
from numpy.typing import NDArray

from ingest.vocabulary.readings import Identity, Reading, SensorFact, Status, microseconds
from ingest.vocabulary.sources import HUB, source_of_sensor

KEPT_BYTES = 1 << 20  # of a payload: what is longer is cut before it goes on the log
_TEXT = pa.dictionary(pa.int32(), pa.string())
_STAMP = pa.timestamp("us", tz="UTC")

SCHEMA = pa.schema(
    [
        pa.field("sensor_id", _TEXT, nullable=False),
        pa.field("channel", _TEXT, nullable=False),
        pa.field("quantity", _TEXT, nullable=False),
        pa.field("period", pa.int32(), nullable=False),  # s, 0 is an instant
        pa.field("start", _STAMP, nullable=False),
        pa.field("value", pa.float64()),  # in the registry's unit; null: nothing to measure, or failed with a flag
        pa.field("weight", pa.float64(), nullable=False),
        pa.field("covers", pa.float64()),  # s; null: unknown
        pa.field("flags", pa.int32(), nullable=False),
        pa.field("status", pa.int16(), nullable=False),
        pa.field("version", pa.int64(), nullable=False),  # us since 1970, 0 where the supplier gives none
        pa.field("received_at", _STAMP, nullable=False),
    ]
)


class DeadLetter(msgspec.Struct, frozen=True):
    """
    A message, or one reading as own JSON, that could not be taken, with the reason.

    `size` is that of the payload as it came, of which `KEPT_BYTES` are kept.
    """

    source: str
    topic: str
    payload: bytes
    reason: str
    received_at: datetime
    size: int = 0

    def __post_init__(self) -> None:
        """Cut the payload."""
        force_setattr(self, "size", self.size or len(self.payload))
        force_setattr(self, "payload", self.payload[:KEPT_BYTES])

    @property
    def key(self) -> bytes:
        """What makes two dead letters the same: source, topic, payload as far as it is kept, and reason."""
        parts = (self.source.encode(), self.topic.encode(), self.payload, self.reason.encode())
        return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()


def refused(row: Mapping[str, Any], reason: str) -> DeadLetter:
    """Make a dead letter of one row of a batch that is refused after decoding."""
    source = source_of_sensor(row["sensor_id"])
    return DeadLetter(source, f"{HUB}refused", own_json(row), reason, row["received_at"])


def own_json(row: Mapping[str, Any]) -> bytes:
    """Write one row of a batch as the hub's own JSON, so that it can be published again; infinity is a word."""
    kept = {key: value for key, value in row.items() if key != "received_at" and (value is not None or key == "value")}
    kept |= {key: str(value) for key, value in kept.items() if isinstance(value, float) and not isfinite(value)}
    kept["status"] = Status(row["status"]).name.lower()
    return msgspec.json.encode(kept)


class Batch(msgspec.Struct, frozen=True):
    """
    Readings (columns of `SCHEMA`), with the sensors they name and the messages that could not be read.

    All readings of one sensor and start travel in one batch.
    """

    readings: pa.RecordBatch
    sensors: Sequence[SensorFact] = ()
    dead_letters: Sequence[DeadLetter] = ()
    identities: Sequence[Identity] = ()

    def __len__(self) -> int:
        return int(self.readings.num_rows)

    def to_ipc(self) -> bytes:
        """Write the Arrow IPC stream, lz4; what is not readings travels in the schema's metadata."""
        beside = {name: msgspec.msgpack.encode(getattr(self, name)) for name in _BESIDE}
        readings = self.readings.replace_schema_metadata(beside)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, readings.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as stream:
            stream.write_batch(readings)
        return sink.getvalue().to_pybytes()

    @classmethod
    def from_ipc(cls, data: bytes) -> "Batch":
        """Read what `to_ipc` wrote; raises `pyarrow.ArrowInvalid` for anything else."""
        with pa.ipc.open_stream(data) as stream:
            readings = stream.read_next_batch()
        found = readings.schema.metadata or {}
        beside = {
            name: msgspec.msgpack.decode(found.get(name.encode(), _NONE), type=kind) for name, kind in _BESIDE.items()
        }
        return cls(readings.replace_schema_metadata(None), **beside)

    @classmethod
    def concat(cls, batches: Sequence["Batch"]) -> "Batch":
        """Make one batch of several, in their order."""
        if len(batches) == 1:
            return batches[0]
        beside = {name: tuple(one for batch in batches for one in getattr(batch, name)) for name in _BESIDE}
        return cls(joined([batch.readings for batch in batches]), **beside)


_BESIDE: dict[str, Any] = {
    "sensors": tuple[SensorFact, ...], "dead_letters": tuple[DeadLetter, ...], "identities": tuple[Identity, ...],
}  # fmt: skip
_NONE = msgspec.msgpack.encode(())  # what a collector sent that did not know them yet


class Table(NamedTuple):
    """
    Many readings of one message as columns, for a format that sends thousands: fields as those of `Reading`.

    Texts are codes, `start` is microseconds since 1970; each value weighs 1 and covers its period.
    """

    sensor_id: "pa.Array[Any]"
    channel: "pa.Array[Any]"
    quantity: "pa.Array[Any]"
    period: NDArray[np.int64]
    start: NDArray[np.int64]
    value: NDArray[np.float64]
    status: int = Status.PROVISIONAL
    version: int = 0

    def filled(self, received_at: datetime) -> pa.RecordBatch:
        """Give the columns of `SCHEMA`."""
        same = {"weight": 1.0, "flags": 0, "received_at": microseconds(received_at), "covers": self.period}
        named: dict[str, Any] = self._asdict() | same
        full = (
            one if isinstance(one := named[column.name], pa.Array) else pa.array(np.broadcast_to(one, len(self.value)))
            for column in SCHEMA
        )
        arrays = [one.cast(column.type) for one, column in zip(full, SCHEMA, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def joined(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Make one of several batches of `SCHEMA`, in their order."""
    full = [batch for batch in batches if batch.num_rows]
    if len(full) == 1:
        return full[0]
    table = pa.Table.from_batches(full, SCHEMA).unify_dictionaries().combine_chunks()
    return table.to_batches()[0] if table.num_rows else columns((), ())


def columns(readings: Sequence[Reading], received_at: Sequence[datetime]) -> pa.RecordBatch:
    """
    Turn readings into columns of `SCHEMA`; `received_at` has a stamp for each.

    Where `covers` is not given it is the period; of an instant it stays unknown. Raises what pyarrow raises for a
    value that does not fit its column: TypeError, ValueError, OverflowError or a `pyarrow.ArrowException`.
    """
    fields = zip(*readings, strict=True) if readings else [()] * len(Reading._fields)
    named: dict[str, Sequence[Any]] = dict(zip(Reading._fields, fields, strict=True))
    lengths = zip(named["covers"], named["period"], strict=True)
    named["covers"] = [period if covers is None and period else covers for covers, period in lengths]
    named["start"] = _microseconds(named["start"])
    named["received_at"] = _microseconds(received_at)
    return pa.RecordBatch.from_arrays([pa.array(named[column.name], column.type) for column in SCHEMA], schema=SCHEMA)


def numbers(rows: pa.RecordBatch, name: str) -> NDArray[Any]:
    """Give a column as numpy: null is NaN, a stamp is int64 microseconds since 1970."""
    column = rows.column(name)
    if pa.types.is_timestamp(column.type):
        column = column.view(pa.int64())
    return column.to_numpy(zero_copy_only=False)


class Coded(NamedTuple):
    """A column of texts: `codes` index the distinct `words`, of which some may be unused."""

    codes: NDArray[np.int32]
    words: list[str]

    def each(self, function: Callable[[str], Any], dtype: type = object) -> NDArray[Any]:
        """Give the function's result for every row, called once for each distinct word."""
        return np.array([function(word) for word in self.words], dtype=dtype)[self.codes]


def coded(rows: pa.RecordBatch, name: str) -> Coded:
    """Give a column of texts as codes."""
    column = cast("pa.DictionaryArray[Any, Any]", rows.column(name))
    return Coded(column.indices.to_numpy(zero_copy_only=False), cast("list[str]", column.dictionary.to_pylist()))


def by_sensor_and_start(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Sort rows such that those of one sensor and start stand together."""
    return rows.take(np.lexsort((numbers(rows, "start"), coded(rows, "sensor_id")[0])))


def middle(rows: pa.RecordBatch) -> int:
    """Give the row nearest to the middle of sorted rows where another sensor or start begins, 0 where none does."""
    codes, _ = coded(rows, "sensor_id")
    borders = np.flatnonzero(np.diff(codes).astype(bool) | np.diff(numbers(rows, "start")).astype(bool)) + 1
    return int(borders[np.argmin(np.abs(borders - rows.num_rows // 2))]) if len(borders) else 0


def _microseconds(stamps: Sequence[datetime]) -> list[int]:
    # Few stamps are distinct, and pyarrow takes 2 us for each aware datetime.
    known = {stamp: microseconds(stamp) for stamp in set(stamps)}
    return [known[stamp] for stamp in stamps]
