"""What changes seldom: the mode, the light, faults, board serials, the power meter. Mostly asked of the web side."""

from __future__ import annotations

from typing import Final

import msgspec

from contract.errors import (
    MalformedError,
    MinerError,
    RefusedError,
    UnreachableError,
    WrongDeviceError,
)
from contract.miner import Firmware, Identity, MinerFault, PowerMode, Slow
from drivers.antminer.models import OLD, AntminerSpec
from drivers.antminer.protocol.blink import blink_state
from drivers.antminer.protocol.cgi import Cgi
from drivers.antminer.protocol.conf import MinerConf
from drivers.antminer.protocol.conf import parse as parse_conf
from drivers.antminer.protocol.rpc import AntminerRpc
from drivers.antminer.reading.figures import number
from drivers.antminer.reading.snapshot import (
    AntminerSnapshot,
    NewApiSnapshot,
    mode_of,
    new_api_snapshot_of,
)
from drivers.protocol.http import Response, ResponseDecoder, build_request
from drivers.reading.boards import doubt_fault
from drivers.wire import Wire

POWER_PORT: Final = 6060
METER_RETRY_S: Final = 3600.0
_PROTECTION: Final = MinerFault(
    code="protection_stop",
    text="all chips are powered down although it is not asleep: too hot, or a board or supply failed",
)


class SlowFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The record, and what else came with it."""

    slow: Slow
    power_w: float | None = None
    serials: dict[int, str] = {}
    ideal_hs: float | None = None


async def look_slowly(
    cgi: Cgi,
    rpc: AntminerRpc,
    meter: Meter,
    look: AntminerSnapshot,
    identity: Identity,
    spec: AntminerSpec | None,
) -> SlowFacts:
    """Complete a look at the moving facts.

    Raises AuthFailedError where the web side refuses our password; one that is away is a fault of the record.
    """
    generation = identity.generation
    new = NewApiSnapshot()
    if cgi.stock and generation != OLD:
        new = await _new_look(rpc, spec)
    faults = list(new.faults)
    config: MinerConf | None = None
    code = running_number(look, new, identity)
    light_on: bool | None = None
    if cgi.stock:
        try:
            config = await _configured(cgi)
            light_on = await _light(cgi, generation)
        except (UnreachableError, MalformedError, WrongDeviceError) as error:
            faults.append(MinerFault(code="web_side", text=str(error)[:200], severity="warning"))
    mode = mode_of(code, generation)
    wished = mode_of(config.mode_number, generation) if config and config.has_mode else None
    is_still = not look.moving.hashes
    # Builds that tell no running mode show sleep otherwise. That it is configured alone proves nothing.
    if mode is None and wished is PowerMode.SLEEP and _is_at_rest(look, generation):
        mode = PowerMode.SLEEP
    if look.is_powered_down and is_still and is_awake(mode, wished, config, generation):
        faults.append(_PROTECTION)
    # Other firmwares list their boards in ways of their own.
    faults.extend(_seen(look, spec, counts_boards=cgi.stock and mode is not PowerMode.SLEEP))
    metered_w = new.power_w if look.moving.power_w is None else None
    if metered_w is None and spec and spec.has_power_meter and look.moving.power_w is None:
        metered_w = await meter.watts()
    slow = Slow(
        mode=mode,
        mode_configured=wished,
        mode_raw=None if code is None else str(code),
        light_on=light_on,
        metered_power_w=metered_w,
        faults=tuple(faults),
    )
    return SlowFacts(
        slow=slow,
        power_w=look.moving.power_w if metered_w is None else metered_w,
        serials=new.serials,
        ideal_hs=new.ideal_hs,
    )


def running_number(look: AntminerSnapshot, new: NewApiSnapshot, identity: Identity) -> int | None:
    """The number of the running mode. Other firmware writes what it likes under the maker's keys, often a constant:
    it has no mode that it does not say in words.
    """
    if identity.firmware is not Firmware.STOCK:
        return None
    return new.mode_number if look.mode_number is None else look.mode_number


def is_awake(
    mode: PowerMode | None,
    wished: PowerMode | None,
    config: MinerConf | None,
    generation: str | None,
) -> bool:
    """Whether what was read says that it is not asleep: the running and the configured mode, or the configuration of
    an old model that knows none. Nothing read says nothing.
    """
    told = {each for each in (mode, wished) if each is not None}
    if told:
        return PowerMode.SLEEP not in told
    return generation == OLD and config is not None and not config.has_mode


def meter_watts(text: str) -> float | None:
    """The figure of `miner power:3250`; `None` without one. Images that have none say `error 6060 cmd`."""
    _, colon, figure = text.partition(":")
    return number(figure) if colon else None


class Meter:
    """The power meter of some models: a port of its own, without a password."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._absent_until_mono: float | None = None

    async def watts(self) -> float | None:
        """The power; `None` without a meter. Most images keep the port shut, so it is then left alone for a while."""
        until = self._absent_until_mono
        if until is not None and self._wire.clock.mono() < until:
            return None
        try:
            response = await self._wire.exchange(
                POWER_PORT,
                build_request("GET", "/miner_power", self._wire.endpoint.host),
                ResponseDecoder(body_cap_bytes=4096),
                deadline_s=self._wire.timing.read_s,
                cap_bytes=16384,
            )
            text = response.body.decode("latin-1")
            found = meter_watts(text) if response.status == 200 else None
        except MinerError:
            found = None  # an optional port says nothing about the miner
        if not found:
            self._absent_until_mono = self._wire.clock.mono() + METER_RETRY_S
            return None
        return found


# --- private -------------------------------------------------------------------------------------


def _seen(
    look: AntminerSnapshot, spec: AntminerSpec | None, *, counts_boards: bool
) -> list[MinerFault]:
    """What the miner does not call a fault, but the figures show."""
    faults: list[MinerFault] = []
    found, expected = len(look.moving.boards), spec.boards if spec else None
    if counts_boards and expected and found < expected:
        text = f"{found} of {expected} hash boards are there"
        faults.append(MinerFault(code="boards_missing", text=text))
    if look.moving.hashrate_doubt is not None:
        faults.append(doubt_fault(look.moving.hashrate_doubt))
    elif look.has_doubtful_unit:
        text = "hash rate and ideal rate differ by a factor that only a wrong unit explains"
        faults.append(MinerFault(code="rate_unit_doubtful", text=text, severity="warning"))
    return faults


def _is_at_rest(look: AntminerSnapshot, generation: str | None) -> bool:
    """Whether it shows what a sleeping miner does: lists of nothing, or no hash rate and no board with power."""
    if look.is_empty:
        return True
    has_no_power = look.is_powered_down or (generation == OLD and not look.moving.boards)
    return look.moving.hashrate_hs == 0 and has_no_power


async def _new_look(rpc: AntminerRpc, spec: AntminerSpec | None) -> NewApiSnapshot:
    try:
        joined = await rpc.ask_all(("summary", "stats"), new_api=True)
    except RefusedError:
        return NewApiSnapshot()  # builds before the new API
    summary, stats = joined.part("summary"), joined.part("stats")
    return new_api_snapshot_of(
        summary.SUMMARY[0] if summary and summary.SUMMARY else None,
        stats.STATS[-1] if stats and stats.STATS else None,
        spec,
    )


async def _configured(cgi: Cgi) -> MinerConf | None:
    """The configuration; `None` where this firmware shows none."""
    response = await cgi.get("get_miner_conf.cgi")
    return parse_conf(response.body) if _is_there(response) else None


async def _light(cgi: Cgi, generation: str | None) -> bool | None:
    """Whether it blinks; `None` where this build does not tell."""
    if generation == OLD:
        response = await cgi.look("blink.cgi", b"action=onPageLoaded")
        return blink_state(response.body, "isBlinking") if _is_there(response) else None
    response = await cgi.get("get_blink_status.cgi")
    return blink_state(response.body, "blink") if _is_there(response) else None


def _is_there(response: Response) -> bool:
    """Whether a script answered; false where this build lacks it. Raises MalformedError for any other status."""
    if response.status not in {200, 404}:
        raise MalformedError(f"its web side answered HTTP {response.status}")
    return response.status == 200
