"""T-Rex: one object. Its dual mining was never seen, so one algorithm is told."""

from __future__ import annotations

from typing import Final

from contract.errors import MalformedError
from contract.miner import RigPart
from drivers.protocol.values import whole
from drivers.rig.protocol.figures import (
    Row,
    bus_alone,
    mhz,
    percent,
    positive,
    rate_hs,
    row_of,
    rows_of,
    temp_c,
    watts,
    word_of,
)
from drivers.rig.protocol.report import ProgramCard, ProgramReport, ProgramWork

PATHS: Final = ("/summary",)


def report_of(fields: Row) -> ProgramReport:
    """Raises MalformedError for what T-Rex does not tell."""
    if "gpus" not in fields:
        raise MalformedError("no summary of T-Rex")
    gpus = rows_of(fields.get("gpus"))
    cards = tuple(
        ProgramCard(
            bus_id=bus_alone(gpu.get("pci_bus"), gpu.get("pci_domain", 0)),
            name=_named(gpu),
            rates_hs=(rate_hs(gpu.get("hashrate")),),
            temp_c=temp_c(gpu.get("temperature")),
            temp_memory_c=temp_c(gpu.get("memory_temperature")),
            fan_percent=percent(gpu.get("fan_speed")),
            power_w=watts(gpu.get("power")),
            core_hz=mhz(gpu.get("cclock")),
            memory_hz=mhz(gpu.get("mclock")),
        )
        for gpu in gpus
    )
    paused = [gpu.get("paused") for gpu in gpus]
    work = ProgramWork(
        part=RigPart.GPU,
        algorithm=word_of(fields.get("algorithm")),
        pool=word_of(row_of(fields.get("active_pool")).get("url")),
        hashrate_hs=rate_hs(fields.get("hashrate")),
        accepted=whole(fields.get("accepted_count")),
        rejected=whole(fields.get("rejected_count")),
    )
    is_told = bool(paused) and all(isinstance(each, bool) for each in paused)
    return ProgramReport(
        name="T-Rex",
        version=word_of(fields.get("version")),
        uptime_s=positive(fields.get("uptime")),
        paused=all(paused) if is_told else None,
        works=(work,),
        cards=cards,
    )


def _named(gpu: Row) -> str | None:
    vendor, name = word_of(gpu.get("vendor")), word_of(gpu.get("name"))
    return f"{vendor} {name}" if vendor and name and vendor not in name else name
