"""Tasks asked for on this host: one at a time, the same path and the same proof as those of the cloud."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.journal import Journal
from agent.limits.policy import Policy
from agent.local.hints import not_by_hand, unknown_name
from agent.local.progress import phase
from agent.local.socket import Known, LocalRefusedError, LocalRequest
from agent.miners.fleet import Fleet
from agent.miners.site import Site
from agent.ports import Downloader, Scanner
from agent.tasks.actions import ACTIONS, ChangeAction, FirmwareAction, change_of
from agent.tasks.active import ActiveTask
from agent.tasks.path import TaskPath, ended, result_of
from contract.clock import Clock, from_text, to_text
from contract.errors import (
    CancelledTaskError,
    ErrorCode,
    MinerError,
    UnsupportedError,
    WrongDeviceError,
)
from contract.link import (
    Ack,
    ClaimReply,
    ClaimRequest,
    MinerRef,
    ReportReply,
    ReportRequest,
)
from contract.outcome import Outcome
from contract.task import SPECS, Kind, TaskName
from drivers.base import Change, FirmwareUpdate, LogFile
from drivers.stranger import Stranger
from drivers.watch import ORDER_NOTE

ORIGIN: Final = "onsite"


class LocalOrders:
    """Turns requests into tasks of the task path. `pace`: how many times faster than hardware the miners live."""

    def __init__(self, path: TaskPath, fleet: Fleet, *, pace: float) -> None:
        self.path = path
        self.fleet = fleet
        self.pace = pace

    def order(self, request: LocalRequest) -> LocalOrder:
        """A request that came in."""
        return LocalOrder(self, request)


class LocalOrder:
    """One task asked for here; `agent.local.socket.LocalTask`."""

    def __init__(self, here: LocalOrders, request: LocalRequest) -> None:
        self._path = here.path
        self._fleet = here.fleet
        self._pace = here.pace
        self._request = request
        self._task: ActiveTask | None = None  # once it is taken on
        self._is_recalled = False

    async def result(self) -> dict[str, Any]:
        """The task's result. Raises LocalRefusedError when it cannot be begun."""
        request = self._request
        name = known_name(request.name)
        changes = SPECS[name].kind is not Kind.LOOK
        try:
            miner = await self._miner(request, changes=changes) if SPECS[name].wants_miner else None
            if self._is_recalled:
                return failed(_interrupted())
            self._task = await self._path.begin_local(name, request.params, miner, ORIGIN)
            if self._is_recalled:
                self.recall()
        except ValueError as error:
            raise LocalRefusedError(str(error)) from None
        except MinerError as error:
            return failed(error)
        return await ended(self._task)

    def recall(self) -> None:
        """Whoever asked wishes for it no more: it is not begun, if it has not been yet."""
        self._is_recalled = True
        if self._task is not None:
            self._path.dispatcher.cancel(self._task.id)

    def phase(self) -> str:
        """What it waits for now."""
        if self._task is None:
            return "looking at the miner"
        return phase(self._task, self._path.dispatcher.before(self._task))

    def known(self) -> Known:
        """What is known of it now."""
        task = self._task
        if task is None:
            return Known()
        if not task.may_have_sent:
            return Known(task_id=task.id)
        return Known(task_id=task.id, sent=True, proven_by=self._proven_by(task))

    def interrupted(self) -> dict[str, Any]:
        """The result of a task that nobody carries on: its own where it has ended by now."""
        task = self._task
        if task is not None and task.ended is not None and task.ended.done():
            return result_of(task, task.ended.result())
        known = self.known()
        if not known.sent:
            return failed(_interrupted())
        return left_open(
            known, "Nobody goes on watching: look at the miner before asking for it again."
        )

    def _proven_by(self, task: ActiveTask) -> str | None:
        """When the last of the proofs that this change has would have shown, counted from its order."""
        host, order = self._request.host, task.notes.get(ORDER_NOTE)
        driver = None if host is None else self._fleet.at(host)
        if driver is None or driver.capabilities is None or order is None:
            return None
        match ACTIONS.get(task.name):
            case ChangeAction():
                kind: type[Change] = type(change_of(task.record, task.params))
            case FirmwareAction():
                kind = FirmwareUpdate
            case _:
                return None
        change = str(kind.__struct_config__.tag)
        windows_s = [each.latest_s for each in driver.capabilities.proofs if each.change == change]
        if not windows_s:
            return None
        window_s = min(max(windows_s) / self._pace, task.limit_s)
        return to_text(from_text(order["at"]) + timedelta(seconds=window_s))

    async def _miner(self, request: LocalRequest, *, changes: bool) -> MinerRef:
        host = request.host
        if host is None:
            raise LocalRefusedError("this task needs the address of a miner")
        driver, _ = await self._fleet.look_at(host)
        if isinstance(driver, Stranger):
            raise LocalRefusedError(f"what answers at {host} is not a miner this agent knows")
        identity = driver.identity
        if request.mac is not None and identity.mac != request.mac:
            shown = f"shows {identity.mac}" if identity.mac else "does not tell its MAC"
            raise WrongDeviceError(f"it {shown} by now, not {request.mac}; nothing was sent")
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
    site: Site,
    scanner: Scanner,
    downloader: Downloader,
    policy: Policy,
    clock: Clock,
) -> AsyncIterator[LocalOrders]:
    """A task path for one command, without a cloud and without a daemon. Its journal and the files it takes from miners
    live as long as this.
    """
    with tempfile.TemporaryDirectory(prefix="miner-agent-") as folder:
        state = Path(folder)
        path = TaskPath(
            Journal(state / "journal.db", clock, ballast_bytes=0),
            _NoCloud(),
            site.fleet,
            scanner,
            downloader,
            replace(policy, limits=policy.limits.model_copy(update={"stop_within_s": 1.0})),
            clock,
            state,
        )
        path.maintenance.follow(site.inventory.maintained)
        running = asyncio.create_task(path.run(), name="taskpath")
        ready = asyncio.create_task(path.ready())
        try:
            await asyncio.wait((running, ready), return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                await running
            yield LocalOrders(path, site.fleet, pace=site.timing.pace)
        finally:
            ready.cancel()
            path.stop()
            await running


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


def _interrupted() -> CancelledTaskError:
    return CancelledTaskError("Interrupted before any change was sent to the miner.")


def left_open(known: Known | None, who: str) -> dict[str, Any]:
    """The result of a task that was left before its end: what is known of it, and `who` goes on."""
    if known is None:
        words = "Interrupted; how far it is, is not known."
    elif not known.sent:
        words = "Interrupted before any change was sent to the miner."
    elif known.proven_by is None:
        words = "Interrupted after it was sent to the miner."
    else:
        words = f"Interrupted after it was sent to the miner; it shows by {known.proven_by} if it took effect."
    return {
        "outcome": Outcome.UNKNOWN.value,
        "verified": False,
        "evidence": {},
        "error": {"code": ErrorCode.NOT_VERIFIED.value, "message": f"{words} {who}"},
        **({} if known is None else msgspec.to_builtins(known)),
    }


def failed(error: MinerError) -> dict[str, Any]:
    """The result of a task that could not even be begun."""
    return {
        "status": "failed",
        "outcome": Outcome.NOT_DONE.value,
        "verified": False,
        "evidence": {},
        "error": {"code": error.code.value, "message": str(error)},
    }
