"""The makes we know, and the question which of them answers at an address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from contract.clock import Clock
from contract.errors import (
    MalformedError,
    MinerError,
    UnreachableError,
    UnsupportedError,
    WrongDeviceError,
)
from contract.miner import Endpoint, Identity
from drivers.antminer.entry import ANTMINER
from drivers.base import Driver, Timing
from drivers.driver import CredentialsFor
from drivers.entry import Entry
from drivers.iceriver.entry import ICERIVER
from drivers.rig.entry import RIG
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
    wire_factory: WireFactory = Wire,
) -> Driver | None:
    """Ask who is there. `None`: something answers that no driver claims.

    `credentials` is asked with what is known so far (make and model first, the MAC later).
    Raises UnreachableError when nothing answers, MalformedError when what answers is broken and no driver claims it,
    WrongDeviceError when two drivers claim it.
    """
    claims: list[Driver] = []
    silent: list[UnreachableError] = []
    broken: list[MinerError] = []
    # one without ports is enrolled, and what answers at an address says nothing of it
    listening = [entry for entry in DRIVERS if entry.ports]
    for entry in listening:
        wire = wire_factory(endpoint, clock, timing)
        try:
            driver = await entry.recognise(wire, credentials)
        except UnreachableError as error:
            silent.append(error)
        except MalformedError as error:
            broken.append(error)
        else:
            if driver is not None:
                claims.append(driver)
    if len(claims) > 1:
        names = " and ".join(each.make for each in claims)
        raise WrongDeviceError(f"{endpoint.host} could be {names}: not touched")
    if claims:
        return claims[0]
    if broken:
        raise broken[0]
    if len(silent) == len(listening):
        raise silent[0]
    return None


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
