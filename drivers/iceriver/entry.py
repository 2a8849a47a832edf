"""How the registry meets IceRivers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from contract.clock import Clock
from contract.miner import Identity, Make
from drivers.base import Capabilities, Credentials, Timing
from drivers.iceriver.driver import Iceriver
from drivers.iceriver.identify import recognise as ask_anew
from drivers.iceriver.protocol.daemon import Daemon
from drivers.iceriver.protocol.web import Web
from drivers.wire import Wire

MAKE: Final = Make.ICERIVER
PORTS: Final = ("http_port", "daemon_port")


async def recognise(
    wire: Wire,
    clock: Clock,
    timing: Timing,
    credentials: Callable[[Identity], Credentials | None],
) -> Iceriver | None:
    """A driver if an IceRiver answers. Nothing of this needs a password, and none is sent.

    Raises UnreachableError.
    """
    web, daemon = Web(wire, clock, timing, None), Daemon(wire, clock, timing)
    found = await ask_anew(web, daemon, timing)
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
) -> Iceriver:
    """A driver for a miner identified earlier; nothing is sent."""
    return Iceriver(wire.endpoint, wire, clock, timing, credentials, identity)


def generations() -> tuple[Capabilities, ...]:
    """What each generation of this make can do, oldest first."""
    from drivers.iceriver import proofs

    return tuple(proofs.ALL.values())
