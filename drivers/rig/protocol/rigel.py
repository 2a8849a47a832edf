"""Rigel: figures by the names of its algorithms, whose order stands in `algorithm` (`octopus+sha512256d`)."""

from __future__ import annotations

from typing import Any, Final

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
    row_of,
    rows_of,
    temp_c,
    total,
    watts,
    word_of,
)
from drivers.rig.protocol.report import SLOTS, ProgramCard, ProgramReport, ProgramWork

PATHS: Final = ("/",)


def report_of(fields: Row) -> ProgramReport:
    """Raises MalformedError for what Rigel does not tell."""
    algorithms = [each for each in (word_of(fields.get("algorithm")) or "").split("+") if each]
    if not algorithms or "devices" not in fields:
        raise MalformedError("no answer of Rigel")
    mined = algorithms[:SLOTS]
    # What is not `selected` does not mine, and is told all the same.
    cards = tuple(_card(each, mined) for each in rows_of(fields.get("devices")))
    pools = row_of(fields.get("pools"))
    works = tuple(
        _work(slot, name, next(iter(rows_of(pools.get(name))), {}), cards)
        for slot, name in enumerate(mined, 1)
    )
    return ProgramReport(
        name="Rigel",
        version=word_of(fields.get("version")),
        uptime_s=positive(fields.get("uptime")),
        works=works,
        cards=cards,
    )


def _card(device: Row, algorithms: list[str]) -> ProgramCard:
    rates, sensors = row_of(device.get("hashrate")), row_of(device.get("monitoring_info"))
    is_off = device.get("selected") is False
    return ProgramCard(
        bus_id=bus_id_of(device.get("pci_address")),
        name=word_of(device.get("name")),
        rates_hs=tuple(0.0 if is_off else rate_hs(rates.get(name)) for name in algorithms),
        temp_c=temp_c(sensors.get("core_temperature")),
        temp_memory_c=temp_c(sensors.get("memory_temperature")),
        fan_percent=percent(sensors.get("fan_speed")),
        power_w=watts(sensors.get("power_usage")),
        core_hz=mhz(sensors.get("core_clock")),
        memory_hz=mhz(sensors.get("memory_clock")),
    )


def _work(slot: int, algorithm: str, pool: Row, cards: tuple[ProgramCard, ...]) -> ProgramWork:
    shares = row_of(pool.get("solution_stat"))
    return ProgramWork(
        part=RigPart.GPU,
        slot=slot,
        algorithm=algorithm,
        pool=_address(row_of(pool.get("connection_details"))),
        hashrate_hs=total(card.rates_hs[slot - 1] for card in cards),
        accepted=whole(shares.get("accepted")),
        rejected=whole(shares.get("rejected")),
    )


def _address(details: Row) -> str | None:
    host, port = word_of(details.get("hostname")), _port(details.get("port"))
    return f"{host}:{port}" if host and port else host


def _port(told: Any) -> int | None:
    found = whole(told)
    return found if found and found < 65536 else None
