"""Writing down what machines report, many at a time.

A transaction costs about the same for one log as for a hundred. While one is being written, the logs that come in wait
for the next; each caller is answered when its own is safely stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from cloud.config import CloudSettings
from cloud.store.engine import Store
from cloud.store.rigmonitor import Log, apply_logs
from contract.clock import Clock


class Inbox:
    """`put` logs; `close` when no more come."""

    def __init__(self, store: Store, settings: CloudSettings, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._waiting: list[tuple[Log, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def put(self, log: Log) -> None:
        """Returns when it is stored; raises what kept it from being stored."""
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((log, stored))
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
                try:
                    await self._store_all([log for log, _ in some])
                except Exception as error:  # noqa: BLE001 - it is raised where the log came from
                    await self._store_each(some, error)
                else:
                    _settle([stored for _, stored in some])
        finally:
            self._writer = None

    async def _store_each(
        self, some: list[tuple[Log, asyncio.Future[None]]], error: Exception
    ) -> None:
        """One log that cannot be stored must not take its neighbours along."""
        if len(some) == 1:
            _settle([some[0][1]], error)
            return
        for log, stored in some:
            try:
                await self._store_all([log])
            except Exception as own:  # noqa: BLE001 - it is raised where the log came from
                _settle([stored], own)
            else:
                _settle([stored])

    async def _store_all(self, logs: list[Log]) -> None:
        await apply_logs(
            self._store,
            logs,
            self._clock.now(),
            offline_after_s=self._settings.rig_offline_after_s,
        )


INBOX: Final = web.AppKey("rig_inbox", Inbox)


async def inbox_closed(app: web.Application) -> AsyncIterator[None]:
    """For `cleanup_ctx`: nothing is being written when the store is closed."""
    yield
    await app[INBOX].close()


def _settle(futures: list[asyncio.Future[None]], error: Exception | None = None) -> None:
    for stored in futures:
        if stored.done():
            continue  # its caller has gone
        if error is None:
            stored.set_result(None)
        else:
            stored.set_exception(error)
