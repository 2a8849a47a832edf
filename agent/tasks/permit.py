"""The permit to change one miner, which makes the intent durable before the first byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from typing import Any, Final, Generic, TypeVar

import structlog

from agent.journal import Journal
from agent.journal.plan import AnyPlan
from agent.journal.states import State
from agent.limits.grants import Grants, draw
from agent.limits.slots import PowerTurn, Slots
from agent.tasks.active import ActiveTask, Phase
from agent.tasks.gate import Gate
from contract.clock import Clock
from contract.errors import PolicyRefusedError
from drivers.watch import ORDER_NOTE, ended, intent_age_s, intent_notes, order_note

# An order this soon after its intent is not written down apart: no proof's window is lost by so little.
_SOON_S: Final = 0.5
_ANSWER_S: Final = 1.0  # a cloud that takes longer keeps nobody else waiting for their turn

P = TypeVar("P", bound=AnyPlan)
log: Any = structlog.get_logger(__name__)


class JournalledPermit(Generic[P]):
    """`drivers.base.Permit` of a task, for a plan of that kind. `look_again` raises unless what was planned for still
    is as it was. `writes` false: only looking is left, after a crash. `turn` is what a plan that raises power waits
    for.
    """

    def __init__(
        self,
        task: ActiveTask,
        plan: P,
        *,
        journal: Journal,
        gate: Gate,
        slots: Slots,
        grants: Grants,
        clock: Clock,
        look_again: Callable[[], Awaitable[None]],
        turn: PowerTurn | None = None,
        writes: bool = True,
    ) -> None:
        self._task = task
        self._plan = plan
        self._journal = journal
        self._gate = gate
        self._slots = slots
        self._grants = grants
        self._clock = clock
        self._writes = writes
        self._look_again = look_again
        self._turn = turn
        self._ticket = turn.ticket if turn is not None and plan.raises_power else None
        self._begun = False
        self._has_turn = False

    @property
    def plan(self) -> P:
        """What it is the permit for."""
        return self._plan

    @property
    def notes(self) -> Mapping[str, Any]:
        return self._task.notes

    async def note(self, key: str, value: Any) -> None:
        """On disk first: what memory knows, a crash would not."""
        await self._journal.note(self._task.id, key, value)
        self._task.notes[key] = value

    async def take_turn(self) -> None:
        """Wait for the turn of what raises power, without a connection and with nothing of the wire; none of the task's
        own time passes. Nothing is begun by it: it can be cancelled, and a crash loses nothing. So the turn, which may
        be long in coming, is taken before the intent.
        """
        self._must_write()
        if self._turn is not None and self._plan.raises_power:
            with self._task.waiting(self._clock):
                await self._turn.take()

    async def ask_grant(self) -> None:
        """Of what the cloud grants, make the intent durable and wait for the answer, as `take_turn` waits. Should that
        take long, the turn is given to others meanwhile.

        Raises NotGrantedError, StorageFullError, and what may be raised before an intent. Nothing was sent then.
        """
        self._must_write()
        task = self._task
        if not task.needs_grant:
            return
        await self._begin()
        if not task.granted:
            await self._answer()
            task.granted = True
        await self.take_turn()

    async def _answer(self) -> None:
        """Until the cloud grants the beginning."""
        assert self._task.begin_id is not None
        answer = asyncio.ensure_future(self._grants.wait(self._task.begin_id))
        try:
            with self._task.waiting(self._clock):
                done, _ = await asyncio.wait({answer}, timeout=_ANSWER_S)
                if not done and self._turn is not None:
                    self._turn.give_back()
                await answer
        finally:
            answer.cancel()

    @property
    def may_send(self) -> bool:
        return self._has_turn or self._slots.is_free(self._plan, self._ticket)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """See `drivers.base.Permit`. Others may have waited long for theirs: who the miner is, is seen again."""
        self._must_write()
        async with self._slot():
            self._has_turn = True
            try:
                await self._look_again()
                yield
            finally:
                self._has_turn = False

    @asynccontextmanager
    async def sending(self, check: Callable[[], None] | None = None) -> AsyncIterator[None]:
        """See `drivers.base.Permit`. The slot is taken before the intent, so that waiting for it costs the task no
        time and the lease is judged right before the first byte.
        """
        self._must_write()
        async with nullcontext() if self._has_turn else self._slot():
            if check is not None:
                check()
            await self._begin()
            if self._task.needs_grant and not self._task.granted:
                raise AssertionError("nobody asked the cloud whether it may begin")
            await self._note_order()
            self._gate.may_go_on(self._task)
            if check is not None:  # the disk may have taken its time
                check()
            if self._ticket is not None:
                self._ticket.use()
            self._task.writes += 1
            order = order_note(self._clock.now(), self._clock.boot())
            self._task.notes[ORDER_NOTE] = order
            try:
                with self._task.during(Phase.SENDING):
                    yield
            finally:
                self._task.notes[ORDER_NOTE] = ended(order, self._clock.boot())

    def _must_write(self) -> None:
        if not self._writes:
            raise PolicyRefusedError(
                "What was begun before a restart is only looked at, never repeated."
            )

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as held:
            with self._task.waiting(self._clock):
                await held.enter_async_context(self._slots.exchange(self._plan, self._ticket))
            yield

    async def _note_order(self) -> None:
        """A login, a wait for the miner or a crash may lie between the intent and this order: what judges it, perhaps
        after one more crash, counts from here.
        """
        age_s = intent_age_s(self._task.notes, self._clock)
        if age_s is None or age_s > _SOON_S:
            await self.note(ORDER_NOTE, order_note(self._clock.now(), self._clock.boot()))

    async def _begin(self) -> None:
        task = self._task
        if self._begun:
            return
        self._gate.may_begin(task)
        if task.state is State.INTENT:  # planned again: after a crash, or after a long wait
            await self._journal.begin_again(task.id, self._plan)
        else:
            at, boot = self._clock.now(), self._clock.boot()
            task.begin_id = draw(self._clock) if task.needs_grant else None
            await self._journal.begin(
                task.id, self._plan, at, task.log.take(), boot=boot, begin_id=task.begin_id
            )
            task.state = State.INTENT
            task.intent_mono = self._clock.mono()
            task.notes |= intent_notes(at, boot)
            log.info("task.intent", task=task.id, name=task.record.name)
        self._begun = True
