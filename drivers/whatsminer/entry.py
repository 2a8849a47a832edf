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
from drivers.whatsminer.identify import ask_who
from drivers.whatsminer.protocol.rpc import WhatsminerRpc
from drivers.whatsminer.protocol.v3 import Api3
from drivers.wire import Wire


class WhatsminerEntry(Entry[Whatsminer]):
    """WhatsMiners, in whichever dialect."""

    make = Make.WHATSMINER
    ports = ("v3_port", "rpc_port")
    driver = Whatsminer
    ways = Ways[Whatsminer].in_package(changes, generations=GENERATIONS, fetch_log=fetch_log)

    async def recognise(self, wire: Wire, credentials: CredentialsFor) -> Whatsminer | None:
        """See `Entry.recognise`. Nothing of this needs a password."""
        rpc, v3 = WhatsminerRpc(wire), Api3(wire, None)
        found = await ask_who(rpc, v3, wire.timing)
        if found is None:
            return None
        driver = self.open_driver(wire, credentials, found.identity)
        driver.learn(found)
        return driver


WHATSMINER: Final = WhatsminerEntry()
