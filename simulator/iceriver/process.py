"""The miner's daemon as physics: when it hashes, how fast over 5 and 30 minutes, how warm, how many shares."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Final

from simulator.clock import DeviceClock
from simulator.iceriver.catalogue import IceriverProduct
from simulator.physics import board_strengths, toward

MODES: Final = ("normal", "sleep")
SHORT_S: Final = 300.0
LONG_S: Final = 1800.0
POINTS: Final = 23
"""Points of the history, one each 5 minutes."""
_INIT_S: Final = 45.0
_SHARES_PER_S: Final = 0.11
_KEEP_S: Final = SHORT_S * (POINTS + 1) + LONG_S
_MAX_RPM: Final = 6000
_IDLE_RPM: Final = 1000


@dataclass(frozen=True, slots=True)
class _Leg:
    """A stretch of time in which it hashed, or did not; `done_s` is the full-rate time worked before."""

    since: float
    hashes: bool
    done_s: float

    def worked_s(self, at: float) -> float:
        return self.done_s + (max(0.0, at - self.since - _INIT_S) if self.hashes else 0.0)


class Hasher:
    """Counts from its own start. Asleep it is up, and hashes nothing."""

    def __init__(self, model: IceriverProduct, clock: DeviceClock, seed: random.Random) -> None:
        self.model = model
        self.overheated = False
        self.barren = False
        """Runs, but its boards never hash (a fault)."""
        self.started: float | None = None
        self._clock = clock
        self._asleep = False
        self._legs: list[_Leg] = []
        self.ambient_c = seed.uniform(18.0, 30.0)
        self._strength = seed.uniform(0.985, 1.02)
        self._phase = seed.uniform(0.0, 1000.0)
        self._heat = 0.0
        self._heat_at = 0.0
        self._share_rate = _SHARES_PER_S * seed.uniform(0.8, 1.2)
        self._board_strength = board_strengths(seed, model.boards)

    def start(self, *, asleep: bool, ago_s: float = 0.0) -> None:
        """Begin a run; `ago_s` lets a run have begun before the farm did."""
        at = self._clock.now() - ago_s
        self._heat, self._heat_at = (0.0 if ago_s else self.heat()), at
        self.started, self._asleep, self._legs = at, asleep, []
        self._turn(at)

    def stop(self) -> None:
        """End the run."""
        self._heat, self._heat_at = self.heat(), self._clock.now()
        self.started, self._legs = None, []

    def sleep(self, asleep: bool) -> None:
        """Let the boards rest, or work again."""
        self._heat, self._heat_at = self.heat(), self._clock.now()
        self._asleep = asleep
        self._heed()

    def ail(self, *, overheated: bool, barren: bool) -> None:
        """Suffer from these faults, and from no others, from now on."""
        self._heat, self._heat_at = self.heat(), self._clock.now()
        self.overheated, self.barren = overheated, barren
        self._heed()

    @property
    def is_up(self) -> bool:
        return self.started is not None

    @property
    def works(self) -> bool:
        """Up, awake, and its boards have power."""
        return self.is_up and not (self._asleep or self.overheated or self.barren)

    def elapsed(self) -> float:
        """Seconds since the daemon started."""
        return 0.0 if self.started is None else max(0.0, self._clock.now() - self.started)

    def rate_over(self, window_s: float, *, ago_s: float = 0.0) -> float:
        """Mean hash rate in H/s over the last so many seconds, whole: what lies before the start counts as 0.

        `ago_s` moves the window into the past.
        """
        end = self._clock.now() - ago_s
        worked_s = self._worked_s(end) - self._worked_s(end - window_s)
        wobble = 1 + 0.012 * math.sin(end / 97.0 + self._phase)
        return worked_s / window_s * self.model.hashrate_hs * self._strength * wobble

    def history_hs(self) -> list[float]:
        """The 5-minute rate at each point of the history there is, newest last."""
        count = min(POINTS, int(self.elapsed() // SHORT_S) + 1)
        return [self.rate_over(SHORT_S, ago_s=SHORT_S * n) for n in reversed(range(count))]

    def share_of_board(self, index: int) -> float:
        """How much of the miner's rate one of its boards does, all of them being there."""
        return self._board_strength[index] / self.model.boards

    def accepted(self) -> int:
        return int(self._worked_s(self._clock.now()) * self._share_rate)

    def rejected(self) -> int:
        return self.accepted() // 150

    def hardware_errors(self) -> int:
        return self.accepted() // 23

    def heat(self) -> float:
        """How warm the boards are, from 0 (ambient) to 1 (full load)."""
        target = 1.3 if self.overheated else 1.0 if self.works else 0.0
        return toward(self._heat, target, self._clock.now() - self._heat_at)

    def inlet_c(self, index: int, *, cold: bool = False) -> int:
        """The board's sensor near the intake."""
        return -12 - index if cold else round(self.ambient_c + index + 14.0 * self.heat())

    def outlet_c(self, index: int, *, cold: bool = False) -> int:
        """The board's sensor near the exhaust."""
        return -9 - index if cold else round(self.ambient_c + index + 34.0 * self.heat())

    def chip_c(self, index: int, chip: int, *, cold: bool = False) -> float:
        """One chip's own sensor."""
        spread = (chip * 7 % 11) * 0.4
        return round(
            self.outlet_c(index, cold=cold) + (0.0 if cold else 12.0 * self.heat() + spread), 2
        )

    def fan_rpm(self, slot: int, *, ratio: int | None) -> int:
        """Speed of one fan: at `ratio` percent, or as the boards' heat wants it."""
        level = 0.25 + 0.6 * min(1.0, self.heat()) if ratio is None else ratio / 100
        return max(_IDLE_RPM, int(_MAX_RPM * level)) // 30 * 30 + 15 * (slot % 2)

    def _worked_s(self, at: float) -> float:
        for leg in reversed(self._legs):
            if at >= leg.since:
                return leg.worked_s(at)
        return 0.0

    def _heed(self) -> None:
        if self._legs and self._legs[-1].hashes != self.works:
            self._turn(self._clock.now())

    def _turn(self, at: float) -> None:
        done_s = self._legs[-1].worked_s(at) if self._legs else 0.0
        self._legs.append(_Leg(at, self.works, done_s))
        while len(self._legs) > 2 and self._legs[1].since < at - _KEEP_S:
            del self._legs[0]
