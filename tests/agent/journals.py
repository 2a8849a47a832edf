"""A journal opened for a test, and the steps of a task in it, shortened to what the test is about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.journal import Arrival, Journal, StepAck, TaskRecord
from agent.journal.file import JournalFile
from agent.journal.settlement import Settlement, succeeded
from agent.journal.writer import Writer
from contract.clock import Clock
from contract.link import Event, MinerRef
from contract.outcome import Outcome
from contract.task import TaskName
from drivers.base import Evidence, Plan, Reboot
from tests.virtual_time import VirtualLoop, loop_clock

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PLAN = Plan(change=Reboot(force=True), before={"boot": 1, "rates": [1.5, None]}, data={"n": "ü"})


def record(task_id: str, **more: Any) -> TaskRecord:
    given: dict[str, Any] = {
        "epoch": 1,
        "name": TaskName.REBOOT,
        "params": {"force": True},
        "miner": MinerRef(id="m1", mac="02:00:00:00:00:01"),
        "accepted_at": AT,
        "expires_at": AT + timedelta(days=1),
        "limit_s": 600.0,
    } | more
    return TaskRecord(task_id=task_id, **given)


def done() -> Settlement:
    return succeeded(
        Evidence(
            outcome=Outcome.DONE,
            verified=True,
            before={"boot": 1},
            after={"boot": 2},
            signal="boot",
            seconds=3.0,
        )
    )


@asynccontextmanager
async def opened(
    folder: Path, clock: Clock | None = None, made: type[Journal] = Journal, **more: Any
) -> AsyncIterator[Journal]:
    journal = made(folder / "journal.db", clock or loop_clock(), **({"ballast_bytes": 4096} | more))
    await asyncio.wait_for(journal.open(), 10.0)
    try:
        yield journal
    finally:
        await journal.close()


async def accept(journal: Journal, *records: TaskRecord) -> tuple[TaskRecord, ...]:
    return await journal.accept([Arrival(record=each) for each in records], AT)


async def outbox(journal: Journal) -> tuple[Event, ...]:
    return await journal.outbox(1000, 1 << 20)


async def acknowledge(journal: Journal) -> None:
    events = await outbox(journal)
    await journal.acknowledge([StepAck(seq=each.seq, epoch=each.epoch) for each in events])


async def found(journal: Journal, task_id: str) -> TaskRecord:
    """One task, which must be there."""
    record = await journal.find(task_id)
    assert record is not None, f"{task_id} is not in the journal"
    return record


def watch_journals(patch: pytest.MonkeyPatch) -> None:
    """Have the loop of virtual time know what the thread of every journal owes it."""
    submit = Writer._submit

    def _submit(self: Writer, work: Any, need: Any) -> asyncio.Future[Any]:
        future = submit(self, work, need)
        if isinstance(loop := future.get_loop(), VirtualLoop):
            loop.owe(future)
        return future

    patch.setattr(Writer, "_submit", _submit)


def hold_back(patch: pytest.MonkeyPatch) -> None:
    """Have every journal opened from now on be that of a release that is not proven yet."""
    patch.setattr(JournalFile, "_may_step", lambda _: False)
