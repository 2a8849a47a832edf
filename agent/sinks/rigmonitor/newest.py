"""The newest that is known of each miner of the monitor, put together from readings as they pass by."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import msgspec
import structlog

from contract.clock import Clock, from_text
from contract.link import MinerReading
from contract.miner import Moving, PowerMode, Slow, Static
from contract.rigmonitor.asic import Switch

log = structlog.get_logger(__name__)
_STALE_INTERVALS: Final = 2.5
_STALE_LEAST_S: Final = 60.0
_SAME_S: Final = 1e-3  # what turning one clock's time into the other's may cost


class Seen(msgspec.Struct, kw_only=True):
    """One miner. `read_mono` is when it was last read; what a task showed since (`told`) outweighs what is older."""

    first: asyncio.Event
    ip: str | None = None
    is_well: bool = False  # whether the last look succeeded
    read_mono: float = float("-inf")
    arrived_mono: float = float("-inf")
    interval_s: float = 0.0
    moving: Moving | None = None
    power_w: float | None = None  # last measured while it hashed, at `power_mono`
    power_mono: float = float("-inf")
    static: Static | None = None
    mode: PowerMode | None = None
    light: Switch | None = None
    asic: Switch | None = None
    told_mono: float = float("-inf")


class Newest:
    """Keeps the miners asked for and no others, so that its size is that of the config."""

    def __init__(self, keys: Iterable[str], clock: Clock, *, slow_every_polls: int = 10) -> None:
        """`keys` are MACs, addresses of miners known by these alone, and names of rigs. `slow_every_polls` is how many
        looks lie between two that ask for more than moves.
        """
        self._seen = {key: Seen(first=asyncio.Event()) for key in keys}
        self._clock = clock
        self._slow_every_polls = slow_every_polls

    def __getitem__(self, key: str) -> Seen:
        return self._seen[key]

    def __contains__(self, key: object) -> bool:
        return key in self._seen

    def take(self, reading: MinerReading, *, rig: str | None = None) -> None:
        """A look at some miner, whatever became of it; `rig` is the name of the rig it was a look at. Slow and static
        facts are there only when they are news.

        Where another device shows the same MAC, it says nothing of the miner with that MAC.
        """
        for key in (None if reading.twin_ips else reading.mac, reading.ip, rig):
            seen = self._seen.get(key or "")
            if seen is not None:
                self._put(seen, reading)

    def is_fresh(self, key: str) -> bool:
        """Whether the miner answered lately."""
        seen = self._seen[key]
        age_s = self._clock.mono() - seen.arrived_mono
        return seen.is_well and age_s <= max(_STALE_LEAST_S, _STALE_INTERVALS * seen.interval_s)

    def power_w(self, key: str) -> float | None:
        """What it was measured to take while it hashed, last or not long before: the meter of an AntMiner is asked
        only with slow facts, and its last word stands for the looks between two of these, one of them lost at most.
        """
        seen = self._seen[key]
        held_s = _STALE_INTERVALS * self._slow_every_polls * seen.interval_s
        if self._clock.mono() - seen.power_mono > max(_STALE_LEAST_S, held_s):
            return None
        return seen.power_w

    def told(self, key: str, *, light: Switch | None = None, asic: Switch | None = None) -> None:
        """What a task has just shown of it."""
        seen = self._seen[key]
        seen.told_mono = self._clock.mono()
        if light is not None:
            seen.light = light
        if asic is not None:
            seen.asic = asic
            seen.mode = PowerMode.SLEEP if asic is Switch.OFF else None

    def _put(self, seen: Seen, reading: MinerReading) -> None:
        seen.ip = reading.ip
        seen.is_well = reading.ok and reading.moving is not None
        if not seen.is_well:
            return
        # Readings are dated by the clock on the wall, which may be set at any time; how old this one is, it tells.
        now_mono = self._clock.mono()
        age_s = max(0.0, (self._clock.now() - from_text(reading.at)).total_seconds())
        read_mono = now_mono - age_s
        if read_mono < seen.read_mono - _SAME_S:
            return  # a look that began earlier and took longer
        seen.read_mono, seen.arrived_mono = read_mono, now_mono
        seen.interval_s = reading.interval_s or seen.interval_s
        seen.moving = reading.moving
        measured = reading.moving
        if measured is not None and measured.power_w is not None and measured.hashes:
            seen.power_w, seen.power_mono = measured.power_w, read_mono
        seen.static = reading.static or seen.static
        seen.first.set()
        if read_mono <= seen.told_mono + _SAME_S:
            return  # read before a task changed it
        _judge(seen, reading.slow)


def _judge(seen: Seen, slow: Slow | None) -> None:
    """Whether its light and its mining are on. What hashes is on, whatever its mode says."""
    if slow is not None:
        seen.mode = slow.mode
        if slow.light_on is not None:
            seen.light = Switch.ON if slow.light_on else Switch.OFF
    assert seen.moving is not None
    if seen.moving.hashes:
        seen.asic = Switch.ON
    elif seen.mode is not None:
        seen.asic = Switch.OFF if seen.mode is PowerMode.SLEEP else Switch.ON
