"""Waiting for what comes about by itself."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable


async def until(
    condition: Callable[[], object], *, within_s: float = 60.0, every_s: float | None = None
) -> None:
    """Wait for a condition (plain, or a coroutine) of code, a device or a process that gives tests no event. TimeoutError
    if it does not come. Unless it is said how often, it is looked at every 5 ms, and more seldom where it may take very
    long: that is an hour of virtual time, of which each look is all the cost.
    """
    every_s = max(0.005, within_s / 20_000) if every_s is None else every_s
    async with asyncio.timeout(within_s):
        while True:
            found = condition()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return
            await asyncio.sleep(every_s)
