"""Replies of the new API: what 4028 gives to `new_api` and what the reading CGIs print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from simulator.antminer.layouts import chip_text
from simulator.antminer.pools import pool_states
from simulator.antminer.process import SHARE_DIFFICULTY, sleep_mode

if TYPE_CHECKING:
    from simulator.antminer.device import AntminerDevice

Reply = dict[str, Any]


def reply(miner: AntminerDevice, command: str) -> Reply | None:
    """The reply to one command of the new table, None when it is not in there."""
    maker = _MAKERS.get(command)
    return None if maker is None else maker(miner)


def error(command: str) -> Reply:
    """The refusal of the new API."""
    return {"error_message": f"not support ({command})"}


def _summary(miner: AntminerDevice) -> Reply:
    process = miner.process
    healthy = process.fraction() > 0.5 or process.asleep
    pool_up = any(pool.status == "Alive" for pool in pool_states(miner))
    row = _rates(miner) | {
        "hw_all": process.hardware_errors(),
        "bestshare": process.accepted() * 1_143_391,
        "status": [
            _fault("rate", healthy, 1, "Rate is lower than ideal rate"),
            _fault("network", pool_up, 2, "Can not connect to pool"),
            _fault("fans", True, 3, "Wrong number"),
            _fault("temp", not process.overheated, 4, "Temp is too high"),
        ],
    }
    return _whole(miner, "summary", "SUMMARY", [] if miner.shows_nothing() else [row])


def _stats(miner: AntminerDevice) -> Reply:
    process, spec = miner.process, miner.spec
    boards = miner.boards()
    row = _rates(miner) | {
        "chain_num": len(boards),
        "fan_num": len(spec.fans),
        "fan": [process.fan_rpm(slot) for slot in spec.fans] if spec.fans else [0, 0, 0, 0],
        "hwp_total": 0.0,
        "miner-mode": process.running_mode,
        "freq-level": 100,
        "psu": {"index": 0, "status": "ok"},
        "chain": [_chain(miner, index) for index in boards],
    }
    if "stats_power" in miner.faults:
        row["power"] = round(process.power_w())
    if watt := miner.faults.get("stats_watt"):
        row["watt"] = 0 if watt.args.get("zero") else round(process.power_w())
    return _whole(miner, "stats", "STATS", [] if miner.shows_nothing() else [row])


def _chain(miner: AntminerDevice, index: int) -> dict[str, Any]:
    process, spec = miner.process, miner.spec
    mark = "x" if process.powered_down else "o"
    share = miner.ideal_hs() / len(spec.chains)
    return {
        "index": index,
        "freq_avg": spec.frequency,
        "rate_ideal": miner.units.new(share),
        "rate_real": miner.units.new(miner.board_rate(index)),
        "asic_num": spec.chips,
        "asic": chip_text(spec.chips, spec.group, mark),
        "temp_pic": miner.pic_temps(index),
        "temp_pcb": miner.board_temps(index),
        "temp_chip": miner.chip_temps(index),
        "hw": process.hardware_errors() // max(1, len(spec.chains)),
        "eeprom_loaded": True,
        "sn": miner.board_serials[index],
        "hwp": 0.0,
        "tpl": [[n, n % 3] for n in range(4)],
    }


def _pools(miner: AntminerDevice) -> Reply:
    rows = []
    for index, pool in enumerate(pool_states(miner)):
        accepted = miner.process.accepted() if pool.active else 0
        rejected = miner.process.rejected() if pool.active else 0
        rows.append(
            {
                "index": index,
                "url": pool.url,
                "user": pool.user,
                "status": pool.status,
                "priority": index,
                "getworks": miner.elapsed() // 10 if pool.active else 0,
                "accepted": accepted,
                "rejected": rejected,
                "discarded": miner.elapsed() * 90 if pool.active else 0,
                "stale": 0,
                "diff": "262K" if pool.active else "",
                "diff1": 0,
                "diffa": accepted * SHARE_DIFFICULTY,
                "diffr": rejected * SHARE_DIFFICULTY,
                "diffs": 0,
                "lsdiff": SHARE_DIFFICULTY if accepted else 0,
                "lstime": pool.last_share,
            }
        )
    return _whole(miner, "pools", "POOLS", rows)


def _rate(miner: AntminerDevice) -> Reply:
    points = 12
    axis = [f"{minute}min" for minute in range(0, points * 5, 5)]
    now = miner.units.new(miner.process.rate_5s())
    series = [
        {"name": f"chain{index}", "data": [round(now / len(miner.spec.chains), 2)] * points}
        for index in miner.boards()
    ]
    row = {"unit": miner.units.new_name(), "xAxis": axis, "series": series}
    return _whole(miner, "rate", "RATE", [row])


def _warning(miner: AntminerDevice) -> Reply:
    rows = []
    if miner.process.overheated:
        rows.append(
            {
                "code": "P:1",
                "cause": "high temperature protection",
                "suggestion": "check the cooling",
                "timestamp": miner.unix(),
            }
        )
    return _whole(miner, "warning", "WARNING", rows)


def _reload(miner: AntminerDevice) -> Reply:
    miner.reload()
    return _whole(miner, "reload", "RELOAD", [])


def _rates(miner: AntminerDevice) -> dict[str, Any]:
    process, rate = miner.process, miner.units.new
    return {
        "elapsed": miner.elapsed(),
        "rate_5s": rate(process.rate_5s()),
        "rate_30m": rate(process.rate_30m()),
        "rate_avg": rate(process.rate_avg()),
        "rate_ideal": rate(miner.ideal_hs()),
        "rate_unit": miner.units.new_name(),
    }


def _fault(kind: str, good: bool, code: int, message: str) -> dict[str, Any]:
    if good:
        return {"type": kind, "status": "s", "code": 0, "msg": ""}
    return {"type": kind, "status": "e", "code": code, "msg": message}


def _whole(miner: AntminerDevice, command: str, section: str, rows: list[Any]) -> Reply:
    status: Any = {
        "STATUS": "S",
        "when": miner.unix(),
        "Msg": command,
        "api_version": "1.0.0",
    }
    if "status_array" in miner.faults:
        status = [{"STATUS": "S", "When": miner.unix(), "Code": 11, "Msg": command}]
    info = {
        "miner_version": miner.spec.miner,
        "CompileTime": miner.compile_time,
        "type": miner.shown_type(),
    }
    if "new_numbers_as_text" in miner.faults:
        rows = _as_text(rows)
    return {"STATUS": status, "INFO": info, section: rows}


def _as_text(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_text(each) for each in value]
    if isinstance(value, dict):
        return {key: _as_text(each) for key, each in value.items()}
    is_figure = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_figure else value


def is_asleep(miner: AntminerDevice) -> bool:
    """True while the process runs in this generation's sleep mode."""
    return miner.process.running_mode == sleep_mode(miner.spec)


_MAKERS: Final = {
    "summary": _summary,
    "stats": _stats,
    "pools": _pools,
    "rate": _rate,
    "warning": _warning,
    "reload": _reload,
}
