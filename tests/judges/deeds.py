"""Independent clients change simulated AntMiners in their own words; the ledger says what came of it.

A program: `python -m tests.judges.deeds JUDGE FILE [KEY ...]` leaves one JSON document in FILE.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import msgspec

from simulator.farm import Farm
from tests.judges.hearing import VENDOR_PORTS, identify, in_its_words
from tests.judges.program import run_program
from tests.waiting import until

BASES: Final = {"pyasic": "127.93.0.1", "pyasic-rs": "127.94.0.1"}
KEYS: Final = ("s9", "l3+", "s17pro", "s19pro", "s21", "l7")
PACE: Final = 20.0  # a blink of the old firmware (5 minutes) outlasts the clients' patience with it
POOLS: Final = (
    ("stratum+tcp://judge1.example.com:3333", "judge.one", "x"),
    ("stratum+tcp://judge2.example.com:443", "judge.two", "y"),
)
_PATIENCE_S: Final = 25.0
_QUIET_S: Final = 3.0  # after which a miner that heard no order will not do anything


class Deed(msgspec.Struct, kw_only=True):
    """What the client answered, the actions the simulator applied, and whether the miner is as wished."""

    answered: str
    applied: list[str]
    after: bool


async def do(judge: str, keys: list[str]) -> dict[str, dict[str, Deed]]:
    """Every deed on each model, in order: light on, light off, pools, sleep, wake, reboot."""
    specs = [f"antminer/{key}" for key in keys]
    async with await Farm.start(specs, base=BASES[judge], time_scale=PACE, **VENDOR_PORTS) as farm:

        async def on(miner: Any) -> dict[str, Deed]:
            client = await meet(judge, miner.ip)
            return {
                name: await order(farm, miner, give, is_so)
                for name, give, is_so in _plans(miner, client)
            }

        found = await asyncio.gather(*(on(miner) for miner in farm))
    return dict(zip(keys, found, strict=True))


Plan = tuple[str, Callable[[], Awaitable[Any]], Callable[[], Any]]


def _plans(miner: Any, client: Any) -> list[Plan]:
    boot = miner.boot
    plans: list[Plan] = [
        ("light on", client.light_on, lambda: miner.light),
        ("light off", client.light_off, lambda: not miner.light),
        ("pools", client.pools, lambda: pools_of(miner)[:2] == [list(each) for each in POOLS]),
        ("reboot", client.reboot, lambda: miner.boot > boot and miner.process.is_up),
    ]
    if len(miner.spec.modes) > 1:  # the oldest models cannot sleep
        plans[3:3] = [
            ("sleep", client.sleep, lambda: miner.process.is_up and miner.process.asleep),
            ("wake", client.wake, lambda: miner.process.is_up and not miner.process.asleep),
        ]
    return plans


async def order(
    farm: Farm, miner: Any, give: Callable[[], Awaitable[Any]], is_so: Callable[[], Any]
) -> Deed:
    """Have the judge `give` one order; wait until the miner `is_so`, or nothing more is to be expected of it."""
    before = len(farm.ledger.entries)
    answer, fault = await in_its_words(give())

    def entries() -> list[dict[str, Any]]:
        return [each for each in farm.ledger.entries[before:] if each["ip"] == miner.ip]

    loop = asyncio.get_running_loop()
    asked = loop.time()
    with suppress(TimeoutError):
        await until(
            lambda: is_so() or (loop.time() > asked + _QUIET_S and not entries()),
            within_s=_PATIENCE_S,
        )
    return Deed(
        answered=fault or repr(answer),
        applied=[each["action"] for each in entries() if each["phase"] == "applied"],
        after=bool(is_so()),
    )


async def meet(judge: str, host: str) -> Any:
    """That judge's client for one miner, with the orders as methods."""
    return await _CLIENTS[judge](host)


def pools_of(miner: Any) -> list[list[str]]:
    """The configured pools as url, user, password."""
    return [[each["url"], each["user"], each["pass"]] for each in miner.pools if each["url"]]


class _Pyasic:
    def __init__(self, miner: Any) -> None:
        self._miner = miner

    @classmethod
    async def meet(cls, host: str) -> _Pyasic:
        import pyasic

        return cls(await identify(pyasic.get_miner, host))

    async def light_on(self) -> Any:
        return await self._miner.fault_light_on()

    async def light_off(self) -> Any:
        return await self._miner.fault_light_off()

    async def pools(self) -> Any:
        from pyasic.config.pools import Pool, PoolConfig, PoolGroup

        config = await self._miner.get_config()
        wished = [Pool(url=url, user=user, password=word) for url, user, word in POOLS]
        config.pools = PoolConfig(groups=[PoolGroup(pools=wished)])
        return await self._miner.send_config(config)

    async def sleep(self) -> Any:
        return await self._miner.stop_mining()

    async def wake(self) -> Any:
        return await self._miner.resume_mining()

    async def reboot(self) -> Any:
        return await self._miner.reboot()


class _PyasicRs:
    def __init__(self, miner: Any) -> None:
        self._miner = miner

    @classmethod
    async def meet(cls, host: str) -> _PyasicRs:
        from pyasic_rs import MinerFactory

        return cls(await identify(MinerFactory().get_miner, host))

    async def light_on(self) -> Any:
        return await self._miner.set_fault_light(True)

    async def light_off(self) -> Any:
        return await self._miner.set_fault_light(False)

    async def pools(self) -> Any:
        from pyasic_rs.config import Pool, PoolGroup

        wished = [Pool(url=url, username=user, password=word) for url, user, word in POOLS]
        return await self._miner.set_pools_config([PoolGroup(name="", quota=1, pools=wished)])

    async def sleep(self) -> Any:
        return await self._miner.pause()

    async def wake(self) -> Any:
        return await self._miner.resume()

    async def reboot(self) -> Any:
        return await self._miner.restart()


_CLIENTS: Final[dict[str, Callable[[str], Awaitable[Any]]]] = {
    "pyasic": _Pyasic.meet,
    "pyasic-rs": _PyasicRs.meet,
}


if __name__ == "__main__":
    run_program(do, KEYS)
