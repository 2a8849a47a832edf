"""At which port a known miner is asked first."""

from __future__ import annotations

from agent.miners.fleet import Fleet
from contract.miner import Identity
from drivers.registry import DRIVERS

_PORT_OF = {entry.make: entry.ports[0] for entry in DRIVERS if entry.ports}


def likely_ports(fleet: Fleet) -> dict[str, int]:
    """By address, of all miners that are known."""
    drivers = (fleet.at(ip) for ip in fleet)
    found = {
        each.endpoint.host: likely_port(each.identity, fleet)
        for each in drivers
        if each is not None
    }
    return {ip: port for ip, port in found.items() if port is not None}


def likely_port(identity: Identity, fleet: Fleet) -> int | None:
    """The first of those at which its make listens; `None` for what is not looked for."""
    name = _PORT_OF.get(identity.make)
    return None if name is None else int(getattr(fleet.endpoint(""), name))
