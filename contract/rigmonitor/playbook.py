"""Playbooks of the Mining Rig Monitor API: with which program, where to and for whom a CPU/GPU rig mines.

    GET  cpu_gpu_miners/playbooks                         -> [PlaybookEntry], by id; may be empty

A rig has no wishes of its own: what is expected of it stands in each entry.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from typing import Final

import msgspec

from contract.rigmonitor.shared import PREFIX

PLAYBOOKS: Final = PREFIX + "/cpu_gpu_miners/playbooks"
WORKER_NAME: Final = "$WORKER_NAME"


class MiningWish(StrEnum):
    """What the operator wants of a rig with a playbook."""

    MINING = "mining"
    STOP = "stop"


class PlaybookEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What a rig is to mine with, in the names of the published text and in those of server 5.0.0.

    `command_argument` is one text, of which the server has filled in what it knows (`filled_in`). `coin_name_1`, `_2`
    and their algorithms are the first two that are mined, the CPU's first. Times are UTC without a zone. Whoever does
    not find `expected_status` mines.
    """

    id: int
    software_name: str  # `XMRig`
    software_version: str  # `6.22.2`
    module_name: str  # `Miner.XMRIG_6.22.2`, of the text
    module: str  # `Elixir.MinerProvision.XMRIG_6_22_2`, of the server
    command_argument: str
    expected_status: MiningWish
    coin_name_1: str | None
    algorithm_1: str | None
    coin_name_2: str | None
    algorithm_2: str | None
    cpu_coin_name: str | None
    cpu_algorithm: str | None
    cpu_wallet_address: str | None
    cpu_pool_address: str | None
    gpu_coin_name_1: str | None
    gpu_algorithm_1: str | None
    gpu_wallet_address_1: str | None
    gpu_pool_address_1: str | None
    gpu_coin_name_2: str | None
    gpu_algorithm_2: str | None
    gpu_wallet_address_2: str | None
    gpu_pool_address_2: str | None
    inserted_at: str
    updated_at: str


def worker_name(name: str) -> str:
    """The name of a rig as pools take it: without accents, and `-` for all but letters and digits of ASCII."""
    spread = unicodedata.normalize("NFD", name)
    return _NOT_PLAIN.sub("-", "".join(each for each in spread if not unicodedata.combining(each)))


def filled_in(
    command_argument: str,
    name: str,
    *,
    cpu_wallet: str | None,
    gpu_wallets: tuple[str | None, str | None],
    cpu_pool: str | None,
    gpu_pools: tuple[str | None, str | None],
) -> str:
    """The argument of a playbook with what the server knows of the rig called `name`, one variable after the other as
    server 5.0.0 does it: nothing for an address that is not known. Others, such as `$POOL_ADDRESS`, are the rig's own.
    """
    for variable, value in (
        (WORKER_NAME, worker_name(name)),
        ("$CPU_WALLET", cpu_wallet),
        ("$GPU_WALLET_1", gpu_wallets[0]),
        ("$GPU_WALLET_2", gpu_wallets[1]),
        ("$CPU_POOL", cpu_pool),
        ("$GPU_POOL_1", gpu_pools[0]),
        ("$GPU_POOL_2", gpu_pools[1]),
    ):
        command_argument = command_argument.replace(variable, value or "")
    return command_argument


def module_name(software_name: str, software_version: str) -> str:
    """The label of the published text: `Miner.XMRIG_6.22.2`."""
    return f"Miner.{software_name.upper()}_{software_version}"


def module(software_name: str, software_version: str) -> str:
    """The label of server 5.0.0: `Elixir.MinerProvision.XMRIG_6_22_2`."""
    label = _NOT_PLAIN.sub("_", f"{software_name.upper()}_{software_version}")
    return f"Elixir.MinerProvision.{label}"


_NOT_PLAIN: Final = re.compile(r"[^a-zA-Z0-9]")
