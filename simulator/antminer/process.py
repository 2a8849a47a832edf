"""bmminer, cgminer and godminer: what their modes make of rate and power, and what their sensors say."""

from __future__ import annotations

import random
from typing import Final

from simulator.antminer.catalogue import AntminerProduct, Generation
from simulator.clock import DeviceClock
from simulator.process import MiningProcess

NORMAL: Final = 0
SLEEP: Final = 1
HEM: Final = 2
LOW: Final = 3
OLD_SLEEP: Final = 254

_RATE_OF_MODE: Final = {NORMAL: 1.0, HEM: 0.85, LOW: 0.7}
_POWER_OF_MODE: Final = {NORMAL: 1.0, HEM: 0.78, LOW: 0.6}
_IDLE_W: Final = 15.0
_BOARDLESS_W: Final = 60.0
SHARE_DIFFICULTY: Final = 262_144


class MinerProcess(MiningProcess):
    """Runs in the mode it was started with; asleep it is up, and hashes nothing."""

    init_s = 120.0
    ramp_s = 240.0
    shares_per_s = 0.19

    def __init__(self, model: AntminerProduct, clock: DeviceClock, seed: random.Random) -> None:
        super().__init__(model.hashrate_hs, len(model.chains), clock, seed)
        self.model = model
        self.running_mode = NORMAL

    def start(self, mode: int, *, ago_s: float = 0.0) -> None:
        """Begin a run in that mode; `ago_s` lets a run have begun before the farm did."""
        self._begin(ago_s)
        self.running_mode = mode

    @property
    def asleep(self) -> bool:
        return self.running_mode in (SLEEP, OLD_SLEEP)

    @property
    def powered_down(self) -> bool:
        """Boards are without power: sleep or protection stop."""
        return self.asleep or self.overheated

    def factor(self) -> float:
        return _RATE_OF_MODE.get(self.running_mode, 1.0)

    def full_heat(self) -> float:
        return _POWER_OF_MODE.get(self.running_mode, 1.0)

    def elapsed(self) -> int:
        """Whole seconds since the process started."""
        return int(self._elapsed_s())

    def rate_5s(self) -> float:
        """Hash rate in H/s under the name its firmware gives it."""
        return self.rate_now()

    def rate_30m(self) -> float:
        """Hash rate of the last half hour in H/s."""
        return self.rate_over(1800.0)

    def board_rate(self, index: int) -> float:
        """The rate of one board in H/s (of the nominal third, so that boards differ)."""
        return self.rate_now() / len(self.model.chains) * self.board_strength[index]

    def hardware_errors(self) -> int:
        return int(self.hashing_s() * 0.011)

    def power_w(self) -> float:
        """Draw at the wall."""
        if self.started is None or self.powered_down:
            return _IDLE_W
        hashing = min(1.0, self.fraction() / self.factor())
        return _BOARDLESS_W + (self.model.power_w - _BOARDLESS_W) * hashing * self.full_heat()

    def board_temps(self, index: int, *, cold: bool = False) -> list[int]:
        """Four PCB temperatures of a board in degC: inlet, outlet, inlet, outlet side."""
        base = (-24.0 if cold else self.ambient_c) + index
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


def sleep_mode(model: AntminerProduct) -> int:
    """The number this generation sleeps by."""
    return OLD_SLEEP if model.generation is Generation.OLD else SLEEP
