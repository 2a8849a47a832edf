"""What the daemon says of itself: the content of `ret` for each reading command."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from simulator.iceriver.process import LONG_S, POINTS, SHORT_S

if TYPE_CHECKING:
    from simulator.iceriver.device import IceriverDevice
    from simulator.pools import SlotState

Ret = dict[str, Any]
_DIFFICULTY: Final = 140_737.49
_NO_SENSOR: Final = "0.00-0.00-0.00-0.00"
_LOUD_C: Final = 126
_VOLTAGE: Final = 0.48


def ret(miner: IceriverDevice, name: str) -> Ret | None:
    """The content of that command's `ret`, without its code; `None` for a command nobody knows."""
    read = _READS.get(name)
    return None if read is None else read(miner)


def device_time(miner: IceriverDevice) -> str:
    """`refTime` of the web page."""
    return f"{datetime.fromtimestamp(miner.unix(), UTC):%Y-%m-%d %H:%M:%S} UTC"


def _info(miner: IceriverDevice) -> Ret:
    spec = miner.spec
    return {
        "model": spec.name if spec.names_itself else "none",
        "algo": spec.algorithm if spec.names_itself else "none",
        "online": True,
        "firmver1": spec.boot,
        "firmver2": "image_1.0",
        "softver1": miner.softver1,
        "softver2": miner.softver2,
        "firmtype": "Factory",
    }


def _network(miner: IceriverDevice) -> Ret:
    network = miner.network
    gateway = network["gateway"]
    return {
        "nic": "eth0",
        "mac": miner.shown_mac(),
        "ip": f"{network['ip']} 192.168.1.254"
        if "two_addresses" in miner.faults
        else network["ip"],
        "netmask": network["netmask"],
        "host": network["host"],
        "dhcp": network["dhcp"],
        "gateway": f"{gateway}fe80::1" if "gateway_glued" in miner.faults else gateway,
        "dns": network["dns"],
    }


def _locate(miner: IceriverDevice) -> Ret:
    return {"on": miner.light}


def _boardpow(miner: IceriverDevice) -> Ret:
    hasher, unit_hs = miner.hasher, miner.spec.unit_hs
    portion = sum(hasher.share_of_board(slot) for slot in miner.boards())
    pools = miner.pool_states()
    accepted, rejected = sum(p.accepted for p in pools), sum(p.rejected for p in pools)
    pows = [int(rate * portion / unit_hs) for rate in hasher.history_hs()]
    return {
        "rtpow": _total(miner, hasher.rate_over(SHORT_S) * portion),
        "avgpow": _total(miner, hasher.rate_over(LONG_S) * portion),
        "reject": round(100 * rejected / (accepted + rejected), 6) if accepted else 0.0,
        "runtime": _runtime(miner.elapsed()),
        "unit": miner.spec.unit,
        # what was never measured is below zero
        "pows": [*pows, *(-1 for _ in range(POINTS - len(pows)))],
    }


def _state(miner: IceriverDevice) -> Ret:
    hashes = miner.hasher.works and len(miner.boards()) == miner.spec.boards
    hot = miner.hasher.overheated or "temp_flag_low" in miner.faults
    return {
        "pow": hashes,
        "net": any(pool.alive for pool in miner.pool_states()),
        "fan": "fan_failed" not in miner.faults,
        "temp": not hot,
    }


def _fan(miner: IceriverDevice) -> Ret:
    return {"fans": miner.fan_rpms()}


def _pools(miner: IceriverDevice) -> Ret:
    return {"pools": [_pool(pool) for pool in miner.pool_states()]}


def _pool(pool: SlotState) -> Ret:
    return {
        "no": pool.index + 1,
        "addr": pool.url,
        "user": pool.user,
        "pass": pool.password,
        "connect": pool.active,  # the others are not even tried
        "diff": f"{_DIFFICULTY if pool.active else 0.0:.2f} G",
        "priority": pool.index + 1,
        "accepted": pool.accepted,
        "rejected": pool.rejected,
        "diffa": 0,
        "diffr": 0,
        "state": int(pool.active),
        "lsdiff": 0,
        "lstime": "00:00:00",
    }


def _boards(miner: IceriverDevice) -> Ret:
    found = miner.boards()
    return {"chainnum": len(found), "boards": [_board(miner, slot) for slot in found]}


def _board(miner: IceriverDevice, slot: int) -> Ret:
    spec, hasher, faults = miner.spec, miner.hasher, miner.faults
    cold, share = "cold" in faults, miner.hasher.share_of_board(slot)
    loud = "bad_sensor" in faults and slot == min(1, spec.boards - 1)
    row = {
        "no": slot + 1,
        "chipnum": spec.chips,
        "chipsuc": 0,
        "error": hasher.hardware_errors(),
        "freq": spec.frequency_mhz if hasher.works else 0,
        "rtpow": _board_rate(miner, hasher.rate_over(SHORT_S) * share),
        "avgpow": _board_rate(miner, hasher.rate_over(LONG_S) * share),
        "idealpow": "0.00G",
        "tempnum": "(null)",
        "pcbtemp": _NO_SENSOR,
        "intmp": hasher.inlet_c(slot, cold=cold),
        "outtmp": _LOUD_C if loud else hasher.outlet_c(slot, cold=cold),
        "state": not (hasher.overheated or hasher.barren),
        "false": list(range(1, spec.chips + 1)) if spec.lists_chips else "",
    }
    if "no_board_average" in faults:
        del row["avgpow"]
    return row


def _hardware(miner: IceriverDevice) -> Ret:
    return {"getratio": miner.fan_ratio, "getmode": int(miner.mode == "normal")}


def _chips(miner: IceriverDevice) -> Ret:
    spec, hasher, cold = miner.spec, miner.hasher, "cold" in miner.faults
    rows: list[Ret] = []
    for slot in range(spec.boards):
        for chip in range(spec.chips):
            number = slot * spec.chips + chip + 1
            if slot not in miner.boards():  # an empty slot
                rows.append({"no": number, "temp": 0.0, "voltage": 0.0, "pll": 0.0})
                continue
            rows.append(
                {
                    "no": number,
                    "temp": hasher.chip_c(slot, chip, cold=cold),
                    "voltage": _VOLTAGE if hasher.works else 0.0,
                    "pll": float(spec.frequency_mhz) if hasher.works else 0.0,
                }
            )
    return {"chips": rows}


def _version(miner: IceriverDevice) -> Ret:
    return {
        "bgminer": [miner.softver1],
        "boot": [miner.spec.boot],
        "uimage": ["image_1.0"],
        "appweb": [miner.softver2],
    }


def _hello(miner: IceriverDevice) -> Ret:
    del miner
    return {"msg": "world"}


def _total(miner: IceriverDevice, rate_hs: float) -> str:
    return _rate(miner, rate_hs, "{:.0f}", whole=True)


def _board_rate(miner: IceriverDevice, rate_hs: float) -> str:
    return _rate(miner, miner.board_figure(rate_hs), "{:.2f}")


def _rate(miner: IceriverDevice, rate_hs: float, form: str, *, whole: bool = False) -> str:
    value = rate_hs / miner.spec.unit_hs
    odd = miner.faults.get("odd_suffix")
    unit = str(odd.args.get("text", "X")) if odd else miner.spec.unit
    return form.format(int(value) if whole else value) + unit


def _runtime(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{days:02}:{hour:02}:{minute:02}:{second:02}"


_READS: Final[dict[str, Callable[[IceriverDevice], Ret]]] = {
    "hello": _hello,
    "info": _info,
    "getnet": _network,
    "getlocate": _locate,
    "boardpow": _boardpow,
    "state": _state,
    "fan": _fan,
    "getpool": _pools,
    "board": _boards,
    "gethw": _hardware,
    "getchipinfo": _chips,
    "version": _version,
}
