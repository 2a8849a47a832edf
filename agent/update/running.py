"""What this process says of itself to root's installer: which release it is, and how far it has come."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from agent.journal import Journal
from contract.clock import Clock, to_text
from contract.errors import StorageFullError
from release.handover import RUNNING, RunningRelease
from service.files import write_whole
from service.install.own import OwnRelease

LOOK_S: Final = 1.0
_ANSWER_S: Final = 5.0
log: Any = structlog.get_logger(__name__)


class RunningReport:
    """Begun once the process is ready. Written only when it says something new, whole and on the disk."""

    def __init__(
        self,
        state: Path,
        own: OwnRelease,
        clock: Clock,
        *,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """`state` is the agent's own folder."""
        self._path = state / RUNNING
        self._own = own
        self._clock = clock
        self._invocation = environment.get("INVOCATION_ID", "")  # as systemd tells it

    async def run(
        self, is_linked: Callable[[], bool], has_turned: Callable[[], Awaitable[bool]]
    ) -> None:
        """Until there is no more to say. A disk that does not take it is logged, and asked again."""
        written: tuple[bool, bool] | None = None
        turned = False
        while written != (True, True):
            turned = turned or await has_turned()
            said = (is_linked(), turned)
            if said != written:
                try:
                    await asyncio.to_thread(self._write, *said)
                    written = said
                except OSError as error:
                    log.warning("update.running_not_told", error=str(error))
            await self._clock.sleep(LOOK_S)

    def _write(self, linked: bool, turned: bool) -> None:
        running = RunningRelease(
            version=self._own.version,
            sha256=self._own.sha256,
            pid=os.getpid(),
            invocation=self._invocation,
            boot_id=self._clock.boot().boot_id,
            ready=True,
            linked=linked,
            journal_turned=turned,
            at=to_text(self._clock.now()),
        )
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        write_whole(self._path, msgspec.json.encode(running))


async def journal_turned(journal: Journal) -> bool:
    """Whether the journal answers, and its last write came to the disk."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            await journal.depth()
    except (StorageFullError, TimeoutError):
        return False
    return journal.trouble is None
