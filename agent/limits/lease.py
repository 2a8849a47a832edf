"""The lease: how long the cloud surely holds our tasks to be ours."""

from __future__ import annotations

import asyncio

from contract.clock import Clock


class Lease:
    """Counted on the monotonic clock from before the request that renewed it, so that it ends here no later than
    in the cloud.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until_mono = float("-inf")
        self._renewed = asyncio.Event()

    def renew(self, asked_mono: float, lease_s: float) -> None:
        """Take a reply to a request that was begun at `asked_mono`. An older reply never shortens it."""
        self._until_mono = max(self._until_mono, asked_mono + lease_s)
        self._renewed.set()
        self._renewed = asyncio.Event()

    def left_s(self) -> float:
        """Seconds left; 0 when there is none."""
        return max(0.0, self._until_mono - self._clock.mono())

    async def at_least(self, seconds: float) -> None:
        """Wait until so much is left."""
        while self.left_s() < seconds:
            await self._renewed.wait()
