"""NBMiner: figures under `miner`, its pool under `stratum`; the second rates count only while it says `dual_mine`."""

from __future__ import annotations

from typing import Final

from contract.errors import MalformedError
from contract.miner import RigPart
from drivers.protocol.values import whole
from drivers.rig.protocol.figures import (
    Row,
    bus_id_of,
    mhz,
    percent,
    rate_hs,
    row_of,
    rows_of,
    temp_c,
    watts,
    word_of,
)
from drivers.rig.protocol.report import ProgramCard, ProgramReport, ProgramWork

PATHS: Final = ("/api/v1/status",)
_RATES: Final = ("hashrate_raw", "hashrate2_raw")
_TOTALS: Final = ("total_hashrate_raw", "total_hashrate2_raw")


def report_of(fields: Row) -> ProgramReport:
    """Raises MalformedError for what NBMiner does not tell."""
    miner, stratum = row_of(fields.get("miner")), row_of(fields.get("stratum"))
    if "devices" not in miner:
        raise MalformedError("no status of NBMiner")
    slots = 2 if stratum.get("dual_mine") is True else 1
    cards = tuple(
        ProgramCard(
            bus_id=bus_id_of(device.get("pci_bus_id")),
            name=word_of(device.get("info")),
            rates_hs=tuple(rate_hs(device.get(key)) for key in _RATES[:slots]),
            temp_c=temp_c(device.get("temperature")),
            temp_memory_c=temp_c(device.get("memTemperature")),
            fan_percent=percent(device.get("fan")),
            power_w=watts(device.get("power")),
            core_hz=mhz(device.get("core_clock")),
            memory_hz=mhz(device.get("mem_clock")),
        )
        for device in rows_of(miner.get("devices"))
    )
    works = tuple(
        ProgramWork(
            part=RigPart.GPU,
            slot=slot,
            algorithm=word_of(stratum.get("algorithm")) if slot == 1 else None,
            pool=word_of(stratum.get("url")) if slot == 1 else None,
            hashrate_hs=rate_hs(miner.get(key)),
            accepted=whole(stratum.get("accepted_shares")) if slot == 1 else None,
            rejected=whole(stratum.get("rejected_shares")) if slot == 1 else None,
        )
        for slot, key in enumerate(_TOTALS[:slots], 1)
    )
    return ProgramReport(
        name="NBMiner",
        version=word_of(fields.get("version")),
        works=works,
        cards=cards,
    )
