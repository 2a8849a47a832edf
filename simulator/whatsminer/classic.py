"""Reads of the legacy, v1 and v2 firmware on 4028. Rates are in MH/s, rated ones in GH/s."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from simulator.whatsminer.catalogue import Dialect
from simulator.whatsminer.process import SHARE_DIFFICULTY

if TYPE_CHECKING:
    from simulator.pools import SlotState
    from simulator.whatsminer.device import WhatsminerDevice

Reply = dict[str, Any]
MHS: Final = 1e6
GHS: Final = 1e9


def envelope(
    miner: WhatsminerDevice, code: int, message: str, section: str, rows: list[Reply]
) -> Reply:
    """Rows in the manner of cgminer."""
    status = {
        "STATUS": "S",
        "When": miner.unix(),
        "Code": code,
        "Msg": message,
        "Description": title(miner),
    }
    return {"STATUS": [status], section: rows, "id": 1}


def title(miner: WhatsminerDevice) -> str:
    """How the process calls itself."""
    old = miner.dialect is Dialect.LEGACY or miner.spec.key == "m20s"
    return "cgminer 4.9.2" if old else "btminer"


def summary(miner: WhatsminerDevice) -> Reply:
    process, spec = miner.process, miner.spec
    part, chips = miner.portion(), [miner.chip_c(slot) for slot in miner.boards()]
    accepted, rejected = process.accepted(), process.rejected()
    boards = [miner.board_c(slot) for slot in miner.boards()]
    power = int(process.power_w())
    row: Reply = {
        "Elapsed": int(miner.elapsed()),
        "MHS av": _mhs(process.rate_avg() * part),
        "MHS 5s": _mhs(process.rate_now() * part),
        "MHS 1m": _mhs(process.rate_over(60) * part),
        "MHS 5m": _mhs(process.rate_over(300) * part),
        "MHS 15m": _mhs(process.rate_over(900) * part),
        "HS RT": _mhs(process.rate_over(300) * part),
        "Found Blocks": 0,
        "Getworks": int(process.elapsed() / 21),
        "Accepted": accepted,
        "Rejected": rejected,
        "Hardware Errors": process.hardware_errors(),
        "Utility": round(accepted * 60 / max(1.0, process.elapsed()), 2),
        "Discarded": accepted * 7,
        "Stale": accepted // 2500,
        "Get Failures": 0,
        "Local Work": accepted * 211,
        "Remote Failures": 0,
        "Network Blocks": int(process.elapsed() / 600),
        "Total MH": round(process.rate_avg() * part * process.elapsed() / MHS, 0),
        "Difficulty Accepted": accepted * SHARE_DIFFICULTY,
        "Difficulty Rejected": rejected * SHARE_DIFFICULTY,
        "Difficulty Stale": 0.0,
        "Best Share": accepted * 83_911,
        "Temperature": max(boards, default=0.0),
        "freq_avg": _frequency(miner),
        "Fan Speed In": miner.fan_rpm(out=False),
        "Fan Speed Out": miner.fan_rpm(out=True),
        "Voltage": 1238,
        "Power Current": round(power / 12.38, 1),
        "Power Fanspeed": 7560 if process.works else 3600,
        "Security Mode": 0,
        "Liquid Cooling": spec.is_liquid,
        "Pool Rejected%": round(100 * rejected / accepted, 4) if accepted else 0.0,
        "Pool Stale%": 0.0,
        "Last getwork": 0,
        "Uptime": miner.uptime(),
        "Chip Data": spec.chip,
        "Error Code Count": 0,
        "Factory Error Code Count": 0,
    }
    if not spec.shows_mac:  # the builds of 2019 tell no more than that
        del row["HS RT"]
        row |= {"freq_max": spec.frequency + 12, "freq_min": spec.frequency - 24}
        if not spec.shows_supply:  # those of 2018 even less
            del row["Power Fanspeed"], row["Power Current"], row["Voltage"]
            row["fan_speed_set"] = row["Fan Speed In"]
        return envelope(miner, 11, "Summary", "SUMMARY", [row])
    row |= {
        "Power": power,
        "Power_RT": power,
        "Power Rate": round(power / max(process.rate_avg() * part / 1e12, 1.0), 2),
        "Hash Stable": process.ramped,
        "Hash Stable Cost Seconds": process.stable_cost_s if process.ramped else 0,
        "Hash Deviation%": 0.1061,
        "Target Freq": spec.frequency,
        "Target MHS": int(spec.hashrate_hs * process.factor() / MHS),
        "Env Temp": miner.env_c(),
        "Power Mode": process.mode.capitalize(),
        "Factory GHS": round(spec.hashrate_hs / GHS),
        "Power Limit": miner.limit_in_force_w(),
        "Chip Temp Min": min((low for low, _, _ in chips), default=0.0),
        "Chip Temp Max": max((high for _, high, _ in chips), default=0.0),
        "Chip Temp Avg": round(sum(each for _, _, each in chips) / max(1, len(chips)), 2),
    }
    if miner.dialect is not Dialect.V2:
        row |= _older(miner)
    else:
        row |= {
            "Power Voltage Input": 228.75,
            "Power Current Input": round(power / 228.75, 2),
            "Btminer Fast Boot": "enable" if miner.settings["fast_boot"] else "disable",
        }
        if spec.mac_in_summary:
            row["MAC"] = miner.shown_mac()
    return envelope(miner, 11, "Summary", "SUMMARY", [row])


def edevs(miner: WhatsminerDevice) -> Reply:
    process, spec = miner.process, miner.spec
    fan_in, fan_out = miner.fan_rpm(out=False), miner.fan_rpm(out=True)
    is_v2 = miner.dialect is Dialect.V2
    rows = []
    for number, slot in enumerate(miner.boards()):
        part = process.share_of_board(slot)
        low, high, mean = miner.chip_c(slot)
        accepted = int(process.accepted() * part)
        rows.append(
            {
                "ASC": number,
                "Name": "SM",
                "ID": number,
                "Slot": slot,
                "Enabled": "Y",
                "Status": "Alive",
                "Temperature": miner.board_c(slot),
                "Chip Frequency": _frequency(miner),
                "Fan Speed In": fan_in,
                "Fan Speed Out": fan_out,
                "MHS av": _board_mhs(miner, process.rate_avg() * part),
                "MHS 5s": _board_mhs(miner, process.rate_now() * part),
                "MHS 1m": _board_mhs(miner, process.rate_over(60) * part),
                "MHS 5m": _board_mhs(miner, process.rate_over(300) * part),
                "MHS 15m": _board_mhs(miner, process.rate_over(900) * part),
                "Accepted": accepted,
                "Rejected": accepted // 400,
                "Hardware Errors": accepted // 17,
                "Utility": round(accepted * 60 / max(1.0, process.elapsed()), 2),
                "Last Share Pool": 0,
                "Last Share Time": miner.unix(),
                "Total MH": round(process.rate_avg() * part * process.elapsed() / MHS, 0),
                "Difficulty Accepted": accepted * SHARE_DIFFICULTY,
                "Last Share Difficulty": SHARE_DIFFICULTY,
                "Device Hardware%": 0.0,
                "Device Rejected%": 0.0,
                "Device Elapsed": int(miner.elapsed()),
                "Upfreq Complete": int(process.ramped),
                "Effective Chips": spec.chips,
                "PCB SN": miner.board_serials[slot],
                "Chip Data": spec.chip,
                "Chip Temp Min": low,
                "Chip Temp Max": high,
                "Chip Temp Avg": mean,
                "chip_vol_diff": 12 + slot,
            }
            | ({"Factory GHS": round(spec.hashrate_hs * part / GHS)} if is_v2 else {})
        )
    return envelope(miner, 9, f"{len(rows)} ASC(s)", "DEVS", rows)


def pools(miner: WhatsminerDevice) -> Reply:
    first = 0 if miner.dialect is Dialect.LEGACY else 1
    rows = [_pool_row(miner, pool, first) for pool in miner.pool_states()]
    return envelope(miner, 7, f"{len(rows)} Pool(s)", "POOLS", rows)


def devdetails(miner: WhatsminerDevice) -> Reply:
    rows = [
        {
            "DEVDETAILS": number,
            "Name": "SM",
            "ID": number,
            "Driver": "bitmicro",
            "Kernel": "",
            "Model": miner.model,
        }
        for number, _ in enumerate(miner.boards())
    ]
    return envelope(miner, 69, "Device Details", "DEVDETAILS", rows)


def stats(miner: WhatsminerDevice) -> Reply:
    rows = [
        {
            "STATS": number,
            "ID": f"SM{number}",
            "Elapsed": int(miner.elapsed()),
            "Calls": 0,
            "Wait": 0.0,
            "Max": 0.0,
            "Min": 99999999.0,
            "slot": slot,
            "chip_num": miner.spec.chips,
            "freqs_avg": _frequency(miner),
            "temp_now_max": miner.board_c(slot),
        }
        | {f"chip_freqs_{chip}": _frequency(miner) for chip in range(miner.spec.chips)}
        for number, slot in enumerate(miner.boards())
    ]
    reply = envelope(miner, 70, "CGMiner stats", "STATS", rows)
    if rows and (missing := miner.spec.stats_bytes - len(msgspec.json.encode(reply))) > 0:
        rows[-1]["nonces"] = "0" * (missing - len(',"nonces":""'))
    return reply


def get_version(miner: WhatsminerDevice) -> Reply:
    message = {"api_ver": miner.spec.api, "fw_ver": miner.version}
    if miner.dialect is Dialect.V2:
        message |= {"platform": miner.spec.platform, "chip": miner.spec.chip}
    return message


def status(miner: WhatsminerDevice) -> Reply:
    off = "true" if miner.is_off else "false"
    if miner.dialect is Dialect.V1:
        return {"btmineroff": off, "Firmware Version": f"'{miner.version}'"}
    return {
        "mineroff": off,
        "mineroff_reason": "by whatsminer api" if miner.is_off else "",
        "mineroff_time": "",
        "FirmwareVersion": miner.version,
        "power_mode": miner.mode,
        "power_limit_set": str(miner.settings["power_limit"] or ""),
        "hash_percent": "0",
    }


def get_psu(miner: WhatsminerDevice) -> Reply:
    model = miner.spec.psu
    if miner.dialect is Dialect.V1:
        return {"name": model[:3], "hw_version": "", "sw_version": "102220.009", "model": model}
    power = miner.process.power_w()
    return {
        "name": model,
        "hw_version": "V01.00",
        "sw_version": "V01.00.V01.03",
        "model": model,
        "iin": str(int(power / 0.22875)),
        "vin": "22875",
        "pin": str(int(power)),
        "fan_speed": "6976",
        "version": "-1",
        "serial_no": miner.psu_serial,
        "vender": "7",
        "temp0": "41.3",
        "enable": "0" if miner.is_off else "1",
    }


def get_miner_info(miner: WhatsminerDevice) -> Reply:
    return network(miner) | {"mac": miner.shown_mac(), "ledstat": miner.led_text()}


def network(miner: WhatsminerDevice) -> Reply:
    """What the device believes of its network, as both APIs tell it."""
    return {
        "ip": miner.ip,
        "proto": miner.settings["network"].get("proto", "static"),
        "netmask": "255.0.0.0",
        "gateway": "127.0.0.1",
        "dns": "127.0.0.1",
        "hostname": miner.settings["hostname"],
    }


def get_error_code(miner: WhatsminerDevice) -> Reply:
    return {"error_code": [{str(code): miner.health.since(code)} for code in miner.health.codes()]}


FORWARDED: Final[dict[str, Callable[[WhatsminerDevice], Reply]]] = {
    "summary": summary,
    "edevs": edevs,
    "devs": edevs,
    "pools": pools,
    "devdetails": devdetails,
    "stats": stats,
}
"""What the API daemon hands on to btminer."""

OWN: Final[dict[str, Callable[[WhatsminerDevice], Reply]]] = {
    "get_version": get_version,
    "status": status,
    "get_psu": get_psu,
    "get_miner_info": get_miner_info,
    "get_error_code": get_error_code,
}
"""What the API daemon answers itself; the value is the Msg."""

SINCE_V2: Final = frozenset({"get_miner_info", "get_error_code"})


def _older(miner: WhatsminerDevice) -> Reply:
    codes = list(miner.health.codes())
    row: Reply = {
        "Firmware Version": f"'{miner.version}'",
        "CB Platform": "ALLWINNER_H3",
        "CB Version": "V10",
        "MAC": miner.shown_mac(),
    }
    for number, code in enumerate(codes):
        row |= {f"Error Code {number}": code, f"Error {number} Time": ""}
    history = {"Factory Error Code 0": 202, "Factory Error Code Count": 1}
    return row | history | {"Error Code Count": len(codes)}


def _pool_row(miner: WhatsminerDevice, pool: SlotState, first: int) -> Reply:
    host = pool.url.partition("://")[2].partition(":")[0]
    rejected = round(100 * pool.rejected / pool.accepted, 4) if pool.accepted else 0.0
    return {
        "POOL": pool.index + first,
        "URL": pool.url,
        "Status": "Alive" if pool.alive else "Dead",
        "Priority": pool.index,
        "Quota": 1,
        "Long Poll": "N",
        "Getworks": pool.accepted // 4,
        "Accepted": pool.accepted,
        "Rejected": pool.rejected,
        "Works": pool.accepted * 4077,
        "Discarded": 0,
        "Stale": pool.accepted // 2500,
        "Get Failures": 0,
        "Remote Failures": 0,
        "User": pool.user,
        "Last Share Time": miner.last_share(pool),
        "Diff1 Shares": 0,
        "Proxy Type": "",
        "Proxy": "",
        "Difficulty Accepted": pool.accepted * SHARE_DIFFICULTY,
        "Difficulty Rejected": pool.rejected * SHARE_DIFFICULTY,
        "Difficulty Stale": 0.0,
        "Last Share Difficulty": SHARE_DIFFICULTY if pool.accepted else 0.0,
        "Work Difficulty": 0.0,
        "Has Stratum": True,
        "Stratum Active": pool.active,
        "Stratum URL": host if pool.active else "",
        "Stratum Difficulty": SHARE_DIFFICULTY if pool.active else 0.0,
        "Has GBT": False,
        "Best Share": pool.accepted * 83_911,
        "Pool Rejected%": rejected,
        "Pool Stale%": 0.0,
        "Bad Work": pool.accepted // 300,
        "Current Block Height": 0,
        "Current Block Version": 536_870_912,
    }


def _frequency(miner: WhatsminerDevice) -> int:
    return int(miner.spec.frequency * miner.process.fraction())


def _mhs(rate_hs: float) -> float:
    return round(rate_hs / MHS, 2)


def _board_mhs(miner: WhatsminerDevice, rate_hs: float) -> float:
    return _mhs(miner.board_figure(rate_hs))
