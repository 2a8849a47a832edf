"""Reports of ASICs as the readings of every other miner: H/s, W, degC, s. Pure.

MRM leaves open what the two temperatures of a board are; their use is inlet (or board) and outlet (or chip), so they
are kept as inlet and outlet. Its 5 minute mean is the youngest rate there is and stands for the rate now.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

from cloud.rigmonitor.figures import (
    FAN,
    PERCENT,
    POWER,
    RATE,
    SHARES,
    TEMPERATURE,
    UPTIME,
    ReportFigures,
    most,
)
from contract.miner import Board, Make, Moving, Pool, Slow, Static
from contract.rigmonitor.asic import BOARDS, FANS, NO_POOL, POOLS, AsicLog, AsicSpec, PoolState
from contract.rigmonitor.shared import hashrate_hs, uptime_s

# `alive` is the word miners have for it, by which a miner without any pool is found.
_POOL_WORDS: Final = {PoolState.CONNECTED: "alive", PoolState.UNCONNECTED: "unconnected"}
_MAKES: Final = (
    (Make.ICERIVER, re.compile(r"ice ?river", re.IGNORECASE)),
    (Make.ANTMINER, re.compile(r"antminer|bitmain", re.IGNORECASE)),
    (Make.WHATSMINER, re.compile(r"whatsminer|microbt", re.IGNORECASE)),
)
_NAMEPLATE: Final = re.compile(
    r"([0-9]{1,6}(?:\.[0-9]{1,6})?) ?([kmgtpe]h(?:/?s)?)", re.ASCII | re.IGNORECASE
)


def static_of(spec: AsicSpec) -> Static:
    """What it is. A variant that is a rate (`12TH`) is the rate on its nameplate."""
    nameplate = _NAMEPLATE.fullmatch((spec.model_variant or "").strip())
    ideal = None if nameplate is None else hashrate_hs(float(nameplate[1]), nameplate[2][:2])
    return Static(
        make=next((make for make, words in _MAKES if words.search(spec.model)), Make.UNKNOWN),
        model=spec.model,
        firmware_version=spec.firmware_version,
        software_version=spec.software_version,
        hashrate_ideal_hs=ideal if ideal is not None and RATE.allow(ideal) else None,
    )


def state_of(log: AsicLog) -> tuple[Moving, Slow]:
    """What it does, and the faults of what it says."""
    figures = _AsicFigures(log)
    pools = tuple(pool for index in range(POOLS) if (pool := _pool(figures, index)) is not None)
    boards = tuple(
        board for index in range(BOARDS) if (board := _board(figures, index)) is not None
    )
    fans = [figures.within(f"fan_{number}_speed", FAN) for number in range(1, FANS + 1)]
    rate = figures.rate("hashrate_5_min")
    moving = Moving(
        hashrate_hs=rate,
        hashrate_5m_hs=rate,
        hashrate_30m_hs=figures.rate("hashrate_30_min"),
        power_w=figures.within("power", POWER),
        temp_inlet_c=most(board.temp_inlet_c for board in boards),
        temp_outlet_c=most(board.temp_outlet_c for board in boards),
        fan_rpm=tuple(rpm for rpm in fans if rpm is not None),
        uptime_s=figures.uptime(),
        accepted=_sum(pool.accepted for pool in pools),
        rejected=_sum(pool.rejected for pool in pools),
        pool_reject_percent=figures.within("pool_rejection_rate", PERCENT),
        boards=boards,
        pools=pools,
    )
    return moving, Slow(faults=tuple(figures.faults))


class _AsicFigures(ReportFigures):
    """All rates of a log are in one unit."""

    def __init__(self, log: AsicLog) -> None:
        super().__init__(log)
        self.log: AsicLog = log
        self._knows_unit = hashrate_hs(0, log.hashrate_uom) is not None
        if not self._knows_unit:
            self.fault("hashrate_uom", f"{log.hashrate_uom[:20]!r} is no unit of a rate")

    def rate(self, name: str) -> float | None:
        """In H/s. In a unit nobody knows it is none."""
        value: float | None = getattr(self.log, name)
        if value is None or not self._knows_unit:
            return None
        rate = hashrate_hs(value, self.log.hashrate_uom)
        checked: float | None = self.checked(name, math.inf if rate is None else rate, RATE)
        return checked

    def uptime(self) -> float | None:
        """In seconds. Text of another form is none."""
        value: float | None = self.checked("uptime", uptime_s(self.log.uptime), UPTIME)
        return value


def _pool(figures: _AsicFigures, index: int) -> Pool | None:
    slot, log = f"pool_{index + 1}_", figures.log
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
        accepted=figures.within(f"{slot}accepted_share", SHARES),
        rejected=figures.within(f"{slot}rejected_share", SHARES),
    )


def _board(figures: _AsicFigures, index: int) -> Board | None:
    slot = f"hashboard_{index + 1}_"
    board = Board(
        index=index,
        hashrate_hs=figures.rate(f"{slot}hashrate_5_min"),
        hashrate_30m_hs=figures.rate(f"{slot}hashrate_30_min"),
        temp_inlet_c=figures.within(f"{slot}temp_1", TEMPERATURE),
        temp_outlet_c=figures.within(f"{slot}temp_2", TEMPERATURE),
    )
    return None if board == Board(index=index) else board


def _sum(values: Any) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
