"""What a command says on stderr while a task takes its time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from agent.journal.states import State
from agent.tasks.active import ActiveTask, Phase
from contract.clock import Clock
from contract.task import Kind, TaskName

SILENT_S: Final = 2.0  # a task that takes no longer needs no words
EVERY_S: Final = 10.0  # without a terminal, where a line cannot be written over
_COMES_BACK: Final = frozenset({TaskName.REBOOT, TaskName.FIRMWARE})


def phase(task: ActiveTask, before: ActiveTask | None = None) -> str:
    """What a task waits for now; `before` is the one that its miner is busy with."""
    kind, name = task.kind, task.name
    if before is not None:
        return f"waiting behind {before.record.name}, another task of this miner"
    if name is TaskName.SELF_UPDATE:
        return _updating(task)
    if task.phase is Phase.SENDING:
        return "sending it to the miner"
    if task.phase is Phase.WAITING:
        return "waiting for its turn"
    if kind is Kind.LOOK:
        return "waiting for the miner's answer"
    if task.state is not State.INTENT:
        return "fetching the firmware" if name is TaskName.FIRMWARE else "looking at the miner"
    if name in _COMES_BACK:
        return "waiting for the miner to come back"
    return "waiting until the miner shows the change"


def _updating(task: ActiveTask) -> str:
    if task.phase is Phase.WAITING:
        return "waiting for its turn"
    if task.state is not State.INTENT:
        return "fetching the release"
    return "waiting for the new release to prove itself"


@asynccontextmanager
async def telling(
    clock: Clock, current: Callable[[], str], *, quiet: bool, patient: bool = False
) -> AsyncIterator[None]:
    """While inside, say every so often what is waited for, and since when. `patient`: where a line cannot be written
    over, not each time that it changes.
    """
    if quiet:
        yield
        return
    teller = asyncio.create_task(_tell(clock, current, patient), name="progress")
    try:
        yield
    finally:
        teller.cancel()
        await asyncio.gather(teller, return_exceptions=True)


async def _tell(clock: Clock, current: Callable[[], str], patient: bool) -> None:
    began_mono, terminal = clock.mono(), sys.stderr.isatty()
    said, said_mono = "", began_mono
    await clock.sleep(SILENT_S)
    try:
        while True:
            now, words = clock.mono(), current()
            line = f"{words} ... {now - began_mono:.0f} s"
            if terminal:
                sys.stderr.write(f"\r\x1b[K{line}")
                sys.stderr.flush()
            elif not said or (words != said and not patient) or now - said_mono >= EVERY_S:
                sys.stderr.write(f"{line}\n")
                sys.stderr.flush()
                said, said_mono = words, now
            await clock.sleep(1.0)
    finally:
        if terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
