"""What the changes look at: how the miner runs, its light, its pools, and who it is. Only reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from contract.errors import MalformedError, RefusedError, UnsupportedError
from contract.miner import PowerMode, normalize_mac
from drivers.protocol.values import number, text_of, whole
from drivers.watch import Watch
from drivers.whatsminer.driver import Whatsminer
from drivers.whatsminer.protocol.api import ProcessDownError
from drivers.whatsminer.reading.figures import truth
from drivers.whatsminer.reading.snapshot_v3 import part_of

MODES: Final = (PowerMode.LOW, PowerMode.NORMAL, PowerMode.HIGH)
_MEGA: Final = 1e6
_TERA: Final = 1e12
_OFF_KEYS: Final = ("mineroff", "btmineroff")
_AUTO: Final = "auto"
_STARTS_WITHIN_S: Final = 180.0  # board up to process up: 27 s and 101 s were seen
_ASK_EVERY_S: Final = 5.0


class WhatsminerState(msgspec.Struct, frozen=True, kw_only=True):
    """How it runs. `None`: the miner does not say, as most of it while its mining process is down."""

    elapsed_s: float | None = None  # since the mining process began
    uptime_s: float | None = None  # since the control board booted
    hashrate_hs: float | None = None
    mode: PowerMode | None = None  # low, normal or high, whether it mines or not
    mining: bool | None = None  # told to mine; False: switched off
    is_up: bool = False  # the mining process runs
    mac: str | None = None


class RunningPool(msgspec.Struct, frozen=True, kw_only=True):
    """One pool of the running miner."""

    url: str
    user: str
    alive: bool
    active: bool


async def look(miner: Whatsminer) -> WhatsminerState:
    """How it runs now. Raises as the reads of `WhatsminerRpc` and `Api3`; a mining process that is down is no error."""
    return await (_look_4433(miner) if miner.is_v3 else _look_4028(miner))


def is_mining(now: WhatsminerState) -> bool:
    """Whether it is switched on, and its mining process runs."""
    return now.mining is True and now.is_up


def is_off(now: WhatsminerState) -> bool:
    """Whether it is switched off, and nothing runs all the same."""
    return now.mining is False and not now.is_up and not now.hashrate_hs


def shown(now: WhatsminerState | None) -> dict[str, Any]:
    """How it runs, as evidence holds it: plain values; {} when nothing was seen."""
    if now is None:
        return {}
    return {
        "mode": now.mode.value if now.mode else None,
        "mining": now.mining,
        "elapsed_s": now.elapsed_s,
        "hashrate_hs": now.hashrate_hs,
    }


async def settled(miner: Whatsminer) -> WhatsminerState:
    """How it runs, once its mining process runs or is switched off: one that just starts knows neither mode nor pools.

    Gives up waiting after a while. Raises as `look`.
    """
    watch = Watch(miner)
    now = await look(miner)
    while not now.is_up and now.mining is not False and watch.device_s < _STARTS_WITHIN_S:
        await watch.pause(_ASK_EVERY_S)
        now = await look(miner)
    return now


async def light_on(miner: Whatsminer) -> bool | None:
    """Whether a light was set by hand; `None` from firmware that does not tell."""
    if miner.is_v3:
        system = part_of((await miner.v3.device()).fields, "system")
        word = text_of(system.get("ledstatus"))
    else:
        reply = await miner.rpc.ask_if_known("get_miner_info")
        word = text_of(reply.fields.get("ledstat")) if reply else None
    return None if word is None else word.lower() != _AUTO


async def pools(miner: Whatsminer) -> tuple[RunningPool, ...]:
    """The pools in use, in order, empty slots left out. Raises ProcessDownError where the process alone knows them."""
    if miner.is_v3:
        # Asked alone, a miner that does not run refuses.
        try:
            reply = await miner.v3.ask("get.miner.status", "summary+pools")
        except RefusedError as error:
            raise ProcessDownError(f"its mining process tells no pools ({error})") from None
        rows = reply.fields.get("pools")
        if not isinstance(rows, list):
            raise MalformedError("its status has no pools")
        found = [_slot_4433(row) for row in rows if isinstance(row, dict)]
    else:
        listed = (await miner.rpc.ask("pools")).POOLS
        if listed is None:
            raise MalformedError("its answer has no pools")
        found = [
            (
                whole(row.priority if row.pool is None else row.pool) or 0,
                RunningPool(
                    url=text_of(row.url) or "",
                    user=text_of(row.user) or "",
                    alive=(text_of(row.status) or "").lower() == "alive",
                    active=_is_true(row.active),
                ),
            )
            for row in listed
        ]
    return tuple(slot for _, slot in sorted(found, key=lambda each: each[0]) if slot.url)


async def status_of(miner: Whatsminer) -> Mapping[str, Any]:
    """What the API daemon of port 4028 tells by itself; {} where it tells nothing."""
    try:
        reply = await miner.rpc.ask_if_known("status")
    except ProcessDownError:
        return {}  # some daemons are away together with the process
    return reply.fields if reply else {}


def told_to_mine(device: Mapping[str, Any]) -> bool | None:
    """Whether it is told to mine, by a device info of port 4433; down by itself it is not told to be off."""
    working = truth(part_of(device, "miner").get("working"))
    is_failing = any("process is down" in str(each) for each in _codes(device))
    return None if is_failing and not working else working


# --- private -------------------------------------------------------------------------------------


async def _look_4028(miner: Whatsminer) -> WhatsminerState:
    row: Mapping[str, Any] = {}
    is_up = True
    try:
        row = (await miner.rpc.ask("summary")).summary or {}
    except ProcessDownError:
        is_up = False
    status = await status_of(miner)
    off = next((text_of(status[key]) for key in _OFF_KEYS if key in status), None)
    rate = number(row.get("HS RT"))
    rate = number(row.get("MHS 1m")) if rate is None else rate
    return WhatsminerState(
        elapsed_s=_count(row.get("Elapsed")),
        uptime_s=_count(row.get("Uptime")),
        hashrate_hs=None if rate is None else rate * _MEGA,
        mode=_mode(row.get("Power Mode")) or _mode(status.get("power_mode")),
        mining=None if off is None else off.lower() != "true",
        is_up=is_up,
        mac=normalize_mac(text_of(row.get("MAC"))),
    )


async def _look_4433(miner: Whatsminer) -> WhatsminerState:
    device = (await miner.v3.device()).fields
    summary = await _summary(miner)
    is_up = truth(part_of(device, "miner").get("working"))
    mode = _mode(await _setting(miner)) or _mode_number(part_of(device, "power").get("mode"))
    rate = number(summary.get("hash-realtime"))
    return WhatsminerState(
        elapsed_s=_count(summary.get("elapsed")) if is_up else None,
        uptime_s=_count(summary.get("bootup-time")),
        hashrate_hs=None if rate is None else rate * _TERA,
        mode=mode,
        mining=told_to_mine(device),
        is_up=bool(is_up) and bool(summary),  # a process that runs has figures
        mac=normalize_mac(text_of(part_of(device, "network").get("mac"))),
    )


async def _summary(miner: Whatsminer) -> Mapping[str, Any]:
    try:
        fields = (await miner.v3.ask("get.miner.status", "summary")).fields
    except (RefusedError, UnsupportedError):
        return {}  # its mining process is down
    return part_of(fields, "summary")


async def _setting(miner: Whatsminer) -> Any:
    try:
        return (await miner.v3.ask("get.miner.setting")).fields.get("power-mode")
    except (RefusedError, UnsupportedError):
        return None


def _codes(device: Mapping[str, Any]) -> list[Any]:
    codes = device.get("error-code")
    return codes if isinstance(codes, list) else [codes]


def _slot_4433(row: Mapping[str, Any]) -> tuple[int, RunningPool]:
    return whole(row.get("id")) or 0, RunningPool(
        url=text_of(row.get("url")) or "",
        user=text_of(row.get("account")) or "",
        alive=(text_of(row.get("status")) or "").lower() == "alive",
        active=_is_true(row.get("stratum-active")),
    )


def _mode(word: Any) -> PowerMode | None:
    text = (text_of(word) or "").lower()
    return next((mode for mode in MODES if mode.value == text), None)


def _mode_number(value: Any) -> PowerMode | None:
    at = whole(value)
    return MODES[at] if at is not None and at < len(MODES) else None


def _count(value: Any) -> float | None:
    found = number(value)
    return found if found is not None and found >= 0 else None


def _is_true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")
