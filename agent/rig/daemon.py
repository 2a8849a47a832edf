"""The running service: one state folder, its programs, the socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any, Final

import structlog

from agent.host.version import agent_version
from agent.rig.config import RigServiceConfig
from agent.rig.keeper import NotDoneError, RigKeeper
from agent.rig.server import RigCallers, RigServer
from agent.rig.shapes import (
    ApplyPlaybooks,
    ProgramAnswer,
    RequestRefused,
    RigReply,
    RigRequest,
    RigStatus,
    RigVerdicts,
    StartProgram,
    StopProgram,
    TellStatus,
)
from contract.clock import Clock
from service.files import FolderLock
from service.hostuser import is_root
from service.notify import Notifier

log: Any = structlog.get_logger(__name__)
_TURN_S: Final = 1.0


class NoPidfdError(Exception):
    """The kernel cannot hold a process: one with its pid might be ended in its place."""


async def run_rig_service(config: RigServiceConfig, clock: Clock, notifier: Notifier) -> None:
    """Until cancelled; what runs then runs on. Raises FolderLockedError, NoPidfdError,
    SocketTakenError, OSError.
    """
    _check_pidfd()
    if is_root():
        log.warning("rig.as_root", note="mining programs will run as root, too")
    config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    config.log_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
    lock = FolderLock(
        config.state_dir / "lock", f"another miner-agent-rig runs on {config.state_dir}"
    )
    lock.take()
    keeper = RigKeeper(config, clock)
    server = RigServer(
        config.socket, RigCallers(config.users, config.groups), RigAnswers(keeper).answer
    )
    try:
        await keeper.open()
        await server.start()
        log.info("rig.ready", socket=str(config.socket), programs=len(config.programs))
        notifier.ready(f"{len(config.programs)} programs may be started")
        await asyncio.gather(_feed(clock, notifier), _trim(clock, keeper))
    finally:
        notifier.stopping()
        await server.stop()
        await keeper.close()
        lock.release()


class RigAnswers:
    """What each request is answered with."""

    def __init__(self, keeper: RigKeeper) -> None:
        self._keeper = keeper

    async def answer(self, request: RigRequest) -> RigReply:
        try:
            match request:
                case ApplyPlaybooks(entries=entries):
                    return RigVerdicts(verdicts=await self._keeper.apply(entries))
                case TellStatus():
                    return RigStatus(version=agent_version(), programs=self._keeper.status())
                case StartProgram(name=name):
                    return ProgramAnswer(program=await self._keeper.start(name))
                case StopProgram(name=name):
                    return ProgramAnswer(program=await self._keeper.stop(name))
        except NotDoneError as error:
            return RequestRefused(message=str(error))


async def _feed(clock: Clock, notifier: Notifier) -> None:
    """While the loop turns."""
    turn_s = min(_TURN_S, notifier.watchdog_s / 4) if notifier.watchdog_s else _TURN_S
    while True:
        notifier.alive()
        await clock.sleep(turn_s)


async def _trim(clock: Clock, keeper: RigKeeper) -> None:
    """A disk that hangs holds up this alone."""
    while True:
        await asyncio.to_thread(keeper.trim_outputs)
        await clock.sleep(_TURN_S)


def _check_pidfd() -> None:
    with contextlib.suppress(AttributeError, OSError):
        os.close(os.pidfd_open(os.getpid()))
        return
    raise NoPidfdError("miner-agent-rig needs Linux 5.3 or newer (pidfd_open)")
