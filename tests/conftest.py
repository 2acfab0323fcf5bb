"""Fixtures for every room's tests: where the recorded data lie, and the payload formats loaded."""

import os
from pathlib import Path

import pytest

from ingest.registry import load_formats

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT / "tests" / "cases"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recorded data beside the project; the test skips, saying why, where it is absent."""
    folder = Path(os.environ.get("STADSPULS_TEST_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no recorded data at {folder}: set STADSPULS_TEST_SHARED_DATA to their folder")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _payload_formats() -> None:
    """Every shipped payload format is loaded, as in the collector."""
    load_formats()
