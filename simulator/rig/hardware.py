"""The chips of a rig as physics: what they draw, how warm they get, how fast they run."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Final

from simulator.clock import DeviceClock
from simulator.physics import toward
from simulator.rig.catalogue import CpuModel, GpuModel

_IDLE_MHZ: Final = 210
_IDLE_MEM_MHZ: Final = 405
_IDLE_SHARE: Final = 0.08
"""Of its power at full load, what a GPU draws without any."""
_IDLE_FAN: Final = 30.0
_HOT_SPOT_K: Final = 11.0
_FAN_RPM: Final = 3300


class Warmth:
    """How warm a chip is, from 0 (ambient) to 1 (full load), by what it does and did."""

    def __init__(self, clock: DeviceClock) -> None:
        self._clock = clock
        self._load = 0.0
        self._level = 0.0
        self._at = clock.now()

    @property
    def load(self) -> float:
        """From 0 to 1."""
        return self._load

    def bear(self, load: float) -> None:
        """Carry that load from now on."""
        self._level, self._at, self._load = self.level(), self._clock.now(), load

    def settle(self, load: float) -> None:
        """Have carried that load for long."""
        self._level, self._at, self._load = load, self._clock.now(), load

    def level(self) -> float:
        return toward(self._level, self._load, self._clock.now() - self._at)


class RigChip:
    """What CPU and GPU have in common."""

    def __init__(self, clock: DeviceClock, seed: random.Random) -> None:
        self.warmth = Warmth(clock)
        self.ambient_c = seed.uniform(20.0, 28.0)
        self.strength = seed.uniform(0.985, 1.015)
        self._clock = clock
        self._phase = seed.uniform(0.0, 1000.0)

    def wobble(self, by: float) -> float:
        """A factor about 1, as restless as real figures are."""
        return 1 + by * math.sin(self._clock.now() / 7.0 + self._phase)

    def _temp_c(self, full_c: float) -> float:
        return self.ambient_c + (full_c - self.ambient_c) * (0.12 + 0.88 * self.warmth.level())


class CpuChip(RigChip):
    def __init__(self, model: CpuModel, clock: DeviceClock, seed: random.Random) -> None:
        super().__init__(clock, seed)
        self.model = model

    def temp_c(self, package: int) -> float:
        """Of that package; they differ by a degree."""
        return self._temp_c(self.model.temp_c) - package


@dataclass(frozen=True, slots=True)
class GpuFigures:
    """What a GPU's sensors show at one moment."""

    core_c: int
    hot_spot_c: int
    mem_c: int | None
    core_mhz: int
    mem_mhz: int
    fan_percent: int
    fan_rpm: int
    power_w: float


class GpuChip(RigChip):
    """One GPU in its slot. `bus` is its PCI address as sysfs spells it."""

    def __init__(
        self, index: int, model: GpuModel, bus: int, clock: DeviceClock, seed: random.Random
    ) -> None:
        super().__init__(clock, seed)
        self.index = index
        self.model = model
        self.bus_number = bus
        self.bus = f"0000:{bus:02x}:00.0"
        self.uuid = "GPU-" + "-".join(f"{seed.getrandbits(4 * n):0{n}x}" for n in (8, 4, 4, 4, 12))
        self.power_limit_w = self.default_limit_w

    @property
    def default_limit_w(self) -> float:
        """The power limit that it comes with."""
        return float(self.model.limits_w[1])

    @property
    def throttle(self) -> float:
        """How much of its rate its power limit lets it reach."""
        return min(1.0, self.power_limit_w / self.model.power_w)

    def figures(self) -> GpuFigures:
        model, load = self.model, self.warmth.load
        core_c = self._temp_c(model.core_c)
        fan = _IDLE_FAN + 45.0 * self.warmth.level()
        share = _IDLE_SHARE + (1 - _IDLE_SHARE) * load
        power_w = min(model.power_w * share * self.wobble(0.015), self.power_limit_w)
        mem_c = None if model.mem_c is None else self._temp_c(model.mem_c)
        return GpuFigures(
            core_c=round(core_c),
            hot_spot_c=round(core_c + _HOT_SPOT_K * load),
            mem_c=None if mem_c is None else round(mem_c),
            core_mhz=round(model.core_mhz * self.throttle) if load else _IDLE_MHZ,
            mem_mhz=model.mem_mhz if load else _IDLE_MEM_MHZ,
            fan_percent=round(fan),
            fan_rpm=round(_FAN_RPM * fan / 100),
            power_w=round(power_w, 2),
        )
