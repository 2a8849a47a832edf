"""What the replies of API v3 mean, in SI units. Hash rates count TH/s throughout."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from contract.miner import Board, Moving, Pool, Psu
from drivers.protocol.values import number, text_of, whole
from drivers.reading.boards import believed, doubt_of, fullest
from drivers.whatsminer.models import Cooling
from drivers.whatsminer.protocol.frames import BoardRow, PoolRow3, StatusReply
from drivers.whatsminer.reading.faults import Code, codes_of
from drivers.whatsminer.reading.figures import (
    MEGA,
    TERA,
    ago_s,
    fans,
    first,
    highest,
    ideal,
    lower,
    positive,
    scaled,
    state_of,
    temp,
    truth,
    uptime_kind,
)
from drivers.whatsminer.reading.snapshot import BOARDS_CAP, POOLS_CAP, Row, WhatsminerSnapshot


def snapshot_of_status(reply: StatusReply, cooling: Cooling | None) -> WhatsminerSnapshot | None:
    """A look through port 4433; `None` where the mining process gave no summary (it restarts, or is off)."""
    msg = reply.msg
    if msg is None or isinstance(msg, str) or msg.summary is None:
        return None
    one: Row = msg.summary
    temps = one.get("board-temperature")
    boards = boards_of(msg.edevs or [], temps if isinstance(temps, list) else [])
    elapsed, boot = positive(one.get("elapsed")), positive(one.get("bootup-time"))
    env = temp(one.get("environment-temperature", one.get("environment-tempurature")))
    is_liquid = None if cooling is None else cooling is not Cooling.AIR
    moving = Moving(
        hashrate_hs=_rate_now(one),
        hashrate_1m_hs=scaled(one.get("hash-1min"), TERA),
        hashrate_15m_hs=scaled(one.get("hash-15min"), TERA),
        hashrate_avg_hs=scaled(one.get("hash-average"), TERA),
        power_w=first(positive(one.get("power-realtime")), positive(one.get("power-5min"))),
        temp_chip_c=temp(one.get("chip-temp-max")),
        temp_board_c=highest(temp(each) for each in temps) if isinstance(temps, list) else None,
        temp_inlet_c=env if is_liquid else None,
        temp_env_c=env,
        fan_rpm=fans(one.get("fan-speed-in"), one.get("fan-speed-out"), is_liquid),
        uptime_s=boot if elapsed is None else elapsed,
        uptime_kind=uptime_kind(elapsed, boot),
        pool_reject_percent=reject_percent(msg.pools or []),
        boards=boards,
        pools=pools_of(msg.pools or [], number(reply.when)),
    )
    return WhatsminerSnapshot(
        moving=believed(moving, _doubt(one, msg.edevs or [])),
        row=one,
        ideal_hs=ideal(one.get("factory-hash"), TERA),
        elapsed_s=elapsed,
        boot_s=boot,
        power_limit_w=positive(one.get("power-limit")) or None,
        is_ramping=whole(one.get("up-freq-finish")) == 0,
        is_liquid=is_liquid,
    )


def boards_of(rows: list[BoardRow], temps: list[Any]) -> tuple[Board, ...]:
    """The boards; their own temperatures stand in the summary, by slot."""
    boards: list[Board] = []
    for at, row in enumerate(rows[:BOARDS_CAP]):
        slot = whole(row.slot)
        if slot is None:
            slot = whole(row.id)
        if slot is None:
            slot = at
        frequency = number(row.freq)
        rate = scaled(row.rate_now, TERA)
        boards.append(
            Board(
                index=slot,
                hashrate_hs=scaled(row.rate_mean, TERA) if rate is None else rate,
                hashrate_ideal_hs=ideal(row.factory, TERA),
                chips=whole(row.chips),
                frequency_hz=frequency * MEGA if frequency and frequency > 0 else None,
                temp_chip_c=temp(row.chip_max),
                temp_pcb_c=temp(temps[slot]) if slot < len(temps) else None,
                state=state_of(text_of(row.status)),
            )
        )
    return tuple(boards)


def pools_of(rows: list[PoolRow3], when_s: float | None) -> tuple[Pool, ...]:
    """The slots that are set. This API counts no shares."""
    used = [row for row in rows[:POOLS_CAP] if text_of(row.url)]
    return tuple(
        Pool(
            index=at + 1 if (index := whole(row.id)) is None else index,
            url=text_of(row.url) or "",
            user=text_of(row.account),
            status=lower(row.status),
            active=truth(row.active),
            priority=at if (rank := whole(row.priority)) is None else rank,
            difficulty=positive(row.difficulty) or None,
            last_share_s=ago_s(row.last_share, when_s),
        )
        for at, row in enumerate(used)
    )


def reject_percent(rows: list[PoolRow3]) -> float | None:
    """Of the pool in use, which two names are known for."""
    for row in rows[:POOLS_CAP]:
        if truth(row.active):
            found = first(positive(row.reject_percent), positive(row.reject_rate))
            return found if found is not None and found <= 100.0 else None
    return None


def with_coolant(look: WhatsminerSnapshot, power: Row) -> WhatsminerSnapshot:
    """The same with what the supply of a liquid-cooled model tells: that it is one, and how warm its coolant is where
    the summary does not say.
    """
    coolant_c = temp(power.get("liquid-temperature"))
    if coolant_c in {None, _UNKNOWN} or look.is_liquid is False:
        return look
    inlet_c = first(look.moving.temp_inlet_c, coolant_c)
    moving = msgspec.structs.replace(look.moving, temp_inlet_c=inlet_c)
    return msgspec.structs.replace(look, moving=moving, is_liquid=True)


def power_limit_w(look: WhatsminerSnapshot, setting: Row, miner: Row) -> float | None:
    """The power limit: the summary's, else what is set, for a mining process that is down has none. `None`: none is."""
    told = (setting.get("power-limit"), miner.get("power-limit-set"))
    return look.power_limit_w or next((found for each in told if (found := positive(each))), None)


def heat_mode(setting: Row, miner: Row) -> str | None:
    """What it warms or keeps from freezing, in the miner's word; `None` where it only mines."""
    word = text_of(miner.get("heatmode")) or text_of(setting.get("heat-mode"))
    return None if word is None or word.lower() == "normal" else word[:40]


def psu_of(power: Row) -> Psu | None:
    """The `power` part of a device info: A, V, but 10 mV for the output."""
    output = positive(power.get("vout"))
    psu = Psu(
        model=text_of(power.get("model")) or text_of(power.get("type")),
        serial=text_of(power.get("sn")),
        version=text_of(power.get("swversion")),
        input_v=positive(power.get("vin")),
        input_a=positive(power.get("iin")),
        output_v=None if output is None else output / 100.0,
        fan_rpm=whole(power.get("fanspeed")) or None,  # liquid-cooled ones have no fan
        temp_c=temp(power.get("temp0")),
    )
    return psu if psu != Psu() else None


def mode_word(setting: Row, power: Row) -> str | None:
    """The setting's own word, else the number in the `power` part of a device info."""
    word = text_of(setting.get("power-mode"))
    if word is not None:
        return word
    figure = whole(power.get("mode"))
    return _MODE_WORDS.get(figure) if figure is not None else None


def part_of(fields: Row, name: str) -> Row:
    """One part of a device info; nothing where it is missing."""
    part = fields.get(name)
    return part if isinstance(part, dict) else {}


def serials_of(miner: Row) -> dict[int, str]:
    """Board serials by slot, out of the `miner` part of a device info."""
    found = ((slot, text_of(miner.get(f"pcbsn{slot}"))) for slot in range(BOARDS_CAP))
    return {slot: serial for slot, serial in found if serial}


def codes_of_device(fields: Row) -> tuple[Code, ...]:
    """The active error codes of a device info."""
    return codes_of(fields.get("error-code"))


# --- private -------------------------------------------------------------------------------------

_MODE_WORDS: Final = {0: "low", 1: "normal", 2: "high"}
_UNKNOWN: Final = -1.0  # as these devices say it


def _doubt(one: Row, rows: list[BoardRow]) -> str | None:
    """See `drivers.reading.boards.doubt_of`: of one window that the whole and its boards tell."""
    whole_hs, parts = fullest(
        (
            scaled(one.get(key), TERA),
            [scaled(getattr(row, name), TERA) for row in rows[:BOARDS_CAP]],
        )
        for key, name in (("hash-realtime", "rate_now"), ("hash-average", "rate_mean"))
    )
    return doubt_of((whole_hs,), parts)


def _rate_now(one: Row) -> float | None:
    for key in ("hash-realtime", "hash-1min", "hash-average"):
        if (rate := scaled(one.get(key), TERA)) is not None:
            return rate
    return None
