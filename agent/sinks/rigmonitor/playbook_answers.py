"""What the monitor answers when it is asked for playbooks: read in both published shapes, or not at all. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final

import msgspec

from agent.rig.shapes import ENTRIES_MAX
from agent.sinks.rigmonitor.rig_records import CPU, GPU_1, GPU_2, SLOTS, Mined, live_works
from contract.miner import Moving
from contract.rigmonitor.playbook import MiningWish, PlaybookEntry, module, module_name

# It stands in our log and in messages.
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
_SHOWN: Final = 200


class OddAnswerError(Exception):
    """The answer is no list of playbooks. The message says what is wrong with it."""


class _Answered(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as one of the two shapes has it: most fields are in one of them alone."""

    id: int
    software_name: _Name
    software_version: _Name
    command_argument: str
    module_name: str | None = None
    module: str | None = None
    expected_status: MiningWish | None = None
    coin_name_1: str | None = None
    algorithm_1: str | None = None
    coin_name_2: str | None = None
    algorithm_2: str | None = None
    cpu_coin_name: str | None = None
    cpu_algorithm: str | None = None
    cpu_wallet_address: str | None = None
    cpu_pool_address: str | None = None
    gpu_coin_name_1: str | None = None
    gpu_algorithm_1: str | None = None
    gpu_wallet_address_1: str | None = None
    gpu_pool_address_1: str | None = None
    gpu_coin_name_2: str | None = None
    gpu_algorithm_2: str | None = None
    gpu_wallet_address_2: str | None = None
    gpu_pool_address_2: str | None = None
    inserted_at: str | None = None
    updated_at: str | None = None


def entries_of(answer: Any) -> tuple[PlaybookEntry, ...]:
    """The playbooks of an answer. Raises OddAnswerError where any of them is not understood: a list that lacks that one
    would be an order to end its program.
    """
    try:
        found = msgspec.convert(answer, tuple[_Answered, ...])
    except msgspec.ValidationError as error:
        raise OddAnswerError(str(error)[:_SHOWN]) from None
    if len(found) > ENTRIES_MAX:  # said once, where the service would say it of each
        raise OddAnswerError(f"{len(found)} playbooks; {ENTRIES_MAX} are the most")
    if not all((each.software_name + each.software_version).isprintable() for each in found):
        raise OddAnswerError("the name of a program holds control characters")
    return tuple(_entry(each) for each in found)


def mined_by(playbooks: Iterable[PlaybookEntry], moving: Moving) -> dict[str, Mined]:
    """By slot, what the playbooks that run say of it.

    The published text does not tell which part of a rig its coins are for: those of an entry are what its program is
    seen to mine, in the same order.
    """
    found: dict[str, Mined] = {}
    for entry in playbooks:
        told = _by_slot(entry) or _by_program(entry, moving)
        found = {**told, **found}
    return found


# --- private -------------------------------------------------------------------------------------


def _entry(answered: _Answered) -> PlaybookEntry:
    name, version = answered.software_name, answered.software_version
    told = {
        field: getattr(answered, field)
        for field in answered.__struct_fields__
        if getattr(answered, field) is not None
    }
    empty: dict[str, Any] = dict.fromkeys(PlaybookEntry.__struct_fields__)
    standard = {
        "module_name": module_name(name, version),
        "module": module(name, version),
        "expected_status": MiningWish.MINING,
        "inserted_at": "",
        "updated_at": "",
    }
    return PlaybookEntry(**empty | standard | told)


def _by_slot(entry: PlaybookEntry) -> dict[str, Mined]:
    """In the names of server 5.0.0, which tell the part."""
    found = {
        CPU: Mined(
            coin_name=entry.cpu_coin_name,
            algorithm=entry.cpu_algorithm,
            pool_address=entry.cpu_pool_address,
            wallet_address=entry.cpu_wallet_address,
        ),
        GPU_1: Mined(
            coin_name=entry.gpu_coin_name_1,
            algorithm=entry.gpu_algorithm_1,
            pool_address=entry.gpu_pool_address_1,
            wallet_address=entry.gpu_wallet_address_1,
        ),
        GPU_2: Mined(
            coin_name=entry.gpu_coin_name_2,
            algorithm=entry.gpu_algorithm_2,
            pool_address=entry.gpu_pool_address_2,
            wallet_address=entry.gpu_wallet_address_2,
        ),
    }
    return {slot: each for slot, each in found.items() if each.coin_name}


def _by_program(entry: PlaybookEntry, moving: Moving) -> dict[str, Mined]:
    """In the names of the published text."""
    coins = (
        Mined(coin_name=entry.coin_name_1, algorithm=entry.algorithm_1),
        Mined(coin_name=entry.coin_name_2, algorithm=entry.algorithm_2),
    )
    works = live_works(moving)
    program = entry.software_name.casefold()
    slots = [
        slot for slot in SLOTS if any(work.program.casefold() == program for work in works[slot])
    ]
    return {slot: each for slot, each in zip(slots, coins, strict=False) if each.coin_name}
