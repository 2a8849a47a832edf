"""How the registry meets WhatsMiners."""

from __future__ import annotations

from typing import Final

from contract.miner import Make
from drivers.changes.way import Ways
from drivers.driver import CredentialsFor
from drivers.entry import Entry
from drivers.whatsminer import changes
from drivers.whatsminer.changes.logs import fetch_log
from drivers.whatsminer.driver import Whatsminer
from drivers.whatsminer.generations import GENERATIONS
from drivers.whatsminer.identify import WhatsminerFindings
from drivers.wire import Wire


class WhatsminerEntry(Entry[Whatsminer]):
    """WhatsMiners, in whichever dialect."""

    make = Make.WHATSMINER
    ports = ("v3_port", "rpc_port")
    driver = Whatsminer
    ways = Ways[Whatsminer].in_package(changes, generations=GENERATIONS, fetch_log=fetch_log)

    def meet(
        self, wire: Wire, credentials: CredentialsFor, found: WhatsminerFindings
    ) -> Whatsminer:
        """The driver of one that just told this."""
        driver = self.open_driver(wire, credentials, found.identity)
        driver.learn(found)
        return driver


WHATSMINER: Final = WhatsminerEntry()
