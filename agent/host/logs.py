"""Structured logs on stderr: text for people, JSON lines for machines."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Any, Final, TextIO

import structlog

from agent.config.host import LogSection

_LONGEST: Final = 2000


def set_up(section: LogSection) -> None:
    """Configure structlog, and the libraries that use `logging`, to write to stderr."""
    as_json = section.format == "json" or (section.format == "auto" and not sys.stderr.isatty())
    level = logging.getLevelNamesMapping()[section.level.upper()]
    renderer: Any = (
        structlog.processors.JSONRenderer(default=str)
        if as_json
        # The default shows the local variables of every frame, passwords and tokens among them.
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    trace: list[Any] = [structlog.processors.format_exc_info] if as_json else []
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _cut,
            *trace,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(_Lossy(sys.stderr)),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(level, logging.WARNING), stream=sys.stderr, force=True)


class _Lossy:
    """A stream that loses a line rather than the process: behind stderr may be a file on a full disk, or a pipe whose
    reader is gone. There is nowhere left to say so.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def _cut(
    _logger: Any, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Text that may come from a miner or a server is bounded, and its control characters shown."""
    for key, value in event.items():
        if isinstance(value, str) and key != "exception":
            cut = value if len(value) <= _LONGEST else value[:_LONGEST] + "..."
            event[key] = cut if cut.isprintable() else cut.encode("unicode_escape").decode()
    return event
