"""The log lines of one task, as the operator will read them beside it."""

from __future__ import annotations

from typing import Final

from contract.clock import Clock, to_text
from contract.hiding import masked_url
from contract.link import LogLine

LINES: Final = 200
CHARS: Final = 500


class TaskLog:
    """Bounded: when a task says too much, its last lines are dropped and that is said once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lines: list[LogLine] = []
        self._said = 0

    def info(self, message: str) -> None:
        """A step."""
        self._add("info", message)

    def warning(self, message: str) -> None:
        """Something odd that did not end the task."""
        self._add("warning", message)

    def error(self, message: str) -> None:
        """Why it failed."""
        self._add("error", message)

    def take(self) -> tuple[LogLine, ...]:
        """What was said since the last time; it travels with the next event."""
        lines, self._lines = tuple(self._lines), []
        return lines

    def __len__(self) -> int:
        return len(self._lines)

    def _add(self, level: str, message: str) -> None:
        self._said += 1
        if self._said > LINES:
            return
        if self._said == LINES:
            level, message = "warning", "more was said and is dropped"
        clean = "".join(c if c.isprintable() else " " for c in masked_url(message)[:CHARS])
        self._lines.append(LogLine(at=to_text(self._clock.now()), level=level, message=clean))
