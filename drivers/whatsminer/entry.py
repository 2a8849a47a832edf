"""How the registry meets WhatsMiners, and by which way each kind of change is made on one."""

from __future__ import annotations

from typing import Final

from contract.miner import Make
from drivers.changes.way import Ways
from drivers.driver import CredentialsFor
from drivers.entry import Entry
from drivers.whatsminer.changes.firmware import WhatsminerFirmware
from drivers.whatsminer.changes.light import WhatsminerLight
from drivers.whatsminer.changes.logs import fetch_log
from drivers.whatsminer.changes.mode import WhatsminerMode
from drivers.whatsminer.changes.pools import WhatsminerPools
from drivers.whatsminer.changes.reboot import WhatsminerReboot
from drivers.whatsminer.changes.suspend import WhatsminerSwitch
from drivers.whatsminer.driver import Whatsminer
from drivers.whatsminer.identify import ask_who
from drivers.whatsminer.protocol.rpc import WhatsminerRpc
from drivers.whatsminer.protocol.v3 import Api3
from drivers.wire import Wire


class WhatsminerEntry(Entry[Whatsminer]):
    """WhatsMiners, in whichever dialect."""

    make = Make.WHATSMINER
    ports = ("v3_port", "rpc_port")
    driver = Whatsminer
    ways = Ways[Whatsminer](
        WhatsminerLight(),
        WhatsminerMode(),
        WhatsminerSwitch(),
        WhatsminerPools(),
        WhatsminerReboot(),
        WhatsminerFirmware(),
        fetch_log=fetch_log,
    )

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
