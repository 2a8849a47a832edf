"""4028 replies in cgminer's old shape, one layout of `stats` per family."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from simulator.antminer.catalogue import Generation, Shape
from simulator.antminer.process import SHARE_DIFFICULTY

if TYPE_CHECKING:
    from simulator.antminer.device import Antminer

Reply = dict[str, Any]
COMMANDS: Final = ("summary", "devs", "pools", "stats", "version")
_OLD_SLOTS: Final = range(1, 17)
_GAP: Final = b'"@gap@"'


def encode(miner: Antminer, reply: Reply) -> bytes:
    """The reply as JSON text; some old builds forget the comma inside STATS."""
    text = msgspec.json.encode(reply)
    if miner.spec.malformed and len(reply.get("STATS", ())) == 2:
        head, data = reply["STATS"]
        pair = msgspec.json.encode(head) + msgspec.json.encode(data)
        outer = msgspec.json.encode({**reply, "STATS": ["@gap@"]})
        return outer.replace(_GAP, pair)
    return text


def reply(miner: Antminer, command: str) -> Reply | None:
    """The reply to one command of the legacy table, None when it is not in there."""
    maker = _MAKERS.get(command)
    return None if maker is None else maker(miner)


def error(miner: Antminer, code: int, message: str) -> Reply:
    """A refusal in the legacy shape."""
    return {"STATUS": [_status(miner, "E", code, message)], "id": 1}


def as_text(reply: Reply) -> bytes:
    """The reply in the plain-text form: `STATUS=S,When=..|SUMMARY,Elapsed=..|`."""
    parts = []
    for section, rows in reply.items():
        if not isinstance(rows, list):
            continue
        for index, row in enumerate(rows):
            body = ",".join(f"{key}={_text(value)}" for key, value in row.items())
            if section == "STATUS":
                parts.append(body)
            elif section in ("SUMMARY", "VERSION"):
                parts.append(f"{section},{body}")
            else:
                parts.append(f"{section.rstrip('S')}={index},{body}")
    return ("|".join(parts) + "|").encode()


def _version(miner: Antminer) -> Reply:
    row = {miner.spec.software_key: miner.spec.software, "API": "3.1", **_hardware(miner)}
    return _whole(miner, 22, f"{miner.spec.title} versions", "VERSION", [row])


def _summary(miner: Antminer) -> Reply:
    process = miner.process
    is_old = miner.spec.generation is Generation.OLD
    rate = miner.rate
    accepted, rejected = process.accepted(), process.rejected()
    elapsed = miner.elapsed()
    row: dict[str, Any] = {"Elapsed": elapsed}
    if miner.spec.generation is Generation.NEW_GOD:
        unit = miner.spec.rate_unit_new
        row |= {
            "GHS 5s": rate(process.rate_5s()),
            "GHS av": rate(process.rate_avg()),
            "RT HASHRATE": f"{rate(process.rate_5s()):.2f} {unit}",
            "AV HASHRATE": f"{rate(process.rate_avg()):.2f} {unit}",
            # the missing blank is the firmware's
            "THEORY HASHRATE": f"{rate(miner.ideal_hs()):.2f}{unit}",
        }
    else:
        now = rate(process.rate_5s())
        row |= {"GHS 5s": f"{now:.2f}" if is_old else now, "GHS av": rate(process.rate_avg())}
    if miner.spec.generation is Generation.NEW_BM:
        row["GHS 30m"] = rate(process.rate_30m())
    minutes = max(elapsed, 1) / 60
    row |= {
        "Found Blocks": 0,
        "Getwork": elapsed // 10,
        "Accepted": accepted,
        "Rejected": rejected,
        "Hardware Errors": process.hardware_errors(),
        "Utility": round(accepted / minutes, 2),
        "Discarded": elapsed * 90,
        "Stale": 0,
        "Get Failures": 0,
        "Local Work": elapsed * 92,
        "Remote Failures": 0,
        "Network Blocks": elapsed // 600,
        "Total MH": round(process.rate_avg() * elapsed / 1e6, 1),
        "Work Utility": round(accepted * SHARE_DIFFICULTY / minutes, 2),
        "Difficulty Accepted": float(accepted * SHARE_DIFFICULTY),
        "Difficulty Rejected": float(rejected * SHARE_DIFFICULTY),
        "Difficulty Stale": 0.0,
        "Best Share": accepted * 1_143_391,
        "Device Hardware%": 0.0,
        "Device Rejected%": 0.0,
        "Pool Rejected%": 0.0,
        "Pool Stale%": 0.0,
        "Last getwork": miner.clock.unix(),
    }
    rows = [] if miner.shows_nothing() else [row]
    return _whole(miner, 11, "Summary", "SUMMARY", rows)


def _devs(miner: Antminer) -> Reply:
    process, rate = miner.process, miner.rate
    accepted = process.accepted()
    is_old = miner.spec.generation is Generation.OLD
    unit = "GHS" if is_old else "MHS"
    row: dict[str, Any] = {
        "ASC": 0,
        "Name": "BTM" if is_old else "BTM_SOC",
        "ID": 0,
        "Enabled": "Y",
        "Status": "Alive",
        "Temperature": 0.0 if is_old else float(max(process.board_temps(0))),
        f"{unit} av": rate(process.rate_avg()),
        f"{unit} 5s": rate(process.rate_5s()),
        "Accepted": accepted,
        "Rejected": process.rejected(),
        "Hardware Errors": process.hardware_errors(),
        "Utility": 0.0,
        "Last Share Pool": 0,
        "Last Share Time": miner.clock.unix(),
        "Total MH": 0.0,
        "Diff1 Work": 0,
        "Difficulty Accepted": float(accepted * SHARE_DIFFICULTY),
        "Difficulty Rejected": 0.0,
        "Last Share Difficulty": float(SHARE_DIFFICULTY),
        "Last Valid Work": miner.clock.unix(),
        "Device Hardware%": 0.0,
        "Device Rejected%": 0.0,
        "Device Elapsed": miner.elapsed(),
    }
    if not is_old:
        row["Tenperature"] = row["Temperature"]
    return _whole(miner, 9, "1 ASC(s)", "DEVS", [row])


def _pools(miner: Antminer) -> Reply:
    rows = [_pool(miner, index) for index in range(len(miner.live_pools))]
    return _whole(miner, 7, f"{len(rows)} Pool(s)", "POOLS", rows)


def _pool(miner: Antminer, index: int) -> dict[str, Any]:
    pool = miner.pool_state(index)
    active = pool.active
    accepted = miner.process.accepted() if active else 0
    rejected = miner.process.rejected() if active else 0
    is_old = miner.spec.generation is Generation.OLD
    row: dict[str, Any] = {
        "POOL": index,
        "URL": pool.url,
        "Status": pool.status,
        "Priority": index,
        "Quota": 1,
        "Long Poll": "N",
        "Getworks": miner.elapsed() // 10 if active else 0,
        "Accepted": accepted,
        "Rejected": rejected,
        "Discarded": miner.elapsed() * 90 if active else 0,
        "Stale": 0,
        "Get Failures": 0,
        "Remote Failures": 0,
        "User": pool.user,
        "Last Share Time": pool.last_share,
        "Diff": "262K" if active else "",
        "Diff1 Shares": 0,
        "Proxy Type": "",
        "Proxy": "",
        "Difficulty Accepted": float(accepted * SHARE_DIFFICULTY),
        "Difficulty Rejected": float(rejected * SHARE_DIFFICULTY),
        "Difficulty Stale": 0.0,
        "Last Share Difficulty": float(SHARE_DIFFICULTY) if accepted else 0.0,
        "Has Stratum": bool(pool.url),
        "Stratum Active": active,
        "Stratum URL": pool.host if active else "",
        "Has GBT": False,
        "Best Share": accepted * 1_143_391,
        "Pool Rejected%": 0.0,
    }
    row["Pool Stale%" if is_old else "Pool Stale%%"] = 0.0
    return row


def _stats(miner: Antminer) -> Reply:
    head = {miner.spec.software_key: miner.spec.software, **_hardware(miner)}
    if miner.shows_nothing():
        rows: list[dict[str, Any]] = []
    else:
        data = {
            "STATS": 2 if miner.spec.shape is Shape.GOD else 0,
            "ID": miner.spec.stats_id,
            "Elapsed": miner.elapsed(),
            "Calls": 0,
            "Wait": 0.0,
            "Max": 0.0,
            "Min": 99999999.0,
        }
        rows = [head, data | _SHAPES[miner.spec.shape](miner)]
    return _whole(miner, 70, f"{miner.spec.title} stats", "STATS", rows)


def _stats_classic(miner: Antminer) -> dict[str, Any]:
    process, spec = miner.process, miner.spec
    row = _rates(miner, text=True)
    row |= {"miner_count": len(miner.boards()), "frequency": str(spec.frequency)}
    if spec.algorithm == "ethash":
        row["frequency"] = f"{spec.frequency}M"
    row |= {"fan_num": len(spec.fans)} | _fans(miner, 8)
    boards = {spec.chains[index]: index for index in miner.boards()}
    slots = sorted({*boards, *range(1, 17 if spec.stats_id == "BC50" else 5)})
    row["temp_num"] = len(boards)
    temps = {n: miner.board_temps(i) for n, i in boards.items()}
    chips = {n: miner.chip_temps(i) for n, i in boards.items()}
    row |= {f"temp{n}": max(temps[n]) if n in boards else 0 for n in slots}
    row |= {f"temp2_{n}": max(chips[n]) if n in boards else 0 for n in slots}
    if spec.stats_id == "L30":
        row |= {f"temp3{n}": 0 for n in slots}
    else:
        row |= {f"temp3_{n}": 0 for n in slots}
    row["temp_max"] = max((max(t) for t in temps.values()), default=0)
    row |= {"Device Hardware%": 0.0, "no_matching_work": process.hardware_errors()}
    row |= _chains(miner, slots)
    if spec.stats_id == "BC50":
        row |= {"miner_version": spec.miner, "miner_id": miner.miner_id}
    return row


def _stats_soc(miner: Antminer) -> dict[str, Any]:
    process, spec = miner.process, miner.spec
    asleep = process.asleep
    boards = {} if asleep else {spec.chains[index]: index for index in miner.boards()}
    row = _rates(miner, text=True)
    row["GHS 30m"] = miner.rate(process.rate_30m())
    row["Mode"] = process.running_mode if len(spec.modes) > 1 else "H"
    if asleep:
        row["Ex Hash Rate"] = 0
    row |= {"miner_count": len(miner.boards()), "frequency": ""}
    row["fan_num"] = 0 if asleep else len(spec.fans)
    row |= dict.fromkeys((f"fan{n}" for n in _OLD_SLOTS), 0) if asleep else _fans(miner, 16)
    row["temp_num"] = len(miner.boards())
    for name, temps in (("temp{}", miner.board_temps), ("temp2_{}", miner.chip_temps)):
        row |= {name.format(n): max(temps(boards[n])) if n in boards else 0 for n in _OLD_SLOTS}
    row |= {f"temp3_{n}": row[f"temp2_{n}"] for n in _OLD_SLOTS}
    row |= {f"temp_pcb{n}": _dashed(miner.board_temps, boards.get(n)) for n in _OLD_SLOTS}
    row |= {f"temp_chip{n}": _dashed(miner.chip_temps, boards.get(n)) for n in _OLD_SLOTS}
    row["total_rateideal"] = 0.0 if asleep else miner.rate(miner.ideal_hs())
    if spec.rate_unit:
        row["rate_unit"] = spec.rate_unit
    row |= {
        "total_freqavg": 0.0,
        "total_acn": len(boards) * spec.chips,
        "total_rate": miner.rate(process.rate_5s()),
    }
    row |= {f"chain_rateideal{n}": 0.0 for n in _OLD_SLOTS}
    row["temp_max"] = max((row[f"temp{n}"] for n in _OLD_SLOTS), default=0)
    row["no_matching_work"] = process.hardware_errors()
    row |= _chains(miner, _OLD_SLOTS, hidden=asleep)
    row |= {f"freq{n}": spec.frequency if n in boards else 0 for n in _OLD_SLOTS}
    row |= {"miner_version": spec.miner, "miner_id": miner.miner_id}
    return row


def _stats_bm(miner: Antminer) -> dict[str, Any]:
    process, spec = miner.process, miner.spec
    slots = range(1, max(4, len(spec.chains)) + 1)
    boards = {spec.chains[index]: index for index in miner.boards()}
    row = _rates(miner, text=False)
    row |= {
        "rate_30m": miner.rate(process.rate_30m()),
        "Mode": 2,
        "miner_count": len(boards),
        "frequency": spec.frequency,
        "fan_num": 4 if spec.fans else 0,
    }
    row |= _fans(miner, 4)
    row["temp_num"] = len(boards)
    for number, index in boards.items():  # no key at all for a board that is not there
        row[f"temp{number}"] = max(miner.board_temps(index))
        row[f"temp2_{number}"] = max(miner.chip_temps(index))
    row |= {f"temp_pcb{n}": _dashed(miner.board_temps, boards.get(n)) for n in slots}
    row |= {f"temp_chip{n}": _dashed(miner.chip_temps, boards.get(n)) for n in slots}
    row |= {f"temp_pic{n}": _dashed(miner.pic_temps, boards.get(n)) for n in slots}
    row |= {
        "total_rateideal": miner.rate(miner.ideal_hs()),
        "rate_unit": spec.rate_unit,
        "total_freqavg": spec.frequency,
        "total_acn": len(boards) * spec.chips,
        "total rate": miner.rate(process.rate_avg()),
        "temp_max": 0,
        "no_matching_work": process.hardware_errors(),
    }
    if "chain_power" in miner.faults:
        row["chain_power"] = f"{process.power_w():.0f} W"
    row |= _chains(miner, slots)
    row |= {f"freq{n}": spec.frequency if n in boards else 0 for n in slots}
    row |= {"miner_version": spec.miner, "miner_id": miner.miner_id}
    return row


def _stats_god(miner: Antminer) -> dict[str, Any]:
    process, spec = miner.process, miner.spec
    boards = {spec.chains[index]: index for index in miner.boards()}
    row = _rates(miner, text=False)
    if spec.rate_unit:
        row["rate_unit"] = spec.rate_unit
    row |= {
        "total_rateideal": miner.rate(miner.ideal_hs()),
        "total_rate": miner.rate(process.rate_5s()),
        "miner_count": len(boards),
        "frequency": spec.frequency,
        "fan_num": len(spec.fans),
    }
    row |= _fans(miner, 4)
    row["temp_num"] = len(boards)
    for number, index in boards.items():
        pcb, chip = miner.board_temps(index), miner.chip_temps(index)
        row |= {
            f"temp{number}": max(pcb),
            f"temp2_{number}": max(chip),
            f"temp_in_pcb_{number}": f"{pcb[0]}-{pcb[0]}-{pcb[2]}-{pcb[2]}",
            f"temp_out_pcb_{number}": f"{pcb[1]}-{pcb[1]}-{pcb[3]}-{pcb[3]}",
            f"temp_in_chip_{number}": f"{chip[0]}-{chip[0]}-{chip[2]}-{chip[2]}",
            f"temp_out_chip_{number}": f"{chip[1]}-{chip[1]}-{chip[3]}-{chip[3]}",
            f"CHAIN AVG HASHRATE{number}": (
                f"{miner.rate(process.board_rate(index)):.2f} {spec.rate_unit_new}"
            ),
        }
    row["temp_max"] = max((max(miner.chip_temps(i)) for i in boards.values()), default=0)
    row |= {"no_matching_work": process.hardware_errors(), "total_acn": len(boards) * spec.chips}
    row |= _chains(miner, spec.chains)
    if spec.algorithm == "ethash":  # these chains count in GH/s beside MH/s totals
        row |= {f"chain_rate{n}": process.board_rate(i) / 1e9 for n, i in boards.items()}
    row |= {"miner_version": spec.miner, "miner_id": miner.miner_id}
    return row


def _rates(miner: Antminer, *, text: bool) -> dict[str, Any]:
    now = miner.rate(miner.process.rate_5s())
    return {"GHS 5s": f"{now:.2f}" if text else now, "GHS av": miner.rate(miner.process.rate_avg())}


def _fans(miner: Antminer, slots: int) -> dict[str, int]:
    spinning = miner.spec.fans
    return {
        f"fan{slot}": miner.process.fan_rpm(slot) if slot in spinning else 0
        for slot in range(1, slots + 1)
    }


def _chains(miner: Antminer, slots: Sequence[int], *, hidden: bool = False) -> dict[str, Any]:
    spec, process = miner.spec, miner.process
    boards = {} if hidden else {spec.chains[index]: index for index in miner.boards()}
    states = chip_text(spec.chips, spec.group, "x" if process.powered_down else "o")
    errors = process.hardware_errors() // max(1, len(boards))
    row: dict[str, Any] = {f"chain_acn{n}": spec.chips if n in boards else 0 for n in slots}
    row |= {f"chain_acs{n}": states if n in boards else "" for n in slots}
    row |= {f"chain_hw{n}": errors if n in boards else 0 for n in slots}
    row |= {
        f"chain_rate{n}": f"{miner.rate(process.board_rate(boards[n])):.2f}" if n in boards else ""
        for n in slots
    }
    return row


def chip_text(chips: int, group: int, mark: str) -> str:
    """Chip states as the firmware prints them: groups, each after a blank."""
    full, rest = divmod(chips, group)
    return (" " + mark * group) * full + (" " + mark * rest if rest else "")


def _dashed(temps: Any, index: int | None) -> str:
    return "0-0-0-0" if index is None else "-".join(str(temp) for temp in temps(index))


def _hardware(miner: Antminer) -> dict[str, Any]:
    return {
        "Miner": miner.spec.miner,
        "CompileTime": miner.compile_time,
        "Type": miner.shown_type(),
    }


def _whole(miner: Antminer, code: int, message: str, section: str, rows: list[Any]) -> Reply:
    return {"STATUS": [_status(miner, "S", code, message)], section: rows, "id": 1}


def _status(miner: Antminer, letter: str, code: int, message: str) -> dict[str, Any]:
    return {
        "STATUS": letter,
        "When": miner.clock.unix(),
        "Code": code,
        "Msg": message,
        "Description": miner.spec.description,
    }


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return re.sub(r"[|,=\\]", lambda found: "\\" + found.group(), str(value))


_SHAPES: Final = {
    Shape.CLASSIC: _stats_classic,
    Shape.SOC: _stats_soc,
    Shape.BM: _stats_bm,
    Shape.GOD: _stats_god,
}
_MAKERS: Final = {
    "version": _version,
    "summary": _summary,
    "devs": _devs,
    "pools": _pools,
    "stats": _stats,
}
