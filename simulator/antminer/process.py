"""The miner process as physics: when it hashes, how fast, how hot, how many shares."""

from __future__ import annotations

import math
import random
from typing import Final

from simulator.antminer.catalogue import Generation, Model
from simulator.clock import DeviceClock

NORMAL: Final = 0
SLEEP: Final = 1
HEM: Final = 2
LOW: Final = 3
OLD_SLEEP: Final = 254

_RATE_OF_MODE: Final = {NORMAL: 1.0, HEM: 0.85, LOW: 0.7}
_POWER_OF_MODE: Final = {NORMAL: 1.0, HEM: 0.78, LOW: 0.6}
_INIT_S: Final = 120.0
_RAMP_S: Final = 240.0
_HEAT_TAU_S: Final = 150.0
_SHARES_PER_S: Final = 0.19
SHARE_DIFFICULTY: Final = 262_144


class MinerProcess:
    """bmminer, cgminer or godminer: counts from its own start, which is not the device's."""

    def __init__(self, model: Model, clock: DeviceClock, seed: random.Random) -> None:
        self.model = model
        self.running_mode = NORMAL
        self.overheated = False
        self.barren = False
        """Runs, but never finds its boards (a fault)."""
        self.started: float | None = None
        self._clock = clock
        self._ambient_c = seed.uniform(18.0, 30.0)
        self._strength = seed.uniform(0.985, 1.02)
        self._phase = seed.uniform(0.0, 1000.0)
        self._heat = 0.0
        self._heat_at = 0.0
        self._warmth: tuple[object, float] = (None, 0.0)
        self.share_rate = _SHARES_PER_S * seed.uniform(0.8, 1.2)
        strengths = [seed.uniform(0.97, 1.03) for _ in model.chains]
        mean = sum(strengths) / len(strengths)  # the boards add up to what the miner says it does
        self.board_strength = [each / mean for each in strengths]

    def start(self, mode: int, *, ago_s: float = 0.0) -> None:
        """Begin a run in that mode; `ago_s` lets a run have begun before the farm did."""
        now = self._clock.now()
        self._heat, self._heat_at = (0.0 if ago_s else self.heat()), now - ago_s
        self.running_mode = mode
        self.started = now - ago_s

    def stop(self) -> None:
        """End the run (the process is gone: its API port is closed)."""
        self._heat, self._heat_at = self.heat(), self._clock.now()
        self.started = None

    @property
    def is_up(self) -> bool:
        return self.started is not None

    @property
    def asleep(self) -> bool:
        return self.running_mode in (SLEEP, OLD_SLEEP)

    @property
    def powered_down(self) -> bool:
        """Boards are without power: sleep or protection stop."""
        return self.asleep or self.overheated

    def elapsed(self) -> int:
        """Whole seconds since the process started."""
        return 0 if self.started is None else max(0, int(self._clock.now() - self.started))

    def fraction(self) -> float:
        """Share of the nominal rate being hashed now, without noise."""
        if self.started is None or self.powered_down or self.barren:
            return 0.0
        since = self._clock.now() - self.started - _INIT_S
        if since <= 0:
            return 0.0
        return min(1.0, since / _RAMP_S) * _RATE_OF_MODE.get(self.running_mode, 1.0)

    def rate_5s(self) -> float:
        """Hash rate in H/s, as noisy as the real figure is."""
        wobble = 0.012 * math.sin(self._clock.now() / 5.0 + self._phase)
        return self.fraction() * self.model.hashrate_hs * self._strength * (1 + wobble)

    def rate_30m(self) -> float:
        """Hash rate of the last half hour in H/s."""
        return self._mean(1800.0)

    def rate_avg(self) -> float:
        """Hash rate since the process started in H/s."""
        return self._mean(math.inf)

    def board_rate(self, index: int) -> float:
        """The rate of one board in H/s (of the nominal third, so that boards differ)."""
        return self.rate_5s() / len(self.model.chains) * self.board_strength[index]

    def hashing_s(self) -> float:
        """Seconds of full-rate work since the process started."""
        if self.started is None or self.powered_down or self.barren:
            return 0.0
        return _work(self._clock.now() - self.started - _INIT_S)

    def accepted(self) -> int:
        return int(self.hashing_s() * self.share_rate)

    def rejected(self) -> int:
        return self.accepted() // 400

    def hardware_errors(self) -> int:
        return int(self.hashing_s() * 0.011)

    def power_w(self) -> float:
        """Draw at the wall."""
        if self.started is None or self.powered_down:
            return 15.0
        hashing = min(1.0, self.fraction() / _RATE_OF_MODE.get(self.running_mode, 1.0))
        return 60.0 + (self.model.power_w - 60.0) * hashing * _POWER_OF_MODE.get(
            self.running_mode, 1.0
        )

    def heat(self) -> float:
        """How warm the boards are, from 0 (ambient) to 1 (full load)."""
        # asked for by every sensor of a reply: worked out once a second
        key = (int(self._clock.now()), self.started, self.powered_down, self.barren)
        if key != self._warmth[0]:
            self._warmth = (key, self._heat_now())
        return self._warmth[1]

    def _heat_now(self) -> float:
        now, at, level = self._clock.now(), self._heat_at, self._heat
        if self.started is not None and not self.powered_down and not self.barren:
            init_end = self.started + _INIT_S
            if now > init_end:
                level, at = _toward(level, 0.15, init_end - at), init_end
                return _toward(level, _POWER_OF_MODE.get(self.running_mode, 1.0), now - at)
            return _toward(level, 0.15, now - at)
        return _toward(level, 1.3 if self.overheated else 0.0, now - at)

    def board_temps(self, index: int, *, cold: bool = False) -> list[int]:
        """Four PCB temperatures of a board in degC: inlet, outlet, inlet, outlet side."""
        base = (-24.0 if cold else self._ambient_c) + index
        heat = 0.0 if cold else self.heat()
        spread = (28.0, 36.0, 20.0, 38.0)
        offset = (2, -1, 22, 20) if cold else (0, 0, 0, 0)
        return [round(base + rise * heat + o) for rise, o in zip(spread, offset, strict=True)]

    def chip_temps(self, index: int, *, cold: bool = False) -> list[int]:
        """Four chip temperatures of a board in degC."""
        warmer = round(14 * (0.0 if cold else self.heat()))
        return [temp + warmer for temp in self.board_temps(index, cold=cold)]

    def fan_rpm(self, slot: int) -> int:
        """Speed of the fan in that slot."""
        level = 0.25 if self.powered_down else 0.4 + 0.6 * min(1.0, self.heat())
        return int(self.model.fan_rpm * level * (1 + 0.01 * slot)) // 60 * 60

    def _mean(self, window_s: float) -> float:
        if self.started is None or self.powered_down or self.barren:
            return 0.0
        elapsed = self._clock.now() - self.started
        span = min(window_s, elapsed)
        if span <= 0:
            return 0.0
        work = _work(elapsed - _INIT_S) - _work(elapsed - span - _INIT_S)
        factor = _RATE_OF_MODE.get(self.running_mode, 1.0)
        return work / span * factor * self.model.hashrate_hs * self._strength


def sleep_mode(model: Model) -> int:
    """The number this generation sleeps by."""
    return OLD_SLEEP if model.generation is Generation.OLD else SLEEP


def _work(since_s: float) -> float:
    # the integral of the ramp: how much full-rate time has been worked
    if since_s <= 0:
        return 0.0
    if since_s < _RAMP_S:
        return since_s * since_s / (2 * _RAMP_S)
    return since_s - _RAMP_S / 2


def _toward(level: float, target: float, seconds: float) -> float:
    return target + (level - target) * math.exp(-max(0.0, seconds) / _HEAT_TAU_S)
