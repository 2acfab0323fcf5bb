"""Log lines hold text of others as text."""

from collections.abc import Iterator

import pytest
import structlog

from hub.cli.output import set_up_logging


@pytest.fixture(autouse=True)
def _reset() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("form", ["console", "json"])
def test_control_characters_are_escaped(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A sensor's name moves no cursor and begins no line, neither by itself nor in an error with its trace."""
    set_up_logging("info", form)
    log = structlog.get_logger()
    log.info("seen", sensor="a\x1b[2J\n2026-01-01 [error] forged", number=1)
    try:
        raise ValueError("b\x1b[2J")
    except ValueError:
        log.exception("failed")
    seen, *trace = capsys.readouterr().err.splitlines()
    assert "forged" in seen
    assert "ValueError: b" in "".join(trace)
    assert "\x1b[2J" not in "".join([seen, *trace])
