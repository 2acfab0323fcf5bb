"""Every payload format against its cases: a topic, a payload, and the readings or the refusal they must give."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from ingest.formats.coded import stadspuls
from ingest.formats.decode import FORMATS, decode
from ingest.formats.mapping_reader import MappedFormat
from ingest.vocabulary.batch import Batch, own_json
from ingest.vocabulary.readings import Message, Site
from tests.conftest import CASES, ROOT

RECEIVED = datetime(2026, 5, 4, 9, tzinfo=UTC)
NAMES = sorted(folder.name for folder in CASES.iterdir() if (folder / "payload").exists())
OWN = [name for name in NAMES if name.startswith("stadspuls-")]
# Right in shape and wrong in meaning: the schema lets these pass, the registry and the clock do not.
WRONG_IN_MEANING = {
    "stadspuls-bad-unit", "stadspuls-bad-quantity", "stadspuls-bad-stamp-1970", "stadspuls-bad-stamp-2099",
    "stadspuls-bad-facts-of-two-sensors",
}  # fmt: skip


def case(name: str) -> Message:
    """Make a message of a case folder."""
    folder = CASES / name
    sites = folder / "sites.json"
    known = msgspec.json.decode(sites.read_bytes(), type=dict[str, Site]) if sites.exists() else {}
    return Message((folder / "topic").read_text(), (folder / "payload").read_bytes(), RECEIVED, known)


def contents(batch: Batch) -> dict[str, Any]:
    """Write a batch as `readings.json` has it."""
    parts = {
        "readings": [json.loads(own_json(row)) for row in batch.readings.to_pylist()],
        "sensors": json.loads(msgspec.json.encode(batch.sensors)),
        "refused": [letter.reason for letter in batch.dead_letters],
    }
    return {key: value for key, value in parts.items() if value}


@pytest.mark.parametrize("name", NAMES)
def test_case_gives_its_readings(name: str) -> None:
    """A payload gives exactly the readings, sensor facts and refusals that stand beside it."""
    assert contents(decode([case(name)])) == json.loads((CASES / name / "readings.json").read_text())


@pytest.mark.parametrize("source", sorted(path.stem for path in (ROOT / "ingest/formats/mappings").glob("*.toml")))
def test_every_mapping_has_a_case(source: str) -> None:
    """A mapping file is not shipped without its evidence."""
    assert any(name.startswith(f"{source}-") for name in NAMES)


def test_every_format_with_code_has_a_good_and_a_bad_case() -> None:
    """A module in `ingest.formats` is not shipped without a payload it reads and one it refuses."""
    coded = {source for source, function in FORMATS.items() if not isinstance(function, MappedFormat)}
    assert coded >= {"stadspuls", "ndw", "luchtmeetnet", "datex2_fr", "datex2_gb"}
    for source in coded:
        own = [name.removeprefix(f"{source}-") for name in NAMES if name.startswith(f"{source}-")]
        assert any(name.startswith("bad-") for name in own), source
        assert any(not name.startswith("bad-") for name in own), source


@pytest.mark.parametrize("name", OWN)
def test_schema_agrees_with_the_decoder(name: str) -> None:
    """What the own JSON's schema lets pass decodes, and what does not decode fails it, but for wrong meanings."""
    good = not name.startswith("stadspuls-bad-") or name in WRONG_IN_MEANING
    schema = json.loads(Path(stadspuls.__file__).with_name("stadspuls.schema.json").read_text())
    assert _valid((CASES / name / "payload").read_bytes(), schema) == good


def _valid(payload: bytes, schema: Any) -> bool:
    try:
        jsonschema.validate(msgspec.json.decode(payload), schema)
    except (jsonschema.ValidationError, msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def test_schema_is_a_schema() -> None:
    """The schema file itself follows JSON Schema 2020-12."""
    schema = json.loads((ROOT / "ingest/formats/coded/stadspuls.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)


def test_schema_knows_every_flag() -> None:
    """The flags in the schema are those of the vocabulary."""
    schema = json.loads((ROOT / "ingest/formats/coded/stadspuls.schema.json").read_text())
    bits, names = schema["$defs"]["reading"]["properties"]["flags"]["anyOf"]
    assert bits["maximum"] == stadspuls.ANY_FLAG
    assert ", ".join(names["items"]["enum"]) == stadspuls.FLAGS
