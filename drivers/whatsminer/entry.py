"""How the registry meets WhatsMiners, and by which way each kind of change is made on one."""

from __future__ import annotations

from typing import Final

from contract.clock import Clock
from contract.miner import Make
from drivers.base import Timing
from drivers.changes.way import Ways
from drivers.driver import CredentialsFor
from drivers.entry import Entry
from drivers.whatsminer import proofs
from drivers.whatsminer.changes.firmware import WhatsminerFirmware
from drivers.whatsminer.changes.light import WhatsminerLight
from drivers.whatsminer.changes.logs import fetch_log
from drivers.whatsminer.changes.mode import WhatsminerMode
from drivers.whatsminer.changes.pools import WhatsminerPools
from drivers.whatsminer.changes.reboot import WhatsminerReboot
from drivers.whatsminer.changes.suspend import WhatsminerSwitch
from drivers.whatsminer.driver import Whatsminer
from drivers.whatsminer.identify import ask_who
from drivers.whatsminer.protocol.rpc import Rpc
from drivers.whatsminer.protocol.v3 import Api3
from drivers.wire import Wire


class WhatsminerEntry(Entry[Whatsminer]):
    """WhatsMiners, in whichever dialect."""

    make = Make.WHATSMINER
    ports = ("v3_port", "rpc_port")
    generations = proofs.GENERATIONS
    ways = Ways[Whatsminer](
        WhatsminerLight(),
        WhatsminerMode(),
        WhatsminerSwitch(),
        WhatsminerPools(),
        WhatsminerReboot(),
        WhatsminerFirmware(),
        fetch_log=fetch_log,
    )
    driver = Whatsminer

    async def recognise(
        self, wire: Wire, clock: Clock, timing: Timing, credentials: CredentialsFor
    ) -> Whatsminer | None:
        """See `Entry.recognise`. Nothing of this needs a password."""
        rpc, v3 = Rpc(wire, clock, timing), Api3(wire, clock, timing, None)
        found = await ask_who(rpc, v3, timing)
        if found is None:
            return None
        driver = self.open_driver(wire, clock, timing, credentials, found.identity)
        driver.learn(found)
        return driver


WHATSMINER: Final = WhatsminerEntry()
