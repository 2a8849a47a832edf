"""What the web layer keeps until it starts again: it frees nothing, and has no session of any kind."""

from __future__ import annotations

from typing import Final

from simulator.faults import Faults

LEAK_LOADS: Final = 20_000
"""Pages after which the web layer is out of memory. Chosen by us."""


class WebMemory:
    """Pages loaded since it started, and whether anybody logged in."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.loads = 0
        self.logged_in = False

    def restart(self) -> None:
        """Begin again with all the memory there is."""
        self.loads = 0
        self.logged_in = False

    @property
    def is_used_up(self) -> bool:
        return self.loads >= self._limit()

    @property
    def worn(self) -> float:
        """From 0, at half of the memory and before, to 1 at the end of it."""
        return max(0.0, 2 * self.loads / self._limit() - 1)

    def _limit(self) -> int:
        leak = self._faults.get("leaky_web")
        return int(leak.args.get("loads", 50)) if leak else LEAK_LOADS
