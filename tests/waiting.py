"""Waiting for what comes about by itself."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable


async def until(
    condition: Callable[[], object], *, within_s: float = 60.0, every_s: float = 0.005
) -> None:
    """Wait for a condition (plain, or a coroutine) of code, a device or a process that gives tests no event. TimeoutError
    if it does not come.
    """
    async with asyncio.timeout(within_s):
        while True:
            found = condition()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return
            await asyncio.sleep(every_s)
