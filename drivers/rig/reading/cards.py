"""Graphics cards by their sensors, whichever driver tells them."""

from __future__ import annotations

from enum import StrEnum

from contract.miner import Frozen


class SensorState(StrEnum):
    """How far a source of sensors can be trusted."""

    ABSENT = "absent"  # there is no such driver here, which is no fault
    READ = "read"
    FAILED = "failed"  # there is one, and it does not tell: of its cards nothing is known


class CardSensors(Frozen, frozen=True, kw_only=True):
    """One card. Temperatures in degC; what it has no sensor for is `None`."""

    bus_id: str
    name: str | None = None
    temp_c: float | None = None
    temp_memory_c: float | None = None
    core_hz: float | None = None
    memory_hz: float | None = None
    fan_percent: float | None = None
    power_w: float | None = None


class CardLook(Frozen, frozen=True, kw_only=True):
    """What one source tells. `lost` are cards that it says itself to have lost; `trouble` is why it failed."""

    source: str
    state: SensorState
    cards: tuple[CardSensors, ...] = ()
    lost: tuple[str, ...] = ()
    trouble: str | None = None


class SeenCard(Frozen, frozen=True, kw_only=True):
    """A card as it was last seen, and by whose sensors."""

    source: str
    name: str | None = None
