"""Every change an AntMiner can be asked for, by its kind: planned, made once, looked at again."""

from __future__ import annotations

from pathlib import Path

from contract.errors import UnsupportedError
from drivers.antminer import firmware, light, logs, mode, pools, reboot
from drivers.antminer.subject import Subject
from drivers.base import (
    AnyChange,
    Effect,
    Evidence,
    Firmware,
    Light,
    LogFile,
    Mode,
    NoChange,
    Plan,
    Pools,
    Reboot,
    Resume,
    Suspend,
)


async def plan(miner: Subject, change: AnyChange) -> Plan | NoChange:
    """See `Driver.plan`. Raises UnsupportedError for a firmware that is only read."""
    _check_drivable(miner)
    match change:
        case Light():
            return await light.plan(miner, change)
        case Mode() | Suspend() | Resume():
            return await mode.plan(miner, change)
        case Pools():
            return await pools.plan(miner, change)
        case Reboot():
            return await reboot.plan(miner, change)
        case Firmware():
            return await firmware.plan(miner, change)


async def apply(miner: Subject, plan: Plan, effect: Effect) -> None:
    """See `Driver.apply`."""
    _check_drivable(miner)
    match plan.change:
        case Light():
            await light.apply(miner, plan, effect)
        case Mode() | Suspend() | Resume():
            await mode.apply(miner, plan, effect)
        case Pools():
            await pools.apply(miner, plan, effect)
        case Reboot():
            await reboot.apply(miner, plan, effect)
        case Firmware():
            await firmware.apply(miner, plan, effect)


async def verify(miner: Subject, plan: Plan, effect: Effect) -> Evidence:
    """See `Driver.verify`."""
    match plan.change:
        case Light():
            return await light.verify(miner, plan, effect)
        case Mode() | Suspend() | Resume():
            return await mode.verify(miner, plan, effect)
        case Pools():
            return await pools.verify(miner, plan, effect)
        case Reboot():
            return await reboot.verify(miner, plan, effect)
        case Firmware():
            return await firmware.verify(miner, plan, effect)


async def fetch_log(miner: Subject, folder: Path, *, size_cap_bytes: int) -> LogFile:
    """See `Driver.get_log`."""
    _check_drivable(miner)
    return await logs.fetch_log(miner, folder, size_cap_bytes=size_cap_bytes)


def _check_drivable(miner: Subject) -> None:
    if not miner.identity.drivable:
        reason = miner.identity.reason or "it is not a stock AntMiner firmware"
        raise UnsupportedError(f"this miner is read but not written: {reason}")
