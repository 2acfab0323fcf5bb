"""
Logs to stderr: for people, or a JSON object a line.

Every module logs with structlog; `hub.cli.main` sets it up once.
"""

import logging
import sys

import structlog

from ingest.vocabulary.values import visible, visible_lines


def set_up_logging(level: str, form: str) -> None:
    """Log from `level` on, as `console` or `json`."""
    plain = structlog.dev.plain_traceback
    renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _visible,
            structlog.processors.JSONRenderer() if form == "json" else renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # what stderr is then, not now
        cache_logger_on_first_use=False,
    )


def _visible(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Escape control characters, but for the ends of lines of a traceback."""
    texts = {key: value for key, value in event.items() if isinstance(value, str)}
    return {**event, **{key: (visible_lines if key == "exception" else visible)(text) for key, text in texts.items()}}
