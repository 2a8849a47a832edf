"""Independent clients read simulated WhatsMiners and change them, by their own token and frame code.

A program: `python -m tests.judges.whatsminer JUDGE FILE [KEY ...]` leaves one JSON document in FILE.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from simulator.farm import Farm
from tests.judges.deeds import POOLS, Deed, meet, order, pools_of
from tests.judges.hearing import VENDOR_PORTS, Says, ask_judge
from tests.judges.program import run_program

BASES: Final = {"pyasic": "127.95.0.1", "pyasic-rs": "127.96.0.1"}
KEYS: Final = ("m20s", "m31s+", "m30s", "m50s", "m56s", "m60s", "m30s++", "m63s", "m70")
PACE: Final = 60.0
_AT_ONCE: Final = 6


class Truth(msgspec.Struct, kw_only=True):
    """What the simulated device is. Rates in H/s; several where a client may take one or another."""

    model: str
    version: str
    mac: str
    serial: str
    rates_hs: list[float]
    board_rates_hs: list[float]
    ideal_hs: float
    uptimes_s: list[int]
    fans: list[int]
    pools: list[tuple[str, str, bool]]
    boards: int
    chips: int


class Case(msgspec.Struct, kw_only=True):
    """One model: what was said, what is so, and what came of each order."""

    said: Says
    truth: Truth
    deeds: dict[str, Deed]


async def judge(name: str, keys: list[str]) -> dict[str, Case]:
    """Everything the judge says of each model and does to it."""
    specs = [f"whatsminer/{key}" for key in keys]
    gate = asyncio.Semaphore(_AT_ONCE)
    ports = {**VENDOR_PORTS, "v3_port": 4433}
    async with await Farm.start(specs, base=BASES[name], time_scale=PACE, **ports) as farm:
        farm.clock.hold()

        async def listen(miner: Any) -> Says:
            async with gate:
                return await ask_judge(name, miner.ip)

        said = await asyncio.gather(*(listen(miner) for miner in farm))
        truths = [_truth(miner) for miner in farm]
        farm.clock.go_on()

        async def act(miner: Any) -> dict[str, Deed]:
            async with gate:
                client = await meet(name, miner.ip)
                plans = _plans(miner, client)
                return {what: await order(farm, miner, *plan) for what, plan in plans.items()}

        deeds = await asyncio.gather(*(act(miner) for miner in farm))
    return {
        key: Case(said=each, truth=truth, deeds=done)
        for key, each, truth, done in zip(keys, said, truths, deeds, strict=True)
    }


def _truth(miner: Any) -> Truth:
    process, spec = miner.process, miner.spec
    rates = [process.rate_now(), process.rate_avg(), *map(process.rate_over, (60, 300, 900))]
    fans = [process.fan_rpm(out=False), process.fan_rpm(out=True)]
    return Truth(
        model=miner.model,
        version=miner.version,
        mac=miner.mac,
        serial=miner.serial,
        rates_hs=rates,
        board_rates_hs=[process.rate_avg() * process.share_of_board(n) for n in miner.boards()],
        ideal_hs=miner.hashrate_hs,
        uptimes_s=[int(miner.elapsed()), miner.uptime()],
        fans=[each for each in fans if each],
        pools=[(each.url, each.user, each.alive) for each in miner.pool_states()],
        boards=spec.boards,
        chips=spec.chips,
    )


Work = tuple[Callable[[], Awaitable[Any]], Callable[[], Any]]


def _plans(miner: Any, client: Any) -> dict[str, Work]:
    boot = miner.boot
    wished = [list(each) for each in POOLS]
    return {
        "light on": (client.light_on, lambda: miner.light),
        "light off": (client.light_off, lambda: not miner.light),
        "pools": (client.pools, lambda: pools_of(miner)[:2] == wished),
        "sleep": (client.sleep, lambda: miner.state == "sleeping"),
        "wake": (client.wake, lambda: miner.process.is_up),
        "reboot": (client.reboot, lambda: miner.boot > boot and miner.process.is_up),
    }


if __name__ == "__main__":
    run_program(judge, KEYS)
