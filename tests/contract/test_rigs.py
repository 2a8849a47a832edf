from __future__ import annotations

from typing import Any

import pytest

from contract.condition import anomalies
from contract.condition.judgement import MinerState, MinerTrouble, look_of
from contract.miner import (
    Algorithm,
    Board,
    BoardState,
    Make,
    MinerFault,
    Moving,
    Pool,
    PowerMode,
    RigPart,
    RigWork,
    Slow,
    Static,
)
from contract.rigs import main_work, rig_algorithm, rig_model

STATIC = Static(make=Make.RIG, model="RTX 3080 x2", algorithm=Algorithm.ETHASH)
DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("cards", "model"),
    [
        ((), "Ryzen 9"),
        (("NVIDIA GeForce RTX 3080",) * 6, "RTX 3080 x6"),
        (("RX 6800", "RTX 3080", "AMD Radeon RX 6800"), "RX 6800 x2, RTX 3080"),
        (("RTX 3080", "RX 6800"), "RTX 3080, RX 6800"),
        (("RX 6800", "RTX 3080"), "RTX 3080, RX 6800"),
        (("AMD Radeon VII", "NVIDIA A2000"), "A2000, Radeon VII"),
        ((None, " ", ""), "graphics card x3"),
    ],
)
def test_a_rig_is_called_by_its_cards_wherever_they_sit(
    cards: tuple[str | None, ...], model: str
) -> None:
    assert rig_model(cards, "Ryzen 9") == model


@pytest.mark.parametrize(
    ("word", "algorithm"),
    [
        (None, None),
        ("rx/0", Algorithm.OTHER),
        ("Etchash", Algorithm.ETHASH),
        ("ethash", Algorithm.ETHASH),
        ("HeavyHash-Kaspa", Algorithm.KHEAVYHASH),
        ("sha512_256d", Algorithm.SHA512_256D),
        ("sha256", Algorithm.SHA256),
    ],
)
def test_the_words_of_programs_have_one_meaning(
    word: str | None, algorithm: Algorithm | None
) -> None:
    assert rig_algorithm(word) is algorithm


def test_the_work_that_hashes_stands_for_the_rig_and_the_cards_come_first() -> None:
    def work(part: RigPart, rate: float | None, slot: int = 1) -> RigWork:
        return RigWork(part=part, slot=slot, program="p", hashrate_hs=rate)

    cpu, first, second = work(RigPart.CPU, 9e3), work(RigPart.GPU, 6e7), work(RigPart.GPU, 1e9, 2)
    assert main_work((cpu, second, first)) is first
    assert main_work((cpu, work(RigPart.GPU, 0.0))) is cpu
    assert main_work((work(RigPart.GPU, None), cpu)) is cpu
    assert main_work((idle := work(RigPart.GPU, 0.0), work(RigPart.CPU, 0.0))) is idle
    assert main_work(()) is None


def card(index: int, **more: Any) -> Board:
    return Board(index=index, part=RigPart.GPU, name="RTX 3080", **more)


def a_look(*faults: MinerFault, mode: PowerMode | None = None, **moving: object):
    facts = {"hashrate_hs": 1.2e8, "uptime_s": DAY_S} | moving
    return look_of(Moving(**facts), Slow(mode=mode, faults=faults), STATIC)


def test_a_lost_card_is_a_lost_board_whatever_its_words_name() -> None:
    fault = MinerFault(code="gpu_lost", text="it fell off the bus: look at its power cables")
    look = a_look(fault, boards=(card(0, hashrate_hs=6e7), card(1, state=BoardState.BAD)))
    assert [(each.trouble, each.words) for each in look.symptoms] == [
        (MinerTrouble.BOARD, "part 2 of 2 (RTX 3080) is told to be bad")
    ]
    assert anomalies.class_of(fault) == "hashboard"


def test_a_pool_that_is_lost_is_no_pool_and_one_of_two_programs_is_not() -> None:
    lost = MinerFault(code="pool_lost", text="XMRig has no connection", severity="warning")
    dead = Pool(index=0, url="a:1", status="dead", active=False)
    alive = Pool(index=1, url="b:1", status="alive", active=True)
    look = a_look(lost, hashrate_hs=0.0, pools=(dead,))
    assert {each.trouble for each in look.symptoms} == {MinerTrouble.POOL, MinerTrouble.LOW_RATE}
    assert anomalies.has_no_pool(Moving(pools=(dead,)))
    assert not anomalies.has_no_pool(Moving(pools=(dead, alive)))


def test_of_a_rig_no_rate_is_expected() -> None:
    look = a_look(hashrate_hs=5e6)
    assert (look.state, look.expected_hs, look.symptoms) == (MinerState.HASHING, None, ())


def test_a_rig_that_was_told_to_stop_is_not_broken() -> None:
    paused = Board(index=0, part=RigPart.CPU, hashrate_hs=0.0, state=BoardState.OFF)
    asleep = a_look(mode=PowerMode.SLEEP, hashrate_hs=0.0, boards=(paused,))
    assert (asleep.state, asleep.symptoms) == (MinerState.SLEEPING, ())
    beside = a_look(boards=(card(0, hashrate_hs=6e7), paused))
    assert beside.symptoms == ()
    idle = a_look(boards=(card(0, hashrate_hs=6e7), card(1, hashrate_hs=0.0)))
    assert [each.words for each in idle.symptoms] == ["part 2 of 2 (RTX 3080) hashes nothing"]
