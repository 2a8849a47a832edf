"""One IceRiver: who it is, what it does now, and (by the modules of changes) what is done to it.

How it is polled. One request of the web side tells everything, but its web layer frees nothing and dies of too many
loads, so a poll loads it at most once in `PANEL_EVERY_S`. Polls in between ask the daemon on port 4111, in one small
connection for each kind of figure. A miner whose daemon is closed to the network is polled no oftener than the web side
bears: `min_interval_s` says so. A look that is asked for all the same is taken of the web side; it is never an old one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, Final

import msgspec

from contract.errors import (
    MalformedError,
    MinerError,
    RefusedError,
    UnreachableError,
    UnsupportedError,
    WrongDeviceError,
)
from contract.hiding import hidden
from contract.miner import (
    Firmware,
    Identity,
    MinerFault,
    PowerMode,
    Reading,
    Slow,
    Static,
    normalize_mac,
)
from drivers.base import Credentials, Depth, Who
from drivers.changes.way import Ways
from drivers.driver import CredentialsFor, MinerDriver
from drivers.iceriver.identify import IceriverFindings, ask_who, findings_of
from drivers.iceriver.models import model_of
from drivers.iceriver.protocol import panel
from drivers.iceriver.protocol.daemon import IceriverDaemon
from drivers.iceriver.protocol.web import CONFIG, IceriverWeb
from drivers.iceriver.reading.figures import mode_in_words, mode_of
from drivers.iceriver.reading.snapshot import IceriverSnapshot, algorithm_of, snapshot_of
from drivers.protocol.values import text_of
from drivers.wire import Wire

PANEL_EVERY_S: Final = 60.0  # of the device
DAEMON_EVERY_S: Final = 15.0
RELEARN_S: Final = 3600.0  # a daemon that was closed is tried again after this long


class Iceriver(MinerDriver):
    """A driver bound to one IceRiver. Firmware of others on it is read and never written to."""

    make = "iceriver"

    def __init__(
        self,
        ways: Ways[Iceriver],
        wire: Wire,
        credentials: CredentialsFor,
        identity: Identity,
    ) -> None:
        super().__init__(ways, wire, credentials, identity)
        self.web = IceriverWeb(wire, _login(credentials, identity))
        self.daemon = IceriverDaemon(wire)
        self.has_mode_order: bool | None = None
        """Whether `web.SET_FAN_AND_MODE` exists here; `None` before it was tried."""
        self._found = IceriverFindings(identity=identity, package=identity.firmware_version)
        self._model = model_of(identity.model)
        self._panel_at_mono: float | None = None
        self._web_trouble: str | None = None
        self._closed_until_mono: float | None = None

    @property
    def package(self) -> str | None:
        """The name of the miner's software (`5977449_ks3m_miner`), as last read."""
        return self._found.package

    @property
    def min_interval_s(self) -> float:
        """What the web side bears where it alone can be asked, else what the daemon does."""
        return self.timing.device_s(PANEL_EVERY_S if self._is_closed() else DAEMON_EVERY_S)

    # --- looking ---------------------------------------------------------------------------------

    async def identify(self) -> Identity:
        """Ask afresh. Raises WrongDeviceError when no IceRiver answers any more."""
        found = await ask_who(self.web, self.daemon, self.timing, self._found)
        if found is None:
            raise WrongDeviceError(f"{self.endpoint.host} is no IceRiver (any more)")
        self.learn(found)
        return found.identity

    async def who(self) -> Who | None:
        """See `MinerDriver.who`. Of its daemon where that is open, for it costs the miner less."""
        told = await panel.glance(self.web, self.daemon, ("getnet",))
        return Who(mac=normalize_mac(text_of(told.get("mac"))))

    def learn(self, found: IceriverFindings) -> None:
        """Take over what identification found."""
        before, identity = self.identity, found.identity
        if found.is_daemon_open is None:
            found = msgspec.structs.replace(found, is_daemon_open=self._found.is_daemon_open)
        self._found = found
        self._identity = found.identity
        self._model = model_of(identity.model)
        if (before.mac, before.firmware_version) != (identity.mac, identity.firmware_version):
            self.has_mode_order = None
            self._ideal_hs = None
            self._closed_until_mono = None
        if (before.mac, before.firmware) != (identity.mac, identity.firmware):
            self.web.replace_credentials(_login(self._credentials, identity))

    async def read(self, depth: Depth = Depth.MOVING) -> Reading:
        """Look once. Needs no password, unless the firmware is a newer one that asks for it.

        One request of the web side, or four to eight of the daemon (see above); SLOW and FULL ask for the mode besides.
        Raises UnreachableError, MalformedError, RefusedError, AuthFailedError; WrongDeviceError when something else
        than an IceRiver answers.
        """
        fields = await self._panel(depth)
        read_at = self.clock.now()
        self._recognise(fields)
        look = snapshot_of(fields, self._model)
        self._ideal_hs = look.ideal_hs or self._ideal_hs
        slow: Slow | None = None
        if depth is not Depth.MOVING:
            mode, word = await self._mode()
            slow = _slow(look, mode, word, trouble=self._web_trouble)
        return Reading(
            read_at=read_at,
            moving=look.moving,
            mac=normalize_mac(text_of(fields.get("mac"))),
            slow=slow,
            static=self._static() if depth is Depth.FULL else None,
            raw=_raw(fields) if depth is Depth.FULL and self._model is None else None,
        )

    # --- private ---------------------------------------------------------------------------------

    async def _panel(self, depth: Depth) -> dict[str, Any]:
        """The figures, of whichever side is due, or else of the other."""
        if self._is_daemons_turn():
            try:
                return await self._of_daemon(depth)
            except MinerError as error:
                if self.identity.firmware is Firmware.PBFARMER:
                    raise  # its web side is not ours to ask
                is_refused = isinstance(error, UnreachableError)
            fields = await self._of_web()
            if is_refused:
                self._learn_closed()
            return fields
        try:
            return await self._of_web()
        except MinerError as error:
            trouble = error
        # A quote in a password breaks the JSON of the web side, and its leak ends it: the daemon lives on.
        try:
            return await self._of_daemon(depth)
        except MinerError:
            raise trouble from None

    async def _of_web(self) -> dict[str, Any]:
        self._panel_at_mono = self.clock.mono()
        try:
            fields = await panel.from_web(self.web)
        except MinerError as error:
            self._web_trouble = str(error)  # told by the looks until its next turn
            raise
        self._web_trouble = None
        return fields

    async def _of_daemon(self, depth: Depth) -> dict[str, Any]:
        commands = panel.MOVING if depth is Depth.MOVING else panel.EVERYTHING
        fields = await self._asked(panel.from_daemon(self.daemon, commands))
        if not isinstance(fields.get("boards"), list) and "rtpow" not in fields:
            raise MalformedError("its daemon tells no figures")
        return fields

    async def _asked(self, asking: Awaitable[dict[str, Any]]) -> dict[str, Any]:
        """Ask the daemon; one that answers is open."""
        answer = await asking
        self._closed_until_mono = None
        if not self._found.is_daemon_open:
            self._found = msgspec.structs.replace(self._found, is_daemon_open=True)
        return answer

    def _learn_closed(self) -> None:
        """It takes no connections while the web side gets answers of it: it is not away, the network may not ask it."""
        self._closed_until_mono = self.clock.mono() + RELEARN_S
        self._found = msgspec.structs.replace(self._found, is_daemon_open=False)

    def _is_closed(self) -> bool:
        until = self._closed_until_mono
        return until is not None and self.clock.mono() < until

    def _is_daemons_turn(self) -> bool:
        if self.identity.firmware is Firmware.PBFARMER:
            return True
        if self._panel_at_mono is None or self._is_closed():
            return False
        return self.clock.mono() - self._panel_at_mono < self.timing.device_s(PANEL_EVERY_S)

    def _recognise(self, fields: Mapping[str, Any]) -> None:
        """Who it is now, where the same look tells it: another miner may have come to this address, or other firmware.

        Raises WrongDeviceError when the same look tells of no IceRiver.
        """
        if "softver1" not in fields:
            return
        found = findings_of(fields)
        if found is None:
            raise WrongDeviceError(f"{self.endpoint.host} is no IceRiver (any more)")
        known = self.identity
        if found.identity.mac is None and found.package == self.package:
            # A panel is glued of several answers, of which one may be missing.
            identity = msgspec.structs.replace(found.identity, mac=known.mac)
            found = msgspec.structs.replace(found, identity=identity)
        self.learn(found)

    async def _mode(self) -> tuple[PowerMode | None, str | None]:
        """The mode and the miner's word for it: of the daemon where that is open, else of the web side."""
        fields: Mapping[str, Any] | None = None
        if not self._is_closed():
            try:
                fields = await self._asked(self.daemon.ask("gethw"))
            except UnreachableError:
                self._learn_closed()
            except MinerError:
                fields = None
        if fields is None and self.identity.firmware is not Firmware.PBFARMER:
            try:
                fields = await self.web.ask(*CONFIG)
            except (UnreachableError, MalformedError, RefusedError, UnsupportedError):
                fields = None
        if fields is None:
            return None, None
        told = fields.get("getmode", fields.get("mode"))
        word = text_of(told) or (None if told is None else str(told)[:40])
        is_stock = self.identity.firmware is Firmware.STOCK
        return (mode_of if is_stock else mode_in_words)(told), word

    def _static(self) -> Static:
        found, model = self._found, self._model
        return self._static_facts(
            system_version=found.system_version,
            software_version=found.software_version,
            algorithm=algorithm_of(model, found.algorithm_word),
            chips_expected=model.chips if model else None,
        )


def _login(credentials: CredentialsFor, identity: Identity) -> Credentials | None:
    """Somebody else's firmware may ask for a login as well: it gets none of ours."""
    known = credentials(identity)
    return known if identity.firmware is Firmware.STOCK else None


def _slow(
    look: IceriverSnapshot, mode: PowerMode | None, word: str | None, *, trouble: str | None
) -> Slow:
    """The slower facts. A miner that sleeps on purpose does not hash, which is no fault then; a web side that fails is
    one, for changes go through it.
    """
    faults = look.faults
    if mode is PowerMode.SLEEP:
        faults = tuple(fault for fault in faults if fault.code not in _OF_SLEEP)
    return Slow(
        mode=mode,
        mode_configured=mode,
        mode_raw=word,
        light_on=look.light_on,
        faults=faults if trouble is None else (_web_down(trouble), *faults),
    )


def _web_down(trouble: str) -> MinerFault:
    text = f"its web side fails, so it cannot be changed: {trouble}"
    return MinerFault(code="web_down", text=text[:_LONGEST_TEXT], severity="warning")


def _raw(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The panel of a model we do not know, for whoever adds it; without the passwords of its pools, those inside a url
    neither.
    """
    pools = fields.get("pools")
    kept = dict(fields)
    if isinstance(pools, list):
        kept["pools"] = [
            {key: value for key, value in pool.items() if key != "pass"}
            for pool in pools
            if isinstance(pool, dict)
        ]
    return {"userpanel": hidden(kept)}


_LONGEST_TEXT: Final = 200
_OF_SLEEP: Final = ("hashrate", "network", "fans")
