"""SRBMiner-Multi: rates by algorithm; in each, those of cards under `gpu` and their ids, that of the processor under
`cpu`. Its port also has addresses that restart and shut down the rig: none but `/` is ever asked for.
"""

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
    row_of,
    rows_of,
    temp_c,
    watts,
    word_of,
)
from drivers.rig.protocol.report import SLOTS, ProgramCard, ProgramReport, ProgramWork

PATHS: Final = ("/",)


def report_of(fields: Row) -> ProgramReport:
    """Raises MalformedError for what SRBMiner does not tell, its versions up to 0.4.7 among it."""
    if "algorithms" not in fields:
        raise MalformedError("no answer of SRBMiner-Multi since 0.4.8")
    algorithms = rows_of(fields.get("algorithms"))
    of_cpu, of_cards = _mined(algorithms, RigPart.CPU), _mined(algorithms, RigPart.GPU)
    cards = tuple(
        ProgramCard(
            bus_id=bus_id_of(device.get("bus_id")),
            name=word_of(device.get("model")) or word_of(device.get("device")),
            rates_hs=tuple(
                rate_hs(_rates(each, RigPart.GPU).get(f"gpu{device.get('id')}"))
                for each in of_cards
            ),
            temp_c=temp_c(device.get("temperature")),
            temp_memory_c=temp_c(device.get("vram_temperature")),
            fan_percent=percent(device.get("fan_speed")),
            power_w=watts(device.get("asic_power")),
            core_hz=mhz(device.get("core_clock")),
            memory_hz=mhz(device.get("memory_clock")),
        )
        for device in rows_of(fields.get("gpu_devices"))
    )
    works = [
        _work(part, slot, algorithm)
        for part, mined in ((RigPart.CPU, of_cpu), (RigPart.GPU, of_cards))
        for slot, algorithm in enumerate(mined, 1)
    ]
    return ProgramReport(
        name="SRBMiner-Multi",
        version=word_of(fields.get("miner_version")),
        uptime_s=positive(fields.get("mining_time")),
        works=tuple(works),
        cards=cards,
    )


def _rates(algorithm: Row, part: RigPart) -> Row:
    return row_of(row_of(algorithm.get("hashrate")).get(part.value))


def _mined(algorithms: list[Row], part: RigPart) -> list[Row]:
    """What a part mines: an algorithm of the other part may be told of it with a rate of 0."""
    told = [each for each in algorithms if "total" in _rates(each, part)]
    return ([each for each in told if rate_hs(_rates(each, part)["total"])] or told[:1])[:SLOTS]


def _work(part: RigPart, slot: int, algorithm: Row) -> ProgramWork:
    shares, pool = row_of(algorithm.get("shares")), row_of(algorithm.get("pool"))
    return ProgramWork(
        part=part,
        slot=slot,
        algorithm=word_of(algorithm.get("name")),
        pool=word_of(pool.get("pool")),
        hashrate_hs=rate_hs(_rates(algorithm, part).get("total")),
        accepted=whole(shares.get("accepted")),
        rejected=whole(shares.get("rejected")),
    )
