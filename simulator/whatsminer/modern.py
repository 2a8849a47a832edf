"""Reads of 4433. Rates are in TH/s."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from simulator.whatsminer import compat
from simulator.whatsminer.classic import network
from simulator.whatsminer.process import MODES

if TYPE_CHECKING:
    from simulator.whatsminer.device import WhatsminerDevice

Reply = dict[str, Any]
OK: Final = 0
FAIL: Final = -1
INVALID: Final = -2
MISSING: Final = -3
DENIED: Final = -4
_THS: Final = 1e12
_DETECTED_PART: Final = 0.998
_SECTIONS: Final = ("network", "miner", "system", "power", "salt", "error-code")


class ReadError(Exception):
    """A read refused, with the code and text of the reply."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def read(miner: WhatsminerDevice, command: str, param: object) -> Reply:
    """The `msg` of a read. Raises ReadError."""
    reader = _READS.get(command)
    if reader is None:
        raise ReadError(INVALID, "invalid command")
    return reader(miner, param)


def device_info(miner: WhatsminerDevice, param: object) -> Reply:
    wanted = _SECTIONS if param in (None, "") else (param,)
    if wanted[0] not in _SECTIONS:
        raise ReadError(INVALID, "invalid param")
    build: dict[str, Callable[[], Any]] = {
        "network": lambda: network(miner) | {"mac": miner.shown_mac()},
        "miner": lambda: _miner(miner),
        "system": lambda: _system(miner),
        "power": lambda: _power(miner),
        "salt": lambda: miner.accounts.salt_v3,
        "error-code": lambda: _error_codes(miner),
    }
    return {name: build[name]() for name in _SECTIONS if name in wanted}


def miner_status(miner: WhatsminerDevice, param: object) -> Reply:
    if not isinstance(param, str) or not param:
        raise ReadError(MISSING, "param item is null")
    build: dict[str, Callable[[WhatsminerDevice], Any]] = {
        "summary": _summary,
        "pools": _pools,
        "edevs": _edevs,
    }
    parts = param.split("+")
    if any(part not in build for part in parts):
        raise ReadError(INVALID, "invalid param")
    if parts == ["pools"] and not miner.process.is_up:
        raise ReadError(FAIL, "fail")
    if len(parts) > 1 and "joined_refused" in miner.faults:
        raise ReadError(FAIL, "fail")
    return {part: build[part](miner) for part in parts}


def miner_setting(miner: WhatsminerDevice, param: object) -> Reply:
    del param
    percent = miner.settings["power_percent"]
    return {
        "power-limit": miner.limit_w(),
        "upfreq-speed": miner.settings["upfreq_speed"],
        "power-mode": miner.mode,
        "fast-boot": "enable" if miner.settings["fast_boot"] else "disable",
        "fast-hash": "disable",
        "heat-mode": miner.settings["heat_mode"],
        "target-freq": miner.settings["target_freq"],
        "power": 0,
        "power-percent": 0 if percent == 100 else percent,
        "btrom-worker-suffix": "",
    }


def system_setting(miner: WhatsminerDevice, param: object) -> Reply:
    del param
    return {
        "web-pool": int(miner.settings["web_pools"]),
        **miner.settings["zone"],
        "hostname": miner.settings["hostname"],
        "log-upload": {"ip": "", "port": "", "proto": ""},
        "time-randomized": {"start": 0, "stop": 0},
        "ntp-server": compat.NTP,
    }


def fan_setting(miner: WhatsminerDevice, param: object) -> Reply:
    del miner, param
    return {"fan-poweroff-cool": 1, "fan-zero-speed": 0, "fan-temp-offset": 0}


def custom_data(miner: WhatsminerDevice, param: object) -> Reply:
    del param
    return dict(miner.settings["custom"])


def miner_history(miner: WhatsminerDevice, param: object) -> Reply:
    if not isinstance(param, dict):
        raise ReadError(MISSING, "param item is null")
    now = miner.unix()
    rate = miner.process.rate_avg() * miner.portion() / _THS
    rows = [f"{now - 300 * n},{rate:.2f},{miner.process.power_w():.0f}" for n in range(12, 0, -1)]
    return {"Data": " ".join(rows)}


def _miner(miner: WhatsminerDevice) -> Reply:
    spec, rated = miner.spec, miner.hashrate_hs / 1e9
    detected = [
        round(rated * miner.process.share_of_board(slot) * _DETECTED_PART)
        for slot in range(spec.boards)
    ]
    found: Reply = {
        "working": "true" if miner.process.is_up else "false",
        "type": miner.model,
        "hash-board": spec.name.partition("_V")[2],
        "detect-hash-rate": ":".join(str(each) for each in detected),
        "cointype": "BTC/BCH/BSV",
        "pool-strategy": "FAILOVER",
        "heatmode": "" if (heat := miner.settings["heat_mode"]) == "normal" else heat,
        "hash-percent": "0",
        "fast-boot": "enable" if miner.settings["fast_boot"] else "disable",
        "board-num": str(spec.boards),
        "miner-sn": miner.serial,
        "power-limit-set": str(miner.settings["power_limit"] or ""),
        "web-pool": int(miner.settings["web_pools"]),
    }
    for slot in miner.boards():
        found |= {f"chipdata{slot}": spec.chip, f"pcbsn{slot}": miner.board_serials[slot]}
    return found


def _system(miner: WhatsminerDevice) -> Reply:
    return {
        "api": miner.spec.api_v3,
        "platform": miner.spec.platform,
        "fwversion": miner.version,
        "control-board-version": miner.spec.board,
        "btrom": "1",
        "apiswitch": "1" if miner.accounts.writes_allowed else "0",
        "ledstatus": miner.led_text(),
    }


def _power(miner: WhatsminerDevice) -> Reply:
    power = miner.process.power_w()
    found: Reply = {
        "type": miner.spec.psu,
        "mode": str(MODES.index(miner.mode)),
        "hwversion": "RT0159",
        "swversion": "230224.220429",
        "model": miner.spec.psu,
        "iin": round(power / 229.5, 2),
        "vin": 229.5,
        "vout": 1209,
        "pin": int(power),
        "fanspeed": 0 if miner.spec.is_liquid else 6344,
        "temp0": 41.3,
        "sn": miner.psu_serial,
        "vendor": "1",
    }
    if miner.spec.is_liquid:
        found["liquid-temperature"] = miner.env_c()
    return found


def _error_codes(miner: WhatsminerDevice) -> list[Any]:
    if not miner.process.is_up and not miner.is_off:
        return ["btminer process is down err"]
    codes = miner.health.codes()
    if "error_numbers" in miner.faults:
        return list(codes)
    return [
        {str(code): miner.health.since(code)}
        | ({"reason": text} if miner.spec.shows_reason else {})
        for code, text in codes.items()
    ]


def _summary(miner: WhatsminerDevice) -> Reply:
    process, part = miner.process, miner.portion()
    chips = [miner.chip_c(slot) for slot in miner.boards()]
    power, average = process.power_w(), process.rate_avg() * part / _THS
    row = {
        "elapsed": int(miner.elapsed()),
        "bootup-time": miner.uptime(),
        "freq-avg": int(miner.spec.frequency * process.fraction()),
        "target-freq": 0,
        "factory-hash": round(miner.hashrate_hs / _THS, 3),
        "hash-average": round(average, 3),
        "hash-1min": round(process.rate_over(60) * part / _THS, 3),
        "hash-15min": round(process.rate_over(900) * part / _THS, 3),
        "hash-realtime": round(process.rate_now() * part / _THS, 3),
        "power-rate": round(power / average, 3) if average > 1 else 0.0,
        "power-5min": round(power, 3),
        "power-realtime": int(power),
        "environment-temperature": miner.env_c(),
        "board-temperature": [miner.board_c(slot) for slot in miner.boards()],
        "chip-temp-min": min((low for low, _, _ in chips), default=0.0),
        "chip-temp-avg": round(sum(each for _, _, each in chips) / max(1, len(chips)), 1),
        "chip-temp-max": max((high for _, high, _ in chips), default=0.0),
        "power-limit": miner.limit_in_force_w(),
        "up-freq-finish": int(process.ramped),
        "fan-speed-in": miner.fan_rpm(out=False),
        "fan-speed-out": miner.fan_rpm(out=True),
    }
    if "no_env_temp" in miner.faults:
        del row["environment-temperature"]
    return row


def _pools(miner: WhatsminerDevice) -> list[Reply]:
    rejected = "reject-rate" if "reject_rate" in miner.faults else "reject-percent"
    return [
        {
            "id": pool.index + 1,
            "url": pool.url,
            "status": "alive" if pool.alive else "dead",
            "account": pool.user,
            "stratum-active": pool.active,
            "stratum-diff": 262_144.0 if pool.active else 0.0,
            rejected: round(100 * pool.rejected / pool.accepted, 3) if pool.accepted else 0,
            "last-share-time": miner.last_share(pool),
        }
        for pool in miner.pool_states()
    ]


def _edevs(miner: WhatsminerDevice) -> list[Reply]:
    process = miner.process
    rows: list[Reply] = []
    if not process.is_up:
        return rows
    for number, slot in enumerate(miner.boards()):
        part = process.share_of_board(slot)
        low, high, mean = miner.chip_c(slot)
        rows.append(
            {
                "id": number,
                "slot": slot,
                "hash-average": round(miner.board_figure(process.rate_avg() * part) / _THS, 3),
                "hash-realtime": round(miner.board_figure(process.rate_now() * part) / _THS, 3),
                "factory-hash": round(miner.hashrate_hs * part / _THS, 3),
                "freq": miner.spec.frequency * process.fraction(),
                "effective-chips": miner.spec.chips,
                "chip-temp-min": low,
                "chip-temp-avg": mean,
                "chip-temp-max": high,
            }
        )
    return rows


_READS: Final[dict[str, Callable[[WhatsminerDevice, object], Reply]]] = {
    "get.device.info": device_info,
    "get.device.custom_data": custom_data,
    "get.miner.status": miner_status,
    "get.miner.setting": miner_setting,
    "get.miner.history": miner_history,
    "get.system.setting": system_setting,
    "get.fan.setting": fan_setting,
}
