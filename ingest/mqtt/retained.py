"""
Retained messages: a broker keeps the last one of each topic for ever, and none that the hub is meant for limits them.

So anybody who may publish could fill the broker. `hub.run.retained` calls this once a minute. A deletion is an empty
message, which the collector takes like any other: a dead letter says on which topic.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode

from ingest.mqtt.address import Address
from ingest.mqtt.client import make_client

_QUIET = 1.0  # s without one, after which the broker has sent all
_PATIENCE = 30.0  # s for one look


def clear_retained(address: Address, filters: Sequence[str], most: int, kept: Callable[[str], bool]) -> int:
    """
    Delete the retained messages of these filters beyond `most` bytes in all, and give how many.

    Those of topics that are `kept` stay, and do not count. Raises OSError where the broker is away.
    """
    size = deleted = 0
    last = began = time.monotonic()

    def look(client: Client, _user: object, message: MQTTMessage) -> None:
        nonlocal size, deleted, last
        if message.retain and not kept(message.topic):
            last = time.monotonic()
            size += len(message.topic) + len(message.payload)
            if size > most:
                client.publish(message.topic, b"", retain=True)
                deleted += 1

    def subscribe(client: Client, *_: Any) -> None:
        for name in filters:
            client.subscribe(name)

    client = make_client(Client, address, f"stadspuls-look-{secrets.token_hex(6)}")
    client.on_message, client.on_connect = look, subscribe
    client.connect(address.host, address.port)
    going = MQTTErrorCode.MQTT_ERR_SUCCESS
    while going == MQTTErrorCode.MQTT_ERR_SUCCESS and (now := time.monotonic()) < began + _PATIENCE:
        if now > last + _QUIET and not client.want_write():
            break
        going = client.loop(0.1)
    client.disconnect()
    return deleted
