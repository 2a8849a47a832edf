"""A reading of an ASIC as the monitor wants it: names, units and fields that both its text and server 5.0.0 take."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

from agent.sinks.rigmonitor.figures import text, whole
from contract.miner import Algorithm, Board, Identity, Make, Moving, Pool, Static
from contract.rigmonitor.asic import (
    BOARDS,
    FANS,
    GH_PER_S,
    NO_POOL,
    POOLS,
    AsicLog,
    AsicSpec,
    PoolState,
)
from contract.rigmonitor.shared import OFFICIAL_TEXT_CHARS, OFFICIAL_UPTIME_DAYS, uptime_text

_GIGA: Final = 1e9
_DIGITS: Final = 9  # of a rate in GH/s: solutions of Equihash are thousands per second
_ALIVE: Final = "alive"
_NAMES: Final = {
    Make.ANTMINER: "Antminer",
    Make.ICERIVER: "Ice River",
    Make.WHATSMINER: "WhatsMiner",
}
# Where an algorithm has one coin that nearly all of its miners work for.
_COINS: Final = {
    Algorithm.SHA256: "Bitcoin",
    Algorithm.SCRYPT: "Litecoin",
    Algorithm.KHEAVYHASH: "Kaspa",
    Algorithm.ETHASH: "Ethereum Classic",
    Algorithm.EQUIHASH: "Zcash",
    Algorithm.X11: "Dash",
}


class IncompleteError(Exception):
    """The miner does not tell what the monitor insists on. `fields` are the monitor's names."""

    def __init__(self, fields: Iterable[str]) -> None:
        self.fields = tuple(fields)
        super().__init__(", ".join(self.fields))


def spec_of(identity: Identity, static: Static | None) -> AsicSpec:
    """What the miner is. Raises IncompleteError.

    A firmware of one piece is told as both versions. The variant is the nominal rate (`12TH`).
    """
    firmware = text(static.system_version if static else None) or text(identity.firmware_version)
    model = text(identity.model)
    software = text(static.software_version if static else None) or firmware
    missing = [
        name
        for name, value in (
            ("model", model),
            ("firmware_version", firmware),
            ("software_version", software),
        )
        if value is None
    ]
    if model is None or firmware is None or software is None:
        raise IncompleteError(missing)
    return AsicSpec(
        model=_named(identity.make, model),
        model_variant=_variant(static.hashrate_ideal_hs if static else None),
        firmware_version=firmware,
        software_version=software,
    )


def coin_of(algorithm: Algorithm | None) -> str | None:
    """The coin such a miner most likely works for; `None` where that would be a guess."""
    return None if algorithm is None else _COINS.get(algorithm)


def log_of(
    moving: Moving,
    *,
    lan_ip: str,
    coin_name: str | None,
    power_w: float | None,
    wan_ip: str | None = None,
    official: bool = True,
) -> AsicLog:
    """What the miner does. `official` keeps the uptime inside what the official server can store.

    Raises IncompleteError for what is required and not known: rather no record than an invented figure. The one
    exception is a miner without fans, whose first is told as 0 rpm, as IceRivers themselves tell a fan they lack.
    """
    rate = _gh(_first(_windows(moving)))
    boards = sorted(moving.boards, key=lambda board: board.index)[:BOARDS]
    temp = whole(_inlet(boards[0], moving) if boards else _board_of(moving))
    fans = [whole(rpm) for rpm in moving.fan_rpm[:FANS]] or [0]
    power, coin = whole(power_w), text(coin_name)
    uptime_s = _first((moving.uptime_s,))
    required = {
        "hashrate_5_min": rate,
        "uptime": uptime_s,
        "hashboard_1_temp_1": temp,
        "fan_1_speed": fans[0],
        "coin_name": coin,
        "power": power,
    }
    missing = [name for name, value in required.items() if value is None]
    if (
        missing
        or rate is None
        or uptime_s is None
        or temp is None
        or fans[0] is None
        or coin is None
        or power is None
    ):
        raise IncompleteError(missing)
    optional: dict[str, Any] = {}
    for number, board in enumerate(boards, start=1):
        optional |= _board(number, board)
    for number, rpm in enumerate(fans[1:], start=2):
        optional[f"fan_{number}_speed"] = rpm
    pools = sorted(moving.pools, key=lambda pool: pool.index)[:POOLS]
    for number, pool in enumerate(pools[1:], start=2):
        optional |= _pool(number, pool)
    first = _pool(1, pools[0] if pools else None)
    optional |= {
        "hashboard_1_temp_1": temp,
        "fan_1_speed": fans[0],
        "hashrate_30_min": _gh(moving.hashrate_30m_hs),
        "pool_rejection_rate": _rejection(moving),
    }
    return AsicLog(
        hashrate_5_min=rate,
        hashrate_uom=GH_PER_S,
        uptime=uptime_text(uptime_s, days_max=OFFICIAL_UPTIME_DAYS if official else None),
        lan_ip=lan_ip,
        wan_ip=text(wan_ip),
        coin_name=coin,
        power=power,
        **first,
        **optional,
    )


# --- private -------------------------------------------------------------------------------------


def _named(make: Make, model: str) -> str:
    """With its maker in front, where the model alone does not name him."""
    maker = _NAMES.get(make)
    if maker is None:
        return model
    for spelling in (maker, maker.replace(" ", "")):
        if model.lower().startswith(spelling.lower()):
            model = model[len(spelling) :].strip()
    return f"{maker} {model}"[:OFFICIAL_TEXT_CHARS]


def _variant(ideal_hs: float | None) -> str | None:
    if not ideal_hs or not math.isfinite(ideal_hs) or ideal_hs < 0:
        return None
    for unit, size in (("TH", 1e12), ("GH", 1e9), ("MH", 1e6)):
        if ideal_hs >= size:
            return f"{float(f'{ideal_hs / size:.4g}'):g}{unit}"
    return None


def _windows(moving: Moving) -> tuple[float | None, ...]:
    """The shortest average over five minutes or more; else the longest of what is shorter."""
    return (
        moving.hashrate_5m_hs,
        moving.hashrate_15m_hs,
        moving.hashrate_30m_hs,
        moving.hashrate_avg_hs,
        moving.hashrate_1m_hs,
        moving.hashrate_hs,
    )


def _board(number: int, board: Board) -> dict[str, Any]:
    """All of one board but the temperature that is required of the first."""
    found: dict[str, Any] = {
        f"hashboard_{number}_hashrate_5_min": _gh(board.hashrate_hs),
        f"hashboard_{number}_temp_2": whole(_first((board.temp_outlet_c, board.temp_chip_c))),
    }
    if number > 1:
        found[f"hashboard_{number}_temp_1"] = whole(_first((board.temp_inlet_c, board.temp_pcb_c)))
    return found


def _inlet(board: Board, moving: Moving) -> float | None:
    """Inlet or board; a miner that measures elsewhere alone tells what it has."""
    return _first((board.temp_inlet_c, board.temp_pcb_c, _board_of(moving), board.temp_chip_c))


def _board_of(moving: Moving) -> float | None:
    return _first((moving.temp_board_c, moving.temp_inlet_c, moving.temp_env_c, moving.temp_chip_c))


def _pool(number: int, pool: Pool | None) -> dict[str, Any]:
    if pool is None:
        return {
            f"pool_{number}_address": NO_POOL,
            f"pool_{number}_user": NO_POOL,
            f"pool_{number}_state": PoolState.UNCONNECTED,
        }
    works = pool.active if pool.active is not None else pool.status == _ALIVE
    return {
        f"pool_{number}_address": text(pool.url) or NO_POOL,
        f"pool_{number}_user": text(pool.user) or NO_POOL,
        f"pool_{number}_state": PoolState.CONNECTED if works else PoolState.UNCONNECTED,
        f"pool_{number}_accepted_share": whole(pool.accepted),
        f"pool_{number}_rejected_share": whole(pool.rejected),
    }


def _rejection(moving: Moving) -> float | None:
    """Percent of the shares, as the miner itself tells it, else counted."""
    told: float | None = moving.pool_reject_percent
    if told is not None:
        return told if math.isfinite(told) else None
    accepted, rejected = moving.accepted, moving.rejected
    if accepted is None or rejected is None or accepted + rejected <= 0:
        return None
    return round(100.0 * rejected / (accepted + rejected), 6)


def _first(values: Iterable[float | None]) -> float | None:
    """The first that is a figure."""
    return next((value for value in values if value is not None and math.isfinite(value)), None)


def _gh(rate_hs: float | None) -> float | None:
    """In GH/s, always with a fraction, which a float column likes."""
    if rate_hs is None or not math.isfinite(rate_hs):
        return None
    return round(float(rate_hs) / _GIGA, _DIGITS)
