"""Writing down what machines report, many at a time.

A transaction costs about the same for one log as for a hundred. While one is being written, the logs that come in wait
for the next; each caller is answered when its own is safely stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiohttp import web

from cloud.config import CloudSettings
from cloud.store.engine import Store
from cloud.store.miners.rigs import Log, apply_logs
from contract.clock import Clock

log: Any = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Waiting:
    """A log and whoever waits for it to be stored; he may have gone meanwhile."""

    log: Log
    stored: asyncio.Future[None]

    def succeeded(self) -> None:
        if not self.stored.done():
            self.stored.set_result(None)

    def failed(self, error: Exception) -> None:
        if self.stored.done():  # then nobody else would ever hear of it
            log.error("rig_inbox.lost", rig=self.log.rig.id, exc_info=error)
        else:
            self.stored.set_exception(error)


class Inbox:
    """`put` logs; `close` when no more come."""

    def __init__(self, store: Store, settings: CloudSettings, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None

    async def put(self, given: Log) -> None:
        """Returns when it is stored; raises what kept it from being stored."""
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(given, stored))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write(), name="rig_inbox")
        await stored

    async def close(self) -> None:
        """Finish what is waiting."""
        if self._writer is not None:
            await self._writer

    async def _write(self) -> None:
        try:
            while self._waiting:
                some, self._waiting = self._waiting, []
                if not await self._store_all(some):
                    for one in some:
                        await self._store_all([one])
        finally:
            self._writer = None

    async def _store_all(self, some: list[_Waiting]) -> bool:
        """Whether all of them are answered. Several that cannot be stored together are not: one bad log must not take
        its neighbours along.
        """
        try:
            await apply_logs(
                self._store,
                [each.log for each in some],
                self._clock.now(),
                offline_after_s=self._settings.rig_offline_after_s,
            )
        except Exception as error:
            # Whoever waits has to be answered, be it the database's failure or a bug of ours: a call that hangs says
            # nothing to anybody. He raises it, and the edge of the API logs it. A cancellation passes.
            if len(some) > 1:
                log.warning("rig_inbox.one_by_one", logs=len(some), exc_info=True)
                return False
            some[0].failed(error)
        else:
            for each in some:
                each.succeeded()
        return True


INBOX: Final = web.AppKey("rig_inbox", Inbox)


async def inbox_closed(app: web.Application) -> AsyncIterator[None]:
    """For `cleanup_ctx`: nothing is being written when the store is closed."""
    yield
    await app[INBOX].close()
