"""Tasks wished for on this host: one at a time, the same path and the same proof as those of the cloud."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from agent.download import WebDownloader
from agent.fleet import Fleet
from agent.hints import not_by_hand, unknown_name
from agent.journal import Journal
from agent.local import LocalRefusedError, LocalRequest
from agent.policy import Policy
from agent.ports import Scanner
from agent.progress import phase
from agent.site import Site
from agent.taskpath import TaskPath
from contract.clock import Clock
from contract.errors import MinerError, UnsupportedError
from contract.link import (
    Ack,
    ClaimReply,
    ClaimRequest,
    MinerRef,
    ReportReply,
    ReportRequest,
)
from contract.task import SPECS, Kind, TaskName
from drivers.base import LogFile

ORIGIN: Final = "onsite"


class OnSite:
    """Turns a wish into a task of the task path."""

    def __init__(self, path: TaskPath, fleet: Fleet) -> None:
        self._path = path
        self._fleet = fleet

    async def handle(self, request: LocalRequest) -> dict[str, Any]:
        """Carry it out; gives the task's result. Raises LocalRefusedError when it cannot be begun."""
        name = known_name(request.name)
        changes = SPECS[name].kind is not Kind.LOOK
        try:
            miner = (
                await self._miner(request.host, changes=changes)
                if SPECS[name].wants_miner
                else None
            )
            return await self._path.submit_local(name, request.params, miner, ORIGIN)
        except ValueError as error:
            raise LocalRefusedError(str(error)) from None
        except MinerError as error:
            return failed(error)

    def phase(self) -> str:
        """What the task under way waits for now."""
        live = (each for each in self._path.dispatcher.held if each.record.origin == ORIGIN)
        return next(map(phase, live), "looking at the miner")

    async def _miner(self, host: str | None, *, changes: bool) -> MinerRef:
        if host is None:
            raise LocalRefusedError("this task needs the address of a miner")
        driver, _ = await self._fleet.look_at(host)
        if driver is None:
            raise LocalRefusedError(f"what answers at {host} is not a miner this agent knows")
        identity = driver.identity
        if changes and driver.capabilities is None:  # before a firmware file is fetched for it
            raise UnsupportedError(f"{host} is not driven: {identity.reason or 'it is only read'}")
        return MinerRef(
            id=identity.mac or f"ip:{host}",
            mac=identity.mac,
            serial=identity.serial,
            last_ip=host,
            make=identity.make,
            model=identity.model,
        )


@asynccontextmanager
async def alone(
    site: Site, scanner: Scanner, policy: Policy, clock: Clock, logs: Path
) -> AsyncIterator[OnSite]:
    """A task path for one command, without a cloud and without a daemon. Its journal lives as long as the
    command; logs taken from miners are left in `logs`.
    """
    with tempfile.TemporaryDirectory(prefix="miner-agent-") as folder:
        state = Path(folder)
        path = TaskPath(
            Journal(state / "journal.db", clock, ballast_bytes=0),
            _NoCloud(),
            site.fleet,
            scanner,
            WebDownloader(),
            replace(policy, stop_grace_s=1.0),
            clock,
            state,
        )
        running = asyncio.create_task(path.run(), name="taskpath")
        ready = asyncio.create_task(path.ready())
        try:
            await asyncio.wait((running, ready), return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                await running
            yield OnSite(path, site.fleet)
        finally:
            ready.cancel()
            path.stop()
            await running
            await asyncio.to_thread(_move, state / "logs", logs)


class _NoCloud:
    """Hands out nothing, and takes nothing: tasks of this host are not reported."""

    async def claim(self, request: ClaimRequest) -> ClaimReply:  # noqa: ARG002
        await asyncio.Event().wait()
        raise AssertionError("waits until it is cancelled")

    async def report(self, request: ReportRequest) -> ReportReply:
        acks = (
            Ack(task_id=each.task_id, epoch=each.epoch, seq=each.seq, state="ok")
            for each in request.events
        )
        return ReportReply(acks=tuple(acks))

    async def upload(self, task_id: str, file: LogFile) -> None:  # noqa: ARG002
        return None


def known_name(text: str) -> TaskName:
    """The task name that an agent carries out. Raises LocalRefusedError."""
    try:
        name = TaskName(text)
    except ValueError:
        raise LocalRefusedError(unknown_name(text)) from None
    problem = not_by_hand(name)
    if problem is not None:
        raise LocalRefusedError(problem)
    return name


def failed(error: MinerError) -> dict[str, Any]:
    """The result of a task that could not even be begun."""
    return {
        "status": "failed",
        "outcome": "not_done",
        "verified": False,
        "evidence": {},
        "error": {"code": error.code.value, "message": str(error)},
    }


def _move(kept: Path, target: Path) -> None:
    """Bring files out of the folder that is about to go."""
    if kept.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        for each in kept.iterdir():
            (target / each.name).write_bytes(each.read_bytes())
