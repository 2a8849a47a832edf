"""btminer as physics: when it hashes, how fast, how hot, how many shares."""

from __future__ import annotations

import math
import random
from typing import Final

from simulator.clock import DeviceClock
from simulator.whatsminer.catalogue import Model

MODES: Final = ("low", "normal", "high")
RATE_OF_MODE: Final = {"low": 0.76, "normal": 1.0, "high": 1.1}
POWER_OF_MODE: Final = {"low": 0.66, "normal": 1.0, "high": 1.17}
_INIT_S: Final = 60.0
RAMP_S: Final = 420.0
_HEAT_TAU_S: Final = 150.0
_SHARES_PER_S: Final = 0.21
_IDLE_W: Final = 22.0
SHARE_DIFFICULTY: Final = 262_144.0


class Btminer:
    """Counts from its own start, which is not the control board's."""

    def __init__(self, model: Model, clock: DeviceClock, seed: random.Random) -> None:
        self.model = model
        self.mode = "normal"
        self.scale = 1.0
        """What power limit, power percentage and frequency leave of the mode's rate."""
        self.overheated = False
        self.barren = False
        """Runs, but never finds its boards (a fault)."""
        self.started: float | None = None
        self._clock = clock
        self.ambient_c = seed.uniform(18.0, 30.0)
        self._strength = seed.uniform(0.985, 1.02)
        self._phase = seed.uniform(0.0, 1000.0)
        self._heat = 0.0
        self._heat_at = 0.0
        self._warmth: tuple[object, float] = (None, 0.0)
        self._share_rate = _SHARES_PER_S * seed.uniform(0.8, 1.2)
        strengths = [seed.uniform(0.97, 1.03) for _ in range(model.boards)]
        mean = sum(strengths) / len(strengths)  # the boards add up to what the miner says it does
        self.board_strength = [each / mean for each in strengths]

    def start(self, mode: str, scale: float = 1.0, *, ago_s: float = 0.0) -> None:
        """Begin a run in that mode; `ago_s` lets a run have begun before the farm did."""
        now = self._clock.now()
        self._heat, self._heat_at = (0.0 if ago_s else self.heat()), now - ago_s
        self.mode, self.scale = mode, scale
        self.started = now - ago_s

    def stop(self) -> None:
        """End the run (what is asked of the process is refused from now on)."""
        self._heat, self._heat_at = self.heat(), self._clock.now()
        self.started = None

    @property
    def is_up(self) -> bool:
        return self.started is not None

    @property
    def works(self) -> bool:
        """Up, and its boards have power."""
        return self.started is not None and not self.overheated and not self.barren

    def elapsed(self) -> float:
        """Seconds since the process started."""
        return 0.0 if self.started is None else max(0.0, self._clock.now() - self.started)

    @property
    def ramped(self) -> bool:
        """The frequency ramp is done."""
        return self.works and self.elapsed() >= _INIT_S + RAMP_S

    @property
    def stable_cost_s(self) -> int:
        """How long it took to settle."""
        return int(_INIT_S + RAMP_S)

    def factor(self) -> float:
        """The rate this run aims at, as a share of the nominal one."""
        return RATE_OF_MODE[self.mode] * self.scale

    def fraction(self) -> float:
        """Share of the nominal rate being hashed now, without noise."""
        if not self.works:
            return 0.0
        return min(1.0, max(0.0, self.elapsed() - _INIT_S) / RAMP_S) * self.factor()

    def rate_now(self) -> float:
        """Hash rate in H/s, as noisy as the real figure is."""
        wobble = 0.012 * math.sin(self._clock.now() / 5.0 + self._phase)
        return self.fraction() * self.model.hashrate_hs * self._strength * (1 + wobble)

    def rate_over(self, window_s: float) -> float:
        """Mean hash rate in H/s of the last so many seconds, at most since the process started."""
        if not self.works:
            return 0.0
        elapsed = self.elapsed()
        span = min(window_s, elapsed)
        if span <= 0:
            return 0.0
        work = _work(elapsed - _INIT_S) - _work(elapsed - span - _INIT_S)
        return work / span * self.factor() * self.model.hashrate_hs * self._strength

    def rate_avg(self) -> float:
        """Mean hash rate in H/s since the process started."""
        return self.rate_over(math.inf)

    def share_of_board(self, index: int) -> float:
        """How much of the miner's rate one of its boards does, all of them being there."""
        return self.board_strength[index] / self.model.boards

    def accepted(self) -> int:
        return int(_work(self.elapsed() - _INIT_S) * self._share_rate) if self.works else 0

    def rejected(self) -> int:
        return self.accepted() // 400

    def hardware_errors(self) -> int:
        return self.accepted() // 17

    def power_w(self) -> float:
        """Draw at the wall."""
        if not self.works:
            return _IDLE_W
        done = self.fraction() / self.factor() if self.factor() else 0.0
        full = self.model.power_w * POWER_OF_MODE[self.mode] * self.scale
        return 60.0 + (full - 60.0) * done

    def heat(self) -> float:
        """How warm the boards are, from 0 (ambient) to 1 (full load)."""
        # asked for by every sensor of a reply: worked out once a second
        key = (int(self._clock.now()), self.started, self.overheated, self.barren)
        if key != self._warmth[0]:
            self._warmth = (key, self._heat_now())
        return self._warmth[1]

    def env_c(self, *, cold: bool = False) -> float:
        """Air inlet, or coolant."""
        return -19.0 if cold else round(self.ambient_c, 1)

    def board_c(self, index: int, *, cold: bool = False) -> float:
        """The board's sensor at the air outlet, in steps of half a degree."""
        if cold:
            return -18.5 + index
        return round(2 * (self.ambient_c + index + 42.0 * self.heat())) / 2

    def chip_c(self, index: int, *, cold: bool = False) -> tuple[float, float, float]:
        """Lowest, highest and mean chip of a board."""
        base, heat = self.board_c(index, cold=cold), 0.0 if cold else self.heat()
        low, high = base - 4.0 * heat, base + 17.5 * heat
        return round(low, 2), round(high, 2), round((low + 2 * high) / 3, 2)

    def fan_rpm(self, *, out: bool) -> int:
        """Speed of the inlet or the outlet fan."""
        level = 0.3 + (0.6 * min(1.0, self.heat()) if self.works else 0.0)
        return int(self.model.fan_rpm * level * (1.01 if out else 1.0)) // 30 * 30

    def _heat_now(self) -> float:
        now, at, level = self._clock.now(), self._heat_at, self._heat
        if self.works:
            assert self.started is not None
            init_end = self.started + _INIT_S
            if now > init_end:
                level, at = _toward(level, 0.15, init_end - at), init_end
                return _toward(level, POWER_OF_MODE[self.mode] * self.scale, now - at)
            return _toward(level, 0.15, now - at)
        return _toward(level, 1.3 if self.overheated else 0.0, now - at)


def _work(since_s: float) -> float:
    # the integral of the ramp: how much full-rate time has been worked
    if since_s <= 0:
        return 0.0
    if since_s < RAMP_S:
        return since_s * since_s / (2 * RAMP_S)
    return since_s - RAMP_S / 2


def _toward(level: float, target: float, seconds: float) -> float:
    return target + (level - target) * math.exp(-max(0.0, seconds) / _HEAT_TAU_S)
