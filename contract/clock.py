"""Time as a thing that is handed in, so that a test can hold it still or make a day pass in a second."""

from __future__ import annotations

import asyncio
import functools
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple, Protocol

# Linux makes a new one with every start of the kernel.
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class BootTime(NamedTuple):
    """A moment as the host counts since it started. Only two moments with the same `boot_id` can be compared.

    Written down as a pair, it still means something to the next process on this host.
    """

    boot_id: str
    seconds: float

    def since(self, earlier: BootTime) -> float | None:
        """Seconds since an earlier moment; `None` where the two cannot be compared."""
        if self.boot_id != earlier.boot_id or self.seconds < earlier.seconds:
            return None
        return self.seconds - earlier.seconds


class Clock(Protocol):
    """Wall time, monotonic time and waiting. Every room takes one; nobody calls `time` itself."""

    def now(self) -> datetime:
        """The wall clock, as an aware UTC datetime. May jump."""

    def mono(self) -> float:
        """Seconds since an arbitrary point. Never jumps, keeps no meaning across a restart."""

    def boot(self) -> BootTime:
        """Time since the host started, its sleep included. Never jumps, means the same to the next process."""

    async def sleep(self, seconds: float) -> None:
        """Wait; 0 or less only yields to the loop."""


class SystemClock:
    """The clock of the host."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def mono(self) -> float:
        return time.monotonic()

    def boot(self) -> BootTime:
        return BootTime(_boot_id(), time.clock_gettime(_BOOT_CLOCK))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


_BOOT_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


@functools.cache
def _boot_id() -> str:
    """Where the host does not say, every process is a boot of its own: nothing is compared across a restart."""
    try:
        return _BOOT_ID.read_text("ascii").strip() or uuid.uuid4().hex
    except (OSError, UnicodeDecodeError):
        return uuid.uuid4().hex


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
