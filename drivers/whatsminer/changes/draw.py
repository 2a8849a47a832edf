"""What a WhatsMiner may draw and what it draws, as it tells it: its power limit, its percentage, its watts. Reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from drivers.protocol.values import text_of
from drivers.watch import Watch
from drivers.whatsminer.changes import state
from drivers.whatsminer.driver import Whatsminer
from drivers.whatsminer.protocol.frames import decode_reply, decode_status, refusal_of
from drivers.whatsminer.protocol.v3 import DEVICE, SETTING, STATUS
from drivers.whatsminer.reading.figures import positive, truth
from drivers.whatsminer.reading.limit import ReportedLimit, limit_of
from drivers.whatsminer.reading.snapshot import WhatsminerSnapshot, status_of
from drivers.whatsminer.reading.snapshot_v3 import part_of, snapshot_of_status

# From the start of the process: up to 101 s until it is there, up to 90 s more with a limit of 0.
_TELLS_WITHIN_S: Final = 240.0
_ASK_EVERY_S: Final = 5.0
_RAMP_S: Final = 300.0  # none is shorter; some firmware does not tell that it still ramps up
_ON: Final = ("enable", "true", "1")


class WhatsminerDraw(ReportedLimit, frozen=True, kw_only=True):
    """`None`: the miner does not say, as most of it while its mining process is down."""

    mining: bool | None = None  # told to mine; False: switched off
    is_up: bool = False  # the mining process runs
    elapsed_s: float | None = None  # since it began
    hashrate_hs: float | None = None
    power_w: float | None = None  # measured
    is_ramping: bool = False
    fast_boot: bool = False

    @property
    def full_power_w(self) -> float | None:
        """What it draws once it has ramped up; `None` before, and where it does not measure."""
        is_young = self.elapsed_s is not None and self.elapsed_s < _RAMP_S
        if self.is_ramping or is_young or not self.is_up or not self.hashrate_hs:
            return None
        return self.power_w or None


async def look(miner: Whatsminer) -> WhatsminerDraw:
    """What it tells now. Raises as the reads of `WhatsminerRpc` and `Api3`; a process that is down is no error."""
    now = await (_look_4433(miner) if miner.is_v3 else _look_4028(miner))
    miner.learn_limit(now)
    return now


async def settled(miner: Whatsminer) -> WhatsminerDraw:
    """The same once it tells its limit or is switched off: while its process starts, or takes a new one, it does not.

    Gives up waiting after a while. Raises as `look`.
    """
    watch = Watch(miner)
    while True:
        now = await look(miner)
        is_old = now.elapsed_s is not None and now.elapsed_s >= _TELLS_WITHIN_S
        tells = now.is_up and (now.limit_w is not None or is_old)
        if tells or now.mining is False or watch.device_s >= _TELLS_WITHIN_S:
            return now
        await watch.pause(_ASK_EVERY_S)


def shown(now: WhatsminerDraw | None) -> dict[str, Any]:
    """What it tells, as evidence holds it; {} when nothing was seen. `watts` and `percent` are what one asks for to
    have it so again.
    """
    if now is None:
        return {}
    watts = now.limit_w if now.set_w is None else now.set_w
    return {
        "watts": "default" if now.is_default else None if watts is None else round(watts),
        "percent": now.percent,
        "limit_w": now.limit_w,
        "power_w": now.power_w,
        "mining": now.mining,
        "elapsed_s": now.elapsed_s,
        "hashrate_hs": now.hashrate_hs,
    }


# --- private -------------------------------------------------------------------------------------


async def _look_4028(miner: Whatsminer) -> WhatsminerDraw:
    found = await miner.look()
    status = await state.status_of(miner)
    off = status_of(status).is_off
    return _draw(
        found,
        mining=None if off is None else not off,
        is_up=not found.process_is_down,
        stored=status.get("power_limit_set"),
        percent=status.get("power_pct"),
        fast_boot=found.row.get("Btminer Fast Boot"),
    )


async def _look_4433(miner: Whatsminer) -> WhatsminerDraw:
    answers = await miner.v3.talk((STATUS, DEVICE, SETTING))
    device = miner.v3.learned(decode_reply(answers[1], "get.device.info")).fields
    setting = decode_reply(answers[2], "get.miner.setting")
    options: Mapping[str, Any] = setting.fields if refusal_of(setting) is None else {}
    found = snapshot_of_status(decode_status(answers[0]), None)
    part = part_of(device, "miner")
    return _draw(
        found,
        mining=state.told_to_mine(device),
        is_up=bool(truth(part.get("working"))) and found is not None,
        stored=part.get("power-limit-set", options.get("power-limit")),
        percent=options.get("power-percent"),
        fast_boot=options.get("fast-boot", part.get("fast-boot")),
    )


def _draw(
    found: WhatsminerSnapshot | None,
    *,
    mining: bool | None,
    is_up: bool,
    stored: Any,
    percent: Any,
    fast_boot: Any,
) -> WhatsminerDraw:
    """`stored`: the limit that is set by hand, as text; empty is none."""
    moving = found.moving if found is not None and is_up else None
    told = limit_of(found.power_limit_w if found is not None and is_up else None, stored, percent)
    return WhatsminerDraw(
        **msgspec.structs.asdict(told),
        mining=mining,
        is_up=is_up,
        elapsed_s=found.elapsed_s if found is not None and is_up else None,
        hashrate_hs=moving.hashrate_hs if moving else None,
        power_w=positive(moving.power_w) if moving else None,
        is_ramping=found.is_ramping if found is not None else False,
        fast_boot=(text_of(fast_boot) or "").lower() in _ON,
    )
