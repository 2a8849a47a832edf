"""Reports of machines as the readings of every other miner: H/s, W, degC, s. Pure.

MRM leaves open what the two temperatures of a board are; their use is inlet (or board) and outlet (or chip), so they
are kept as inlet and outlet. Its 5 minute mean is the youngest rate there is and stands for the rate now.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any, Final

from contract.miner import Board, Make, Moving, Pool, Static
from contract.rigmonitor import (
    BOARDS,
    FANS,
    NO_POOL,
    POOLS,
    AsicLog,
    AsicSpec,
    PoolState,
    hashrate_hs,
    uptime_s,
)

# `alive` is the word miners have for it, by which a miner without any pool is found.
_POOL_WORDS: Final = {PoolState.CONNECTED: "alive", PoolState.UNCONNECTED: "unconnected"}
_MAKES: Final = (
    (Make.ICERIVER, re.compile(r"ice ?river", re.IGNORECASE)),
    (Make.ANTMINER, re.compile(r"antminer|bitmain", re.IGNORECASE)),
    (Make.WHATSMINER, re.compile(r"whatsminer|microbt", re.IGNORECASE)),
)
_RATE_MAX_HS: Final = 1e24  # more than all miners of the world together
_NAMEPLATE: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?) ?([kmgtpe]h(?:/?s)?)", re.IGNORECASE)


def static_of(spec: AsicSpec) -> Static:
    """What it is. A variant that is a rate (`12TH`) is the rate on its nameplate."""
    nameplate = _NAMEPLATE.fullmatch((spec.model_variant or "").strip())
    return Static(
        make=next((make for make, words in _MAKES if words.search(spec.model)), Make.UNKNOWN),
        model=spec.model,
        firmware_version=spec.firmware_version,
        software_version=spec.software_version,
        hashrate_ideal_hs=None
        if nameplate is None
        else hashrate_hs(float(nameplate[1]), nameplate[2][:2]),
    )


def moving_of(log: AsicLog) -> Moving:
    """What it does. A rate that cannot be, or is in a unit nobody knows, is no rate."""
    pools = tuple(pool for index in range(POOLS) if (pool := _pool(log, index)) is not None)
    boards = tuple(board for index in range(BOARDS) if (board := _board(log, index)) is not None)
    fans = [getattr(log, f"fan_{number}_speed") for number in range(1, FANS + 1)]
    rate = _rate(log.hashrate_5_min, log)
    return Moving(
        hashrate_hs=rate,
        hashrate_5m_hs=rate,
        hashrate_30m_hs=_rate(log.hashrate_30_min, log),
        power_w=float(log.power),
        temp_inlet_c=_most(board.temp_inlet_c for board in boards),
        temp_outlet_c=_most(board.temp_outlet_c for board in boards),
        fan_rpm=tuple(rpm for rpm in fans if rpm is not None),
        uptime_s=uptime_s(log.uptime),
        accepted=_sum(pool.accepted for pool in pools),
        rejected=_sum(pool.rejected for pool in pools),
        pool_reject_percent=log.pool_rejection_rate,
        boards=boards,
        pools=pools,
    )


def ip_of(log: AsicLog) -> str:
    """The address it says it has; "" for what is none."""
    try:
        return str(ip_address(log.lan_ip.split()[0]))
    except (ValueError, IndexError):
        return ""


def _pool(log: AsicLog, index: int) -> Pool | None:
    slot = f"pool_{index + 1}_"
    url: str | None = getattr(log, f"{slot}address")
    if url is None or url == NO_POOL:
        return None
    state: PoolState | None = getattr(log, f"{slot}state")
    return Pool(
        index=index,
        url=url,
        user=getattr(log, f"{slot}user"),
        status=None if state is None else _POOL_WORDS[state],
        active=None if state is None else state is PoolState.CONNECTED,
        accepted=getattr(log, f"{slot}accepted_share"),
        rejected=getattr(log, f"{slot}rejected_share"),
    )


def _board(log: AsicLog, index: int) -> Board | None:
    slot = f"hashboard_{index + 1}_"
    board = Board(
        index=index,
        hashrate_hs=_rate(getattr(log, f"{slot}hashrate_5_min"), log),
        hashrate_30m_hs=_rate(getattr(log, f"{slot}hashrate_30_min"), log),
        temp_inlet_c=getattr(log, f"{slot}temp_1"),
        temp_outlet_c=getattr(log, f"{slot}temp_2"),
    )
    return None if board == Board(index=index) else board


def _rate(value: float | None, log: AsicLog) -> float | None:
    rate = None if value is None else hashrate_hs(value, log.hashrate_uom)
    # Rates are added up over a day, and must still be a number then.
    return rate if rate is not None and 0 <= rate <= _RATE_MAX_HS else None


def _most(values: Any) -> float | None:
    return max((float(value) for value in values if value is not None), default=None)


def _sum(values: Any) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
