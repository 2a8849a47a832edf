"""Leave to begin what happens at most once: drawn at the intent, granted by the cloud (`contract.begin`)."""

from __future__ import annotations

import asyncio
import secrets

from contract.clock import Clock


def draw(clock: Clock) -> str:
    """A begin id that no other life of this agent has. A virtual machine put back may repeat its random bytes, but not
    the nanoseconds since it booted and those of the day, both of them.
    """
    mono_ns, now_us = round(clock.mono() * 1e9), round(clock.now().timestamp() * 1e6)
    return f"{secrets.token_hex(16)}-{mono_ns:x}-{abs(now_us):x}"


class Grants:
    """Who waits for the cloud's answer to which begin id."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[bool]] = {}

    async def wait(self, begin_id: str) -> bool:
        """Whether it is granted, once the cloud has said so."""
        answer = self._waiting.setdefault(begin_id, asyncio.get_running_loop().create_future())
        try:
            return await answer
        finally:
            self._waiting.pop(begin_id, None)

    def answer(self, begin_id: str, *, granted: bool) -> None:
        """What the cloud says. To an id that nobody waits for, of an earlier process say, it means nothing."""
        waiting = self._waiting.get(begin_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(granted)
