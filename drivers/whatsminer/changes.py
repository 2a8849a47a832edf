"""Every change a WhatsMiner can be asked for, by its kind: planned, made once, looked at again."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from contract.errors import UnsupportedError
from drivers.base import AnyChange, Effect, Evidence, LogFile, NoChange, Plan


async def plan(miner: Any, change: AnyChange) -> Plan | NoChange:
    """See `Driver.plan`."""
    _refuse(miner, change)


async def apply(miner: Any, plan: Plan, effect: Effect) -> None:
    """See `Driver.apply`."""
    del effect
    _refuse(miner, plan.change)


async def verify(miner: Any, plan: Plan, effect: Effect) -> Evidence:
    """See `Driver.verify`."""
    del effect
    _refuse(miner, plan.change)


async def fetch_log(miner: Any, folder: Path, *, size_cap_bytes: int) -> LogFile:
    """See `Driver.get_log`."""
    del folder, size_cap_bytes
    _refuse(miner, "log")


def _refuse(miner: Any, what: object) -> NoReturn:
    raise UnsupportedError(f"{miner.endpoint.host}: WhatsMiners are read only so far, not {what}")
