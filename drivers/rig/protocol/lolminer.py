"""lolMiner: its present form has `Workers` and `Algorithms`, the old one `GPUs`."""

from __future__ import annotations

from typing import Final

from contract.errors import MalformedError
from contract.miner import RigPart
from drivers.protocol.values import number, whole
from drivers.rig.protocol.figures import (
    Row,
    at,
    bus_id_of,
    mhz,
    percent,
    positive,
    rate_hs,
    row_of,
    rows_of,
    temp_c,
    total,
    unit_factor,
    values_of,
    watts,
    word_of,
)
from drivers.rig.protocol.report import SLOTS, ProgramCard, ProgramReport, ProgramWork

PATHS: Final = ("/",)
_IN_MEGA: Final = ("ethash", "etchash")  # of the old form; all else is told in H/s


def report_of(fields: Row) -> ProgramReport:
    """Either form. Raises MalformedError for what is neither."""
    if "Algorithms" in fields or "Workers" in fields:
        return _present(fields)
    if "GPUs" in fields:
        return _old(fields)
    raise MalformedError("no summary of lolMiner")


def _present(fields: Row) -> ProgramReport:
    algorithms = rows_of(fields.get("Algorithms"))[:SLOTS]
    factors = [_factor(each) for each in algorithms]
    cards = tuple(  # `Workers` is an empty text while it starts
        ProgramCard(
            bus_id=bus_id_of(worker.get("PCIE_Address")),
            name=word_of(worker.get("Name")),
            rates_hs=tuple(
                _rate(at(values_of(each.get("Worker_Performance")), worker.get("Index")), factor)
                for each, factor in zip(algorithms, factors, strict=True)
            ),
            temp_c=temp_c(worker.get("Core_Temp")),
            temp_memory_c=temp_c(worker.get("Mem_Temp")),
            fan_percent=percent(worker.get("Fan_Speed")),
            power_w=watts(worker.get("Power")),
            core_hz=mhz(worker.get("CCLK")),
            memory_hz=mhz(worker.get("MCLK")),
        )
        for worker in rows_of(fields.get("Workers"))
    )
    works = tuple(
        ProgramWork(
            part=RigPart.GPU,
            slot=slot,
            algorithm=word_of(each.get("Algorithm")),
            pool=word_of(each.get("Pool")),
            hashrate_hs=_rate(each.get("Total_Performance"), factor),
            accepted=whole(each.get("Total_Accepted")),
            rejected=whole(each.get("Total_Rejected")),
        )
        for slot, (each, factor) in enumerate(zip(algorithms, factors, strict=True), 1)
    )
    return _whole(fields, works, cards)


def _old(fields: Row) -> ProgramReport:
    session, mining = row_of(fields.get("Session")), row_of(fields.get("Mining"))
    algorithm = word_of(mining.get("Algorithm"))
    is_mega = any(name in (algorithm or "").lower() for name in _IN_MEGA)
    factor = 1e6 if is_mega else 1.0
    cards = tuple(
        ProgramCard(
            bus_id=bus_id_of(gpu.get("PCIE_Address")),
            name=word_of(gpu.get("Name")),
            rates_hs=(rate_hs(gpu.get("Performance"), factor),),
        )
        for gpu in rows_of(fields.get("GPUs"))
    )
    rate = rate_hs(session.get("Performance_Summary"), factor)
    work = ProgramWork(
        part=RigPart.GPU,
        algorithm=algorithm,
        hashrate_hs=total(card.rates_hs[0] for card in cards) if rate is None else rate,
        accepted=whole(session.get("Accepted")),
    )
    return _whole(fields, (work,), cards)


def _whole(
    fields: Row, works: tuple[ProgramWork, ...], cards: tuple[ProgramCard, ...]
) -> ProgramReport:
    name, _, version = (word_of(fields.get("Software")) or "lolMiner").partition(" ")
    return ProgramReport(
        name=name,
        version=version or None,
        uptime_s=positive(row_of(fields.get("Session")).get("Uptime")),
        works=works,
        cards=cards,
    )


def _factor(algorithm: Row) -> float | None:
    factor = number(algorithm.get("Performance_Factor"))
    return factor if factor and factor > 0 else unit_factor(algorithm.get("Performance_Unit"))


def _rate(told: object, factor: float | None) -> float | None:
    """`None` without a unit: a factor of a million is no guess."""
    return None if factor is None else rate_hs(told, factor)
