"""
How long a reading takes from being published to being queryable, at a steady 1,000 messages a second.

The hub runs as users run it. Each message is one reading of a sensor that the hub knows, a sensor a minute, in the
hub's own JSON. A reader counts what is committed, by the accounting that the readings' own transaction writes: broker
and hub keep the order, so the n-th reading is queryable once n are counted. The time runs from when a message was due,
so a publisher that is held up counts against the hub.

The baseline, measured in the same run through the same broker and at the same pace, is a plain MQTT round trip: from
being published to arriving at a subscriber that does nothing. With viewers of the live page there are four turns on one
hub, with them, twice, between two without, so that what they cost is not what the machine did meanwhile.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aggregates.store.store import Store
from hub.settings.settings import Settings
from ingest.mqtt.receiver import Receiver
from ingest.mqtt.sender import Sender
from lab.load.result import Result
from lab.load.servers import BenchHub, hub, received, until
from lab.load.viewers import looked_at

_ECHO = "bench/echo"
_PATIENCE = 120.0  # s
_LOOK = 0.01  # s between two looks at what is committed
_SLOT = 0.005  # s: messages due within one are sent together


def latency(
    settings: Settings, rate: int = 1_000, seconds: float = 30.0, echo_seconds: float = 5.0, viewers: int = 0
) -> Result:
    """
    Measure `seconds` through the hub after `echo_seconds` of round trips; the default takes a minute.

    So many `viewers` look at the live page, each by a stream of its own, and fetch what changed: then it takes three.
    """
    now = datetime.now(UTC)
    window, minute = now.replace(minute=now.minute // 5 * 5, second=0, microsecond=0), timedelta(minutes=1)
    count = int(rate * seconds)
    alone: list[Turn] = []
    beside: list[Turn] = []
    with hub(settings) as running, Sender(running.address) as sender:
        trips = _round_trips(running, sender, rate, int(rate * echo_seconds))
        send(sender, 1e6, (message(number, window) for number in range(count)))
        for at, looking in enumerate([0, viewers, viewers, 0] if viewers else [0], 1):
            turn = _turn(running, sender, rate, count, window + at * minute, looking)
            (beside if looking else alone).append(turn)
    found, looked = _together(beside or alone), beside[-1].looked if beside else {}
    if beside:
        without = _together(alone)
        cost = {name: round(found[name] / without[name] - 1, 3) for name in ("median_s", "cores")}
        looked |= {"without_viewers": without, "viewers_cost": cost, "limit_of_cost": "0.1 of the median"}
    baseline = float(np.median(trips))
    details: dict[str, object] = {
        "messages": count, "messages_s": rate, **found, "round_trip_p99_s": round(float(np.quantile(trips, 0.99)), 4),
        "limits": "p99 0.1 s, 0.15 of a core",
        **looked,
    }  # fmt: skip
    name = "MQTT round trip through the same broker at the same pace, median; the ratio is how many times that"
    return Result("latency", found["median_s"], "s", baseline, name, found["median_s"] / baseline, details)


class Turn(NamedTuple):
    """How long each message of a turn took, the cores of hub and broker meanwhile, and what its viewers received."""

    waits: NDArray[np.float64]
    cores: NDArray[np.float64]
    looked: dict[str, object]


def _turn(running: BenchHub, sender: Sender, rate: float, count: int, start: datetime, viewers: int) -> Turn:
    with looked_at(running.http, viewers) as looked, _watched(running, count) as (seen, ours):
        before, began = running.cpu_seconds([ours]), time.perf_counter()
        due = send(sender, rate, (message(number, start) for number in range(count)))
        seconds = time.perf_counter() - began
        spent = np.subtract(running.cpu_seconds([ours]), before)
    return Turn(_waits(due, seen), spent / seconds, looked)


def _together(turns: list[Turn]) -> dict[str, float]:
    waits = np.concatenate([one.waits for one in turns])
    cores, of_broker = np.mean([one.cores for one in turns], axis=0)
    return {
        "median_s": round(float(np.median(waits)), 4), "p99_s": round(float(np.quantile(waits, 0.99)), 3),
        "max_s": round(float(waits.max()), 3),
        "cores": round(float(cores), 3), "broker_cores": round(float(of_broker), 3),
    }  # fmt: skip


Seen = list[tuple[float, int]]  # at this time so many messages were through


def _waits(due: NDArray[np.float64], seen: Seen) -> NDArray[np.float64]:
    """
    Give for each message how long after it was due it was first seen.

    >>> _waits(np.array([0.0, 1.0, 2.0]), [(0.5, 0), (1.5, 2), (2.25, 3)]).tolist()
    [1.5, 0.5, 0.25]
    """
    times, counts = np.array(seen).T
    first: NDArray[np.float64] = times[np.searchsorted(counts, np.arange(1, len(due) + 1))]
    return first - due


def send(sender: Sender, rate: float, messages: Iterator[tuple[str, bytes]]) -> NDArray[np.float64]:
    """Publish at a pace and give when each message was due."""
    began = time.perf_counter()
    due = []
    for number, (topic, payload) in enumerate(messages):
        due.append(began + number / rate)
        if due[-1] > time.perf_counter():
            time.sleep(_SLOT)
        sender.publish(topic, payload)
    sender.flush(_PATIENCE)
    return np.array(due)


def message(number: int, start: datetime) -> tuple[str, bytes]:
    """Give topic and payload of a minute's count of one sensor."""
    payload = (
        f'{{"sensor_id":"stadspuls/BENCH-{number:06d}","channel":"lane1/any","quantity":"vehicle_count","unit":"1",'
        f'"start":"{start:%Y-%m-%dT%H:%M:%SZ}","period":60,"value":{number % 40}}}'
    )
    return f"stadspuls/stadspuls/BENCH-{number:06d}", payload.encode()


@contextmanager
def _watched(running: BenchHub, count: int) -> Iterator[tuple[Seen, int]]:
    """
    Wait until everything sent so far is committed; then note what is committed of `count` more, until all are.

    Gives the process of the database that looks, too.
    """
    seen: Seen = []
    with closing(Store(running.database)) as store:
        ((ours,),) = store.rows("read_backend")
        until(lambda: received(store), count, "readings committed", _PATIENCE)
        thread = threading.Thread(target=_watch, args=(store, count, seen), name="watch", daemon=True)
        thread.start()
        yield seen, ours
        thread.join(_PATIENCE)
    if not seen or seen[-1][1] < count:
        raise TimeoutError(f"{seen[-1][1] if seen else 0} of {count} readings committed after {_PATIENCE:.0f} s")


def _watch(store: Store, count: int, seen: Seen) -> None:
    before = received(store)
    while not seen or seen[-1][1] < count:
        now = received(store) - before
        seen.append((time.perf_counter(), now))
        time.sleep(_LOOK)


def _round_trips(running: BenchHub, sender: Sender, rate: int, count: int) -> NDArray[np.float64]:
    """Publish to a subscriber of the bench's own and give how long each message took."""
    receiver = Receiver(running.address, [_ECHO], "stadspuls-bench-echo", gather=0.0)
    seen: Seen = []

    def listen() -> None:
        for deliveries in receiver.rounds():
            seen.append((time.perf_counter(), len(deliveries) + (seen[-1][1] if seen else 0)))
            receiver.acknowledge(delivery.token for delivery in deliveries)

    thread = threading.Thread(target=listen, name="echo", daemon=True)
    thread.start()
    receiver.start()
    until(receiver.ready.is_set, True, "subscriptions", _PATIENCE)
    due = send(sender, rate, ((_ECHO, b"%d" % number) for number in range(count)))
    until(lambda: seen[-1][1] if seen else 0, count, "messages echoed", _PATIENCE)
    receiver.stop(_PATIENCE)
    thread.join(_PATIENCE)
    return _waits(due, seen)
