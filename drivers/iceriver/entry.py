"""How the registry meets IceRivers. Sleep is one of its modes."""

from __future__ import annotations

from typing import Final

from contract.miner import Make
from drivers.changes.way import Ways
from drivers.driver import CredentialsFor
from drivers.entry import Entry
from drivers.iceriver import changes
from drivers.iceriver.changes.logs import fetch_log
from drivers.iceriver.driver import Iceriver
from drivers.iceriver.generations import GENERATIONS
from drivers.iceriver.identify import IceriverFindings
from drivers.wire import Wire


class IceriverEntry(Entry[Iceriver]):
    """IceRivers, and the one firmware of others that is known for them."""

    make = Make.ICERIVER
    ports = ("http_port", "daemon_port")
    driver = Iceriver
    ways = Ways[Iceriver].in_package(changes, generations=GENERATIONS, fetch_log=fetch_log)

    def meet(self, wire: Wire, credentials: CredentialsFor, found: IceriverFindings) -> Iceriver:
        """The driver of one that just told this."""
        driver = self.open_driver(wire, credentials, found.identity)
        driver.learn(found)
        return driver


ICERIVER: Final = IceriverEntry()
