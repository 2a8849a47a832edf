"""Puts together what knows the miners of a site: used by the daemon and by commands alike."""

from __future__ import annotations

from functools import partial

import msgspec

from agent.config.file import Config
from agent.miners.credentials import CredentialBook, from_config
from agent.miners.fleet import Fleet
from agent.miners.inventory import Inventory
from agent.miners.members import GONE_AFTER_S
from agent.miners.rigs import Rigs, rigs_of
from agent.miners.territory import Territory
from contract.clock import Clock
from contract.miner import Endpoint
from contract.ports import PORTS
from drivers.base import Timing


class Site(msgspec.Struct, frozen=True):
    """The miners, who they are, and where they may be."""

    inventory: Inventory
    territory: Territory
    fleet: Fleet
    timing: Timing
    ports: Endpoint
    rigs: Rigs

    @property
    def scan_ports(self) -> tuple[int, ...]:
        """Where a miner of a known make would accept a connection."""
        from drivers.registry import DRIVERS

        names = (name for entry in DRIVERS for name in entry.ports)
        return tuple(dict.fromkeys(getattr(self.ports, name) for name in names))

    @property
    def look_timeout_s(self) -> float:
        """A whole look is several exchanges, each with its own deadline."""
        return 3.0 * self.timing.read_s


def open_site(
    config: Config, clock: Clock, inventory: Inventory, book: CredentialBook | None = None
) -> Site:
    """Nothing is asked of any miner yet. Raises ConfigError for an unusable password file, and as `rigs_of`."""
    from drivers.registry import open_driver, recognise

    timing = config.miners.timing()
    ports = Endpoint(host="", **{name: getattr(config.miners, name) for name in PORTS})
    rigs = rigs_of(config, clock, timing)
    territory = Territory(config.miners, rigs, (each.range for each in config.ranges))
    fleet = Fleet(
        inventory,
        from_config(config) if book is None else book,
        territory,
        ports,
        clock,
        recognise=partial(recognise, clock=clock, timing=timing),
        open_driver=partial(open_driver, clock=clock, timing=timing),
        gone_after_s=timing.device_s(GONE_AFTER_S),
        rigs=rigs,
    )
    return Site(inventory, territory, fleet, timing, ports, rigs)
