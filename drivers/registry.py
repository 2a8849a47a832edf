"""The makes we know, and the question which of them answers at an address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from contract.clock import Clock
from contract.errors import UnsupportedError
from contract.miner import Endpoint, Identity
from drivers.antminer.entry import ANTMINER
from drivers.base import Driver, Timing
from drivers.doors import Doors
from drivers.driver import CredentialsFor
from drivers.entry import Entry
from drivers.iceriver.entry import ICERIVER
from drivers.recognition import Recognition
from drivers.rig.entry import RIG
from drivers.stranger import Stranger
from drivers.whatsminer.entry import WHATSMINER
from drivers.wire import Wire

WireFactory = Callable[[Endpoint, Clock, Timing], Wire]


DRIVERS: Final[tuple[Entry[Any], ...]] = (ANTMINER, WHATSMINER, ICERIVER, RIG)


async def recognise(
    endpoint: Endpoint,
    *,
    clock: Clock,
    timing: Timing,
    credentials: CredentialsFor,
    doors: Doors | None = None,
    wire_factory: WireFactory = Wire,
) -> Driver | Stranger:
    """Ask who is there. `doors` is what is known of its ports by now; its sockets carry the first questions, and none
    of them is open afterwards.

    `credentials` is asked with what is known so far (make and model first, the MAC later).
    Raises UnreachableError when nothing answers, MalformedError when what answers is broken and no driver claims it,
    WrongDeviceError when two drivers claim it.
    """
    wire = wire_factory(endpoint, clock, timing)
    return await Recognition(wire, credentials, doors or Doors()).settle()


def open_driver(
    endpoint: Endpoint,
    identity: Identity,
    *,
    clock: Clock,
    timing: Timing,
    credentials: CredentialsFor,
    wire_factory: WireFactory = Wire,
) -> Driver:
    """The driver of a miner identified earlier; nothing is sent. Raises UnsupportedError for a make without one, and
    for a rig that is not enrolled (by its wire).
    """
    for entry in DRIVERS:
        if identity.make == entry.make:
            wire = wire_factory(endpoint, clock, timing)
            driver: Driver = entry.open_driver(wire, credentials, identity)
            return driver
    raise UnsupportedError(f"there is no driver for {identity.make}")
