"""How the house meets rigs: they are enrolled, and no scan finds one."""

from __future__ import annotations

from typing import Final

from contract.clock import Clock
from contract.errors import UnsupportedError
from contract.miner import Identity, Make
from drivers.base import Timing
from drivers.changes.way import Ways
from drivers.driver import CredentialsFor
from drivers.entry import Entry
from drivers.rig import changes
from drivers.rig.changes.logs import fetch_log
from drivers.rig.driver import RigDriver
from drivers.rig.generations import GENERATIONS
from drivers.rig.reach.base import RigReach
from drivers.rig.reach.local import LocalReach
from drivers.rig.reach.unusable import UnusableReach
from drivers.rig.spec import EnrolledRig, LocalSpec
from drivers.rig.wire import RigWire
from drivers.wire import Wire


class RigEntry(Entry[RigDriver]):
    """Rigs. Their ports are those of their own loopback, so a scan asks none of them."""

    make = Make.RIG
    ports = ()
    driver = RigDriver
    ways = Ways[RigDriver].in_package(changes, generations=GENERATIONS, fetch_log=fetch_log)

    def open_driver(self, wire: Wire, credentials: CredentialsFor, identity: Identity) -> RigDriver:
        """See `Entry.open_driver`. Raises UnsupportedError for a wire that leads to no enrolled rig."""
        if not isinstance(wire, RigWire):
            raise UnsupportedError(f"no rig is enrolled at {wire.endpoint.host}: see [[rigs]]")
        return self.driver(self.ways, wire, credentials, identity)

    def enrolled(
        self,
        spec: EnrolledRig,
        *,
        clock: Clock,
        timing: Timing,
        identity: Identity | None = None,
    ) -> RigDriver:
        """The driver of an enrolled rig; nothing is sent until it is asked for something. `identity` is who it was
        when it was last asked.
        """
        wire = RigWire(spec, reach_of(spec), clock, timing)
        return self.open_driver(wire, lambda _: None, identity or Identity(make=Make.RIG))


def reach_of(spec: EnrolledRig) -> RigReach:
    """The way to reach it."""
    if spec.unusable is not None:
        return UnusableReach(spec.unusable)
    if isinstance(spec.reach, LocalSpec):
        return LocalReach(spec.reach)
    from drivers.rig.reach.ssh import SshReach

    return SshReach(spec.reach)


RIG: Final = RigEntry()
