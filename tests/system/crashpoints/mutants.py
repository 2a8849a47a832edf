"""Agents with one rule of the task path broken: `python mutants.py MUTANT run --config FILE`.

Each must make the checker fail; otherwise the checker, or the load, is too kind.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from agent.cli.app import main
from agent.journal import Journal
from agent.journal.settlement import Settlement, succeeded
from agent.journal.states import State
from agent.limits.grants import Grants
from agent.tasks import reporter
from agent.tasks.actions import change_of
from agent.tasks.active import ActiveTask
from agent.tasks.change_executor import ChangeExecutor
from agent.tasks.executor import TaskExecutor
from contract.clock import to_text
from contract.errors import MinerError
from contract.outcome import Outcome
from contract.task import TaskName
from drivers.base import Evidence, Plan
from drivers.wire import Wire


def put(owner: Any, name: str, value: Any) -> None:
    """In place of what the house has there, for as long as this process lives."""
    assert hasattr(owner, name), name
    setattr(owner, name, value)


def intent_dropped() -> None:
    """What is sent stands nowhere before it is sent."""

    async def begin(self: Journal, *args: Any, **more: Any) -> None:
        del self, args, more

    put(Journal, "begin", begin)


def intent_late() -> None:
    """The intent is written, but the bytes do not wait for it."""
    whole = Journal.begin

    async def begin(self: Journal, *args: Any, **more: Any) -> None:
        async def later() -> None:
            await asyncio.sleep(0.5)
            await whole(self, *args, **more)

        _kept.append(asyncio.ensure_future(later()))

    put(Journal, "begin", begin)


def sent_twice() -> None:
    """Every request that changes a miner is repeated, to be on the safe side."""
    whole = Wire.exchange

    async def exchange(self: Wire, port: int, request: bytes, decoder: Any, **more: Any) -> Any:
        spare = copy.deepcopy(decoder)
        try:
            return await whole(self, port, request, decoder, **more)
        finally:
            if more.get("permit") is not None:
                with contextlib.suppress(MinerError):
                    await whole(self, port, request, spare, **more)

    put(Wire, "exchange", exchange)


def redone() -> None:
    """What a crash left half done is done again."""
    whole = TaskExecutor.carry_out

    async def carry_out(self: TaskExecutor, task: ActiveTask) -> Settlement:
        if task.name is TaskName.REBOOT and task.state is State.INTENT:
            task.granted = True
            change = change_of(task.record, task.params)
            return await self._changes.carry_out(task, change)
        return await whole(self, task)

    put(TaskExecutor, "carry_out", carry_out)


def settled_early() -> None:
    """The miner's OK is taken for the deed."""

    async def _verify(
        self: ChangeExecutor, task: ActiveTask, driver: Any, plan: Plan, *_: Any
    ) -> Settlement:
        del driver
        return succeeded(
            Evidence(
                outcome=Outcome.DONE,
                verified=True,
                before=plan.before,
                after={"at": to_text(self._clock.now())},
                signal=f"the answer to {task.id}",
                seconds=0.0,
            )
        )

    put(ChangeExecutor, "_verify", _verify)


def begins_unanswered() -> None:
    """The beginning is told to the cloud, and its answer not waited for."""

    async def wait(self: Grants, begin_id: str) -> None:
        del self, begin_id

    put(Grants, "wait", wait)


def begun_taken_for_ok() -> None:
    """Whatever the cloud answers, it has answered."""
    put(reporter, "GRANTING", frozenset({"ok", "duplicate", "begun", "conflict"}))


_kept: list[asyncio.Future[None]] = []
MUTANTS: Final[Mapping[str, Callable[[], None]]] = {
    each.__name__: each
    for each in (
        *(intent_dropped, intent_late, sent_twice, redone, settled_early),
        *(begins_unanswered, begun_taken_for_ok),
    )
}

if __name__ == "__main__":
    MUTANTS[sys.argv.pop(1)]()
    main()
