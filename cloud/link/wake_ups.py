"""Waking the long polls of agents when there is something for them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field


@dataclass
class _Mailbox:
    farm_id: str
    count: int = 0
    event: asyncio.Event = field(default_factory=asyncio.Event)

    def ring(self) -> None:
        self.count += 1
        self.event.set()


class WakeUps:
    """One bell per agent. Ringing where nobody listens is free: an agent that asks reads the queue first."""

    def __init__(self) -> None:
        self._boxes: dict[str, _Mailbox] = {}

    def wake(self, *agent_ids: str) -> None:
        """Something changed for these agents: a task was queued, a cancel asked for, settings changed."""
        for agent_id in set(agent_ids):
            if box := self._boxes.get(agent_id):
                box.ring()

    def wake_for(self, farm_id: str, agent_ids: Collection[str | None]) -> None:
        """For new tasks of these agents; one of None may be taken by any agent of the farm."""
        self.wake(*(agent_id for agent_id in agent_ids if agent_id is not None))
        if None in agent_ids:
            self.wake_farm(farm_id)

    def wake_farm(self, farm_id: str) -> None:
        """For tasks that any agent of the farm may take."""
        for box in self._boxes.values():
            if box.farm_id == farm_id:
                box.ring()

    def ticket(self, agent_id: str, farm_id: str) -> int:
        """Take one before reading the queue; `wait` returns at once if the bell rang since."""
        return self._boxes.setdefault(agent_id, _Mailbox(farm_id)).count

    async def wait(self, agent_id: str, ticket: int, timeout_s: float) -> bool:
        """Whether the bell rang; False after `timeout_s`."""
        box = self._boxes[agent_id]
        if box.count != ticket:
            return True
        box.event.clear()
        try:
            async with asyncio.timeout(max(0.0, timeout_s)):
                await box.event.wait()
        except TimeoutError:
            return False
        return True
