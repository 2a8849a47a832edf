"""GMiner: one object, rates in `speed_unit`. Its dual mining was never seen, so one algorithm is told."""

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
    positive,
    rate_hs,
    rows_of,
    temp_c,
    total,
    unit_factor,
    watts,
    word_of,
)
from drivers.rig.protocol.report import ProgramCard, ProgramReport, ProgramWork

PATHS: Final = ("/stat",)


def report_of(fields: Row) -> ProgramReport:
    """Raises MalformedError for what GMiner does not tell, and for rates in no unit we know."""
    if "devices" not in fields:
        raise MalformedError("no answer of GMiner")
    factor = unit_factor(fields.get("speed_unit"))
    if factor is None:
        raise MalformedError(
            f"GMiner tells rates in an unknown unit: {fields.get('speed_unit')!r}"[:120]
        )
    devices = rows_of(fields.get("devices"))
    cards = tuple(
        ProgramCard(
            bus_id=bus_id_of(device.get("bus_id")),
            name=word_of(device.get("name")),
            rates_hs=(rate_hs(device.get("speed"), factor),),
            temp_c=temp_c(device.get("temperature")),
            temp_memory_c=temp_c(device.get("memory_temperature")),
            fan_percent=percent(device.get("fan")),
            power_w=watts(device.get("power_usage")),
            core_hz=mhz(device.get("core_clock")),
            memory_hz=mhz(device.get("memory_clock")),
        )
        for device in devices
    )
    name, _, version = (word_of(fields.get("miner")) or "GMiner").partition(" ")
    work = ProgramWork(
        part=RigPart.GPU,
        algorithm=word_of(fields.get("algorithm")),
        pool=word_of(fields.get("server")),
        hashrate_hs=total(card.rates_hs[0] for card in cards),
        accepted=total(whole(each.get("accepted_shares")) for each in devices),
        rejected=total(whole(each.get("rejected_shares")) for each in devices),
    )
    return ProgramReport(
        name=name,
        version=version or None,
        uptime_s=positive(fields.get("uptime")),
        works=(work,),
        cards=cards,
    )
