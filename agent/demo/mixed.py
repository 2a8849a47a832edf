"""A mixed farm to be run by hand: every make, firmware of others, and the troubles that a farm has any day."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.demo.operator import Operator
from agent.demo.stage import SimulatedMiner, Stage, StageError
from contract.clock import Clock
from contract.task import TaskName

# Out of a hundred miners, so many are of these makes; the rest are AntMiners.
_MAKES: Final = {"whatsminer": 30, "iceriver": 17}
# The last of them: rigs, in the order of the simulator's own mix.
_RIGS: Final = {"rig": 2}
# Firmware of others; each kind is this share of a hundred.
_FOREIGN: Final = dict.fromkeys(
    ("foreign/braiins", "foreign/vnish", "foreign/luxos", "foreign/hiveon", "foreign/chipless"), 2
)
# Every so many miners one has this fault, counted from one that has another.
_FROM_THE_START: Final[Mapping[str, tuple[int, Any]]] = {
    "wrong_password": (37, ["wrong_password"]),
    "board_missing": (53, ["board_missing"]),
    "overheated": (89, ["overheated"]),
}
_ONCE_FOUND: Final = (47, ["dead"])
# Of rigs: of the first with cards, and of the first without.
_CARD_GONE: Final = ["gpu_falls_off"]
_PROGRAM_GONE: Final = ["program_dies"]
_PLACES_OF_A_RACK: Final = 20
_RACKS_OF_A_HALL: Final = 8
_PATIENCE_S: Final = 180.0
_LOOK_EVERY_S: Final = 0.3


class MixedFarm(msgspec.Struct, frozen=True):
    """What was set up: files for whoever runs it by hand, and who has which fault, by address."""

    key_file: Path
    racks: Path  # a table of where each miner stands, to be imported
    faults: dict[str, list[str]]


def makes_of(miners: int) -> str:
    """What the simulator is to build for so many miners."""
    shares = _MAKES | _FOREIGN | _RIGS
    others = {make: miners * share // 100 for make, share in shares.items()}
    numbers = {"antminer": miners - sum(others.values()), **others}
    return ",".join(f"{make}:{number}" for make, number in numbers.items() if number)


async def open_mixed(stage: Stage, clock: Clock) -> MixedFarm:
    """Let the agent find the farm, then let some of it die. Raises StageError."""
    faults = {
        miner.ip: fault
        for every, fault in _FROM_THE_START.values()
        for miner in _each(stage, every)
    }
    await stage.break_miners(faults)
    async with Operator(stage) as operator:
        await operator.create(TaskName.SCAN, None, {"ip_range": stage.span})
        await _found(stage, operator, clock)
    every, fault = _ONCE_FOUND
    faults |= {miner.ip: fault for miner in _each(stage, every) if miner.ip not in faults}
    faults |= _of_rigs(stage)
    await stage.break_miners(faults)
    key_file = stage.folder / "operator.key"
    key_file.touch(mode=0o600)
    key_file.write_text(f"{stage.api_key}\n", "utf-8")
    racks = stage.folder / "racks.csv"
    _write_racks(racks, stage.miners)
    return MixedFarm(key_file, racks, faults)


async def _found(stage: Stage, operator: Operator, clock: Clock) -> None:
    """Wait until every miner is known to the cloud."""
    give_up_mono = clock.mono() + _PATIENCE_S
    wanted = {miner.ip for miner in stage.miners}
    while missing := wanted - {row["ip"] for row in await operator.miners()}:
        stage.check()
        if clock.mono() > give_up_mono:
            raise StageError(f"{len(missing)} miners were not found in {_PATIENCE_S:.0f} s")
        await clock.sleep(_LOOK_EVERY_S)


def _each(stage: Stage, every: int) -> list[SimulatedMiner]:
    """Every so-manieth miner that is neither of others' firmware nor a rig."""
    return [each for each in stage.miners[every - 1 :: every] if not (each.foreign or each.is_rig)]


def _of_rigs(stage: Stage) -> dict[str, list[str]]:
    """A card that falls off the bus, which was seen by now, and a program that ends by itself."""
    with_cards = [each.ip for each in stage.rigs if each.gpus]
    without = [each.ip for each in stage.rigs if not each.gpus]
    faults = dict.fromkeys(with_cards[:1], _CARD_GONE)
    return faults | dict.fromkeys(without[:1], _PROGRAM_GONE)


def _write_racks(path: Path, miners: Sequence[SimulatedMiner]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("ip", "hall", "rack", "position"))
        for number, miner in enumerate(miners):
            rack, position = divmod(number, _PLACES_OF_A_RACK)
            hall, rack = divmod(rack, _RACKS_OF_A_HALL)
            letter = chr(ord("A") + hall % 26)
            table.writerow((miner.ip, letter, f"{letter}{rack + 1}", position + 1))
