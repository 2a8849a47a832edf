"""How the registry meets AntMiners. Sleep is one of its modes."""

from __future__ import annotations

from typing import Final

from contract.miner import Make
from drivers.antminer import changes
from drivers.antminer.changes.logs import fetch_log
from drivers.antminer.driver import Antminer
from drivers.antminer.generations import GENERATIONS
from drivers.antminer.identify import AntminerFindings
from drivers.changes.way import Ways
from drivers.driver import CredentialsFor
from drivers.entry import Entry
from drivers.wire import Wire


class AntminerEntry(Entry[Antminer]):
    """AntMiner hardware, whoever's firmware it runs."""

    make = Make.ANTMINER
    ports = ("http_port", "rpc_port")
    driver = Antminer
    ways = Ways[Antminer].in_package(changes, generations=GENERATIONS, fetch_log=fetch_log)

    async def meet(
        self, wire: Wire, credentials: CredentialsFor, found: AntminerFindings
    ) -> Antminer:
        """The driver of one whose API just told this; its identity is as complete as our password allows."""
        driver = self.open_driver(wire, credentials, found.identity)
        await driver.complete(found)
        driver.renew_login()
        return driver


ANTMINER: Final = AntminerEntry()
