"""Leave to begin what happens at most once: drawn at the intent, granted by the cloud (`contract.begin`)."""

from __future__ import annotations

import asyncio
import secrets

from contract.clock import Clock
from contract.errors import NotGrantedError, StorageFullError


def draw(clock: Clock) -> str:
    """A begin id that no other life of this agent has. A virtual machine put back may repeat its random bytes, but not
    the nanoseconds since it booted and those of the day, both of them.
    """
    mono_ns, now_us = round(clock.mono() * 1e9), round(clock.now().timestamp() * 1e6)
    return f"{secrets.token_hex(16)}-{mono_ns:x}-{abs(now_us):x}"


class Grants:
    """Who waits for the cloud's answer to which begin id."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[None]] = {}

    async def wait(self, begin_id: str) -> None:
        """Until the cloud grants it. Raises NotGrantedError, or StorageFullError where nobody asks it any more."""
        answer = self._waiting.setdefault(begin_id, asyncio.get_running_loop().create_future())
        try:
            await answer
        finally:
            self._waiting.pop(begin_id, None)

    def answer(self, begin_id: str, refusal: str | None) -> None:
        """What the cloud says: `None` grants it. To an id that nobody waits for, of an earlier process say, it means
        nothing.
        """
        waiting = self._waiting.get(begin_id)
        if waiting is not None and not waiting.done():
            if refusal is None:
                waiting.set_result(None)
            else:
                waiting.set_exception(NotGrantedError(f"Nothing was sent: {refusal}"))

    def forget(self) -> None:
        """The journal had to begin another file, and the questions to the cloud went with the damaged one."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(
                    StorageFullError("The journal was started over under this task; give it again.")
                )
