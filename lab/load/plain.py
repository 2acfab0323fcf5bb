"""
The baseline of `lab.bench.workers`: a plain Faust agent that updates a table for every reading, and writes no database.

    python -m lab.load.plain SERVERS COUNT DIRECTORY

puts COUNT readings as JSON on a topic of its own, reads them, and prints how many a second it did.
"""

import asyncio
import json
import os
import sys
import time
from typing import Any

import faust
from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]

TOPIC = "plain"
RATE = "readings a second: "  # what it prints before its figure
SERIES = 1_000


def main() -> None:
    """Produce, then consume until all were counted."""
    servers, count, directory = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    asyncio.run(_produce(servers, count))
    faust.Worker(agent(servers, count, directory), loglevel="error", redirect_stdouts=False).execute_from_commandline()


async def _produce(servers: str, count: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    for at in range(count):
        reading = {"series": at % SERIES, "start": at // SERIES * 60, "value": at % 30}
        await producer.send(TOPIC, json.dumps(reading).encode(), key=str(at % SERIES).encode())
    await producer.stop()


def agent(servers: str, count: int, directory: str) -> Any:
    """Make the agent as Faust's own documentation has it; it ends the process when it has counted `count`."""
    app = faust.App(
        "plain", broker=f"kafka://{servers}", store="memory://", datadir=directory, topic_partitions=1,
        consumer_auto_offset_reset="earliest", stream_wait_empty=False, web_enabled=False,
    )  # fmt: skip
    sums: Any = app.Table("sums", default=float)
    done = 0
    began = 0.0

    @app.agent(app.topic(TOPIC, value_type=bytes, value_serializer="json"))
    async def add(readings: Any) -> None:
        nonlocal done, began
        async for reading in readings:
            began = began or time.perf_counter()
            sums[f"{reading['series']}/{reading['start'] // 300}"] += reading["value"]
            done += 1
            if done == count:
                print(f"{RATE}{count / (time.perf_counter() - began)}", flush=True)
                os._exit(0)  # a shutdown in good order would wait for the table

    return app


if __name__ == "__main__":
    main()
