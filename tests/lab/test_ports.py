"""Free ports of the rig: nobody gets one that is promised to another."""

import pytest

from lab.rig.broker import free_port


def test_no_port_is_promised_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds in a row differ, and so do those of the processes of a test run."""
    given = []
    for worker in ("gw0", "gw1", "gw4"):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
        given += [free_port() for _ in range(300)]
    assert len(set(given)) == len(given)
    assert all(10_000 <= port < 32_000 for port in given)
