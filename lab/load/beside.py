"""
Other frameworks beside `lab.bench.workers`: sums of 5 minutes and of hours into PostgreSQL, of the readings of `plain`.

    python -m lab.load.beside quixstreams|bytewax SERVERS COUNT DIRECTORY DATABASE

reads the COUNT readings that `lab.load.plain` left on its topic and prints how many a second it did. Each is written as
its own documentation has it, and may write a window once, when it closes. They are no dependencies: what is not
installed is not measured.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import psycopg

from lab.load.plain import RATE, TOPIC

LENGTHS = {"5m": timedelta(minutes=5), "1h": timedelta(hours=1)}
_TABLE = (
    "CREATE TABLE IF NOT EXISTS beside (level text, series text, start timestamptz, value float8,"
    " PRIMARY KEY (level, series, start))"
)
_UPSERT = (
    "INSERT INTO beside VALUES (%s, %s, %s, %s) ON CONFLICT (level, series, start) DO UPDATE SET value = excluded.value"
)
Row = tuple[str, str, datetime, float]


class Readings:
    """How many readings came, and when the first and the last did."""

    def __init__(self) -> None:
        self.count = 0
        self.first = self.last = 0.0

    def note(self, reading: Any) -> Any:
        """Count one, and give it on."""
        self.count += 1
        self.last = time.perf_counter()
        self.first = self.first or self.last
        return reading


Write = Callable[[Sequence[Row]], None]


def main() -> None:
    """Read all, and print the rate."""
    name, servers, count, directory, database = sys.argv[1:]
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(_TABLE)
        connection.execute("TRUNCATE beside")

        def write(rows: Sequence[Row]) -> None:
            with connection.transaction(), connection.cursor() as cursor:
                cursor.executemany(_UPSERT, rows)

        came = Readings()
        {"quixstreams": _quix, "bytewax": _bytewax}[name](servers, int(count), directory, write, came)
    if came.count != int(count):
        raise SystemExit(f"{name} read {came.count} of {count} readings")
    print(f"{RATE}{came.count / (came.last - came.first)}", flush=True)


def _quix(servers: str, count: int, directory: str, write: Write, came: Readings) -> None:
    app = import_module("quixstreams").Application(
        broker_address=servers, consumer_group="beside", auto_offset_reset="earliest", state_dir=f"{directory}/quix",
        loglevel="ERROR",
    )  # fmt: skip
    readings = app.dataframe(app.topic(TOPIC, timestamp_extractor=lambda value, *_: value["start"] * 1000))
    rows: list[Row] = []

    def note(level: str) -> Callable[..., None]:
        def add(window: Any, key: Any, *_: object) -> None:
            rows.append((level, key.decode(), datetime.fromtimestamp(window["start"] / 1000, UTC), window["value"]))
            if len(rows) >= 1_000:
                write(rows)
                rows.clear()

        return add

    readings = readings.apply(came.note)
    for level, length in LENGTHS.items():
        values = readings.apply(lambda reading: reading["value"])
        values.tumbling_window(length, name=level).sum().final().update(note(level), metadata=True)
    app.run(count=count, timeout=20)
    write(rows)


def _bytewax(servers: str, _count: int, _directory: str, write: Write, came: Readings) -> None:
    op, win, kafka = map(import_module, ("bytewax.operators", "bytewax.operators.windowing",
                                         "bytewax.connectors.kafka.operators"))  # fmt: skip
    outputs = import_module("bytewax.outputs")

    class Partition(outputs.StatelessSinkPartition):  # type: ignore[misc, name-defined]
        def write_batch(self, items: Sequence[Row]) -> None:
            write(items)

    class Sink(outputs.DynamicSink):  # type: ignore[misc, name-defined]
        def build(self, *_: object) -> Partition:
            return Partition()

    flow = import_module("bytewax.dataflow").Dataflow("beside")
    messages = kafka.input("in", flow, brokers=[servers], topics=[TOPIC], tail=False).oks
    readings = op.map("read", messages, lambda one: came.note((one.key.decode(), json.loads(one.value))))
    clock = win.EventClock(lambda one: datetime.fromtimestamp(one["start"], UTC), timedelta(0))
    for level, length in LENGTHS.items():
        windower = win.TumblingWindower(length=length, align_to=datetime(1970, 1, 1, tzinfo=UTC))
        found = win.fold_window(
            level, readings, clock, windower, float, lambda total, one: total + one["value"], lambda a, b: a + b
        )
        begun = op.map(f"{level} start", found.down, lambda one, level=level, length=length: (
            level, one[0], datetime.fromtimestamp(one[1][0] * length.total_seconds(), UTC), one[1][1]))  # fmt: skip
        op.output(f"{level} out", begun, Sink())
    import_module("bytewax.testing").run_main(flow)


if __name__ == "__main__":
    main()
