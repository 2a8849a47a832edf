"""Facts about boards that another reply than the one of every poll tells, put where they belong."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from contract.miner import Moving


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
