"""Facts about boards put where they belong, and what they say of the whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from contract.miner import MinerFault, Moving
from drivers.protocol.values import rate_text

Window = tuple[float | None, list[float | None]]
DOUBTFUL_FACTOR: Final = 3.0  # no board that fails makes the sum and the whole differ by so much


def with_serials(moving: Moving, serials: Mapping[int, str]) -> Moving:
    """The same with the board serials learned earlier."""
    if not serials:
        return moving
    boards = tuple(
        msgspec.structs.replace(board, serial=serials[board.index])
        if board.serial is None and board.index in serials
        else board
        for board in moving.boards
    )
    return msgspec.structs.replace(moving, boards=boards)


def doubt_of(
    whole_hs: Iterable[float | None],
    boards_hs: Iterable[float | None],
    *,
    expected: int | None = None,
    factor: float = DOUBTFUL_FACTOR,
) -> str | None:
    """Both figures in words where the rate of the whole and the sum of its boards differ by more than `factor`, which
    only a wrong unit explains. `None` where they agree, or where one of them is 0 or not told.

    `whole_hs` is the whole in each of its windows, the present one first: work that begins or stops takes two windows
    apart, so one that agrees is enough. A board that tells no rate, or that is missing of those `expected`, may do as
    much as the others.
    """
    wholes = [rate for rate in whole_hs if rate is not None]
    rates = list(boards_hs)
    told = [rate for rate in rates if rate is not None]
    sum_hs = sum(told)
    if not wholes or not wholes[0] or not sum_hs:
        return None
    most_hs = sum_hs * max(len(rates), expected or 0) / len(told)
    if any(sum_hs / factor <= rate <= most_hs * factor for rate in wholes):
        return None
    return (
        f"it tells a hash rate of {rate_text(wholes[0])}, while its parts make {rate_text(sum_hs)} together: "
        "one of the two counts in another unit, so neither is believed"
    )


def fullest(windows: Iterable[Window]) -> Window:
    """Of a whole and its boards over several windows the one that most boards tell, of those the first."""
    told = [(whole_hs, parts) for whole_hs, parts in windows if whole_hs is not None]
    return min(told, key=lambda each: each[1].count(None), default=(None, []))


def believed(moving: Moving, doubt: str | None) -> Moving:
    """The same without any rate where there is a doubt: which of its figures is right, nobody knows."""
    if doubt is None:
        return moving
    unrated = dict.fromkeys(_BOARD_RATES)
    boards = tuple(msgspec.structs.replace(board, **unrated) for board in moving.boards)
    rates = dict.fromkeys(_RATES)
    return msgspec.structs.replace(moving, **rates, boards=boards, hashrate_doubt=doubt)


def doubt_fault(doubt: str) -> MinerFault:
    """The fault that tells it."""
    return MinerFault(code="rate_unit_doubtful", text=doubt, severity="warning")


# --- private -------------------------------------------------------------------------------------

_RATES: Final = (
    "hashrate_hs",
    "hashrate_1m_hs",
    "hashrate_5m_hs",
    "hashrate_15m_hs",
    "hashrate_30m_hs",
    "hashrate_avg_hs",
)
_BOARD_RATES: Final = ("hashrate_hs", "hashrate_30m_hs", "hashrate_ideal_hs")
