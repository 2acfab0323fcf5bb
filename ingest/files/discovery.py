"""
A mapping file from Home Assistant's MQTT discovery: which topics have the values of devices, and what they measure.

A device announces each value by a message that the broker retains, on `homeassistant/<kind>/[<node>/]<name>/config`, or
all of them by one of the kind `device`. The hub keeps nothing between two messages: what was announced becomes a file,
for people to read and change. `discovery.toml` has the names; `stadspuls formats discover` prints the file.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from json import dumps
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ingest.formats.pointers import step
from ingest.vocabulary.quantities import QUANTITIES, convert
from ingest.vocabulary.readings import BadPayload
from ingest.vocabulary.sources import source_of_topic
from ingest.vocabulary.values import shipped_toml, visible

_NAMES = shipped_toml(__file__, "discovery.toml")
_STEP = r"""\.(\w+)|\[\s*(?:'([^']+)'|"([^"]+)"|(\d+))\s*\]"""
_TEMPLATE = re.compile(rf"\{{\{{\s*value(?:_json((?:{_STEP})*))?\s*(?:\|\s*(?:float|is_defined)\s*)*\}}\}}")
_TEXTS = Environment(loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True)
_TEXTS.filters["quoted"] = partial(dumps, ensure_ascii=False)  # a text for TOML


class Announced(msgspec.Struct):
    """What is announced of one value; `platform` is its kind, `~` the beginning or end of its topic."""

    key: str
    platform: str
    state_topic: str
    value_template: str = "{{ value }}"
    device_class: str | None = None
    state_class: str | None = None
    unit_of_measurement: str | None = None
    entity_category: str | None = None
    base: str = msgspec.field(name="~", default="")
    device: dict[str, Any] = {}

    def __post_init__(self) -> None:
        self.state_topic = re.sub("^~|~$", lambda _: self.base, self.state_topic)


def discovered(said: Mapping[str, bytes], source: str) -> str:
    """
    Write a mapping file for `source` from messages by their topic; its comments name what is not read, and why.

    Raises BadPayload where nothing is read.
    """
    rules: dict[str, list[dict[str, Any]]] = defaultdict(list)
    left = []
    for topic in (one for one in said if one.endswith("/config") and one.count("/") in (3, 4)):
        for config in _configs(topic, said[topic]):
            try:
                announced = msgspec.convert(config, Announced)
                reading = _reading(announced)
                rules[announced.state_topic].append(reading)
            except ValueError as error:
                left.append(visible(f"{topic}, {config['key']}: {error}"))
    if not rules:
        raise BadPayload("\n".join(["no value announced that can be read (the built-in broker keeps none)", *left]))
    alike = Counter((one["sensor"], one["quantity"]) for every in rules.values() for one in every)
    return _TEXTS.get_template("discovery.toml.j2").render(source=source, left=left, rules=rules, alike=alike)


def _configs(topic: str, payload: bytes) -> Iterator[dict[str, Any]]:
    """Give the members of every value that a message announces; an empty one takes back what was."""
    _, platform, *_, name, _ = topic.split("/")
    try:
        said = _long(msgspec.json.decode(payload or b"{}", type=dict[str, Any]))
        parts = msgspec.convert(said.pop("components", {name: {}} if said else {}), dict[str, dict[str, Any]])
    except ValueError:
        said, parts = {"state_topic": ""}, {name: {"platform": "message that is no JSON object"}}
    for key, one in parts.items():
        yield {**said, "platform": platform, **_long(one), "key": key}


def _long(members: dict[str, Any]) -> dict[str, Any]:
    """Give members by their long names."""
    return {_NAMES["short"].get(name, name): value for name, value in members.items()}


def _reading(one: Announced) -> dict[str, Any]:
    """Give the keys of the rule for a value; raises BadPayload for what the hub does not understand."""
    quantity, other = _NAMES["quantity"].get(one.device_class), source_of_topic(one.state_topic)
    template = _TEMPLATE.fullmatch(one.value_template.strip())
    path = re.findall(_STEP, template[1] or "") if template else None
    for is_wrong, reason in (
        (one.platform != "sensor", f"a {one.platform}, expected a sensor"),
        (one.entity_category, "about the device itself"),
        (other not in (None, "homeassistant"), f"{one.state_topic!r} is read already, as of source {other!r}"),
        (not quantity, f"device_class {one.device_class!r}, expected one of {', '.join(_NAMES['quantity'])}"),
        (one.state_class not in (None, "measurement"), f"state_class {one.state_class!r}, expected measurement"),
        (path is None, f"value_template {one.value_template!r}, expected one as {{{{ value_json.temperature }}}}"),
    ):
        if is_wrong:
            raise BadPayload(reason)
    convert(0, one.unit_of_measurement or "", QUANTITIES[quantity])
    known = _long(one.device).get("identifiers") or one.key
    return {
        "value": "".join(step("".join(names)) for names in path or ()),
        "quantity": quantity, "unit": one.unit_of_measurement,
        "sensor": re.sub(r"[^\w.:-]+", "_", str(known)).strip("_"), "channel": one.key,
    }  # fmt: skip
