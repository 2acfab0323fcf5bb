"""
Logs to stderr: for people, or a JSON object a line.

Every module logs with structlog; `hub.cli.main` sets it up once.
"""

import logging
import sys

import structlog


def set_up_logging(level: str, form: str) -> None:
    """Log from `level` on, as `console` or `json`."""
    renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info if form == "json" else _unchanged,
            structlog.processors.JSONRenderer() if form == "json" else renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # what stderr is then, not now
        cache_logger_on_first_use=False,
    )


def _unchanged(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return event
