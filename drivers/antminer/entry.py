"""How the registry meets AntMiners. Sleep is one of its modes."""

from __future__ import annotations

from typing import Final

from contract.errors import UnreachableError
from contract.miner import Firmware, Identity, Make
from drivers.antminer import changes
from drivers.antminer.changes.logs import fetch_log
from drivers.antminer.driver import Antminer
from drivers.antminer.generations import GENERATIONS
from drivers.antminer.identify import ask_who
from drivers.antminer.protocol.cgi import is_stock_realm
from drivers.antminer.protocol.rpc import AntminerRpc
from drivers.changes.way import Ways
from drivers.driver import CredentialsFor
from drivers.entry import Entry
from drivers.http_client import HttpClient
from drivers.protocol.digest import parse_challenge
from drivers.wire import Wire


class AntminerEntry(Entry[Antminer]):
    """AntMiner hardware, whoever's firmware it runs."""

    make = Make.ANTMINER
    ports = ("http_port", "rpc_port")
    driver = Antminer
    ways = Ways[Antminer].in_package(changes, generations=GENERATIONS, fetch_log=fetch_log)

    async def recognise(self, wire: Wire, credentials: CredentialsFor) -> Antminer | None:
        """See `Entry.recognise`; its identity is as complete as our password allows. One whose API is away is known by
        its web server's realm alone, and is then neither read nor written.
        """
        try:
            found = await ask_who(AntminerRpc(wire, None))
        except UnreachableError:
            if not await _has_stock_realm(wire):
                raise
            identity = Identity(
                make=self.make,
                firmware=Firmware.OTHER,
                reason="its API is away (the miner restarts, or the API is switched off)",
            )
            return self.open_driver(wire, credentials, identity)
        if found is None:
            return None
        driver = self.open_driver(wire, credentials, found.identity)
        await driver.complete(found)
        driver.renew_login()
        return driver


ANTMINER: Final = AntminerEntry()


async def _has_stock_realm(wire: Wire) -> bool:
    response = await HttpClient(wire).send("GET", "/", truncate=True)
    challenge = parse_challenge(response.headers.get("www-authenticate"))
    return response.status == 401 and challenge is not None and is_stock_realm(challenge.realm)
