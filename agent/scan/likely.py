"""At which port a known miner is asked first."""

from __future__ import annotations

from agent.miners.fleet import Fleet
from contract.miner import Endpoint, Identity, Make


def likely_ports(fleet: Fleet) -> dict[str, int]:
    """By address, of all miners that are known; enrolled rigs are not among them."""
    drivers = (fleet.at(ip) for ip in fleet)
    return {
        each.endpoint.host: likely_port(each.identity, each.endpoint)
        for each in drivers
        if each is not None and each.identity.make is not Make.RIG
    }


def likely_port(identity: Identity, ports: Endpoint) -> int:
    """Where this miner most likely takes a connection: at a port of its make's own, rather than at that of the web,
    which others have as well.
    """
    if identity.make is Make.ICERIVER:
        return ports.daemon_port
    is_v3 = identity.make is Make.WHATSMINER and identity.generation == "v3"
    return ports.v3_port if is_v3 else ports.rpc_port
