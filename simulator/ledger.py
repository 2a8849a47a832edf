"""The witness: an append-only record of everything that was asked of a miner and that happened."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

Phase = Literal["received", "applied", "rejected", "lost"]


class Ledger:
    """One JSON line per event, each written with a single `write` to a file opened O_APPEND.

    `received`: an authenticated, well-formed write arrived. `applied`: it took effect in the device.
    `rejected`: it was refused (credentials, body). `lost`: it was accepted, but the device dropped
    it before acting (another order overwrote it, or the power went).
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        keep: bool = True,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.entries: list[dict[str, Any]] = []
        self._now = now
        self._keep = keep
        self._sequence = 0
        self._fd: int | None = None
        if path is not None:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def write(
        self,
        *,
        miner: str,
        ip: str,
        action: str,
        phase: Phase,
        before: dict[str, Any] | None = None,
        after: dict[str, Any] | None = None,
        boot: int = 0,
        **more: Any,
    ) -> dict[str, Any]:
        """Add one event; the line is with the kernel when this returns."""
        self._sequence += 1
        entry: dict[str, Any] = {
            "t": self._now(),
            "miner": miner,
            "ip": ip,
            "action": action,
            "phase": phase,
            "before": before or {},
            "after": after or {},
            "boot": boot,
            "n": self._sequence,
            **more,
        }
        if self._keep:
            self.entries.append(entry)
        if self._fd is not None:
            os.write(self._fd, msgspec.json.encode(entry) + b"\n")
        return entry

    def of(
        self, *, ip: str | None = None, action: str | None = None, phase: Phase | None = None
    ) -> list[dict[str, Any]]:
        """The kept entries that match, oldest first."""
        return [
            entry
            for entry in self.entries
            if (ip is None or entry["ip"] == ip)
            and (action is None or entry["action"] == action)
            and (phase is None or entry["phase"] == phase)
        ]

    def close(self) -> None:
        """Force the file to disk and close it; harmless when called twice."""
        if self._fd is not None:
            os.fsync(self._fd)
            os.close(self._fd)
            self._fd = None
