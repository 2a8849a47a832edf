"""TeamRedMiner: the read-only API of sgminer 5.5. Both algorithms come in one answer; without a second one its parts
are answered as invalid commands. Which card is which, `devdetails` tells by the bus (hexadecimal).
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from contract.errors import MalformedError
from contract.miner import RigPart
from drivers.protocol.cgminer import NulDecoder
from drivers.protocol.objects import decode_object
from drivers.protocol.values import whole
from drivers.rig.protocol.figures import (
    Row,
    bus_alone,
    full_bus_id,
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

_COMMANDS: Final = (
    "version", "config", "coin", "devdetails", "devs", "summary", "pools", "devs2", "summary2", "pools2",
)  # fmt: skip
REQUEST: Final = msgspec.json.encode({"command": "+".join(_COMMANDS)})
_BUS: Final = re.compile(r"(?:0x)?([0-9a-fA-F]{1,2})")


class TeamredDecoder(NulDecoder):
    """Collects one answer, whose fields come out of `fields_of`."""


def fields_of(body: bytes) -> dict[str, Any]:
    """All parts of an answer. Raises MalformedError."""
    fields = decode_object(body.strip())
    if not any(name in fields for name in ("summary", "SUMMARY")):
        raise MalformedError("no summary of TeamRedMiner")
    return fields


def report_of(fields: Row) -> ProgramReport:
    """What they say together. Raises MalformedError where no part of it is sgminer's."""
    summary = _rows(fields, "summary")
    if not summary:
        raise MalformedError("no summary of TeamRedMiner")
    details = {whole(each.get("ID")): each for each in _rows(fields, "devdetails", "DEVDETAILS")}
    devices = [_rows(fields, name, "DEVS") for name in ("devs", "devs2")]
    slots = 2 if devices[1] else 1
    cards = tuple(
        _card(at, device, details, devices[1] if slots == 2 else [])
        for at, device in enumerate(devices[0])
    )
    works = tuple(_work(fields, slot, cards) for slot in range(1, slots + 1))
    about = next(iter(_rows(fields, "version", "VERSION")), {})
    version = word_of(about.get("Miner")) or word_of(about.get("SGMiner")) or ""
    return ProgramReport(
        name="TeamRedMiner",
        version=version.removeprefix("TeamRedMiner ") or None,
        uptime_s=positive(summary[0].get("Elapsed")),
        works=works[:SLOTS],
        cards=cards,
    )


def _card(at: int, device: Row, details: dict[int | None, Row], second: list[Row]) -> ProgramCard:
    about = details.get(at) or details.get(whole(device.get("GPU"))) or {}
    other = second[at] if at < len(second) else None
    rates = [_rate(device)] + ([] if other is None else [_rate(other)])
    return ProgramCard(
        bus_id=_bus_id(about.get("Device Path")),
        name=word_of(about.get("Model")),
        rates_hs=tuple(rates),
        temp_c=temp_c(device.get("Temperature")),
        temp_memory_c=temp_c(device.get("TemperatureMem")),
        fan_percent=percent(device.get("Fan Percent")),
        power_w=watts(device.get("GPU Power")),
        core_hz=mhz(device.get("GPU Clock")),
        memory_hz=mhz(device.get("Memory Clock")),
    )


def _work(fields: Row, slot: int, cards: tuple[ProgramCard, ...]) -> ProgramWork:
    suffix = "" if slot == 1 else "2"
    summary = next(iter(_rows(fields, f"summary{suffix}", "SUMMARY")), {})
    pools = _rows(fields, f"pools{suffix}", "POOLS")
    pool = next((each for each in pools if each.get("Stratum Active") is True), None)
    pool = pool or next(iter(pools), {})
    return ProgramWork(
        part=RigPart.GPU,
        slot=slot,
        algorithm=word_of(pool.get("Algorithm")) or word_of(pool.get("Algorithm Type")),
        pool=word_of(pool.get("URL")) or word_of(pool.get("Stratum URL")),
        hashrate_hs=total(c.rates_hs[slot - 1] for c in cards if len(c.rates_hs) >= slot),
        accepted=whole(summary.get("Accepted")),
        rejected=whole(summary.get("Rejected")),
    )


def _rate(device: Row) -> float | None:
    """Over 30 s, else since it began; a key may count kilo or mega, as sgminer and cgminer do."""
    for key, factor in (("KHS 30s", 1e3), ("MHS 30s", 1e6), ("KHS av", 1e3), ("MHS av", 1e6)):
        if (found := rate_hs(device.get(key), factor)) is not None:
            return found
    return None


def _bus_id(told: Any) -> str | None:
    if (full := full_bus_id(told)) is not None:
        return full
    match = _BUS.fullmatch(told.strip()) if isinstance(told, str) else None
    return bus_alone(int(match[1], 16)) if match else None


def _rows(fields: Row, name: str, key: str | None = None) -> list[Row]:
    """The rows of one command, out of an answer to several: each stands under its name, as a list of one answer."""
    answers = fields.get(name)
    answer = rows_of(answers)[0] if rows_of(answers) else row_of(answers)
    return rows_of(answer.get(key or name.rstrip("2").upper()))
