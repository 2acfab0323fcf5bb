"""Field cases that take a running hub: brokers, clocks, and the nights that clocks change."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.brokers import NEEDS_MOSQUITTO, mosquitto
from tests.support.hubs import Asked, UpHub
from tests.support.lines import until

DATASTREAM = """
[[message]]
sensor = "{topic:v1.1/+/Observations}"
stamp = "/phenomenonTime"
require = ["/result"]
reading = [{ value = "/result", key = "{topic:v1.1/+/Observations}" }]
[table."Datastreams(1)"]
quantity = "no2"
unit = "ug/m3"
"""
START = datetime(2026, 3, 2, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpHub]:
    """A hub that is ready, with a mapping file of its own for a SensorThings server."""
    directory = tmp_path_factory.mktemp("field")
    (directory / "sensorthings.toml").write_text(DATASTREAM)
    made = UpHub(directory / "hub")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STADSPULS_MAPPINGS", str(directory))
        made.start()
        yield made
    made.clean_up()


def say(
    port: int, *said: tuple[str, bytes], name: str = "device", qos: int = 1, retain: bool = False
) -> None:  # fmt: skip
    """Publish as a device does that is not the hub's."""
    device = Client(CallbackAPIVersion.VERSION2, name)
    device.connect("127.0.0.1", port)
    device.loop_start()
    for topic, payload in said:
        device.publish(topic, payload, qos, retain).wait_for_publish(30)
    device.disconnect()
    device.loop_stop()


def own(sensor: str, start: datetime, value: float, quantity: str = "bicycle_count") -> dict[str, Any]:
    """Make a minute of own JSON."""
    said = {"sensor_id": sensor, "quantity": quantity, "channel": "lane1/any", "period": 60, "value": value}
    return said | {"start": start.isoformat()}


def letters(hub: Asked, text: str) -> int:
    """Count the dead letters that say something."""
    found: Sequence[dict[str, Any]] = json.loads(hub.run("dead-letters", "list", "--format=json"))
    return sum(text in str(one) for one in found)


def test_client_ids_and_qos_2(hub: UpHub) -> None:
    """Cases `client-id` and `qos-2`: devices with any id publish at QoS 2, and each message counts once."""
    for minute, name in enumerate(["a/b", "a+b", "a$b", "dev1"]):
        reading = own("bridge", START + timedelta(minutes=minute), 10)
        say(hub.mqtt_port, ("stadspuls/stadspuls/bridge", json.dumps(reading).encode()), name=name, qos=2)
    hub.settle()
    windows = hub.query("bicycle_count", "2026-03-02", "2026-03-03", "5m", "--sensor=stadspuls/bridge")
    assert [(one["value"], one["readings"]) for one in windows] == [(40, 4)]


def test_frost_echo(hub: UpHub) -> None:
    """Case `frost-echo`: a server publishes an Observation without its time, then whole: it is stored once."""
    topic = "v1.1/Datastreams(1)/Observations"
    whole = {"phenomenonTime": "2026-11-28T18:10:00.583Z", "resultTime": "2026-11-28T18:10:00.000Z", "@iot.id": 47352}
    say(hub.mqtt_port, (topic, b'{"result": 52.0}'), (topic, json.dumps(whole | {"result": 52.0}).encode()))
    hub.settle()
    (window,) = hub.query("no2", "2026-11-28", "2026-11-29", "5m", "--sensor=sensorthings/Datastreams(1)")
    assert (window["value"], window["readings"]) == (52, 1)
    assert letters(hub, "no stamp in the message") == 1


def test_year_one(hub: UpHub) -> None:
    """Case `year-one`: a device before its first clock gives no reading of 1970, and a dead letter that says so."""
    payload = {"Time": "1970-01-01T00:00:09", "DS18B20": {"Id": "0", "Temperature": 19.4}, "TempUnit": "C"}
    say(hub.mqtt_port, ("tele/boat/SENSOR", json.dumps(payload).encode()))
    hub.settle()
    assert hub.query("temperature", "1970-01-01", "1970-01-02", "5m") == []
    assert letters(hub, "start before 2000-01-01") == 1


@pytest.mark.parametrize(("day", "first", "hours"), [("2025-10-26", 22, 25), ("2026-03-29", 23, 23)])
def test_minutes_over_the_switch(hub: UpHub, day: str, first: int, hours: int) -> None:
    """Case `minutes-over-the-switch`: a civil day has all its minutes in both nights that clocks change."""
    begin = datetime.fromisoformat(f"{day}T00:00Z") - timedelta(hours=24 - first)
    minutes = [own("dst", begin + timedelta(minutes=n), 1, "vehicle_count") for n in range(hours * 60)]
    say(hub.mqtt_port, ("stadspuls/stadspuls/dst", json.dumps(minutes).encode()))
    hub.settle()
    after = str(datetime.fromisoformat(day).date() + timedelta(days=1))
    found = hub.query("vehicle_count", day, after, "1h", "--sensor=stadspuls/dst")
    assert [one["value"] for one in found] == [60] * hours
    (whole,) = hub.query("vehicle_count", day, after, "1d", "--sensor=stadspuls/dst")
    assert (whole["date"], whole["value"], whole["coverage"]) == (day, hours * 60, 1)


@pytest.mark.parametrize("ends", ["hub", "broker"])
@NEEDS_MOSQUITTO[0]
@NEEDS_MOSQUITTO[1]
def test_retained_replay(tmp_path: Path, ends: str) -> None:
    """Case `retained-replay`: a retained push without a stamp is one reading, also after a restart of either side."""
    broker = mosquitto(tmp_path).start()
    hub = UpHub(tmp_path / "hub", f"--broker=mqtt://127.0.0.1:{broker.port}")
    push = {"esp8266id": "9002", "sensordatavalues": [{"value_type": "SDS_P1", "value": "31.00"}]}
    topic = "stadspuls/sensor_community/esp8266-9002"
    try:
        hub.start()
        say(broker.port, (topic, json.dumps(push).encode()), retain=True)
        until(lambda: hub.health()["messages_received"] >= 1)
        hub.settle()
        if ends == "hub":
            hub.stop()
            hub.start()
        else:
            broker.stop()
            broker.start()
        until(lambda: hub.health()["messages_received"] >= (1 if ends == "hub" else 2))
        hub.settle()
        assert hub.metric('stadspuls_readings_total{outcome="stored"') == 1
    finally:
        hub.clean_up()
        broker.stop()
