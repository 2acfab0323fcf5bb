"""
Paho's clients as the hub makes them: of an address, with a socket that buffers.

`ingest.mqtt.connection` keeps one connected; `refusal` connects once, for `stadspuls doctor` and to end a session.
"""

import secrets
import socket
import time
from typing import cast

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from ingest.mqtt.address import Address
from ingest.mqtt.socket import BufferedSocket


class BufferedClient(Client):
    """A client that does not touch the network by itself."""

    def _create_socket(self) -> BufferedSocket:
        # The one private name of paho in this hub: there is no public way to give it a socket.
        return BufferedSocket(cast(socket.socket, super()._create_socket()))


def make_client(address: Address, client_id: str, persistent: bool) -> BufferedClient:
    """Make a client that acknowledges and reconnects only when it is made to."""
    client = BufferedClient(
        CallbackAPIVersion.VERSION2, client_id, clean_session=None if address.version == 5 else not persistent,
        protocol=MQTTProtocolVersion(address.version), manual_ack=True, reconnect_on_failure=False,
    )  # fmt: skip
    client.max_inflight_messages_set(0)
    _authorise(client, address)
    return client


def refusal(address: Address, seconds: float, client_id: str | None = None) -> str | None:
    """Connect once with a clean session, and leave; give why the broker does not let us in, None where it does."""
    answers: list[ReasonCode] = []
    client = Client(
        CallbackAPIVersion.VERSION2, client_id or f"stadspuls-look-{secrets.token_hex(6)}",
        protocol=MQTTProtocolVersion(address.version), reconnect_on_failure=False,
    )  # fmt: skip
    client.connect_timeout = seconds
    client.on_connect = lambda _c, _u, _flags, why, _p: answers.append(why)
    until = time.monotonic() + seconds
    try:
        _authorise(client, address)
        client.connect(address.host, address.port)
        while not answers and time.monotonic() < until and client.loop(0.1) == MQTTErrorCode.MQTT_ERR_SUCCESS:
            pass
        client.disconnect()
    except (OSError, ValueError) as error:
        return str(error) or type(error).__name__
    if answers:
        return str(answers[0]) if answers[0].is_failure else None
    return f"no answer to CONNECT within {seconds:.0f} s" if time.monotonic() >= until else "closed on CONNECT"


def _authorise(client: Client, address: Address) -> None:
    if address.user is not None:
        client.username_pw_set(address.user, address.password)
    if address.tls:
        client.tls_set_context(address.context())
