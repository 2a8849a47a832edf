"""Independent clients read simulated WhatsMiners and change them, by their own token and frame code.

A program: `python -m tests.judges.whatsminer JUDGE FILE [KEY ...]` leaves one JSON document in FILE.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from simulator.farm import Farm
from tests.judges.deeds import POOLS, Deed, meet, pools_of
from tests.judges.hearing import JUDGES, VENDOR_PORTS, Says, bring_up_loopback

BASES: Final = {"pyasic": "127.95.0.1", "pyasic-rs": "127.96.0.1"}
KEYS: Final = ("m20s", "m31s+", "m30s", "m50s", "m56s", "m60s", "m30s++", "m63s", "m70")
PACE: Final = 60.0
_PATIENCE_S: Final = 20.0
_AT_ONCE: Final = 3


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
                try:
                    return await JUDGES[name](miner.ip)
                except Exception as error:  # noqa: BLE001 -- the judge's own faults are part of what it says
                    return Says(failed=f"{type(error).__name__}: {error}")

        said = await asyncio.gather(*(listen(miner) for miner in farm))
        truths = [_truth(miner) for miner in farm]
        farm.clock.go_on()

        async def act(miner: Any) -> dict[str, Deed]:
            async with gate:
                client = await meet(name, miner.ip)
                plans = _plans(miner, client)
                return {what: await _one(farm, miner, *plan) for what, plan in plans.items()}

        deeds = await asyncio.gather(*(act(miner) for miner in farm))
    return {
        key: Case(said=each, truth=truth, deeds=done)
        for key, each, truth, done in zip(keys, said, truths, deeds, strict=True)
    }


def _truth(miner: Any) -> Truth:
    process, spec = miner.process, miner.spec
    rates = [process.rate_now(), process.rate_avg(), *map(process.rate_over, (60, 300, 900))]
    fans = [miner.fan_rpm(out=False), miner.fan_rpm(out=True)]
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


async def _one(farm: Farm, miner: Any, work: Callable[[], Awaitable[Any]], done: Any) -> Deed:
    before = len(farm.ledger.entries)
    try:
        answered = repr(await work())
    except Exception as error:  # noqa: BLE001 -- what the client makes of it is what we want to know
        answered = f"{type(error).__name__}: {error}"
    loop = asyncio.get_running_loop()
    end = loop.time() + _PATIENCE_S
    received = False
    while not done() and loop.time() < end:
        entries = [each for each in farm.ledger.entries[before:] if each["ip"] == miner.ip]
        received = any(each["phase"] == "received" for each in entries)
        if not received and loop.time() > end - _PATIENCE_S + 2:
            break  # the order never came: nothing to wait for
        await asyncio.sleep(0.02)
    entries = [each for each in farm.ledger.entries[before:] if each["ip"] == miner.ip]
    return Deed(
        answered=answered,
        applied=[each["action"] for each in entries if each["phase"] == "applied"],
        after=bool(done()),
    )


def main(arguments: list[str]) -> None:
    """The program."""
    name, target, *keys = arguments
    bring_up_loopback()
    found = asyncio.run(judge(name, keys or list(KEYS)))
    Path(target).write_text(json.dumps(msgspec.to_builtins(found)), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
