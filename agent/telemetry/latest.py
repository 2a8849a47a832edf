"""What the last look at each miner showed, judged as it came in: small enough to be kept of thousands."""

from __future__ import annotations

from typing import Final

import msgspec

from contract.clock import Clock
from contract.condition.judgement import MinerLook, MinerState, look_of
from contract.link import MinerReading
from contract.miner import Slow, Static

_MOST: Final = 131_072  # addresses
_NOT_READ: Final = MinerLook(state=MinerState.UNSEEN)


class LatestLook(msgspec.Struct, kw_only=True):
    """One address. `look` is that of the last reading that brought figures; `error` why the last look brought none."""

    look: MinerLook = _NOT_READ
    slow: Slow | None = None
    static: Static | None = None
    error: str | None = None
    answers: bool = True
    answered_mono: float | None = None
    looked_mono: float = 0.0
    interval_s: float = 0.0


class LatestLooks:
    """Takes every reading as it passes by."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_ip: dict[str, LatestLook] = {}

    def at(self, ip: str) -> LatestLook | None:
        """`None` where nobody looked since the agent began."""
        return self._by_ip.get(ip)

    def take(self, reading: MinerReading) -> None:
        """A look at some miner. Slow and static facts are there only when they are news."""
        latest = self._by_ip.get(reading.ip)
        if latest is None:
            if len(self._by_ip) >= _MOST:
                del self._by_ip[next(iter(self._by_ip))]
            latest = self._by_ip[reading.ip] = LatestLook()
        now = self._clock.mono()
        latest.looked_mono, latest.interval_s = now, reading.interval_s or latest.interval_s
        latest.answers, latest.error = reading.ok, reading.error
        if reading.moving is None:
            return
        latest.answered_mono = now
        latest.slow = reading.slow or latest.slow
        latest.static = reading.static or latest.static
        latest.look = look_of(reading.moving, latest.slow, latest.static)
