"""The half of the Mining Rig Monitor API for CPU/GPU rigs: what a rig reports. What it is to mine: `playbook`.

    POST cpu_gpu_miners/specs                RigSpec      -> null
    POST cpu_gpu_miners/logs                 RigLog       -> null

The codes of rigs are a space of their own: no code of an ASIC is good here, nor the other way round.

The published text and server 5.0.0 differ in names and units. The structs have the names of both, so that a reader
of either finds its own; a server of ours takes either, and keeps one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Final

from contract.rigmonitor.shared import PREFIX, Body

RIG_SPECS: Final = PREFIX + "/cpu_gpu_miners/specs"
RIG_LOGS: Final = PREFIX + "/cpu_gpu_miners/logs"
GPUS: Final = 8  # of one rig; those beyond need an entry of their own
ALGORITHMS: Final = 2  # that a GPU mines at once


class RateUnit(StrEnum):
    """The unit of the hashrates of one algorithm, exactly as server 5.0.0 takes it. Solutions count as hashes."""

    H = "H/s"
    KH = "KH/s"
    MH = "MH/s"
    GH = "GH/s"
    TH = "TH/s"
    PH = "PH/s"


class RigSpec(Body, frozen=True, kw_only=True):
    """What a rig is. Sent at its start and when it changed; makes the rig an activated one. GPUs by their PCI bus."""

    motherboard_name: str
    cpu_name: str
    ram_size: str  # `8GB`
    gpu_1_name: str | None = None
    gpu_2_name: str | None = None
    gpu_3_name: str | None = None
    gpu_4_name: str | None = None
    gpu_5_name: str | None = None
    gpu_6_name: str | None = None
    gpu_7_name: str | None = None
    gpu_8_name: str | None = None


class RigLog(Body, frozen=True, kw_only=True):
    """What a rig does now; the server stamps the arrival. Nothing is required.

    Temperatures are whole degC, clocks MHz, power W, fans in `gpu_fan_uom` (`%` or `RPM`), `uptime` what
    `shared.uptime_text` makes, or words. The CPU's hashrate is in `cpu_hashrate_uom`, those of the GPUs in
    `gpu_hashrate_uom_1` and, of a second algorithm at the same time, `_2`. `cpu_wallet` is the name of the published
    text for `cpu_wallet_address`.
    """

    together: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("cpu_hashrate", "cpu_hashrate_uom", "cpu_algorithm", "cpu_coin_name"),
        ("gpu_hashrate_uom_1", "gpu_algorithm_1", "gpu_coin_name_1"),
        ("gpu_hashrate_uom_2", "gpu_algorithm_2", "gpu_coin_name_2"),
    )

    cpu_temp: int | None = None
    cpu_hashrate: int | None = None
    cpu_hashrate_uom: RateUnit | None = None
    cpu_algorithm: str | None = None
    cpu_coin_name: str | None = None
    cpu_pool_address: str | None = None
    cpu_wallet: str | None = None
    cpu_wallet_address: str | None = None
    cpu_power: int | None = None

    gpu_1_core_temp: int | None = None
    gpu_1_mem_temp: int | None = None
    gpu_1_hashrate_1: int | None = None
    gpu_1_hashrate_2: int | None = None
    gpu_1_core_clock: int | None = None
    gpu_1_mem_clock: int | None = None
    gpu_1_power: int | None = None
    gpu_1_fan: int | None = None
    gpu_2_core_temp: int | None = None
    gpu_2_mem_temp: int | None = None
    gpu_2_hashrate_1: int | None = None
    gpu_2_hashrate_2: int | None = None
    gpu_2_core_clock: int | None = None
    gpu_2_mem_clock: int | None = None
    gpu_2_power: int | None = None
    gpu_2_fan: int | None = None
    gpu_3_core_temp: int | None = None
    gpu_3_mem_temp: int | None = None
    gpu_3_hashrate_1: int | None = None
    gpu_3_hashrate_2: int | None = None
    gpu_3_core_clock: int | None = None
    gpu_3_mem_clock: int | None = None
    gpu_3_power: int | None = None
    gpu_3_fan: int | None = None
    gpu_4_core_temp: int | None = None
    gpu_4_mem_temp: int | None = None
    gpu_4_hashrate_1: int | None = None
    gpu_4_hashrate_2: int | None = None
    gpu_4_core_clock: int | None = None
    gpu_4_mem_clock: int | None = None
    gpu_4_power: int | None = None
    gpu_4_fan: int | None = None
    gpu_5_core_temp: int | None = None
    gpu_5_mem_temp: int | None = None
    gpu_5_hashrate_1: int | None = None
    gpu_5_hashrate_2: int | None = None
    gpu_5_core_clock: int | None = None
    gpu_5_mem_clock: int | None = None
    gpu_5_power: int | None = None
    gpu_5_fan: int | None = None
    gpu_6_core_temp: int | None = None
    gpu_6_mem_temp: int | None = None
    gpu_6_hashrate_1: int | None = None
    gpu_6_hashrate_2: int | None = None
    gpu_6_core_clock: int | None = None
    gpu_6_mem_clock: int | None = None
    gpu_6_power: int | None = None
    gpu_6_fan: int | None = None
    gpu_7_core_temp: int | None = None
    gpu_7_mem_temp: int | None = None
    gpu_7_hashrate_1: int | None = None
    gpu_7_hashrate_2: int | None = None
    gpu_7_core_clock: int | None = None
    gpu_7_mem_clock: int | None = None
    gpu_7_power: int | None = None
    gpu_7_fan: int | None = None
    gpu_8_core_temp: int | None = None
    gpu_8_mem_temp: int | None = None
    gpu_8_hashrate_1: int | None = None
    gpu_8_hashrate_2: int | None = None
    gpu_8_core_clock: int | None = None
    gpu_8_mem_clock: int | None = None
    gpu_8_power: int | None = None
    gpu_8_fan: int | None = None

    gpu_fan_uom: str | None = None
    gpu_hashrate_uom_1: RateUnit | None = None
    gpu_algorithm_1: str | None = None
    gpu_coin_name_1: str | None = None
    gpu_pool_address_1: str | None = None
    gpu_wallet_address_1: str | None = None
    gpu_hashrate_uom_2: RateUnit | None = None
    gpu_algorithm_2: str | None = None
    gpu_coin_name_2: str | None = None
    gpu_pool_address_2: str | None = None
    gpu_wallet_address_2: str | None = None

    lan_ip: str | None = None
    wan_ip: str | None = None
    uptime: str | None = None
