"""Waiting for what comes about by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(
    condition: Callable[[], object], *, within_s: float = 60.0, every_s: float = 0.005
) -> None:
    """Wait for a condition of code, a device or a process that gives tests no event; TimeoutError if it does not come."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(every_s)
