"""A leave to change a miner, kept in memory: what the agent's journal does durably, without a journal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from typing import Any

from contract.clock import BootTime, Clock, from_text
from drivers.watch import ORDER_NOTE, ended, intent_notes, order_note


class MemoryEffect:
    """Counts what was sent; `refuse` makes the next sending raise instead."""

    def __init__(self, clock: Clock, notes: Mapping[str, Any] | None = None) -> None:
        self._clock = clock
        self._notes: dict[str, Any] = dict(notes or {})
        begun = self._notes.get("intent_at")
        if begun is not None and "intent_boot" not in self._notes:
            # Left by an earlier process on this host, while the clock on the wall was steady.
            at, (boot_id, seconds) = from_text(begun), clock.boot()
            age_s = (clock.now() - at).total_seconds()
            self._notes |= intent_notes(at, BootTime(boot_id, seconds - age_s))
        self.sent = 0
        self.refuse: Exception | None = None

    @property
    def notes(self) -> Mapping[str, Any]:
        return self._notes

    async def note(self, key: str, value: Any) -> None:
        self._notes[key] = value

    @asynccontextmanager
    async def _sending(self, check: Callable[[], None] | None) -> AsyncIterator[None]:
        if self.refuse is not None:
            raise self.refuse
        if check is not None:
            check()
        if "intent_at" not in self._notes:
            self._notes |= intent_notes(self._clock.now(), self._clock.boot())
        self.sent += 1
        order = order_note(self._clock.now(), self._clock.boot())
        self._notes[ORDER_NOTE] = order
        try:
            yield
        finally:
            self._notes[ORDER_NOTE] = ended(order, self._clock.boot())

    def sending(self, check: Callable[[], None] | None = None) -> Any:
        return self._sending(check)

    @property
    def may_send(self) -> bool:
        return True

    def turn(self) -> Any:
        return nullcontext()
