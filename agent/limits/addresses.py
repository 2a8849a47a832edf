"""One task at a time at one address, by whatever name its miner goes.

Tasks of one miner run in a row by its MAC or id. But it may have two names: where it tells no MAC at the moment, what
is wished for on site goes by its address, and a task of the cloud by the MAC that it told before.
"""

from __future__ import annotations

import asyncio

import msgspec


class _Stay(msgspec.Struct):
    task_id: str
    left: asyncio.Event


class Addresses:
    """Who works where. A task is at one address at most."""

    def __init__(self) -> None:
        self._stays: dict[str, _Stay] = {}
        self._of_task: dict[str, str] = {}

    def take(self, task_id: str, host: str) -> bool:
        """From now on this task works there, and nowhere else. False where another does: see `left`."""
        stay = self._stays.get(host)
        if stay is not None:
            return stay.task_id == task_id
        self.give_back(task_id)
        self._stays[host] = _Stay(task_id, asyncio.Event())
        self._of_task[task_id] = host
        return True

    async def left(self, host: str) -> None:
        """Wait until whoever works there leaves. Another may be quicker to come: ask again."""
        stay = self._stays.get(host)
        if stay is not None:
            await stay.left.wait()

    def give_back(self, task_id: str) -> None:
        """It works nowhere any more."""
        host = self._of_task.pop(task_id, None)
        if host is not None:
            self._stays.pop(host).left.set()
