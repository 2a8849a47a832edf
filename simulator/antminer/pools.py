"""The pools as the running process tells of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.antminer.catalogue import Generation

if TYPE_CHECKING:
    from simulator.antminer.device import AntminerDevice


@dataclass(frozen=True, slots=True)
class AntminerSlotState:
    """One pool slot as the running process sees it."""

    url: str
    user: str
    status: str
    active: bool
    last_share: str

    @property
    def host(self) -> str:
        return self.url.partition("://")[2].partition(":")[0] or self.url.partition(":")[0]


def pool_states(miner: AntminerDevice) -> list[AntminerSlotState]:
    """All slots: the first pool alive is the active one."""
    alive = [miner.reaches(pool) for pool in miner.live_pools]
    active = alive.index(True) if True in alive else None
    return [
        _state(miner, pool, alive=alive[slot], active=slot == active)
        for slot, pool in enumerate(miner.live_pools)
    ]


def _state(
    miner: AntminerDevice, pool: dict[str, str], *, alive: bool, active: bool
) -> AntminerSlotState:
    user = pool["user"]
    if str(miner.conf.get("bitmain-user-ip-cat", "0")) == "1" and user:
        user = f"{user}.{miner.ip.replace('.', 'x')}"
    if not pool["url"]:
        dead = "Dead" if miner.spec.generation is Generation.OLD else "Deed"
        return AntminerSlotState("", user, dead, active=False, last_share="0")
    shares = active and miner.process.accepted() > 0
    return AntminerSlotState(
        url=pool["url"],
        user=user,
        status="Alive" if alive else _dead_word(miner),
        active=active,
        last_share=f"0:00:{int(miner.clock.now()) % 12:02d}" if shares else "0",
    )


def _dead_word(miner: AntminerDevice) -> str:
    dead = miner.faults.get("pools_dead")
    return str(dead.args.get("word", "Dead")) if dead else "Dead"
