"""The page that takes a reader from a sample file to figures, read and done."""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.hubs import UpHub
from tests.support.programs import command

PAGE = (ROOT / "docs/adding-a-format.md").read_text("utf-8")
PART = PAGE.partition("## From a sample file")[2].partition("\n## ")[0]
BLOCKS = [(kind, textwrap.dedent(text)) for kind, text in re.findall(r" *```(\w+)\n(.*?)\n *```", PART, re.DOTALL)]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UpHub]:
    """The hub of the second terminal, started by the test that needs it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STADSPULS_MAPPINGS", "mappings")
    made = UpHub(tmp_path / "hub")
    yield made
    made.clean_up()


@pytest.mark.long
def test_page_from_a_sample_file_to_figures(hub: UpHub, tmp_path: Path) -> None:
    """Every command of the page works in its place; the last answers what the file says, `doctor` what is not read."""
    place = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "STADSPULS_DATA_DIR": str(hub.directory),
    }  # fmt: skip
    said = []
    for kind, text in BLOCKS:
        if kind == "csv":
            (tmp_path / "tellingen.csv").write_text(text + "\n")
        elif kind == "toml":
            (tmp_path / "mappings/telpunten.toml").write_text(text)
        elif kind == "console":
            assert text == "STADSPULS_MAPPINGS=mappings stadspuls up"
            hub.start()
        else:
            assert kind == "sh"
            for line in text.splitlines():
                if "query" in line:
                    hub.settle()
                done = subprocess.run(
                    line, shell=True, cwd=tmp_path, env=os.environ | place, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, f"{line}: {done.stderr}"
                said.append(done.stdout + done.stderr)
    assert "8 readings, 0 failed, 0 doubled, 0 refused, 4 ignored" in said[2]
    assert "7 values taken, 1 failed, 0 refused" in said[4]
    rows = re.findall(r"^telpunten/(\w+) .*2025-06-02 0(\d):00 CEST .* (\d+)\.?0* ", said[5], re.MULTILINE)
    assert len(rows) == 4, said[5]
    more = tmp_path / "more.csv"
    more.write_text("Telpunt;Datum;Uur;Fietsers;Wind\nBrug;03-06-2025;8;12;4\n")
    hub.publish([more], "telpunten")
    doctor = command("doctor", f"--data-dir={hub.directory}").stdout
    assert re.search(r"unread of telpunten +1 numbers since the start", doctor), doctor
