"""A source of one's own is a definition and a mapping file; a definition that cannot work is refused."""

import json
import re
from pathlib import Path

import pytest

from ingest.formats import decode as decoding
from ingest.formats import registry
from ingest.gateways.schedule import GATEWAYS, jobs
from ingest.vocabulary import sources as vocabulary
from tests.conftest import ROOT
from tests.support.country import Country
from tests.support.gatewayline import Line

MAPPING = """
[source]
title = "Harbour"
stamp = "instant"
class = "operational"
licence = "CC0"

[[message]]
sensor = "{/id}"
stamp = "/time"
reading = [{ value = "/value", quantity = "water_level" }]
"""
SHIPPED = {path.stem: path.read_text("utf-8") for path in (ROOT / "ingest/gateways/sources").glob("*.toml")}


@pytest.fixture(autouse=True)
def _registers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    for held in (decoding.FORMATS, registry._loaded, vocabulary._sources):
        for name in ("harbour",):
            monkeypatch.setitem(held, name, None)
            del held[name]


def test_example_of_the_documents(line: Line, sources: Country, tmp_path: Path) -> None:
    """The definition in docs/open-data.md polls a list, and publishes what is new or was corrected."""
    (text,) = re.findall(r"```toml\n(host.*?)```", (ROOT / "docs/open-data.md").read_text("utf-8"), re.DOTALL)
    own = tmp_path / "harbour.toml"
    own.write_text(text, "utf-8")
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings/harbour.toml").write_text(MAPPING, "utf-8")
    registry.load_formats([tmp_path / "mappings"])
    records = [{"id": "quay-1", "time": "2026-05-04T09:00:00Z", "value": 0.5, "position": [6.57, 53.22]},
               {"id": "far-away", "time": "2026-05-04T09:00:00Z", "value": 1, "position": [4.0, 52.0]}]  # fmt: skip
    sources.files["api/latest.json"] = json.dumps({"stations": records}).encode()
    runner = line.one(str(own))
    runner.turn()
    runner.turn()
    records[0]["value"] = 0.75
    sources.files["api/latest.json"] = json.dumps({"stations": records}).encode()
    runner.turn()
    assert [(one[0], one[1], one[3]) for one in line.readings()] == [
        ("harbour/quay-1", "water_level", 0.5), ("harbour/quay-1", "water_level", 0.75),
    ]  # fmt: skip
    assert runner.counts.events["requests", "not_modified"] == 1


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('every = "PT10M"', "", "Object missing required field `every`"),
        ('every = "PT10M"', 'every = "ten minutes"', "Invalid ISO8601 duration"),
        ("[windows]", "[window]", "unknown field `window`"),
        ('records = "/data"', 'recrods = "/data"', "unknown field `recrods`"),
        ('"/value"', '"value"', "pointer 'value', expected '' or one that begins with '/'"),
        ("[record]", '[record]\nparse = { station = ".+" }', "pointer 'station', expected '' or one"),
        ("[record]", '[record]\nparse = { "/station" = "(" }', "pattern '(': missing )"),
        ("host =", 'source = "nobody"\nhost =', "source 'nobody' is not known"),
        ("[windows]", "[windows", "Expected"),
    ],
)
def test_definition_that_cannot_work_is_refused(tmp_path: Path, old: str, new: str, reason: str) -> None:
    """The error names the file, and what is wrong with it."""
    own = tmp_path / "luchtmeetnet.toml"
    own.write_text(SHIPPED["luchtmeetnet"].replace(old, new, 1), "utf-8")
    with pytest.raises(ValueError, match=rf"luchtmeetnet\.toml: .*{re.escape(reason)}"):
        jobs([str(own)], {})


def test_gateways_there_are(tmp_path: Path) -> None:
    """The error for any other name says which there are, and what one of them needs."""
    assert sorted([*SHIPPED, "ndw"]) == GATEWAYS
    for names, condition, reason in (
        (["nix"], "", "gateway 'nix', expected one of luchtmeetnet, ndw,"),
        (["sensorthings"], "", "gateway 'sensorthings' without an address, expected --url"),
        (["luchtmeetnet"], "x eq 1", "gateway 'luchtmeetnet' takes no --filter"),
        (["ndw"], "x eq 1", "gateway 'ndw' takes no --filter"),
        ([str(tmp_path / "none.toml")], "", "none.toml: [Errno 2]"),
    ):
        with pytest.raises(ValueError, match=re.escape(reason)):
            jobs(names, {}, condition)
