"""One AntMiner: who it is, what it does now, and (by the modules of changes) what is done to it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from contract.errors import (
    ServiceAwayError,
    UnreachableError,
    UnsupportedError,
    WrongDeviceError,
)
from contract.miner import Firmware, Identity, Reading, Slow, Static
from drivers.antminer.identify import AntminerFindings, ask_mac, ask_who, classify, examine
from drivers.antminer.models import OLD, AntminerSpec, spec_for
from drivers.antminer.protocol.cgi import Cgi
from drivers.antminer.protocol.replies import AntminerJoined, AntminerReply
from drivers.antminer.protocol.rpc import MOVING, AntminerRpc
from drivers.antminer.reading import braiins
from drivers.antminer.reading.slow import Meter, look_slowly
from drivers.antminer.reading.snapshot import AntminerSnapshot, snapshot_of
from drivers.base import Depth, Who
from drivers.changes.way import Ways
from drivers.driver import CredentialsFor, MinerDriver
from drivers.reading.boards import with_serials
from drivers.wire import Wire

# Where a firmware names itself in the first row of `stats`.
_NAMES: Final = ("Type", "CompileTime", "Miner", "BMMiner", "CGMiner")


class Antminer(MinerDriver):
    """A driver bound to one AntMiner. Foreign firmware on it is read and never written to."""

    make = "antminer"

    def __init__(
        self,
        ways: Ways[Antminer],
        wire: Wire,
        credentials: CredentialsFor,
        identity: Identity,
    ) -> None:
        super().__init__(ways, wire, credentials, identity)
        self._login = credentials(identity)
        is_stock = identity.firmware is Firmware.STOCK
        self.cgi = Cgi(wire, self._login, stock=is_stock)
        self.rpc = AntminerRpc(wire, identity.generation)
        self.awake_mode: str | None = None
        """The work mode seen before a sleep, as the firmware numbers it."""
        self._control_board: str | None = None
        self._serials: dict[int, str] = {}
        self._head_seen: tuple[Any, ...] | None = None
        self._meter = Meter(wire)
        self._became(identity)

    @property
    def spec(self) -> AntminerSpec | None:
        """What is known of its model beforehand."""
        return self._spec

    # --- looking ---------------------------------------------------------------------------------

    async def identify(self) -> Identity:
        """Ask afresh. Raises WrongDeviceError when no AntMiner hardware answers any more, ServiceAwayError when only
        its API is away.
        """
        try:
            found = await ask_who(self.rpc)
        except UnreachableError as error:
            if await self.wire.probe(self.endpoint.http_port):
                raise ServiceAwayError(
                    f"{error} (its web server answers: the mining process restarts, or the API is off)"
                ) from None
            raise
        if found is None:
            raise WrongDeviceError(f"{self.endpoint.host} is no AntMiner (any more)")
        return await self.complete(found)

    async def who(self) -> Who | None:
        """See `MinerDriver.who`: its web side alone tells."""
        return await ask_mac(self.cgi, self._identity.generation)

    async def complete(self, found: AntminerFindings) -> Identity:
        """Identity out of what the API said already, and the web side."""
        examined = await examine(self.cgi, found)
        self.rpc.forget()
        self._control_board = examined.control_board or self._control_board
        self._became(examined.identity)
        return examined.identity

    def renew_login(self) -> None:
        """Passwords may be given per MAC, and a miner just recognised may have one only now."""
        if self._identity.mac is not None:
            login = self._credentials(self._identity)
            if login != self._login:
                self._login = login
                self.cgi.replace_credentials(login)

    async def read(self, depth: Depth = Depth.MOVING) -> Reading:
        """Look once: one connection for the moving facts where the firmware has a joined form.

        SLOW and FULL also ask the web side, and raise AuthFailedError where it refuses our password; a web side that
        is away is a fault of the reading instead. Also raises UnreachableError, MalformedError, RefusedError, and
        WrongDeviceError when another firmware speaks than the one identified.
        """
        if self._identity.firmware is Firmware.EPIC:
            raise UnsupportedError(f"{self.endpoint.host} runs ePIC firmware, which is not read")
        if self._identity.firmware is Firmware.BRAIINS:
            look = braiins.snapshot_of(await self.rpc.ask_all(braiins.COMMANDS))
            raw = None
        else:
            joined = await self.rpc.ask_all(MOVING)
            look = self._look(joined)
            raw = _raw(joined) if self._spec is None and depth is Depth.FULL else None
        read_at = self.clock.now()
        moving = look.moving
        self._ideal_hs = look.ideal_hs or self._ideal_hs
        slow: Slow | None = None
        if depth is not Depth.MOVING:
            seen = await look_slowly(
                self.cgi, self.rpc, self._meter, look, self._identity, self._spec
            )
            self._serials.update(seen.serials)
            self._ideal_hs = self._ideal_hs or seen.ideal_hs
            slow = seen.slow
            moving = msgspec.structs.replace(moving, power_w=seen.power_w)
        return Reading(
            read_at=read_at,
            moving=with_serials(moving, self._serials),
            slow=slow,
            static=self._static() if depth is Depth.FULL else None,
            raw=raw,
        )

    # --- private ---------------------------------------------------------------------------------

    def _static(self) -> Static:
        spec = self._spec
        return self._static_facts(
            control_board=self._control_board,
            algorithm=spec.algorithm if spec else None,
            chips_expected=spec.chips_expected if spec else None,
        )

    def _became(self, identity: Identity) -> None:
        self._identity = identity
        self._spec = spec_for(identity.model)
        self.cgi.stock = identity.firmware is Firmware.STOCK
        # Other firmwares grew out of the old API: they have its joined form and no array.
        self.rpc.generation = identity.generation if self.cgi.stock else OLD

    def _look(self, joined: AntminerJoined) -> AntminerSnapshot:
        summary, stats, pools = (joined.part(command) for command in MOVING)
        head, data = _split(stats)
        if head is not None and (said := tuple(map(head.get, _NAMES))) != self._head_seen:
            self._check_same_firmware(head)
            self._head_seen = said
        look = snapshot_of(
            summary.SUMMARY[0] if summary and summary.SUMMARY else None,
            data,
            pools.POOLS if pools else None,
            self._spec,
            self.rpc.generation,
        )
        is_empty = summary is not None and summary.SUMMARY == []
        if is_empty and stats is not None and stats.STATS == []:
            return msgspec.structs.replace(look, is_empty=True)
        return look

    def _check_same_firmware(self, head: dict[str, Any]) -> None:
        """A miner that was given another firmware since must not get our password or a write."""
        if not self.cgi.stock:
            return
        text = " ".join(map(str, (*head.keys(), *head.values())))
        if classify(f"antminer {text}") is not Firmware.STOCK:
            self.cgi.stock = False
            raise WrongDeviceError(f"{self.endpoint.host} runs another firmware than before")


def _split(stats: AntminerReply | None) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The row about the software and the row of figures."""
    rows = stats.STATS if stats else None
    if not rows:
        return None, None
    if len(rows) > 1:
        return rows[0], rows[1]
    return (rows[0], rows[0]) if "Elapsed" in rows[0] or "GHS 5s" in rows[0] else (rows[0], None)


def _raw(joined: AntminerJoined) -> dict[str, Any]:
    summary, stats = joined.part("summary"), joined.part("stats")
    return {
        "summary": summary.SUMMARY if summary else None,
        "stats": stats.STATS if stats else None,
    }
