"""The leave to change one miner, which makes the intent durable before the first byte."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import structlog

from agent.gate import Gate
from agent.journal import Journal
from agent.live import LiveTask
from agent.slots import Slots
from agent.states import State
from contract.clock import Clock
from contract.errors import PolicyRefusedError
from drivers.base import Plan
from drivers.watch import intent_notes

log: Any = structlog.get_logger(__name__)


class JournalledEffect:
    """`drivers.base.Effect` of a task. `writes` false: only looking is left, after a crash."""

    def __init__(
        self,
        task: LiveTask,
        plan: Plan,
        *,
        journal: Journal,
        gate: Gate,
        slots: Slots,
        clock: Clock,
        writes: bool = True,
    ) -> None:
        self._task = task
        self._plan = plan
        self._journal = journal
        self._gate = gate
        self._slots = slots
        self._clock = clock
        self._writes = writes
        self._begun = False

    @property
    def notes(self) -> Mapping[str, Any]:
        return self._task.notes

    async def note(self, key: str, value: Any) -> None:
        """On disk first: what memory knows, a crash would not."""
        await self._journal.note(self._task.id, key, value)
        self._task.notes[key] = value

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """See `drivers.base.Effect`. The slot is taken before the intent, so that waiting for it costs the task no
        time and the lease is judged right before the first byte.
        """
        if not self._writes:
            raise PolicyRefusedError(
                "What was begun before a restart is only looked at, never repeated."
            )
        async with self._slots.effect(self._plan.change):
            if not self._begun:
                await self._begin()
            self._gate.may_go_on(self._task)
            self._task.writes += 1
            self._task.sending = True
            try:
                yield
            finally:
                self._task.sending = False

    async def _begin(self) -> None:
        task = self._task
        self._gate.may_begin(task)
        if task.state is State.INTENT:  # a setting found half done after a crash, planned anew
            await self._journal.begin_again(task.id, self._plan)
        else:
            at, boot = self._clock.now(), self._clock.boot()
            await self._journal.begin(task.id, self._plan, at, task.log.take(), boot=boot)
            task.state = State.INTENT
            task.intent_mono = self._clock.mono()
            task.notes |= intent_notes(at, boot)
            log.info("task.intent", task=task.id, name=task.record.name)
        self._begun = True
