"""Logs of the cloud: one line per event on stderr, JSON unless a person is looking."""

from __future__ import annotations

import sys

import structlog


def set_up_logs() -> None:
    """Called once by the command line."""
    person = sys.stderr.isatty()
    # The default shows the local variables of every frame, keys and tokens among them.
    text = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if person else [structlog.processors.format_exc_info]),
            text if person else structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
