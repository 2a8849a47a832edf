"""BzMiner: the arrays of a device follow the list of pools, the first algorithm first."""

from __future__ import annotations

from typing import Final

from contract.errors import MalformedError
from contract.miner import RigPart
from drivers.protocol.values import whole
from drivers.rig.protocol.figures import (
    Row,
    bus_id_of,
    positive,
    rate_hs,
    rows_of,
    total,
    values_of,
    word_of,
)
from drivers.rig.protocol.report import SLOTS, ProgramCard, ProgramReport, ProgramWork

PATHS: Final = ("/status",)


def report_of(fields: Row) -> ProgramReport:
    """Raises MalformedError for what BzMiner does not tell."""
    if "devices" not in fields or "pools" not in fields:
        raise MalformedError("no status of BzMiner")
    pools = rows_of(fields.get("pools"))[:SLOTS]
    cards = tuple(
        ProgramCard(
            bus_id=bus_id_of(device.get("pci_bus_id")),
            name=word_of(device.get("name")),
            rates_hs=tuple(
                rate_hs(each) for each in values_of(device.get("hashrate"))[: len(pools)]
            ),
        )
        for device in rows_of(fields.get("devices"))
    )
    works = tuple(
        ProgramWork(
            part=RigPart.GPU,
            slot=slot,
            algorithm=word_of(pool.get("algorithm")),
            pool=word_of(pool.get("current_url")),
            hashrate_hs=_rate(pool, cards, slot),
            accepted=whole(pool.get("valid_solutions")),
            rejected=whole(pool.get("rejected_solutions")),
        )
        for slot, pool in enumerate(pools, 1)
    )
    return ProgramReport(
        name="BzMiner",
        version=word_of(fields.get("bzminer_version")) or word_of(fields.get("version")),
        uptime_s=positive(fields.get("uptime_s")),
        works=works,
        cards=cards,
    )


def _rate(pool: Row, cards: tuple[ProgramCard, ...], slot: int) -> float | None:
    told = rate_hs(pool.get("hashrate"))
    parts = [card.rates_hs[slot - 1] for card in cards if len(card.rates_hs) >= slot]
    return total(parts) if told is None else told
