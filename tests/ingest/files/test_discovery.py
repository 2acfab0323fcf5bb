"""What devices announce as Home Assistant's discovery has it becomes a mapping file, and their states readings."""

import json
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aggregates.store.store import Store
from hub.cli.files import formats_discover
from hub.settings.layers import load
from ingest.files.discovery import discovered
from ingest.formats.decode import decode
from ingest.formats.mapping_reader import MappedFormat
from ingest.formats.mapping_schema import load as load_mapping
from ingest.formats.registry import load_formats
from ingest.mqtt.receiver import Receiver
from ingest.mqtt.sender import Sender
from ingest.vocabulary.readings import BadPayload, Message, Reading
from ingest.vocabulary.sources import source_of_topic, subscriptions
from streams.commit.pipeline import Pipeline
from tests.ingest.mqtt.test_retained import retain
from tests.support.brokers import NEEDS_MOSQUITTO, mosquitto
from tests.support.databases import tables
from tests.support.lines import Taker, until

pytestmark = pytest.mark.usefixtures("registries")
NOW = datetime(2026, 11, 1, 10, tzinfo=UTC)
GARDEN = {
    "dev_cla": "temperature", "stat_cla": "measurement", "~": "esp/garden", "stat_t": "~/state", "unit_of_meas": "°C",
    "val_tpl": "{{ value_json.air.t | float }}", "uniq_id": "g1", "dev": {"ids": ["0x0015"], "name": "Garden"},
}  # fmt: skip
HUMIDITY = {
    "device_class": "humidity", "state_topic": "esp/garden/state", "unit_of_measurement": "%",
    "value_template": "{{ value_json['hum'] }}", "device": {"identifiers": "0x0015"},
}  # fmt: skip
ROOF = {"device_class": "pm25", "state_topic": "homeassistant/sensor/roof/state", "unit_of_measurement": "µg/m³"}
BOX = {
    "dev": {"ids": "box"}, "state_topic": "box/all", "unit_of_measurement": "°C", "dev_cla": "temperature",
    "cmps": {
        "in": {"p": "sensor", "val_tpl": '{{ value_json["T.in"] }}'},
        "out": {"p": "sensor", "val_tpl": "{{ value_json.list[1].out }}"},
        "lamp": {"p": "light"},
    },
}  # fmt: skip
SAID = {
    "homeassistant/sensor/garden/t/config": GARDEN, "homeassistant/sensor/garden/h/config": HUMIDITY,
    "homeassistant/sensor/roof/config": ROOF, "homeassistant/device/box/config": BOX,
}  # fmt: skip
STATES = {
    "esp/garden/state": b'{"air": {"t": 21.5}, "hum": 60}', "homeassistant/sensor/roof/state": b"8.5",
    "box/all": b'{"T.in": 19, "list": [{}, {"out": 4}]}',
}  # fmt: skip
READINGS = {
    ("0x0015", "", "temperature", 21.5), ("0x0015", "", "humidity", 60.0), ("roof", "", "pm25", 8.5),
    ("box", "in", "temperature", 19.0), ("box", "out", "temperature", 4.0),
}  # fmt: skip


def announced(**config: Any) -> dict[str, bytes]:
    """One value of a device, which is right but for what is given."""
    one = {"stat_t": "a/b", "dev_cla": "temperature", "unit_of_meas": "°C", **config}
    return {"homeassistant/sensor/garden/config": json.dumps(one).encode()}


def key(reading: Reading) -> tuple[str, str, str, float | None]:
    """Give what a test compares of a reading."""
    return reading.sensor_id.partition("/")[2], reading.channel, reading.quantity, reading.value


def test_states_of_announced_values_are_readings(tmp_path: Path) -> None:
    """Short and long names, one message for a value and one for a device; the file loads, and reads their states."""
    path = tmp_path / "mine.toml"
    path.write_text(discovered({topic: json.dumps(one).encode() for topic, one in SAID.items()}, "mine"))
    reader = MappedFormat("mine", load_mapping(path))
    found = [one for topic, payload in STATES.items() for one in reader(Message(topic, payload, NOW))]
    assert {key(one) for one in found if isinstance(one, Reading)} == READINGS
    assert {topic: source_of_topic(topic) for topic in STATES} == dict.fromkeys(STATES, "mine")
    assert source_of_topic("homeassistant/sensor/other/state") == "homeassistant"
    with pytest.raises(BadPayload, match="esp/garden/state"):
        list(reader(Message("esp/garden/other", b"5", NOW)))


def test_what_is_not_understood_is_named() -> None:
    """Nothing is guessed: kinds, classes, templates and units that say nothing to the hub are comments, with why."""
    odd: dict[str, tuple[dict[str, Any], str]] = {
        "light/a": ({}, "a light, expected a sensor"),
        "sensor/b": ({"dev_cla": "battery"}, "device_class 'battery', expected one of"),
        "sensor/c": ({"dev_cla": None}, "device_class None, expected one of"),
        "sensor/d": ({"val_tpl": "{{ value_json.t / 10 }}"}, "value_template '{{ value_json.t / 10 }}', expected"),
        "sensor/e": ({"unit_of_meas": "V"}, "unit 'V' of temperature"),
        "sensor/f": ({"stat_cla": "total_increasing"}, "state_class 'total_increasing', expected measurement"),
        "sensor/g": ({"ent_cat": "diagnostic"}, "about the device itself"),
        "sensor/h": ({"stat_t": "zigbee2mqtt/h"}, "'zigbee2mqtt/h' is read already, as of source 'zigbee2mqtt'"),
        "sensor/i": ({"stat_t": 5}, "Expected `str`, got `int`"),
    }
    said = {f"homeassistant/{name}/config": announced(**more).popitem()[1] for name, (more, _) in odd.items()}
    said |= {"homeassistant/sensor/j/config": b"{", "homeassistant/sensor/gone/config": b"", **announced()}
    text = discovered(said, "mine")
    for name, why in [*((name, why) for name, (_, why) in odd.items()), ("sensor/j", "a message that is no JSON")]:
        assert f"# not read: homeassistant/{name}/config, {name[-1]}: {why}" in text
    assert "gone" not in text
    assert len(tomllib.loads(text)["message"]) == 1


@pytest.mark.parametrize(
    ("template", "pointer"),
    [(None, ""), ("{{ value }}", ""), ("{{value|float}}", ""), ("{{ value_json }}", ""),
     ("{{ value_json.a.b }}", "/a/b"), ("{{ value_json['a/b'].c | is_defined }}", "/a~1b/c"),
     ("{{ value.a }}", None), ("{{ value_json.a if x }}", None), ("{{ value_json['a }}", None)],
)  # fmt: skip
def test_simple_templates_are_pointers(template: str | None, pointer: str | None) -> None:
    """The whole state, or members of it; anything that computes is none."""
    said = announced(**{"val_tpl": template} if template else {})
    if pointer is None:
        with pytest.raises(BadPayload, match=r"no value announced that can be read .*\n.*value_template"):
            discovered(said, "mine")
    else:
        assert tomllib.loads(discovered(said, "mine"))["message"][0]["reading"][0]["value"] == pointer


def test_the_built_in_broker_keeps_no_announcement() -> None:
    """Whoever asks it, and so finds nothing, is told."""
    with pytest.raises(BadPayload, match=r"no value announced .* \(the built-in broker keeps none\)$"):
        discovered({}, "mine")


def test_recording_is_read_as_the_broker_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `mosquitto_sub -v` wrote gives the same file."""
    file = tmp_path / "said.txt"
    file.write_text("\n".join(f"{topic} {json.dumps(one)}" for topic, one in SAID.items()) + "\n")
    formats_discover(load({}), file, name="mine")
    assert len(tomllib.loads(capsys.readouterr().out)["message"]) == 3


@NEEDS_MOSQUITTO[0]
@NEEDS_MOSQUITTO[1]
def test_announced_by_a_real_broker(tmp_path: Path, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Devices announce themselves to Mosquitto; the file of that makes rows of the states that they send later."""
    broker = mosquitto(tmp_path).start()
    try:
        for topic, config in SAID.items():
            retain(broker, topic, json.dumps(config).encode())
        formats_discover(load({"broker": f"mqtt://127.0.0.1:{broker.port}"}), name="mine")
        (tmp_path / "mappings").mkdir()
        (tmp_path / "mappings" / "mine.toml").write_text(capsys.readouterr().out)
        load_formats([tmp_path / "mappings"])
        taker = Taker(Receiver(broker.address(), subscriptions(), "test"))
        with Sender(broker.address()) as sender:
            for topic, payload in STATES.items():
                sender.publish(topic, payload)
            sender.flush(60)
        until(lambda: {*STATES} <= {one.topic for one in list(taker.taken)})
        assert taker.stop()
    finally:
        broker.stop()
    batch = decode([one for one in taker.taken if one.topic in STATES])
    assert not batch.dead_letters
    Pipeline(store).store(batch)
    rows = tables(store.conninfo)["reading"]
    assert {(str(row[0]).partition("/")[2], *row[1:3], row[5]) for row in rows} == READINGS
