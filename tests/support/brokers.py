"""Real brokers for tests: Mosquitto, where the program is installed, and the built-in one (rumqttd)."""

import sys
from pathlib import Path

import pytest

from lab.rig.broker import PROGRAM as MOSQUITTO
from lab.rig.broker import Broker, free_port, mosquitto

__all__ = ["MOSQUITTO", "NEEDS_MOSQUITTO", "Broker", "built_in", "free_port", "mosquitto"]

NEEDS_MOSQUITTO = [
    pytest.mark.mosquitto,
    pytest.mark.skipif(MOSQUITTO is None, reason="the mosquitto program is not installed"),
]

_BUILT_IN = """
id = 0
[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v4.1]
name = "v4"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v4.1.connections]
connection_timeout_ms = 60000
max_payload_size = 1048576
max_inflight_count = 100
dynamic_filters = true
"""
_SERVE = "import sys; from iotcore.iotcore import IotCoreBroker as B; B(config_path=sys.argv[1]).run_forever()"


def built_in(directory: Path) -> Broker:
    """Make the broker that comes with the hub."""
    port = free_port()
    config = directory / "broker.toml"
    config.write_text(_BUILT_IN.format(port=port))
    return Broker([sys.executable, "-c", _SERVE, str(config)], port)
