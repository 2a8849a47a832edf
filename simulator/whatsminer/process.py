"""btminer: what its modes and limits make of rate and power, and what its sensors say."""

from __future__ import annotations

import random
from typing import Final

from simulator.clock import DeviceClock
from simulator.process import MiningProcess
from simulator.whatsminer.catalogue import WhatsminerProduct

MODES: Final = ("low", "normal", "high")
RATE_OF_MODE: Final = {"low": 0.76, "normal": 1.0, "high": 1.1}
POWER_OF_MODE: Final = {"low": 0.66, "normal": 1.0, "high": 1.17}
_IDLE_W: Final = 22.0
_BOARDLESS_W: Final = 60.0
SHARE_DIFFICULTY: Final = 262_144.0


class Btminer(MiningProcess):
    """Runs in the mode it was started with, as far as the limits let it."""

    init_s = 60.0
    ramp_s = 420.0
    shares_per_s = 0.21

    def __init__(self, model: WhatsminerProduct, clock: DeviceClock, seed: random.Random) -> None:
        super().__init__(model.hashrate_hs, model.boards, clock, seed)
        self.model = model
        self.mode = "normal"
        self.scale = 1.0
        """What power limit, power percentage and frequency leave of the mode's rate."""

    def start(self, mode: str, scale: float = 1.0, *, ago_s: float = 0.0) -> None:
        """Begin a run in that mode; `ago_s` lets a run have begun before the farm did."""
        self._begin(ago_s)
        self.mode, self.scale = mode, scale

    def elapsed(self) -> float:
        """Seconds since the process started."""
        return self._elapsed_s()

    @property
    def ramped(self) -> bool:
        """The frequency ramp is done."""
        return self.works and self.elapsed() >= self.init_s + self.ramp_s

    @property
    def stable_cost_s(self) -> int:
        """How long it took to settle."""
        return int(self.init_s + self.ramp_s)

    def factor(self) -> float:
        return RATE_OF_MODE[self.mode] * self.scale

    def full_heat(self) -> float:
        return POWER_OF_MODE[self.mode] * self.scale

    def share_of_board(self, index: int) -> float:
        """How much of the miner's rate one of its boards does, all of them being there."""
        return self.board_strength[index] / self.model.boards

    def hardware_errors(self) -> int:
        return self.accepted() // 17

    def power_w(self) -> float:
        """Draw at the wall."""
        if not self.works:
            return _IDLE_W
        done = self.fraction() / self.factor() if self.factor() else 0.0
        full = self.model.power_w * POWER_OF_MODE[self.mode] * self.scale
        return _BOARDLESS_W + (full - _BOARDLESS_W) * done

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
