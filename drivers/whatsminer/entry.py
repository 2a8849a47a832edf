"""How the registry meets WhatsMiners."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from contract.clock import Clock
from contract.miner import Identity, Make
from drivers.base import Capabilities, Credentials, Timing
from drivers.whatsminer.driver import Whatsminer
from drivers.whatsminer.identify import ask_who
from drivers.whatsminer.protocol.rpc import Rpc
from drivers.whatsminer.protocol.v3 import Api3
from drivers.wire import Wire

MAKE: Final = Make.WHATSMINER
PORTS: Final = ("v3_port", "rpc_port")


async def recognise(
    wire: Wire,
    clock: Clock,
    timing: Timing,
    credentials: Callable[[Identity], Credentials | None],
) -> Whatsminer | None:
    """A driver if a WhatsMiner answers. Nothing of this needs a password.

    Raises UnreachableError and MalformedError.
    """
    rpc, v3 = Rpc(wire, clock, timing), Api3(wire, clock, timing, None)
    found = await ask_who(rpc, v3, timing)
    if found is None:
        return None
    driver = open_driver(wire, clock, timing, credentials, found.identity)
    driver.learn(found)
    return driver


def open_driver(
    wire: Wire,
    clock: Clock,
    timing: Timing,
    credentials: Callable[[Identity], Credentials | None],
    identity: Identity,
) -> Whatsminer:
    """A driver for a miner identified earlier; nothing is sent."""
    return Whatsminer(wire.endpoint, wire, clock, timing, credentials, identity)


def generations() -> tuple[Capabilities, ...]:
    """What each generation of this make can do, oldest first."""
    from drivers.whatsminer import proofs

    return tuple(proofs.ALL.values())
