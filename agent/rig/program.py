"""One mining program: kept as it is wished, through its deaths and ours."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import msgspec
import structlog

from agent.rig.config import RigServiceConfig
from agent.rig.executables import ExecutableError
from agent.rig.outputs import ProgramOutput
from agent.rig.playbooks import MiningOrder
from agent.rig.processes import (
    HeldProcess,
    ProgramRun,
    begin_process,
    end_all_in,
    stray_run,
)
from agent.rig.shapes import ProgramState, ProgramStatus
from agent.rig.state import ProgramWish
from contract.clock import Clock, to_text
from contract.rigmonitor.playbook import MiningWish

log: Any = structlog.get_logger(__name__)
_MEGABYTE: Final = 1 << 20
_DOUBLINGS: Final = 16
_LOST: Final = "it was lost; what runs goes on until the monitor tells of it again"


async def uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """Do that to its end, though we be cancelled meanwhile: a thread works for it, and would go on alone."""
    doing = asyncio.ensure_future(work)
    try:
        await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.wait((doing,))
        raise


def pause_s(deaths: int, first_s: float, most_s: float) -> float:
    """How long to wait after so many deaths in a row: between half and whole of a bound that doubles each time, so that
    the rigs of a farm whose pool is gone do not all come back at once.
    """
    bound_s = min(most_s, first_s * 2.0 ** min(deaths - 1, _DOUBLINGS))
    return bound_s * random.uniform(0.5, 1.0)


class ProgramDecision(msgspec.Struct, frozen=True, kw_only=True):
    """What is to become of a program. Without a wish it ends, for good."""

    wish: ProgramWish | None = None
    order: MiningOrder | None = None
    """None: its playbook says stop, or the config refuses it now: then what runs goes on."""
    refused: str | None = None
    """Why the newest playbook is not obeyed."""
    is_known: bool = True
    """False: what was decided was lost; what runs goes on, until something is."""
    at_once: bool = False
    """Without waiting for the time of its next try."""


class KeptProgram:
    """A task, `live`, brings what runs in line with what was decided; whoever decided waits for `settled`.

    `save` writes down the records of all programs. Raises OSError.
    """

    def __init__(
        self,
        name: str,
        run: ProgramRun | None,
        config: RigServiceConfig,
        clock: Clock,
        save: Callable[[], Awaitable[None]],
    ) -> None:
        self.name = name
        self.run = run
        self.decision = ProgramDecision()
        self.output = ProgramOutput(config.log_dir / f"{name}.log", config.log_max_mb * _MEGABYTE)
        self._folder = config.state_dir / "programs" / name
        self._config = config
        self._clock = clock
        self._save = save
        self._process: HeldProcess | None = None
        self._is_ending = False
        self._held_since_mono = 0.0
        self._deaths = 0
        self._last_end: str | None = None
        self._retry_at_mono = 0.0
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()

    @property
    def is_gone(self) -> bool:
        """Nobody wishes for it, and nothing of it runs."""
        return self.decision.wish is None and self.run is None

    @property
    def is_wanted(self) -> bool:
        """Whether it is to mine."""
        wish = self.decision.wish
        return (
            wish is not None
            and wish.entry.expected_status is MiningWish.MINING
            and not wish.is_stopped_by_hand
        )

    def follow(self, decision: ProgramDecision) -> None:
        """Take a decision that is on disk. What is new is tried without waiting."""
        before = (self.decision.order, self.is_wanted)
        self.decision = decision
        if decision.at_once or (decision.order, self.is_wanted) != before:
            self._deaths, self._retry_at_mono = 0, 0.0
        self._settled.clear()
        self._changed.set()

    def adopt(self) -> None:
        """Look for the process of an earlier run of the service, else for whatever runs in the folder of the program:
        what it left behind, or what was begun after the state was written that we have. Reads /proc.
        """
        process = None if self.run is None else self._adopted(self.run)
        if process is None and self.run is not None:
            self._last_end = "ended while the service did not run"
            log.warning("rig.gone", program=self.name, pid=self.run.pid)
        if process is None:
            self.run = stray_run(self._folder, MiningOrder(software_name=self.name), self._clock)
            process = None if self.run is None else self._adopted(self.run)
        if process is None:
            self.run = None
            return
        log.info("rig.adopted", program=self.name, pid=process.pid)
        self._hold(process)

    def _adopted(self, run: ProgramRun) -> HeldProcess | None:
        return HeldProcess.adopt(run, self._clock.boot().boot_id)

    async def live(self) -> None:
        """Until nobody wishes for it and nothing of it runs, or cancelled: then its process runs on."""
        while not self.is_gone:
            self._changed.clear()
            await self._step()
        self._settled.set()

    async def settled(self, within_s: float) -> None:
        """Wait until it does what was decided last, or it is known why not; no longer than that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._settled.wait()

    def close(self) -> None:
        """Let go of its process, which runs on."""
        if self._process is not None:
            self._process.close()

    def status(self) -> ProgramStatus | None:
        """None: nobody wishes for it. What runs though it is not known what was wished of it is told."""
        wish = self.decision.wish
        if wish is None and (self.decision.is_known or self._process is None):
            return None
        state = self._state()
        wait_s = self._retry_at_mono - self._clock.mono()
        return ProgramStatus(
            software_name=self.name,
            software_version="" if wish is None else wish.entry.software_version,
            playbook_id=0 if wish is None else wish.entry.id,
            wish=MiningWish.MINING if wish is None else wish.entry.expected_status,
            is_stopped_by_hand=wish is not None and wish.is_stopped_by_hand,
            state=state,
            pid=None if self._process is None else self._process.pid,
            is_adopted=self._process is not None and self._process.is_adopted,
            started_at=None if self._process is None or self.run is None else self.run.started_at,
            deaths=self._deaths,
            last_end=self._last_end,
            retry_in_s=round(max(0.0, wait_s), 1) if state is ProgramState.WAITING else None,
            log=str(self.output.path),
            refused=self.decision.refused if self.decision.is_known else _LOST,
        )

    def _state(self) -> ProgramState:
        if self._is_ending:
            return ProgramState.ENDING
        if self._process is not None:
            return ProgramState.RUNNING
        if self.is_wanted and self.decision.order is not None:
            return ProgramState.WAITING
        return ProgramState.STOPPED

    async def _step(self) -> None:
        """Look, and do or wait for one thing."""
        if (process := self._process) is not None:
            if not self._goes_on():
                await self._end(process)
                return
            self._settled.set()
            if await self._unless_changed(process.ended()):
                await self._died(process)
        elif not self.is_wanted or self.decision.order is None:
            self._settled.set()
            await self._changed.wait()
        elif (wait_s := self._retry_at_mono - self._clock.mono()) > 0:
            self._settled.set()
            await self._unless_changed(self._clock.sleep(wait_s))
        else:
            await uninterrupted(self._begin(self.decision.order))

    def _goes_on(self) -> bool:
        """Whether what runs is what is wished."""
        if not self.decision.is_known:
            return True
        if not self.is_wanted or self.run is None:
            return False
        return self.decision.order in (None, self.run.order)

    async def _unless_changed(self, work: Coroutine[Any, Any, Any]) -> bool:
        """Do that until something else is decided; whether it was done."""
        doing = asyncio.ensure_future(work)
        changing = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait((doing, changing), return_when=asyncio.FIRST_COMPLETED)
            return doing.done()
        finally:
            for each in (doing, changing):
                each.cancel()
            await asyncio.gather(doing, changing, return_exceptions=True)

    async def _begin(self, order: MiningOrder) -> None:
        """Write down that it begins, begin it, write down which process it is."""
        run = ProgramRun(
            mark=uuid.uuid4().hex,
            boot_id=self._clock.boot().boot_id,
            order=order,
            started_at=to_text(self._clock.now()),
        )
        self.run = run
        try:
            await self._save()
            process = await asyncio.to_thread(self._spawn, run)
        except (ExecutableError, OSError) as error:
            self.run = None
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            self._retry_later(f"could not be started: {reason}")
            return
        self._hold(process)
        log.info("rig.started", program=self.name, pid=process.pid)
        await self._save_if_possible()

    def _spawn(self, run: ProgramRun) -> HeldProcess:
        """Blocks. Raises ExecutableError, OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        output = self.output.open()
        try:
            return begin_process(
                run.order, run.mark, self._folder, output, self._config.file_max_mb * _MEGABYTE
            )
        finally:
            os.close(output)

    def _hold(self, process: HeldProcess) -> None:
        assert self.run is not None
        started = process.started_ticks
        if started is not None:  # else it ended meanwhile
            self.run = msgspec.structs.replace(self.run, pid=process.pid, started_ticks=started)
        self._process = process
        self._held_since_mono = self._clock.mono()

    async def _died(self, process: HeldProcess) -> None:
        """It ended by itself: later it is tried again."""
        lasted_s = self._clock.mono() - self._held_since_mono
        if lasted_s >= self._config.steady_after_s:
            self._deaths = 0
        how = await process.ended()
        await uninterrupted(self._see_off(process))
        self._retry_later(f"{how} after {lasted_s:.0f} s")

    async def _end(self, process: HeldProcess) -> None:
        """By SIGTERM; by SIGKILL where it does not listen."""
        self._is_ending = True
        try:
            process.send(signal.SIGTERM)
            try:
                async with asyncio.timeout(self._config.stop_grace_s):
                    await process.ended()
            except TimeoutError:
                log.warning("rig.killed", program=self.name, pid=process.pid)
                process.send(signal.SIGKILL)
                await process.ended()  # a driver that hangs may hold it for long: its state tells
            await uninterrupted(self._see_off(process))
        finally:
            self._is_ending = False
        log.info("rig.ended", program=self.name, pid=process.pid)

    async def _see_off(self, process: HeldProcess) -> None:
        """It ended. What it left behind mines no more either."""
        await asyncio.to_thread(end_all_in, self._folder)
        self._process = self.run = None
        process.close()
        await self._save_if_possible()

    async def _save_if_possible(self) -> None:
        """What is on disk without it is found out when it is read: a mark is looked for, a process is not there."""
        try:
            await self._save()
        except OSError as error:
            log.warning("rig.not_saved", program=self.name, error=str(error))

    def _retry_later(self, reason: str) -> None:
        self._deaths += 1
        self._last_end = reason
        wait_s = pause_s(self._deaths, self._config.retry_first_s, self._config.retry_most_s)
        self._retry_at_mono = self._clock.mono() + wait_s
        log.warning("rig.down", program=self.name, reason=reason, retry_in_s=round(wait_s, 1))
