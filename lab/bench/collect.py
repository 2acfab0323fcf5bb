"""
How many QoS 1 messages a second the collector takes and decodes, beside a stock paho client that does nothing.

Method: both have a persistent session; the same messages are published while both are away, then each drains its
queue alone, in alternating order, three times. So no publisher competes for the processor, and the time runs from the
connection to the last message acknowledged. The log under the collector commits at once. `lab.rig.broker` gives the
broker.
"""

import statistics
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from ingest.collector import Collector
from ingest.mqtt.address import Address
from ingest.mqtt.receiver import Receiver
from ingest.mqtt.sender import Sender
from ingest.vocabulary.batch import Batch
from lab.load.result import Result
from lab.rig.broker import local_broker

_FILTER = "stadspuls/#"
_PATIENCE = 120.0


def collect(messages: int = 60_000, runs: int = 3) -> Result:
    """Measure; the default takes about half a minute."""
    import_module("ingest.formats.coded.stadspuls")
    with local_broker() as (name, address):
        messages = messages if name == "mosquitto" else min(messages, 20_000)  # the other one's memory is bounded
        sides: dict[str, Callable[[Address, int], float]] = {"ours": _ours, "stock": _stock}
        for drain in sides.values():
            drain(address, 0)
        rates: dict[str, list[float]] = {side: [] for side in sides}
        for run in range(runs):
            size = _publish(address, messages)
            for side in sorted(sides, reverse=run % 2 == 1):
                rates[side].append(messages / sides[side](address, messages))
    ours, stock = statistics.median(rates["ours"]), statistics.median(rates["stock"])
    details: dict[str, object] = {"broker": name, "messages": messages, "payload_bytes": size, "decoded": True}
    details |= {side: [round(rate) for rate in values] for side, values in rates.items()}
    baseline = "stock paho, loop_start, an on_message that does nothing, nothing decoded"
    return Result("collect", ours, "messages/s", stock, baseline, ours / stock, details)


def _publish(address: Address, messages: int) -> int:
    """Publish readings as a thousand sensors send them, a minute apart, and give the size of one."""
    begin = datetime(2024, 5, 1, tzinfo=UTC)
    payload = b""
    with Sender(address) as sender:
        for number in range(messages):
            sensor, minute = number % 1_000, begin + timedelta(minutes=number // 1_000)
            payload = (
                b'{"sensor_id":"stadspuls/HEREWEG-%04d","channel":"lane1/any","quantity":"vehicle_count","unit":"1",'
                b'"start":"%s","period":60,"value":%d}'
            ) % (sensor, minute.strftime("%Y-%m-%dT%H:%M:%SZ").encode(), number % 40)
            sender.publish(f"stadspuls/stadspuls/HEREWEG-{sensor:04d}", payload)
        sender.flush(_PATIENCE)
    return len(payload)


class _Committed:
    """A log that commits at once, and counts."""

    def __init__(self, expected: int) -> None:
        self.all = threading.Event()
        self._left = expected

    def put(self, batch: Batch, committed: Callable[[], None]) -> None:
        committed()
        self._left -= len(batch)
        if self._left <= 0:
            self.all.set()


def _ours(address: Address, messages: int) -> float:
    """Take `messages` and give the seconds it took; 0 only subscribes."""
    log = _Committed(messages)
    receiver = Receiver(address, [_FILTER], "bench", in_flight_messages=200_000)
    collector = Collector(receiver.rounds, receiver.acknowledge, log.put)
    began = time.perf_counter()
    collector.start()
    receiver.start()
    _wait(log.all if messages else receiver.ready)
    receiver.stop(_PATIENCE)
    collector.join(_PATIENCE)
    return time.perf_counter() - began


def _stock(address: Address, messages: int) -> float:
    """Take `messages` the way of paho's own examples."""
    subscribed, all_in = threading.Event(), threading.Event()
    left = messages

    def on_message(_client: Client, _userdata: object, _message: MQTTMessage) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            all_in.set()

    client = Client(CallbackAPIVersion.VERSION2, "bench-stock", clean_session=False)
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = on_message
    began = time.perf_counter()
    client.connect(address.host, address.port)
    client.loop_start()
    if not messages:
        client.subscribe(_FILTER, 1)
    _wait(all_in if messages else subscribed)
    client.disconnect()
    client.loop_stop()
    return time.perf_counter() - began


def _wait(event: threading.Event) -> None:
    if not event.wait(_PATIENCE):
        raise TimeoutError(f"the broker did not deliver everything within {_PATIENCE:.0f} s")
