"""One WhatsMiner: who it is, what it does now, and (by the modules of changes) what is done to it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from contract.errors import (
    MalformedError,
    MinerError,
    UnreachableError,
    WrongDeviceError,
)
from contract.miner import (
    Algorithm,
    Identity,
    MinerFault,
    Moving,
    PowerMode,
    Psu,
    Reading,
    Slow,
    Static,
    normalize_mac,
)
from drivers.base import (
    Depth,
    SetPercent,
    Who,
)
from drivers.changes.way import Ways
from drivers.driver import CredentialsFor, MinerDriver
from drivers.protocol.values import text_of
from drivers.reading.boards import doubt_fault, with_serials
from drivers.whatsminer.identify import WhatsminerFindings, ask_mac, ask_who, from_device
from drivers.whatsminer.models import COMPAT, LEGACY, V1, V2, V3, cooling_of
from drivers.whatsminer.protocol.api import ProcessDownError, WhatsminerJoined
from drivers.whatsminer.protocol.frames import Reply3, decode_reply, decode_status, refusal_of
from drivers.whatsminer.protocol.rpc import WhatsminerRpc
from drivers.whatsminer.protocol.tokens import Tokens
from drivers.whatsminer.protocol.v3 import DEVICE, SETTING, STATUS, Api3
from drivers.whatsminer.reading.faults import codes_of, faults_of
from drivers.whatsminer.reading.figures import truth
from drivers.whatsminer.reading.limit import (
    FULL,
    ReportedLimit,
    full_by_rate,
    highest_of,
    limit_of,
    share_of,
    watts_of,
)
from drivers.whatsminer.reading.shares import with_shares
from drivers.whatsminer.reading.snapshot import (
    ReportedStatus,
    WhatsminerSnapshot,
    light_of,
    mode_of,
    pools_of,
    psu_of,
    snapshot_of,
    status_of,
    supply_of,
)
from drivers.whatsminer.reading.snapshot_v3 import (
    codes_of_device,
    heat_mode,
    mode_word,
    part_of,
    power_limit_w,
    serials_of,
    snapshot_of_status,
    with_coolant,
)
from drivers.whatsminer.reading.snapshot_v3 import psu_of as psu_of_device
from drivers.wire import Wire

RELOOK_S: Final = 600.0  # firmware with API v3 is met on 4028 only while 4433 is away
SHARES_RETRY_S: Final = 3600.0
_PROCESS_DOWN: Final = MinerFault(
    code="process_down",
    text="its mining process does not run: it is starting, restarts, or fails again and again",
    severity="warning",
)


class Whatsminer(MinerDriver):
    """A driver bound to one WhatsMiner, in the dialect its firmware has."""

    make = "whatsminer"

    def __init__(
        self,
        ways: Ways[Whatsminer],
        wire: Wire,
        credentials: CredentialsFor,
        identity: Identity,
    ) -> None:
        super().__init__(ways, wire, credentials, identity)
        login = credentials(identity)
        self.rpc = WhatsminerRpc(wire)
        self.tokens = Tokens(wire, login)
        self.v3 = Api3(wire, login)
        self.rated_w: float | None = None
        """The power limit that its firmware comes with, once it was seen at that one."""
        self._highest_w: float | None = None  # of all limits that it was seen with
        self._found = WhatsminerFindings(identity=identity)
        self._cooling = cooling_of(identity.model)
        self._login_for = (identity.generation, identity.mac)
        self._serials: dict[int, str] = {}
        self._psu: Psu | None = None
        self._is_doubtful = False  # something of a look does not fit its dialect
        self._relook_at_mono = 0.0
        self._no_shares_until_mono = 0.0

    @property
    def is_v3(self) -> bool:
        """Whether it is spoken to on port 4433."""
        return self.identity.generation == V3

    @property
    def platform(self) -> str | None:
        """How firmware packages call its control board (`h616`); `None` where it does not say, or was not asked yet."""
        return self._found.platform

    # --- looking ---------------------------------------------------------------------------------

    async def identify(self) -> Identity:
        """Ask afresh, the dialect included where the firmware is another. Raises WrongDeviceError when no WhatsMiner
        answers any more.
        """
        found = await ask_who(self.rpc, self.v3, self.timing, self._found)
        if found is None:
            raise WrongDeviceError(f"{self.endpoint.host} is no WhatsMiner (any more)")
        self.learn(found)
        return found.identity

    async def who(self) -> Who | None:
        """See `MinerDriver.who`. Firmware before 2022 cannot tell while its mining process is down."""
        return await ask_mac(self.rpc, self.v3, self.identity.generation)

    def learn(self, found: WhatsminerFindings) -> None:
        """Take over what identification found."""
        before = self.identity
        self._is_doubtful = False
        self._relook_at_mono = self.clock.mono() + RELOOK_S
        self._found = found
        self._identity = found.identity
        identity = found.identity
        if (before.generation, before.firmware_version) != (
            identity.generation,
            identity.firmware_version,
        ):
            self.rpc.forget()
            self.tokens.forget()
        if before.mac != identity.mac:
            self._serials.clear()
            self._psu = None
            self._ideal_hs = None
            self.rated_w = self._highest_w = self.set_percent = None
        if self._login_for != (identity.generation, identity.mac):
            self._login_for = (identity.generation, identity.mac)
            login = self._credentials(identity)
            self.tokens.replace_credentials(login)
            self.v3.replace_credentials(login)
        self._cooling = cooling_of(identity.model)

    def learn_limit(self, told: ReportedLimit, mode: PowerMode | None = None) -> None:
        """Take over what a look told of its power limit, for when another one is set. `mode`: it runs in, if known."""
        highest_w = highest_of(told)
        if highest_w is None:
            return
        self._highest_w = max(highest_w, self._highest_w or 0.0)
        if told.has_own and mode is not PowerMode.LOW:  # it may be lower there
            self.rated_w = max(highest_w, self.rated_w or 0.0)

    def note_percent(self, percent: int | None) -> None:
        """A percentage that its firmware does not tell was set and seen to: it holds until the miner starts again."""
        self.set_percent = None
        if percent is not None and percent < FULL:
            self.set_percent = SetPercent(percent=percent, seen_at=self.clock.now())

    async def look(self) -> WhatsminerSnapshot:
        """Moving facts, both uptimes and the mode where the same replies tell it: one connection where the firmware
        allows. A mining process that is down is a look too, with no hash rate.

        Raises UnreachableError, MalformedError, RefusedError.
        """
        if self.is_v3:
            reply = await self._v3_answered()
            look = snapshot_of_status(reply, self._cooling)
            return self._learned(look or await self._down_v3(await self.v3.device()))
        try:
            joined = await self.rpc.moving()
        except ProcessDownError:
            return await self._down()
        self._check_dialect(joined)
        return self._learned(snapshot_of(joined, self._cooling))

    async def read(self, depth: Depth = Depth.MOVING) -> Reading:
        """Look once. Needs no password at any depth.

        Raises UnreachableError, MalformedError, RefusedError, and WrongDeviceError when its firmware seemed to be
        another and something else answers now.
        """
        if self._is_doubtful or self._is_relook_due():
            await self.identify()
        if depth is Depth.MOVING:
            look = await self.look()
            return Reading(
                read_at=self.clock.now(),
                moving=with_serials(look.moving, self._serials),
                mac=normalize_mac(look.mac),
            )
        look, slow, read_at = await (self._read_v3() if self.is_v3 else self._read_4028(depth))
        return Reading(
            read_at=read_at,
            moving=with_serials(look.moving, self._serials),
            mac=normalize_mac(look.mac),
            slow=slow,
            static=self._static() if depth is Depth.FULL else None,
            raw=self._raw(look) if depth is Depth.FULL else None,
        )

    # --- private ---------------------------------------------------------------------------------

    def _static(self) -> Static:
        return self._static_facts(
            control_board=self._found.control_board, algorithm=Algorithm.SHA256, psu=self._psu
        )

    def _is_relook_due(self) -> bool:
        return self.identity.generation == COMPAT and self.clock.mono() >= self._relook_at_mono

    def _check_dialect(self, joined: WhatsminerJoined) -> None:
        """A firmware installed by somebody else shows in the shape of its replies."""
        reply = joined.part("summary")
        is_new = reply is not None and reply.has_msg_summary
        if is_new != (self.identity.generation == COMPAT):
            self._is_doubtful = True

    def _check_version(self, version: str | None) -> None:
        known = self.identity.firmware_version
        if version is not None and known is not None and version != known:
            self._is_doubtful = True

    def _learned(self, look: WhatsminerSnapshot) -> WhatsminerSnapshot:
        self._ideal_hs = look.ideal_hs or self._ideal_hs
        self._check_version(look.firmware_version)
        return look

    def _limited(
        self, look: WhatsminerSnapshot, stored: Any, percent: Any, mode: PowerMode | None
    ) -> WhatsminerSnapshot:
        """The same with what its power limit and its percentage leave it; see `limit_of`."""
        if look.process_is_down:
            return look
        if percent is None:
            percent = self._percent_still(look)
        told = limit_of(look.power_limit_w, stored, percent)
        self.learn_limit(told, mode)
        full_w = self.rated_w
        if full_w is None:
            known = (self._highest_w, full_by_rate(told, look.moving, self._ideal_hs))
            full_w = max((each for each in known if each is not None), default=None)
        return msgspec.structs.replace(
            look,
            power_limit_w=watts_of(told, full_w, look.moving.power_w),
            power_percent=told.percent if told.percent_share < 1.0 else None,
            power_share=share_of(told, full_w),
        )

    def _percent_still(self, look: WhatsminerSnapshot) -> int | None:
        """The percentage that was set and that it does not tell; `None` once the miner was started again."""
        if self.set_percent is not None:
            up_s = look.elapsed_s if look.boot_s is None else look.boot_s
            since_s = (self.clock.now() - self.set_percent.seen_at).total_seconds()
            if up_s is None or up_s < since_s * self.timing.pace:
                self.set_percent = None
        return None if self.set_percent is None else self.set_percent.percent

    # --- API v3 ----------------------------------------------------------------------------------

    async def _v3_answered(self) -> Any:
        try:
            return await self.v3.status()
        except UnreachableError:
            # It may still be there on 4028, with another firmware or without v3.
            self._is_doubtful = True
            raise

    async def _down_v3(self, device: Reply3) -> WhatsminerSnapshot:
        """The look at a miner whose process gave no figures."""
        working = truth(part_of(device.fields, "miner").get("working"))
        return WhatsminerSnapshot(
            moving=Moving(hashrate_hs=0.0),
            process_is_down=True,
            is_off=None if working is None else not working,
        )

    async def _read_v3(self) -> tuple[WhatsminerSnapshot, Slow, Any]:
        try:
            answers = await self.v3.talk((STATUS, DEVICE, SETTING))
        except UnreachableError:
            self._is_doubtful = True
            raise
        read_at = self.clock.now()
        device = self.v3.learned(decode_reply(answers[1], "get.device.info"))
        setting = decode_reply(answers[2], "get.miner.setting")
        options = setting.fields if refusal_of(setting) is None else {}
        fields = device.fields
        look = snapshot_of_status(decode_status(answers[0]), self._cooling)
        look = self._learned(look or await self._down_v3(device))
        found = from_device(device)
        if found is None or found.identity.mac != self.identity.mac:
            self._is_doubtful = True
        else:
            self._check_version(found.identity.firmware_version)
            self._found = msgspec.structs.replace(
                self._found, control_board=found.control_board, platform=found.platform
            )
        power, miner = part_of(fields, "power"), part_of(fields, "miner")
        self._serials.update(serials_of(miner))
        self._psu = psu_of_device(power) or self._psu
        look = with_coolant(look, power)
        look = msgspec.structs.replace(look, power_limit_w=power_limit_w(look, options, miner))
        stored = miner.get("power-limit-set", options.get("power-limit"))
        word = mode_word(options, power)
        look = self._limited(look, stored, options.get("power-percent"), mode_of(word))
        moving = msgspec.structs.replace(
            look.moving, fan_psu_rpm=self._psu.fan_rpm if self._psu else None
        )
        moving = await self._with_shares(moving)
        working = truth(miner.get("working"))
        slow = _slow(
            look,
            is_off=working is False,
            word=word,
            light_on=light_of(part_of(fields, "system").get("ledstatus")),
            codes=codes_of_device(fields),
            preset=heat_mode(options, miner),
        )
        mac = text_of(part_of(fields, "network").get("mac"))
        return msgspec.structs.replace(look, moving=moving, mac=mac), slow, read_at

    async def _with_shares(self, moving: Moving) -> Moving:
        """API v3 counts no shares; its port 4028 does, where it is open."""
        if not moving.pools or self.clock.mono() < self._no_shares_until_mono:
            return moving
        try:
            reply = await self.rpc.ask("pools")
        except ProcessDownError:
            return moving
        except MinerError:
            self._no_shares_until_mono = self.clock.mono() + SHARES_RETRY_S
            return moving
        return with_shares(moving, pools_of(reply))

    # --- port 4028 -------------------------------------------------------------------------------

    async def _down(self) -> WhatsminerSnapshot:
        """The look at a miner whose process does not run: told to, or not."""
        status = await self._status()
        return WhatsminerSnapshot(
            moving=Moving(hashrate_hs=0.0),
            process_is_down=True,
            is_off=status.is_off,
            mode_word=status.mode_word,
            power_limit_w=status.power_limit_w,
            firmware_version=status.firmware_version,
        )

    async def _status(self) -> ReportedStatus:
        try:
            reply = await self.rpc.ask_if_known("status")
        except MalformedError:
            return ReportedStatus()  # some daemons are away together with the process
        return status_of(reply.fields) if reply else ReportedStatus()

    async def _read_4028(self, depth: Depth) -> tuple[WhatsminerSnapshot, Slow, Any]:
        look = await self.look()
        read_at = self.clock.now()
        generation = self.identity.generation
        light_on: bool | None = None
        codes = look.codes
        is_off, word = look.is_off, look.mode_word
        limit_w, status = look.power_limit_w, ReportedStatus()
        if generation in {V2, COMPAT}:
            info = await self.rpc.ask_if_known("get_miner_info")
            light_on = light_of(info.fields.get("ledstat")) if info else None
            if info is not None and look.mac is None:
                look = msgspec.structs.replace(look, mac=text_of(info.fields.get("mac")))
            errors = await self.rpc.ask_if_known("get_error_code")
            if errors is not None:
                codes = (*codes, *codes_of(errors.fields.get("error_code")))
        shows_mode = bool(word) and look.moving.hashes
        tells_limit = generation in {V2, COMPAT}
        if generation != LEGACY and is_off is None and (tells_limit or not shows_mode):
            status = await self._status()
            is_off, word = status.is_off, word or status.mode_word
            limit_w = limit_w or status.power_limit_w
            if not shows_mode:
                self._check_version(status.firmware_version)
        if depth is Depth.FULL and generation in {V1, V2, COMPAT}:
            psu = await self.rpc.ask_if_known("get_psu")
            told = psu_of(psu.fields) if psu else None
            self._psu = supply_of(told or self._psu, look.row)
        if look.moving.fan_psu_rpm is None and self._psu is not None and depth is Depth.FULL:
            look = msgspec.structs.replace(
                look,
                moving=msgspec.structs.replace(look.moving, fan_psu_rpm=self._psu.fan_rpm),
            )
        look = msgspec.structs.replace(look, power_limit_w=limit_w)
        look = self._limited(look, status.stored_limit, status.percent, mode_of(word))
        if look.control_board and self._found.control_board is None:
            self._found = msgspec.structs.replace(self._found, control_board=look.control_board)
        slow = _slow(look, is_off=bool(is_off), word=word, light_on=light_on, codes=codes)
        return look, slow, read_at

    def _raw(self, look: WhatsminerSnapshot) -> dict[str, Any] | None:
        """The summary of a model whose name tells us nothing, for whoever adds it."""
        return {"summary": dict(look.row)} if self._cooling is None and look.row else None


def _slow(
    look: WhatsminerSnapshot,
    *,
    is_off: bool,
    word: str | None,
    light_on: bool | None,
    codes: Any,
    preset: str | None = None,
) -> Slow:
    """The slower facts of either API. Stopped on purpose is a mode too, beside the one that is set."""
    is_stopped = is_off and not look.moving.hashes
    faults = faults_of(
        codes,
        is_ramping=look.is_ramping,
        is_off=is_stopped,
        has_fans=not look.is_liquid,
    )
    if look.process_is_down and not is_stopped:
        faults = (_PROCESS_DOWN, *faults)
    if look.moving.hashrate_doubt is not None:
        faults = (doubt_fault(look.moving.hashrate_doubt), *faults)
    configured = mode_of(word)
    return Slow(
        mode=PowerMode.SLEEP if is_stopped else configured,
        mode_configured=configured,
        mode_raw=word,
        mode_preset=preset,
        light_on=light_on,
        power_limit_w=look.power_limit_w,
        power_percent=look.power_percent,
        power_share=look.power_share,
        faults=faults,
    )
