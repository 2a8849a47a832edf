"""What pyasic and our driver say of the same simulated IceRivers, at the same instant; and pyasic's light.

A program: `python -m tests.judges.iceriver pyasic FILE [KEY ...]` leaves one JSON document in FILE.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec

from simulator.farm import Farm
from simulator.iceriver.catalogue import MODELS
from tests.judges.deeds import Deed, meet, order
from tests.judges.hearing import VENDOR_PORTS, Heard, ask_ours, ask_pyasic, in_its_words
from tests.judges.program import run_program

BASE: Final = "127.97.0.1"
KEYS: Final = tuple(key for key, model in MODELS.items() if not model.foreign)
PACE: Final = 20.0
_AT_ONCE: Final = 4


class Truth(msgspec.Struct, kw_only=True):
    """What the simulated device is."""

    model: str
    mac: str
    hashrate_hs: float


class Case(msgspec.Struct, kw_only=True):
    """One model: what was said, what is so, and what came of the light's orders."""

    heard: Heard
    truth: Truth
    failed_whole: str | None = None  # why it could not read everything, and was asked without pools
    deeds: dict[str, Deed]


async def hear(judge: str, keys: list[str]) -> dict[str, Case]:
    """Ask the judge, then our driver, about each model; the farm's figures stand still meanwhile."""
    gate = asyncio.Semaphore(_AT_ONCE)
    specs = [f"iceriver/{key}" for key in keys]
    ports = {**VENDOR_PORTS, "daemon_port": 4111}
    async with await Farm.start(specs, base=BASE, time_scale=PACE, **ports) as farm:
        miners: list[Any] = list(farm)
        farm.clock.hold()
        heard = await asyncio.gather(*(_one(miner, gate) for miner in miners))
        truths = [
            Truth(model=miner.model, mac=miner.mac, hashrate_hs=miner.hasher.rate_over(300.0))
            for miner in miners
        ]
        farm.clock.go_on()
        deeds = await asyncio.gather(*(_deeds(judge, farm, miner, gate) for miner in miners))
    return {
        key: Case(heard=each, truth=truth, failed_whole=failed, deeds=done)
        for key, (each, failed), truth, done in zip(keys, heard, truths, deeds, strict=True)
    }


async def _one(miner: Any, gate: asyncio.Semaphore) -> tuple[Heard, str | None]:
    async with gate:
        said, failed = await in_its_words(ask_pyasic(miner.ip))
        if said is None:
            said = await ask_pyasic(miner.ip, leave_out=["pools"])
        ours, averages = await ask_ours(miner)
    boards = range(miner.spec.boards)
    # the boards' rates have decimals, the miner's has none
    added = sum(each.hashrate_hs or 0.0 for each in ours.boards or [])
    found = Heard(
        judge=said,
        ours=ours,
        averages_hs=[*averages, added],
        sensors_pcb_c=[[miner.hasher.inlet_c(slot)] for slot in boards],
        sensors_chip_c=[[miner.hasher.outlet_c(slot)] for slot in boards],
    )
    return found, failed


async def _deeds(judge: str, farm: Farm, miner: Any, gate: asyncio.Semaphore) -> dict[str, Deed]:
    async with gate:
        client = await meet(judge, miner.ip)
        return {
            "light on": await order(farm, miner, client.light_on, lambda: miner.light is True),
            "light off": await order(farm, miner, client.light_off, lambda: miner.light is False),
        }


if __name__ == "__main__":
    run_program(hear, KEYS)
