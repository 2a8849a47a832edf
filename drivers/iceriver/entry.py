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
from drivers.iceriver.identify import recognise as ask_anew
from drivers.iceriver.protocol.daemon import IceriverDaemon
from drivers.iceriver.protocol.web import IceriverWeb
from drivers.wire import Wire


class IceriverEntry(Entry[Iceriver]):
    """IceRivers, and the one firmware of others that is known for them."""

    make = Make.ICERIVER
    ports = ("http_port", "daemon_port")
    driver = Iceriver
    ways = Ways[Iceriver].in_package(changes, generations=GENERATIONS, fetch_log=fetch_log)

    async def recognise(self, wire: Wire, credentials: CredentialsFor) -> Iceriver | None:
        """See `Entry.recognise`. Nothing of this needs a password, and none is sent."""
        web, daemon = IceriverWeb(wire, None), IceriverDaemon(wire)
        found = await ask_anew(web, daemon, wire.timing)
        if found is None:
            return None
        driver = self.open_driver(wire, credentials, found.identity)
        driver.learn(found)
        return driver


ICERIVER: Final = IceriverEntry()
