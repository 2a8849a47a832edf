"""A farm that is repaired at random: whatever was moved where, each record is found again at its own case."""

from __future__ import annotations

import random

import pytest

from tests.cloud.assets.farm import Yard
from tests.cloud.conftest import Cloud

CASES = range(1, 7)
ROUNDS = 6
SILENT_S = 600.0


class Workshop:
    """Which control board is in which case; which lie on the shelf."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.inside: dict[int, int | None] = {case: case for case in CASES}
        self._shelf: list[int] = []
        self._next = 100

    def repair(self) -> None:
        """One of the things that people do."""
        kind = self._random.choice(("turn", "turn", "new", "shelf", "fill"))
        full = [case for case, board in self.inside.items() if board is not None]
        empty = [case for case, board in self.inside.items() if board is None]
        if kind == "turn":
            some = self._random.sample(full, min(len(full), self._random.randint(2, 4)))
            boards = [self.inside[case] for case in some]
            for case, board in zip(some, boards[1:] + boards[:1], strict=True):
                self.inside[case] = board
        elif kind == "new":
            case = self._random.choice(full)
            self._put_away(case)
            self.inside[case] = self._next
            self._next += 1
        elif kind == "shelf" and len(full) > 3:
            taker, giver = self._random.sample(full, 2)
            self._put_away(taker)
            self.inside[taker], self.inside[giver] = self.inside[giver], None
        elif kind == "fill" and empty and self._shelf:
            board = self._shelf.pop(self._random.randrange(len(self._shelf)))
            self.inside[self._random.choice(empty)] = board

    def decides(self) -> bool:
        """Whether somebody looks at the proposals today."""
        return self._random.random() < 0.6

    def _put_away(self, case: int) -> None:
        board = self.inside[case]
        assert board is not None
        self._shelf.append(board)


async def confirm_all(yard: Yard) -> None:
    """As long as something can be confirmed."""
    for _ in range(50):
        proposals = {each["id"]: each for each in await yard.proposals()}
        ready = [
            each
            for each in proposals.values()
            if not each["doubts"]
            and not (each["swap_with_id"] and proposals[each["swap_with_id"]]["doubts"])
        ]
        if not ready:
            return
        await yard.confirm(ready[0])
    raise AssertionError("there is always something left to confirm")


@pytest.mark.parametrize(
    "seed",
    [13, 21, 62, 152, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(200, 220))],
)
async def test_each_record_is_found_again_at_its_own_case(cloud: Cloud, seed: int) -> None:
    yard, workshop = await Yard.at(cloud), Workshop(seed)
    macs = await yard.push(*(yard.look(number, number) for number in CASES))
    record = dict(zip(CASES, macs.values(), strict=True))
    for _ in range(ROUNDS):
        workshop.repair()
        looks = [
            yard.look(board, case, ip=f"10.0.1.{case}")
            for case, board in workshop.inside.items()
            if board is not None
        ]
        await yard.push(*looks, after_s=SILENT_S)
        if workshop.decides():
            await confirm_all(yard)
    await confirm_all(yard)
    shown = {each["mac"]: id_ for id_, each in (await yard.miners()).items()}
    for case, board in workshop.inside.items():
        if board is not None:
            assert shown[f"02:00:00:00:00:{board:02X}"] == record[case], workshop.inside
