"""Reads of 4028 on firmware of the v3 generation: fewer fields, other shapes, and two units at once.

The summary counts MH/s still, its boards TH/s under the same names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from simulator.whatsminer import classic
from simulator.whatsminer.classic import GHS, MHS

if TYPE_CHECKING:
    from simulator.whatsminer.device import WhatsminerDevice

Reply = dict[str, Any]
THS: Final = 1e12
NTP: Final = ["0.cn.pool.ntp.org", "0.openwrt.pool.ntp.org", "0.asia.pool.ntp.org"]


def summary(miner: WhatsminerDevice) -> Reply:
    """The Msg of `summary`."""
    process, part = miner.process, miner.portion()
    chips = [miner.chip_c(slot) for slot in miner.boards()]
    accepted = process.accepted()
    minute = int(process.rate_over(60) * part / MHS)
    power = process.power_w()
    return {
        "Elapsed": round(miner.elapsed(), 6) + 0.0,
        "MHS av": int(process.rate_avg() * part / MHS),
        "MHS 1m": minute,
        "MHS 15m": int(process.rate_over(900) * part / MHS),
        "HS RT": minute,
        "freq_avg": round(miner.spec.frequency * process.fraction(), 6),
        "Fan Speed In": miner.fan_rpm(out=False),
        "Fan Speed Out": miner.fan_rpm(out=True),
        "Power": round(power, 9),
        "Power Rate": round(power / max(process.rate_avg() * part / THS, 1.0), 9),
        "Pool Rejected%": round(100 * process.rejected() / accepted, 4) if accepted else 0,
        "Uptime": miner.uptime(),
        "Hash Stable": "true" if process.ramped else "false",
        "Hash Stable Cost Seconds": process.stable_cost_s if process.ramped else 0,
        "Target Freq": 0,
        "Env Temp": miner.env_c(),
        "Power Mode": process.mode.capitalize(),
        "Factory GHS": round(miner.spec.hashrate_hs / GHS),
        "Power Limit": miner.limit_in_force_w(),
        "Chip Temp Min": min((low for low, _, _ in chips), default=0.0),
        "Chip Temp Max": max((high for _, high, _ in chips), default=0.0),
        "Chip Temp Avg": round(sum(each for _, _, each in chips) / max(1, len(chips)), 2),
        "Debug": "15.8 6.9/1.8 6.9/1.8",
        "Btminer Fast Boot": "enable" if miner.settings["fast_boot"] else "disable",
    }


def edevs(miner: WhatsminerDevice) -> Reply:
    process, rows = miner.process, []
    for slot in miner.boards():
        part = process.share_of_board(slot)
        minute = _board_ths(miner, process.rate_over(60) * part)
        rows.append(
            {
                "Slot": slot,
                "Temperature": miner.board_c(slot),
                "Chip Frequency": int(miner.spec.frequency * process.fraction()),
                "MHS av": _board_ths(miner, process.rate_avg() * part),
                "MHS 1m": minute,
                "MHS 15m": _board_ths(miner, process.rate_over(900) * part),
                "HS RT": minute,
                "Factory GHS": round(miner.spec.hashrate_hs * part / GHS),
                "Upfreq Complete": int(process.ramped),
                "Effective Chips": miner.spec.chips,
                "PCB SN": miner.board_serials[slot],
                "Chip Data": miner.spec.chip,
            }
        )
    return _rows(f"{len(rows)} ASC(s)", "DEVS", rows)


def pools(miner: WhatsminerDevice) -> Reply:
    rows = [
        {
            "POOL": pool.index + 1,
            "URL": pool.url,
            "Status": "Alive" if pool.alive else "Dead",
            "Priority": pool.index,
            "Quota": 1,
            "Getworks": pool.accepted // 4,
            "Accepted": pool.accepted,
            "Rejected": pool.rejected,
            "Discarded": 0,
            "Stale": 0,
            "Get Failures": 0,
            "Remote Failures": 0,
            "User": pool.user,
            "Last Share Time": miner.last_share(pool),
            "Stratum Active": pool.active,
            "Stratum Difficulty": 262_144 if pool.active else 0,
            "Pool Rejected%": 0,
            "Pool Stale%": 0,
            "Bad Work": 0,
            "To Remove": False,
        }
        for pool in miner.pool_states()
    ]
    return _rows(f"{len(rows)} Pool(s)", "POOLS", rows)


def get_version(miner: WhatsminerDevice) -> Reply:
    return {
        "api_ver": miner.spec.api,
        "fw_ver": miner.version,
        "platform": miner.spec.platform,
        "chip": miner.spec.chip,
        "miner_type": miner.model,
    }


def status(miner: WhatsminerDevice) -> Reply:
    return classic.status(miner) | {
        "power_limit_set": str(miner.limit_w()),
        "fast_mining": "false",
        "fast_hash": "false",
        "liquid_temp": 49 if miner.spec.is_liquid else 0,
        "power_pct": miner.settings["power_percent"],
    }


def get_miner_info(miner: WhatsminerDevice) -> Reply:
    known = classic.get_miner_info(miner)
    return {
        "ntp": NTP,
        **known,
        "minersn": miner.serial,
        "powersn": miner.psu_serial,
        "upfreq_speed": str(miner.settings["upfreq_speed"]),
    }


ROWS: Final[dict[str, Callable[[WhatsminerDevice], Reply]]] = {
    "edevs": edevs,
    "devs": edevs,
    "pools": pools,
}
"""Whole replies from btminer; `summary` is a Msg."""

OWN: Final[dict[str, Callable[[WhatsminerDevice], Reply]]] = {
    "get_version": get_version,
    "status": status,
    "get_psu": classic.get_psu,
    "get_miner_info": get_miner_info,
    "get_error_code": classic.get_error_code,
}


def _board_ths(miner: WhatsminerDevice, rate_hs: float) -> float:
    return round(miner.board_figure(rate_hs) / THS, 2)


def _rows(message: str, section: str, rows: list[Reply]) -> Reply:
    return {"STATUS": [{"STATUS": "S", "Msg": message}], section: rows, "id": 1}
