"""Wishes by hand on the agent's host, beside the load of the cloud: through the daemon's door, as `miner-agent act`."""

from __future__ import annotations

import asyncio
import random
from typing import Any, Final

from agent.local.socket import LocalReply, LocalRequest, NoDaemonError, ask
from contract.task import TaskName
from tests.system.site import Site

_EVERY_S: Final = 0.5
_NAMES: Final = (
    TaskName.LIGHT,
    TaskName.LIGHT,
    TaskName.POOLS,
    TaskName.MINING,
    TaskName.REBOOT,
    TaskName.LOG,
)


class Hands:
    """Wishes one task after the other, on any miner, whether the daemon lives to answer or not."""

    def __init__(self, site: Site, *, seed: int) -> None:
        self.asked = 0
        self.answers: list[dict[str, Any]] = []
        self._site = site
        self._random = random.Random(seed)
        self._door = site.journal.parent / "agent.sock"

    async def run(self) -> None:
        """Wish until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self._wish())
                await asyncio.sleep(self._random.uniform(0.5, 1.5) * _EVERY_S)

    async def wish(self, name: TaskName, host: str, params: dict[str, Any]) -> LocalReply | None:
        """`None` when the daemon was not there, or went away meanwhile."""
        try:
            reply = await ask(self._door, LocalRequest(name=name, params=params, host=host))
        except (NoDaemonError, OSError):
            return None
        if reply.result is not None and "task_id" in reply.result:
            self.answers.append(reply.result)
        return reply

    async def _wish(self) -> None:
        name = self._random.choice(_NAMES)
        self.asked += 1
        await self.wish(name, self._random.choice(self._site.miners).ip, self._params(name))

    def _params(self, name: TaskName) -> dict[str, Any]:
        if name is TaskName.LIGHT:
            return {"action": self._random.choice(("on", "off"))}
        if name is TaskName.MINING:
            return {"action": self._random.choice(("off", "on"))}
        if name is TaskName.POOLS:
            url = f"stratum+tcp://onsite{self.asked}.example.com:3333"
            return {"pools": [{"url": url, "user": "farm.{ip4}", "password": "of-the-site"}]}
        return {"force": True} if name is TaskName.REBOOT else {}
