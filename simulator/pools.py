"""Pools as every make keeps them: three slots, and what the running process makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

SLOTS: Final = 3
Pool = dict[str, str]
"""One slot as it is written down: `url`, `user`, `pass`; all empty when nothing is in it."""


@dataclass(frozen=True, slots=True)
class SlotState:
    """One slot as the running process sees it; `index` counts from 0."""

    index: int
    url: str
    user: str
    password: str
    alive: bool
    active: bool
    accepted: int
    rejected: int


def blank() -> Pool:
    """A slot with nothing in it."""
    return {"url": "", "user": "", "pass": ""}


def working_pools(index: int) -> list[Pool]:
    """What the farm's miner of that number mines for: two pools, and one slot left empty."""
    pools = [
        {
            "url": f"stratum+tcp://pool{n}.example.com:3333",
            "user": f"farm.{index:05d}",
            "pass": "x",
        }
        for n in range(1, SLOTS)
    ]
    return [*pools, blank()]


def pool_states(
    pools: Sequence[Pool], alive: Callable[[Pool], bool], *, accepted: int, rejected: int
) -> list[SlotState]:
    """All slots: the first pool alive is the active one, and every share is its."""
    up = [alive(pool) for pool in pools]
    active = up.index(True) if True in up else None
    return [
        SlotState(
            index=slot,
            url=pool["url"],
            user=pool["user"],
            password=pool["pass"],
            alive=up[slot],
            active=slot == active,
            accepted=accepted if slot == active else 0,
            rejected=rejected if slot == active else 0,
        )
        for slot, pool in enumerate(pools)
    ]
