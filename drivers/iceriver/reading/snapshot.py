"""What a panel means, in SI units. Nothing of it tells power, a serial number, or a chip's temperature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from contract.miner import Algorithm, Board, BoardState, MinerFault, Moving, Pool, UptimeKind
from drivers.iceriver.models import IceriverSpec
from drivers.iceriver.reading.figures import fans_rpm, percent, rate_hs, runtime_s, temp_c, truth
from drivers.protocol.values import number, text_of, whole
from drivers.reading.boards import believed, doubt_fault, doubt_of

BOARDS_CAP: Final = 16
POOLS_CAP: Final = 16
Row = Mapping[str, Any]


class IceriverSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Moving facts, and what of the same panel belongs to slower records."""

    moving: Moving
    ideal_hs: float | None = None
    light_on: bool | None = None
    faults: tuple[MinerFault, ...] = ()


def snapshot_of(fields: Row, model: IceriverSpec | None) -> IceriverSnapshot:
    """A look at a panel, or at those parts of it that were asked for."""
    unit = fields.get("unit")
    boards = boards_of(fields.get("boards"), unit, model)
    pools = pools_of(fields.get("pools"), unit)
    rate, mean = rate_hs(fields.get("rtpow"), unit), rate_hs(fields.get("avgpow"), unit)
    doubt = doubt_of((rate, mean), (board.hashrate_hs for board in boards), factor=_DOUBTFUL_FACTOR)
    faults = faults_of(fields, boards)
    moving = Moving(
        hashrate_hs=rate,  # the shortest window there is: 5 minutes
        hashrate_5m_hs=rate,
        hashrate_30m_hs=mean,
        temp_board_c=_highest(board.temp_pcb_c for board in boards),
        temp_outlet_c=_highest(board.temp_outlet_c for board in boards),
        temp_chip_c=_highest(board.temp_chip_c for board in boards),
        fan_rpm=fans_rpm(fields.get("fans"), model.fans if model else None),
        uptime_s=(ran := runtime_s(fields.get("runtime"))),
        uptime_kind=None if ran is None else UptimeKind.PROCESS,
        accepted=_sum(pool.accepted for pool in pools),
        rejected=_sum(pool.rejected for pool in pools),
        pool_reject_percent=percent(fields.get("reject")),
        hw_errors=_sum(board.hw_errors for board in boards),
        boards=boards,
        pools=pools,
    )
    return IceriverSnapshot(
        moving=believed(moving, doubt),
        ideal_hs=None if doubt else _ideal(boards),
        light_on=truth(fields.get("locate")),
        faults=faults if doubt is None else (*faults, doubt_fault(doubt)),
    )


def boards_of(rows: Any, unit: Any, model: IceriverSpec | None) -> tuple[Board, ...]:
    """The boards, counted from 0. `intmp` is at the board's cool end and stands for the board, `outtmp` for the air
    behind it. `chipsuc` and the list `false` say the same of sick and healthy boards, so nothing is taken from them.
    """
    boards: list[Board] = []
    for at, row in enumerate(rows[:BOARDS_CAP] if isinstance(rows, list) else ()):
        if not isinstance(row, dict):
            continue
        rate = rate_hs(row.get("rtpow"), unit)
        frequency = number(row.get("freq"))
        is_well = truth(row.get("state"))
        boards.append(
            Board(
                index=_index(row.get("no"), at),
                hashrate_hs=rate,
                hashrate_30m_hs=rate_hs(row.get("avgpow"), unit),
                hashrate_ideal_hs=_plausible(rate_hs(row.get("idealpow"), unit), rate),
                chips=whole(row.get("chipnum")),
                chips_expected=model.chips_per_board if model else None,
                frequency_hz=frequency * _MEGA if frequency and frequency > 0 else None,
                temp_chip_c=temp_c(row.get("chiptmp")),
                temp_pcb_c=temp_c(row.get("intmp")),
                temp_outlet_c=temp_c(row.get("outtmp")),
                hw_errors=whole(row.get("error")),
                state=None if is_well is None else BoardState.OK if is_well else BoardState.BAD,
            )
        )
    return tuple(boards)


def pools_of(rows: Any, unit: Any) -> tuple[Pool, ...]:
    """The slots that are set, counted from 0. There is no word for their state, only whether they are connected."""
    pools: list[Pool] = []
    for at, row in enumerate(rows[:POOLS_CAP] if isinstance(rows, list) else ()):
        url = text_of(row.get("addr")) if isinstance(row, dict) else None
        if url is None:
            continue
        connected = truth(row.get("connect"))
        state = number(row.get("state"))
        pools.append(
            Pool(
                index=_index(row.get("no"), at),
                url=url,
                user=text_of(row.get("user")),
                status=None if connected is None else "alive" if connected else "dead",
                active=None if state is None else state == _ACTIVE and connected is not False,
                priority=whole(row.get("priority")),
                accepted=whole(row.get("accepted")),
                rejected=whole(row.get("rejected")),
                difficulty=rate_hs(row.get("diff"), unit) or None,
            )
        )
    return tuple(pools)


def faults_of(fields: Row, boards: tuple[Board, ...]) -> tuple[MinerFault, ...]:
    """What the miner itself says is wrong. Its flag for temperatures is down on healthy miners too, so it counts only
    beside a sensor that shows nothing.
    """
    faults = [
        MinerFault(code=code, text=text, severity=severity)
        for key, code, text, severity in _FLAGS
        if truth(fields.get(key)) is False
    ]
    blind = [
        board.index + 1
        for board in boards
        if board.temp_pcb_c is None or board.temp_outlet_c is None
    ]
    if truth(fields.get("tempstate")) is False and blind:
        where = ", ".join(map(str, blind))
        text = f"the miner reports its temperatures as not normal; no good sensor on board {where}"
        faults.append(MinerFault(code="temperature", text=text, severity="warning"))
    faults.extend(
        MinerFault(code="board", text=f"the miner reports board {board.index + 1} as failed")
        for board in boards
        if board.state is BoardState.BAD
    )
    return tuple(faults)


def algorithm_of(model: IceriverSpec | None, word: str | None) -> Algorithm | None:
    """What it hashes: by its family, or by the firmware's own word for it."""
    return model.algorithm if model else _ALGORITHMS.get((word or "").strip().lower())


# --- private -------------------------------------------------------------------------------------

_MEGA: Final = 1e6
_ACTIVE: Final = 1.0
_LEAST_OF_IDEAL: Final = 0.5
# Each figure names its unit, and over how long a board's is a mean is not known: one example of pbfarmer's maker has
# boards at a quarter of the whole. What is left for a doubt is nearer to a thousand than to one.
_DOUBTFUL_FACTOR: Final = 30.0
_FLAGS: Final = (
    ("online", "offline", "its daemon says that the miner is offline", "warning"),
    ("powstate", "hashrate", "the miner reports its hash rate as not normal", "warning"),
    ("netstate", "network", "the miner reports its network or its pools as not normal", "warning"),
    ("fanstate", "fans", "the miner reports its fans as not normal", "warning"),
)
_ALGORITHMS: Final = {
    "kheavyhash": Algorithm.KHEAVYHASH,
    "blake3": Algorithm.BLAKE3,
    "sha512256d": Algorithm.SHA512_256D,
    "zksnark": Algorithm.ZKSNARK,
}


def _index(value: Any, at: int) -> int:
    """From 0, where the miner counts from 1."""
    told = whole(value)
    return told - 1 if told else at


def _plausible(ideal_hs: float | None, rate_hs: float | None) -> float | None:
    """A rated hash rate; stock firmware says 0, and some a figure far below what the board does."""
    if not ideal_hs or not rate_hs:
        return None
    return ideal_hs if ideal_hs >= _LEAST_OF_IDEAL * rate_hs else None


def _ideal(boards: tuple[Board, ...]) -> float | None:
    known = [board.hashrate_ideal_hs for board in boards if board.hashrate_ideal_hs]
    return sum(known) if known and len(known) == len(boards) else None


def _sum(values: Any) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _highest(values: Any) -> float | None:
    return max((value for value in values if value is not None), default=None)
