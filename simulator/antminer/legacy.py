"""4028 replies in cgminer's old shape, one layout of `stats` per family."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from simulator.antminer.catalogue import Generation, Shape
from simulator.antminer.layouts import stats_row
from simulator.antminer.pools import AntminerSlotState, pool_states
from simulator.antminer.process import SHARE_DIFFICULTY

if TYPE_CHECKING:
    from simulator.antminer.device import AntminerDevice

Reply = dict[str, Any]
COMMANDS: Final = ("summary", "devs", "pools", "stats", "version")
_GAP: Final = b'"@gap@"'


def encode(miner: AntminerDevice, reply: Reply) -> bytes:
    """The reply as JSON text; some old builds forget the comma inside STATS."""
    text = msgspec.json.encode(reply)
    if miner.spec.malformed and len(reply.get("STATS", ())) == 2:
        head, data = reply["STATS"]
        pair = msgspec.json.encode(head) + msgspec.json.encode(data)
        outer = msgspec.json.encode({**reply, "STATS": ["@gap@"]})
        return outer.replace(_GAP, pair)
    return text


def reply(miner: AntminerDevice, command: str) -> Reply | None:
    """The reply to one command of the legacy table, None when it is not in there."""
    maker = _MAKERS.get(command)
    return None if maker is None else maker(miner)


def error(miner: AntminerDevice, code: int, message: str) -> Reply:
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


def _version(miner: AntminerDevice) -> Reply:
    row = {miner.spec.software_key: miner.spec.software, "API": "3.1", **_hardware(miner)}
    return _whole(miner, 22, f"{miner.spec.title} versions", "VERSION", [row])


def _summary(miner: AntminerDevice) -> Reply:
    process = miner.process
    is_old = miner.spec.generation is Generation.OLD
    rate = miner.units.legacy
    accepted, rejected = process.accepted(), process.rejected()
    elapsed = miner.elapsed()
    row: dict[str, Any] = {"Elapsed": elapsed}
    if miner.spec.generation is Generation.NEW_GOD and "no_rate_texts" in miner.faults:
        row |= {"GHS 5s": rate(process.rate_5s()), "GHS av": rate(process.rate_avg())}
    elif miner.spec.generation is Generation.NEW_GOD:
        unit = miner.units.legacy_word()
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
        "Last getwork": miner.unix(),
    }
    rows = [] if miner.shows_nothing() else [row]
    return _whole(miner, 11, "Summary", "SUMMARY", rows)


def _devs(miner: AntminerDevice) -> Reply:
    process, rate = miner.process, miner.units.legacy
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
        "Last Share Time": miner.unix(),
        "Total MH": 0.0,
        "Diff1 Work": 0,
        "Difficulty Accepted": float(accepted * SHARE_DIFFICULTY),
        "Difficulty Rejected": 0.0,
        "Last Share Difficulty": float(SHARE_DIFFICULTY),
        "Last Valid Work": miner.unix(),
        "Device Hardware%": 0.0,
        "Device Rejected%": 0.0,
        "Device Elapsed": miner.elapsed(),
    }
    if not is_old:
        row["Tenperature"] = row["Temperature"]
    return _whole(miner, 9, "1 ASC(s)", "DEVS", [row])


def _pools(miner: AntminerDevice) -> Reply:
    rows = [_pool(miner, index, pool) for index, pool in enumerate(pool_states(miner))]
    return _whole(miner, 7, f"{len(rows)} Pool(s)", "POOLS", rows)


def _pool(miner: AntminerDevice, index: int, pool: AntminerSlotState) -> dict[str, Any]:
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


def _stats(miner: AntminerDevice) -> Reply:
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
        rows = [head, data | stats_row(miner)]
    return _whole(miner, 70, f"{miner.spec.title} stats", "STATS", rows)


def _hardware(miner: AntminerDevice) -> dict[str, Any]:
    return {
        "Miner": miner.spec.miner,
        "CompileTime": miner.compile_time,
        "Type": miner.shown_type(),
    }


def _whole(miner: AntminerDevice, code: int, message: str, section: str, rows: list[Any]) -> Reply:
    return {"STATUS": [_status(miner, "S", code, message)], section: rows, "id": 1}


def _status(miner: AntminerDevice, letter: str, code: int, message: str) -> dict[str, Any]:
    return {
        "STATUS": letter,
        "When": miner.unix(),
        "Code": code,
        "Msg": message,
        "Description": miner.spec.description,
    }


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return re.sub(r"[|,=\\]", lambda found: "\\" + found.group(), str(value))


_MAKERS: Final = {
    "version": _version,
    "summary": _summary,
    "devs": _devs,
    "pools": _pools,
    "stats": _stats,
}
