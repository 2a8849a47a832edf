"""How often one machine may call: a bucket of calls per code that fills with time."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from contract.clock import Clock


class Limiter:
    """`per_s` calls a second in the long run, `burst` at once. Knows only machines that exist, so it stays small."""

    def __init__(self, clock: Clock, *, per_s: float, burst: int) -> None:
        self._clock = clock
        self._per_s = per_s
        self._burst = burst
        self._buckets: dict[str, tuple[float, float]] = {}  # what is left, and when that was so

    def wait_s(self, rig_id: str) -> float:
        """0 and one call less where there is one left, else how long until there is one."""
        now = self._clock.mono()
        left, at = self._buckets.get(rig_id, (float(self._burst), now))
        left = min(float(self._burst), left + (now - at) * self._per_s)
        allowed = left >= 1
        self._buckets[rig_id] = (left - 1 if allowed else left, now)
        return 0.0 if allowed else (1 - left) / self._per_s


LIMITER: Final = web.AppKey("rig_limiter", Limiter)
