"""Every change a WhatsMiner can be asked for, by its kind: planned, made once, looked at again."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from contract.errors import MinerError, UnsupportedError
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
from drivers.proof import is_silent
from drivers.watch import Watch
from drivers.whatsminer import firmware, light, logs, mode, pools, reboot, suspend
from drivers.whatsminer.subject import Subject

_KNOWN_WITHIN_S: Final = 600.0
_ASK_EVERY_S: Final = 5.0


async def plan(miner: Subject, change: AnyChange) -> Plan | NoChange:
    """See `Driver.plan`. Raises UnsupportedError for a firmware that is only read."""
    _check_drivable(miner)
    match change:
        case Light():
            return await light.plan(miner, change)
        case Mode():
            return await mode.plan(miner, change)
        case Suspend() | Resume():
            return await suspend.plan(miner, change)
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
        case Mode():
            await mode.apply(miner, plan, effect)
        case Suspend() | Resume():
            await suspend.apply(miner, plan, effect)
        case Pools():
            await pools.apply(miner, plan, effect)
        case Reboot():
            await reboot.apply(miner, plan, effect)
        case Firmware():
            await firmware.apply(miner, plan, effect)


async def verify(miner: Subject, plan: Plan, effect: Effect) -> Evidence:
    """See `Driver.verify`. Raises UnsupportedError when the address holds a miner that is only read."""
    await _known_again(miner)
    match plan.change:
        case Light():
            return await light.verify(miner, plan, effect)
        case Mode():
            return await mode.verify(miner, plan, effect)
        case Suspend() | Resume():
            return await suspend.verify(miner, plan, effect)
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


async def _known_again(miner: Subject) -> None:
    """Wait until it is known well enough to be judged: a miner met while it boots may not have told its dialect."""
    watch = Watch(miner)
    while not miner.identity.drivable:
        try:
            await miner.identify()
        except MinerError as error:
            if not is_silent(error) or watch.device_s >= _KNOWN_WITHIN_S:
                raise
            await watch.pause(_ASK_EVERY_S)
        else:
            _check_drivable(miner)


def _check_drivable(miner: Subject) -> None:
    if not miner.identity.drivable:
        reason = miner.identity.reason or "it is not a firmware that takes changes"
        raise UnsupportedError(f"this miner is read but not written: {reason}")
