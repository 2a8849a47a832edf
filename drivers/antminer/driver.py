"""One AntMiner: who it is, what it does now, and (by the modules of changes) what is done to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from contract.clock import Clock
from contract.errors import (
    MalformedError,
    MinerError,
    RefusedError,
    ServiceAwayError,
    UnreachableError,
    UnsupportedError,
    WrongDeviceError,
)
from contract.miner import (
    Endpoint,
    Firmware,
    Identity,
    MinerFault,
    Moving,
    PowerMode,
    Reading,
    Slow,
    Static,
)
from drivers.antminer import braiins
from drivers.antminer.cgi import Cgi
from drivers.antminer.conf import parse as parse_conf
from drivers.antminer.identify import Findings, ask_who, classify, examine
from drivers.antminer.light import blink_state
from drivers.antminer.models import OLD, Model, spec_for
from drivers.antminer.reading import (
    Look,
    NewLook,
    look_of,
    mode_of,
    new_look_of,
    with_serials,
)
from drivers.antminer.replies import Joined, Reply
from drivers.antminer.rpc import MOVING, Rpc
from drivers.antminer.units import number
from drivers.base import (
    AnyChange,
    Capabilities,
    Credentials,
    Depth,
    Effect,
    Evidence,
    LogFile,
    NoChange,
    Plan,
    Timing,
)
from drivers.http import Response, ResponseDecoder, build_request
from drivers.wire import Wire

POWER_PORT: Final = 6060
METER_RETRY_S: Final = 3600.0
_PROTECTION: Final = MinerFault(
    code="protection_stop",
    text="all chips are powered down although it is not asleep: too hot, or a board or supply failed",
)


class Antminer:
    """A driver bound to one AntMiner. Foreign firmware on it is read and never written to."""

    make: ClassVar[str] = "antminer"

    def __init__(
        self,
        endpoint: Endpoint,
        wire: Wire,
        clock: Clock,
        timing: Timing,
        credentials: Credentials | None,
        identity: Identity,
    ) -> None:
        self.wire = wire
        self.clock = clock
        self.timing = timing
        self.cgi = Cgi(wire, clock, timing, credentials, stock=identity.firmware is Firmware.STOCK)
        self.rpc = Rpc(wire, clock, timing, identity.generation)
        self.allow_plain_reboot = False  # whether a hashing miner is rebooted without `force`
        self.awake_mode: str | None = None  # the work mode seen before a sleep
        self._endpoint = endpoint
        self._control_board: str | None = None
        self._serials: dict[int, str] = {}
        self._ideal_hs: float | None = None
        self._type_seen: Any = None
        self._no_meter_until_mono: float | None = None
        self._identity = identity
        self._spec: Model | None = None
        self._became(identity)

    @property
    def endpoint(self) -> Endpoint:
        return self._endpoint

    @property
    def identity(self) -> Identity:
        return self._identity

    @property
    def spec(self) -> Model | None:
        """What is known of its model beforehand."""
        return self._spec

    @property
    def ideal_hs(self) -> float | None:
        """The hash rate it should have, as last read; `None` where it does not say."""
        return self._ideal_hs

    @property
    def capabilities(self) -> Capabilities | None:
        if not self._identity.drivable or self._identity.generation is None:
            return None
        from drivers.antminer import proofs

        return proofs.capabilities(self._identity.generation)

    # --- looking ---------------------------------------------------------------------------------

    async def identify(self) -> Identity:
        """Ask afresh. Raises WrongDeviceError when no AntMiner hardware answers any more, ServiceAwayError when only
        its API is away.
        """
        try:
            found = await ask_who(self.rpc)
        except UnreachableError as error:
            if await self.wire.probe(self._endpoint.http_port):
                raise ServiceAwayError(
                    f"{error} (its web server answers: the mining process restarts, or the API is off)"
                ) from None
            raise
        if found is None:
            raise WrongDeviceError(f"{self._endpoint.host} is no AntMiner (any more)")
        return await self.complete(found)

    async def complete(self, found: Findings) -> Identity:
        """Identity out of what the API said already, and the web side."""
        examined = await examine(self.cgi, found)
        self.rpc.forget()
        self._control_board = examined.control_board or self._control_board
        self._became(examined.identity)
        return examined.identity

    async def read(self, depth: Depth = Depth.MOVING) -> Reading:
        """Look once: one connection for the moving facts where the firmware has a joined form.

        SLOW and FULL also ask the web side, and raise AuthFailedError where it refuses our password; a web side that
        is away is a fault of the reading instead. Also raises UnreachableError, MalformedError, RefusedError, and
        WrongDeviceError when another firmware speaks than the one identified.
        """
        if self._identity.firmware is Firmware.EPIC:
            raise UnsupportedError(f"{self._endpoint.host} runs ePIC firmware, which is not read")
        if self._identity.firmware is Firmware.BRAIINS:
            look = braiins.look_of(await self.rpc.ask_all(braiins.COMMANDS))
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
            slow, moving = await self._slow(look)
        return Reading(
            read_at=read_at,
            moving=with_serials(moving, self._serials),
            slow=slow,
            static=self._static() if depth is Depth.FULL else None,
            raw=raw,
        )

    # --- changing --------------------------------------------------------------------------------

    async def plan(self, change: AnyChange) -> Plan | NoChange:
        """Say what would be written. Raises UnsupportedError for a miner that is only read."""
        self._check_drivable()
        from drivers.antminer import changes

        return await changes.plan(self, change)

    async def apply(self, plan: Plan, effect: Effect) -> None:
        """Write it, once. Raises UnsupportedError for a miner that is only read."""
        self._check_drivable()
        from drivers.antminer import changes

        await changes.apply(self, plan, effect)

    async def verify(self, plan: Plan, effect: Effect) -> Evidence:
        """Look until the miner shows the change or its proof window ends."""
        from drivers.antminer import changes

        return await changes.verify(self, plan, effect)

    async def get_log(self, folder: Path, *, size_cap_bytes: int) -> LogFile:
        """Stream the miner's log into `folder`. Raises UnsupportedError for a miner that is only read."""
        self._check_drivable()
        from drivers.antminer import changes

        return await changes.fetch_log(self, folder, size_cap_bytes=size_cap_bytes)

    # --- private ---------------------------------------------------------------------------------

    def _became(self, identity: Identity) -> None:
        self._identity = identity
        self._spec = spec_for(identity.model)
        self.cgi.stock = identity.firmware is Firmware.STOCK
        # Other firmwares grew out of the old API: they have its joined form and no array.
        self.rpc.generation = identity.generation if self.cgi.stock else OLD

    def _check_drivable(self) -> None:
        if not self._identity.drivable:
            reason = self._identity.reason or "its firmware is not one we write to"
            raise UnsupportedError(f"{self._endpoint.host} is only read: {reason}")

    def _look(self, joined: Joined) -> Look:
        summary, stats, pools = (joined.part(command) for command in MOVING)
        head, data = _split(stats)
        if head is not None and (kind := head.get("Type")) != self._type_seen:
            self._check_same_firmware(head)
            self._type_seen = kind
        return look_of(
            summary.SUMMARY[0] if summary and summary.SUMMARY else None,
            data,
            pools.POOLS if pools else None,
            self._spec,
            self.rpc.generation,
        )

    def _check_same_firmware(self, head: dict[str, Any]) -> None:
        """A miner that was given another firmware since must not get our password or a write."""
        if not self.cgi.stock:
            return
        text = " ".join(map(str, (*head.keys(), *head.values())))
        if classify(f"antminer {text}") is not Firmware.STOCK:
            self.cgi.stock = False
            raise WrongDeviceError(f"{self._endpoint.host} runs another firmware than before")

    async def _slow(self, look: Look) -> tuple[Slow, Moving]:
        generation = self._identity.generation
        new = NewLook()
        if self.cgi.stock and generation != OLD:
            new = await self._new_look()
            self._serials.update(new.serials)
            self._ideal_hs = self._ideal_hs or new.ideal_hs
        faults = list(new.faults)
        code = look.mode_number if generation == OLD else new.mode_number
        configured: str | None = None
        light_on: bool | None = None
        if self.cgi.stock:
            try:
                configured = await self._configured()
                light_on = await self._light()
            except (UnreachableError, MalformedError, WrongDeviceError) as error:
                faults.append(
                    MinerFault(code="web_side", text=str(error)[:200], severity="warning")
                )
        mode = mode_of(code, generation)
        wished = mode_of(configured, generation)
        is_still = not look.moving.hashrate_hs
        # Asleep, some firmwares answer with empty lists: then the config decides.
        if mode is None and wished is PowerMode.SLEEP and is_still:
            mode = PowerMode.SLEEP
        if look.is_powered_down and is_still and PowerMode.SLEEP not in {mode, wished}:
            faults.append(_PROTECTION)
        faults.extend(self._own_faults(look, is_asleep=mode is PowerMode.SLEEP))
        moving = look.moving
        if moving.power_w is None and self._spec and self._spec.has_power_meter:
            moving = msgspec.structs.replace(moving, power_w=await self._watts())
        slow = Slow(
            mode=mode,
            mode_configured=wished,
            mode_raw=None if code is None else str(code),
            light_on=light_on,
            faults=tuple(faults),
        )
        return slow, moving

    def _own_faults(self, look: Look, *, is_asleep: bool) -> list[MinerFault]:
        """What the miner does not call a fault, but the figures show."""
        faults: list[MinerFault] = []
        spec, boards = self._spec, look.moving.boards
        is_ours = self.cgi.stock and not is_asleep  # others list their boards in ways of their own
        if spec and spec.boards and is_ours and len(boards) < spec.boards:
            faults.append(
                MinerFault(
                    code="boards_missing",
                    text=f"{len(boards)} of {spec.boards} hash boards are there",
                )
            )
        if look.has_doubtful_unit:
            faults.append(
                MinerFault(
                    code="rate_unit_doubtful",
                    text="hash rate and ideal rate differ by a factor that only a wrong unit explains",
                    severity="warning",
                )
            )
        return faults

    async def _new_look(self) -> NewLook:
        try:
            joined = await self.rpc.ask_all(("summary", "stats"), new_api=True)
        except RefusedError:
            return NewLook()  # builds before the new API
        summary, stats = joined.part("summary"), joined.part("stats")
        return new_look_of(
            summary.SUMMARY[0] if summary and summary.SUMMARY else None,
            stats.STATS[-1] if stats and stats.STATS else None,
            self._spec,
        )

    async def _configured(self) -> str | None:
        """The configured mode as the firmware writes it; `None` where it has none."""
        response = await self.cgi.get("get_miner_conf.cgi")
        if not _is_there(response):
            return None
        config = parse_conf(response.body)
        return config.mode_number if config.has_mode else None

    async def _light(self) -> bool | None:
        """Whether it blinks; `None` where this build does not tell."""
        if self._identity.generation == OLD:
            response = await self.cgi.look("blink.cgi", b"action=onPageLoaded")
            return blink_state(response.body, "isBlinking") if _is_there(response) else None
        response = await self.cgi.get("get_blink_status.cgi")
        return blink_state(response.body, "blink") if _is_there(response) else None

    async def _watts(self) -> float | None:
        """The power of models with a meter, from a port of its own without a password; `None` without one."""
        until = self._no_meter_until_mono
        if until is not None and self.clock.mono() < until:
            return None
        try:
            response = await self.wire.exchange(
                POWER_PORT,
                build_request("GET", "/miner_power", self._endpoint.host),
                ResponseDecoder(body_cap_bytes=4096),
                deadline_s=self.timing.read_s,
                cap_bytes=16384,
            )
            _, colon, figure = response.body.decode("latin-1").partition(":")
            found = number(figure) if colon and response.status == 200 else None
        except MinerError:
            found = None  # an optional port: most images keep it shut
        if not found:
            self._no_meter_until_mono = self.clock.mono() + METER_RETRY_S
            return None
        return found

    def _static(self) -> Static:
        identity, spec = self._identity, self._spec
        return Static(
            make=identity.make,
            model=identity.model,
            firmware=identity.firmware,
            firmware_version=identity.firmware_version,
            generation=identity.generation,
            mac=identity.mac,
            serial=identity.serial,
            hostname=identity.hostname,
            control_board=self._control_board,
            algorithm=spec.algorithm if spec else None,
            hashrate_ideal_hs=self._ideal_hs,
            chips_expected=spec.chips_expected if spec else None,
        )


def _split(stats: Reply | None) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The row about the software and the row of figures."""
    rows = stats.STATS if stats else None
    if not rows:
        return None, None
    if len(rows) > 1:
        return rows[0], rows[1]
    return (rows[0], rows[0]) if "Elapsed" in rows[0] or "GHS 5s" in rows[0] else (rows[0], None)


def _is_there(response: Response) -> bool:
    """Whether a script answered; false where this build lacks it. Raises MalformedError for any other status."""
    if response.status not in {200, 404}:
        raise MalformedError(f"its web side answered HTTP {response.status}")
    return response.status == 200


def _raw(joined: Joined) -> dict[str, Any]:
    summary, stats = joined.part("summary"), joined.part("stats")
    return {
        "summary": summary.SUMMARY if summary else None,
        "stats": stats.STATS if stats else None,
    }
