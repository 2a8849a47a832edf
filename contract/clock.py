"""Time as a thing that is handed in, so that a test can hold it still or make a day pass in a second."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time, monotonic time and waiting. Every room takes one; nobody calls `time` itself."""

    def now(self) -> datetime:
        """The wall clock, as an aware UTC datetime. May jump."""

    def mono(self) -> float:
        """Seconds since an arbitrary point. Never jumps, keeps no meaning across a restart."""

    async def sleep(self, seconds: float) -> None:
        """Wait; 0 or less only yields to the loop."""


class SystemClock:
    """The clock of the host."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def mono(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


def to_text(at: datetime) -> str:
    """`2026-11-21T18:55:00.123456Z`: how a time is written in our own files and messages.

    The width is fixed, so that text order is time order.
    """
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_text(text: str) -> datetime:
    """The inverse of `to_text`; any ISO 8601 time with an offset is taken.

    Raises ValueError for anything else, a time without an offset included.
    """
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"time without an offset: {text!r}")
    return at.astimezone(UTC)
