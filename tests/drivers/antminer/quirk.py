"""What the tests of the quirks share: a row, ways to switch a guard off, and what both tests of a row do."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest

from contract.errors import MinerError
from contract.miner import PowerMode
from drivers.base import FirmwareUpdate, Mode, Plan, Pools, PoolSetting
from tests.drivers.antminer.stage import Stage, stage

Patch = pytest.MonkeyPatch
Switch = Callable[[Patch], None]
SLEEP, LOW = Mode(mode=PowerMode.SLEEP), Mode(mode=PowerMode.LOW)
POOL_URL = "stratum+tcp://pool-a.example:3333"


class Quirk(NamedTuple):
    """A check that passes, and the guard of the driver to switch off so that it fails."""

    check: Callable[[], Awaitable[None]]
    switch_off: Switch

    @property
    def name(self) -> str:
        return self.check.__name__


async def fails_without_its_guard(quirk: Quirk, patch: Patch) -> None:
    """Run the check with its guard off; it must see a wrong result, or a named error in place of one."""
    quirk.switch_off(patch)
    try:
        await quirk.check()
    except (AssertionError, MinerError, pytest.fail.Exception):
        return
    pytest.fail("switching the guard off changed nothing")


def one_pool(user: str = "acc.w1", **more: Any) -> Pools:
    return Pools(pools=(PoolSetting(url=POOL_URL, user=user, **{"password": "x", **more}),))


async def planned(on: Stage, change: Any) -> Plan:
    plan = await on.driver.plan(change)
    assert isinstance(plan, Plan)
    return plan


@asynccontextmanager
async def upgrade(key: str, *faults: Any, image: bytes | None = None) -> AsyncIterator[Any]:
    """The evidence of an update to the next version, or to `image`."""
    async with stage(key, *faults) as on:
        with tempfile.NamedTemporaryFile() as file:
            file.write(image or on.miner.newer_image())
            file.flush()
            yield await on.carry_out(FirmwareUpdate(path=file.name))


# --- ways to switch a guard off --------------------------------------------------------------------


def set_to(target: Any, name: str, value: Any) -> Switch:
    return lambda patch: patch.setattr(target, name, value)


def returning(target: Any, name: str, value: Any) -> Switch:
    return lambda patch: patch.setattr(target, name, lambda *_, **__: value)


def only_first(target: Any, name: str) -> Switch:
    kept = getattr(target, name)
    return lambda patch: patch.setattr(target, name, lambda *args: kept(*args)[:1])


def all_of(*switches: Switch) -> Switch:
    """Of a quirk that is guarded more than once."""

    def off(patch: Patch) -> None:
        for switch in switches:
            switch(patch)

    return off
