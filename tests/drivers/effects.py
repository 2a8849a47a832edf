"""A leave to change a miner, kept in memory: what the agent's journal does durably, without a journal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from contract.clock import Clock, to_text


class MemoryEffect:
    """Counts what was sent; `refuse` makes the next sending raise instead."""

    def __init__(self, clock: Clock, notes: Mapping[str, Any] | None = None) -> None:
        self._clock = clock
        self._notes: dict[str, Any] = dict(notes or {})
        self.sent = 0
        self.refuse: Exception | None = None

    @property
    def notes(self) -> Mapping[str, Any]:
        return self._notes

    async def note(self, key: str, value: Any) -> None:
        self._notes[key] = value

    @asynccontextmanager
    async def _sending(self) -> AsyncIterator[None]:
        if self.refuse is not None:
            raise self.refuse
        self._notes.setdefault("intent_at", to_text(self._clock.now()))
        self.sent += 1
        yield

    def sending(self) -> Any:
        return self._sending()
