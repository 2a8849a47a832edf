"""How the registry meets AntMiners."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from contract.clock import Clock
from contract.errors import UnreachableError
from contract.miner import Firmware, Identity, Make
from drivers.antminer.driver import Antminer
from drivers.antminer.identify import ask_who
from drivers.antminer.protocol.cgi import is_stock_realm
from drivers.antminer.protocol.rpc import Rpc
from drivers.base import Capabilities, Credentials, Timing
from drivers.protocol.digest import parse_challenge
from drivers.protocol.http import ResponseDecoder, build_request
from drivers.wire import Wire

MAKE: Final = Make.ANTMINER
PORTS: Final = ("http_port", "rpc_port")


async def recognise(
    wire: Wire,
    clock: Clock,
    timing: Timing,
    credentials: Callable[[Identity], Credentials | None],
) -> Antminer | None:
    """A driver if AntMiner hardware answers, its identity as complete as our password allows.

    One whose API is away is known by its web server's realm alone, and is then neither read nor written.
    Raises UnreachableError and MalformedError.
    """
    endpoint = wire.endpoint
    try:
        found = await ask_who(Rpc(wire, clock, timing, None))
    except UnreachableError:
        if not await _has_stock_realm(wire, timing):
            raise
        identity = Identity(
            make=MAKE,
            firmware=Firmware.OTHER,
            reason="its API is away (the miner restarts, or the API is switched off)",
        )
        return Antminer(endpoint, wire, clock, timing, credentials(identity), identity)
    if found is None:
        return None
    identity = Identity(
        make=MAKE,
        model=found.model,
        firmware=found.firmware,
        firmware_version=found.version,
        generation=found.generation,
    )
    known = credentials(identity)
    driver = Antminer(endpoint, wire, clock, timing, known, identity)
    identity = await driver.complete(found)
    # Passwords may be given per MAC, and only now is there one.
    if identity.mac is not None and (own := credentials(identity)) != known:
        driver.cgi.replace_credentials(own)
    return driver


def open_driver(
    wire: Wire,
    clock: Clock,
    timing: Timing,
    credentials: Callable[[Identity], Credentials | None],
    identity: Identity,
) -> Antminer:
    """A driver for a miner identified earlier; nothing is sent."""
    return Antminer(wire.endpoint, wire, clock, timing, credentials(identity), identity)


async def _has_stock_realm(wire: Wire, timing: Timing) -> bool:
    endpoint = wire.endpoint
    response = await wire.exchange(
        endpoint.http_port,
        build_request("GET", "/", endpoint.host),
        ResponseDecoder(body_cap_bytes=65536, truncate=True),
        deadline_s=timing.read_s,
        cap_bytes=131072,
    )
    challenge = parse_challenge(response.headers.get("www-authenticate"))
    return response.status == 401 and challenge is not None and is_stock_realm(challenge.realm)


def generations() -> tuple[Capabilities, ...]:
    """What each generation of this make can do, oldest first."""
    from drivers.antminer import proofs

    return tuple(proofs.ALL.values())
