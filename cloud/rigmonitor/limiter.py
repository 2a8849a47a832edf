"""How often one caller may call: a bucket of calls for each that fills with time."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from contract.clock import Clock

# So many callers are remembered; the least recent one goes first.
CALLERS_MAX: Final = 10_000


class Limiter:
    """`per_s` calls a second in the long run, `burst` at once. A caller is named by any text."""

    def __init__(self, clock: Clock, *, per_s: float, burst: int) -> None:
        self._clock = clock
        self._per_s = per_s
        self._burst = burst
        # What is left, and when that was so; whoever called last stands last.
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait_s(self, caller: str) -> float:
        """0 and one call less where there is one left, else how long until there is one."""
        now = self._clock.mono()
        left, at = self._buckets.pop(caller, (float(self._burst), now))
        left = min(float(self._burst), left + (now - at) * self._per_s)
        allowed = left >= 1
        self._buckets[caller] = (left - 1 if allowed else left, now)
        if len(self._buckets) > CALLERS_MAX:
            del self._buckets[next(iter(self._buckets))]
        return 0.0 if allowed else (1 - left) / self._per_s


LIMITER: Final = web.AppKey("rig_limiter", Limiter)  # by the machine
BULK_LIMITER: Final = web.AppKey("rig_bulk_limiter", Limiter)  # by the address that asks
