"""A simulated IceRiver on real sockets and a driver for it: what the tests of the changes begin with."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import msgspec

from contract.clock import SystemClock
from contract.errors import OutcomeUnknownError
from contract.miner import Endpoint, Identity
from drivers.base import AnyChange, Credentials, Evidence, NoChange, Plan, Timing
from drivers.iceriver import entry
from drivers.iceriver.driver import Iceriver
from drivers.wire import Wire
from simulator.farm import Farm
from tests.drivers.effects import MemoryEffect

PACE: Final = 120.0
CLOCK: Final = SystemClock()
# One that writes all in one form (before September 2023), and one of each spelling of the newer ones.
WRITABLE: Final = ("ks3m", "ks5l", "ks5m")
OLD: Final = "ks3m"
NEW: Final = ("ks5l", "ks5m")
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw") or 0)
_hosts = itertools.count()


def next_base() -> str:
    """A loopback address that no other test of this run uses."""
    number = next(_hosts)
    return f"127.{200 + _worker}.{number // 200}.{number % 200 + 1}"


def timing(pace: float = PACE, **changes: Any) -> Timing:
    return msgspec.structs.replace(
        Timing(pace=pace, read_s=5.0, write_s=20.0, log_s=10.0), **changes
    )


def factory_login(identity: Identity) -> Credentials:
    """What such a miner leaves the factory with."""
    del identity
    return Credentials("admin", "12345678")


class Stage:
    """One simulated miner (`miner`), its driver and the farm's ledger."""

    def __init__(self, farm: Farm, driver: Iceriver) -> None:
        self.farm = farm
        self.miner: Any = farm.miners[0]
        self.driver = driver

    @property
    def faults(self) -> Any:
        return self.miner.faults

    def ledger(self, *actions: str, phase: str = "applied") -> list[dict[str, Any]]:
        """The ledger's lines of these actions, in order."""
        return [
            entry
            for entry in self.farm.ledger.entries
            if entry["phase"] == phase and (not actions or entry["action"] in actions)
        ]

    async def planned(self, change: AnyChange) -> Plan:
        found = await self.driver.plan(change)
        assert isinstance(found, Plan), found
        return found

    async def carry_out(self, change: AnyChange) -> Evidence:
        """Plan, apply, verify; a lost answer leads to verify, as in the agent."""
        plan = await self.planned(change)
        effect = MemoryEffect(CLOCK)
        with suppress(OutcomeUnknownError):
            await self.driver.apply(plan, effect)
        return await self.driver.verify(plan, effect)

    async def no_change(self, change: AnyChange) -> NoChange:
        found = await self.driver.plan(change)
        assert isinstance(found, NoChange), found
        return found

    def another_driver(self) -> Iceriver:
        """As after a crash of the agent: nothing remembered."""
        old = self.driver
        wire = Wire(old.endpoint, CLOCK, old.timing)
        return entry.open_driver(wire, CLOCK, old.timing, factory_login, old.identity)

    async def met_anew(self) -> Iceriver:
        """A driver that knows the miner only as it answers right now."""
        return await open_driver(self.miner, self.driver.timing)


async def open_driver(miner: Any, timing_: Timing) -> Iceriver:
    endpoint = Endpoint(host=miner.ip, http_port=miner.http_port, daemon_port=miner.daemon_port)
    wire = Wire(endpoint, CLOCK, timing_)
    driver = await entry.recognise(wire, CLOCK, timing_, factory_login)
    assert driver is not None
    return driver


@asynccontextmanager
async def stage(
    key: str, *faults: Any, pace: float = PACE, late: bool = False, **changes: Any
) -> AsyncIterator[Stage]:
    """A miner of the catalogue with faults from the beginning (`late`: from after its identification)."""
    farm = await Farm.start(f"iceriver/{key}", base=next_base(), time_scale=pace)
    miner: Any = farm.miners[0]
    try:
        if not late:
            miner.faults.replace(faults)
        driver = await open_driver(miner, timing(pace, **changes))
        if late:
            miner.faults.replace(faults)
        yield Stage(farm, driver)
    finally:
        await farm.stop()
