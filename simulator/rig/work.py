"""One run of a mining program: what it hashes, for which pool, how fast, and who paused it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from simulator.faults import Faults
from simulator.rig.catalogue import CpuModel, ProgramJob, rate_of
from simulator.rig.hardware import GpuFigures

INIT_S: Final = 6.0
"""From the start until the first hash (chosen by us)."""
_DECAY_S: Final = 25.0
"""How soon the rate of one who no longer works fades from what is shown (captured: that it does; how soon: chosen)."""
_SHARE_S: Final = 18.0


@dataclass(frozen=True, slots=True)
class GpuView:
    """A GPU as a program sees it."""

    index: int
    name: str
    vendor: str
    """`nvidia` or `amd`."""
    bus_number: int
    share: float
    """Of its nominal rate; 0 once it fell off the bus."""
    figures: GpuFigures

    @property
    def bus(self) -> str:
        return f"0000:{self.bus_number:02x}:00.0"


class Surroundings(Protocol):
    """The rig around a program, as far as programs look."""

    faults: Faults

    @property
    def cpu(self) -> CpuModel: ...
    @property
    def worker(self) -> str:
        """What the rig is called at its pools."""

    def now(self) -> float:
        """Seconds, from anywhere."""

    def unix(self) -> int: ...
    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something so many seconds later."""

    def gpus(self) -> Sequence[GpuView]: ...


class MiningRun:
    """From the start of a program to its end. Times are those of its surroundings."""

    def __init__(self, job: ProgramJob, rig: Surroundings, *, ago_s: float = 0.0) -> None:
        self.job = job
        self.rig = rig
        self.started = rig.now() - ago_s
        self.paused = False
        self.stopped = False
        """XMRig's `stop`: it goes on running, and hashes no more."""
        self.failures = 0
        """How often it lost its pool."""
        self._pool_since: float | None = self.started + INIT_S
        self._at = self.started + INIT_S
        self._works = True
        self._done_s = 0.0
        self._level = 0.0

    # --- what happens to it ----------------------------------------------------------------------

    def look(self) -> None:
        """Take note of what the pool and the operator want: called whenever one of them may have changed."""
        now = self.rig.now()
        reached = "pools_dead" not in self.rig.faults
        if reached and self._pool_since is None:
            self._pool_since = now
        elif not reached and self._pool_since is not None:
            self._pool_since = None
            self.failures += 1
        works = reached and not self.paused and not self.stopped
        if works != self._works:
            self._level, self._done_s = self.level(), self.hashing_s()
            self._at, self._works = max(now, self.started + INIT_S), works

    def pause(self, paused: bool) -> None:
        self.paused = paused
        self.look()

    def stop(self) -> None:
        self.stopped, self.paused = True, False
        self.look()

    # --- figures ---------------------------------------------------------------------------------

    @property
    def uptime_s(self) -> int:
        return int(self.rig.now() - self.started)

    @property
    def is_starting(self) -> bool:
        """Its GPUs and threads are not ready yet."""
        return self.rig.now() < self.started + INIT_S

    @property
    def works(self) -> bool:
        """It hashes now."""
        return self._works and not self.is_starting

    @property
    def pool_uptime_s(self) -> int:
        """Since when it is connected; 0 while it is not."""
        since = self._pool_since
        return 0 if since is None else max(0, int(self.rig.now() - since))

    @property
    def is_connected(self) -> bool:
        return self._pool_since is not None and not self.is_starting

    def level(self) -> float:
        """Of its rate, what it shows: 1 while it works, then less and less."""
        since_s = self.rig.now() - self._at
        if since_s < 0 or self.stopped:
            return 0.0
        return 1.0 if self._works else self._level * math.exp(-since_s / _DECAY_S)

    def hashing_s(self) -> float:
        """Seconds it has worked."""
        since_s = max(0.0, self.rig.now() - self._at)
        return self._done_s + (since_s if self._works else 0.0)

    def gpu_hs(self, algorithm: int = 0) -> list[float]:
        """The rate of each GPU of the rig in H/s."""
        each, level = self.job.algorithms[algorithm], self.level()
        return [rate_of(each, gpu.index) * gpu.share * level for gpu in self.rig.gpus()]

    def cpu_hs(self, algorithm: int = 0) -> float:
        """The rate of the CPU in H/s, a little restless."""
        wobble = 1 + 0.01 * math.sin(self.rig.now() / 5.0)
        return self.job.algorithms[algorithm].cpu_hs * self.level() * wobble

    def accepted(self, algorithm: int = 0) -> int:
        return int(self.hashing_s() / (_SHARE_S * (algorithm + 1)))

    def rejected(self, algorithm: int = 0) -> int:
        return self.accepted(algorithm) // 300

    def accepted_of(self, gpu: int, algorithm: int = 0) -> int:
        """The shares of one GPU; all of them add up to `accepted`."""
        number, total = max(1, len(self.rig.gpus())), self.accepted(algorithm)
        return total // number + (1 if gpu < total % number else 0)

    def load(self, gpu: int | None) -> float:
        """What it asks of that GPU, or of the CPU: 0 or 1."""
        if not self.works:
            return 0.0
        algorithms = self.job.algorithms
        if gpu is None:
            return 1.0 if any(each.cpu_hs for each in algorithms) else 0.04
        return 1.0 if any(rate_of(each, gpu) for each in algorithms) else 0.0
