"""Who answers at an address? The ports that are open choose whose question is asked first; an answer that settles it is
the last, and no question is asked twice.

4433 is of one make alone. On 4028 `version` parts AntMiners, whoever's firmware they run, from WhatsMiners, which go on
with their own questions. The page on 80 shows an IceRiver, whose panel then comes over the same connection, or the
realm of an AntMiner whose API is away. 4111 is an IceRiver's again. What answers as two makes is nobody's.

Reads alone, with no login: one is used only by a make that claims the host, by its own rules.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, TypeVar

from contract.errors import (
    MalformedError,
    MinerError,
    RefusedError,
    UnreachableError,
    UnsupportedError,
    WrongDeviceError,
)
from contract.miner import Firmware, Identity, Make
from drivers.antminer.entry import ANTMINER
from drivers.antminer.identify import (
    AntminerFindings,
    ask_epic,
    ask_version,
    hear,
    names_other_maker,
)
from drivers.antminer.protocol.cgi import is_stock_realm
from drivers.antminer.protocol.rpc import AntminerRpc
from drivers.doors import Doors
from drivers.driver import CredentialsFor, MinerDriver
from drivers.iceriver.entry import ICERIVER
from drivers.iceriver.identify import DEADLINE_S, ask_daemon, behind_page, is_front_page
from drivers.iceriver.protocol.daemon import IceriverDaemon
from drivers.iceriver.protocol.web import IceriverWeb
from drivers.link import HungError
from drivers.protocol.digest import parse_challenge
from drivers.protocol.http import Response
from drivers.stranger import Stranger, banner_of
from drivers.whatsminer.entry import WHATSMINER
from drivers.whatsminer.identify import ask_4028, ask_4433, names_itself
from drivers.whatsminer.protocol.rpc import WhatsminerRpc
from drivers.whatsminer.protocol.v3 import Api3
from drivers.wire import Wire

T = TypeVar("T")
AWAY_REASON: Final = "its API is away (the miner restarts, or the API is switched off)"
HANGS_CAP: Final = (
    2  # questions that one host may leave without an answer; it is asked nothing more then
)


class Recognition:
    """One look at one host."""

    def __init__(self, wire: Wire, credentials: CredentialsFor, doors: Doors) -> None:
        self._wire = wire
        self._credentials = credentials
        self._doors = doors
        self._endpoint = wire.endpoint
        # Findings: a claim by the API alone, where more would take our login and that is not to be used yet.
        self._claims: dict[Make, MinerDriver | AntminerFindings] = {}
        self._has_asked_v3 = False
        self._away: dict[int, UnreachableError] = {}
        self._broken: list[MalformedError] = []
        self._hung: list[HungError] = []
        self._has_antminers_realm = False
        self._is_doubtful = False  # whoever claims it: the others are asked as well
        self._has_ports_of_two = False

    async def settle(self) -> MinerDriver | Stranger:
        """Raises as `drivers.registry.recognise`."""
        if said := self._doors.unasked():  # no miner speaks first
            self._doors.close()
            return Stranger(banner=banner_of(said), ports=tuple(sorted(self._doors.open)))
        host = self._endpoint.host
        with self._wire.entering(self._doors) as heard:
            await self._ask()
            if len(self._claims) > 1:
                names = " and ".join(map(_name, self._claims.values()))
                raise WrongDeviceError(f"{host} could be {names}: not touched")
            for claim in self._claims.values():
                # An AntMiner tells its MAC to our login alone, which is not for a host like that.
                if isinstance(claim, AntminerFindings) or (
                    self._has_ports_of_two and claim.identity.mac is None
                ):
                    raise WrongDeviceError(f"{host} has ports of two makes and no MAC: not touched")
                return claim
        return self._nobodys(heard)

    # --- which port is asked, and when -----------------------------------------------------------

    async def _ask(self) -> None:
        at, doors = self._endpoint, self._doors
        if at.daemon_port in doors.open and doors.open & {at.v3_port, at.rpc_port}:
            self._is_doubtful = self._has_ports_of_two = True
        api, page = (at.rpc_port, self._ask_api), (at.http_port, self._ask_page)
        v3, daemon = (at.v3_port, self._ask_v3), (at.daemon_port, self._ask_daemon)
        steps = [step for step in (v3, api, page, daemon) if step[0] in doors.open]
        known = doors.open | doors.refused
        steps += [step for step in (api, page, daemon, v3) if step[0] not in known]
        for port, ask in steps:
            if self._claims and not (self._is_doubtful and self._may_be_open(port)):
                continue
            if len(self._hung) < HANGS_CAP:
                await ask()

    def _may_be_open(self, port: int) -> bool:
        return port in self._doors.open or not self._doors.open

    async def _ask_v3(self) -> None:
        if self._has_asked_v3:
            return
        self._has_asked_v3 = True
        api = Api3(self._wire, None)
        found = await self._told(self._endpoint.v3_port, ask_4433(api, self._wire.timing))
        if found is not None:
            self._claims[Make.WHATSMINER] = WHATSMINER.meet(self._wire, self._credentials, found)

    async def _ask_api(self) -> None:
        port, rpc = self._endpoint.rpc_port, AntminerRpc(self._wire, None)
        said = await self._told(port, ask_version(rpc), of_api=True)
        if said is None:
            if port in self._away or len(self._hung) >= HANGS_CAP:
                return
            # an HTTP server waits for the rest of such a request
            found = await self._told(port, ask_epic(rpc), of_api=True)
        elif names_other_maker(said):
            return
        elif names_itself(said):
            await self._ask_whatsminer()
            return
        else:
            broken = len(self._broken)
            found = await self._told(port, hear(rpc, said), of_api=True)
            if len(self._broken) > broken and _is_plain(said):
                del self._broken[broken:]  # another protocol, not a broken answer
                return
        if found is not None and self._is_doubtful:
            self._claims[Make.ANTMINER] = found
        elif found is not None:
            driver = await ANTMINER.meet(self._wire, self._credentials, found)
            self._claims[Make.ANTMINER] = driver
            if driver.identity.firmware is not found.firmware:
                self._is_doubtful = True  # its web side is not the one of what its API says
        elif said is not None and not said.startswith(b"HTTP/"):
            await self._ask_whatsminer()

    async def _ask_whatsminer(self) -> None:
        if Make.WHATSMINER in self._claims:
            return
        at, timing = self._endpoint, self._wire.timing
        if at.v3_port not in self._doors.refused:
            await self._ask_v3()
            if Make.WHATSMINER in self._claims:
                return
        found = await self._told(
            at.rpc_port, ask_4028(WhatsminerRpc(self._wire), timing), of_api=True
        )
        if found is not None:
            self._claims[Make.WHATSMINER] = WHATSMINER.meet(self._wire, self._credentials, found)

    async def _ask_page(self) -> None:
        wire, port = self._wire, self._endpoint.http_port
        web, daemon = IceriverWeb(wire, None), IceriverDaemon(wire)
        deadline_s = min(DEADLINE_S, wire.timing.read_s)
        with wire.keeping(port):
            page = await self._told(port, web.front_page(deadline_s=deadline_s))
            if page is None:
                return
            self._has_antminers_realm = _has_antminers_realm(page)
            if is_front_page(page) and Make.ICERIVER not in self._claims:
                if (idle := self._doors.take(self._endpoint.daemon_port)) is not None:
                    idle.close()  # the web side asks that daemon, which may serve one client at a time
                found = await behind_page(web, daemon, wire.timing)
                if found is not None:
                    driver = ICERIVER.meet(wire, self._credentials, found)
                    self._claims[Make.ICERIVER] = driver

    async def _ask_daemon(self) -> None:
        if Make.ICERIVER in self._claims:
            return
        daemon = IceriverDaemon(self._wire)
        found = await self._told(self._endpoint.daemon_port, ask_daemon(daemon, self._wire.timing))
        if found is not None:
            self._claims[Make.ICERIVER] = ICERIVER.meet(self._wire, self._credentials, found)

    # --- what is made of the answers -------------------------------------------------------------

    async def _told(self, port: int, question: Awaitable[T], *, of_api: bool = False) -> T | None:
        """The answer; `None` for what is no answer of that make, which is kept in mind. `of_api`: to the API that a
        miner has on 4028, which may be broken for a while.
        """
        try:
            return await question
        except UnreachableError as error:
            self._away.setdefault(port, error)
        except MalformedError as error:
            if isinstance(error, HungError):
                self._hung.append(error)
            if of_api:
                self._broken.append(error)
        except (RefusedError, UnsupportedError, WrongDeviceError):
            pass
        except MinerError:
            if port != self._endpoint.v3_port:
                raise  # it wants a login
        return None

    def _nobodys(self, heard: dict[int, bytes]) -> MinerDriver | Stranger:
        rpc_port = self._endpoint.rpc_port
        if self._has_antminers_realm and rpc_port in self._doors.refused | self._away.keys():
            identity = Identity(make=Make.ANTMINER, firmware=Firmware.OTHER, reason=AWAY_REASON)
            return ANTMINER.open_driver(self._wire, self._credentials, identity)
        if self._broken:
            raise self._broken[0]
        if self._hung and not any(heard.values()):
            raise self._hung[0]
        if not heard:
            raise next(iter(self._away.values()), UnreachableError(self._nothing_open()))
        banner = next(filter(None, map(banner_of, heard.values())), None)
        return Stranger(banner=banner, ports=tuple(sorted(self._doors.open | heard.keys())))

    def _nothing_open(self) -> str:
        return f"{self._endpoint.host} refuses connections on every port that a miner has"


# --- private -------------------------------------------------------------------------------------


def _name(claim: MinerDriver | AntminerFindings) -> str:
    return ANTMINER.driver.make if isinstance(claim, AntminerFindings) else claim.make


def _has_antminers_realm(page: Response) -> bool:
    challenge = parse_challenge(page.headers.get("www-authenticate"))
    return page.status == 401 and challenge is not None and is_stock_realm(challenge.realm)


def _is_plain(said: bytes) -> bool:
    """Whether it is text of another protocol, as `SSH-2.0-dropbear` is."""
    start = said[:4]
    return start.isascii() and start.decode("ascii").isprintable() and start[:1] not in b"{["
