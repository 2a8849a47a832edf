"""What a mining program tells, whichever it is: rates in H/s, one per algorithm."""

from __future__ import annotations

from typing import Final

from contract.miner import Frozen, RigPart

SLOTS: Final = 2  # a third algorithm (the windows of ZIL) is left out
CARDS_CAP: Final = 64


class ProgramCard(Frozen, frozen=True, kw_only=True):
    """A graphics card as a program tells it. `bus_id` is `0000:05:00.0`, or `0000:05` where it tells the bus alone."""

    bus_id: str | None = None
    name: str | None = None
    rates_hs: tuple[float | None, ...] = ()
    temp_c: float | None = None
    temp_memory_c: float | None = None
    fan_percent: float | None = None
    power_w: float | None = None
    core_hz: float | None = None
    memory_hz: float | None = None


class ProgramWork(Frozen, frozen=True, kw_only=True):
    """One algorithm that a program mines on one kind of part; `slot` 2 is the second of two at once."""

    part: RigPart
    slot: int = 1
    algorithm: str | None = None
    pool: str | None = None
    hashrate_hs: float | None = None
    accepted: int | None = None
    rejected: int | None = None


class ProgramReport(Frozen, frozen=True, kw_only=True):
    """One answer. `pool_lost`: it says itself that it has no pool, so that its rates are none. `shown_hs` is the newest
    rate as it shows it, which decays slowly once it stops. `takes_orders`: it may be paused.
    """

    name: str
    version: str | None = None
    uptime_s: float | None = None
    paused: bool | None = None
    pool_lost: bool = False
    shown_hs: float | None = None
    takes_orders: bool = False
    works: tuple[ProgramWork, ...] = ()
    cards: tuple[ProgramCard, ...] = ()

    @property
    def hashrate_hs(self) -> float | None:
        """Of the first work that hashes; `None` where none is told."""
        told = [work.hashrate_hs for work in self.works if work.hashrate_hs is not None]
        return next((rate for rate in told if rate), 0.0 if told else None)
