"""A mining process as physics: when it hashes, how fast, how warm its boards get, how many shares."""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from typing import ClassVar

from simulator.clock import DeviceClock
from simulator.physics import board_strengths, ramped_s, toward

_IDLE_HEAT = 0.15
_STOPPED_HEAT = 1.3


class MiningProcess(ABC):
    """Counts from its own start, which is not the control board's: finds its boards, ramps up, hashes.

    A make says by `factor` and `full_heat` what its modes make of that.
    """

    init_s: ClassVar[float]
    """From the start until the first hash."""
    ramp_s: ClassVar[float]
    """From the first hash to the full rate."""
    shares_per_s: ClassVar[float]

    def __init__(
        self, hashrate_hs: float, boards: int, clock: DeviceClock, seed: random.Random
    ) -> None:
        self.overheated = False
        self.barren = False
        """Runs, but never finds its boards (a fault)."""
        self.started: float | None = None
        self._clock = clock
        self._nominal_hs = hashrate_hs
        self.ambient_c = seed.uniform(18.0, 30.0)
        self._strength = seed.uniform(0.985, 1.02)
        self._phase = seed.uniform(0.0, 1000.0)
        self._heat = 0.0
        self._heat_at = 0.0
        self._warmth: tuple[object, float] = (None, 0.0)
        self._share_rate = self.shares_per_s * seed.uniform(0.8, 1.2)
        self.board_strength = board_strengths(seed, boards)

    def stop(self) -> None:
        """End the run: the process is gone, and what is asked of it is refused."""
        self._heat, self._heat_at = self.heat(), self._clock.now()
        self.started = None

    @property
    def is_up(self) -> bool:
        return self.started is not None

    @property
    def powered_down(self) -> bool:
        """Boards are without power."""
        return self.overheated

    @property
    def works(self) -> bool:
        """Up, and its boards have power."""
        return self.started is not None and not self.powered_down and not self.barren

    @abstractmethod
    def factor(self) -> float:
        """The rate this run aims at, as a share of the nominal one."""

    @abstractmethod
    def full_heat(self) -> float:
        """How warm this run gets at its full rate; 1 is the nominal mode."""

    def fraction(self) -> float:
        """Share of the nominal rate being hashed now, without noise."""
        if not self.works:
            return 0.0
        return min(1.0, max(0.0, self._since_init_s()) / self.ramp_s) * self.factor()

    def rate_now(self) -> float:
        """Hash rate in H/s, as noisy as the real figure is."""
        wobble = 0.012 * math.sin(self._clock.now() / 5.0 + self._phase)
        return self.fraction() * self._nominal_hs * self._strength * (1 + wobble)

    def rate_over(self, window_s: float) -> float:
        """Mean hash rate in H/s of the last so many seconds, at most since the process started."""
        if not self.works:
            return 0.0
        elapsed_s = self._elapsed_s()
        span_s = min(window_s, elapsed_s)
        if span_s <= 0:
            return 0.0
        before_s = ramped_s(elapsed_s - span_s - self.init_s, self.ramp_s)
        work_s = ramped_s(elapsed_s - self.init_s, self.ramp_s) - before_s
        return work_s / span_s * self.factor() * self._nominal_hs * self._strength

    def rate_avg(self) -> float:
        """Mean hash rate in H/s since the process started."""
        return self.rate_over(math.inf)

    def hashing_s(self) -> float:
        """Seconds of full-rate work since the process started."""
        return ramped_s(self._since_init_s(), self.ramp_s) if self.works else 0.0

    def accepted(self) -> int:
        return int(self.hashing_s() * self._share_rate)

    def rejected(self) -> int:
        return self.accepted() // 400

    def heat(self) -> float:
        """How warm the boards are, from 0 (ambient) to 1 (full load)."""
        # asked for by every sensor of a reply: worked out once a second
        key = (int(self._clock.now()), self.started, self.powered_down, self.barren)
        if key != self._warmth[0]:
            self._warmth = (key, self._heat_now())
        return self._warmth[1]

    def _begin(self, ago_s: float) -> None:
        # a run that began before the farm did is as warm as it will ever be
        at = self._clock.now() - ago_s
        self._heat, self._heat_at = (0.0 if ago_s else self.heat()), at
        self.started = at

    def _heat_now(self) -> float:
        now, at, level = self._clock.now(), self._heat_at, self._heat
        if not self.works:
            return toward(level, _STOPPED_HEAT if self.overheated else 0.0, now - at)
        assert self.started is not None
        init_end = self.started + self.init_s
        if now <= init_end:
            return toward(level, _IDLE_HEAT, now - at)
        level = toward(level, _IDLE_HEAT, init_end - at)
        return toward(level, self.full_heat(), now - init_end)

    def _elapsed_s(self) -> float:
        return 0.0 if self.started is None else max(0.0, self._clock.now() - self.started)

    def _since_init_s(self) -> float:
        return self._elapsed_s() - self.init_s
